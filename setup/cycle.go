package setup

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"holdfast"
	"holdfast/canton/sample"
	"holdfast/capture/instances"
	"holdfast/capture/rds"
	"holdfast/capture/snapshot"
	"holdfast/cycle"
	"holdfast/internal/libpq"
	"holdfast/internal/scratch"
)

// CycleOptions say which instance a cycle makes. What is empty is taken from the
// configured instance.
type CycleOptions struct {
	Class          string
	GB             int
	Version        string // of Postgres
	Subnets        string
	SecurityGroups []string
}

// Cycle goes once through all that is done with a provider's snapshots, on an
// instance of its own. Nothing of the configured node is touched.
func (p *Parts) Cycle(ctx context.Context, o CycleOptions) (cycle.Job, error) {
	none := func(err error) (cycle.Job, error) { return cycle.Job{}, err }
	const least = 20 // GB of gp3
	if o.GB < least {
		return none(Usage(fmt.Errorf("--storage: RDS makes no instance with less than %d GB", least)))
	}
	prices, err := p.Config.Prices()
	if err != nil {
		return none(err)
	}
	account, err := p.rdsAccount(ctx)
	if err != nil {
		return none(err)
	}
	c := &cycling{parts: p, account: account, own: p.rehearsed(account), secret: map[string]holdfast.Secret{}}
	var random [4]byte
	_, _ = rand.Read(random[:])
	c.own.Name = instances.RehearsalName(random)
	c.own.Until = time.Now().Add(instances.Lifetime)
	like, err := c.shape(ctx, o)
	if err != nil {
		return none(err)
	}
	left, err := c.own.Left(ctx)
	if err != nil {
		return none(err)
	}
	job := cycle.Job{
		Steps: c.steps(), Prices: prices, Remove: c.remove, Seen: c.saw, Now: time.Now, Events: p.Events,
		Plan: cycle.Plan{
			Region: account.Region, Instance: c.own.Name, Class: c.made.Class, GB: c.made.GB, Version: c.made.Version,
			Subnets: c.made.Subnets, SecurityGroups: c.made.SecurityGroups, Like: like, Left: left,
		}.Estimate(instances.Lifetime, prices),
	}
	for _, s := range job.Steps {
		job.Plan.Steps = append(job.Plan.Steps, s.What)
	}
	job.Plan.Steps = append(job.Plan.Steps, cycle.Removing)
	return job, nil
}

// CleanCycles deletes what earlier cycles of the node have left, and names what is
// gone. An error says what is left.
func (p *Parts) CleanCycles(ctx context.Context) ([]string, error) {
	account, err := p.rdsAccount(ctx)
	if err != nil {
		return nil, err
	}
	return p.rehearsed(account).Remove(ctx, everything)
}

// rehearsed is what finds the instances of cycles of the node.
func (p *Parts) rehearsed(account rds.Account) instances.Rehearsal {
	c := p.Config.RDS
	return instances.Rehearsal{
		Account: rds.Servers{Account: account}, Node: p.Node.Name,
		Options: instances.Options{Poll: time.Duration(c.Poll), Within: time.Duration(c.Within), Events: p.Events},
	}
}

// cycling is one cycle.
type cycling struct {
	parts   *Parts
	account rds.Account
	own     instances.Rehearsal
	made    instances.New
	tls     libpq.Conninfo             // how the configured server is trusted
	secret  map[string]holdfast.Secret // by reference

	dir    *scratch.Dir
	source snapshot.Server
	node   *Parts // the node whose databases are on the instance; nil until then
	ledger sample.Ledger
	set    holdfast.Set // of snapshots
	lifted holdfast.Set

	mu   sync.Mutex // of seen
	seen cycle.Seen
}

// saw is what was seen so far.
func (c *cycling) saw() cycle.Seen {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := c.seen
	out.Writes = slices.Clone(out.Writes)
	return out
}

func (c *cycling) note(fn func(*cycle.Seen)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	fn(&c.seen)
}

// masterUser is the role that the provider makes with the instance.
const masterUser = "holdfast_rehearsal"

// shape decides how the instance is set up: in the network of the configured one, so
// that it is reached as that is.
func (c *cycling) shape(ctx context.Context, o CycleOptions) (like string, err error) {
	c.made = instances.New{
		Class: o.Class, GB: o.GB, Version: o.Version, Subnets: o.Subnets, SecurityGroups: o.SecurityGroups, User: masterUser,
	}
	list, err := c.own.Account.Servers(ctx)
	if err != nil {
		return "", err
	}
	c.tls = libpq.Conninfo{}.With("sslmode", "require")
	for _, component := range c.parts.Node.Components {
		d := c.parts.Config.Databases[string(component.Name)]
		i := slices.IndexFunc(list, func(s snapshot.Server) bool {
			return d.RDS.Instance != "" && (s.Name == d.RDS.Instance || slices.Contains(s.Members, d.RDS.Instance))
		})
		if i < 0 {
			continue
		}
		at, err := c.parts.address(d.Connection)
		if err != nil {
			return "", err
		}
		c.tls = libpq.Conninfo{} // as the other one, whatever that is
		for _, key := range []string{"sslmode", "sslrootcert", "ssl_min_protocol_version"} {
			if v := at.Get(key); v != "" {
				c.tls = c.tls.With(key, v)
			}
		}
		s := list[i]
		like, c.made.Certificate = s.Name, s.Shape.Certificate
		c.made.Version = cmp.Or(c.made.Version, s.Version)
		c.made.Subnets = cmp.Or(c.made.Subnets, s.Shape.Subnets)
		if len(c.made.SecurityGroups) == 0 {
			c.made.SecurityGroups = s.Shape.SecurityGroups
		}
		break
	}
	if c.made.Version == "" {
		return "", Usage(errors.New("--postgres: say which version the instance is to have, such as 15.8: the configuration names " +
			"no instance of RDS that is there"))
	}
	return like, nil
}

func (c *cycling) steps() []cycle.Step {
	return []cycle.Step{
		{What: "delete what earlier rehearsals have left", Do: c.clean},
		{What: "make an instance", Do: c.create},
		{What: "make two databases on it", Do: c.fill},
		{What: "take a set of snapshots, while they are written to", Do: c.capture},
		{What: "lift the set: make a temporary instance, prove it, dump it, delete it", Do: c.lift},
		{What: "restore the dump on the instance, and compare every row", Do: c.compare},
		{What: "delete the instance, and look whether the snapshot is still there", Do: c.end},
	}
}

func everything(time.Time) bool { return true }
