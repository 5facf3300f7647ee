package restore_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"holdfast"
	"holdfast/restore"
	"holdfast/step"
	"holdfast/target"
)

// stage is a node on which every step is written down, and one can fail.
type stage struct {
	steps    []string
	fails    string // the step that fails, the first time
	original holdfast.Verdict
}

func (s *stage) step(name string) error {
	failed := s.fails == name && !slices.Contains(s.steps, name)
	s.steps = append(s.steps, name)
	if failed {
		return errors.New(name + " failed")
	}
	return nil
}

func (s *stage) Look(_ context.Context, _ holdfast.SetID, c holdfast.Capture) (target.Database, error) {
	return target.Database{Component: c.Component, Database: "live", New: "new", Keep: "keep", Live: true, Fit: target.Compatibility{KeepOwners: true}}, nil
}

func (s *stage) Build(context.Context, holdfast.SetID, target.Database, holdfast.Capture, holdfast.Files) error {
	return s.step("build")
}
func (s *stage) Swap(context.Context, holdfast.SetID, []target.Database) error {
	return s.step("swap")
}
func (s *stage) Unswap(context.Context, holdfast.SetID, []target.Database) error {
	return s.step("unswap")
}
func (s *stage) Discard(context.Context, target.Database) error { return s.step("discard") }
func (s *stage) Lock(context.Context) (func(), error)           { return func() {}, s.step("lock") }
func (s *stage) Survey(context.Context, holdfast.Set) (step.Standstill, error) {
	return step.Standstill{Original: step.Original{Verdict: s.original, Evidence: []string{"it was on another machine"}}}, nil
}
func (s *stage) Halt(context.Context, step.Standstill, func(string)) error { return s.step("halt") }
func (s *stage) Wake(_ context.Context, participant string, _ func(string)) error {
	return s.step("wake " + participant)
}
func (s *stage) Return(context.Context, func(string)) error { return s.step("return") }

func set(t *testing.T) holdfast.Set {
	t.Helper()
	s := holdfast.Set{Schema: holdfast.ManifestSchema, ID: "20261122T154500Z-1f0c9a3e", Node: holdfast.Node{Name: "n", Components: []holdfast.Component{{Name: "participant", Kind: holdfast.Participant}}},
		Captures: []holdfast.Capture{{Component: "participant", Kind: holdfast.Participant, Facts: holdfast.Facts{Participant: &holdfast.ParticipantFacts{ParticipantID: "acme::1220"}}}}}
	return s
}

// Whatever fails, the node ends as it was, or complete.
func TestANodeIsReturnedWhateverFails(t *testing.T) {
	for _, c := range []struct{ fails, want string }{
		{"", "halt lock build swap wake acme::1220"},
		{"halt", "halt return"},
		{"lock", "halt lock return"},
		{"build", "halt lock build return"},
		{"swap", "halt lock build swap discard return"},
		{"wake acme::1220", "halt lock build swap wake acme::1220 halt unswap discard return"},
	} {
		t.Run(strings.ReplaceAll(c.fails, " ", "-"), func(t *testing.T) {
			s := &stage{fails: c.fails, original: holdfast.Holds}
			plan := restore.Plan{Set: "x", Placements: []target.Database{{Component: "participant"}}, Standstill: &step.Standstill{Original: step.Original{Verdict: holdfast.Holds}}}
			report, err := restore.Apply(t.Context(), s, plan, set(t), nil, nil)
			if got := strings.Join(s.steps, " "); got != c.want {
				t.Errorf("steps: %s\nwant:  %s", got, c.want)
			}
			if (err == nil) != (c.fails == "") || report.Serving != (c.fails == "") || report.Swapped != (c.fails == "") {
				t.Errorf("error %v, serving %v, swapped %v", err, report.Serving, report.Swapped)
			}
		})
	}
}

// What could not be put back is said, with the command that tries again.
func TestAReturnThatFailsIsSaid(t *testing.T) {
	s := &stage{fails: "return", original: holdfast.Holds}
	plan := restore.Plan{Set: "x", Placements: []target.Database{{Component: "participant"}}, Standstill: &step.Standstill{Original: step.Original{Verdict: holdfast.Holds}}}
	both := &twice{stage: s, also: "build"}
	_, err := restore.Apply(t.Context(), both, plan, set(t), nil, nil)
	if err == nil || !strings.Contains(err.Error(), "build failed") || !strings.Contains(err.Error(), "could not be started again") {
		t.Fatalf("got %v", err)
	}
	if _, do := holdfast.Advice(err); !strings.Contains(do, "--undo") {
		t.Errorf("advice: %q", do)
	}
}

// twice fails in a second place too.
type twice struct {
	*stage
	also string
}

func (s *twice) Build(context.Context, holdfast.SetID, target.Database, holdfast.Capture, holdfast.Files) error {
	return errors.New(s.also + " failed")
}

// Nothing starts while the original may run, unless somebody says that it
// does not; what he said is in the report.
func TestTwoLivingCopiesAreRefused(t *testing.T) {
	for _, verdict := range []holdfast.Verdict{holdfast.CannotTell, holdfast.Violated} {
		s := &stage{original: verdict}
		plan := restore.Plan{Set: "x", Placements: []target.Database{{Component: "participant"}}, Standstill: &step.Standstill{Original: step.Original{Verdict: verdict, Evidence: []string{"it was on another machine"}}}}
		if _, err := restore.Apply(t.Context(), s, plan, set(t), nil, nil); holdfast.ClassOf(err) != holdfast.Refused || len(s.steps) > 0 {
			t.Errorf("%s: %v after %v", verdict, err, s.steps)
		}
		if err := plan.Guard("operator on host, now"); err != nil {
			t.Fatal(err)
		}
		report, err := restore.Apply(t.Context(), s, plan, set(t), nil, nil)
		if err != nil || report.Original == nil || report.Original.Statement != "operator on host, now" {
			t.Errorf("%s: %v, report %+v", verdict, err, report.Original)
		}
	}
}
