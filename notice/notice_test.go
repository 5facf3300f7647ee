package notice_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"holdfast/notice"
)

var begin = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)

// world is a node with troubles that tests begin and end, and its targets.
type world struct {
	now     time.Time
	sights  map[string]notice.Sight
	targets map[string]notice.Target
	heard   map[string][]string // titles, by target, with the time since the begin
	dead    map[string]bool
	memory  notice.Memory
	failed  map[string]int
}

func newWorld(targets ...string) *world {
	w := &world{
		now: begin, sights: map[string]notice.Sight{}, targets: map[string]notice.Target{}, heard: map[string][]string{},
		dead: map[string]bool{}, failed: map[string]int{},
	}
	for _, name := range targets {
		w.targets[name] = notice.Target{Send: func(_ context.Context, m notice.Message) error {
			if w.dead[name] {
				return errors.New("connection refused")
			}
			title := m.Title
			if m.Resolved {
				title += "; all is well"
			}
			w.heard[name] = append(w.heard[name], fmt.Sprintf("%v %s", w.now.Sub(begin), title))
			return nil
		}}
	}
	return w
}

func (w *world) Now() time.Time { return w.now }

func (w *world) Sleep(ctx context.Context, until time.Time) {
	if ctx.Err() == nil {
		w.now = until
	}
}

func (w *world) set(cause string, s notice.State, more ...func(*notice.Sight)) {
	sight := notice.Sight{Node: "demo", Cause: cause, State: s, What: cause + " is bad"}
	for _, m := range more {
		m(&sight)
	}
	w.sights[cause] = sight
}

func of(causes ...string) func(*notice.Sight) { return func(s *notice.Sight) { s.Of = causes } }

func kind(k string) func(*notice.Sight) { return func(s *notice.Sight) { s.Kind = k } }

// pass lets a service run for so long.
func (w *world) pass(d time.Duration) {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	end := w.now.Add(d)
	notice.Service{
		Node: "demo", Clock: w, Targets: func() map[string]notice.Target { return w.targets },
		Look: func(now time.Time) (list []notice.Sight) {
			if !now.Add(notice.Every).Before(end) {
				stop()
			}
			for _, s := range w.sights {
				list = append(list, s)
			}
			return list
		},
		Summary: func(since, now time.Time) notice.Message {
			return notice.Message{Title: fmt.Sprintf("summary of %v", now.Sub(since))}
		},
		Load: func() notice.Memory { return w.memory }, Save: func(m notice.Memory) { w.memory = m },
		Delivery: func(target string, n int) { w.failed[target] = n },
	}.Run(ctx)
	w.now = end
}

func (w *world) expect(t *testing.T, target string, titles ...string) {
	t.Helper()
	if got, want := strings.Join(w.heard[target], "\n"), strings.Join(titles, "\n"); got != want {
		t.Errorf("%s heard\n%s\nwant\n%s", target, got, want)
	}
	w.heard[target] = nil
}

func TestATroubleFromBeginToEnd(t *testing.T) {
	w := newWorld("ops")
	w.set("backup", notice.Good)
	w.pass(time.Hour)
	w.expect(t, "ops")
	w.set("backup", notice.Bad)
	w.pass(30 * time.Hour)
	w.expect(t, "ops", "1h10m0s demo: problem: backup is bad", "25h10m0s demo: still: backup is bad")
	w.set("backup", notice.Good)
	w.pass(24 * time.Hour)
	w.expect(t, "ops", "31h10m0s demo: recovered: backup is bad; all is well")
}

// What comes and goes within the patience is not mentioned; what is over for a
// moment is not over.
func TestFlapping(t *testing.T) {
	w := newWorld("ops")
	for range 10 {
		w.set("backup", notice.Bad)
		w.pass(5 * time.Minute)
		w.set("backup", notice.Good)
		w.pass(15 * time.Minute)
	}
	w.expect(t, "ops")
	w.set("backup", notice.Bad)
	w.pass(20 * time.Minute)
	for range 10 {
		w.set("backup", notice.Good)
		w.pass(5 * time.Minute)
		w.set("backup", notice.Bad)
		w.pass(5 * time.Minute)
	}
	w.expect(t, "ops", "3h30m0s demo: problem: backup is bad")
}

// One cause gives one notice, whatever it explains; what stays when the cause is
// gone is sent then.
func TestRootCauses(t *testing.T) {
	w := newWorld("ops")
	w.set("repository", notice.Bad)
	w.set("backup", notice.Bad, of("repository"))
	w.set("cadence", notice.Bad, of("repository", "backup"))
	w.pass(time.Hour)
	w.expect(t, "ops", "10m0s demo: problem: repository is bad")
	w.set("repository", notice.Good)
	w.set("backup", notice.Good)
	w.pass(time.Hour)
	w.expect(t, "ops", "1h10m0s demo: 1 problem, 1 recovered")
}

// Another kind of the same trouble is sent when it lasts.
func TestChanges(t *testing.T) {
	w := newWorld("ops")
	w.set("key", notice.Bad, kind("cannot tell"))
	w.pass(time.Hour)
	w.set("key", notice.Bad, kind("violated"))
	w.pass(time.Hour)
	w.expect(t, "ops", "10m0s demo: problem: key is bad", "1h10m0s demo: changed: key is bad")
}

// A service that was started again repeats nothing and forgets nothing, and what
// is not looked at yet is not over. Without its memory it sends once more.
func TestStartedAgain(t *testing.T) {
	w := newWorld("ops")
	w.set("backup", notice.Bad)
	w.pass(time.Hour)
	w.set("backup", notice.Unknown)
	w.pass(time.Hour)
	w.set("backup", notice.Bad)
	w.pass(time.Hour)
	w.expect(t, "ops", "10m0s demo: problem: backup is bad")
	w.memory = notice.Memory{}
	w.pass(time.Hour)
	w.expect(t, "ops", "3h10m0s demo: problem: backup is bad")
	delete(w.sights, "backup") // a task that is not configured any more
	w.pass(time.Hour)
	w.expect(t, "ops")
}

// A target that cannot be reached hears later how things are then; the others
// hear of it.
func TestUndeliverable(t *testing.T) {
	w := newWorld("ops", "mail")
	w.dead["ops"] = true
	w.set("backup", notice.Bad)
	w.set("drill", notice.Bad)
	w.pass(2 * time.Hour)
	w.expect(t, "mail", "10m0s demo: 2 problems", "21m0s demo: problem: notices do not reach ops: connection refused")
	if w.failed["ops"] < 5 || w.failed["ops"] > 8 {
		t.Errorf("%d attempts in two hours", w.failed["ops"])
	}
	w.set("backup", notice.Good)
	w.pass(time.Hour)
	w.dead["ops"] = false
	w.pass(2 * time.Hour)
	if n := len(w.heard["ops"]); n != 1 || !strings.Contains(w.heard["ops"][0], "demo: problem: drill is bad") {
		t.Errorf("ops heard %v", w.heard["ops"])
	}
	if n := len(w.heard["mail"]); n != 2 || w.failed["ops"] != 0 {
		t.Errorf("mail heard %v, %d failures", w.heard["mail"], w.failed["ops"])
	}
}

// Clocks that are set neither silence notices nor let them rain.
func TestTheClockIsSet(t *testing.T) {
	for _, jump := range []time.Duration{-30 * 24 * time.Hour, 30 * 24 * time.Hour} {
		w := newWorld("ops")
		w.set("backup", notice.Bad)
		w.pass(time.Hour)
		w.now = w.now.Add(jump)
		w.set("drill", notice.Bad)
		w.pass(3 * time.Hour)
		if n := len(w.heard["ops"]); n < 2 || n > 3 {
			t.Errorf("after %v: %v", jump, w.heard["ops"])
		}
	}
}

// A summary comes at its times, from the first after the start; one that could
// not be delivered comes later.
func TestDigest(t *testing.T) {
	w := newWorld("ops")
	ops := w.targets["ops"]
	ops.Digest = func(after time.Time) time.Time { return after.Truncate(24 * time.Hour).Add(32 * time.Hour) }
	w.targets["ops"] = ops
	w.pass(60 * time.Hour)
	w.expect(t, "ops", "32h0m0s summary of 32h0m0s", "56h0m0s summary of 24h0m0s")
	w.dead["ops"] = true
	w.pass(24 * time.Hour)
	w.dead["ops"] = false
	w.pass(2 * time.Hour)
	if n := len(w.heard["ops"]); n != 1 {
		t.Errorf("%v", w.heard["ops"])
	}
}
