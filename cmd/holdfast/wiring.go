package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"holdfast"
	"holdfast/backup"
	"holdfast/canton"
	"holdfast/capture/postgres"
	"holdfast/config"
	"holdfast/databases"
	"holdfast/identities"
	"holdfast/internal/libpq"
	"holdfast/node/compose"
	"holdfast/record"
	"holdfast/repository"
	"holdfast/retention"
)

// wiring turns a configuration into the parts a job needs.
type wiring struct {
	*config.Config
	progress *progress
}

// node is the configured node with its databases.
func (w wiring) node(ctx context.Context) (databases.Live, error) {
	n, err := w.databases()
	if err != nil || w.Compose == nil {
		return n, err
	}
	of, err := w.compose(ctx)
	if err != nil {
		return databases.Live{}, err
	}
	targets(n, of)
	return n, nil
}

// nodeOrWhyNot is the configured node; where its containers cannot be looked
// at, its databases say why when they are connected to.
func (w wiring) nodeOrWhyNot(ctx context.Context) (databases.Live, error) {
	n, err := w.node(ctx)
	if err == nil || w.Compose == nil || ctx.Err() != nil {
		return n, err
	}
	why := err
	if n, err = w.databases(); err != nil {
		return n, err
	}
	for _, c := range n.Components {
		if _, given := n.Addresses[c.Name]; !given {
			n.Addresses[c.Name] = libpq.Address{Dial: func(context.Context, string, string) (net.Conn, error) { return nil, why }}
		}
	}
	return n, nil
}

// databases are those that the configuration gives connections of.
func (w wiring) databases() (databases.Live, error) {
	n := databases.Live{Node: w.DomainNode(), Addresses: map[holdfast.ComponentName]libpq.Address{}}
	for _, name := range slices.Sorted(maps.Keys(w.Databases)) {
		t, err := address(w.Databases[name].Connection)
		if err != nil {
			return databases.Live{}, &holdfast.Problem{Class: holdfast.Usage, What: fmt.Sprintf("databases.%s: %v", name, err), Do: "Correct it in holdfast.yaml."}
		}
		t.Password = w.Databases[name].Password.Secret(w.Dir())
		n.Addresses[holdfast.ComponentName(name)] = t
	}
	return n, nil
}

// targets are the node's own databases, as its containers tell.
func targets(n databases.Live, of *compose.Node) {
	for _, c := range of.Components() {
		n.Addresses[c.Name] = of.Target(c.Kind)
	}
}

// compose finds the node among the containers of the Docker daemon.
func (w wiring) compose(ctx context.Context) (*compose.Node, error) {
	if w.Compose == nil {
		return nil, &holdfast.Problem{Class: holdfast.Usage, What: "the configuration has no compose:", Do: "`holdfast init` on the machine that runs the bundle writes it."}
	}
	engine, err := compose.Connect(w.Compose.DockerHost)
	if err != nil {
		return nil, err
	}
	return compose.Open(ctx, engine, w.Compose.Project)
}

// secret reads a secret where it rests, which may be a container of the node.
func (w wiring) secret(r config.Reference) holdfast.SecretFunc {
	role, variable, ok := r.Container()
	if !ok {
		return r.Secret(w.Dir())
	}
	return func(ctx context.Context) (holdfast.Secret, error) {
		n, err := w.compose(ctx)
		if err != nil {
			return holdfast.Secret{}, err
		}
		return n.Secret(role, variable)
	}
}

// throughContainer, as the address of the validator app, reaches it in its
// container, where the bundle's nginx publishes no port.
const throughContainer = "container"

func address(dsn string) (libpq.Address, error) {
	info, err := libpq.Parse(dsn)
	return libpq.Address{Conninfo: info}, err
}

// readFacts is what both directions read of Canton in a transaction.
func readFacts(ctx context.Context, tx pgx.Tx, kind holdfast.Kind) (holdfast.Facts, error) {
	return canton.Read(ctx, tx, kind)
}

// dumper makes the dumper of one database.
func (w wiring) dumper(t libpq.Address) postgres.Dumper {
	return postgres.Dumper{
		Address: t, Tools: postgres.Tools{Dir: w.Tools}, Facts: readFacts,
		Options: postgres.Options{
			Lanes: w.Dump.Lanes, Connections: w.Dump.Connections,
			WaitLimit: time.Duration(w.Dump.WaitLimit), LockWait: time.Duration(w.Dump.LockWait), Events: w.progress.hear,
		},
	}
}

// job is a backup of the configured node.
func (w wiring) job(ctx context.Context, r backup.Store, wait time.Duration) (backup.Job, databases.Live, error) {
	n, err := w.node(ctx)
	if err != nil {
		return backup.Job{}, n, err
	}
	j := backup.Job{
		Node: n.Node, Sources: map[holdfast.ComponentName]backup.Source{}, Store: r, Version: version, Tell: w.progress.tell,
		Lock: func(ctx context.Context) (func(), error) {
			if err := n.Check(ctx); err != nil {
				return nil, err
			}
			return n.Lock(ctx, wait)
		},
	}
	for name, t := range n.Addresses {
		j.Sources[name] = w.dumper(t)
	}
	if w.Compose != nil {
		if j.Deployment, err = w.compose(ctx); err != nil {
			return j, n, err
		}
	}
	if w.Identities != nil {
		keeper, err := w.keeper(ctx)
		if err != nil {
			return j, n, err
		}
		j.Identities = keeper
	}
	return j, n, nil
}

// fetcher reaches the validator app as configured.
func (w wiring) fetcher(ctx context.Context) (identities.Fetcher, error) {
	i := w.Identities
	if i == nil {
		return identities.Fetcher{}, &holdfast.Problem{Class: holdfast.Usage, What: "the configuration has no identities:",
			Why: "The identities hold the node's keys and are the second way back.", Do: "Add identities: to holdfast.yaml; docs/operate.md has examples for each way to a token."}
	}
	var ca []byte
	if i.CA != "" {
		var err error
		if ca, err = os.ReadFile(i.CA); err != nil {
			return identities.Fetcher{}, &holdfast.Problem{Class: holdfast.Usage, What: "identities.ca", Err: err, Do: "Correct it in holdfast.yaml, or make the file readable."}
		}
	}
	f := identities.Fetcher{BaseURL: i.URL, Address: i.Address, CA: ca}
	if i.Address == throughContainer {
		n, err := w.compose(ctx)
		if err != nil {
			return f, err
		}
		f.Address, f.Dial = "", n.AppReach().Dial
	}
	switch i.Auth.Mode {
	case "oidc":
		f.Tokens = identities.ClientCredentials{
			Issuer: i.Auth.Issuer, ClientID: i.Auth.ClientID, ClientSecret: w.secret(i.Auth.ClientSecret),
			Audience: i.Auth.Audience, Resource: i.Auth.Resource, Scope: i.Auth.Scope, Basic: i.Auth.Basic, CA: ca,
		}
	case "unsafe":
		f.Tokens = identities.UnsafeTokens{Audience: i.Auth.Audience, Users: i.Auth.Users}
	default:
		f.Tokens = identities.StaticToken{Read: w.secret(i.Auth.Token)}
	}
	return f, nil
}

func (w wiring) keeper(ctx context.Context) (identities.Keeper, error) {
	f, err := w.fetcher(ctx)
	if err != nil {
		return identities.Keeper{}, err
	}
	k := identities.Keeper{Fetch: f.Fetch}
	if k.Recipients, err = identities.ParseRecipients(w.Identities.Recipients); err != nil {
		return k, err
	}
	for _, dir := range w.Identities.Keep {
		k.Directories = append(k.Directories, identities.Directory{Path: dir})
	}
	return k, nil
}

// place is where a restore goes: the configured databases, or those that --to
// names instead.
func (w wiring) place(ctx context.Context, to []string, options postgres.LoadOptions) (databases.Target, error) {
	n, err := w.node(ctx)
	if err != nil {
		return databases.Target{}, err
	}
	if len(to) > 0 {
		n.Addresses, n.Components = map[holdfast.ComponentName]libpq.Address{}, nil
	}
	for _, text := range to {
		name, dsn, found := strings.Cut(text, "=")
		if !found || strings.Contains(name, ":") || strings.Contains(name, " ") {
			return databases.Target{}, usageError(nil, errors.New("--to: want COMPONENT=CONNECTION, such as --to participant=postgres://host/participant"))
		}
		t, err := address(dsn)
		switch {
		case err != nil:
		case !t.Secret().IsEmpty():
			err = errors.New("a password in an argument can be read by every user of this machine: use PGPASSWORD or a password file")
		case t.Get("dbname") == "":
			err = errors.New("the connection string names no database (dbname)")
		}
		if err != nil {
			return databases.Target{}, usageError(nil, fmt.Errorf("--to %s: %w", name, err))
		}
		n.Addresses[holdfast.ComponentName(name)] = t
		n.Components = append(n.Components, holdfast.Component{Name: holdfast.ComponentName(name)})
	}
	return w.placeOf(n, options), nil
}

func (w wiring) placeOf(n databases.Live, options postgres.LoadOptions) databases.Target {
	options.Events = w.progress.hear
	return databases.Target{Live: n, Now: time.Now, Loader: func(_ holdfast.ComponentName, through libpq.Address) databases.Loader {
		return postgres.Loader{Address: through, Tools: postgres.Tools{Dir: w.Tools}, Facts: readFacts, Options: options}
	}}
}

// retention is the retention of the configured node's sets.
func (w wiring) retention(r *repository.Repository) retention.Job {
	node := holdfast.NodeName(w.Node)
	return retention.Job{
		Node: node, Policy: w.policy(), Store: r, Now: time.Now, Tell: w.progress.maintenance,
		Look: func(ctx context.Context) ([]retention.Candidate, []record.Pin, error) {
			return candidates(ctx, r, node)
		},
	}
}

func (w wiring) policy() retention.Policy {
	c := w.Retention
	return retention.Policy{
		Within: time.Duration(c.Within), Last: c.Last, Hourly: c.Hourly, Daily: c.Daily, Weekly: c.Weekly, Monthly: c.Monthly, Yearly: c.Yearly,
		History: time.Duration(c.History), Faulty: time.Duration(c.Faulty),
	}
}

// candidates are a node's sets as retention sees them, with what drills have
// shown, and the pins.
func candidates(ctx context.Context, r *repository.Repository, node holdfast.NodeName) ([]retention.Candidate, []record.Pin, error) {
	sets, err := r.Manifests(ctx, node)
	if err != nil {
		return nil, nil, err
	}
	drills, err := r.Drills(ctx, node)
	if err != nil {
		return nil, nil, err
	}
	pins, err := r.Pins(ctx, node)
	if err != nil {
		return nil, nil, err
	}
	var out []retention.Candidate
	for _, s := range sets {
		c := retention.Candidate{Set: s.ID, State: s.State, At: s.Began}
		if s.Err != nil {
			c.Unreadable = s.Err.Error()
		} else {
			c = retention.Look(s.Set, record.Restores(s.ID, drills))
		}
		out = append(out, c)
	}
	return out, pins, nil
}
