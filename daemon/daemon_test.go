package daemon_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"holdfast"
	"holdfast/daemon"
	"holdfast/event"
	"holdfast/schedule"
)

// fakeClock passes when somebody sleeps, and ends the run at its end.
type fakeClock struct {
	mu   sync.Mutex
	now  time.Time
	ends time.Time
	stop context.CancelFunc
	wake func(now time.Time) // at each look
}

func (c *fakeClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *fakeClock) Sleep(_ context.Context, until time.Time) {
	c.mu.Lock()
	if until.After(c.now) {
		c.now = until
	}
	now := c.now
	c.mu.Unlock()
	if c.wake != nil {
		c.wake(now)
	}
	if !now.Before(c.ends) {
		c.stop()
	}
}

func (c *fakeClock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// world is a node with a repository that remembers when backups were begun.
type world struct {
	clock   *fakeClock
	backups []time.Time
	jitter  time.Duration
	failing func(now time.Time) bool
	away    bool      // the repository
	holding time.Time // until then another run holds the node
	asked   int
	events  []event.Event
	mu      sync.Mutex
}

var begin = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)

func (w *world) node(more ...daemon.Task) daemon.Node {
	backup := daemon.Task{
		Task: schedule.Task{Name: "backup", Rule: schedule.Every(4 * time.Hour), First: true, Jitter: w.jitter},
		Do: func(context.Context) error {
			began := w.clock.Now()
			w.clock.pass(10 * time.Minute)
			if began.Before(w.holding) {
				return &holdfast.Problem{Class: holdfast.Busy, What: "another run holds the lock"}
			}
			if w.away || w.failing != nil && w.failing(began) {
				return errors.New("the database is away")
			}
			w.backups = append(w.backups, began)
			return nil
		},
	}
	return daemon.Node{
		Name:  "node-1",
		Tasks: func() []daemon.Task { return append([]daemon.Task{backup}, more...) },
		Past: func(context.Context) (map[string]schedule.Past, error) {
			w.asked++
			if w.away {
				return nil, errors.New("the repository is away")
			}
			past := map[string]schedule.Past{}
			if n := len(w.backups); n > 0 {
				past["backup"] = schedule.Past{Done: w.backups[n-1]}
			}
			return past, nil
		},
	}
}

// run lets a daemon run for so long.
func (w *world) run(t *testing.T, length time.Duration, more ...daemon.Task) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	if w.clock == nil {
		w.clock = &fakeClock{now: begin}
	}
	w.clock.ends, w.clock.stop = w.clock.now.Add(length), stop
	d := daemon.Daemon{Nodes: []daemon.Node{w.node(more...)}, Clock: w.clock, Events: func(e event.Event) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.events = append(w.events, e)
	}}
	if err := d.Run(ctx); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
}

func (w *world) said(text string) (n int) {
	for _, e := range w.events {
		if strings.Contains(e.String(), text) {
			n++
		}
	}
	return n
}

// A set every four hours, from the first moment; the repository is asked only
// when something is due.
func TestADay(t *testing.T) {
	var w world
	w.run(t, 24*time.Hour+time.Minute)
	if len(w.backups) != 7 || !w.backups[0].Equal(begin) {
		t.Errorf("%v", w.backups)
	}
	for i := 1; i < len(w.backups); i++ {
		if gap := w.backups[i].Sub(w.backups[i-1]); gap != 4*time.Hour {
			t.Errorf("%v between two sets", gap)
		}
	}
	if w.asked > 3*len(w.backups) {
		t.Errorf("the repository was asked %d times", w.asked)
	}
}

// With jitter no set is older than its interval, although each takes a while and
// other tasks run too.
func TestADayWithJitter(t *testing.T) {
	w := world{jitter: 10 * time.Minute}
	w.run(t, 24*time.Hour+time.Minute, daemon.Task{
		Task: schedule.Task{Name: "check", Rule: schedule.Every(time.Hour), Jitter: w.jitter},
		Do:   func(context.Context) error { w.clock.pass(20 * time.Second); return nil },
	})
	if len(w.backups) != 7 {
		t.Errorf("%v", w.backups)
	}
	for i := 1; i < len(w.backups); i++ {
		if gap := w.backups[i].Sub(w.backups[i-1]); gap > 4*time.Hour || gap < 4*time.Hour-w.jitter {
			t.Errorf("%v between two sets", gap)
		}
	}
}

// A daemon that is ended and started again goes on where it was, and does not
// begin with a set.
func TestAnotherDaemonGoesOn(t *testing.T) {
	var w world
	w.run(t, 5*time.Hour)
	w.run(t, 5*time.Hour)
	if len(w.backups) != 3 {
		t.Errorf("%v", w.backups)
	}
}

// What somebody did by hand is not done again.
func TestByHand(t *testing.T) {
	w := world{clock: &fakeClock{now: begin}}
	byHand := begin.Add(3 * time.Hour)
	w.clock.wake = func(now time.Time) {
		if len(w.backups) == 1 && now.After(byHand) {
			w.backups = append(w.backups, byHand)
		}
	}
	w.run(t, 8*time.Hour+30*time.Minute)
	if len(w.backups) != 3 || !w.backups[2].Equal(byHand.Add(4*time.Hour)) {
		t.Errorf("%v", w.backups)
	}
}

// While the database is away attempts become rarer, at last one an hour; when it
// is back one set catches up, not ten.
func TestAnOutage(t *testing.T) {
	back := begin.Add(40 * time.Hour)
	w := world{failing: func(now time.Time) bool { return now.After(begin.Add(time.Hour)) && now.Before(back) }}
	w.run(t, 50*time.Hour)
	attempts := w.said("backup failed")
	if attempts < 30 || attempts > 45 {
		t.Errorf("%d attempts in 36 hours", attempts)
	}
	if len(w.backups) != 4 || w.backups[1].Before(back) || w.backups[1].After(back.Add(70*time.Minute)) {
		t.Errorf("%v", w.backups)
	}
}

// A repository that is away is said, and does not end the daemon.
func TestTheRepositoryIsAway(t *testing.T) {
	w := world{away: true}
	w.run(t, 3*time.Hour)
	if w.said("what was done before is unknown: the repository is away") == 0 || w.said("backup failed, attempt 2") == 0 {
		t.Errorf("%v", w.events)
	}
}

// Clocks are set by days in both directions; sets go on.
func TestTheClockIsSet(t *testing.T) {
	for _, jump := range []time.Duration{-30 * 24 * time.Hour, 30 * 24 * time.Hour} {
		var w world
		w.run(t, 10*time.Hour)
		before := len(w.backups)
		w.clock.pass(jump)
		w.run(t, 24*time.Hour+time.Minute)
		if n := len(w.backups) - before; n < 6 || n > 8 {
			t.Errorf("after %v: %d sets in a day", jump, n)
		}
	}
}

// Another task's failures keep no backup from its time.
func TestOneFailsTheOtherGoesOn(t *testing.T) {
	var w world
	drill := daemon.Task{
		Task: schedule.Task{Name: "drill", Rule: schedule.Every(24 * time.Hour)},
		Do:   func(context.Context) error { w.clock.pass(time.Hour); return errors.New("no room") },
	}
	w.run(t, 48*time.Hour, drill)
	if len(w.backups) < 11 || w.said("drill failed") < 5 {
		t.Errorf("%d sets, %d failures", len(w.backups), w.said("drill failed"))
	}
}

// While another run holds the node a task waits, and looks each minute; that is no
// failure. When the other has done it, it is not done again.
func TestAnotherRunHoldsTheNode(t *testing.T) {
	w := world{clock: &fakeClock{now: begin}, holding: begin.Add(90 * time.Minute)}
	w.run(t, 3*time.Hour)
	if n := w.said("backup waits: another run holds the lock"); n < 7 || n > 9 { // each takes ten minutes here
		t.Errorf("%d", n)
	}
	if w.said("failed") != 0 || len(w.backups) != 1 {
		t.Errorf("%d failures, %v", w.said("failed"), w.backups)
	}
}

// It ends when its context does, also in the middle of something.
func TestItEnds(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	task := daemon.Task{
		Task: schedule.Task{Name: "backup", Rule: schedule.Every(time.Hour)},
		Do: func(ctx context.Context) error {
			stop()
			<-ctx.Done()
			return ctx.Err()
		},
	}
	var failed bool
	d := daemon.Daemon{Clock: daemon.SystemClock{}, Events: func(e event.Event) {
		_, is := e.(daemon.Failed)
		failed = failed || is
	}, Nodes: []daemon.Node{{Name: "n", Tasks: func() []daemon.Task { return []daemon.Task{task} }, Past: func(context.Context) (map[string]schedule.Past, error) {
		return nil, nil
	}}}}
	if err := d.Run(ctx); !errors.Is(err, context.Canceled) || failed {
		t.Errorf("%v, failed: %v", err, failed)
	}
}

// Something that somebody wants begins at once, in the middle of a wait.
func TestWanted(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	wake, wanted, began := make(chan struct{}, 1), make(chan string, 1), make(chan struct{})
	tasks := func() []daemon.Task {
		task := daemon.Task{
			Task: schedule.Task{Name: "backup", Rule: schedule.Every(time.Hour)},
			Do:   func(context.Context) error { close(began); stop(); return nil },
		}
		select {
		case task.Wanted = <-wanted:
		default:
		}
		return []daemon.Task{task}
	}
	waiting := make(chan struct{}, 10)
	d := daemon.Daemon{Clock: daemon.SystemClock{}, Events: func(e event.Event) {
		if _, is := e.(daemon.Waiting); is {
			waiting <- struct{}{}
		}
	}, Nodes: []daemon.Node{{
		Name: "n", Tasks: tasks, Wake: wake,
		Past: func(context.Context) (map[string]schedule.Past, error) {
			return map[string]schedule.Past{"backup": {Done: time.Now()}}, nil
		},
	}}}
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	<-waiting
	wanted <- "somebody wants it"
	wake <- struct{}{}
	select {
	case <-began:
	case <-time.After(20 * time.Second):
		t.Error("it did not begin")
		stop()
	}
	<-ended
}

// What is missing in every set is backed up as soon as a look finds it, and once.
// While the backup fails it is tried again patiently.
func TestWhatIsMissing(t *testing.T) {
	w := &world{clock: &fakeClock{now: begin}}
	found, works := begin.Add(90*time.Minute), begin.Add(105*time.Minute)
	w.failing = func(now time.Time) bool { return now.After(found.Add(-time.Minute)) && now.Before(works) }
	var missing string
	watch := daemon.Task{
		Task: schedule.Task{Name: "watch", Rule: schedule.Every(10 * time.Minute)}, Outside: true,
		Do: func(context.Context) error {
			missing = ""
			if newest := w.backups[len(w.backups)-1]; w.clock.Now().After(found) && newest.Before(found) {
				missing = "party alice, hosted since, and in no set"
			}
			return nil
		},
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	w.clock.ends, w.clock.stop = begin.Add(5*time.Hour), stop
	n := w.node(watch)
	n.Missing = func() map[string]string {
		if missing == "" || !w.backups[len(w.backups)-1].Before(found) {
			return nil
		}
		return map[string]string{"backup": missing}
	}
	d := daemon.Daemon{Nodes: []daemon.Node{n}, Clock: w.clock, Events: func(e event.Event) {
		w.events = append(w.events, e)
	}}
	if err := d.Run(ctx); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if len(w.backups) != 2 || w.backups[1].Before(works) || w.backups[1].After(found.Add(30*time.Minute)) {
		t.Errorf("found at %v, backups began at %v", found, w.backups)
	}
	if n := w.said("party alice, hosted since, and in no set"); n < 2 || w.said("backup failed") == 0 {
		t.Errorf("said %d times: %v", n, w.events)
	}
}

// A task outside is done often: it is spoken of only when it fails, and when it
// works again.
func TestALookIsNotSpokenOf(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	begin := time.Date(2026, 11, 26, 0, 0, 0, 0, time.UTC)
	clock := &fakeClock{now: begin, ends: begin.Add(6 * time.Hour), stop: stop}
	looks := 0
	watch := daemon.Task{
		Task: schedule.Task{Name: "watch", Rule: schedule.Every(10 * time.Minute)}, Outside: true,
		Do: func(context.Context) error {
			if looks++; looks == 5 || looks == 6 {
				return errors.New("no database")
			}
			return nil
		},
	}
	backup := daemon.Task{
		Task: schedule.Task{Name: "backup", Rule: schedule.Every(4 * time.Hour)},
		Do:   func(context.Context) error { return nil },
	}
	var heard []string
	d := daemon.Daemon{Clock: clock, Events: func(e event.Event) {
		heard = append(heard, strings.TrimPrefix(fmt.Sprintf("%T", e), "daemon.")+" "+strings.Fields(e.String())[1])
	}, Nodes: []daemon.Node{{
		Name: "n", Tasks: func() []daemon.Task { return []daemon.Task{backup, watch} },
		Past: func(context.Context) (map[string]schedule.Past, error) { return nil, nil },
	}}}
	if err := d.Run(ctx); err != nil && !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	want := []string{
		"Began backup", "Ended backup", "Waiting next", "Failed watch", "Failed watch", "Ended watch",
		"Began backup", "Ended backup", "Waiting next",
	}
	if looks < 30 || !slices.Equal(heard, want) {
		t.Errorf("after %d looks heard %q, want %q", looks, heard, want)
	}
}

// A repository that goes away between two tasks is asked within a glance, once, and
// again when it is back; what failed meanwhile is done at once, and not after its
// patience.
func TestARepositoryThatGoesAwayBetweenTasks(t *testing.T) {
	w := &world{clock: &fakeClock{now: begin}}
	gone := begin.Add(time.Hour)
	back := gone.Add(3*time.Hour + 20*time.Minute) // in the patience after the failed backup
	var asked []time.Time
	w.clock.wake = func(now time.Time) { w.away = !now.Before(gone) && now.Before(back) }
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	w.clock.ends, w.clock.stop = begin.Add(5*time.Hour), stop
	n, known := w.node(), false
	n.Changed = func(context.Context) bool { return w.away != known }
	past := n.Past
	n.Past = func(ctx context.Context) (map[string]schedule.Past, error) {
		found, err := past(ctx)
		known = err != nil
		asked = append(asked, w.clock.Now())
		return found, err
	}
	d := daemon.Daemon{Nodes: []daemon.Node{n}, Clock: w.clock}
	if err := d.Run(ctx); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	within := func(from time.Time, to time.Duration) (n int) {
		for _, at := range asked {
			if !at.Before(from) && at.Before(from.Add(to)) {
				n++
			}
		}
		return n
	}
	if within(gone, 2*daemon.Glance) != 1 || within(gone, 2*time.Hour) != 1 {
		t.Errorf("it went away at %v, and was asked at %v", gone, asked)
	}
	if within(back, 2*daemon.Glance) == 0 {
		t.Errorf("it was back at %v, and was asked at %v", back, asked)
	}
	if len(w.backups) != 2 || w.backups[1].After(back.Add(2*daemon.Glance)) {
		t.Errorf("it was back at %v, and backups began at %v", back, w.backups)
	}
}
