package setup_test

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"holdfast"
	"holdfast/backup"
	"holdfast/canton/admin"
	"holdfast/check"
	"holdfast/config"
	"holdfast/content"
	"holdfast/databases"
	"holdfast/event"
	"holdfast/internal/libpq"
	"holdfast/internal/splicetest"
	"holdfast/journal"
	"holdfast/repository"
	"holdfast/restore"
	"holdfast/setup"
	"holdfast/step"
)

// farm is a node of a kind that nothing but this file knows: its databases are
// real, its two programs are words in a list.
type farm struct {
	addresses map[holdfast.ComponentName]libpq.Address
	running   map[string]bool
	did       []string
	breaks    string // the step that fails, once
	unmanaged *setup.Parts
	journal   journal.File
}

// kind is all that a new kind of node has to say of itself.
func (f *farm) kind() *setup.Kind { return &setup.Kind{Node: f, Recorder: f, Programs: f} }

// Databases implements setup.Node.
func (f *farm) Databases(context.Context) (map[holdfast.ComponentName]libpq.Address, error) {
	return f.addresses, nil
}

// App implements setup.Node.
func (f *farm) App(context.Context) (setup.Dial, error) {
	return nil, errors.New("the farm has no app")
}

// Admin implements setup.Node.
func (f *farm) Admin(context.Context) (admin.Client, error) {
	return admin.Client{}, errors.New("the farm has no admin API")
}

// Secret implements setup.Node.
func (f *farm) Secret(_ context.Context, place string) (holdfast.Secret, error) {
	return holdfast.NewSecret("of " + place), nil
}

// Record implements backup.Deployment.
func (f *farm) Record(context.Context, holdfast.Sink) (holdfast.Deployment, error) {
	return holdfast.Deployment{Kind: "farm"}, nil
}

// RestoreTarget implements setup.Programs.
func (f *farm) RestoreTarget(
	ctx context.Context, o setup.RestoreOptions, set holdfast.Set, files holdfast.Files,
) (restore.Target, databases.Target, error) {
	t, d, err := f.unmanaged.RestoreTarget(ctx, o, set, files)
	t.Programs, t.Journal = f, f.journal
	return t, d, err
}

// UndoTarget implements setup.Programs.
func (f *farm) UndoTarget(ctx context.Context) (restore.Target, databases.Target, error) {
	t, d, err := f.unmanaged.RestoreTarget(ctx, setup.RestoreOptions{}, holdfast.Set{}, nil)
	t.Programs, t.Journal = f, f.journal
	return t, d, err
}

// Now implements setup.Programs.
func (f *farm) Now(context.Context) (restore.Programs, error) { return f, nil }

func program(act step.Act, name string) step.Step {
	return step.Step{Act: act, Kind: step.Container, Name: name, Of: name}
}

// Survey implements restore.Programs.
func (f *farm) Survey(context.Context, holdfast.Set, time.Time, step.Log) (step.Survey, error) {
	return step.Survey{
		Before:   []step.Step{program(step.Stop, "validator"), program(step.Stop, "participant")},
		After:    []step.Step{program(step.Start, "participant"), program(step.Start, "validator")},
		Original: step.Original{Verdict: holdfast.Holds, Evidence: []string{"there is one farm"}},
	}, nil
}

// Surround implements restore.Programs.
func (f *farm) Quiet(context.Context, step.Log, event.Listener) error { return nil }

func (f *farm) Surround(_ context.Context, back []step.Step, _ time.Time) ([]step.Step, error) {
	if slices.ContainsFunc(back, func(s step.Step) bool { return s.Kind == step.Container }) {
		return back, nil // the journal has the programs in it
	}
	return slices.Concat(
		[]step.Step{program(step.Stop, "validator"), program(step.Stop, "participant")}, back,
		[]step.Step{program(step.Start, "participant"), program(step.Start, "validator")},
	), nil
}

// Do implements restore.Programs.
func (f *farm) Do(_ context.Context, s step.Step, _ event.Listener) error {
	f.did = append(f.did, s.String())
	if s.String() == f.breaks {
		f.breaks = ""
		return errors.New("it does not")
	}
	f.running[s.Name] = s.Act == step.Start
	return nil
}

// Leftovers implements restore.Programs.
func (f *farm) Leftovers(context.Context) ([]step.Leftover, error) { return nil, nil }

// Remove implements restore.Programs.
func (f *farm) Remove(context.Context, step.Leftover) error { return nil }

// farmed is a running farm with parts of it.
func farmed(t *testing.T, node *splicetest.Node) (*farm, *setup.Parts) {
	t.Helper()
	text := `node: demo
databases: {validator: '` + node.ValidatorDSN() + `', participant: '` + node.ParticipantDSN() + `'}
repository: {path: repository, password: env:PASSWORD_OF_REPOSITORY}
`
	t.Setenv("PASSWORD_OF_REPOSITORY", "of-the-repository")
	dir := t.TempDir()
	conf, err := config.Parse(filepath.Join(dir, "holdfast.yaml"), []byte(text), nil)
	if err != nil {
		t.Fatal(err)
	}
	f := &farm{
		running: map[string]bool{"validator": true, "participant": true},
		journal: journal.File{Path: filepath.Join(dir, "farm.json")},
	}
	open := func(o setup.Options) *setup.Parts {
		p, err := setup.Open(conf, o)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = p.Close(context.Background()) })
		return p
	}
	f.unmanaged = open(setup.Options{})
	live, err := f.unmanaged.Databases(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	f.addresses = live.Addresses
	p := open(setup.Options{Version: "test", Kind: f.kind()})
	password, err := p.Password(t.Context())
	if err == nil {
		err = repository.Create(t.Context(), conf.Repository.Place, password)
	}
	if err != nil {
		t.Fatal(err)
	}
	return f, p
}

// A third kind of node needs nothing but what this file says of it: it goes
// through a backup, a restore with its steps, a restore that fails and is taken
// back, an undo, and check.
func TestAnotherKindOfNode(t *testing.T) {
	f, p := farmed(t, splicetest.NewNode(t, splicetest.NodeOptions{}))
	set := taken(t, p)
	if set.State != holdfast.Proven || set.Deployment == nil || set.Deployment.Kind != "farm" {
		t.Fatalf("the set is %s, of %+v", set.State, set.Deployment)
	}

	f.breaks = "start container validator"
	if err := f.restored(t, p); err == nil || !strings.Contains(err.Error(), "nothing was changed") {
		t.Errorf("a program does not start: %v", err)
	}
	f.is(t, "stop container validator", "stop container participant", "start container participant",
		"start container validator", "stop container validator", "stop container participant",
		"start container participant", "start container validator")

	if err := f.restored(t, p); err != nil {
		t.Fatal(err)
	}
	f.is(t, "stop container validator", "stop container participant", "start container participant", "start container validator")

	target, history, err := p.UndoTarget(t.Context(), setup.RestoreOptions{})
	if err != nil {
		t.Fatal(err)
	}
	plan, err := restore.MakeUndo(t.Context(), target, history, restore.UndoOptions{}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := restore.Undo(t.Context(), target, history, plan, nil); err != nil {
		t.Fatal(err)
	}
	f.is(t, "stop container validator", "stop container participant", "start container participant", "start container validator")

	seen, err := p.Observe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range check.Make(seen, time.Now()).Only(check.PostgresCadence, check.UsersSinceBackup).Conditions {
		if c.Verdict != holdfast.Holds {
			t.Errorf("%s: %s, %s", c.Code, c.Verdict, c.Evidence)
		}
	}
}

// restored restores the newest set, by the list of steps that the plan shows.
func (f *farm) restored(t *testing.T, p *setup.Parts) error {
	t.Helper()
	set, files, err := p.Find(t.Context(), "latest")
	if err != nil {
		t.Fatal(err)
	}
	target, _, err := p.RestoreTarget(t.Context(), setup.RestoreOptions{}, set, files)
	if err != nil {
		t.Fatal(err)
	}
	plan, err := restore.Make(t.Context(), target, set, restore.Options{}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	f.did = nil
	_, err = restore.Apply(t.Context(), target, plan, set, files, nil)
	return err
}

// is compares what was done with the farm's programs, which run afterwards.
func (f *farm) is(t *testing.T, want ...string) {
	t.Helper()
	if !slices.Equal(f.did, want) {
		t.Errorf("done:\n  %s\nwant:\n  %s", strings.Join(f.did, "\n  "), strings.Join(want, "\n  "))
	}
	for name, runs := range f.running {
		if !runs {
			t.Errorf("program %s does not run", name)
		}
	}
	f.did = nil
}

// kept is a component whose snapshot somebody else keeps.
type kept struct{ backup.Source }

// Capture implements backup.Source.
func (k kept) Capture(
	ctx context.Context, c holdfast.Component, clock holdfast.Clock, out holdfast.Sink, earlier holdfast.Earlier,
) (holdfast.Capture, error) {
	dump, err := k.Source.Capture(ctx, c, clock, out, earlier)
	dump.Method, dump.Content = holdfast.Snapshot, content.Reference{Keeper: "a platform", ID: "snap-1"}
	return dump, err
}

// A second method needs a source, and a content if what it holds is new. Its
// set is taken, proven, read back and judged; what needs rows refuses it.
func TestAnotherMethodOfCapture(t *testing.T) {
	_, p := farmed(t, splicetest.NewNode(t, splicetest.NodeOptions{}))
	var set holdfast.Set
	err := p.Backup(t.Context(), 0, func(ctx context.Context, job backup.Job) (err error) {
		for name, source := range job.Sources {
			job.Sources[name] = kept{source}
		}
		set, err = job.Run(ctx)
		return err
	})
	if err != nil || set.State != holdfast.Proven {
		t.Fatalf("the set is %s, %v", set.State, err)
	}
	found, files, err := p.Find(t.Context(), "latest")
	if err != nil {
		t.Fatal(err)
	}
	part, ok := found.Part("participant")
	if reference, is := part.Content.(content.Reference); !ok || !is || reference.ID != "snap-1" {
		t.Errorf("read back: %+v", part.Content)
	}
	target, _, err := p.RestoreTarget(t.Context(), setup.RestoreOptions{}, found, files)
	if err != nil {
		t.Fatal(err)
	}
	plan, err := restore.Make(t.Context(), target, found, restore.Options{OnlyProve: true}, time.Now())
	if err == nil {
		_, err = restore.Apply(t.Context(), target, plan, found, files, nil)
	}
	if holdfast.ClassOf(err) != holdfast.Refused {
		t.Errorf("a snapshot that is kept elsewhere was restored as rows: %v", err)
	}
}
