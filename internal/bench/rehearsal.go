package main

import (
	"context"
	"errors"
	"fmt"

	"holdfast"
)

// rehearsals measures what it costs that a set's schema is loaded into an empty
// database: a set behind a change of the schema against one without, which
// carries the evidence of the last.
func (b *bench) rehearsals(ctx context.Context) error {
	r, err := b.newRepository(ctx, "rehearsals", b.node.ParticipantDSN(), clientsOf(b))
	if err != nil {
		return err
	}
	if _, _, err := r.backup(ctx); err != nil {
		return err
	}
	for round := range b.rounds {
		change := fmt.Sprintf("COMMENT ON SCHEMA participant IS 'round %d'", round)
		if err := b.sql(ctx, change); err != nil {
			return err
		}
		var tried holdfast.Captured
		changed := func() (sample, error) {
			return b.measured(ctx, func(ctx context.Context) (sample, error) {
				s, capture, err := r.backup(ctx)
				if err == nil {
					tried = capture.Components[0]
				}
				return s, err
			})
		}
		same := func() (sample, error) {
			return b.measured(ctx, func(ctx context.Context) (sample, error) {
				s, _, err := r.backup(ctx)
				return s, err
			})
		}
		// The one with the change always comes first: behind it nothing is new.
		first, err := changed()
		if err != nil {
			return err
		}
		then, err := same()
		if err != nil {
			return err
		}
		if tried.Rehearsal == nil {
			return errors.New("the changed schema was not tried")
		}
		b.noteSample("set, schema changed", first)
		b.noteSample("set, schema as it was", then)
		b.results.add("set behind a change of the schema / set without one", nil, ratio(first.wall, then.wall))
		b.results.add("rehearsal of the schema, seconds", nil, tried.Rehearsal.Took.Seconds())
	}
	return r.remove()
}
