package rehearsal_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"holdfast"
	"holdfast/rehearsal"
)

// place answers as it is told, and counts.
type place struct {
	result holdfast.Rehearsal
	err    error
	wait   bool // until the context ends
	asked  int
	closed bool
}

func (p *place) Rehearse(
	ctx context.Context, set holdfast.SetID, _ holdfast.Part, _ holdfast.Files,
) (holdfast.Rehearsal, error) {
	p.asked++
	if p.wait {
		<-ctx.Done()
		return p.result, ctx.Err()
	}
	p.result.Set = set
	return p.result, p.err
}

func (p *place) Close() error {
	p.closed = true
	return nil
}

func setOf(id holdfast.SetID, schema string, evidence *holdfast.Rehearsal) holdfast.Set {
	return holdfast.Set{ID: id, Captures: []holdfast.Capture{{
		Server:     holdfast.Server{Number: 150018},
		Components: []holdfast.Captured{{Component: "app", Kind: holdfast.App, Schema: schema, Rehearsal: evidence}},
	}}}
}

// A schema is tried next to the live database, else in a sandbox, and not at
// all while the evidence of the last set stands for it.
func TestWhereASchemaIsTried(t *testing.T) {
	refused := &holdfast.Problem{
		Class: holdfast.Refused, What: "the user may not create databases", Do: "ALTER ROLE ... CREATEDB.",
	}
	view := holdfast.Obstacle{Object: "view v", Refusal: "operator does not exist", Code: "42883"}
	library := holdfast.Obstacle{Object: "function f()", Refusal: "could not access file", Code: "58P01"}
	spoken := &holdfast.Rehearsal{Set: "earlier"}
	for _, c := range []struct {
		name          string
		live, sandbox place
		noSandbox     error
		last          holdfast.Set
		verdict       holdfast.Verdict
		words         string
		asked         [2]int // the live server, the sandbox
	}{
		{name: "next to the live database", verdict: holdfast.Holds, asked: [2]int{1, 0}},
		{name: "an obstacle there", live: place{result: holdfast.Rehearsal{Obstacles: []holdfast.Obstacle{view}}},
			verdict: holdfast.Violated, words: "view v would not come back", asked: [2]int{1, 0}},
		{name: "in a sandbox, where the role may not", live: place{err: refused}, verdict: holdfast.Holds,
			asked: [2]int{1, 1}},
		{name: "an obstacle in the sandbox", live: place{err: refused},
			sandbox: place{result: holdfast.Rehearsal{Obstacles: []holdfast.Obstacle{library, view}}},
			verdict: holdfast.Violated, words: "view v would not come back", asked: [2]int{1, 1}},
		{name: "what only the sandbox lacks", live: place{err: refused},
			sandbox: place{result: holdfast.Rehearsal{Obstacles: []holdfast.Obstacle{library}}},
			verdict: holdfast.CannotTell, words: "not like the node's: function f()", asked: [2]int{1, 1}},
		{name: "nowhere", live: place{err: refused}, noSandbox: errors.New("no server programs"),
			verdict: holdfast.CannotTell, words: "may not create databases", asked: [2]int{1, 0}},
		{name: "it takes too long", live: place{wait: true}, verdict: holdfast.CannotTell, words: "longer than",
			asked: [2]int{1, 0}},
		{name: "known", last: setOf("earlier", "0f", spoken), verdict: holdfast.Holds, words: "set earlier"},
		{name: "known of another schema", last: setOf("earlier", "1e", spoken), verdict: holdfast.Holds,
			asked: [2]int{1, 0}},
	} {
		t.Run(c.name, func(t *testing.T) {
			j := rehearsal.Job{Live: &c.live, Limit: 50 * time.Millisecond,
				Sandbox: func(context.Context, holdfast.Set) (rehearsal.Sandbox, error) { return &c.sandbox, c.noSandbox }}
			set := setOf("now", "0f", nil)
			if err := j.Rehearse(t.Context(), &set, c.last, nil); err != nil {
				t.Fatal(err)
			}
			r := set.Captures[0].Components[0].Rehearsal
			f := r.Finding()
			if f.Verdict != c.verdict || !strings.Contains(f.Evidence, c.words) {
				t.Errorf("%s: %s", f.Verdict, f.Evidence)
			}
			if f.Verdict == holdfast.CannotTell && r.Do == "" {
				t.Error("it does not say what to do")
			}
			if got := [2]int{c.live.asked, c.sandbox.asked}; got != c.asked {
				t.Errorf("the places were asked %v times, want %v", got, c.asked)
			}
			if c.sandbox.closed != (c.sandbox.asked > 0) {
				t.Errorf("the sandbox is closed: %v", c.sandbox.closed)
			}
		})
	}
}

// A method without a schema is not tried, and a cancelled run ends.
func TestWhatIsNotTried(t *testing.T) {
	live := &place{wait: true}
	j := rehearsal.Job{Live: live}
	set := setOf("now", "", nil)
	if err := j.Rehearse(t.Context(), &set, holdfast.Set{}, nil); err != nil || live.asked > 0 ||
		set.Captures[0].Components[0].Rehearsal != nil {
		t.Errorf("it was tried: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	set = setOf("now", "0f", nil)
	if err := j.Rehearse(ctx, &set, holdfast.Set{}, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled run says %v", err)
	}
}
