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

// A real Prometheus scrapes, a real Alertmanager calls a web hook: of an alert
// that fires, and that it is over.
func TestAnAlertReachesAWebhook(t *testing.T) {
	t.Parallel()
	needs(t, "prometheus")
	needs(t, "prometheus-alertmanager")
	var state atomic.Value
	state.Store(holdfast.Misordered)
	node := httptest.NewServer(metrics.Handler("1", func() []metrics.Node {
		now := time.Now()
		return []metrics.Node{{
			Name: "demo", Readable: true, Proven: now,
			Newest: &metrics.Set{Began: now, Ended: now, State: state.Load().(holdfast.State)},
		}}
	}))
	defer node.Close()
	heard := make(chan string, 100)
	hook := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var got struct {
			Status string
			Alerts []struct{ Labels, Annotations map[string]string }
		}
		_ = json.NewDecoder(r.Body).Decode(&got)
		for _, a := range got.Alerts {
			heard <- got.Status + " " + a.Labels["alertname"] + ": " + a.Annotations["summary"]
		}
	}))
	defer hook.Close()
	dir := t.TempDir()
	manager, server := address(t), address(t)
	write(t, dir, "alertmanager.yml", fmt.Sprintf(`
route: {receiver: hook, group_wait: 0s, group_interval: 1s}
receivers: [{name: hook, webhook_configs: [{url: "%s", send_resolved: true}]}]
`, hook.URL))
	write(t, dir, "holdfast.rules.yml", read(t, "holdfast.rules.yml"))
	write(t, dir, "prometheus.yml", fmt.Sprintf(`
global: {scrape_interval: 1s, evaluation_interval: 1s}
rule_files: [holdfast.rules.yml]
alerting: {alertmanagers: [{static_configs: [{targets: ["%s"]}]}]}
scrape_configs: [{job_name: holdfast, static_configs: [{targets: ["%s"]}]}]
`, manager, strings.TrimPrefix(node.URL, "http://")))
	start(t, dir, "prometheus-alertmanager", "--config.file=alertmanager.yml", "--storage.path=alerts",
		"--web.listen-address="+manager, "--cluster.listen-address=")
	start(t, dir, "prometheus", "--config.file=prometheus.yml", "--storage.tsdb.path=data", "--web.listen-address="+server,
		"--rules.alert.resend-delay=1s")
	await(t, heard, "firing HoldfastMisordered: demo: the newest set is misordered.")
	state.Store(holdfast.Proven)
	await(t, heard, "resolved HoldfastMisordered: demo: the newest set is misordered.")
}

func await(t *testing.T, heard <-chan string, want string) {
	t.Helper()
	for end := time.After(90 * time.Second); ; {
		select {
		case got := <-heard:
			if got == want {
				return
			}
		case <-end:
			t.Fatalf("nobody heard %q", want)
		}
	}
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
