package setup

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"time"

	"holdfast"
	"holdfast/capture/postgres"
	"holdfast/databases"
	"holdfast/internal/libpq"
)

// Databases are the node's databases: those that the configuration names, and
// those that the node brings with it.
func (p *Parts) Databases(ctx context.Context) (databases.Live, error) {
	live, err := p.given()
	if err != nil {
		return databases.Live{}, err
	}
	own, err := p.kind.Databases(ctx)
	if err != nil {
		return databases.Live{}, err
	}
	maps.Copy(live.Addresses, own)
	return live, nil
}

// databasesOrWhyNot are the node's databases; those that the node does not give
// away say why not when they are connected to.
func (p *Parts) databasesOrWhyNot(ctx context.Context) (databases.Live, error) {
	live, err := p.given()
	if err != nil {
		return databases.Live{}, err
	}
	own, why := p.kind.Databases(ctx)
	if ctx.Err() != nil {
		return live, ctx.Err()
	}
	maps.Copy(live.Addresses, own)
	for _, c := range live.Components {
		if _, known := live.Addresses[c.Name]; !known && why != nil {
			live.Addresses[c.Name] = libpq.Address{
				Dial: func(context.Context, string, string) (net.Conn, error) { return nil, why },
			}
		}
	}
	return live, nil
}

// given are the databases that the configuration gives connections of.
func (p *Parts) given() (databases.Live, error) {
	live := databases.Live{Node: p.Node, Addresses: map[holdfast.ComponentName]libpq.Address{}}
	for _, name := range slices.Sorted(maps.Keys(p.Config.Databases)) {
		d := p.Config.Databases[name]
		at, err := p.address(d.Connection)
		if err != nil {
			_, do := holdfast.Advice(err)
			return databases.Live{}, &holdfast.Problem{
				Class: holdfast.Usage, What: fmt.Sprintf("databases.%s: %v", name, err),
				Do: cmp.Or(do, "Correct it in holdfast.yaml."),
			}
		}
		at.Password = p.Secret(d.Password)
		live.Addresses[holdfast.ComponentName(name)] = at
	}
	return live, nil
}

func (p *Parts) address(dsn string) (libpq.Address, error) {
	info, err := p.Shell.Parse(dsn)
	return p.learnFrom(libpq.Address{
		Conninfo: info, Silence: p.silence(), Dial: p.through(info.Get("host"), cmp.Or(info.Get("port"), libpq.Port)),
	}), err
}

// through is how a host that the configuration names is reached; nil: as usual.
func (p *Parts) through(host, port string) Dial {
	if p.kind.Through == nil {
		return nil
	}
	return p.kind.Through(host, port)
}

// learnFrom is an address whose password is known from when it is used.
func (p *Parts) learnFrom(at libpq.Address) libpq.Address {
	p.Secrets.Spare(at.Get("user"), at.Database(), at.Get("host"))
	p.Secrets.Learn(at.Secret())
	at.Password = p.Secrets.LearnFrom(at.Password)
	return at
}

// target is where a restore goes: the configured databases, or those that --to
// names instead.
func (p *Parts) target(ctx context.Context, o RestoreOptions) (databases.Target, error) {
	if len(o.To) == 0 {
		live, err := p.Databases(ctx)
		return p.targetOf(live, o.load()), err
	}
	live := databases.Live{
		Node:      holdfast.Node{Name: p.Node.Name},
		Addresses: map[holdfast.ComponentName]libpq.Address{},
	}
	for _, text := range o.To {
		name, at, err := p.elsewhere(text)
		if err != nil {
			return databases.Target{}, Usage(err)
		}
		live.Addresses[name] = at
		live.Components = append(live.Components, holdfast.Component{Name: name})
	}
	return p.targetOf(live, o.load()), nil
}

// elsewhere reads COMPONENT=CONNECTION.
func (p *Parts) elsewhere(text string) (holdfast.ComponentName, libpq.Address, error) {
	name, dsn, found := strings.Cut(text, "=")
	if !found || strings.ContainsAny(name, ": ") {
		return "", libpq.Address{}, errors.New(
			"--to: want COMPONENT=CONNECTION, such as --to participant=postgres://host/participant")
	}
	at, err := p.address(dsn)
	switch {
	case err != nil:
	case !at.Secret().IsEmpty():
		err = errors.New("a password in an argument can be read by every user of this machine: " +
			"use PGPASSWORD or a password file")
	case at.Get("dbname") == "":
		err = errors.New("the connection string names no database (dbname)")
	}
	if err != nil {
		return "", at, fmt.Errorf("--to %s: %w", name, err)
	}
	return holdfast.ComponentName(name), at, nil
}

func (p *Parts) targetOf(live databases.Live, options postgres.LoadOptions) databases.Target {
	options.Events = p.Events
	return databases.Target{
		Live: live, Now: time.Now,
		Loader: func(_ holdfast.ComponentName, through libpq.Address) databases.Loader {
			return postgres.Loader{Address: through, Tools: p.tools(), Facts: readFacts, Options: options}
		},
	}
}

func (p *Parts) tools() postgres.Tools {
	return postgres.Tools{Dir: p.Config.Tools, Silence: p.silence()}
}

// silence is how long a peer may send nothing; 0 for what is usual.
func (p *Parts) silence() time.Duration { return time.Duration(p.Config.SilenceLimit) }

// within is how long one request may take: what is usual, or less where peers
// may not be silent for that long.
func (p *Parts) within(usual time.Duration) time.Duration {
	if s := p.silence(); s > 0 {
		return min(s, usual)
	}
	return usual
}
