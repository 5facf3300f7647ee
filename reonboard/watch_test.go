package reonboard

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"holdfast"
	"holdfast/event"
)

// place is a Clear that remembers what it is for, as a Secret does.
type place struct {
	start    *Start
	dump     string
	refuses  error // to prepare
	prepared int
}

func (p *place) Begun(context.Context) (*Start, error) { return p.start, nil }

func (p *place) Prepare(_ context.Context, s Start) (Start, error) {
	p.prepared++
	s.Databases = []Database{{holdfast.Participant, "participant_4", "participant_4_2"}}
	return s, p.refuses
}

func (p *place) Write(_ context.Context, dump []byte, s Start) error {
	p.start, p.dump = &s, string(dump)
	return nil
}

func (p *place) Remove(context.Context) error { p.start = nil; return nil }

func (p *place) Place() string { return "Secret x" }

// inCluster is a job whose identities are in clear in a place that remembers.
func inCluster(t *testing.T) (Job, *place) {
	j, p := job(t), &place{}
	j.Node, j.Clear, j.Remember = "demo", p, true
	return j, p
}

func named() holdfast.Set {
	s := of("acme")
	s.Identities.ID = "PAR::acme::1220aa"
	return s
}

// What was begun is taken up: with the same name, and without asking for the old
// node once more, which may be the new one by now.
func TestWhatWasBegunIsTakenUp(t *testing.T) {
	j, p := inCluster(t)
	p.refuses = errors.New("it lives")
	if _, err := j.Run(t.Context(), named(), sealed{}, ""); !errors.Is(err, p.refuses) || p.start != nil {
		t.Fatalf("%v, %+v", err, p.start)
	}
	p.refuses = nil
	first, err := j.Run(t.Context(), named(), sealed{}, "")
	if err != nil || first.Begun || p.dump != "dump" || p.start.Participant != first.Identifier+"::1220aa" {
		t.Fatalf("%+v, %v; %+v", first, err, p.start)
	}
	p.refuses = errors.New("it lives")
	for name, again := range map[string]Job{"as it was": j, "with another ledger, which never came to be": job(t)} {
		again.Node, again.Clear, again.Remember = "demo", p, true
		got, err := again.Run(t.Context(), named(), sealed{}, "")
		if err != nil || !got.Begun || got.Identifier != first.Identifier || got.First != first.First || p.prepared != 2 {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
		if clear, err := again.Ledger.InClear(); clear != "Secret x" || err != nil {
			t.Errorf("%s: in clear in %q, %v", name, clear, err)
		}
	}
	other := named()
	other.ID = "another"
	_, byName := j.Run(t.Context(), named(), sealed{}, "acme-9")
	_, bySet := j.Run(t.Context(), other, sealed{}, "")
	j.Node = "another"
	_, byNode := j.Run(t.Context(), named(), sealed{}, "")
	for _, err := range []error{byName, bySet, byNode} {
		if _, do := holdfast.Advice(err); holdfast.ClassOf(err) != holdfast.Refused || !strings.Contains(do, "holdfast reonboard clean") {
			t.Errorf("%v", err)
		}
	}
	if err := j.Clean(t.Context()); err != nil || p.start != nil {
		t.Errorf("%v", err)
	}
	if clear, err := j.Ledger.InClear(); clear != "" || err != nil {
		t.Errorf("removed, and in clear in %q, %v", clear, err)
	}
	j.Node, p.refuses = "demo", nil
	if got, err := j.Run(t.Context(), named(), sealed{}, ""); err != nil || got.Identifier == first.Identifier {
		t.Errorf("a name is given twice: %+v, %v", got, err)
	}
}

// A node is watched from its first start to its end, and reported once at each stage.
func TestWatching(t *testing.T) {
	j, p := inCluster(t)
	if _, err := j.Watch(t.Context(), Eyes{}); holdfast.ClassOf(err) != holdfast.Refused {
		t.Errorf("where nothing was prepared: %v", err)
	}
	if _, err := j.Run(t.Context(), named(), sealed{}, "acme-2"); err != nil {
		t.Fatal(err)
	}
	const id = "acme-2::1220aa"
	story := []any{
		Seen{Other: []string{"old values"}}, Seen{Other: []string{"old values"}},
		&holdfast.Problem{Class: holdfast.Unreachable, What: "away"},
		Seen{Waits: "no pod"}, Seen{Identity: id, Waits: "not ready"}, Seen{Identity: id, Takers: []string{"app"}},
		Seen{Identity: id, Takers: []string{"app"}}, Seen{Identity: id, Waits: "it starts again"}, Seen{Identity: id},
	}
	var reported []string
	served := 0
	_, err := j.Watch(t.Context(), Eyes{
		Every: time.Millisecond,
		Look: func(context.Context, Start) (Seen, error) {
			now := story[0]
			story = story[1:]
			if err, away := now.(error); away {
				return Seen{}, err
			}
			return now.(Seen), nil //nolint:forcetypeassert // as above
		},
		Serves: func(Start) error { served++; return nil },
		Events: func(e event.Event) { reported = append(reported, fmt.Sprint(e.(Watching).Stage)) }, //nolint:forcetypeassert // of Watch
	})
	if want := []string{"0", "0", "1", "2", "3", "2", "4"}; err != nil || !slices.Equal(reported, want) || served != 1 {
		t.Errorf("%v, reported %v, served %d times", err, reported, served)
	}
	if clear, err := j.Ledger.InClear(); p.start != nil || clear != "" || err != nil {
		t.Errorf("left are %+v, %q, %v", p.start, clear, err)
	}
}

// The old node, or a participant with other keys, ends it; and the identities stay.
func TestWhatContradictsAStart(t *testing.T) {
	j, p := inCluster(t)
	if _, err := j.Run(t.Context(), named(), sealed{}, "acme-2"); err != nil {
		t.Fatal(err)
	}
	for want, seen := range map[string]Seen{
		"the old node may live: connected is a live participant":                           {Old: []string{"a live participant"}},
		"database participant_4_2 has identity acme-2::1220bb, expected is acme-2::1220aa": {Identity: "acme-2::1220bb"},
	} {
		_, err := j.Watch(t.Context(), Eyes{Look: func(context.Context, Start) (Seen, error) { return seen, nil }})
		if holdfast.ClassOf(err) != holdfast.Refused || !strings.HasPrefix(err.Error(), want) || p.start == nil {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}
