package eventlog_test

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"holdfast"
	"holdfast/backup"
	"holdfast/capture/postgres"
	"holdfast/drill"
	"holdfast/event"
	"holdfast/eventlog"
	"holdfast/repository"
)

// line is what an event becomes in a log of JSON.
func line(t *testing.T, e event.Event, least slog.Level) string {
	t.Helper()
	var out bytes.Buffer
	handler := slog.NewJSONHandler(&out, &slog.HandlerOptions{
		Level: least,
		ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
			if len(groups) == 0 && a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		},
	})
	eventlog.To(t.Context(), slog.New(handler), hide)(e)
	return out.String()
}

// hide is what a program hides.
func hide(text string) string { return strings.ReplaceAll(text, "canary", "[secret]") }

type withSecret struct {
	Token holdfast.Secret
	when  int
}

func (withSecret) String() string { return "a secret is set" }

func TestEventsAreLogLines(t *testing.T) {
	for _, c := range []struct {
		name string
		e    event.Event
		want string
	}{
		{"no fields", backup.IdentitiesBegan{},
			`{"level":"INFO","msg":"backup.IdentitiesBegan","text":"identities"}`},
		{"a name", backup.CaptureBegan{Component: "participant"},
			`{"level":"INFO","msg":"backup.CaptureBegan","component":"participant","text":"capture participant"}`},
		{"numbers and a span", backup.CaptureEnded{Component: "app", Tables: 2, Took: time.Second},
			`{"level":"INFO","msg":"backup.CaptureEnded","component":"app","tables":2,"rows":0,"bytes":0,"took":1000000000,"kept":false,"text":"captured app: 2 tables, 0 rows in 1s"}`},
		{"an error is a warning", backup.IdentitiesFailed{Err: &holdfast.Problem{
			What: "no answer",
			Do:   "Look at it.",
		}},
			`{"level":"WARN","msg":"backup.IdentitiesFailed","err":"no answer","text":"identities could not be taken: no answer"}`},
		{"no error is none", postgres.LocksRetried{Component: "app", Try: 1, Pause: time.Second},
			`{"level":"INFO","msg":"postgres.LocksRetried","component":"app","try":1,"pause":1000000000,"text":"capture app: tables changed before they were locked, trying again in 1s"}`},
		{"an embedded struct", postgres.SessionWaits{
			Component: "app",
			Wait:      holdfast.Wait{PID: 7, Relation: "t", Mode: "AccessExclusiveLock"},
		},
			`{"level":"INFO","msg":"postgres.SessionWaits","component":"app","pid":7,"relation":"t","mode":"AccessExclusiveLock","waited":0,"text":"capture app: session 7 waits for AccessExclusiveLock on t"}`},
		{"a verdict", drill.Ended{Set: "one", Verdict: holdfast.Holds},
			`{"level":"INFO","msg":"drill.Ended","set":"one","verdict":"holds","bytes":0,"restore":0,"took":0,"text":"drill of set one: holds, after 0s"}`},
		{"a pointer", &repository.LeaseNotRenewed{Repository: "/r", Err: errors.New("gone")},
			`{"level":"WARN","msg":"repository.LeaseNotRenewed","repository":"/r","silent":0,"err":"gone","text":"repository /r does not accept the run's lease since 0s: gone"}`},
		{"a secret stays one", withSecret{Token: holdfast.NewSecret("hunter2"), when: 1},
			`{"level":"INFO","msg":"eventlog_test.withSecret","token":"[secret]","text":"a secret is set"}`},
		{"a secret that somebody repeats", backup.IdentitiesFailed{Err: errors.New("the token canary is refused")},
			`{"level":"WARN","msg":"backup.IdentitiesFailed","err":"the token [secret] is refused","text":"identities could not be taken: the token [secret] is refused"}`},
	} {
		if got := line(t, c.e, slog.LevelInfo); got != c.want+"\n" {
			t.Errorf("%s:\n got %swant %s", c.name, got, c.want)
		}
	}
}

func TestProgressIsForDebugging(t *testing.T) {
	bytes := event.Bytes{Subject: "verify", Done: 1, Total: 2}
	if got := line(t, bytes, slog.LevelInfo); got != "" {
		t.Errorf("a log that nobody debugs with has %s", got)
	}
	want := `{"level":"DEBUG","msg":"event.Bytes","subject":"verify","done":1,"total":2,"text":"verify: 1 of 2 bytes"}` + "\n"
	if got := line(t, bytes, slog.LevelDebug); got != want {
		t.Errorf("got %swant %s", got, want)
	}
}

// Of which node an event is stands on its line, unless it says so itself.
func TestWhatStandsOnEachLine(t *testing.T) {
	var out bytes.Buffer
	listener := eventlog.To(t.Context(), slog.New(slog.NewJSONHandler(&out, nil)), func(s string) string { return s },
		slog.String("node", "demo"))
	listener.Report(named{Node: "other"})
	listener.Report(unnamed{})
	if got := out.String(); strings.Count(got, `"node":"other"`) != 1 || strings.Count(got, `"node":"demo"`) != 1 {
		t.Error(got)
	}
}

type (
	named   struct{ Node string }
	unnamed struct{}
)

func (named) String() string   { return "named" }
func (unnamed) String() string { return "unnamed" }
