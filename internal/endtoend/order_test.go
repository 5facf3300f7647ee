package endtoend

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"holdfast"
	"holdfast/backup"
	"holdfast/internal/eventtest"
	"holdfast/internal/splicetest"
	"holdfast/restore"
)

// often is how often a test of chance tries: so many times in the long form, a
// quarter of them in the short one.
func often(long int) int {
	if splicetest.Long() {
		return long
	}
	return max(long/4, 1)
}

// Under load, with updates, ingestion and pruning going on, every set is
// proven: no false alarm in many runs.
func TestSetsTakenUnderLoadAreProven(t *testing.T) {
	b := newBed(t, splicetest.NodeOptions{})
	inARow := often(50)
	// What pruning leaves is worth five seconds, more than passes between the
	// two captures of a set even where many tests share a machine: a real node
	// leaves weeks. It begins with as much, so that pruning begins at once.
	const keep = 300
	if err := errors.Join(splicetest.AppendUpdates(t.Context(), b.ParticipantDSN(), b.ledgerEnd(t), keep),
		b.Grow(t.Context(), 0)); err != nil {
		t.Fatal(err)
	}
	stop := b.live(t, splicetest.Load{
		Rate:        60,
		IngestDelay: 50 * time.Millisecond,
		PruneKeep:   keep,
		PruneEvery:  300 * time.Millisecond,
	})
	began := time.Now()
	var last int64
	var moved, pruned, attempts int
	for range inARow {
		set := b.backup(t)
		attempts += set.Attempt
		facts := set.Captures[1].Components[0].Facts.Participant
		if *facts.LedgerEnd > last {
			moved++
		}
		if facts.PrunedUpTo != nil {
			pruned++
		}
		last = *facts.LedgerEnd
	}
	stop()
	if attempts != inARow {
		t.Errorf("%d sets took %d attempts: there were false alarms", inARow, attempts)
	}
	if moved != inARow || pruned < inARow-1 {
		t.Errorf("the node hardly lived: the ledger had moved before %d sets, %d were of a pruned one", moved, pruned)
	}
	if wait := b.LongestWait(); wait.Took > 2*time.Second {
		t.Errorf("a statement of the node's, %s, took %v", wait.Statement, wait.Took)
	}
	t.Logf("%d sets of a ledger that moved on to offset %d, in %v; the node waited %v at most", inARow, last,
		time.Since(began).Round(time.Second), b.LongestWait().Took.Round(time.Millisecond))

	// The last of them is whole: every digest is equal in a database of its own.
	b.mustRestore(t, b.entries(t)[inARow-1].ID, restore.Options{OnlyProve: true})
}

// source is a source some of whose captures go another way.
type source struct {
	backup.Source
	capture func(context.Context, holdfast.Component, holdfast.Clock, holdfast.Sink) (holdfast.Capture, error)
}

func (s source) Capture(
	ctx context.Context, c holdfast.Component, clock holdfast.Clock, out holdfast.Sink, _ holdfast.Earlier,
) (holdfast.Capture, error) {
	return s.capture(ctx, c, clock, out)
}

// reversed makes a job capture the participant before its validator app, behind
// the back of the stages. Between the two it calls between. When it lies about
// the time, the clock shows the right order and the contents alone can tell:
// as with a replica that lags, or a snapshot that is older than it says.
func reversed(j backup.Job, lies bool, between func(participant holdfast.Capture)) backup.Job {
	participant, validator := j.Sources["participant"], j.Sources["validator"]
	var held holdfast.Capture
	j.Sources["validator"] = source{validator,
		func(ctx context.Context, c holdfast.Component, clock holdfast.Clock, out holdfast.Sink) (holdfast.Capture, error) {
			first, _ := j.Node.Component("participant")
			var err error
			if held, err = participant.Capture(ctx, first, clock, out, holdfast.Earlier{}); err != nil {
				return held, err
			}
			between(held)
			return validator.Capture(ctx, c, clock, out, holdfast.Earlier{})
		}}
	j.Sources["participant"] = source{participant,
		func(_ context.Context, _ holdfast.Component, clock holdfast.Clock, _ holdfast.Sink) (holdfast.Capture, error) {
			if lies {
				held.Began = clock()
				held.Consistent, held.Ended = held.Began, clock()
			}
			return held, nil
		}}
	return j
}

// contradicts says from the recorded texts, without the rules under test,
// whether the validator app is ahead of the participant.
func contradicts(set holdfast.Set) bool {
	end := splicetest.EncodeOffset(*set.Captures[1].Components[0].Facts.Participant.LedgerEnd)
	return slices.ContainsFunc(set.Captures[0].Components[0].Facts.Validator.Stores, func(s holdfast.Store) bool {
		return s.Raw > end
	})
}

// Sets taken in the wrong order are found, every one: they are stored under
// their name, taken once more at once, and no restore takes them.
func TestReversedSetsAreFound(t *testing.T) {
	b := newBed(t, splicetest.NodeOptions{})
	good := b.backup(t)
	stop := b.live(t, splicetest.Load{Rate: 60, IngestDelay: 20 * time.Millisecond})
	catchUp := func(participant holdfast.Capture) {
		for end := *participant.Components[0].Facts.Participant.LedgerEnd; ; time.Sleep(20 * time.Millisecond) {
			if n, err := b.Ingested(context.Background()); err != nil || n > end {
				return
			}
		}
	}
	for _, lies := range []bool{true, false} {
		for range often(4) {
			before := len(b.entries(t))
			set, err := reversed(b.job(), lies, catchUp).Run(t.Context())
			says(t, err, holdfast.Failed, "contradicts its own order, twice")
			if !contradicts(set) {
				t.Fatal("the set does not contradict itself: the test is wrong")
			}
			if set.State != holdfast.Misordered || set.Attempt != 2 {
				t.Errorf("set %s is %s after attempt %d", set.ID, set.State, set.Attempt)
			}
			clock := map[bool]holdfast.Verdict{true: holdfast.Holds, false: holdfast.Violated}[lies]
			if e := set.Order.Edges[0]; e.Content.Verdict != holdfast.Violated || e.Clock.Verdict != clock {
				t.Errorf("set %s: clock %+v, content %+v", set.ID, e.Clock, e.Content)
			}
			stored := b.entries(t)[before:]
			if len(stored) != 2 || stored[0].State != holdfast.Misordered || stored[1].State != holdfast.Misordered {
				t.Errorf("stored were %+v", stored)
			}
			repeated := []backup.RunRepeated{{Set: stored[0].ID, Why: holdfast.Misordered}}
			if got := eventtest.Of[backup.RunRepeated](b.Heard); !slices.Equal(got, repeated) {
				t.Errorf("reported were %+v, want %+v", got, repeated)
			}
		}
	}
	stop()

	for _, e := range b.entries(t)[1:] {
		for _, o := range []restore.Options{{}, {Unproven: true}, {OnlyProve: true, Unproven: true}} {
			_, err := b.restore(t, e.ID, o)
			says(t, err, holdfast.Refused, string(e.ID), "is misordered")
		}
	}
	for _, states := range [][]holdfast.State{{holdfast.Proven}, {holdfast.Proven, holdfast.Unproven}} {
		latest, _, err := b.Repository.Latest(t.Context(), b.parts.Node.Name, states...)
		if err != nil || latest.ID != good.ID {
			t.Errorf("the latest of %v is %s, %v; want %s", states, latest.ID, err, good.ID)
		}
	}
	if next := b.backup(t); next.Attempt != 1 {
		t.Errorf("the next run took %d attempts", next.Attempt)
	}
}

// A set that is in the wrong order by chance only is found exactly when its
// contents contradict: neither missed nor accused wrongly.
func TestSetsReversedByChanceAreToldApart(t *testing.T) {
	b := newBed(t, splicetest.NodeOptions{})
	found := map[bool]int{}
	// The longer the node works between the two captures, the likelier they
	// contradict each other; on a busy machine it takes longer.
	for n := 0; n < often(16) || n < 20 && (found[true] == 0 || found[false] == 0); n++ {
		set, err := reversed(b.job(), true, func(holdfast.Capture) {
			// No deadline: a connection that is being made would end with it a moment
			// before the context does, and look like a failure.
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			defer time.AfterFunc(time.Duration(n*max(1, n-6))*25*time.Millisecond, cancel).Stop()
			if err := b.Run(ctx, splicetest.Load{Rate: 60, IngestDelay: 10 * time.Millisecond}); err != nil {
				t.Error(err)
			}
		}).Run(t.Context())
		if set.ID == "" {
			t.Fatal(err)
		}
		for _, e := range b.entries(t)[found[true]+found[false]:] {
			s, _ := b.find(t, e.ID)
			wrong := contradicts(s)
			found[wrong]++
			if (e.State == holdfast.Misordered) != wrong {
				t.Errorf("set %s is %s, and it contradicts itself: %v", s.ID, e.State, wrong)
			}
		}
	}
	t.Logf("%d sets contradicted themselves, %d did not", found[true], found[false])
	if found[true] == 0 || found[false] == 0 {
		t.Errorf("chance brought %v; the test proves nothing", found)
	}
}

// On a node that is idle the contents cannot contradict; the clock does.
func TestTheClockAloneFindsAReversedSet(t *testing.T) {
	b := newBed(t, splicetest.NodeOptions{})
	set, err := reversed(b.job(), false, func(holdfast.Capture) {}).Run(t.Context())
	says(t, err, holdfast.Failed, "before validator had ended")
	if e := set.Order.Edges[0]; set.State != holdfast.Misordered || e.Content.Verdict != holdfast.Holds ||
		e.Clock.Verdict != holdfast.Violated {
		t.Errorf("the set is %s: %+v", set.State, e)
	}
}
