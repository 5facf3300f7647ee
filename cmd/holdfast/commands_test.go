package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"holdfast"
	"holdfast/backup"
	"holdfast/capture/postgres"
	"holdfast/event"
	"holdfast/identities"
	"holdfast/size"
)

// every calls fn for each command there is for people.
func every(c *cobra.Command, fn func(*cobra.Command)) {
	for _, sub := range c.Commands() {
		if sub.Hidden || sub.Name() == "completion" || sub.Name() == "help" {
			continue
		}
		fn(sub)
		every(sub, fn)
	}
}

// Help says what a command is for, names its flags, and has two examples at
// least that the command would take.
func TestHelpOfEveryCommand(t *testing.T) {
	every(newRoot(&app{}), func(c *cobra.Command) {
		t.Run(c.CommandPath(), func(t *testing.T) {
			var out bytes.Buffer
			args := append(strings.Fields(c.CommandPath())[1:], "--help")
			if code := run(t.Context(), args, streams{in: strings.NewReader(""), out: &out, err: &out}); code != 0 {
				t.Fatalf("exit code %d: %s", code, out.String())
			}
			if c.Short == "" || strings.HasSuffix(c.Short, ".") {
				t.Errorf("short help: %q", c.Short)
			}
			c.LocalFlags().VisitAll(func(f *pflag.Flag) {
				if !strings.Contains(out.String(), "--"+f.Name) || f.Usage == "" {
					t.Errorf("flag --%s is not explained", f.Name)
				}
			})
			for _, global := range []string{"--config", "--output"} {
				if !strings.Contains(out.String(), global) {
					t.Errorf("%s is not in the help", global)
				}
			}
			if !c.HasSubCommands() || c.Name() == "restore" {
				examples(t, c)
			}
		})
	})
}

func examples(t *testing.T, c *cobra.Command) {
	t.Helper()
	n := 0
	for _, line := range strings.FieldsFunc(strings.ReplaceAll(c.Example, "\\\n", " "), func(r rune) bool { return r == '\n' || r == '|' }) {
		line, _, _ = strings.Cut(line, " <")
		line, _, _ = strings.Cut(line, " >")
		line = strings.TrimPrefix(strings.TrimSpace(line), "sudo ")
		words := strings.Fields(strings.ReplaceAll(line, "'", ""))
		if len(words) == 0 || words[0] != "holdfast" {
			continue
		}
		root := newRoot(&app{})
		found, args, err := root.Find(words[1:])
		if err != nil {
			t.Errorf("%s: %v", line, err)
			continue
		}
		if found.CommandPath() == c.CommandPath() {
			n++
		}
		if err := found.ParseFlags(args); err != nil {
			t.Errorf("%s: %v", line, err)
			continue
		}
		if found.Args == nil {
			continue
		}
		if err := found.Args(found, found.Flags().Args()); err != nil {
			t.Errorf("%s: %v", line, err)
		}
	}
	if n < 2 {
		t.Errorf("%d examples", n)
	}
}

// Each class has an exit code of its own, and the help lists it.
func TestExitCodes(t *testing.T) {
	help := newRoot(&app{}).Long
	seen := map[int]bool{}
	for _, e := range exits {
		if seen[e.code] {
			t.Errorf("%d is there twice", e.code)
		}
		seen[e.code] = true
		if got := exitCode(e.class); got != e.code {
			t.Errorf("class %q exits with %d, want %d", e.class, got, e.code)
		}
		if !strings.Contains(help, fmt.Sprintf("  %-4d %s\n", e.code, e.meaning)) {
			t.Errorf("help does not list %d", e.code)
		}
	}
	if exitCode("unheard of") != 1 {
		t.Error("an unknown class does not exit with 1")
	}
}

func TestErrorsSayEachLineOnce(t *testing.T) {
	var out bytes.Buffer
	a := &app{streams: streams{err: &out}, output: "text"}
	a.printError(&holdfast.Problem{What: "connect:\n\tit failed\n\tit failed", Why: "Why.", Do: "Do."}, false)
	if got, want := out.String(), "holdfast: connect:\n  it failed\n  Why.\n  next: Do.\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// A line a minute where nobody watches, beginning after the first minute.
func TestProgressLines(t *testing.T) {
	var out bytes.Buffer
	now := time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)
	p := newProgress(&app{streams: streams{err: &out}, output: "text"})
	p.now = func() time.Time { return now }
	for second := range 181 {
		p.bytes(event.Bytes{Subject: "capture participant", Done: int64(second) << 20, Total: 240 << 20})
		p.bytes(event.Bytes{Subject: "capture app", Done: int64(second) << 10})
		now = now.Add(time.Second)
	}
	want := `capture participant: 60.0 MiB of about 240.0 MiB (25%)
capture app: 60.0 KiB
capture participant: 120.0 MiB of about 240.0 MiB (50%)
capture app: 120.0 KiB
capture participant: 180.0 MiB of about 240.0 MiB (75%)
capture app: 180.0 KiB
`
	if out.String() != want {
		t.Errorf("got\n%swant\n%s", out.String(), want)
	}
	for _, a := range []*app{{output: "json"}, {output: "text", quiet: true}} {
		out.Reset()
		a.err = &out
		p = newProgress(a)
		p.hear(backup.IdentitiesBegan{})
		p.hear(event.Bytes{Subject: "x", Done: 1, Total: 2})
		if out.Len() > 0 {
			t.Errorf("with %s output, quiet %t: %q", a.output, a.quiet, out.String())
		}
	}
}

// A line for what begins and what goes wrong, once; how it ended is in the
// result.
func TestProgressIsNews(t *testing.T) {
	var out bytes.Buffer
	p := newProgress(&app{streams: streams{err: &out}, output: "text"})
	busy := errors.New("busy")
	for _, e := range []event.Event{
		backup.IdentitiesBegan{}, identities.FetchRetried{Try: 1, Err: busy, Pause: time.Second}, identities.FetchRetried{Try: 2, Err: busy},
		backup.CaptureBegan{Component: "app"}, postgres.LocksRetried{Component: "app", Try: 1, Err: busy, Pause: time.Second},
		postgres.LocksRetried{Component: "app", Try: 2, Err: busy}, postgres.SnapshotTaken{}, postgres.TableDone{},
		postgres.GaveWay{Component: "app", Wait: holdfast.Wait{PID: 7, Relation: "t", Mode: "AccessExclusiveLock", Waited: time.Second}, Pause: 2 * time.Second},
		backup.CaptureEnded{}, backup.SetStored{},
	} {
		p.hear(e)
	}
	want := `identities
the app gives no identities yet, trying again in 1s: busy
capture app
capture app: cannot lock every table yet, trying again in 1s: busy
capture app: gave way to session 7, which waited 1s for AccessExclusiveLock on t, trying again in 2s
`
	if out.String() != want {
		t.Errorf("got\n%swant\n%s", out.String(), want)
	}
}

func TestSizesAndSpans(t *testing.T) {
	for n, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 1 << 20: "1.0 MiB", 3 << 39: "1.5 TiB", 1 << 60: "1024.0 PiB"} {
		if got := size.Of(n); got != want {
			t.Errorf("size.Of(%d) is %s, want %s", n, got, want)
		}
	}
	for d, want := range map[time.Duration]string{0: "0.0s", 1500 * time.Millisecond: "1.5s", 90 * time.Second: "1m30s", time.Hour - time.Millisecond: "1h0m", 4 * time.Hour: "4h0m", 75 * time.Hour: "3d3h"} {
		if got := span(d); got != want {
			t.Errorf("span(%v) is %s, want %s", d, got, want)
		}
	}
}

// Nothing that a server, a set or a repository says moves the cursor, colours or
// types: not in a line, an error, a cell, an event or JSON.
func TestControlCharactersOfOthers(t *testing.T) {
	const hostile = "name\x1b]0;title\x07\u009b2J\u202e\r"
	var out bytes.Buffer
	a := newApp(streams{out: &out, err: &out})
	a.output = "text"
	a.printf("%s\n", hostile)
	a.table([][]string{{"SET", "WHY"}, {hostile + "\nFORGED", "\tline"}})
	a.printError(&holdfast.Problem{What: hostile, Why: hostile, Do: hostile, Err: errors.New(hostile)}, false)
	newProgress(a).print(hostile)
	a.output = "json"
	a.printError(&holdfast.Problem{What: hostile}, true)
	if err := a.result("version", hostile, nil); err != nil {
		t.Fatal(err)
	}
	if strings.ContainsAny(out.String(), "\x1b\x07\u009b\u202e\r") {
		t.Errorf("%q", out.String())
	}
	if strings.Contains(out.String(), "\nFORGED") {
		t.Errorf("a cell begins a line: %q", out.String())
	}
}

// A set of databases that nobody ordered does not look as if their order was
// proven.
func TestASetOfOneAppHasNoOrderToProve(t *testing.T) {
	set := holdfast.Set{
		Node:     holdfast.Node{Name: "demo", Components: []holdfast.Component{{Name: "app", Kind: holdfast.App}}},
		Captures: []holdfast.Capture{{Components: []holdfast.Captured{{Component: "app", Kind: holdfast.App}}}},
	}
	set.Prove()
	var out bytes.Buffer
	newApp(streams{in: strings.NewReader(""), out: &out, err: io.Discard}).printSet(set)
	if !strings.Contains(out.String(), "\nOrder: none applies: there was no order to prove\n") {
		t.Errorf("it says\n%s", &out)
	}
}
