package daemon_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"holdfast/daemon"
	"holdfast/event"
	"holdfast/notice"
	"holdfast/schedule"
)

// outage is a time in which backups fail, or in which the daemon is dead.
type outage struct {
	from, to time.Time
	dead     bool
}

// quarter is ninety days of a daemon with its notices, on one clock: the daemon's
// steps let it pass, and after each minute the notices look.
type quarter struct {
	world
	state   daemon.State
	memory  notice.Memory
	outages []outage
	heard   []string
	at      []time.Time
}

func (q *quarter) during(now time.Time, dead bool) bool {
	for _, o := range q.outages {
		if o.dead == dead && !now.Before(o.from) && now.Before(o.to) {
			return true
		}
	}
	return false
}

// sights are the backup's failures and the age of its sets, as the service has
// them.
func (q *quarter) sights(now time.Time) []notice.Sight {
	past := q.state.Past["backup"]
	task := notice.Sight{Node: "node-1", Cause: "task/backup", State: notice.Good, What: "the backup failed"}
	if past.Failures > 0 {
		task.State = notice.Bad
	}
	cadence := notice.Sight{
		Node: "node-1", Cause: "condition/postgres_cadence", State: notice.Good, What: "the newest set is too old",
		Of: []string{"task/backup"},
	}
	if n := len(q.backups); n > 0 && now.Sub(q.backups[n-1]) > 4*time.Hour+30*time.Minute {
		cadence.State = notice.Bad
	}
	return []notice.Sight{task, cadence}
}

// look has the notices decided now.
func (q *quarter) look(now time.Time) {
	q.memory.See(now, q.sights(now))
	list := q.memory.Decide(now, "ops", notice.Policy{})
	if len(list) > 0 {
		q.heard = append(q.heard, notice.Compose("node-1", now, list).Title)
		q.at = append(q.at, now)
		q.memory.Deliver(now, "ops", list)
	}
	q.memory.Forget(now, map[string]notice.Policy{"ops": {}})
}

// A quarter with outages of any length, and a daemon that dies now and then: each
// gap that is longer than the schedule allows is announced within an hour of its
// begin or of the daemon's return, each announcement is of an outage, each is
// taken back, and no set is taken too often.
func TestAQuarter(t *testing.T) {
	for seed := range uint64(2) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { aQuarter(t, rand.New(rand.NewPCG(seed, 13))) }) //nolint:gosec // not for secrets
	}
}

func aQuarter(t *testing.T, random *rand.Rand) {
	const length = 90 * 24 * time.Hour
	q := &quarter{}
	q.clock = &fakeClock{now: begin}
	for at := begin.Add(time.Hour); at.Before(begin.Add(length - 48*time.Hour)); {
		long := time.Duration(random.Int64N(int64(10 * time.Hour)))
		q.outages = append(q.outages, outage{at, at.Add(long), random.IntN(4) == 0})
		at = at.Add(long + 6*time.Hour + time.Duration(random.Int64N(int64(48*time.Hour))))
	}
	q.failing = func(now time.Time) bool { return q.during(now, false) }
	q.clock.wake = q.look
	for end := begin.Add(length); q.clock.now.Before(end); {
		q.live(t, end)
	}
	q.judge(t)
}

// live lets a daemon live until it dies or the quarter ends, and the dead time
// pass.
func (q *quarter) live(t *testing.T, end time.Time) {
	t.Helper()
	next := outage{from: end, to: end}
	for _, o := range q.outages {
		if o.dead && o.from.After(q.clock.now) && o.from.Before(next.from) {
			next = o
		}
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	q.clock.ends, q.clock.stop = next.from, stop
	n := q.node()
	n.Show = func(s daemon.State) { q.state = s }
	d := daemon.Daemon{Nodes: []daemon.Node{n}, Clock: q.clock, Events: event.Listener(nil)}
	if err := d.Run(ctx); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	q.clock.now, q.state = later(q.clock.now, next.to), daemon.State{Past: map[string]schedule.Past{}}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func (q *quarter) judge(t *testing.T) {
	t.Helper()
	const patience = 2 * time.Hour // from a gap's begin until somebody heard of it: retries are an hour apart
	gaps := 0
	for i := 1; i < len(q.backups); i++ {
		from, to := q.backups[i-1], q.backups[i]
		if gap := to.Sub(from); gap < 3*time.Hour {
			t.Errorf("%v between two sets, at %v", gap, to)
		} else if gap <= 4*time.Hour+30*time.Minute+patience {
			continue
		}
		gaps++
		if !q.heardOf(from.Add(4*time.Hour), to.Add(time.Hour)) && !q.during(to.Add(-30*time.Minute), true) {
			t.Errorf("nobody heard of the gap from %v to %v", from, to)
		}
	}
	if gaps < 5 {
		t.Fatalf("only %d gaps: the test shows nothing", gaps)
	}
	open := 0
	for i, title := range q.heard {
		switch {
		case strings.Contains(title, "recovered"):
			open--
		case strings.Contains(title, "problem"):
			open++
			near := false
			for _, o := range q.outages {
				near = near || q.at[i].After(o.from) && q.at[i].Before(o.to.Add(5*time.Hour))
			}
			if !near {
				t.Errorf("false alarm at %v: %s", q.at[i], title)
			}
		}
	}
	if open != 0 {
		t.Errorf("%d problems were not taken back: %v", open, q.heard)
	}
}

func (q *quarter) heardOf(from, to time.Time) bool {
	for i, at := range q.at {
		if at.After(from) && at.Before(to) && strings.Contains(q.heard[i], "problem") {
			return true
		}
	}
	return false
}
