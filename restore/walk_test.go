package restore_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"holdfast"
	"holdfast/event"
	"holdfast/restore"
	"holdfast/step"
)

// everyWay is how the programs of a node may run.
var everyWay = []how{byHand, containers, workloads, fought}

// each runs a case for every step that a restore has, with a fault before it is
// done and with one after it.
func each(t *testing.T, fn func(t *testing.T, programs how, at int, after bool)) {
	for _, programs := range everyWay {
		counting := &process{world: newWorld(programs)}
		if _, err, _ := counting.run(t, programs); err != nil {
			t.Fatal(err)
		}
		if counting.count != map[how]int{byHand: 3, containers: 11, workloads: 10, fought: 10}[programs] {
			t.Fatalf("a restore has %d steps: %q", counting.count, counting.did)
		}
		for at := 1; at <= counting.count; at++ {
			for _, after := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/step %d/done %v", programs, at, after), func(t *testing.T) { fn(t, programs, at, after) })
			}
		}
	}
}

func (w *world) is(t *testing.T, want, when string) {
	t.Helper()
	if w.broken != "" {
		t.Error(w.broken)
	}
	if got := w.state(); got != want {
		t.Errorf("%s the node is %s\nwant %s\nafter %q", when, got, want, w.did)
	}
	if w.log != nil {
		t.Errorf("%s a journal is left: %+v", when, w.log)
	}
}

// restored is the state of a node after a restore without faults.
func restored(t *testing.T, programs how) string {
	t.Helper()
	p := &process{world: newWorld(programs)}
	report, err, _ := p.run(t, programs)
	if err != nil || !report.Swapped || report.Serving != programs.managed() || len(report.Done) != 2 || p.broken != "" {
		t.Fatalf("%+v, %v, %s", report, err, p.broken)
	}
	return p.state()
}

// Whatever step fails, whether it was done or not, the node ends as it was.
func TestWhateverFailsIsTakenBack(t *testing.T) {
	each(t, func(t *testing.T, programs how, at int, after bool) {
		w := newWorld(programs)
		was := w.state()
		p := &process{world: w, at: at, after: after}
		report, err, _ := p.run(t, programs)
		if err == nil || !strings.Contains(err.Error(), "nothing was changed") || report.Swapped || report.Serving {
			t.Errorf("error %v, %+v", err, report)
		}
		w.is(t, was, "after the failure")
		if len(w.databases) != 2+len(w.proven) {
			t.Errorf("left are %v", w.databases)
		}
	})
}

// What was built and proven is kept when a later step fails, and the next run
// goes on with it: no database is built twice that nobody could change since.
func TestWhatIsProvenIsNotBuiltAgain(t *testing.T) {
	each(t, func(t *testing.T, programs how, at int, after bool) {
		for _, die := range []bool{false, true} {
			want := restored(t, programs)
			w := newWorld(programs)
			(&process{world: w, at: at, after: after, die: die}).run(t, programs)
			proven, built := len(w.proven), w.built
			report, err, _ := (&process{world: w}).run(t, programs)
			if err != nil {
				t.Fatal(err)
			}
			w.is(t, want, "repeated")
			reused := 0
			for _, d := range report.Done {
				if d.Reused {
					reused++
				}
			}
			if reused != proven || w.built != built+2-proven {
				t.Errorf("of %d proven databases %d were reused; %d were built", proven, reused, w.built-built)
			}
		}
	})
}

// A set that does not come back equal is not worth what was built of it.
func TestWhatIsBuiltOfADamagedSetIsDropped(t *testing.T) {
	w := newWorld(byHand)
	p := &process{world: w, at: 2, class: holdfast.NotProven}
	if _, err, _ := p.run(t, byHand); holdfast.ClassOf(err) != holdfast.NotProven {
		t.Fatal(err)
	}
	if len(w.databases) != 2 {
		t.Errorf("left are %v", w.databases)
	}
}

// Wherever a restore is killed, repeating it restores the node, and undoing it
// makes the node what it was.
func TestWhereverItIsKilled(t *testing.T) {
	each(t, func(t *testing.T, programs how, at int, after bool) {
		want := restored(t, programs)
		w := newWorld(programs)
		if _, err, died := (&process{world: w, at: at, after: after, die: true}).run(t, programs); !died {
			t.Fatalf("it was not killed: %v", err)
		}
		plan, err := restore.Make(t.Context(), (&process{world: w}).target(programs), aSet(), restore.Options{}, time.Now())
		if err != nil || !strings.Contains(strings.Join(plan.Warnings, "\n"), "was interrupted. This run resumes it") {
			t.Errorf("the next plan warns of %q, %v", plan.Warnings, err)
		}
		if _, err, _ := (&process{world: w}).run(t, programs); err != nil {
			t.Fatal(err)
		}
		w.is(t, want, "repeated")

		w = newWorld(programs)
		was := w.state()
		(&process{world: w, at: at, after: after, die: true}).run(t, programs)
		if _, err, _ := (&process{world: w}).undo(t, programs); err != nil {
			t.Fatal(err)
		}
		w.is(t, was, "undone")
	})
}

// A repeated restore that fails takes both runs back.
func TestARepeatedRestoreThatFailsTakesBothBack(t *testing.T) {
	each(t, func(t *testing.T, programs how, at int, after bool) {
		for again := 1; again <= 8; again++ {
			w := newWorld(programs)
			was := w.state()
			(&process{world: w, at: at, after: after, die: true}).run(t, programs)
			if _, err, _ := (&process{world: w, at: again}).run(t, programs); err != nil {
				w.is(t, was, fmt.Sprintf("failed again at step %d,", again))
			}
		}
	})
}

// Wherever an undo is killed, of an interrupted restore or of one that was
// complete, undoing goes on, and repeating the restore restores.
func TestWhereverAnUndoIsKilled(t *testing.T) {
	for _, programs := range everyWay {
		want := restored(t, programs)
		was := newWorld(programs).state()
		for _, interrupted := range []int{0, 3, 8, 11} {
			for at := 1; at < 15; at++ {
				for _, after := range []bool{false, true} {
					begin := func() (w *world, died bool) {
						w = newWorld(programs)
						(&process{world: w, at: interrupted, after: true, die: true}).run(t, programs)
						_, _, died = (&process{world: w, at: at, after: after, die: true}).undo(t, programs)
						return w, died
					}
					w, died := begin()
					if !died {
						continue
					}
					when := fmt.Sprintf("%s, restore killed at %d, undo at %d (%v):", programs, interrupted, at, after)
					if _, err, _ := (&process{world: w}).undo(t, programs); err != nil {
						t.Errorf("%s %v", when, err)
					}
					w.is(t, was, when+" undone")
					w, _ = begin()
					if _, err, _ := (&process{world: w}).run(t, programs); err != nil {
						t.Errorf("%s %v", when, err)
					}
					w.is(t, want, when+" repeated")
				}
			}
		}
	}
}

// Restores are undone one after the other, by what the labels say; then there
// is nothing to undo, and nothing is touched.
func TestUndoByLabels(t *testing.T) {
	for _, programs := range everyWay {
		w := newWorld(programs)
		was, want := w.state(), restored(t, programs)
		for range 2 {
			if _, err, _ := (&process{world: w}).run(t, programs); err != nil {
				t.Fatal(err)
			}
		}
		for _, state := range []string{want, was} {
			moves, err, _ := (&process{world: w}).undo(t, programs)
			if err != nil || len(moves) != 4 {
				t.Fatalf("%v, %v", moves, err)
			}
			w.is(t, state, "undone")
		}
		did := len(w.did)
		if _, err, _ := (&process{world: w}).undo(t, programs); holdfast.ClassOf(err) != holdfast.Refused || !strings.Contains(err.Error(), "nothing to undo") {
			t.Errorf("got %v", err)
		}
		if len(w.did) != did {
			t.Errorf("an undo that has nothing to undo did %q", w.did[did:])
		}
	}
}

// An undo that fails leaves the restored node running.
func TestAnUndoThatFailsIsTakenBack(t *testing.T) {
	want := restored(t, containers)
	for at := 1; at <= 9; at++ {
		w := newWorld(containers)
		if _, err, _ := (&process{world: w}).run(t, containers); err != nil {
			t.Fatal(err)
		}
		if _, err, _ := (&process{world: w, at: at}).undo(t, containers); err == nil {
			t.Errorf("step %d did not fail", at)
		}
		w.is(t, want, fmt.Sprintf("failed at step %d,", at))
	}
}

// What is shown is what is done: if the node has changed since, nothing is.
func TestAPlanThatIsNoLongerTrueIsRefused(t *testing.T) {
	for _, programs := range everyWay {
		p := &process{world: newWorld(programs)}
		plan, err := restore.Make(t.Context(), p.target(programs), aSet(), restore.Options{}, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if programs.managed() {
			p.up["validator"] = false
		} else {
			delete(p.databases, "validator-db")
		}
		var changed *restore.ChangedError
		_, err = restore.Apply(t.Context(), p.target(programs), plan, aSet(), nil, nil)
		if !errors.As(err, &changed) || holdfast.ClassOf(err) != holdfast.Refused || len(p.did) > 0 {
			t.Fatalf("got %v after %q", err, p.did)
		}
		if step.Same(changed.Plan.Steps, plan.Steps) {
			t.Error("the new plan is the old one")
		}
		if _, err := restore.Apply(t.Context(), p.target(programs), changed.Plan, aSet(), nil, nil); err != nil {
			t.Errorf("the new plan is refused as well: %v", err)
		}
		for i, s := range changed.Plan.Steps {
			if s.Kind == step.Container && p.did[i] != s.String() {
				t.Errorf("step %d was to be %q, was %q", i+1, s, p.did[i])
			}
		}
	}
}

// A lock that was lost on one of two servers is taken again, and the one that is
// left on the other is not in the way.
func TestALostLockIsTakenAgain(t *testing.T) {
	p := &process{world: newWorld(byHand), lost: true}
	if report, err, _ := p.run(t, byHand); err != nil || !report.Swapped || p.lost || p.locks != 0 {
		t.Errorf("error %v, %+v; asked for the lock: %t, %d are held", err, report, !p.lost, p.locks)
	}
}

// Nothing starts while the original may run, unless somebody says that it
// does not; what he said is in the report.
func TestTwoLivingCopiesAreRefused(t *testing.T) {
	for _, verdict := range []holdfast.Verdict{holdfast.CannotTell, holdfast.Violated} {
		p := &process{world: newWorld(containers)}
		p.original = verdict
		plan, err := restore.Make(t.Context(), p.target(containers), aSet(), restore.Options{}, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := restore.Apply(t.Context(), p.target(containers), plan, aSet(), nil, nil); holdfast.ClassOf(err) != holdfast.Refused || len(p.did) > 0 {
			t.Errorf("%s: %v after %v", verdict, err, p.did)
		}
		if err := plan.Guard("operator on host, now"); err != nil {
			t.Fatal(err)
		}
		report, err := restore.Apply(t.Context(), p.target(containers), plan, aSet(), nil, nil)
		if err != nil || report.Original == nil || report.Original.Statement != "operator on host, now" {
			t.Errorf("%s: %v, report %+v", verdict, err, report.Original)
		}
	}
}

// What could not be put back is said, with the command that tries again.
func TestAWayBackThatFailsIsSaid(t *testing.T) {
	w := newWorld(containers)
	was := w.state()
	p := &twice{process: &process{world: w, at: 5}} // the first build
	plan, err := restore.Make(t.Context(), p.target(containers), aSet(), restore.Options{}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	_, err = restore.Apply(t.Context(), p.target(containers), plan, aSet(), nil, func(e event.Event) {
		if _, back := e.(restore.TakingBack); back {
			p.at = p.count + 2 // after the drop, the first start
		}
	})
	if err == nil || !strings.Contains(err.Error(), "build validator failed") || !strings.Contains(err.Error(), "could not be taken back") {
		t.Fatalf("got %v", err)
	}
	if !strings.Contains(adviceOf(err), "holdfast restore undo") {
		t.Errorf("advice: %q", adviceOf(err))
	}
	if _, err, _ := (&process{world: w}).undo(t, containers); err != nil {
		t.Fatal(err)
	}
	w.is(t, was, "undone")
}

type twice struct{ *process }

func adviceOf(err error) string {
	_, do := holdfast.Advice(err)
	return do
}

// A set in doubt is restored, and the plan says which rows may be wrong.
func TestThePlanSaysWhichRowsMayBeWrong(t *testing.T) {
	const rows = `participant: table "public"."t", from block 0 on, changed without a transaction`
	for _, doubts := range [][]string{nil, {rows}} {
		p := &process{world: newWorld(byHand)}
		plan, err := restore.Make(t.Context(), p.target(byHand), aSet(), restore.Options{Doubts: doubts}, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		said := slices.ContainsFunc(plan.Warnings, func(w string) bool { return strings.Contains(w, rows) })
		if said != (len(doubts) > 0) {
			t.Errorf("with doubts %q the warnings are %q", doubts, plan.Warnings)
		}
	}
}
