package instances

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"holdfast"
	"holdfast/capture/postgres"
	"holdfast/capture/snapshot"
	"holdfast/content"
	"holdfast/event"
	"holdfast/step"
	"holdfast/target"
)

// Provider runs servers, which are instances and clusters of them, and keeps snapshots
// of them.
type Provider interface {
	// Keeper is what a manifest calls it.
	Keeper() string
	// Servers are all in the account. A cluster's members are no servers of their own.
	Servers(ctx context.Context) ([]snapshot.Server, error)
	// Snapshot returns a snapshot, or snapshot.ErrNone.
	Snapshot(ctx context.Context, name string) (snapshot.Snapshot, error)
	// Restore requests a server that is made of a snapshot, and does not wait for it.
	// snapshot.ErrExists says that one of that name is there.
	Restore(
		ctx context.Context, name string, from snapshot.Snapshot, shape content.Shape, labels map[string]string,
	) error
	// Populate requests the first member of a bare cluster, and does not wait for it.
	Populate(ctx context.Context, of snapshot.Server, member string, shape content.Shape, labels map[string]string) error
	// Rename requests another name. snapshot.ErrBusy says that the server takes no
	// request now, and snapshot.ErrNone that it does not exist, as of Protect and Delete.
	Rename(ctx context.Context, of snapshot.Server, to string) error
	// Protect turns the protection from deletion on or off.
	Protect(ctx context.Context, of snapshot.Server, on bool) error
	// Delete requests the end of a server, of a cluster the end of its members first:
	// snapshot.ErrBusy says that it is to be called again. One that is gone is no error.
	Delete(ctx context.Context, of snapshot.Server) error
}

// Target is a node whose databases are on a provider's instances, as the target of
// a restore. It implements restore.History.
type Target struct {
	Provider Provider
	Node     holdfast.NodeName
	Members  []Member
	// Swap says that the new instances take the names of the old ones. Without it
	// the operator points the node at them.
	Swap bool
	// Protect says that a new instance is protected from deletion, as the old one
	// is, as soon as it is proven and in place or, without Swap, proven.
	Protect bool
	// Until makes temporary instances of what is made: instances that are read, are used by
	// nobody, and may be removed by everybody from then on. Zero: they are to stay.
	Until time.Time
	// Resumes is the set whose restore was interrupted; "" for none.
	Resumes holdfast.SetID
	// Databases keeps other restores and backups out of the live databases.
	Databases interface {
		Lock(ctx context.Context, swap bool) (held func(context.Context) error, release func(), err error)
	}
	Options Options
}

// Member is a component, and the instance or the cluster that its live database is on.
type Member struct {
	Component holdfast.Component
	Instance  string
	// Named is what the configuration says instead: a member of that cluster; "" where
	// it says the same.
	Named string
	Live  postgres.Live
}

// Options bound the waiting. The zero value is usable.
type Options struct {
	Poll   time.Duration // between two questions to the provider; 0 means 15 s
	Within time.Duration // for an instance to be made, or to change its name; 0 means 6 h
	Events event.Listener
}

func (t Target) member(name holdfast.ComponentName) (Member, error) {
	i := slices.IndexFunc(t.Members, func(m Member) bool { return m.Component.Name == name })
	if i < 0 {
		return Member{}, &holdfast.Problem{
			Class: holdfast.Usage, What: fmt.Sprintf("the configuration names no instance for component %s", name),
			Why: "A provider's snapshot comes back as an instance, in the place of the one that the component uses.",
			Do:  "Add databases." + string(name) + ".rds.instance to holdfast.yaml, or leave it out with --component.",
		}
	}
	return t.Members[i], nil
}

// reference is the snapshot that a set has of a component.
func (t Target) reference(c holdfast.Part) (content.Reference, error) {
	ref, ok := c.Content.(content.Reference)
	switch {
	case !ok:
		return ref, &holdfast.Problem{
			Class: holdfast.Refused, What: fmt.Sprintf("the set has the rows of %s, and no snapshot of its instance", c.Component),
			Why: "Rows and snapshots come back in different ways.",
			Do:  "Restore them one after the other, with the programs stopped: --component.",
		}
	case ref.Keeper != t.Provider.Keeper():
		return ref, &holdfast.Problem{
			Class: holdfast.Refused, What: fmt.Sprintf("the snapshot of %s is kept by %s, not by %s", c.Component, ref.Keeper,
				t.Provider.Keeper()),
			Do: "Correct rds.region in holdfast.yaml.",
		}
	}
	return ref, nil
}

// Names says what will be called what, as far as that is known without the provider.
func (t Target) Names(set holdfast.SetID, c holdfast.Part) (target.Database, error) {
	ref, err := t.reference(c)
	if err != nil {
		return target.Database{}, err
	}
	m, err := t.member(c.Component)
	return target.Database{
		Component: c.Component, Instance: m.Instance, Database: m.Instance, New: t.purpose().name(set, m.Instance),
		Where: fmt.Sprintf("%s %s, %s", snapshot.What(ref.Shape.IsCluster()), m.Instance, m.Live.Where()),
		Fit:   target.Compatibility{Server: c.Server, KeepOwners: true, DatabaseBytes: c.Database.Bytes},
	}, err
}

// Look says what is there now: the snapshot, the live instance, and what an earlier
// run has made.
func (t Target) Look(ctx context.Context, set holdfast.SetID, c holdfast.Part) (target.Database, error) {
	out, err := t.Names(set, c)
	if err != nil {
		return out, err
	}
	ref, _ := t.reference(c)
	from, err := t.there(ctx, c, ref)
	if err != nil {
		return out, err
	}
	out.Cluster = from.Cluster
	if t.purpose() == temporary { // the live instance is none of its business
		return out, nil
	}
	list, err := t.Provider.Servers(ctx)
	if err != nil {
		return out, err
	}
	live, found := named(list, out.Instance)
	fresh, made := t.latest(list, set, out.Instance)
	switch {
	case made && fresh.inPlace() && t.Resumes == set:
		out.Ready, out.InPlace, out.New, out.Live = true, &fresh.at, out.Database, true
		return out, nil
	case made && !fresh.inPlace() && fresh.State != deleting:
		out.Ready = true
	}
	if !found {
		t.gone(list, &out, fresh, ref)
		return out, t.misnamed(c, out, ref)
	}
	out.Live = true
	if t.Swap {
		out.Previous = previousName(set, live)
	}
	if err := t.misnamed(c, out, ref); err != nil {
		return out, err
	}
	if t.Swap && live.Cluster != from.Cluster {
		return out, &holdfast.Problem{
			Class: holdfast.Refused,
			What:  fmt.Sprintf("the snapshot of %s becomes %s, and its place has %s", c.Component, article(from.Cluster), live),
			Why:   "The two have addresses of different kinds, so none stays by a change of names.",
			Do:    "Leave out --rename: Holdfast then says where to write the new address.",
		}
	}
	if from.Grows && len(live.Members) > 1 {
		out.Fit.Differences = append(out.Fit.Differences, target.Difference{
			What: fmt.Sprintf("%s has %d members, and the new one gets one, which writes", live, len(live.Members)),
			Do: fmt.Sprintf("Add the readers when it is there: `aws rds create-db-instance --db-cluster-identifier %s "+
				"--engine %s --db-instance-class %s --db-instance-identifier NAME`", live.Name, from.Engine, live.Shape.Class),
		})
	}
	return out, t.look(ctx, &out)
}

// there is the snapshot of a component. It refuses one that is not there any more, or
// is another one.
func (t Target) there(ctx context.Context, c holdfast.Part, ref content.Reference) (snapshot.Snapshot, error) {
	s, err := t.Provider.Snapshot(ctx, ref.ID)
	what := ""
	switch {
	case errors.Is(err, snapshot.ErrNone):
		what = "does not exist any more"
	case err != nil:
		return s, err
	case s.Phase != snapshot.Ready:
		what = "is " + s.State
	case s.CopyOf != "":
		what = "is a copy of " + s.CopyOf
	case s.Resource != ref.Resource:
		what = fmt.Sprintf("is of resource %s, and the set's is of %s", s.Resource, ref.Resource)
	default:
		return s, nil
	}
	return s, &holdfast.Problem{
		Class: holdfast.Refused, What: fmt.Sprintf("snapshot %s of %s, kept by %s, %s", ref.ID, c.Component, ref.Keeper, what),
		Why: "The set has no more of this component than the name of the snapshot.",
		Do:  "Choose another set: `holdfast list --state proven`.",
	}
}

// misnamed refuses what has to have the name of a cluster where the configuration names
// a member of it: members keep their names when clusters change theirs.
func (t Target) misnamed(c holdfast.Part, d target.Database, ref content.Reference) error {
	m, err := t.member(c.Component)
	cluster := m.Instance
	switch {
	case err != nil:
		return err
	case m.Named != "" && t.Swap:
	case !d.Live && !d.Renamed && ref.Shape.IsCluster() && slices.Contains(ref.Shape.Cluster.Members, m.Instance):
		m.Named, cluster = m.Instance, ref.Source
	default:
		return nil
	}
	return &holdfast.Problem{
		Class: holdfast.Refused,
		What:  fmt.Sprintf("the configuration names %s for %s, a member of cluster %s", m.Named, c.Component, cluster),
		Why:   "A new cluster takes the name of the old one, and none of its members' names: they stay with the old one.",
		Do:    fmt.Sprintf("In holdfast.yaml: databases.%s.rds.instance: %s. Then run the command again.", c.Component, cluster),
	}
}

func article(cluster bool) string {
	if cluster {
		return "a cluster"
	}
	return "an instance"
}

// gone completes what is known where no instance has the live one's name: an
// interrupted run has renamed it, or it is lost.
func (t Target) gone(list []snapshot.Server, out *target.Database, fresh made, ref content.Reference) {
	if old, ok := withResource(list, fresh.was); ok {
		out.Renamed, out.Previous = true, old.Name
		return
	}
	what := snapshot.What(out.Cluster)
	d := target.Difference{
		What: fmt.Sprintf("%s %s does not exist; the new one is set up as the set recorded", what, out.Instance),
	}
	if ref.Shape == nil {
		d.What = fmt.Sprintf("%s %s does not exist, and the set did not record how it was set up", what, out.Instance)
		d.Do = "The provider's defaults are taken: look at its subnet group, security groups and parameter group afterwards."
	}
	out.Fit.Differences = append(out.Fit.Differences, d)
}

// look reads the live database. One that is wrecked says nothing, and that must
// not stop its rescue.
func (t Target) look(ctx context.Context, out *target.Database) error {
	m, err := t.member(out.Component)
	if err != nil {
		return err
	}
	if now, err := m.Live.Read(ctx, m.Component); err == nil {
		out.Now, out.Bytes = &now.Facts, now.Database.Bytes
	}
	if t.Swap {
		out.Obstacles, _ = m.Live.Sessions(ctx)
	}
	return ctx.Err()
}

// Lock keeps others out of the live databases. While an instance does not exist,
// nobody can use what was on it.
func (t Target) Lock(ctx context.Context, swap bool) (held func(context.Context) error, release func(), err error) {
	held, release, err = t.Databases.Lock(ctx, swap)
	if holdfast.ClassOf(err) != holdfast.Unreachable {
		return held, release, err
	}
	list, failed := t.Provider.Servers(ctx)
	if failed != nil {
		return nil, nil, errors.Join(err, failed)
	}
	for _, m := range t.Members {
		if _, there := named(list, m.Instance); !there {
			return func(context.Context) error { return nil }, func() {}, nil
		}
	}
	return nil, nil, err
}

// Swaps are the steps that put the new instances in place, the validator app's
// first: in between, its state is older than the participant's, as in a set.
func (t Target) Swaps(set holdfast.SetID, at time.Time, list []target.Database) []step.Step {
	var out []step.Step
	for _, d := range list {
		done := slices.ContainsFunc(out, func(s step.Step) bool { return s.Name == d.Database })
		if !t.Swap || d.InPlace != nil || done {
			continue
		}
		label := step.Label{Database: d.Database, Component: d.Component, Set: set, At: at}
		previous, fresh := label, label
		previous.Role, fresh.Role = step.Previous, step.New
		s := step.Step{Act: step.Rename, Kind: kind(d.Cluster), Name: d.Database}
		switch {
		case d.Live:
			s.Moves = append(s.Moves, step.Move{From: d.Database, To: d.Previous, Label: &previous})
		case d.Renamed:
			s.Moves = append(s.Moves, step.Move{From: d.Previous, To: d.Previous, Label: &previous})
		}
		s.Moves = append(s.Moves, step.Move{From: d.New, To: d.Database, Was: &fresh})
		out = append(out, s)
	}
	return out
}
