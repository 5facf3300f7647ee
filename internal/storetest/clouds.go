package storetest

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	azblob "github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/sas"
	"github.com/golang-jwt/jwt/v5"

	"holdfast/place"
	"holdfast/repository"
)

// GCS is a bucket with versions of fake-gcs-server, which is none of Google's: it
// takes any token. The service account's key is turned into one all the same.
func GCS(t testing.TB) Store {
	t.Helper()
	return gcs(t, true, "-backend", "memory")
}

// GCSFiles is one that outlives its server, and keeps no versions.
func GCSFiles(t testing.TB) Store {
	t.Helper()
	return gcs(t, false, "-backend", "filesystem", "-filesystem-root", t.TempDir())
}

func gcs(t testing.TB, versions bool, backend ...string) Store {
	t.Helper()
	address := loopback(t)
	s := serve(t, nil, address, append([]string{
		program(t, "fake-gcs-server"), "-scheme", "http", "-host", "127.0.0.1",
		"-port", address[strings.LastIndex(address, ":")+1:], "-public-host", address, "-log-level", "error",
	}, backend...)...)
	answer, err := http.Post("http://"+address+"/storage/v1/b?project=demo", "application/json", //nolint:noctx // loopback
		strings.NewReader(fmt.Sprintf(`{"name": "sets", "versioning": {"enabled": %t}}`, versions)))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(answer.Body)
		t.Fatalf("no bucket: %s: %s", answer.Status, text)
	}
	return Store{
		Kind:   place.GCS,
		Place:  parsed(t, "gs://sets/holdfast?endpoint="+address+"&tls=off"),
		Access: repository.Access{Key: secret(serviceAccount(t))},
		Server: s,
	}
}

// serviceAccount is the key of a service account, and a server that turns it
// into tokens.
func serviceAccount(t testing.TB) string {
	t.Helper()
	tokens := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprintf(w, `{"access_token": %q, "expires_in": 3600, "token_type": "Bearer"}`, SecretKey)
	}))
	t.Cleanup(tokens.Close)
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(map[string]string{
		"type":         "service_account",
		"project_id":   "demo",
		"client_email": "backup@demo.iam.gserviceaccount.com",
		"private_key":  string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})),
		"token_uri":    tokens.URL,
	})
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// account is the storage account of the tests.
const account = "holdfasttest"

// Azure is a container of Azurite, Microsoft's imitation of its store.
func Azure(t testing.TB) Store {
	t.Helper()
	address := loopback(t)
	s, _ := azure(t, address, "http://", nil)
	return s
}

// AzureSignature is a container of Azurite with a signature that opens nothing
// else.
func AzureSignature(t testing.TB) Store {
	t.Helper()
	s, c := azure(t, loopback(t), "http://", nil)
	may := sas.ContainerPermissions{Read: true, Add: true, Create: true, Write: true, List: true, Delete: true}
	signed, err := c.GetSASURL(may, time.Now().Add(time.Hour), nil)
	if err != nil {
		t.Fatal(err)
	}
	_, token, _ := strings.Cut(signed, "?")
	s.Access = repository.Access{Token: secret(token)}
	return s
}

// azure starts Azurite, and makes a container with the account's key.
func azure(
	t testing.TB, address, scheme string, client *http.Client, options ...string,
) (Store, *container.Client) {
	t.Helper()
	at := strings.LastIndex(address, ":")
	key := base64.StdEncoding.EncodeToString([]byte(SecretKey))
	command := append([]string{program(t, "azurite-blob"), "--silent", "--disableTelemetry", "--skipApiVersionCheck",
		"--location", t.TempDir(), "--blobHost", address[:at], "--blobPort", address[at+1:]}, options...)
	s := serveWith(t, []string{"AZURITE_ACCOUNTS=" + account + ":" + key}, address, command...)
	s.slow = true // what it knows of blobs is in memory for some seconds
	shared, err := azblob.NewSharedKeyCredential(account, key)
	if err != nil {
		t.Fatal(err)
	}
	o := &container.ClientOptions{ClientOptions: azcore.ClientOptions{}}
	if client != nil {
		o.Transport = client
	}
	c, err := container.NewClientWithSharedKeyCredential(scheme+address+"/"+account+"/sets", shared, o)
	if err == nil {
		_, err = c.Create(t.Context(), nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf("azblob://%s/sets/holdfast?endpoint=%s", account, address)
	if scheme == "http://" {
		text += "&tls=off"
	}
	return Store{
		Kind:   place.Azure,
		Place:  parsed(t, text),
		Access: repository.Access{Key: secret(key)},
		Wrong:  &repository.Access{Key: secret(base64.StdEncoding.EncodeToString([]byte(wrongKey)))},
		Server: s,
	}, c
}

// AzureIdentity is a container of Azurite that takes tokens of the machine's
// managed identity, over TLS, and the identity's own endpoint as Azure's App
// Service has it. Azurite reads the token, and does not check who signed it.
func AzureIdentity(t testing.TB) Store {
	t.Helper()
	tls := httptest.NewTLSServer(http.NotFoundHandler()) // for its certificate
	defer tls.Close()
	dir := t.TempDir()
	certificate := tls.TLS.Certificates[0]
	key, err := x509.MarshalPKCS8PrivateKey(certificate.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	ca := filepath.Join(dir, "certificate")
	write(t, ca, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Certificate[0]})))
	write(t, filepath.Join(dir, "key"), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})))
	s, _ := azure(t, loopback(t), "https://", tls.Client(), "--oauth", "basic", "--cert", ca,
		"--key", filepath.Join(dir, "key"))
	identity := httptest.NewServer(http.HandlerFunc(managedIdentity))
	t.Cleanup(identity.Close)
	t.Setenv("IDENTITY_ENDPOINT", identity.URL)
	t.Setenv("IDENTITY_HEADER", "this-machine")
	s.Access = repository.Access{Authority: ca}
	return s
}

// managedIdentity answers as the endpoint of App Service does.
func managedIdentity(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("X-IDENTITY-HEADER") != "this-machine" {
		http.Error(w, "who is there?", http.StatusUnauthorized)
		return
	}
	at := time.Now()
	token, err := azureToken(at)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]string{
		"access_token": token,
		"expires_on":   strconv.FormatInt(at.Add(time.Hour).Unix(), 10),
		"resource":     r.URL.Query().Get("resource"),
		"token_type":   "Bearer",
	})
}

// azureToken is one that Azurite reads.
func azureToken(at time.Time) (string, error) {
	return jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{
		"aud": "https://storage.azure.com",
		"iss": "https://sts.windows.net/00000000-0000-0000-0000-000000000000/",
		"iat": at.Add(-time.Minute).Unix(),
		"nbf": at.Add(-time.Minute).Unix(),
		"exp": at.Add(time.Hour).Unix(),
	}).SignedString([]byte(SecretKey))
}

// What a pod of Azure's Kubernetes is.
const (
	workload     = "11111111-1111-1111-1111-111111111111"
	tenant       = "22222222-2222-2222-2222-222222222222"
	clusterToken = "canary-the-token-of-the-cluster"
)

// AzureWorkload gives this process the workload identity of a pod of Azure's
// Kubernetes: variables, and a file with the cluster's token. The client reaches
// what stands in for Microsoft's login, whatever the address: it gives a token of
// the storage for the cluster's.
func AzureWorkload(t testing.TB) (login *http.Client, tokenFile string) {
	t.Helper()
	tokenFile = filepath.Join(t.TempDir(), "token")
	write(t, tokenFile, clusterToken)
	t.Setenv("AZURE_CLIENT_ID", workload)
	t.Setenv("AZURE_TENANT_ID", tenant)
	t.Setenv("AZURE_FEDERATED_TOKEN_FILE", tokenFile)
	return &http.Client{Transport: answers(azureLogin)}, tokenFile
}

// answers takes requests to any host to a handler.
type answers http.HandlerFunc

// RoundTrip implements http.RoundTripper.
func (a answers) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	a(w, r)
	return w.Result(), nil
}

// azureLogin answers as Microsoft's login does.
func azureLogin(w http.ResponseWriter, r *http.Request) {
	const host = "login.microsoftonline.com"
	const base = "https://" + host + "/" + tenant
	var answer any
	switch {
	case strings.HasSuffix(r.URL.Path, "/discovery/instance"):
		answer = map[string]any{
			"tenant_discovery_endpoint": base + "/v2.0/.well-known/openid-configuration",
			"metadata": []map[string]any{
				{"preferred_network": host, "preferred_cache": host, "aliases": []string{host}},
			},
		}
	case strings.HasSuffix(r.URL.Path, "/openid-configuration"):
		answer = map[string]any{
			"authorization_endpoint": base + "/oauth2/v2.0/authorize",
			"token_endpoint":         base + "/oauth2/v2.0/token",
			"issuer":                 base + "/v2.0",
		}
	case r.URL.Path != "/"+tenant+"/oauth2/v2.0/token":
		http.NotFound(w, r)
		return
	case r.PostFormValue("client_id") != workload || r.PostFormValue("client_assertion") != clusterToken ||
		!strings.HasPrefix(r.PostFormValue("scope"), "https://storage.azure.com/.default"):
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusUnauthorized)
		answer = map[string]any{"error": "invalid_client"}
	default:
		token, err := azureToken(time.Now())
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		answer = map[string]any{"access_token": token, "expires_in": 3600, "token_type": "Bearer"}
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(answer)
}

// deleteAllOfGCS deletes every object of a bucket of fake-gcs-server.
func deleteAllOfGCS(t testing.TB, s Store) {
	t.Helper()
	request := func(method, address string) []byte {
		r, err := http.NewRequestWithContext(t.Context(), method, address, nil)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = answer.Body.Close() }()
		text, err := io.ReadAll(answer.Body)
		if err != nil || answer.StatusCode >= http.StatusBadRequest {
			t.Fatalf("%s %s: %s, %v", method, address, answer.Status, err)
		}
		return text
	}
	objects := "http://" + s.Address + "/storage/v1/b/" + s.Place.Bucket + "/o"
	var list struct{ Items []struct{ Name string } }
	if err := json.Unmarshal(request(http.MethodGet, objects), &list); err != nil {
		t.Fatal(err)
	}
	for _, o := range list.Items {
		request(http.MethodDelete, objects+"/"+url.PathEscape(o.Name))
	}
}
