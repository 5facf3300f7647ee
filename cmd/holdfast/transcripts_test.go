package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"holdfast"
	"holdfast/check"
)

// page is a page of docs/ with transcripts in it.
type page string

const checkPage page = "check.md"

func (p page) file() string { return filepath.Join("..", "..", "docs", string(p)) }

func (p page) text(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(p.file())
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// block is what stands between a page's comments <!-- NAME --> and <!-- end -->.
func (p page) block(t *testing.T, name string) (before, text, after string) {
	t.Helper()
	before, rest, found := strings.Cut(p.text(t), "<!-- "+name+" -->\n")
	text, after, closed := strings.Cut(rest, "<!-- end -->\n")
	if !found || !closed {
		t.Fatalf("%s has no %s", p, name)
	}
	return before + "<!-- " + name + " -->\n", text, "<!-- end -->\n" + after
}

// keep compares a block of the page with what it should be, or writes it anew
// with -update.
func (p page) keep(t *testing.T, name, want string, same func(got, want string) error) {
	t.Helper()
	before, got, after := p.block(t, name)
	if *update {
		if err := os.WriteFile(p.file(), []byte(before+want+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if err := same(got, want); err != nil {
		t.Errorf("%s: %s: %v; go test ./cmd/holdfast -run %s -update writes it anew", p, name, err, t.Name())
	}
}

// The page lists every condition as the catalogue has it.
func TestThePageOfConditionsIsTheCatalogue(t *testing.T) {
	var b strings.Builder
	for _, e := range check.Catalogue() {
		fmt.Fprintf(&b, "\n### %s\n\n**%s.** %s\n\n%s\n\nIf violated: %s\n\nThen: %s\n", e.Code, strings.ToUpper(e.Title[:1])+e.Title[1:], e.Observed, e.Why, e.Consequence, e.Next)
		if len(e.DependsOn) > 0 {
			var on []string
			for _, c := range e.DependsOn {
				on = append(on, fmt.Sprintf("[%s](#%s)", c, c))
			}
			fmt.Fprintf(&b, "\nMay be a symptom of %s.\n", strings.Join(on, ", "))
		}
	}
	b.WriteString("\n")
	checkPage.keep(t, "catalogue", b.String(), func(got, want string) error {
		if got != want {
			return fmt.Errorf("it differs from the catalogue")
		}
		return nil
	})
}

// The page's three transcripts are what the command prints for such nodes.
func TestTheTranscriptsOfCheck(t *testing.T) {
	t.Parallel()
	c := newChecked(t)
	old := c.empty("old")
	for _, ago := range []time.Duration{9*24*time.Hour + time.Hour, 5*24*time.Hour + time.Hour} {
		if _, err := c.take(old, ago); err != nil {
			t.Fatal(err)
		}
	}
	c.holdfast(0, "backup")
	c.holdfast(0, "identities", "open", "--key-file", c.path("recovery.key"))
	c.rehearsed(c.config(), holdfast.Holds, 6*24*time.Hour+time.Hour)
	c.copyElsewhere()
	checkPage.keep(t, "healthy", c.transcript(0, "check"), alike)

	c.must(c.node.CrossOver(t.Context(), c.dsn["participant"], 5))
	c.network.Upgrade()
	checkPage.keep(t, "upgraded", c.transcript(0, "check", "--only", "old_synchronizer_reachable,lsu_retention,recovery_route_available"), alike)

	// The neglected node has its last set from five days ago, a user since, and
	// nobody has tried or declared anything.
	conf, err := os.ReadFile(c.path("holdfast.yaml"))
	c.must(err)
	text, _, _ := strings.Cut(string(conf), "\ncheck:\n")
	c.must(os.RemoveAll(c.path("repository")))
	c.must(os.Rename(old.Repository.Place.Path, c.path("repository")))
	c.must(os.WriteFile(c.path("holdfast.yaml"), []byte(text+"\ncheck:\n  scans: ["+strings.Join(c.network.URLs(), ", ")+"]\n"), 0o600))
	c.exec("participant", "INSERT INTO participant.lapi_users (user_id, created_at) VALUES ('bob', (extract(epoch from now() - interval '2 days') * 1000000)::bigint)")
	c.exec("participant", "DELETE FROM participant.par_pruning_schedules")
	c.network.Retire()
	checkPage.keep(t, "neglected", c.transcript(4, "check"), alike)
}

// transcript is a command line and what it prints, with the test's places
// called as an operator's would be.
func (c *checked) transcript(code int, args ...string) string {
	c.Helper()
	out := c.holdfast(code, args...)
	replace := []string{c.elseDir, "/mnt/second/holdfast", c.path("repository"), "/var/backups/holdfast", c.admin.Address(), "participant:5002", c.metrics.URL(), "http://participant:10013/metrics"}
	for i, url := range c.network.URLs() {
		replace = append(replace, url, fmt.Sprintf("https://scan.sv-%d.example.com", i+1))
	}
	out = strings.NewReplacer(replace...).Replace(out)
	out = regexp.MustCompile(`/[^ ;]+ has ([\d.]+ .?i?B) free`).ReplaceAllString(out, "/var/run/postgresql has $1 free")
	out = regexp.MustCompile(` +\n`).ReplaceAllString(out, "\n")
	return fmt.Sprintf("```console\n$ holdfast %s\n%s```\n", strings.Join(args, " "), out)
}

// fleeting is what differs from run to run, and from machine to machine.
var fleeting = []struct {
	pattern *regexp.Regexp
	by      string
}{
	{regexp.MustCompile(`\d{8}T\d{6}Z-[0-9a-f]{8}`), "SET"},
	{regexp.MustCompile(`\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ`), "TIME"},
	{regexp.MustCompile(`\d{4}-\d\d-\d\d \d\d:\d\d UTC`), "TIME"},
	{regexp.MustCompile(`1220[0-9a-f]+(\.\.\.)?`), "FINGERPRINT"},
	{regexp.MustCompile(`-?(\d[\d.]*(ns|µs|ms|d|h|s|m))+\b`), "SPAN"},
	{regexp.MustCompile(`\d+(\.\d+)? [KMGT]?i?B\b`), "SIZE"},
	{regexp.MustCompile(`Postgres \d+`), "Postgres N"},
	{regexp.MustCompile(`, in use by \d+ other sessions?`), ""}, // whoever is on the way out
	{regexp.MustCompile(`offset \d+|end \d+`), "OFFSET"},
	{regexp.MustCompile(` +`), " "},
}

// alike compares transcripts line by line but for what is fleeting. How much of
// a line fits depends on the length of what is fleeting in it.
func alike(got, want string) error {
	clean := func(text string) []string {
		for _, f := range fleeting {
			text = f.pattern.ReplaceAllString(text, f.by)
		}
		return strings.Split(text, "\n")
	}
	a, b := clean(got), clean(want)
	for i := range max(len(a), len(b)) {
		if i >= len(a) || i >= len(b) {
			return fmt.Errorf("%d lines, want %d", len(a), len(b))
		}
		x, cutX := strings.CutSuffix(a[i], "…")
		y, cutY := strings.CutSuffix(b[i], "…")
		if cutX || cutY {
			const ragged = 12 // a word that was cut in two
			n := max(0, min(len(x), len(y))-ragged)
			x, y = x[:n], y[:n]
		}
		if x != y {
			return fmt.Errorf("line %d is\n%s\nwant\n%s", i+1, x, y)
		}
	}
	return nil
}

func TestAlikeFindsWhatDiffers(t *testing.T) {
	const line = "postgres_cadence  holds  the newest proven set 20261122T200602Z-d414b399 is 4s old\nsecond line that is long and was cut in the mid…\n"
	for name, c := range map[string]struct {
		text string
		same bool
	}{
		"another set and age":  {strings.NewReplacer("20261122T200602Z-d414b399", "20271122T200602Z-aaaaaaaa", "4s", "1h3m").Replace(line), true},
		"cut elsewhere":        {strings.Replace(line, "mid…", "middle a…", 1), true},
		"another verdict":      {strings.Replace(line, "holds", "violated", 1), false},
		"another word":         {strings.Replace(line, "proven", "stored", 1), false},
		"a line more":          {line + "x\n", false},
		"another word, cut":    {strings.Replace(line, "long", "short", 1), false},
		"another condition":    {strings.Replace(line, "postgres_cadence", "second_copy", 1), false},
		"a line less":          {strings.Split(line, "\n")[0], false},
		"words where it ended": {strings.Replace(line, "old", "old, and more", 1), false},
	} {
		if err := alike(c.text, line); (err == nil) != c.same {
			t.Errorf("%s: %v", name, err)
		}
	}
}
