package endtoend

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"holdfast/internal/splicetest"
	"holdfast/internal/splicetest/apiserver"
)

// controller stands in for what a cluster has and the API server has not: it
// removes pods when replicas are 0, and makes one when they are not. The program in
// such a pod is a session on its database, with an advisory lock, as Canton has
// one: where the database lets it in the pod is ready, else it is not. No pod runs.
type controller struct {
	s    *apiserver.Server
	dsns map[string]string // of the workloads' databases

	mu       sync.Mutex
	sessions map[string]*pgx.Conn
	refused  map[string]int // connections that a closed database has refused
	seen     []string       // what was connected or ended, in this order
	owner    bool           // somebody scales up what is at 0, as GitOps does
	failed   error

	server    bool              // Postgres has a StatefulSet, and a pod while that is there
	renewed   *renewed          // how programs are started that begin with nothing; nil: as always
	templates map[string]string // of the pods that were made
}

const kubeSpace = "/apis/apps/v1/namespaces/node/deployments/"

// control starts it. It ends with the test.
func control(t *testing.T, s *apiserver.Server, node *splicetest.Node) *controller {
	t.Helper()
	c := &controller{
		s: s, dsns: map[string]string{"participant": node.ParticipantDSN(), "app": node.ValidatorDSN()},
		sessions: map[string]*pgx.Conn{}, refused: map[string]int{}, templates: map[string]string{},
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for ctx.Err() == nil {
			c.mu.Lock()
			if c.server {
				if err := c.serve(); err != nil && ctx.Err() == nil {
					c.failed = errors.Join(c.failed, err)
				}
			}
			for _, name := range []string{"participant", "app"} {
				if err := c.reconcile(ctx, name); err != nil && ctx.Err() == nil {
					c.failed = errors.Join(c.failed, err)
				}
			}
			c.mu.Unlock()
			time.Sleep(50 * time.Millisecond)
		}
	}()
	t.Cleanup(func() {
		stop()
		<-ended
		for name := range c.sessions {
			c.leave(name)
		}
		if c.failed != nil {
			t.Error(c.failed)
		}
	})
	return c
}

// ask is a request that has to succeed.
func (c *controller) ask(method, path string, object, into any) error {
	status, said := c.s.Ask(method, path, object)
	if status >= http.StatusMultipleChoices || status == 0 {
		return fmt.Errorf("%s %s: %d %s", method, path, status, said)
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal([]byte(said), into)
}

func (c *controller) reconcile(ctx context.Context, name string) error {
	var d appsv1.Deployment
	if status, _ := c.s.Ask(http.MethodGet, kubeSpace+name, nil); status == http.StatusNotFound { // lost, with its namespace
		c.leave(name)
		return nil
	}
	if err := c.ask(http.MethodGet, kubeSpace+name, nil, &d); err != nil {
		return err
	}
	const pods = "/api/v1/namespaces/node/pods"
	var list corev1.PodList
	if err := c.ask(http.MethodGet, pods+"?labelSelector=app%3D"+name, nil, &list); err != nil {
		return err
	}
	template, err := json.Marshal(d.Spec.Template)
	if err != nil {
		return err
	}
	other := c.templates[name] != "" && c.templates[name] != string(template)
	c.templates[name] = string(template)
	if *d.Spec.Replicas == 0 || other {
		c.leave(name)
		for _, p := range list.Items {
			if err := c.ask(http.MethodDelete, pods+"/"+p.Name+"?gracePeriodSeconds=0", nil, nil); err != nil {
				return err
			}
		}
		if c.owner && !other {
			scale := map[string]any{"metadata": map[string]string{"name": name, "namespace": "node"}, "spec": map[string]int{"replicas": 1}}
			return c.ask(http.MethodPut, kubeSpace+name+"/scale", scale, nil)
		}
		return nil
	}
	if len(list.Items) == 0 {
		return c.ask(http.MethodPost, pods, corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{GenerateName: name + "-", Labels: map[string]string{"app": name}},
			Spec:       corev1.PodSpec{NodeName: apiserver.Node, Containers: []corev1.Container{{Name: name, Image: "x"}}},
		}, nil)
	}
	return c.run(ctx, d, list.Items[0], pods)
}

// run has the program of a pod be connected.
func (c *controller) run(ctx context.Context, d appsv1.Deployment, p corev1.Pod, pods string) error {
	name := d.Name
	if c.sessions[name] == nil {
		dsn := c.dsns[name]
		if c.renewed != nil {
			var err error
			if dsn, err = c.renewed.begin(ctx, name, d.Spec.Template.Spec); err != nil || dsn == "" {
				return err
			}
		}
		conn, err := pgx.Connect(ctx, dsn)
		if err != nil {
			if strings.Contains(err.Error(), "not currently accepting connections") {
				c.refused[name]++
			}
			return nil
		}
		const participants = 1 << 29 // a lock as Canton has them
		if _, err := conn.Exec(ctx, "SELECT pg_advisory_lock($1)", participants); err != nil {
			return err
		}
		c.sessions[name] = conn
		c.seen = append(c.seen, name+" connects")
	}
	p.Status = corev1.PodStatus{
		Phase: corev1.PodRunning, Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}},
	}
	return c.ask(http.MethodPut, pods+"/"+p.Name+"/status", p, nil)
}

func (c *controller) leave(name string) {
	if conn := c.sessions[name]; conn != nil {
		_ = conn.Close(context.Background())
		delete(c.sessions, name)
		c.seen = append(c.seen, name+" ends")
	}
}

// during is what was seen since the last time.
func (c *controller) during() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := strings.Join(c.seen, ", ")
	c.seen = nil
	return out
}

// serves waits until both programs are connected, to databases that let them in.
func (c *controller) serves(t *testing.T) {
	t.Helper()
	for begun := time.Now(); time.Since(begun) < 30*time.Second; time.Sleep(50 * time.Millisecond) {
		c.mu.Lock()
		both := len(c.sessions) == len(c.dsns)
		c.mu.Unlock()
		if both {
			return
		}
	}
	t.Fatalf("the programs do not serve: %s", c.during())
}

func (c *controller) fights(owner bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.owner, c.refused = owner, map[string]int{}
}

// isRestored wrecks a node in Kubernetes and restores it, while somebody scales its
// programs up all the time; in the long form also in peace, and killed at each step.
// Every restore is taken back. The API server and Postgres are real. No kubelet and
// no controller is here: the test itself removes and makes the pods.
func (c *controller) isRestored(t *testing.T, w workshop, node *splicetest.Node) {
	rows := func() map[string]string {
		out := map[string]string{}
		for name, dsn := range map[string]string{"participant ": node.ParticipantDSN(), "validator ": node.ValidatorDSN()} {
			for table, of := range fingerprint(t, dsn) {
				out[name+table] = of
			}
		}
		return out
	}
	good := rows()
	execute(t, node.ParticipantDSN(), "DELETE FROM participant.lapi_parameters; CREATE TABLE participant.wreck AS SELECT 1 AS a")
	execute(t, node.ValidatorDSN(), "CREATE TABLE validator.wreck AS SELECT 1 AS a")
	wrecked := rows()
	is := func(want map[string]string, when string) {
		t.Helper()
		if got := rows(); !maps.Equal(got, want) {
			t.Errorf("%s the rows are others", when)
		}
		if left, err := filepath.Glob(filepath.Join(w.dir, "*.restore.json")); err != nil || len(left) > 0 {
			t.Errorf("%s a journal is left: %v %v", when, left, err)
		}
		c.serves(t)
	}
	undo := func(when string) {
		t.Helper()
		w.does(t, "restore", "undo", "--yes")
		is(wrecked, when+" and undone,")
	}
	t.Run("fought", func(t *testing.T) {
		c.fought(t, w)
		is(good, "fought,")
		undo("fought")
		c.fights(false)
	})
	t.Run("in peace", func(t *testing.T) {
		splicetest.OnlyLong(t)
		const inOrder = "app ends, participant ends, participant connects, app connects"
		c.during()
		w.does(t, "restore", "latest", "--yes")
		is(good, "restored,")
		if got := c.during(); got != inOrder {
			t.Errorf("the programs: %s", got)
		}
		undo("restored")
		if got := c.during(); got != inOrder {
			t.Errorf("the programs, undone: %s", got)
		}
	})
	t.Run("where no file can be written", func(t *testing.T) {
		splicetest.OnlyLong(t)
		pod := w.readOnly(t)
		undone := func(when string) {
			t.Helper()
			pod.does(t, "restore", "undo", "--yes")
			is(wrecked, when)
			if left := c.kept(t); left != "" {
				t.Errorf("%s a journal is left: %s", when, left)
			}
		}
		for _, act := range []string{"stop", "rename", "start"} {
			if c.killed(t, pod, act); c.kept(t) == "" {
				t.Errorf("killed at %s, no journal is in the cluster", act)
			}
			undone("with its journal in the cluster, killed at " + act + " and undone,")
		}
		pod.does(t, "restore", "latest", "--yes")
		is(good, "with its journal in the cluster,")
		undone("with its journal in the cluster, and undone,")
	})
	t.Run("killed", func(t *testing.T) {
		splicetest.OnlyLong(t)
		for _, act := range []string{"stop", "close", "build", "rename", "open", "start"} {
			c.killed(t, w, act)
			undo("killed at " + act)
		}
	})
}

// kept is the journal that the cluster has; "" for none.
func (c *controller) kept(t *testing.T) (text string) {
	t.Helper()
	status, said := c.s.Ask(http.MethodGet, "/api/v1/namespaces/node/configmaps/"+journalMap, nil)
	if status == http.StatusNotFound {
		return ""
	}
	var m corev1.ConfigMap
	if err := json.Unmarshal([]byte(said), &m); err != nil || status != http.StatusOK {
		t.Fatalf("%d %s", status, said)
	}
	for _, journal := range m.Data {
		text += journal
	}
	return text
}

const journalMap = "holdfast-restore"

// killed kills a restore when a step of that kind has begun.
func (c *controller) killed(t *testing.T, w workshop, act string) {
	cmd := w.command("restore", "latest", "--yes")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	hit := false
	for begun := time.Now(); !hit && time.Since(begun) < 5*time.Minute; time.Sleep(time.Millisecond) {
		journals, err := filepath.Glob(filepath.Join(w.dir, "*.restore.json"))
		if err != nil {
			t.Fatal(err)
		}
		texts := []string{c.kept(t)}
		for _, path := range journals {
			text, _ := os.ReadFile(path)
			texts = append(texts, string(text))
		}
		hit = strings.Contains(strings.Join(texts, ""), fmt.Sprintf("%q", act))
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	if !hit {
		t.Fatalf("it never came to %s", act)
	}
}

// fought restores while somebody scales up at once whatever is scaled to 0: what
// he starts finds its database closed, and no app is connected before the
// participant is.
func (c *controller) fought(t *testing.T, w workshop) {
	c.fights(true)
	out, code := w.run("restore", "latest", "--yes")
	if code != 0 {
		t.Fatalf("exit code %d\n%s", code, out)
	}
	for _, want := range []string{
		"deployment/app, scale from 1 to 0", "was scaled up in the middle of the restore", "Restored, proven and serving",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("it does not print %q:\n%s", want, out)
		}
	}
	c.serves(t)
	if got := c.during(); !strings.HasSuffix(got, "ends, participant connects, app connects") {
		t.Errorf("the programs: %s", got)
	}
	c.mu.Lock()
	refused := maps.Clone(c.refused)
	c.mu.Unlock()
	if refused["participant"] == 0 || refused["app"] == 0 {
		t.Errorf("nobody found a closed database: %v", refused)
	}
}

// serve has the pod of Postgres be there as long as its StatefulSet is.
func (c *controller) serve() error {
	const pod = "/api/v1/namespaces/node/pods/postgres-0"
	set, _ := c.s.Ask(http.MethodGet, "/apis/apps/v1/namespaces/node/statefulsets/postgres", nil)
	there, _ := c.s.Ask(http.MethodGet, pod, nil)
	switch {
	case set != http.StatusOK && there == http.StatusOK:
		return c.ask(http.MethodDelete, pod+"?gracePeriodSeconds=0", nil, nil)
	case set != http.StatusOK || there == http.StatusOK:
		return nil
	}
	p := corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name: "postgres-0", Labels: map[string]string{"app": "postgres"},
			OwnerReferences: []metav1.OwnerReference{{
				APIVersion: "apps/v1", Kind: "StatefulSet", Name: "postgres", UID: "x", Controller: new(true),
			}},
		},
		Spec: corev1.PodSpec{NodeName: apiserver.Node, Containers: []corev1.Container{{Name: "postgres", Image: "x"}}},
	}
	if err := c.ask(http.MethodPost, "/api/v1/namespaces/node/pods", p, nil); err != nil {
		return err
	}
	p.Status = corev1.PodStatus{
		Phase: corev1.PodRunning, Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}},
	}
	return c.ask(http.MethodPut, pod+"/status", p, nil)
}
