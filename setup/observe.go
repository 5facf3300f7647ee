package setup

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"holdfast"
	"holdfast/canton/admin"
	"holdfast/canton/metrics"
	"holdfast/canton/scan"
	"holdfast/check"
	"holdfast/config"
	"holdfast/databases"
	"holdfast/identities"
	"holdfast/observed"
	"holdfast/place"
	"holdfast/record"
	"holdfast/repository"
)

// patience is how long a check waits for one of the places it looks at.
const patience = time.Minute

// Observe looks everywhere the conditions need, side by side where it can.
// What is not to be had is said in its place; only a configuration that makes
// no sense, or an interruption, is an error.
func (p *Parts) Observe(ctx context.Context) (check.Observations, error) {
	n, err := p.databasesOrWhyNot(ctx)
	if err != nil {
		return check.Observations{}, err
	}
	o := check.Observations{Node: n.Node, Live: map[holdfast.ComponentName]holdfast.Observed[observed.Database]{}, Declared: declared(p.Config), Limits: p.limits()}
	p.observeRepository(ctx, &o)
	last := newestProven(o)
	var g errgroup.Group
	for _, look := range []func(context.Context){
		func(ctx context.Context) { p.observeNode(ctx, n, last, &o) },
		func(ctx context.Context) { o.App = p.observeApp(ctx) },
		func(ctx context.Context) { o.Scans = p.observeScans(ctx, last) },
		func(ctx context.Context) { o.Admin = p.observeAdmin(ctx) },
		func(ctx context.Context) { o.Metrics = p.observeMetrics(ctx) },
		func(ctx context.Context) { o.Copy = p.observeCopy(ctx) },
	} {
		g.Go(func() error {
			ctx, cancel := context.WithTimeout(ctx, patience)
			defer cancel()
			look(ctx)
			return nil
		})
	}
	_ = g.Wait()
	return o, ctx.Err()
}

// limits are the thresholds of the conditions.
func (p *Parts) limits() check.Limits {
	c := p.Config.Check
	return check.Limits{
		Cadence: time.Duration(c.Cadence), Grace: time.Duration(c.Grace), Drill: time.Duration(c.DrillEvery), KeyTest: time.Duration(c.KeyTestEvery),
		Copy: time.Duration(c.CopyBehind), Runway: time.Duration(c.Runway), Skew: time.Duration(c.ClockSkew),
	}
}

// declared is what the operator states.
func declared(c *config.Config) check.Declared {
	d := check.Declared{}
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

// observeRepository reads every manifest of the node, and the newest proven
// set's small files.
func (p *Parts) observeRepository(ctx context.Context, o *check.Observations) {
	password, err := p.Password(ctx)
	if err != nil {
		o.Repository = holdfast.Unknown[check.Repository](err.Error())
		o.Drills, o.KeyTests = holdfast.Unknown[[]record.Drill](err.Error()), holdfast.Unknown[[]record.KeyTest](err.Error())
		return
	}
	found := check.Repository{Name: p.Config.Repository.Place.String()}
	r, err := repository.Open(ctx, p.Config.Repository.Place, password, Copies(p.Config))
	if err == nil {
		defer func() { _ = r.Close(ctx) }()
		var entries []repository.Entry
		if entries, err = r.Sets(ctx, o.Node.Name); err == nil {
			found.Sets, found.Unreadable, found.Newest = readSets(ctx, r, entries)
			o.Drills, o.KeyTests = holdfast.Observe(r.Drills(ctx, o.Node.Name)), holdfast.Observe(r.KeyTests(ctx, o.Node.Name))
		}
	}
	if err != nil {
		found.Problem = err.Error()
		o.Drills, o.KeyTests = holdfast.Unknown[[]record.Drill](err.Error()), holdfast.Unknown[[]record.KeyTest](err.Error())
	}
	o.Repository = holdfast.Known(found)
}

// readSets reads the manifests, several at a time. Tables and their segments
// make up most of one and no condition asks for them.
func readSets(ctx context.Context, r *repository.Repository, entries []repository.Entry) (sets []holdfast.Set, unreadable []string, newest string) {
	const lanes = 4
	var mu sync.Mutex
	var g errgroup.Group
	g.SetLimit(lanes)
	read := map[int]holdfast.Set{}
	last := -1
	for i, e := range entries {
		if e.State == holdfast.Proven {
			last = i
		}
	}
	for i, e := range entries {
		g.Go(func() error {
			stored, err := r.Load(ctx, e)
			back := ""
			if err == nil && i == last {
				back = readBack(ctx, stored)
			}
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				unreadable = append(unreadable, fmt.Sprintf("%s: %v", e.ID, err))
				return nil
			}
			newest += back
			for k := range stored.Set.Captures {
				stored.Set.Captures[k].Content = nil
			}
			read[i] = stored.Set
			return nil
		})
	}
	_ = g.Wait()
	slices.Sort(unreadable)
	for _, i := range slices.Sorted(maps.Keys(read)) {
		sets = append(sets, read[i])
	}
	return sets, unreadable, newest
}

// readBack says what is wrong with the files of a set: one that is missing, or
// a small one that does not read. Reading all the rest is what verify is for.
func readBack(ctx context.Context, s *repository.Stored) string {
	there := s.Names()
	for _, name := range s.Set.FileNames() {
		if !slices.Contains(there, name) {
			return fmt.Sprintf("set %s lacks its file %s", s.Set.ID, name)
		}
	}
	small := []string{holdfast.ReadmeName}
	for _, c := range s.Set.Captures {
		for _, f := range c.Files() {
			if f.Format == "" && c.Method == holdfast.Dump {
				small = append(small, f.Name)
			}
		}
	}
	if i := s.Set.Identities; i != nil && i.SealedFile != "" {
		small = append(small, i.SealedFile)
	}
	for _, name := range small {
		if err := drain(ctx, s, name); err != nil {
			return fmt.Sprintf("%s of set %s: %v", name, s.Set.ID, err)
		}
	}
	return ""
}

// newestProven is the newest set that is proven by what it records.
func newestProven(o check.Observations) *holdfast.ParticipantFacts {
	r, _ := o.Repository.Get()
	for _, s := range slices.Backward(r.Sets) {
		if s.Prove(); s.State != holdfast.Proven {
			continue
		}
		for _, c := range s.Parts() {
			if c.Facts.Participant != nil {
				return c.Facts.Participant
			}
		}
	}
	return nil
}

// observeNode looks at the live databases, and then at the running node's
// identities, which are compared with them.
func (p *Parts) observeNode(ctx context.Context, n databases.Live, last *holdfast.ParticipantFacts, o *check.Observations) {
	var since *int64
	if last != nil {
		since = last.LedgerEnd
	}
	var mu sync.Mutex
	var g errgroup.Group
	unsuited := map[int]string{} // by the server's major version
	for _, c := range n.Components {
		g.Go(func() error {
			live, err := n.Observe(ctx, c, since)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				major := live.Server.Major()
				if _, asked := unsuited[major]; !asked {
					unsuited[major] = text(p.tools().Suit(ctx, major))
				}
				live.Tools = unsuited[major]
				if p.Config.Check.RestoreSpace != "" {
					live.Free = databases.FreeAt(p.Config.Check.RestoreSpace)
				}
			}
			o.Live[c.Name] = holdfast.Observe(live, err)
			return nil
		})
	}
	_ = g.Wait()
	o.Identities = holdfast.Observe(p.observeIdentities(ctx, n, o.Live))
}

func (p *Parts) observeIdentities(
	ctx context.Context, n databases.Live, live map[holdfast.ComponentName]holdfast.Observed[observed.Database],
) (holdfast.IdentityFacts, error) {
	fetched, err := p.fetchIdentities(ctx, 1, func() (against *identities.Participant) {
		for _, c := range n.Components {
			if l, ok := live[c.Name].Get(); ok && c.Kind == holdfast.Participant {
				against = identities.ParticipantOf(l.Facts.Participant)
			}
		}
		return against
	})
	if err != nil {
		return holdfast.IdentityFacts{}, err
	}
	return fetched.Facts(fetched.Report), nil
}

func (p *Parts) observeApp(ctx context.Context) holdfast.Observed[observed.App] {
	f, err := p.Fetcher(ctx)
	if err != nil {
		return holdfast.Unknown[observed.App](err.Error())
	}
	return holdfast.Observe(f.App(ctx))
}

func (p *Parts) observeScans(ctx context.Context, last *holdfast.ParticipantFacts) []observed.Scan {
	client := scan.Client{}
	if last != nil {
		if serial, ok := last.ActiveSerial(); ok {
			client.Probe = &serial
		}
	}
	return client.Ask(ctx, p.Config.Check.Scans)
}

func (p *Parts) observeAdmin(ctx context.Context) holdfast.Observed[observed.Participant] {
	switch {
	case p.Config.Check.Admin != "":
		return holdfast.Observe(admin.Client{Address: p.Config.Check.Admin}.Look(ctx))
	}
	api, err := p.kind.Admin(ctx)
	if err != nil {
		return holdfast.Unknown[observed.Participant](err.Error())
	}
	return holdfast.Observe(api.Look(ctx))
}

func (p *Parts) observeMetrics(ctx context.Context) holdfast.Observed[observed.Metrics] {
	if len(p.Config.Check.Metrics) == 0 {
		return holdfast.Unknown[observed.Metrics]("check.metrics names no endpoint")
	}
	return holdfast.Observe(metrics.Client{}.Read(ctx, p.Config.Check.Metrics))
}

func (p *Parts) observeCopy(ctx context.Context) holdfast.Observed[check.Copy] {
	at := p.Config.Check.SecondCopy
	if at.IsZero() {
		return holdfast.Unknown[check.Copy]("check.second_copy names none")
	}
	if at.Serves(place.Repository) != nil {
		return holdfast.Unknown[check.Copy](at.String() + " is no directory of this machine, and only those can be looked into")
	}
	password, err := p.Password(ctx)
	if err != nil {
		return holdfast.Unknown[check.Copy](err.Error())
	}
	shared := place.Share(at, p.Config.Repository.Place)
	found := check.Copy{
		Where:          at.String(),
		SameFileSystem: shared == place.Itself || shared == place.FileSystem,
		SameDisk:       shared == place.Disk,
	}
	r, err := repository.Open(ctx, at, password)
	if err == nil {
		defer func() { _ = r.Close(ctx) }()
		var entries []repository.Entry
		entries, err = r.Sets(ctx, p.Node.Name)
		for _, e := range entries {
			found.Sets = append(found.Sets, check.CopiedSet{ID: e.ID, State: e.State, Ended: e.Ended})
		}
	}
	if err != nil {
		found.Problem = err.Error()
	}
	return holdfast.Known(found)
}

// text is an error's, "" for none.
func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// drain reads a file of a set to its end.
func drain(ctx context.Context, files holdfast.Files, name string) error {
	in, err := files.Open(ctx, name)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	_, err = io.Copy(io.Discard, in)
	return err
}
