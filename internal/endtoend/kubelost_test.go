package endtoend

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"holdfast/internal/splicetest"
	"holdfast/internal/splicetest/apiserver"
)

// A namespace that is gone comes back from the repository and its password alone: by
// one command, and the very lines that it prints, with the real helm, a real API
// server and a real Postgres. In the long form it is also killed at each of its steps.
// No pod runs: renewed is what the charts and the programs do, and a program that
// finds no database makes an empty one.
func TestALostNamespace(t *testing.T) {
	const password = "it's another \\ password"
	s := apiserver.New(t)
	helm := os.Getenv("HOLDFAST_TEST_HELM")
	if helm == "" {
		const missing = `needs helm: eval "$(internal/testbed/helm.sh)"`
		if os.Getenv("HOLDFAST_TEST_ALL") != "" {
			t.Fatal(missing)
		}
		t.Skip(missing)
	}
	s.Kubelet(t)
	t.Setenv("KUBERNETES_SERVICE_HOST", "")
	t.Setenv("KUBECONFIG", s.Config(t, apiserver.Admin, "default"))
	l := lostNode{
		s: s, node: splicetest.NewNode(t, splicetest.NodeOptions{TCP: true, Password: password}), helm: helm, home: t.TempDir(),
		secret: filepath.Join(t.TempDir(), "password"),
	}
	if err := os.WriteFile(l.secret, []byte(password), 0o600); err != nil {
		t.Fatal(err)
	}
	l.install(t, splicetest.NewValidatorApp(t, l.node, splicetest.AppOptions{}), password)
	l.c = control(t, s, l.node)
	l.c.mu.Lock()
	l.c.server, l.c.renewed = true, &renewed{s: s, node: l.node}
	l.c.mu.Unlock()
	l.c.serves(t)
	l.old = newWorkshop(t)
	l.old.does(t, "init", "--kube", "--yes", "--recovery-key-file", "key")
	l.rows = l.fingerprints(t)
	l.lose(t)
	l.isRefused(t)
	w := l.comesBack(t)
	t.Run("killed", func(t *testing.T) {
		splicetest.OnlyLong(t)
		for _, act := range []string{"write", "install", "build", "rename", "open"} {
			l.killed(t, w, act)
		}
	})
}

// lostNode is a node whose namespace is removed, and comes back.
type lostNode struct {
	s          *apiserver.Server
	c          *controller
	node       *splicetest.Node
	helm, home string
	secret     string // file with the password of Postgres
	old        workshop
	rows       map[string]string
}

// install puts the node into the cluster: three releases of Helm's, and Services that
// nobody keeps.
func (l *lostNode) install(t *testing.T, app *splicetest.ValidatorApp, password string) {
	t.Helper()
	const space = "/api/v1/namespaces/node"
	l.s.Create(t, "/api/v1/namespaces", corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "node"}})
	l.s.Create(t, space+"/secrets", corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "postgres-secrets"}, StringData: map[string]string{"postgresPassword": password},
	})
	at, err := url.Parse(app.URL())
	if err != nil {
		t.Fatal(err)
	}
	listening, err := strconv.ParseInt(at.Port(), 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	for name, ports := range map[string][2]int32{"app": {5003, int32(listening)}, "participant": {5001, 5001}} {
		l.s.Create(t, space+"/services", corev1.Service{
			ObjectMeta: metav1.ObjectMeta{Name: name},
			Spec: corev1.ServiceSpec{
				Selector: map[string]string{"app": name},
				Ports:    []corev1.ServicePort{{Port: ports[0], TargetPort: intstr.FromInt32(ports[1])}},
			},
		})
	}
	l.types(t, fmt.Sprintf("helm install postgres REGISTRY/splice-postgres --namespace node --set port=%d\n"+
		"helm install participant REGISTRY/splice-participant --namespace node\n"+
		"helm install app REGISTRY/splice-validator --namespace node --set nodeIdentifier=acme", l.node.Participant.Port()))
}

// types types lines, with the words in capitals filled in.
func (l *lostNode) types(t *testing.T, lines string) {
	t.Helper()
	dir, err := filepath.Abs("testdata/charts")
	if err != nil {
		t.Fatal(err)
	}
	lines = strings.NewReplacer("REGISTRY/", dir+"/", "=FILE", "="+l.secret).Replace(lines)
	if _, err := exec.LookPath("kubectl"); err != nil {
		lines = l.withoutKubectl(t, lines)
	}
	cmd := exec.Command("sh", "-euc", lines)
	cmd.Env = append(os.Environ(), "PATH="+filepath.Dir(l.helm)+":"+os.Getenv("PATH"),
		"HELM_CACHE_HOME="+l.home, "HELM_CONFIG_HOME="+l.home, "HELM_DATA_HOME="+l.home, "HOME="+l.home)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", lines, err, out)
	}
}

// withoutKubectl does what the lines of kubectl say, where there is none, and returns
// the others.
func (l *lostNode) withoutKubectl(t *testing.T, lines string) (others string) {
	t.Helper()
	for line := range strings.Lines(lines) {
		words := strings.Fields(line)
		if len(words) == 0 || words[0] != "kubectl" {
			others += line
			continue
		}
		last := words[len(words)-1]
		switch {
		case strings.Contains(line, " create namespace "):
			l.s.Create(t, "/api/v1/namespaces", corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: last}})
		case strings.Contains(line, " create secret generic "):
			from := strings.SplitN(strings.TrimPrefix(last, "--from-file="), "=", 2)
			text, err := os.ReadFile(from[1])
			if err != nil {
				t.Fatal(err)
			}
			l.s.Create(t, kubeSecrets, corev1.Secret{
				ObjectMeta: metav1.ObjectMeta{Name: words[len(words)-2]}, Data: map[string][]byte{from[0]: text},
			})
		default:
			l.applies(t, strings.Trim(last, "'"))
		}
	}
	return others
}

// applies creates the objects of a file.
func (l *lostNode) applies(t *testing.T, file string) {
	t.Helper()
	text, err := os.ReadFile(file)
	var list struct{ Items []json.RawMessage }
	if err == nil {
		err = json.Unmarshal(text, &list)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, raw := range list.Items {
		var head metav1.TypeMeta
		if err := json.Unmarshal(raw, &head); err != nil || head.Kind != "Service" {
			t.Fatalf("%v: it is no Service: %s", err, raw)
		}
		l.s.Create(t, "/api/v1/namespaces/node/services", raw)
	}
}

// fingerprints are those of all tables.
func (l *lostNode) fingerprints(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	for name, dsn := range map[string]string{"participant ": l.node.ParticipantDSN(), "validator ": l.node.ValidatorDSN()} {
		for table, of := range fingerprint(t, dsn) {
			out[name+table] = of
		}
	}
	return out
}

// lose removes the namespace with all that is in it, and the databases. The API
// server has no controller that would empty it.
func (l *lostNode) lose(t *testing.T) {
	t.Helper()
	const core, apps = "/api/v1/namespaces/node", "/apis/apps/v1/namespaces/node"
	l.c.mu.Lock() // who looks at objects must not find some of them
	defer l.c.mu.Unlock()
	for _, path := range []string{
		apps + "/deployments", apps + "/statefulsets", core + "/pods", core + "/services", core + "/secrets", core + "/configmaps",
	} {
		if err := l.c.ask(http.MethodDelete, path+"?gracePeriodSeconds=0", nil, nil); err != nil {
			t.Fatal(err)
		}
	}
	l.s.Delete(t, core)
	l.s.Put(t, core+"/finalize", corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "node"}})
	for name := range l.c.dsns {
		l.c.leave(name)
	}
	l.c.renewed.of = ""
	l.drops(t)
}

// drops drops every database of the node.
func (l *lostNode) drops(t *testing.T) {
	t.Helper()
	const sql = "SELECT coalesce(string_agg(datname, E'\\n'), '') FROM pg_database WHERE NOT datistemplate AND datname <> 'postgres'"
	for _, name := range strings.Fields(query[string](t, l.node.Participant.DSN("postgres"), sql)) {
		if err := l.node.Participant.Exec(t.Context(), "postgres", fmt.Sprintf("DROP DATABASE %q WITH (FORCE)", name)); err != nil {
			t.Fatal(err)
		}
	}
}

// documented are the commands of the page, in its order, for the cluster and the
// repository that are here.
func (l *lostNode) documented(t *testing.T) (out []string) {
	t.Helper()
	text, err := os.ReadFile("../../docs/kubernetes.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(text), "\n## A namespace or a cluster that is gone\n")
	section, _, _ = strings.Cut(section, "\n## ")
	for _, block := range strings.Split(section, "```sh untested=namespace\n")[1:] {
		block, _, _ = strings.Cut(block, "```")
		out = append(out, strings.NewReplacer(
			"--context production", "--yes --context "+apiserver.Admin, "restore latest", "restore latest --yes",
			"'s3://example-holdfast/validator-1?region=eu-central-1'", filepath.Join(l.old.dir, "repository"),
			"/root/repository.password", filepath.Join(l.old.dir, "repository.password"),
		).Replace(block))
	}
	if !found || len(out) != 3 {
		t.Fatalf("the page has %d commands: %q", len(out), out)
	}
	return out
}

// shell is a line of the page that is typed in a directory.
func (w workshop) shell(line string) *exec.Cmd {
	cmd := exec.Command("sh", "-euc", line)
	cmd.Dir = w.dir
	cmd.Env = append(os.Environ(), "PATH="+filepath.Dir(w.program)+":"+os.Getenv("PATH"))
	return cmd
}

// isRefused: nothing is made before somebody has said that the original is stopped,
// and the plan changes nothing.
func (l *lostNode) isRefused(t *testing.T) {
	t.Helper()
	w := newWorkshop(t)
	text, _ := w.shell(strings.Replace(l.documented(t)[0], " --original-stopped", "", 1)).CombinedOutput()
	out := string(text)
	if !strings.Contains(out, "may still run: the set was taken in namespace node") {
		t.Fatal(out)
	}
	out, code := w.run("restore", "latest")
	for _, want := range []string{
		"write    directory ", "install  namespace node", "Nothing of the node is there.", "kubectl --context admin create namespace node\n",
		"create secret generic postgres-secrets --from-file=postgresPassword=FILE\n", "helm upgrade --install postgres REGISTRY/splice-postgres",
	} {
		if !strings.Contains(out, want) || code != 0 {
			t.Errorf("exit code %d, the plan does not have %q:\n%s", code, want, out)
		}
	}
	if left, err := filepath.Glob(filepath.Join(w.dir, "*.namespace-*")); err != nil || len(left) > 0 {
		t.Errorf("a plan has written %v %v", left, err)
	}
}

// typed is what a restore has the operator type.
type typed struct {
	Of, Lines string
	First     bool
}

// plans are the lines of a plan, which come before the databases and after.
func (l *lostNode) plans(t *testing.T, w workshop) (list []typed) {
	t.Helper()
	cmd := w.command("restore", "latest", "--output", "json")
	out, err := cmd.Output()
	var doc struct{ Value struct{ Install []typed } }
	if err == nil {
		err = json.Unmarshal(out, &doc)
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return doc.Value.Install
}

// comesBack brings the node back.
func (l *lostNode) comesBack(t *testing.T) workshop {
	t.Helper()
	w := newWorkshop(t)
	cmd := w.shell(l.documented(t)[0])
	shown := l.begins(t, cmd)
	first, then := l.split(l.plans(t, w))
	l.types(t, first)
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%v\n%s", err, shown)
	}
	for line := range strings.Lines(first + then) {
		if !strings.Contains(shown.String(), line) {
			t.Errorf("it does not print %q:\n%s", line, shown)
		}
	}
	if strings.Contains(shown.String(), "another \\") {
		t.Errorf("the password is printed:\n%s", shown)
	}
	t.Logf("%s", shown)
	l.serves(t, w, then)
	return w
}

// begins starts a command, and waits until it wants to have something typed.
func (l *lostNode) begins(t *testing.T, cmd *exec.Cmd) *sink {
	t.Helper()
	shown := &sink{}
	cmd.Stdout, cmd.Stderr = shown, shown
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	for begun := time.Now(); !strings.Contains(shown.String(), "Type now"); time.Sleep(20 * time.Millisecond) {
		if time.Since(begun) > time.Minute {
			t.Fatalf("it wants nothing typed:\n%s", shown)
		}
	}
	return shown
}

func (l *lostNode) split(list []typed) (first, then string) {
	for _, i := range list {
		if i.First {
			first += i.Lines
		} else {
			then += i.Lines
		}
	}
	return first, then
}

// serves types what makes the programs, and looks on until the node serves, with the
// rows that it had.
func (l *lostNode) serves(t *testing.T, w workshop, then string) {
	t.Helper()
	if got := l.fingerprints(t); !maps.Equal(got, l.rows) {
		t.Error("the rows are others")
	}
	l.types(t, then)
	out, err := w.shell(l.documented(t)[2]).CombinedOutput()
	for _, want := range []string{"Restored: the node serves as ", "Remove " + w.dir, "Next: holdfast backup"} {
		if !strings.Contains(string(out), want) || err != nil {
			t.Errorf("%v, it does not print %q:\n%s", err, want, out)
		}
	}
	l.c.serves(t)
	w.does(t, "backup", "--quiet")
}

// killed kills a restore when a step of that kind has begun, takes it back or goes on
// with it, and ends with a node that serves.
func (l *lostNode) killed(t *testing.T, w workshop, act string) {
	for _, undo := range []bool{true, false} {
		l.lose(t)
		l.clears(t, w)
		_, then := l.split(l.plans(t, w))
		first := l.killedAt(t, w, act)
		if undo {
			w.does(t, "restore", "undo", "--yes")
			if left, err := filepath.Glob(filepath.Join(w.dir, "*.namespace-*")); err != nil || len(left) > 0 {
				t.Errorf("killed at %s and undone, %v is left: %v", act, left, err)
			}
			if left, err := filepath.Glob(filepath.Join(w.dir, "*.restore.json")); err != nil || len(left) > 0 {
				t.Errorf("killed at %s and undone, %v is left: %v", act, left, err)
			}
		}
		cmd := w.shell(l.documented(t)[1])
		if first != "" {
			l.begins(t, cmd)
			l.types(t, first)
		} else if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Fatalf("killed at %s, undone %v: %v", act, undo, err)
		}
		l.serves(t, w, then)
	}
}

// clears removes the files of an earlier time.
func (l *lostNode) clears(t *testing.T, w workshop) {
	t.Helper()
	left, err := filepath.Glob(filepath.Join(w.dir, "*.namespace-*"))
	for _, dir := range left {
		if err == nil {
			err = os.RemoveAll(dir)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
}

// killedAt kills a restore at a step, and returns what is still to be typed before the
// databases.
func (l *lostNode) killedAt(t *testing.T, w workshop, act string) string {
	t.Helper()
	first, _ := l.split(l.plans(t, w))
	cmd := w.command("restore", "latest", "--yes", "--original-stopped")
	shown := &sink{}
	cmd.Stdout, cmd.Stderr = shown, shown
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	for begun, hit := time.Now(), false; !hit; time.Sleep(time.Millisecond) {
		if time.Since(begun) > 2*time.Minute {
			t.Fatalf("it never came to %s:\n%s", act, shown)
		}
		if first != "" && act != "install" && strings.Contains(shown.String(), "Type now") {
			l.types(t, first)
			first = ""
		}
		journals, err := filepath.Glob(filepath.Join(w.dir, "*.restore.json"))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range journals {
			text, _ := os.ReadFile(path)
			hit = hit || strings.Contains(string(text), fmt.Sprintf("%q", act))
		}
	}
	return first
}
