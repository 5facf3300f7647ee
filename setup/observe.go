package setup

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"holdfast"
	"holdfast/canton/admin"
	"holdfast/canton/metrics"
	"holdfast/canton/scan"
	"holdfast/check"
	"holdfast/check/gather"
	"holdfast/config"
	"holdfast/databases"
	"holdfast/identities"
	"holdfast/observed"
	"holdfast/place"
	"holdfast/record"
	"holdfast/repository"
)

// Observe looks everywhere the conditions of a check need. What is not to be had
// is said in its place; only a configuration that makes no sense, or an
// interruption, is an error.
func (p *Parts) Observe(ctx context.Context) (check.Observations, error) {
	live, err := p.databasesOrWhyNot(ctx)
	if err != nil {
		return check.Observations{}, err
	}
	seen, err := gather.Sources{
		Node: p.Node, Declared: declared(p.Config), Limits: p.limits(),
		RepositoryName: p.Config.Repository.Place.String(),
		Unlock:         func(ctx context.Context) error { _, err := p.Password(ctx); return err },
		Open:           p.shelf,
		Database:       p.observeDatabase(live),
		Identities:     p.observeIdentities,
		App:            p.observeApp,
		Scans: func(ctx context.Context, serial *int) []observed.Scan {
			return scan.Client{Probe: serial, Timeout: p.within(ObserveTime)}.Ask(ctx, p.Config.Check.Scans)
		},
		Admin: p.observeAdmin, Metrics: p.observeMetrics, Copies: p.observeCopies,
		Beside:  p.beside,
		Restore: func(ctx context.Context) (string, error) { return p.observeRestore(ctx, live) },
		Data:    p.observeData,
		Alive:   func(ctx context.Context) (holdfast.Finding, error) { return p.observeAlive(ctx, live) },
		Locks:   p.observeLocks, Provider: p.observeProvider,
	}.Gather(ctx)
	seen.Clear = p.inClear(ctx)
	return seen, err
}

// Since counts the rows that are new since the latest set. It looks at every page
// of the tables, and reads no row.
func (p *Parts) Since(
	ctx context.Context, seen check.Observations,
) (map[holdfast.ComponentName]holdfast.Observed[[]observed.Growth], error) {
	set, ok := seen.Latest(time.Now())
	live, err := p.databasesOrWhyNot(ctx)
	if err != nil || !ok {
		return nil, err
	}
	out := map[holdfast.ComponentName]holdfast.Observed[[]observed.Growth]{}
	for _, part := range set.Parts() {
		if at, has := live.Addresses[part.Component]; has {
			out[part.Component] = holdfast.Observe(p.dumper(at).Since(ctx, part.Ground))
		}
	}
	return out, ctx.Err()
}

// limits are the thresholds of the conditions.
func (p *Parts) limits() check.Limits {
	c := p.Config.Check
	return check.Limits{
		Cadence: time.Duration(c.Cadence), Grace: time.Duration(c.Grace), Drill: time.Duration(c.DrillEvery), KeyTest: time.Duration(c.KeyTestEvery),
		Attack: time.Duration(c.AttackEvery),
		Rows:   p.dumpEvery() + 24*time.Hour,
		Copy:   time.Duration(c.CopyBehind), Runway: time.Duration(c.Runway), Skew: time.Duration(c.ClockSkew),
	}
}

// declared is what the operator states.
func declared(c *config.Config) check.Declared {
	d := check.Declared{
		NotBackedUp: c.Check.NotBackedUp, InClear: inClear(c), Metrics: len(c.Check.Metrics) > 0,
	}
	switch rules := c.Retention; {
	case c.Check.History != nil:
		d.NoHistory = !*c.Check.History
	case rules != (config.Retention{}):
		d.NoHistory = rules.History == 0
	}
	if c.Retention.History != config.Forever {
		d.History = time.Duration(c.Retention.History)
	}
	d.Pruning, _ = c.Check.PruningKept() // Load has checked it
	d.NoPruning = c.Check.Pruning != "" && d.Pruning == 0
	for _, r := range c.Check.Retention {
		d.Retention = append(d.Retention, check.Retention{SV: r.SV, Keeps: time.Duration(r.Keeps), Source: r.Source})
	}
	return d
}

// shelf is the repository as a check looks at it: all that it reads is of one moment.
func (p *Parts) shelf(ctx context.Context) (gather.Repository, error) {
	r, err := p.still(ctx)
	return shelf{r, p.Node.Name}, err
}

type shelf struct {
	r    *repository.Repository
	node holdfast.NodeName
}

// Entries implements gather.Repository.
func (s shelf) Entries(ctx context.Context) (out []gather.Entry, err error) {
	entries, err := s.r.Sets(ctx, s.node)
	for _, e := range entries {
		out = append(out, gather.Entry{ID: e.ID, State: e.State, Load: func(ctx context.Context) (gather.Stored, error) {
			found, err := s.r.Load(ctx, e)
			return storedSet{found}, err
		}})
	}
	return out, err
}

// Drills implements gather.Repository.
func (s shelf) Drills(ctx context.Context) ([]record.Drill, error) { return s.r.Drills(ctx, s.node) }

// KeyTests implements gather.Repository.
func (s shelf) KeyTests(ctx context.Context) ([]record.KeyTest, error) {
	return s.r.KeyTests(ctx, s.node)
}

// Disproofs implements gather.Repository.
func (s shelf) Disproofs(ctx context.Context) ([]record.Disproof, error) {
	return s.r.Disproofs(ctx, s.node)
}

// storedSet is a set of the repository with its files.
type storedSet struct{ *repository.Stored }

// Manifest implements gather.Stored.
func (s storedSet) Manifest() holdfast.Set { return s.Set }

// observeDatabase looks at one of the databases, and whether the client programs
// of this machine suit its server.
func (p *Parts) observeDatabase(
	live databases.Live,
) func(context.Context, holdfast.Component, *int64) (observed.Database, error) {
	var mu sync.Mutex
	unsuited := map[int]string{} // by the server's major version
	return func(ctx context.Context, c holdfast.Component, since *int64) (observed.Database, error) {
		found, err := live.Observe(ctx, c, since)
		if err != nil {
			return found, err
		}
		mu.Lock()
		defer mu.Unlock()
		major := found.Server.Major()
		if _, known := unsuited[major]; !known {
			unsuited[major] = text(p.tools().Suit(ctx, major))
		}
		found.Tools = unsuited[major]
		if p.Config.Check.RestoreSpace != "" {
			found.Free = databases.FreeAt(p.Config.Check.RestoreSpace)
		}
		return found, nil
	}
}

func (p *Parts) observeIdentities(
	ctx context.Context, against *holdfast.ParticipantFacts,
) (holdfast.IdentityFacts, error) {
	fetched, err := p.fetchIdentities(ctx, 1, func() *identities.Participant {
		return identities.ParticipantOf(against)
	})
	if err != nil {
		return holdfast.IdentityFacts{}, err
	}
	return fetched.Facts(fetched.Report), nil
}

// ObserveTime bounds one request to a Scan, the admin API or an endpoint of metrics.
const ObserveTime = 10 * time.Second

func (p *Parts) observeApp(ctx context.Context) (observed.App, error) {
	f, err := p.Fetcher(ctx)
	if err != nil {
		return observed.App{}, err
	}
	return f.App(ctx)
}

// observeAdmin asks the admin API that the configuration names, or the node's.
func (p *Parts) observeAdmin(ctx context.Context) (observed.Participant, error) {
	if named := p.Config.Check.Admin; named != "" {
		at := admin.Client{Address: named, Timeout: p.within(ObserveTime), Dial: p.throughTo(named)}
		return at.Look(ctx)
	}
	api, err := p.kind.Admin(ctx)
	if err != nil {
		return observed.Participant{}, err
	}
	api.Timeout = p.within(ObserveTime)
	return api.Look(ctx)
}

func (p *Parts) observeMetrics(ctx context.Context) (observed.Metrics, error) {
	if len(p.Config.Check.Metrics) == 0 {
		return observed.Metrics{}, errors.New("check.metrics names no endpoint")
	}
	return metrics.Client{Timeout: p.within(ObserveTime)}.Read(ctx, p.Config.Check.Metrics)
}

// beside is what the servers that are the node's own have, and no set has. A
// server outside of the node is its operator's.
func (p *Parts) beside(ctx context.Context) ([]string, error) {
	if p.kind.Beside == nil {
		return []string{}, nil
	}
	return p.kind.Beside(ctx)
}

// observeData asks the node whether its databases outlive their containers. Of
// one whose servers are not its own, no stop.sh removes anything.
func (p *Parts) observeData(ctx context.Context) (holdfast.Finding, error) {
	if p.kind.Lasting == nil {
		return holdfast.Finding{
			Verdict: holdfast.Holds, Evidence: "the databases' servers are not containers of the node",
		}, nil
	}
	return p.kind.Lasting(ctx)
}

// observeAlive finds out whether no database has two programs of its kind. A
// node that knows its containers knows more of them than their addresses.
func (p *Parts) observeAlive(ctx context.Context, live databases.Live) (holdfast.Finding, error) {
	if p.kind.Alive == nil {
		return live.Alive(ctx)
	}
	return p.kind.Alive(ctx)
}

// observeCopies looks into every second copy.
func (p *Parts) observeCopies(ctx context.Context) ([]check.Copy, error) {
	copies := p.copies()
	if stands := p.Config.StandsIn(); len(copies) == 0 && !stands.IsZero() {
		return nil, fmt.Errorf("the copy in %s is the repository of this run, and there is no other", stands)
	}
	if len(copies) == 0 {
		return nil, errors.New("copies names none, nor does check.second_copy")
	}
	password, err := p.Password(ctx)
	if err != nil {
		return nil, err
	}
	var known []record.Copied // without it, sets that are not kept there count as lacking
	if own, failed := p.Repository(ctx); failed == nil {
		known, _ = own.Copied(ctx)
	}
	list := make([]check.Copy, len(copies))
	var all sync.WaitGroup
	for i, second := range copies {
		all.Go(func() {
			list[i] = p.observeCopy(ctx, second, password)
			list[i].Recorded = recordOf(known, second.Place)
		})
	}
	all.Wait()
	return list, ctx.Err()
}

// observeCopy looks into one second copy.
func (p *Parts) observeCopy(ctx context.Context, second config.Copy, password holdfast.Secret) check.Copy {
	at := second.Place
	shared := place.Share(at, p.Config.Repository.Place)
	found := check.Copy{
		Where:          at.String(),
		SameFileSystem: shared == place.Itself || shared == place.FileSystem,
		SameDisk:       shared == place.Disk,
	}
	r, err := repository.Open(ctx, at, password, p.reach(second.Access, second.Limits)...)
	if err == nil {
		r.Events = p.Events // its traffic counts
		defer func() { _ = r.Close(ctx) }()
		var entries []repository.Entry
		entries, err = r.Sets(ctx, p.Node.Name)
		for _, e := range entries {
			found.Sets = append(found.Sets, check.CopiedSet{ID: e.ID, State: e.State, Ended: e.Ended})
		}
	}
	if err == nil {
		return found
	}
	class := holdfast.ClassOf(err)
	if _, local := at.Local(); !local && (class == holdfast.Failed || class == holdfast.Unreachable) {
		found.Unknown = err.Error() // whether there is a copy is unknown while its place does not answer
	} else {
		found.Problem = err.Error()
	}
	return found
}

// text is an error's, "" for none.
func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
