package metrics_test

import (
	"bytes"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"holdfast"
	"holdfast/metrics"
)

var noon = time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)

// full is a node of which everything is known.
func full() metrics.Node {
	margin := 250 * time.Millisecond
	return metrics.Node{
		Name: "demo", Read: noon, Readable: true, Sets: map[holdfast.State]int{holdfast.Proven: 12, holdfast.Misordered: 1},
		Newest: &metrics.Set{
			Began: noon, Ended: noon.Add(90 * time.Second), State: holdfast.Proven, Bytes: 1 << 30, Margin: &margin,
			Captures: []metrics.Capture{
				{Component: "validator", Took: 30 * time.Second, Read: 1 << 20},
				{Component: "participant", Took: time.Minute, Read: 1 << 29, TakenOver: 1 << 30, Oldest: noon.Add(-72 * time.Hour)},
			},
			Waits: []time.Duration{time.Second, 3 * time.Second},
		},
		Proven: noon, Identities: noon, Drilled: noon.Add(-24 * time.Hour), Drill: holdfast.Holds,
		Verified: noon.Add(-time.Hour), AllRead: noon.Add(-48 * time.Hour),
		Copies:  []metrics.Copy{{"s3://bucket/sets", noon.Add(-4 * time.Hour)}, {"/mnt/second", time.Time{}}},
		Checked: noon,
		Conditions: []metrics.Condition{
			{"postgres_cadence", holdfast.Holds, false}, {"second_copy", holdfast.Violated, true},
			{"acknowledgement_age_within_retention", holdfast.CannotTell, false},
		},
		RunwayEnds: noon.Add(30 * 24 * time.Hour),
		Tasks: []metrics.Task{
			{Name: "backup", Interval: 4 * time.Hour, Next: noon.Add(4 * time.Hour), Done: noon, Took: time.Minute, Running: true},
			{Name: "drill", Failures: 2},
		},
		Targets: []metrics.Target{{"ops", 0}, {"mail", 3}},
		Stored:  3 << 30, LocksEnd: noon.Add(20 * 24 * time.Hour), LockPeriod: 30 * 24 * time.Hour,
		Traffic: []metrics.Traffic{{
			Place: "s3://bucket/sets", Requests: map[string]int64{"write": 12, "read": 340, "list": 7, "delete": 1},
			Sent: 1 << 20, Received: 1 << 24,
		}},
	}
}

func scrape(t *testing.T, nodes ...metrics.Node) string {
	t.Helper()
	w := httptest.NewRecorder()
	h := metrics.Handler("1.2.3", func() []metrics.Node { return nodes })
	h.ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	if w.Code != 200 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	return w.Body.String()
}

// own are the lines of our own metrics.
func own(text string) string {
	var lines []string
	for line := range strings.Lines(text) {
		if strings.HasPrefix(strings.TrimPrefix(strings.TrimPrefix(line, "# HELP "), "# TYPE "), "holdfast_") &&
			!strings.Contains(line, "holdfast_clock_timestamp_seconds ") && !strings.Contains(line, "build_info{") {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "")
}

func TestMetricsOfANode(t *testing.T) {
	const file = "testdata/full.prom"
	got := own(scrape(t, full()))
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("another text than %s:\n%s", file, got)
	}
}

// What is not known is absent: neither zero nor the year 1.
func TestWhatIsUnknownIsAbsent(t *testing.T) {
	text := own(scrape(t, metrics.Node{Name: "demo"}))
	for line := range strings.Lines(text) {
		if strings.Contains(line, "timestamp_seconds{") || strings.Contains(line, " -") {
			t.Errorf("of nothing: %s", line)
		}
	}
	if !strings.Contains(text, `holdfast_repository_readable{node="demo"} 0`) {
		t.Errorf("it does not say that the repository was not read:\n%s", text)
	}
}

// Every metric has a value for the full node, follows the conventions, and is in
// the table of docs/metrics.md.
func TestNamesAndDocumentation(t *testing.T) {
	text := scrape(t, full())
	problems, err := promlint.New(bytes.NewReader([]byte(text))).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		if strings.HasPrefix(p.Metric, "holdfast_") {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
	}
	page, err := os.ReadFile(filepath.Join("..", "docs", "metrics.md"))
	if err != nil {
		t.Fatal(err)
	}
	var rows []string
	for _, m := range slices.Concat(metrics.Table(), metrics.OfTheProgram()) {
		if !strings.Contains(text, "\n"+m.Name+"{") && !strings.Contains(text, "\n"+m.Name+" ") {
			t.Errorf("%s has no value", m.Name)
		}
		rows = append(rows, row(m))
		if !strings.Contains(string(page), row(m)+"\n") {
			t.Errorf("docs/metrics.md lacks the row\n%s", row(m))
		}
	}
	for line := range strings.Lines(string(page)) {
		if strings.HasPrefix(line, "| `holdfast_") && !slices.Contains(rows, strings.TrimSpace(line)) {
			t.Errorf("docs/metrics.md has a row of no metric: %s", line)
		}
	}
}

func row(m metrics.Metric) string {
	labels := make([]string, len(m.Labels))
	for i, l := range m.Labels {
		labels[i] = "`" + l + "`"
	}
	return fmt.Sprintf("| `%s` | %s | %s |", m.Name, strings.Join(labels, ", "), m.Help)
}
