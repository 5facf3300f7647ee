package setup

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"holdfast"
	"holdfast/capture/instances"
	"holdfast/capture/postgres"
	"holdfast/capture/rds"
	"holdfast/capture/snapshot"
	"holdfast/databases"
	"holdfast/restore"
	"holdfast/step"
)

// refers reports whether the components that are restored are snapshots that a
// provider keeps of which instances can be made. A set that has both kinds is
// refused by whoever looks at it, and so is a snapshot of any other keeper.
func (p *Parts) refers(set holdfast.Set, o RestoreOptions) bool {
	return len(o.To) == 0 && slices.ContainsFunc(set.Parts(), func(c holdfast.Part) bool {
		return rds.Keeps(c.Capture) && (len(o.Only) == 0 || slices.Contains(o.Only, c.Component))
	})
}

// instancesTarget is a node whose instances are made of snapshots. Its programs
// are stopped and started where the new instances take the names of the old ones;
// else nothing that the node uses is touched.
func (p *Parts) instancesTarget(
	ctx context.Context, o RestoreOptions, set holdfast.Set, files holdfast.Files,
) (t restore.Target, d databases.Target, err error) {
	if o.Rename {
		t, d, err = p.rowsTarget(ctx, o, set, files)
	} else {
		t, d, err = p.unmanaged(ctx, o)
	}
	if err != nil {
		return t, d, err
	}
	made, err := p.instances(ctx, d)
	if err != nil {
		return t, d, err
	}
	if t.Journal != nil {
		log, err := t.Journal.Read()
		if err != nil {
			return t, d, err
		}
		if log.Unfinished() {
			made.Resumes = log.Set
		}
	}
	made.Swap, made.Protect = o.Rename, !o.Rehearse
	t.Databases = made
	return t, d, nil
}

// instances are those that the configuration names: instances, and clusters.
func (p *Parts) instances(ctx context.Context, d databases.Target) (instances.Target, error) {
	account, err := p.rdsAccount(ctx)
	if err != nil {
		return instances.Target{}, err
	}
	c := p.Config.RDS
	out := instances.Target{
		Provider: rds.Servers{Account: account}, Node: p.Node.Name, Databases: d,
		Options: instances.Options{Poll: time.Duration(c.Poll), Within: time.Duration(c.Within), Events: p.Events},
	}
	for _, component := range p.Node.Components {
		of := p.Config.Databases[string(component.Name)]
		if of.RDS.Instance == "" {
			continue
		}
		m := instances.Member{
			Component: component, Live: postgres.Live{Address: d.Addresses[component.Name], Facts: readFacts},
		}
		if m.Instance, err = account.Named(ctx, of.RDS.Instance); err != nil {
			return out, err
		}
		if m.Instance != of.RDS.Instance {
			m.Named = of.RDS.Instance
		}
		out.Members = append(out.Members, m)
	}
	return out, nil
}

// history is what restores have left: databases next to others and, of a node on
// a provider's instances, instances.
func (p *Parts) history(ctx context.Context, d databases.Target, o RestoreOptions) (restore.History, error) {
	if !p.rented() || len(o.To) > 0 {
		return d, nil
	}
	made, err := p.instances(ctx, d)
	return mixed{d, made}, err
}

// mixed is the history of a node of which dumps and snapshots were restored: a
// restore of one kind at a time.
type mixed struct {
	databases.Target
	made instances.Target
}

// Lock implements restore.History.
func (m mixed) Lock(ctx context.Context, swap bool) (func(context.Context) error, func(), error) {
	return m.made.Lock(ctx, swap)
}

// Rename implements restore.History.
func (m mixed) Rename(ctx context.Context, s step.Step) error {
	if s.Kind.Rented() {
		return m.made.Rename(ctx, s)
	}
	return m.Target.Rename(ctx, s)
}

// Drop implements restore.History.
func (m mixed) Drop(ctx context.Context, component holdfast.ComponentName, name string) error {
	if instances.IsNew(name) {
		return m.made.Drop(ctx, component, name)
	}
	return m.Target.Drop(ctx, component, name)
}

// Discard implements restore.History.
func (m mixed) Discard(ctx context.Context, component holdfast.ComponentName, name string) (bool, error) {
	if instances.IsNew(name) {
		return m.made.Discard(ctx, component, name)
	}
	return m.Target.Discard(ctx, component, name)
}

// Leftovers implements restore.History. What an instance that is lost had left
// does not keep the one from coming back that it took the place of.
func (m mixed) Leftovers(ctx context.Context) ([]step.Leftover, error) {
	made, err := m.made.Leftovers(ctx)
	if err != nil {
		return nil, err
	}
	built, err := m.Target.Leftovers(ctx)
	back := slices.ContainsFunc(made, func(l step.Leftover) bool { return l.Role == step.Previous })
	if back && holdfast.ClassOf(err) == holdfast.Unreachable {
		err = nil
	}
	return append(made, built...), err
}

// Back implements restore.History: what one restore has replaced is of one kind.
func (m mixed) Back(ctx context.Context, previous []step.Leftover, at time.Time) ([]step.Step, error) {
	if slices.ContainsFunc(previous, func(l step.Leftover) bool { return l.Instance }) {
		return m.made.Back(ctx, previous, at)
	}
	return m.Target.Back(ctx, previous, at)
}

// Fit implements restore.History.
func (m mixed) Fit(ctx context.Context, back []step.Step, keep bool, at time.Time) ([]step.Step, error) {
	if slices.ContainsFunc(back, func(s step.Step) bool { return s.Kind.Rented() }) {
		return m.made.Fit(ctx, back, keep, at)
	}
	return m.Target.Fit(ctx, back, keep, at)
}

// Remove implements restore.History.
func (m mixed) Remove(ctx context.Context, list []step.Leftover) error {
	var made, built []step.Leftover
	for _, l := range list {
		if l.Instance {
			made = append(made, l)
		} else {
			built = append(built, l)
		}
	}
	return errors.Join(m.made.Remove(ctx, made), m.Target.Remove(ctx, built))
}

// Repoint says what is left to change by hand after a restore that made instances
// and gave them no other names: where the node still uses the old ones.
func (p *Parts) Repoint(ctx context.Context, t restore.Target, r restore.Report, onlyProve bool) ([]string, error) {
	made, ok := t.Databases.(instances.Target)
	if !ok || r.Swapped || onlyProve {
		return nil, nil
	}
	var names []holdfast.ComponentName
	for _, d := range r.Done {
		names = append(names, d.Component)
	}
	places, err := made.Places(ctx, r.Set, names)
	if err != nil {
		return nil, err
	}
	out := []string{"Stop the validator app and the participant, and make sure that they do not start again."}
	for _, at := range places {
		out = append(out, p.pointedAt(at)...)
	}
	return append(out, "Start the participant first, look at its identity, then the validator app.",
		"Keep the old instances until the node is well. To go back, write the old addresses again."), nil
}

// pointedAt says where an address is written, by the way in which the node is deployed.
func (p *Parts) pointedAt(at instances.Place) []string {
	name := at.Component.Name
	out := []string{fmt.Sprintf("%s is on %s %s, at %s:%d, in the place of %s.", name, snapshot.What(at.Cluster), at.Instance,
		at.Host, at.Port, at.Of)}
	helm := fmt.Sprintf("Helm, in the values of the %s: persistence.host: %s, persistence.port: %d.", name, at.Host, at.Port)
	service := fmt.Sprintf("A Service of type ExternalName: kubectl patch service NAME -p '{\"spec\":{\"externalName\":\"%s\"}}'.", at.Host)
	compose := fmt.Sprintf("Docker Compose, in .env: SPLICE_DB_SERVER=%s, SPLICE_DB_PORT=%d.", at.Host, at.Port)
	switch {
	case p.Config.Compose != nil:
		out = append(out, compose)
	case p.Config.Kube != nil:
		out = append(out, helm, service)
	default:
		out = append(out, compose, helm, service)
	}
	return append(out, fmt.Sprintf("holdfast.yaml: databases.%s: the host and port in connection, and rds.instance: %s.",
		name, at.Instance))
}
