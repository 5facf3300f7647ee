package setup

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"holdfast"
	"holdfast/backup"
	"holdfast/capture/postgres"
	"holdfast/capture/rds"
	"holdfast/capture/snapshot"
	"holdfast/check"
	"holdfast/config"
	"holdfast/databases"
	"holdfast/repository"
)

// rdsAccount is Amazon RDS as the configuration reaches it.
func (p *Parts) rdsAccount(ctx context.Context) (rds.Account, error) {
	c := p.Config.RDS
	return rds.Open(ctx, rds.Options{Region: c.Region, Profile: c.Profile, Endpoint: c.Endpoint, CA: c.CA})
}

// provided adds the sources of components whose provider keeps their snapshots. Those
// of one instance are captured as one.
func (p *Parts) provided(
	ctx context.Context, live databases.Live, components []holdfast.Component, out *sources,
) error {
	if len(components) == 0 {
		return nil
	}
	account, err := p.rdsAccount(ctx)
	if err != nil {
		return err
	}
	c := p.Config.RDS
	var all []snapshot.Source
	var servers []rds.Source
	for _, component := range components {
		found, err := account.Find(ctx, p.Config.Databases[string(component.Name)].RDS.Instance)
		if err != nil {
			return fmt.Errorf("databases.%s: %w", component.Name, err)
		}
		at := slices.Index(servers, found)
		if at < 0 {
			at = len(servers)
			servers = append(servers, found)
			all = append(all, snapshot.Source{Keeper: found, Node: p.Node.Name, Options: snapshot.Options{
				Poll: time.Duration(c.Poll), Await: time.Duration(c.Await), Within: time.Duration(c.Within), Events: p.Events,
			}})
		}
		all[at].Members = append(all[at].Members, snapshot.Member{
			Component: component,
			Live:      postgres.Live{Address: live.Addresses[component.Name], Facts: readFacts},
		})
	}
	for _, s := range all {
		var names []holdfast.ComponentName
		for _, m := range s.Members {
			names = append(names, m.Component.Name)
			out.of[m.Component.Name] = backup.Source(s)
		}
		if len(names) > 1 {
			out.together = append(out.together, names)
		}
	}
	_, err = p.Node.Units(out.together)
	return err
}

// shelves are where the node's snapshots lie that a provider keeps.
func (p *Parts) shelves(ctx context.Context) ([]rds.Source, error) {
	var names []string
	for _, d := range p.Config.Databases {
		if d.Method == config.MethodRDS && !slices.Contains(names, d.RDS.Instance) {
			names = append(names, d.RDS.Instance)
		}
	}
	if len(names) == 0 {
		return nil, nil
	}
	slices.Sort(names)
	account, err := p.rdsAccount(ctx)
	if err != nil {
		return nil, err
	}
	var out []rds.Source
	for _, name := range names {
		found, err := account.Find(ctx, name)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(out, found) {
			out = append(out, found)
		}
	}
	return out, nil
}

// dumpEvery is how often the databases are dumped whose snapshots a provider takes.
func (p *Parts) dumpEvery() time.Duration {
	return cmp.Or(time.Duration(p.Config.RDS.DumpEvery), 7*24*time.Hour)
}

// rowsDue reports whether the rows of databases whose snapshots a provider takes are
// to be read into the repository again: the provider's account may be lost as a whole.
func (p *Parts) rowsDue(ctx context.Context) (bool, error) {
	if !p.rented() {
		return false, nil
	}
	r, err := p.Repository(ctx)
	if err != nil {
		return false, err
	}
	entries, err := r.Sets(ctx, p.Node.Name)
	if err != nil {
		return false, err
	}
	since := time.Now().Add(-p.dumpEvery())
	recent := slices.DeleteFunc(entries, func(e repository.Entry) bool {
		return e.State != holdfast.Proven || e.Ended.Before(since)
	})
	list, err := r.ManifestsOf(ctx, recent)
	if err != nil {
		return false, err
	}
	return !slices.ContainsFunc(list, func(m repository.Read) bool { return m.Err == nil && !m.Set.KeptElsewhere() }), nil
}

// rented reports whether a provider takes snapshots of one of the databases.
func (p *Parts) rented() bool {
	for _, d := range p.Config.Databases {
		if d.Method == config.MethodRDS {
			return true
		}
	}
	return false
}

// observeProvider looks at the instances whose snapshots are the node's sets.
func (p *Parts) observeProvider(ctx context.Context) ([]check.Instance, error) {
	shelves, err := p.shelves(ctx)
	if err != nil {
		return nil, err
	}
	out := []check.Instance{}
	for _, shelf := range shelves {
		server, err := shelf.Server(ctx)
		if err != nil {
			return nil, err
		}
		room, err := shelf.Room(ctx)
		if err != nil {
			return nil, err
		}
		list, err := shelf.List(ctx)
		if err != nil {
			return nil, err
		}
		i := check.Instance{
			Name: server.Name, Keeper: server.Keeper, Used: room.Used, Most: room.Most, Protected: server.Protected,
		}
		for _, s := range list {
			if of, set, ours := s.Owner(); ours && of == p.Node.Name && s.Phase == snapshot.Ready {
				i.Sets = append(i.Sets, set)
			}
		}
		out = append(out, i)
	}
	return out, nil
}

// tryProvider looks at what keeps the provider from taking snapshots one day, and
// at what their instances can be lost by.
func (p *Parts) tryProvider(ctx context.Context) []Finding {
	shelves, err := p.shelves(ctx)
	if err != nil {
		return []Finding{Found("provider", "", err)}
	}
	var out []Finding
	for _, shelf := range shelves {
		server, err := shelf.Server(ctx)
		if err != nil {
			out = append(out, Found("provider", "", err))
			continue
		}
		room, err := shelf.Room(ctx)
		out = append(out, roomFor(server, room, err), protection(server))
	}
	return out
}

func roomFor(server snapshot.Server, room snapshot.Room, err error) Finding {
	subject := server.Name + ", room for snapshots"
	found := fmt.Sprintf("%s has %d of %d manual snapshots", server.Keeper, room.Used, room.Most)
	if err != nil || room.Left() >= check.RoomWanted {
		return Found(subject, found, err)
	}
	return Finding{
		Subject: subject, Verdict: holdfast.Violated, Found: found,
		Why: "When the account is full, no set is taken.",
		Do:  "Keep fewer sets in `retention:`, delete snapshots of others, or have the provider's quota raised.",
	}
}

func protection(server snapshot.Server) Finding {
	subject := server.Name + ", deletion protection"
	if server.Protected {
		return Found(subject, "it is on", nil)
	}
	return Finding{
		Subject: subject, Verdict: holdfast.Violated, Found: "it is off",
		Why: "One call deletes the instance with its automated backups.",
		Do:  "Turn deletion protection on in the provider's console.",
	}
}

// SnapshotSwept is the event of a provider's snapshot that was deleted, because no
// set refers to it.
type SnapshotSwept struct{ Snapshot, Why string }

func (e SnapshotSwept) String() string {
	return fmt.Sprintf("snapshot %s is deleted: %s", e.Snapshot, e.Why)
}

// sweep deletes the node's snapshots that no set of the repository refers to any
// more, and those of runs that came to nothing.
func (p *Parts) sweep(ctx context.Context, r *repository.Repository) error {
	shelves, err := p.shelves(ctx)
	if err != nil || len(shelves) == 0 {
		return err
	}
	failures := []error{p.sweepTemporary(ctx, time.Now())}
	for _, shelf := range shelves {
		// Snapshots first: a set that is sealed meanwhile is then in the list of sets.
		all, err := shelf.List(ctx)
		if err != nil {
			failures = append(failures, err)
			continue
		}
		entries, err := r.Sets(ctx, p.Node.Name)
		if err != nil {
			return errors.Join(append(failures, err)...)
		}
		dropped, err := r.Dropped(ctx)
		if err != nil {
			return errors.Join(append(failures, err)...)
		}
		sets := snapshot.Sets{There: map[holdfast.SetID]bool{}, Dropped: map[holdfast.SetID]bool{}}
		for _, e := range entries {
			sets.There[e.ID] = true
		}
		for _, id := range dropped {
			sets.Dropped[id] = true
		}
		fates := snapshot.Decide(all, p.Node.Name, sets, time.Now())
		deleted, err := snapshot.Sweep(ctx, shelf, fates)
		failures = append(failures, err)
		for _, f := range deleted {
			p.Events.Report(SnapshotSwept{f.Snapshot.Name, f.Why})
		}
	}
	return errors.Join(failures...)
}
