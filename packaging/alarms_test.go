package packaging_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"holdfast"
	"holdfast/metrics"
)

// needs skips a test without that program, unless HOLDFAST_TEST_ALL asks for
// every test: internal/testbed/alarms.sh installs it.
func needs(t *testing.T, program string) {
	t.Helper()
	if _, err := exec.LookPath(program); err != nil {
		if os.Getenv("HOLDFAST_TEST_ALL") != "" {
			t.Fatalf("%v; internal/testbed/alarms.sh installs it", err)
		}
		t.Skip("needs " + program)
	}
}

const alarms = "prometheus"

// promtool takes the rules, and each alert fires and resolves.
func TestEachAlertFiresAndResolves(t *testing.T) {
	t.Parallel()
	needs(t, "promtool")
	run(t, alarms, os.Environ(), "promtool", "check", "rules", "holdfast.rules.yml")
	run(t, alarms, os.Environ(), "promtool", "test", "rules", "holdfast.rules.test.yml")
	rules, tests := read(t, "holdfast.rules.yml"), read(t, "holdfast.rules.test.yml")
	for _, m := range regexp.MustCompile(`- alert: (\w+)`).FindAllStringSubmatch(rules, -1) {
		if n := strings.Count(tests, `alertname="`+m[1]+`"`); n != 2 {
			t.Errorf("%s is tested %d times, want when it fires and when it is resolved", m[1], n)
		}
	}
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(alarms, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Rules and dashboard speak of metrics and labels that exist, and the dashboard
// is one.
func TestAlarmsAndDashboardNameWhatExists(t *testing.T) {
	t.Parallel()
	var known []string
	for _, m := range slices.Concat(metrics.Table(), metrics.OfTheProgram()) {
		known = append(known, m.Name)
	}
	for _, m := range regexp.MustCompile(`record: \w+:(\w+):`).FindAllStringSubmatch(read(t, "holdfast.rules.yml"), -1) {
		known = append(known, m[1])
	}
	for _, file := range []string{"holdfast.rules.yml", "holdfast.dashboard.json"} {
		named := regexp.MustCompile(`\bholdfast_[a-z_]+\b`).FindAllString(read(t, file), -1)
		for _, name := range named {
			if !slices.Contains(known, name) {
				t.Errorf("%s: there is no metric %s", file, name)
			}
		}
		if len(named) < 10 {
			t.Errorf("%s names %d metrics", file, len(named))
		}
	}
	var dashboard struct {
		Panels []struct {
			Title   string
			GridPos struct{ X, Y, W, H int }
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal([]byte(read(t, "holdfast.dashboard.json")), &dashboard); err != nil {
		t.Fatal(err)
	}
	for _, p := range dashboard.Panels {
		if p.Title == "" || len(p.Targets) == 0 || p.GridPos.X+p.GridPos.W > 24 {
			t.Errorf("the panel %+v is not whole", p)
		}
	}
}

// A real Prometheus scrapes, a real Alertmanager calls a web hook: each alert fires
// when what it is about goes wrong, and is resolved when it is right again. The rules
// are the published ones but for their patience, and yesterday is five seconds ago.
func TestEachAlertReachesAWebhook(t *testing.T) {
	t.Parallel()
	needs(t, "prometheus")
	needs(t, "prometheus-alertmanager")
	var answers atomic.Pointer[http.Handler]
	says := func(h http.Handler) { answers.Store(&h) }
	says(http.NotFoundHandler())
	node := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		(*answers.Load()).ServeHTTP(w, r)
	}))
	defer node.Close()
	var ahead atomic.Int64 // how far a second machine's clock is
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprintf(w, "holdfast_clock_timestamp_seconds %d\n", time.Now().Unix()+ahead.Load())
	}))
	defer other.Close()
	hook := &heard{}
	receiver := httptest.NewServer(hook)
	defer receiver.Close()
	rules := read(t, "holdfast.rules.yml")
	watch(t, impatient(rules), receiver.URL, node.URL, other.URL)
	var all []string
	for _, m := range regexp.MustCompile(`- alert: (\w+)`).FindAllStringSubmatch(rules, -1) {
		all = append(all, m[1])
	}

	hook.await(t, "firing", []string{"HoldfastAbsent"})
	healthy := func() []metrics.Node { return []metrics.Node{right("demo"), right("new"), right("gone")} }
	says(metrics.Handler("1", healthy))
	hook.await(t, "resolved", []string{"HoldfastAbsent"})
	time.Sleep(7 * time.Second) // so that there is a yesterday
	says(metrics.Handler("1", func() []metrics.Node { return []metrics.Node{wrong("demo"), empty("new")} }))
	ahead.Store(3600)
	hook.await(t, "firing", all)
	says(metrics.Handler("1", healthy))
	ahead.Store(0)
	hook.await(t, "resolved", all)
}

// impatient are the rules without the time that something has to last.
func impatient(rules string) string {
	rules = regexp.MustCompile(`(?m)^ +for: \w+\n`).ReplaceAllString(rules, "")
	return strings.ReplaceAll(rules, "offset 1d", "offset 5s")
}

// watch starts a Prometheus that scrapes each target by itself, and an Alertmanager.
func watch(t *testing.T, rules, hook string, targets ...string) {
	t.Helper()
	dir := t.TempDir()
	manager, server := address(t), address(t)
	write(t, dir, "alertmanager.yml", fmt.Sprintf(`
route: {receiver: hook, group_by: [alertname], group_wait: 0s, group_interval: 1s}
receivers: [{name: hook, webhook_configs: [{url: "%s", send_resolved: true}]}]
`, hook))
	write(t, dir, "holdfast.rules.yml", rules)
	for i, target := range targets {
		targets[i] = `"` + strings.TrimPrefix(target, "http://") + `"`
	}
	write(t, dir, "prometheus.yml", fmt.Sprintf(`
global: {scrape_interval: 1s, evaluation_interval: 1s}
rule_files: [holdfast.rules.yml]
alerting: {alertmanagers: [{static_configs: [{targets: ["%s"]}]}]}
scrape_configs: [{job_name: holdfast, static_configs: [{targets: [%s]}]}]
`, manager, strings.Join(targets, ", ")))
	start(t, dir, "prometheus-alertmanager", "--config.file=alertmanager.yml", "--storage.path=alerts",
		"--web.listen-address="+manager, "--cluster.listen-address=")
	start(t, dir, "prometheus", "--config.file=prometheus.yml", "--storage.tsdb.path=data", "--web.listen-address="+server,
		"--rules.alert.resend-delay=1s")
}

const day = 24 * time.Hour

// right is a node with which nothing is wrong.
func right(name holdfast.NodeName) metrics.Node {
	now := time.Now()
	task := func(name string, every time.Duration) metrics.Task {
		return metrics.Task{Name: name, Interval: every, Next: now.Add(every), Done: now}
	}
	return metrics.Node{
		Name: name, Readable: true, Read: now, Sets: map[holdfast.State]int{holdfast.Proven: 10},
		Newest: &metrics.Set{Began: now, Ended: now, State: holdfast.Proven, Bytes: 1000},
		Proven: now, Identities: now, Drilled: now, Drill: holdfast.Holds, Checked: now,
		Copies:     []metrics.Copy{{Place: "second", Newest: now}},
		Conditions: []metrics.Condition{{Code: "a", Verdict: holdfast.Holds}, {Code: "b", Verdict: holdfast.Holds}},
		RunwayEnds: now.Add(20 * day),
		Tasks:      []metrics.Task{task("backup", 4*time.Hour), task("check", time.Hour), task("drill", 7*day), task("retention", day)},
		Targets:    []metrics.Target{{Name: "ops"}},
		Stored:     1 << 30, LocksEnd: now.Add(30 * day), LockPeriod: 30 * day,
		Traffic: []metrics.Traffic{{Place: "second", Received: 1000}},
	}
}

// wrong is a node with which everything is.
func wrong(name holdfast.NodeName) metrics.Node {
	n := right(name)
	now := time.Now()
	n.Readable, n.Sets = false, map[holdfast.State]int{holdfast.Proven: 2}
	n.Newest.State, n.Newest.Bytes = holdfast.Misordered, 10
	n.Proven, n.Drilled, n.Checked = now.Add(-10*day), now.Add(-60*day), now.Add(-10*time.Hour)
	n.Copies[0].Newest = now.Add(-3 * day)
	n.Conditions[0] = metrics.Condition{Code: "a", Verdict: holdfast.Violated, Alarms: true}
	n.Conditions[1] = metrics.Condition{Code: "b", Verdict: holdfast.CannotTell, Alarms: true}
	n.RunwayEnds, n.LocksEnd = now.Add(day), now.Add(day)
	for i := range n.Tasks {
		n.Tasks[i].Next, n.Tasks[i].Done, n.Tasks[i].Failures = now.Add(-2*time.Hour), now.Add(-10*day), 3
	}
	n.Targets[0].Failures = 3
	n.Stored, n.Traffic[0].Received = 1000, 1<<20
	return n
}

// empty is a node of which nothing was ever backed up.
func empty(name holdfast.NodeName) metrics.Node {
	n := right(name)
	n.Newest, n.Proven, n.Drilled, n.Sets = nil, time.Time{}, time.Time{}, nil
	n.Copies[0].Newest = time.Time{}
	return n
}

// heard is a web hook that knows how each alert is.
type heard struct {
	mu  sync.Mutex
	was map[string]map[string]bool // by alert: what it was said to be
}

// ServeHTTP implements http.Handler.
func (h *heard) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	var got struct {
		Alerts []struct {
			Status string
			Labels map[string]string
		}
	}
	_ = json.NewDecoder(r.Body).Decode(&got)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.was == nil {
		h.was = map[string]map[string]bool{}
	}
	for _, a := range got.Alerts {
		name := a.Labels["alertname"]
		if h.was[name] == nil {
			h.was[name] = map[string]bool{}
		}
		h.was[name][a.Status] = true
	}
}

// await waits until each of the alerts was said to be so.
func (h *heard) await(t *testing.T, status string, alerts []string) {
	t.Helper()
	var missing []string
	for end := time.Now().Add(90 * time.Second); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		h.mu.Lock()
		missing = slices.DeleteFunc(slices.Clone(alerts), func(name string) bool { return h.was[name][status] })
		h.mu.Unlock()
		if len(missing) == 0 {
			return
		}
	}
	t.Fatalf("nobody heard that these are %s: %v", status, missing)
}

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// address is one of this machine that nobody has now.
func address(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

// start runs a program until the test ends.
func start(t *testing.T, dir, program string, args ...string) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = dir
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cancel(); _ = cmd.Wait() })
}
