package setup_test

import (
	"testing"
	"time"

	"holdfast"
	"holdfast/check"
	"holdfast/internal/splicetest"
	"holdfast/restore"
	"holdfast/setup"
)

// A second program backs a node up, judges whether it could come back, and
// restores it, with what setup makes of a configuration and nothing else. This
// is the whole of it.
func TestASecondProgram(t *testing.T) {
	node := splicetest.NewNode(t, splicetest.NodeOptions{})
	t.Setenv("PASSWORD_OF_REPOSITORY", "of-the-repository")
	p := opened(t, `
databases:
  validator: `+node.ValidatorDSN()+`
  participant: `+node.ParticipantDSN()+`
repository: {path: repository, password: env:PASSWORD_OF_REPOSITORY}
`)
	ctx := t.Context()

	set := taken(t, p)
	if set.State != holdfast.Proven || set.Holdfast != "example" {
		t.Fatalf("the set is %s, by version %q", set.State, set.Holdfast)
	}

	seen, err := p.Observe(ctx)
	if err != nil {
		t.Fatal(err)
	}
	report := check.Make(seen, time.Now()).Only(check.RepositoryReadable, check.PostgresCadence)
	for _, c := range report.Conditions {
		if c.Verdict != holdfast.Holds {
			t.Errorf("%s: %s, %s", c.Code, c.Verdict, c.Evidence)
		}
	}

	set, files, err := p.Find(ctx, "latest")
	if err != nil {
		t.Fatal(err)
	}
	target, _, err := p.RestoreTarget(ctx, setup.RestoreOptions{}, set, files)
	if err != nil {
		t.Fatal(err)
	}
	plan, err := restore.Make(ctx, target, set, restore.Options{}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	done, err := restore.Apply(ctx, target, plan, set, files, nil)
	if err != nil || !done.Swapped || len(done.Done) != 2 {
		t.Fatalf("restored: %+v, %v", done, err)
	}

	target, history, err := p.UndoTarget(ctx, setup.RestoreOptions{})
	if err != nil {
		t.Fatal(err)
	}
	back, err := restore.MakeUndo(ctx, target, history, restore.UndoOptions{}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if moved, err := restore.Undo(ctx, target, history, back, nil); err != nil || len(moved) == 0 {
		t.Errorf("taken back: %v, %v", moved, err)
	}
}
