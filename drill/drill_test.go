package drill_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"holdfast"
	"holdfast/content"
	"holdfast/drill"
	"holdfast/internal/eventtest"
	"holdfast/record"
	"holdfast/step"
	"holdfast/target"
)

// place is a sandbox in which everything goes as configured.
type place struct {
	build, closed error
	isolation     holdfast.Finding
	facts         holdfast.Facts
	answer        holdfast.Finding
	boot          func() (record.Boot, error) // nil: no participant can be started here
	open          bool
}

func (p *place) Look(_ context.Context, _ holdfast.SetID, c holdfast.Part) (target.Database, error) {
	return target.Database{
		Component: c.Component,
		Database:  "x",
		New:       "x~new",
		Fit:       target.Compatibility{KeepOwners: true},
	}, nil
}
func (p *place) Build(context.Context, holdfast.SetID, target.Database, holdfast.Part, holdfast.Files) error {
	return p.build
}
func (p *place) Names(set holdfast.SetID, c holdfast.Part) (target.Database, error) {
	return p.Look(context.Background(), set, c)
}
func (p *place) Lock(context.Context, bool) (func(context.Context) error, func(), error) {
	return func(context.Context) error { return nil }, func() {}, nil
}
func (p *place) Reuse(context.Context, holdfast.SetID, target.Database, holdfast.Part) error {
	return nil
}
func (p *place) Discard(context.Context, holdfast.ComponentName, string) (bool, error) {
	return false, nil
}
func (p *place) Swaps(holdfast.SetID, time.Time, []target.Database) []step.Step { return nil }
func (p *place) Rename(context.Context, step.Step) error                        { return nil }
func (p *place) Drop(context.Context, holdfast.ComponentName, string) error     { return nil }
func (p *place) Isolation() holdfast.Finding                                    { return p.isolation }
func (p *place) Server() string                                                 { return "Postgres 15" }
func (p *place) Facts(context.Context, holdfast.ComponentName) (holdfast.Facts, error) {
	return p.facts, nil
}
func (p *place) Ask(context.Context, holdfast.ComponentName, string) (holdfast.Finding, error) {
	return p.answer, nil
}
func (p *place) Close() error {
	p.open = false
	return p.closed
}

type host struct {
	*place
	room error
}

func (h host) Clean(context.Context) ([]string, error) { return nil, nil }
func (h host) What() string                            { return "thin air" }
func (h host) Room(context.Context, int64) (holdfast.Finding, error) {
	return holdfast.Finding{Verdict: holdfast.Holds, Evidence: "enough"}, h.room
}
func (h host) Open(context.Context, holdfast.Set) (drill.Place, error) {
	h.open = true
	if h.boot != nil {
		return bootable{h.place}, nil
	}
	return h.place, nil
}

// bootable is a place where a participant answers what is configured.
type bootable struct{ *place }

func (b bootable) Boot(context.Context, holdfast.ComponentName) (record.Boot, error) {
	return b.boot()
}

type files struct{ err error }

func (f files) Open(context.Context, string) (io.ReadCloser, error) {
	return io.NopCloser(strings.NewReader("sealed")), f.err
}

func aSet() holdfast.Set {
	c := holdfast.Component{Name: "app", Kind: holdfast.App}
	set := holdfast.Set{
		Schema:     1,
		ID:         "20261122T154500Z-1f0c9a3e",
		Node:       holdfast.Node{Name: "<demo>", Components: []holdfast.Component{c}},
		Identities: &holdfast.IdentityFacts{SealedFile: "identities/participant.json.age"},
		Captures: []holdfast.Capture{{
			Method:  holdfast.Dump,
			Ended:   holdfast.Moment{Since: 1},
			Content: content.Rows{Tables: []content.Table{{Rows: 7}}},
			Components: []holdfast.Captured{{
				Component: "app",
				Kind:      holdfast.App,
				Facts:     holdfast.Facts{Schema: "app"},
				Database:  holdfast.Database{Bytes: 1 << 20},
			}},
		}},
	}
	set.Prove()
	return set
}

// What each thing that can go wrong makes of the drill, of what is remembered
// of the set, and of the exit code.
func TestVerdictsOfADrill(t *testing.T) {
	holds := holdfast.Finding{Verdict: holdfast.Holds, Evidence: "so it is"}
	for _, c := range []struct {
		name       string
		change     func(*place, *holdfast.Set, *files, *drill.Job)
		code       string // of the finding that the verdict rests on
		verdict    holdfast.Verdict
		remembered holdfast.Verdict
	}{
		{"nothing", func(*place, *holdfast.Set, *files, *drill.Job) {}, "restored_equal", holdfast.Holds,
			holdfast.Holds},
		{"no namespace", func(p *place, _ *holdfast.Set, _ *files, _ *drill.Job) {
			p.isolation.Verdict = holdfast.CannotTell
		}, "no_network", holdfast.CannotTell, holdfast.Holds},
		{"a network", func(p *place, _ *holdfast.Set, _ *files, _ *drill.Job) {
			p.isolation.Verdict = holdfast.Violated
		}, "no_network", holdfast.Violated, holdfast.Holds},
		{"rows differ", func(p *place, _ *holdfast.Set, _ *files, _ *drill.Job) {
			p.build = &holdfast.Problem{Class: holdfast.NotProven, What: "table t came back different"}
		}, "restored_equal", holdfast.Violated, holdfast.Violated},
		{"the repository goes away", func(p *place, _ *holdfast.Set, _ *files, _ *drill.Job) {
			p.build = &holdfast.Problem{Class: holdfast.Unreachable, What: "gone"}
		}, "restored_equal", holdfast.CannotTell, holdfast.CannotTell},
		{"an unproven set", func(_ *place, s *holdfast.Set, _ *files, _ *drill.Job) {
			s.Missing = []string{"identities"}
			s.Prove()
		}, "set_proven", holdfast.CannotTell, holdfast.CannotTell},
		{"no identities", func(_ *place, s *holdfast.Set, _ *files, _ *drill.Job) {
			s.Identities = nil
		}, "identities", holdfast.CannotTell, holdfast.CannotTell},
		{"identities that cannot be read", func(_ *place, _ *holdfast.Set, f *files, _ *drill.Job) {
			f.err = errors.New("no")
		}, "identities", holdfast.Violated, holdfast.Violated},
		{"another's identities", func(_ *place, _ *holdfast.Set, _ *files, j *drill.Job) {
			j.Identities = func(context.Context, io.Reader, holdfast.Set) holdfast.Finding {
				return holdfast.Finding{Verdict: holdfast.Violated, Evidence: "another's"}
			}
		}, "identities", holdfast.Violated, holdfast.Violated},
		{"a question", func(p *place, _ *holdfast.Set, _ *files, _ *drill.Job) {
			p.answer.Verdict = holdfast.Violated
		}, "question", holdfast.Violated, holdfast.Holds},
		{"a question to nobody", func(_ *place, _ *holdfast.Set, _ *files, j *drill.Job) {
			j.Checks["elsewhere"] = []string{"SELECT true"}
		}, "question", holdfast.CannotTell, holdfast.Holds},
		{"something is left", func(p *place, _ *holdfast.Set, _ *files, _ *drill.Job) {
			p.closed = errors.New("busy")
		}, "nothing_left", holdfast.Violated, holdfast.Holds},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, set, f := &place{
				isolation: holds,
				answer:    holds,
				facts:     holdfast.Facts{Schema: "app"},
			}, aSet(), files{}
			var heard eventtest.Record
			j := drill.Job{
				Events:  heard.Hear,
				Host:    host{place: p},
				Now:     time.Now,
				Version: "test",
				Machine: "here",
				Checks:  map[holdfast.ComponentName][]string{"app": {"SELECT true"}},
			}
			c.change(p, &set, &f, &j)
			plan, err := j.Plan(t.Context(), set, nil)
			if err != nil || plan.Needs <= plan.Bytes {
				t.Fatal(plan, err)
			}
			r, err := j.Run(t.Context(), plan, set, f)
			if r == nil {
				t.Fatal(err)
			}
			want := map[holdfast.Verdict]holdfast.Class{
				holdfast.Holds:      "",
				holdfast.Violated:   holdfast.Violation,
				holdfast.CannotTell: holdfast.Undetermined,
			}[c.verdict]
			if r.Verdict != c.verdict || r.Worst().Code != c.code || holdfast.ClassOf(err) != want {
				t.Errorf("%s by %s, %v; want %s by %s: %+v", r.Verdict, r.Worst().Code, err, c.verdict, c.code,
					r.Findings)
			}
			all := heard.All()
			ended := drill.Ended{Set: set.ID, Verdict: r.Verdict, Bytes: r.Bytes, Restore: r.Restore, Took: r.Took}
			if all[0] != (drill.ServerStarting{Where: "thin air"}) || all[len(all)-1] != ended {
				t.Errorf("reported: %v", all)
			}
			if d := r.Remembered([]byte("x")); d.Verdict != c.remembered || d.Isolated != p.isolation.Verdict ||
				len(d.Report) != 64 {
				t.Errorf("remembered: %+v", d)
			}
			if p.open {
				t.Error("the place was left open")
			}
			written(t, r)
		})
	}
}

// written makes sure that every form of the report says all that was found, and
// that the page needs nothing from anywhere.
func written(t *testing.T, r *drill.Report) {
	t.Helper()
	r.Key = "ssh-ed25519 AAAA"
	page, err := r.HTML()
	if err != nil {
		t.Fatal(err)
	}
	text, err := r.JSON()
	if err != nil || !json.Valid(text) {
		t.Fatal(err)
	}
	for name, form := range map[string]string{"text": string(r.Text()), "page": string(page), "JSON": string(text)} {
		for _, f := range r.Findings {
			if !strings.Contains(form, f.Title) &&
				!strings.Contains(form, strings.ReplaceAll(f.Title, "'", "&#39;")) ||
				!strings.Contains(form, string(f.Verdict)) {
				t.Errorf("%s does not say %s", name, f.Title)
			}
		}
		for _, word := range []string{string(r.Set), "Postgres 15", "here", r.Key} {
			if !strings.Contains(form, word) {
				t.Errorf("%s does not say %s", name, word)
			}
		}
	}
	for _, outside := range []string{"`", "http:", "https:", "src=", "href=", "@import", "url(", "<demo>"} {
		if strings.Contains(string(page), outside) {
			t.Errorf("the page has %s", outside)
		}
	}
}

// What a participant says that was started on the restored database, and what
// it means: it never speaks against the set, and is never left out silently.
func TestVerdictsOfABoot(t *testing.T) {
	const id = "demo::1220aa"
	says := func(id string, err error) func() (record.Boot, error) {
		return func() (record.Boot, error) {
			return record.Boot{Image: "participant:1", Digest: "sha256:1", Participant: id, Version: "3.5.7"}, err
		}
	}
	for _, c := range []struct {
		name     string
		boot     func() (record.Boot, error)
		change   func(*place, *holdfast.Set)
		verdict  holdfast.Verdict
		evidence string
	}{
		{"it is who it was", says(id, nil), nil, holdfast.Holds,
			"says after 0s that it is " + id + ", version 3.5.7"},
		{"it is another participant", says("other::1220bb", nil), nil, holdfast.Violated,
			"says that it is other::1220bb; the set's is " + id},
		{"it is nobody", says("", nil), nil, holdfast.Violated, "no identity"},
		{"it dies", says("", &holdfast.Problem{
			Class: holdfast.Violation,
			What:  "it ended: schema too old",
		}), nil, holdfast.Violated, "schema too old"},
		{"it does not answer", says("", &holdfast.Problem{
			Class: holdfast.Undetermined,
			What:  "no answer",
		}), nil, holdfast.CannotTell, "no answer"},
		{"Docker goes away", says("", &holdfast.Problem{
			Class: holdfast.Unreachable,
			What:  "gone",
		}), nil, holdfast.CannotTell, "gone"},
		{"nowhere to start it", nil, nil, holdfast.CannotTell, "in a container"},
		{"nothing came back", says(id, nil), func(p *place, _ *holdfast.Set) {
			p.build = &holdfast.Problem{Class: holdfast.NotProven, What: "differs"}
		}, holdfast.CannotTell, "no restored database"},
		{"no participant in the set", says(id, nil), func(_ *place, s *holdfast.Set) {
			s.Captures[0].Components[0].Kind = holdfast.App
		}, holdfast.CannotTell, "the set has none"},
	} {
		t.Run(c.name, func(t *testing.T) {
			holds := holdfast.Finding{Verdict: holdfast.Holds, Evidence: "so it is"}
			p, set := &place{isolation: holds, answer: holds, boot: c.boot}, aSet()
			set.Captures[0].Components[0].Kind, set.Captures[0].Components[0].Facts.Participant = holdfast.Participant, &holdfast.ParticipantFacts{ParticipantID: id}
			set.Identities.ID = "PAR::" + id
			if c.change != nil {
				c.change(p, &set)
			}
			j := drill.Job{Host: host{place: p}, Now: time.Now, Version: "test", Machine: "here", Boot: true}
			r, err := j.Run(t.Context(), drill.Plan{}, set, files{})
			if r == nil {
				t.Fatal(err)
			}
			i := slices.IndexFunc(r.Findings, func(f drill.Finding) bool { return f.Code == "participant_boots" })
			if i < 0 || r.Findings[i].Verdict != c.verdict || !strings.Contains(r.Findings[i].Evidence, c.evidence) {
				t.Fatalf("%+v; want %s with %q", r.Findings, c.verdict, c.evidence)
			}
			if d := r.Remembered(nil); d.Booted != c.verdict {
				t.Errorf("remembered: %+v", d)
			}
			written(t, r)
		})
	}
}

// Where there is no room nothing is started.
func TestNoRoom(t *testing.T) {
	j := drill.Job{
		Host: host{place: &place{}, room: &holdfast.Problem{Class: holdfast.Refused, What: "full"}},
		Now:  time.Now,
	}
	if plan, err := j.Plan(t.Context(), aSet(), []record.Drill{{
		Verdict: holdfast.Holds,
		Bytes:   1 << 20,
		Restore: time.Minute,
		At:      time.Now(),
	}}); holdfast.ClassOf(err) != holdfast.Refused || plan.Estimate != time.Minute {
		t.Errorf("%+v, %v", plan, err)
	}
}
