package setup

import (
	"context"

	"holdfast"
	"holdfast/capture/postgres"
	"holdfast/databases"
	"holdfast/rehearsal"
)

// rehearsal tries the schemas of a set: next to the live databases, else in a
// sandbox as drills use it.
func (p *Parts) rehearsal(live databases.Live) rehearsal.Job {
	quiet := p.targetOf(live, postgres.LoadOptions{})
	return rehearsal.Job{
		Live: databases.Rehearsal{Target: quiet}, Sandbox: p.rehearsalSandbox, Events: p.Events,
	}
}

// rehearsalSandbox starts a sandbox. No image is fetched for it: a backup is not to wait
// for a registry.
func (p *Parts) rehearsalSandbox(ctx context.Context, set holdfast.Set) (rehearsal.Sandbox, error) {
	host, err := p.drillHost(ctx, set, nil, DrillOptions{NoPull: true})
	if err != nil {
		return nil, err
	}
	if _, err := host.Clean(ctx); err != nil {
		return nil, err
	}
	place, err := host.place(ctx, set)
	if err != nil {
		return nil, err
	}
	return tried{databases.Rehearsal{Target: place.Target, What: "in a sandbox, " + host.What()}, place}, nil
}

// tried is a sandbox where schemas are tried.
type tried struct {
	databases.Rehearsal
	place drillPlace
}

// Close implements rehearsal.Sandbox.
func (t tried) Close() error { return t.place.Close() }
