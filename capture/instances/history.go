package instances

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"holdfast"
	"holdfast/capture/snapshot"
	"holdfast/step"
)

// Rename does the moves of one step, one after the other. What moves is known by
// its labels or by its resource, wherever an earlier run has left it.
func (t Target) Rename(ctx context.Context, s step.Step) error {
	for _, m := range s.Moves {
		asked := 0
		failed := fmt.Sprintf("%s did not become %s", m.From, m.To)
		if err := t.until(ctx, failed, func(list []snapshot.Server) (bool, error) {
			return t.move(ctx, list, s.Name, m, &asked)
		}); err != nil {
			return err
		}
	}
	return t.protectLike(ctx, s.Name)
}

// protectLike protects the instance that has a place as the one is that made way
// for it.
func (t Target) protectLike(ctx context.Context, place string) error {
	asked := 0
	return t.until(ctx, "the deletion protection of "+place+" was not changed", func(list []snapshot.Server) (bool, error) {
		now, _ := named(list, place)
		m, ours := t.read(now)
		old, found := withResource(list, m.was)
		if !t.Protect || !ours || !found || !old.Protected || now.Protected {
			return true, nil
		}
		asked++
		return false, again(ctx, t.Provider.Protect(ctx, now, true), asked)
	})
}

// again leaves out of an error what is no reason not to look again.
func again(ctx context.Context, err error, asked int) error {
	lost := holdfast.ClassOf(err) == holdfast.Unreachable && asked < tries
	if lost || errors.Is(err, snapshot.ErrBusy) || errors.Is(err, snapshot.ErrNone) { // it may have its new name
		return ctx.Err()
	}
	return err
}

// renaming is the state of a server whose name is being changed.
const renaming = "renaming"

func (t Target) move(ctx context.Context, list []snapshot.Server, of string, m step.Move, asked *int) (bool, error) {
	s, exists := t.subject(list, of, m)
	holder, taken := named(list, m.To)
	switch live := m.To == of; {
	case !exists && m.If:
		return true, nil
	case !exists:
		return false, moved(m, "neither of them is there")
	case s.Name == m.To:
		return s.State != renaming && (s.Takes || !live), nil
	case taken && holder.Resource != s.Resource:
		return false, moved(m, m.To+" is another one")
	case s.Name != m.From:
		return false, moved(m, "it is called "+s.Name)
	case s.State == renaming:
		return false, nil
	}
	*asked++
	err := t.Provider.Rename(ctx, s, m.To)
	if errors.Is(err, snapshot.ErrExists) {
		return false, moved(m, m.To+" is another one")
	}
	return false, again(ctx, err, *asked)
}

func moved(m step.Move, what string) error {
	return &holdfast.Problem{
		Class: holdfast.Refused, What: fmt.Sprintf("%s cannot become %s: %s", m.From, m.To, what),
		Why: "Somebody has renamed, made or deleted one meanwhile.",
		Do:  "Give them in the provider's console the names that the plan has, then run the command again.",
	}
}

// subject is the server that a move is about: the one that the set's restore
// made, or the one that it made way for.
func (t Target) subject(list []snapshot.Server, of string, m step.Move) (snapshot.Server, bool) {
	label := cmp.Or(m.Label, m.Was)
	if label == nil {
		return snapshot.Server{}, false
	}
	fresh, made := t.latest(list, label.Set, of)
	switch {
	case label.Role != step.Previous:
		return fresh.Server, made
	case made:
		return withResource(list, fresh.was)
	}
	s, found := named(list, m.From) // the one that was made is lost
	if !found {
		s, found = named(list, m.To)
	}
	return s, found
}

// Drop deletes a server that a restore made and that is not in place. One that
// does not exist is as good as deleted.
func (t Target) Drop(ctx context.Context, _ holdfast.ComponentName, name string) error {
	asked := 0
	return t.until(ctx, name+" was not deleted", func(list []snapshot.Server) (bool, error) {
		there, exists := named(list, name)
		if !exists || there.State == deleting {
			return true, nil
		}
		if err := t.removable(there); err != nil {
			return false, err
		}
		asked++
		var err error
		if there.Protected {
			err = t.Provider.Protect(ctx, there, false)
		} else {
			err = t.Provider.Delete(ctx, there)
		}
		return false, again(ctx, err, asked)
	})
}

// removable refuses everything but what a restore of this node made, and that
// nothing is known to use.
func (t Target) removable(s snapshot.Server) error {
	why := ""
	switch m, ours := t.read(s); {
	case !ours:
		why = "Its labels do not say that a restore of this node made it."
	case m.inPlace():
		why = "It has the place of the one that it was made for."
	case slices.ContainsFunc(t.Members, func(m Member) bool { return m.Instance == s.Name }):
		why = "The configuration names it: the node uses it."
	default:
		return nil
	}
	return &holdfast.Problem{
		Class: holdfast.Refused, What: s.String() + " is not deleted", Why: why,
		Do: "If it is not needed, delete it with the provider's tools.",
	}
}

// Discard keeps a server that was made: the next restore of the set goes on
// with it.
func (t Target) Discard(ctx context.Context, _ holdfast.ComponentName, name string) (kept bool, err error) {
	list, err := t.Provider.Servers(ctx)
	_, kept = named(list, name)
	return kept, err
}

// Leftovers are the servers that restores made and that are not in place, and
// those that made way for the ones that are.
func (t Target) Leftovers(ctx context.Context) ([]step.Leftover, error) {
	list, err := t.Provider.Servers(ctx)
	if err != nil {
		return nil, err
	}
	var out []step.Leftover
	all := t.all(list)
	for _, m := range all {
		l := step.Leftover{Name: m.Name, Bytes: -1, Instance: true, Cluster: m.Cluster, Label: step.Label{
			Role: step.New, Database: m.of, Component: t.component(m.of), Set: m.set, At: together(all, m.set),
		}}
		switch old, found := withResource(list, m.was); {
		case m.inPlace() && found:
			l.Role, l.Name = step.Previous, old.Name
		case m.inPlace(), slices.ContainsFunc(t.Members, func(o Member) bool { return o.Instance == m.Name }):
			continue
		}
		out = append(out, l)
	}
	return out, nil
}

// together is when the servers of a set were made: one time for all of them, by
// which an undo knows what belongs together.
func together(all []made, set holdfast.SetID) (at time.Time) {
	for _, m := range all {
		if m.set == set && m.at.After(at) {
			at = m.at
		}
	}
	return at
}

// component is the one whose databases a server has; "" for several.
func (t Target) component(instance string) holdfast.ComponentName {
	var on []holdfast.ComponentName
	for _, m := range t.Members {
		if m.Instance == instance {
			on = append(on, m.Component.Name)
		}
	}
	if len(on) != 1 {
		return ""
	}
	return on[0]
}

// Back are the steps that give the servers their names back, the participant's
// first: in between, the validator app's state is the older one.
func (t Target) Back(_ context.Context, previous []step.Leftover, at time.Time) ([]step.Step, error) {
	var out []step.Step
	for _, l := range previous {
		label := step.Label{Database: l.Database, Component: l.Component, Set: l.Set, At: at}
		fresh, old := label, label
		fresh.Role, old.Role = step.New, step.Previous
		s := step.Step{Act: step.Rename, Kind: kind(l.Cluster), Name: l.Database, Moves: []step.Move{
			{From: l.Database, To: NewName(l.Set, l.Database), Label: &fresh},
			{From: l.Name, To: l.Database, Was: &old},
		}}
		if t.has(l.Database, holdfast.Participant) {
			out = slices.Insert(out, 0, s)
		} else {
			out = append(out, s)
		}
	}
	return out, nil
}

func kind(cluster bool) step.Kind {
	if cluster {
		return step.Cluster
	}
	return step.Instance
}

func (t Target) has(instance string, kind holdfast.Kind) bool {
	return slices.ContainsFunc(t.Members, func(m Member) bool { return m.Instance == instance && m.Component.Kind == kind })
}

// Fit leaves out of a way back what is gone already and, with keep, what may hold
// what nothing else does.
func (t Target) Fit(ctx context.Context, back []step.Step, keep bool, _ time.Time) ([]step.Step, error) {
	list, err := t.Provider.Servers(ctx)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(back, func(s step.Step) bool {
		if !s.Kind.Rented() || s.Act != step.Drop && s.Act != step.Discard {
			return false
		}
		fresh := slices.ContainsFunc(t.all(list), func(m made) bool { return NewName(m.set, m.of) == s.Name })
		return keep || !fresh
	}), nil
}

// Remove deletes leftovers. What made way for another one is the operator's: its
// labels do not say that a restore made it.
func (t Target) Remove(ctx context.Context, list []step.Leftover) error {
	for _, l := range list {
		if err := t.unused(ctx, l.Name); err != nil {
			return err
		}
		if err := t.Drop(ctx, l.Component, l.Name); err != nil {
			return err
		}
	}
	return nil
}

// unused refuses a server that somebody is connected to.
func (t Target) unused(ctx context.Context, name string) error {
	list, err := t.Provider.Servers(ctx)
	if err != nil {
		return err
	}
	there, exists := named(list, name)
	if !exists || !there.Takes {
		return nil
	}
	m, ours := t.read(there)
	if !ours {
		return t.removable(there)
	}
	for _, member := range t.Members {
		if member.Instance != m.of {
			continue
		}
		sessions, err := member.Live.At(there.Host, there.Port).Sessions(ctx)
		if err == nil && len(sessions) == 0 {
			continue
		}
		p := &holdfast.Problem{
			Class: holdfast.Refused, What: fmt.Sprintf("%s may be in use", there), Err: err,
			Why: "A node that was pointed at it would lose its databases.",
			Do:  "Stop what uses it, and try again. If it is not needed, delete it with the provider's tools.",
		}
		if len(sessions) > 0 {
			p.What = fmt.Sprintf("%s is in use by %s", there, sessions[0].What)
		}
		return p
	}
	return nil
}

// Place is where a component's database is once it was restored.
type Place struct {
	Component holdfast.Component
	Instance  string
	Cluster   bool   // it is a cluster
	Of        string // what the node still uses
	Host      string
	Port      int
}

// Places are those of a set's components.
func (t Target) Places(ctx context.Context, set holdfast.SetID, names []holdfast.ComponentName) ([]Place, error) {
	list, err := t.Provider.Servers(ctx)
	if err != nil {
		return nil, err
	}
	var out []Place
	for _, name := range names {
		m, err := t.member(name)
		if err != nil {
			return nil, err
		}
		if s, found := named(list, NewName(set, m.Instance)); found {
			out = append(out, Place{m.Component, s.Name, s.Cluster, m.Instance, s.Host, s.Port})
		}
	}
	return out, nil
}
