package endtoend

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	corev1 "k8s.io/api/core/v1"

	"holdfast/identities/identitiestest"
	"holdfast/internal/splicetest"
	"holdfast/internal/splicetest/apiserver"
)

const (
	kubeSecrets = "/api/v1/namespaces/node/secrets"
	bootstrap   = kubeSecrets + "/participant-bootstrap-dump"
)

// renewed starts programs as Splice's charts and images do: an init container makes
// the database, and refuses where another participant has one; a program makes its
// tables; and the app gives a participant without identity one, of the dump if it has
// one, and else a new one.
type renewed struct {
	s    *apiserver.Server
	node *splicetest.Node
	of   string // the participant's database
}

var databaseName = regexp.MustCompile(`databaseName = "([^"]+)"`)

// begin is the database that a program is connected to; "" for one that cannot be
// started.
func (r *renewed) begin(ctx context.Context, name string, spec corev1.PodSpec) (string, error) {
	env := map[string]string{}
	for _, c := range append(spec.InitContainers, spec.Containers...) {
		for _, v := range c.Env {
			env[v.Name] = v.Value
		}
	}
	database := env["CANTON_PARTICIPANT_POSTGRES_DB"]
	if name == "app" {
		database = databaseName.FindStringSubmatch(env["ADDITIONAL_CONFIG_PERSISTENCE"])[1]
	}
	there, others, err := r.databases(ctx, database)
	switch {
	case err != nil:
		return "", err
	case !there && others && env["CONFLICT_CHECK"] == "true":
		return "", nil
	case !there:
		if err := r.node.Participant.Exec(ctx, "postgres", "create database "+database); err != nil { // without quotes, as the chart
			return "", err
		}
	}
	dsn := r.node.Participant.DSNAs(splicetest.DatabaseOwner, database)
	if name == "participant" {
		r.of = dsn
		return dsn, unless(ctx, dsn, "select from pg_tables where schemaname = 'participant'", splicetest.ParticipantSchema)
	}
	if r.of == "" {
		return "", nil // it waits for its participant
	}
	err = unless(ctx, dsn, "select from pg_tables where schemaname = 'validator'", splicetest.ValidatorSchema)
	if err != nil {
		return "", err
	}
	return dsn, unless(ctx, r.of, "select from participant.common_node_id", func(ctx context.Context, dsn string) error {
		identity, err := r.identity(env, spec)
		if err != nil {
			return err
		}
		return splicetest.Attach(splicetest.Place{
			ParticipantDSN: dsn, Identities: identitiestest.Dump{ParticipantID: identity}, Party: r.node.Party,
		}).SeedParticipant(ctx)
	})
}

func (r *renewed) databases(ctx context.Context, name string) (there, others bool, err error) {
	conn, err := pgx.Connect(ctx, r.node.Participant.DSN("postgres"))
	if err != nil {
		return false, false, err
	}
	defer func() { _ = conn.Close(ctx) }()
	err = conn.QueryRow(ctx, `select exists (select from pg_database where datname = $1),
		exists (select from pg_database where datname like 'participant%' and datname <> $1)`, name).Scan(&there, &others)
	return there, others, err
}

// unless does something in a database where a query has no row.
func unless(ctx context.Context, dsn, sql string, do func(context.Context, string) error) error {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	var there bool
	if err := conn.QueryRow(ctx, "select exists ("+sql+")").Scan(&there); err != nil || there {
		return err
	}
	return do(ctx, dsn)
}

// identity is what the app makes of a participant without one.
func (r *renewed) identity(env map[string]string, spec corev1.PodSpec) (string, error) {
	if len(spec.Volumes) == 0 {
		return env["SPLICE_APP_VALIDATOR_PARTICIPANT_IDENTIFIER"] + "::1220" + strings.Repeat("0", 64), nil
	}
	status, said := r.s.Ask(http.MethodGet, kubeSecrets+"/"+spec.Volumes[0].Secret.SecretName, nil)
	var s corev1.Secret
	var dump struct{ ID string }
	if err := json.Unmarshal([]byte(said), &s); err != nil || status != http.StatusOK {
		return "", fmt.Errorf("%d %s", status, said)
	}
	if err := json.Unmarshal(s.Data["content"], &dump); err != nil {
		return "", err
	}
	_, namespace, _ := strings.Cut(strings.TrimPrefix(dump.ID, "PAR::"), "::")
	return env["NEW_PARTICIPANT_IDENTIFIER"] + "::" + namespace, nil
}

// plan is what a re-onboarding has the operator do.
type plan struct {
	Identifier string `json:"participant_identifier"`
	First      string `json:"first_start"`
	Later      string `json:"later_starts"`
	Begun      bool
}

func (w workshop) reonboards(t *testing.T) plan {
	t.Helper()
	out, code := w.run("reonboard", "--key-file", "key", "--output", "json")
	var doc struct{ Value plan }
	if err := json.Unmarshal([]byte(out), &doc); err != nil || code != 0 {
		t.Fatalf("exit code %d, %v\n%s", code, err, out)
	}
	return doc.Value
}

// isReonboarded makes a node whose databases are of no use again from its
// identities, by the very lines that are printed, with the real helm; in the long
// form also killed at each of its requests. No pod runs: renewed is what the charts
// and the programs do.
func (c *controller) isReonboarded(t *testing.T, w workshop, node *splicetest.Node) {
	helm := os.Getenv("HOLDFAST_TEST_HELM")
	if helm == "" {
		const missing = `needs helm: eval "$(internal/testbed/helm.sh)"`
		if os.Getenv("HOLDFAST_TEST_ALL") != "" {
			t.Fatal(missing)
		}
		t.Log(missing)
		return
	}
	dir, err := filepath.Abs("testdata/charts")
	if err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	types := func(lines string) {
		t.Helper()
		cmd := exec.Command("sh", "-euc", strings.ReplaceAll(lines, "REGISTRY/", dir+"/"))
		cmd.Env = append(os.Environ(), "PATH="+filepath.Dir(helm)+":"+os.Getenv("PATH"),
			"HELM_CACHE_HOME="+home, "HELM_CONFIG_HOME="+home, "HELM_DATA_HOME="+home)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", lines, err, out)
		}
	}
	c.mu.Lock()
	c.renewed = &renewed{s: c.s, node: node}
	c.mu.Unlock()
	for release, chart := range charts { // which takes over what is there
		types("helm install " + release + " REGISTRY/" + chart + " --namespace node")
	}
	c.serves(t)
	old := fingerprint(t, node.ParticipantDSN())
	t.Run("reonboarded", func(t *testing.T) {
		c.isRefused(t, w, node)
		if splicetest.Long() {
			c.killedWhileReonboarding(t, w)
		}
		c.comesBack(t, w, node, types)
	})
	if now := fingerprint(t, node.ParticipantDSN()); !maps.Equal(now, old) {
		t.Error("the old database was changed")
	}
}

// isRefused: as long as the old node may live nothing is put in clear.
func (c *controller) isRefused(t *testing.T, w workshop, node *splicetest.Node) {
	refused := func(want string) {
		t.Helper()
		if out, code := w.run("reonboard", "--key-file", "key"); code != 7 || !strings.Contains(out, want) {
			t.Errorf("exit code %d\n%s", code, out)
		}
	}
	refused("the old node lives: Deployment participant and Deployment app of namespace node")
	for name := range charts {
		scale := map[string]any{"metadata": map[string]string{"name": name, "namespace": "node"}, "spec": map[string]int{"replicas": 0}}
		if err := c.ask(http.MethodPut, kubeSpace+name+"/scale", scale, nil); err != nil {
			t.Fatal(err)
		}
	}
	for begun := time.Now(); time.Since(begun) < 30*time.Second; time.Sleep(50 * time.Millisecond) {
		var list corev1.PodList
		err := c.ask(http.MethodGet, "/api/v1/namespaces/node/pods?labelSelector=app+in+(participant,app)", nil, &list)
		if err != nil {
			t.Fatal(err)
		}
		if len(list.Items) == 0 {
			break
		}
	}
	conn, err := pgx.Connect(t.Context(), node.ParticipantDSN()) // a participant that runs elsewhere
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Exec(t.Context(), "SELECT pg_advisory_lock($1)", 1<<29); err != nil {
		t.Fatal(err)
	}
	refused("the old node may live: connected is a live participant (pid ")
	if err := conn.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if status, _ := c.s.Ask(http.MethodGet, bootstrap, nil); status != http.StatusNotFound {
		t.Errorf("the identities are in clear all the same: %d", status)
	}
}

// comesBack makes the node again.
func (c *controller) comesBack(t *testing.T, w workshop, node *splicetest.Node, types func(string)) {
	p := w.reonboards(t)
	_, namespace, _ := strings.Cut(node.Identities.ParticipantID, "::")
	if again := w.reonboards(t); p.Begun || !again.Begun || again.First != p.First {
		t.Errorf("run again: %+v, first it was %+v", again, p)
	}
	out, code := w.run("reonboard", "--key-file", "key")
	for _, want := range []string{"begins with database participant_4_2; participant-4 stays as it is", "enableParticipantDbConflictCheck: false"} {
		if !strings.Contains(out, want) || code != 0 {
			t.Errorf("exit code %d, it does not print %q\n%s", code, want, out)
		}
	}
	status, said := c.s.Ask(http.MethodGet, bootstrap, nil)
	var s corev1.Secret
	if err := json.Unmarshal([]byte(said), &s); err != nil || status != http.StatusOK || !bytes.Equal(s.Data["content"], node.Identities.JSON) {
		t.Fatalf("the Secret has no identities: %d %v", status, err)
	}
	if keys := regexp.MustCompile(`"keyPair": *"([^"]{20})`).FindStringSubmatch(string(node.Identities.JSON)); keys == nil || strings.Contains(out, keys[1]) {
		t.Errorf("keys are printed: %v", keys)
	}

	types(p.First)
	watch := w.command("reonboard", "watch")
	shown := &sink{}
	watch.Stdout, watch.Stderr = shown, shown
	if err := watch.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = watch.Process.Kill() }()
	for begun := time.Now(); !strings.Contains(shown.String(), "Take away") && time.Since(begun) < time.Minute; {
		time.Sleep(50 * time.Millisecond)
	}
	if out, code := w.run("reonboard", "clean"); code != 7 || !strings.Contains(out, "Deployment app takes Secret") {
		t.Errorf("removed while the app takes it: exit code %d\n%s", code, out)
	}
	types(p.Later)
	late := time.AfterFunc(2*time.Minute, func() { _ = watch.Process.Kill() })
	defer late.Stop()
	if err := watch.Wait(); err != nil {
		t.Fatalf("%v\n%s", err, shown)
	}
	for _, want := range []string{
		"the node serves as " + p.Identifier + "::1220", "participantIdentitiesDumpImport: null", "removed Secret participant-bootstrap-dump",
		"Its participant has database participant_4_2 instead of participant-4",
	} {
		if !strings.Contains(shown.String(), want) {
			t.Errorf("it does not say %q:\n%s", want, shown)
		}
	}
	if status, _ := c.s.Ask(http.MethodGet, bootstrap, nil); status != http.StatusNotFound {
		t.Errorf("the identities are in clear still: %d", status)
	}
	dsn := node.Participant.DSNAs(splicetest.DatabaseOwner, "participant_4_2")
	const sql = "SELECT identifier || '::' || namespace FROM participant.common_node_id"
	if got := query[string](t, dsn, sql); got != p.Identifier+"::"+namespace {
		t.Errorf("the participant is %s, want %s::%s", got, p.Identifier, namespace)
	}
	w.does(t, "reonboard", "clean") // once more
}

// sink keeps what a program prints while it runs.
type sink struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (s *sink) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *sink) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// killedWhileReonboarding kills it before and after each of the requests that change
// or decide something. The next run takes up what was made; given up, nothing is left.
func (c *controller) killedWhileReonboarding(t *testing.T, w workshop) {
	config := filepath.Join(w.dir, "holdfast.yaml")
	text, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	var trap struct {
		sync.Mutex
		method string
		after  bool
		victim *os.Process
	}
	front := c.s.Front(t, apiserver.Admin, "default", func(_ http.ResponseWriter, r *http.Request) bool {
		trap.Lock()
		defer trap.Unlock()
		if trap.victim == nil || r.Method != trap.method || !strings.HasPrefix(r.URL.Path, kubeSecrets) ||
			r.Method == http.MethodGet && r.URL.Path != bootstrap {
			return true
		}
		if trap.after {
			body, err := io.ReadAll(r.Body)
			if err == nil {
				var object any
				if len(body) > 0 {
					err = json.Unmarshal(body, &object)
				}
				c.s.Ask(r.Method, r.URL.Path, object)
			}
			if err != nil {
				t.Error(err)
			}
		}
		_ = trap.victim.Kill()
		trap.victim = nil
		return false
	})
	changed := strings.Replace(string(text), os.Getenv("KUBECONFIG"), front, 1)
	if changed == string(text) {
		t.Fatalf("no kubeconfig in\n%s", text)
	}
	if err := os.WriteFile(config, []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := os.WriteFile(config, text, 0o600); err != nil {
			t.Error(err)
		}
	}()
	killed := func(method string, after bool, args ...string) {
		t.Helper()
		cmd := w.command(args...)
		trap.Lock()
		err := cmd.Start()
		trap.method, trap.after, trap.victim = method, after, cmd.Process
		trap.Unlock()
		var exit *exec.ExitError
		if err != nil || !errors.As(cmd.Wait(), &exit) || exit.Exited() {
			t.Fatalf("%v was not killed at %s: %v", args, method, exit)
		}
	}
	there := func() bool {
		status, _ := c.s.Ask(http.MethodGet, bootstrap, nil)
		return status == http.StatusOK
	}
	for _, at := range []struct {
		method string
		after  bool
	}{{http.MethodGet, false}, {http.MethodPost, false}, {http.MethodPost, true}} {
		killed(at.method, at.after, "reonboard", "--key-file", "key")
		made := at.method == http.MethodPost && at.after
		if there() != made {
			t.Errorf("killed at %+v the Secret is there: %v", at, !made)
		}
		if p := w.reonboards(t); p.Begun != made {
			t.Errorf("killed at %+v, then %+v", at, p)
		}
		for _, after := range []bool{false, true} {
			if after && !there() {
				t.Errorf("killed before it was removed, it is gone")
			}
			killed(http.MethodDelete, after, "reonboard", "clean")
		}
		w.does(t, "reonboard", "clean")
		if there() {
			t.Errorf("killed at %+v and given up, the identities are in clear", at)
		}
	}
}
