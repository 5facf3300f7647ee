package setup

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"holdfast"
	"holdfast/check"
	"holdfast/config"
	"holdfast/place"
	"holdfast/record"
	"holdfast/repository"
)

// ObjectLock reads how something locks what it stores, such as compliance:30d; the
// zero value without a text.
func ObjectLock(text string) (repository.ObjectLock, error) {
	mode, period, err := config.Lock(text).Parse()
	if err != nil {
		err = fmt.Errorf("object lock: %w", err)
	}
	return repository.ObjectLock{Mode: strings.ToUpper(mode), Period: period}, err
}

// Immutability tries with the node's credentials what an attacker would try in
// the repository's place, and records what came of it.
func (p *Parts) Immutability(ctx context.Context) ([]Finding, error) {
	options := p.RepositoryOptions()
	r, unopened := p.Repository(ctx)
	if unopened == nil { // what it locks by Compliance nobody deletes, whatever else he may do
		options = append(options, repository.Locked(r.Rule()))
	}
	tried, err := repository.Immutability(ctx, p.Config.Repository.Place, options...)
	if err != nil {
		return nil, err
	}
	var out []Finding
	for _, a := range tried {
		f := Finding{Subject: a.Attack, Verdict: a.Verdict, Found: a.Found}
		if a.Verdict != holdfast.Holds {
			f.Why = "An attacker on the node could do that to every set."
			f.Do = "Take the right from the node: docs/policies/s3-node.json has all that it needs. " +
				"To try again: `holdfast repository check-immutability`."
		}
		out = append(out, f)
	}
	if unopened != nil {
		return out, unopened
	}
	host, _ := os.Hostname()
	return out, r.PutAttacks(ctx, record.Attacks{At: time.Now().UTC(), Host: host, Tried: tried})
}

// Lock makes the repository lock what it stores, and what it has stored.
func (p *Parts) Lock(ctx context.Context, text string, weaken bool) ([]Finding, error) {
	by, err := ObjectLock(text)
	if err != nil {
		return nil, Usage(err)
	}
	r, err := p.Repository(ctx)
	if err != nil {
		return nil, err
	}
	n, err := r.Lock(ctx, by, weaken)
	if err != nil {
		return nil, err
	}
	return []Finding{Found(r.Name(), fmt.Sprintf("locks by %s; %d blobs are locked until %s",
		text, n, time.Now().Add(by.Period).UTC().Format(time.DateOnly)), nil)}, nil
}

// observeLocks looks at the locks of the repository.
func (p *Parts) observeLocks(ctx context.Context) (check.Locks, error) {
	r, err := p.Repository(ctx)
	if err != nil {
		return check.Locks{}, err
	}
	found, err := r.Locks(ctx)
	if err != nil {
		return check.Locks{}, err
	}
	seen := check.Locks{
		Where: r.Name(), Mode: found.Rule.Mode, Period: found.Rule.Period, Kept: found.Kept,
		Extended: found.Extended, Until: found.Until, Of: found.Of, Default: found.Default,
	}
	if at := p.Config.Repository.Place.Scheme; at != place.S3 {
		seen.Untried = "attacks are tried in buckets of S3 only, and not in those of " + string(at) + "://"
	}
	if seen.Mode != "" {
		seen.Tried, err = r.Attacks(ctx)
	}
	return seen, err
}
