package setup

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"holdfast"
	"holdfast/canton"
	"holdfast/capture/postgres"
	"holdfast/databases"
	"holdfast/internal/libpq"
	"holdfast/journal"
	"holdfast/node/compose"
	"holdfast/restore"
	"holdfast/step"
)

// RestoreOptions say how a restore differs from the plain one.
type RestoreOptions struct {
	To          []string // COMPONENT=CONNECTION of another place; empty: the configured node
	Locale      string   // to make the databases with, instead of the recorded one
	NoOwner     bool     // everything belongs to the connecting user
	Without     []string // objects to leave out, by the names that the plan has
	FreshVolume bool     // keep the volume of Postgres, and start on an empty one; of an undo: put it back
	// Rename has new instances of a provider take the names of the old ones.
	Rename   bool
	Rehearse bool                     // what is made is removed again
	Only     []holdfast.ComponentName // these components; empty: all
}

func (o RestoreOptions) load() postgres.LoadOptions {
	return postgres.LoadOptions{Locale: o.Locale, NoOwner: o.NoOwner, Without: o.Without}
}

// Leaves makes sure that the set has what --without leaves out.
func (o RestoreOptions) Leaves(set holdfast.Set, components []string) error {
	return leaves(o.Without, set, components)
}

// leaves makes sure that a set has the objects that are to be left out, in those
// components or, with none named, in any.
func leaves(without []string, set holdfast.Set, components []string) error {
	var optional []string
	for _, c := range set.Parts() {
		if len(components) == 0 || slices.Contains(components, string(c.Component)) {
			optional = append(optional, c.Database.Needs.Optional()...)
		}
	}
	for _, name := range without {
		if slices.Contains(optional, name) {
			continue
		}
		can := "nothing of it can be left out"
		if len(optional) > 0 {
			can = "what can be left out is: " + strings.Join(optional, ", ")
		}
		return Usage(fmt.Errorf("--without '%s': set %s has no such object; %s", name, set.ID, can))
	}
	return nil
}

// Covers makes sure that --to and --component name the same components, and
// such as the set has: a restore to another place must not touch this one.
func (o RestoreOptions) Covers(set holdfast.Set, components []string, there databases.Target) error {
	if len(o.To) == 0 {
		return nil
	}
	var names []string
	for _, c := range set.Parts() {
		names = append(names, string(c.Component))
	}
	for name := range there.Addresses {
		if !slices.Contains(names, string(name)) {
			return Usage(fmt.Errorf("--to %s: set %s has no such component; it has %s",
				name, set.ID, strings.Join(names, ", ")))
		}
	}
	if len(components) > 0 {
		names = components
	}
	for _, name := range names {
		if _, ok := there.Addresses[holdfast.ComponentName(name)]; !ok {
			return Usage(fmt.Errorf("--to names no place for %s: add --to %s=CONNECTION, or choose with --component",
				name, name))
		}
	}
	return nil
}

// RestoreTarget is where a set goes, and the databases there.
func (p *Parts) RestoreTarget(
	ctx context.Context, o RestoreOptions, set holdfast.Set, files holdfast.Files,
) (restore.Target, databases.Target, error) {
	if p.refers(set, o) {
		return p.instancesTarget(ctx, o, set, files)
	}
	if o.Rename {
		return restore.Target{}, databases.Target{}, Usage(fmt.Errorf(
			"--rename: set %s has rows, whose databases change names in any case; leave it out", set.ID))
	}
	return p.rowsTarget(ctx, o, set, files)
}

// rowsTarget is where the databases of a set are built by their rows.
func (p *Parts) rowsTarget(
	ctx context.Context, o RestoreOptions, set holdfast.Set, files holdfast.Files,
) (restore.Target, databases.Target, error) {
	if p.kind.Programs != nil && len(o.To) == 0 {
		return p.kind.Programs.RestoreTarget(ctx, o, set, files)
	}
	return p.unmanaged(ctx, o)
}

// UndoTarget is where the newest restore is taken back.
func (p *Parts) UndoTarget(ctx context.Context, o RestoreOptions) (t restore.Target, h restore.History, err error) {
	var d databases.Target
	if p.kind.Programs != nil && len(o.To) == 0 {
		t, d, err = p.kind.Programs.UndoTarget(ctx)
	} else {
		t, d, err = p.unmanaged(ctx, RestoreOptions{To: o.To})
	}
	if err == nil {
		h, err = p.history(ctx, d, o)
	}
	t.Databases = h
	return t, h, err
}

// CleanTarget is where leftovers of restores are.
func (p *Parts) CleanTarget(ctx context.Context, to []string) (t restore.Target, h restore.History, err error) {
	d, err := p.target(ctx, RestoreOptions{To: to})
	if err == nil {
		h, err = p.history(ctx, d, RestoreOptions{To: to})
	}
	if err != nil {
		return t, h, err
	}
	t.Databases = h
	if p.kind.Programs != nil && len(to) == 0 {
		t.Programs, err = p.kind.Programs.Now(ctx)
	}
	return t, h, err
}

// WatchRestored waits until a node in Kubernetes serves, whose databases were restored
// from the set and whose programs the operator installs. Files is the directory of what
// they are installed with; "" where it is not there.
func (p *Parts) WatchRestored(ctx context.Context, set holdfast.Set) (participant, files string, err error) {
	if p.kind.Serves == nil {
		return "", "", Usage(errors.New("restore watch is for nodes in Kubernetes, with kube.namespace in the " +
			"configuration; a restore of another one waits by itself, or starts nothing"))
	}
	for _, c := range set.Parts() {
		if f := c.Facts.Participant; f != nil {
			participant = f.ParticipantID
		}
	}
	err = restore.Watch(ctx, participant, restore.Eyes{Look: p.kind.Serves, Events: p.Events})
	if dir := p.namespaceFiles(set.ID); err == nil {
		if _, absent := os.Lstat(dir); absent == nil {
			files = dir
		}
	}
	return participant, files, err
}

// namespaceFiles is the directory of what a lost namespace is made again with.
func (p *Parts) namespaceFiles(set holdfast.SetID) string {
	return p.nextToConfig(".namespace-" + string(set))
}

// unmanaged is a target whose programs the operator stops and starts. The
// journal is one of the configured node, where it can be kept.
func (p *Parts) unmanaged(ctx context.Context, o RestoreOptions) (restore.Target, databases.Target, error) {
	d, err := p.target(ctx, o)
	t := restore.Target{Databases: d}
	if len(o.To) == 0 && syscall.Access(p.Config.Dir(), 2) == nil { // it may be written to
		t.Journal = p.journal()
	}
	return t, d, err
}

// journal is what remembers an unfinished restore.
func (p *Parts) journal() journal.File {
	return journal.File{Path: p.nextToConfig(".restore.json"), Hide: p.Secrets.HideJSON}
}

// leftUnfinished says that a restore of the node was interrupted; nothing where none
// was.
func leftUnfinished(j restore.Journal) []Finding {
	log, err := j.Read()
	if err == nil && !log.Unfinished() || holdfast.ClassOf(err) == holdfast.WrongKey { // who may not read it, wrote none
		return nil
	}
	if err == nil {
		err = &holdfast.Problem{
			What: fmt.Sprintf("a restore of set %s was interrupted", log.Set),
			Why:  "The node's programs may be stopped.",
			Do:   "`holdfast restore undo` rolls back, `holdfast restore` resumes it.",
		}
	}
	return []Finding{Found("restore", "", err)}
}

// RestoreTarget implements Programs.
func (c *composed) RestoreTarget(
	ctx context.Context, o RestoreOptions, set holdfast.Set, files holdfast.Files,
) (restore.Target, databases.Target, error) {
	programs, err := c.revived(ctx, set, files)
	if err != nil {
		return restore.Target{}, databases.Target{}, err
	}
	programs.Fresh = o.FreshVolume
	return c.managed(programs, o.load())
}

// revived are the programs as they are to be after a restore of the set.
func (c *composed) revived(ctx context.Context, set holdfast.Set, files holdfast.Files) (*compose.Programs, error) {
	engine, err := compose.Connect(c.parts.Config.Compose.DockerHost, c.parts.silence())
	if err != nil {
		return nil, err
	}
	return compose.Revive(ctx, engine, c.site(), set, files)
}

// managed is a target whose programs are stopped and started.
func (c *composed) managed(
	programs *compose.Programs, options postgres.LoadOptions,
) (restore.Target, databases.Target, error) {
	live, err := c.parts.given()
	if err != nil {
		return restore.Target{}, databases.Target{}, err
	}
	maps.Copy(live.Addresses, c.parts.addressesOf(programs.Node))
	participant := programs.Node.Target(holdfast.Participant)
	programs.Notes = c.parts.journal()
	programs.Ready = func(ctx context.Context) error { return answers(ctx, participant) }
	programs.Identity = func(ctx context.Context) (string, error) { return identityOf(ctx, participant) }
	if !programs.Node.External() {
		programs.Beside = live.Beside
	}
	programs.Asked = adminOf(programs.Node).Who
	d := c.parts.targetOf(live, options)
	return restore.Target{Databases: d, Programs: programs, Journal: c.parts.journal()}, d, nil
}

// UndoTarget implements Programs. After a restore that was interrupted the node
// is what that one meant it to be; where its set cannot be read any more, what
// runs, or exists stopped, has to do.
func (c *composed) UndoTarget(ctx context.Context) (restore.Target, databases.Target, error) {
	log, err := c.parts.journal().Read()
	if err != nil {
		return restore.Target{}, databases.Target{}, err
	}
	programs, err := c.interrupted(ctx, log)
	if err != nil {
		return restore.Target{}, databases.Target{}, err
	}
	return c.managed(programs, postgres.LoadOptions{})
}

func (c *composed) interrupted(ctx context.Context, log step.Log) (*compose.Programs, error) {
	var err error
	if log.Unfinished() {
		var programs *compose.Programs
		var from Source
		if from, err = c.parts.Source(ctx, string(log.Set)); err == nil {
			programs, err = c.revived(ctx, from.Set, from.Files)
		}
		if err == nil || ctx.Err() != nil {
			return programs, err
		}
		c.parts.Events.Report(SetUnreadable{log.Set, err})
	}
	n, failed := c.found(ctx)
	if failed != nil {
		return nil, errors.Join(err, failed)
	}
	return &compose.Programs{Node: n, Set: log.Set, Now: time.Now}, nil
}

// SetUnreadable is the event of a restore that is taken back without its set.
type SetUnreadable struct {
	Set   holdfast.SetID
	Cause error
}

func (s SetUnreadable) String() string {
	return fmt.Sprintf("set %s cannot be read (%v); going back from what exists", s.Set, s.Cause)
}

// Now implements Programs.
func (c *composed) Now(ctx context.Context) (restore.Programs, error) {
	n, err := c.found(ctx)
	if err != nil {
		return nil, err
	}
	return &compose.Programs{Node: n, Now: time.Now}, nil
}

// answers asks a database's server for a sign of life.
func answers(ctx context.Context, t libpq.Address) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	conn, err := t.On("postgres").Connect(ctx, libpq.Options{})
	if err != nil {
		return err
	}
	return conn.Close(ctx)
}

// identityOf reads which participant a database is of; "" for one that has not
// been made yet.
func identityOf(ctx context.Context, t libpq.Address) (string, error) {
	conn, err := t.Connect(ctx, libpq.Options{})
	if holdfast.ClassOf(err) == holdfast.Usage { // the server says that there is no such database
		return "", nil
	}
	if err != nil {
		return "", err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	found, err := canton.Recognise(ctx, conn)
	if err != nil || found.Kind != holdfast.Participant {
		return "", err
	}
	return found.ID, nil
}
