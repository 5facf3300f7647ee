package instances

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"holdfast"
	"holdfast/capture/postgres"
)

// Lifetime is how long a temporary instance may be there. Whoever makes one stops reading it
// before that, so that everybody may remove it afterwards.
const Lifetime = 24 * time.Hour

// Temporary is a server that a set's snapshot is to become, to be read.
type Temporary struct {
	Name       string
	Cluster    bool
	Like       string // the one that it is set up like
	Snapshot   string
	Class      string  // "" where the provider chooses it
	Members    int     // that run it, each of that class
	Units      float64 // at most, of one whose class is charged by its load; 0 of others
	Bytes      int64   // of its storage; 0: unknown
	Grows      bool    // storage that is charged by what is in it
	Components []holdfast.ComponentName
}

func (t Temporary) String() string {
	var names []string
	for _, c := range t.Components {
		names = append(names, string(c))
	}
	out := fmt.Sprintf("%s of snapshot %s (%s), like %s", t.Name, t.Snapshot, strings.Join(names, ", "), t.Like)
	if t.Cluster {
		out = "cluster " + out
	}
	if t.Class != "" {
		out += ", class " + t.Class
	}
	if t.Members > 1 {
		out += fmt.Sprintf(", %d members", t.Members)
	}
	if t.Units > 0 {
		out += fmt.Sprintf(" of at most %v units", t.Units)
	}
	if t.Bytes > 0 {
		out += fmt.Sprintf(", %d GB of storage", t.Bytes>>30)
	}
	return out
}

// Temporaries are those that a set needs. It requests none, and refuses a set of
// which a snapshot is not there.
func (t Target) Temporaries(ctx context.Context, set holdfast.Set) ([]Temporary, error) {
	list, err := t.Provider.Servers(ctx)
	if err != nil {
		return nil, err
	}
	var out []Temporary
	for _, part := range set.Parts() {
		d, err := t.Look(ctx, set.ID, part)
		if err != nil {
			return nil, err
		}
		i := slices.IndexFunc(out, func(o Temporary) bool { return o.Name == d.New })
		if i < 0 {
			ref, _ := t.reference(part)
			kept, err := t.Provider.Snapshot(ctx, ref.ID)
			if err != nil {
				return nil, err
			}
			b := t.building(set.ID, d, ref)
			shape := b.shape(list)
			one := Temporary{
				Name: d.New, Cluster: kept.Cluster, Like: d.Instance, Snapshot: ref.ID, Class: shape.Class, Members: kept.Runs,
				Bytes: kept.Bytes, Grows: kept.Grows,
			}
			if c := shape.Cluster; c != nil && c.Serverless != nil && strings.HasSuffix(shape.Class, ".serverless") {
				one.Units = c.Serverless.Max
			}
			i, out = len(out), append(out, one)
		}
		out[i].Components = append(out[i].Components, part.Component)
	}
	return out, nil
}

// Request requests the temporary servers of a set and does not wait for them: they are made
// next to each other.
func (t Target) Request(ctx context.Context, set holdfast.Set) error {
	for _, part := range set.Parts() {
		d, err := t.Look(ctx, set.ID, part)
		if err != nil {
			return err
		}
		ref, err := t.reference(part)
		if err != nil {
			return err
		}
		list, err := t.Provider.Servers(ctx)
		if err != nil {
			return err
		}
		if _, exists := named(list, d.New); exists {
			continue
		}
		b := t.building(set.ID, d, ref)
		if _, _, err := b.further(ctx, list); err != nil {
			return err
		}
	}
	return nil
}

// On is a component's database on the temporary server that was made for it.
func (t Target) On(ctx context.Context, set holdfast.SetID, c holdfast.ComponentName) (postgres.Live, error) {
	m, err := t.member(c)
	if err != nil {
		return postgres.Live{}, err
	}
	list, err := t.Provider.Servers(ctx)
	if err != nil {
		return postgres.Live{}, err
	}
	name := t.purpose().name(set, m.Instance)
	there, exists := named(list, name)
	if !exists || !there.Takes {
		return postgres.Live{}, &holdfast.Problem{
			Class: holdfast.Failed, What: name + " is not there any more",
			Why: "Somebody deleted it, or the provider did.", Do: "Run the command again: it makes another one.",
		}
	}
	return m.Live.At(there.Host, there.Port), nil
}

// Sweep removes the temporary servers of the node that are due, and returns their names.
// One that is being made can be removed only when it is there, so it waits. An
// error says which are left.
func (t Target) Sweep(ctx context.Context, due func(until time.Time) bool) ([]string, error) {
	list, err := t.Provider.Servers(ctx)
	if err != nil {
		return nil, err
	}
	var removed []string
	var failures []error
	for _, m := range t.all(list) {
		if !due(m.till) {
			continue
		}
		if err := t.Drop(ctx, "", m.Name); err != nil {
			failures = append(failures, fmt.Errorf("temporary %s is left, and costs until it is deleted: %w", m, err))
			continue
		}
		removed = append(removed, m.String())
	}
	return removed, errors.Join(failures...)
}
