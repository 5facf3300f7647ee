package setup

import (
	"cmp"
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
	"holdfast/event"
	"holdfast/identities"
	"holdfast/internal/libpq"
	"holdfast/node/compose"
	"holdfast/record"
	"holdfast/repository"
	"holdfast/retention"
)

// Parts are what a configuration comes to: the parts that jobs need.
type Parts struct {
	*config.Config
	Version string         // of the program; sets and reports say it
	Events  event.Listener // hears what the parts do
	// Shell are libpq's variables of the shell, which complete the connections
	// that the operator gives.
	Shell libpq.Environment
}

// line is an event that has nothing but its text.
type line string

func (l line) String() string { return string(l) }

func (p Parts) tell(text string) { p.Events.Report(line(text)) }

// usage makes a mistake on the command line a Usage problem.
func usage(err error) error {
	return &holdfast.Problem{
		Class: holdfast.Usage, What: err.Error(),
		Do: "`holdfast help` lists the commands, `holdfast help COMMAND` the flags of one.",
	}
}

// Live is the configured node with its databases.
func (p Parts) Live(ctx context.Context) (databases.Live, error) {
	n, err := p.Given()
	if err != nil || p.Compose == nil {
		return n, err
	}
	of, err := p.ComposeNode(ctx)
	if err != nil {
		return databases.Live{}, err
	}
	addAddresses(n, of)
	return n, nil
}

// nodeOrWhyNot is the configured node; where its containers cannot be looked
// at, its databases say why when they are connected to.
func (p Parts) nodeOrWhyNot(ctx context.Context) (databases.Live, error) {
	n, err := p.Live(ctx)
	if err == nil || p.Compose == nil || ctx.Err() != nil {
		return n, err
	}
	why := err
	if n, err = p.Given(); err != nil {
		return n, err
	}
	for _, c := range n.Components {
		if _, given := n.Addresses[c.Name]; !given {
			n.Addresses[c.Name] = libpq.Address{Dial: func(context.Context, string, string) (net.Conn, error) { return nil, why }}
		}
	}
	return n, nil
}

// Given are the databases that the configuration gives connections of.
func (p Parts) Given() (databases.Live, error) {
	n := databases.Live{Node: p.DomainNode(), Addresses: map[holdfast.ComponentName]libpq.Address{}}
	for _, name := range slices.Sorted(maps.Keys(p.Databases)) {
		t, err := p.address(p.Databases[name].Connection)
		if err != nil {
			_, do := holdfast.Advice(err)
			return databases.Live{}, &holdfast.Problem{
				Class: holdfast.Usage,
				What:  fmt.Sprintf("databases.%s: %v", name, err),
				Do:    cmp.Or(do, "Correct it in holdfast.yaml."),
			}
		}
		t.Password = p.Databases[name].Password.Secret(p.Dir())
		n.Addresses[holdfast.ComponentName(name)] = t
	}
	return n, nil
}

// addAddresses adds the addresses of the node's own databases, as its
// containers tell them.
func addAddresses(n databases.Live, of *compose.Node) {
	for _, c := range of.Components() {
		n.Addresses[c.Name] = of.Target(c.Kind)
	}
}

// ComposeNode finds the node among the containers of the Docker daemon.
func (p Parts) ComposeNode(ctx context.Context) (*compose.Node, error) {
	if p.Compose == nil {
		return nil, &holdfast.Problem{Class: holdfast.Usage, What: "the configuration has no compose:", Do: "`holdfast init` on the machine that runs the bundle writes it."}
	}
	engine, err := compose.Connect(p.Compose.DockerHost)
	if err != nil {
		return nil, err
	}
	return compose.Open(ctx, engine, p.Compose.Project)
}

// Secret reads a secret where it rests, which may be a container of the node.
func (p Parts) Secret(r config.Reference) holdfast.SecretFunc {
	role, variable, ok := r.Container()
	if !ok {
		return r.Secret(p.Dir())
	}
	return func(ctx context.Context) (holdfast.Secret, error) {
		n, err := p.ComposeNode(ctx)
		if err != nil {
			return holdfast.Secret{}, err
		}
		return n.Secret(role, variable)
	}
}

// ThroughContainer, as the address of the validator app, reaches it in its
// container, where the bundle's nginx publishes no port.
const ThroughContainer = "container"

func (p Parts) address(dsn string) (libpq.Address, error) {
	info, err := p.Shell.Parse(dsn)
	return libpq.Address{Conninfo: info}, err
}

// readFacts is what both directions read of Canton in a transaction.
func readFacts(ctx context.Context, tx pgx.Tx, kind holdfast.Kind) (holdfast.Facts, error) {
	return canton.Read(ctx, tx, kind)
}

// Dumper makes the dumper of one database.
func (p Parts) Dumper(t libpq.Address) postgres.Dumper {
	return postgres.Dumper{
		Address: t, Tools: postgres.Tools{Dir: p.Tools}, Facts: readFacts,
		Options: postgres.Options{
			Lanes: p.Dump.Lanes, Connections: p.Dump.Connections,
			WaitLimit: time.Duration(p.Dump.WaitLimit), LockWait: time.Duration(p.Dump.LockWait), Events: p.Events,
		},
	}
}

// Backup is a backup of the configured node.
func (p Parts) Backup(ctx context.Context, r backup.Store, wait time.Duration) (backup.Job, databases.Live, error) {
	n, err := p.Live(ctx)
	if err != nil {
		return backup.Job{}, n, err
	}
	j := backup.Job{
		Node: n.Node, Sources: map[holdfast.ComponentName]backup.Source{}, Store: r, Version: p.Version, Events: p.Events,
		Lock: func(ctx context.Context) (func(), error) {
			if err := n.Check(ctx); err != nil {
				return nil, err
			}
			return n.Lock(ctx, wait)
		},
	}
	for name, t := range n.Addresses {
		j.Sources[name] = p.Dumper(t)
	}
	if p.Compose != nil {
		if j.Deployment, err = p.ComposeNode(ctx); err != nil {
			return j, n, err
		}
	}
	if p.Identities != nil {
		if j.Identities, err = p.IdentitiesBackup(ctx); err != nil {
			return j, n, err
		}
	}
	return j, n, nil
}

// Fetcher reaches the validator app as configured.
func (p Parts) Fetcher(ctx context.Context) (identities.Fetcher, error) {
	i := p.Identities
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
	f := identities.Fetcher{BaseURL: i.URL, Address: i.Address, CA: ca, Events: p.Events}
	if i.Address == ThroughContainer {
		n, err := p.ComposeNode(ctx)
		if err != nil {
			return f, err
		}
		f.Address, f.Dial = "", n.AppReach().Dial
	}
	switch i.Auth.Mode {
	case "oidc":
		f.Tokens = identities.ClientCredentials{
			Issuer: i.Auth.Issuer, ClientID: i.Auth.ClientID, ClientSecret: p.Secret(i.Auth.ClientSecret),
			Audience: i.Auth.Audience, Resource: i.Auth.Resource, Scope: i.Auth.Scope, Basic: i.Auth.Basic, CA: ca,
		}
	case "unsafe":
		f.Tokens = identities.UnsafeTokens{Audience: i.Auth.Audience, Users: i.Auth.Users}
	default:
		f.Tokens = identities.StaticToken{Read: p.Secret(i.Auth.Token)}
	}
	return f, nil
}

// ExportIdentities takes the identities dump from the validator app or from a file, as
// configured. It tries the app that often, or as often as is usual for 0.
func (p Parts) ExportIdentities(ctx context.Context, attempts int) (func(context.Context) ([]byte, error), error) {
	if p.Identities != nil && p.Identities.File != "" {
		return identities.File{Path: p.Identities.File}.Fetch, nil
	}
	f, err := p.Fetcher(ctx)
	f.Attempts = attempts
	return f.Fetch, err
}

// IdentitiesBackup fetches, seals and keeps the identities as configured.
func (p Parts) IdentitiesBackup(ctx context.Context) (identities.Backup, error) {
	fetch, err := p.ExportIdentities(ctx, 0)
	if err != nil {
		return identities.Backup{}, err
	}
	b := identities.Backup{Fetch: fetch, Events: p.Events}
	if b.Recipients, err = identities.ParseRecipients(p.Identities.Recipients); err != nil {
		return b, err
	}
	b.Keepers, err = identities.KeepersAt(p.Identities.Keep)
	return b, err
}

// Place is where a restore goes: the configured databases, or those that --to
// names instead.
func (p Parts) Place(ctx context.Context, to []string, options postgres.LoadOptions) (databases.Target, error) {
	n, err := p.Live(ctx)
	if err != nil {
		return databases.Target{}, err
	}
	if len(to) > 0 {
		n.Addresses, n.Components = map[holdfast.ComponentName]libpq.Address{}, nil
	}
	for _, text := range to {
		name, dsn, found := strings.Cut(text, "=")
		if !found || strings.Contains(name, ":") || strings.Contains(name, " ") {
			return databases.Target{}, usage(errors.New("--to: want COMPONENT=CONNECTION, such as --to participant=postgres://host/participant"))
		}
		t, err := p.address(dsn)
		switch {
		case err != nil:
		case !t.Secret().IsEmpty():
			err = errors.New("a password in an argument can be read by every user of this machine: use PGPASSWORD or a password file")
		case t.Get("dbname") == "":
			err = errors.New("the connection string names no database (dbname)")
		}
		if err != nil {
			return databases.Target{}, usage(fmt.Errorf("--to %s: %w", name, err))
		}
		n.Addresses[holdfast.ComponentName(name)] = t
		n.Components = append(n.Components, holdfast.Component{Name: holdfast.ComponentName(name)})
	}
	return p.placeOf(n, options), nil
}

func (p Parts) placeOf(n databases.Live, options postgres.LoadOptions) databases.Target {
	options.Events = p.Events
	return databases.Target{Live: n, Now: time.Now, Loader: func(_ holdfast.ComponentName, through libpq.Address) databases.Loader {
		return postgres.Loader{Address: through, Tools: postgres.Tools{Dir: p.Tools}, Facts: readFacts, Options: options}
	}}
}

// RetentionJob is the retention of the configured node's sets.
func (p Parts) RetentionJob(r *repository.Repository) retention.Job {
	node := holdfast.NodeName(p.Node)
	return retention.Job{
		Node: node, Policy: p.policy(), Store: r, Now: time.Now, Events: p.Events,
		Look: func(ctx context.Context) ([]retention.Candidate, []record.Pin, error) {
			return candidates(ctx, r, node)
		},
	}
}

func (p Parts) policy() retention.Policy {
	c := p.Retention
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
