package apiserver

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/yaml"

	"holdfast/internal/splicetest"
)

// Admin may do everything. Other users may do nothing, until a Role lets them.
const Admin = "admin"

// Users are those whose tokens the server accepts.
var users = []string{Admin, "reader", "nobody"}

// Server is an API server that runs.
type Server struct {
	Dir string

	url    string
	client *http.Client
}

// New starts a server, and ends it with the test. Where the server was never built
// the test is skipped, unless HOLDFAST_TEST_LONG asks for the long forms.
func New(t testing.TB) *Server {
	t.Helper()
	bin := os.Getenv("HOLDFAST_TEST_KUBE")
	if bin == "" {
		const missing = `needs a built kube-apiserver: eval "$(internal/testbed/kube.sh)"`
		if splicetest.Long() {
			t.Fatal(missing)
		}
		t.Skip(missing + ", or HOLDFAST_TEST_LONG=1, builds it in a quarter of an hour")
	}
	s := &Server{Dir: t.TempDir()}
	store, peer, port := freePort(t), freePort(t), freePort(t)
	s.url = "https://127.0.0.1:" + port
	s.start(t, filepath.Join(bin, "etcd"), "--data-dir="+s.file("etcd"), "--unsafe-no-fsync",
		"--listen-client-urls=http://127.0.0.1:"+store, "--advertise-client-urls=http://127.0.0.1:"+store,
		"--listen-peer-urls=http://127.0.0.1:"+peer, "--log-level=error")
	s.write(t)
	s.start(t, filepath.Join(bin, "kube-apiserver"), "--etcd-servers=http://127.0.0.1:"+store,
		"--bind-address=127.0.0.1", "--secure-port="+port, "--endpoint-reconciler-type=none", "--cert-dir="+s.file("certs"),
		"--service-cluster-ip-range=10.96.0.0/24", "--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file="+s.file("key"), "--service-account-signing-key-file="+s.file("key"),
		"--token-auth-file="+s.file("tokens"), "--authorization-mode=RBAC", "--kubelet-preferred-address-types=InternalIP",
		"--disable-admission-plugins=ServiceAccount")
	s.wait(t)
	return s
}

func (s *Server) file(name string) string { return filepath.Join(s.Dir, name) }

// write makes the files that the server reads.
func (s *Server) write(t testing.TB) {
	t.Helper()
	const bits = 2048
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	block := pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}
	var tokens strings.Builder
	for _, user := range users {
		group := map[bool]string{true: "system:masters", false: "people"}[user == Admin]
		fmt.Fprintf(&tokens, "token-of-%s,%s,%s,%s\n", user, user, user, group)
	}
	for name, text := range map[string][]byte{"key": pem.EncodeToMemory(&block), "tokens": []byte(tokens.String())} {
		if err := os.WriteFile(s.file(name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// start runs a program until the test ends. It must not outlive a test that is
// killed.
func (s *Server) start(t testing.TB, path string, args ...string) {
	t.Helper()
	output, err := os.Create(s.file(filepath.Base(path) + ".log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, args...)
	cmd.Stdout, cmd.Stderr = output, output
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		_ = output.Close()
		if text, err := os.ReadFile(output.Name()); err == nil && t.Failed() {
			t.Logf("the end of %s:\n%s", output.Name(), text[max(0, len(text)-2000):])
		}
	})
}

// wait waits until the server serves.
func (s *Server) wait(t testing.TB) {
	t.Helper()
	const limit = 2 * time.Minute
	for begun := time.Now(); time.Since(begun) < limit; time.Sleep(100 * time.Millisecond) {
		if s.client == nil && !s.trust() {
			continue
		}
		if status, _ := s.do(http.MethodGet, "/readyz", nil); status == http.StatusOK {
			return
		}
	}
	t.Fatal("the API server is not ready")
}

// trust takes the certificate that the server makes for itself.
func (s *Server) trust() bool {
	text, err := os.ReadFile(s.Authority())
	pool := x509.NewCertPool()
	if err != nil || !pool.AppendCertsFromPEM(text) {
		return false
	}
	s.client = &http.Client{Transport: &http.Transport{TLSClientConfig: trusting(pool)}, Timeout: 30 * time.Second}
	return true
}

// Authority is the file with the certificate to trust.
func (s *Server) Authority() string { return filepath.Join(s.file("certs"), "apiserver.crt") }

// Config writes a kubeconfig of a user, with one context that has the user's name,
// and returns its path.
func (s *Server) Config(t testing.TB, user, namespace string) string {
	t.Helper()
	return config(t, user, namespace, s.url, s.Authority())
}

// Front starts a proxy in front of the server, whose kubeconfig it returns. See is
// called with each request before the server is; it answers, or does not, what it
// returns false for.
func (s *Server) Front(
	t testing.TB, user, namespace string, see func(http.ResponseWriter, *http.Request) bool,
) string {
	t.Helper()
	to, err := url.Parse(s.url)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(to)
	proxy.Transport = s.client.Transport
	proxy.ErrorHandler = func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) }
	front := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if see(w, r) {
			proxy.ServeHTTP(w, r)
		}
	}))
	front.StartTLS()
	t.Cleanup(front.Close)
	authority := filepath.Join(t.TempDir(), "front.crt")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: front.Certificate().Raw})
	if err := os.WriteFile(authority, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return config(t, user, namespace, front.URL, authority)
}

func config(t testing.TB, user, namespace, server, authority string) string {
	t.Helper()
	text := fmt.Sprintf("apiVersion: v1\nkind: Config\ncurrent-context: %[1]s\n"+
		"clusters: [{name: c, cluster: {server: '%[2]s', certificate-authority: '%[3]s'}}]\n"+
		"users: [{name: u, user: {token: token-of-%[1]s}}]\n"+
		"contexts: [{name: %[1]s, context: {cluster: c, user: u, namespace: '%[4]s'}}]\n",
		user, server, authority, namespace)
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// URL is where the server serves.
func (s *Server) URL() string { return s.url }

// Account writes the files that a pod has of its service account into a directory,
// with a token of the server, and returns it. The account is created.
func (s *Server) Account(t testing.TB, namespace, name string) string {
	t.Helper()
	const year = 365 * 24 * 3600
	accounts := "/api/v1/namespaces/" + namespace + "/serviceaccounts"
	s.Create(t, accounts, corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: name}})
	_, said := s.do(http.MethodPost, accounts+"/"+name+"/token", fmt.Appendf(nil,
		`{"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": %d}}`, year))
	var answer struct {
		Status struct{ Token string }
	}
	if err := json.Unmarshal([]byte(said), &answer); err != nil || answer.Status.Token == "" {
		t.Fatalf("no token: %s", said)
	}
	authority, err := os.ReadFile(s.Authority())
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for file, text := range map[string]string{
		"token": answer.Status.Token, "ca.crt": string(authority), "namespace": namespace,
	} {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// Create creates an object below a path of the API.
func (s *Server) Create(t testing.TB, path string, object any) {
	s.must(t, http.MethodPost, path, object)
}

// CreateYAML creates an object that is written in YAML.
func (s *Server) CreateYAML(t testing.TB, path string, text []byte) {
	t.Helper()
	object, err := yaml.ToJSON(text)
	if err != nil {
		t.Fatal(err)
	}
	s.Create(t, path, json.RawMessage(object))
}

// Put replaces an object, or its status.
func (s *Server) Put(t testing.TB, path string, object any) { s.must(t, http.MethodPut, path, object) }

// Delete deletes an object at once.
func (s *Server) Delete(t testing.TB, path string) {
	s.must(t, http.MethodDelete, path+"?gracePeriodSeconds=0", nil)
}

// Ask sends a request as the administrator, and returns what came back: a status of
// 0 with the reason where nothing did. It may be called from any goroutine.
func (s *Server) Ask(method, path string, object any) (status int, said string) {
	var text []byte
	if object != nil {
		var err error
		if text, err = json.Marshal(object); err != nil {
			return 0, err.Error()
		}
	}
	return s.do(method, path, text)
}

func (s *Server) must(t testing.TB, method, path string, object any) {
	t.Helper()
	if status, said := s.Ask(method, path, object); status >= http.StatusMultipleChoices || status == 0 {
		t.Fatalf("%s %s: %d %s", method, path, status, said)
	}
}

func (s *Server) do(method, path string, body []byte) (status int, said string) {
	r, err := http.NewRequestWithContext(context.Background(), method, s.url+path, bytes.NewReader(body))
	if err != nil {
		return 0, err.Error()
	}
	r.Header.Set("Authorization", "Bearer token-of-"+Admin)
	r.Header.Set("Content-Type", "application/json")
	answer, err := s.client.Do(r)
	if err != nil {
		return 0, err.Error()
	}
	defer func() { _ = answer.Body.Close() }()
	text, _ := io.ReadAll(answer.Body)
	return answer.StatusCode, string(text)
}

func freePort(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port) //nolint:forcetypeassert // of a TCP listener
}
