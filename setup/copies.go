package setup

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"holdfast"
	"holdfast/config"
	"holdfast/place"
	"holdfast/record"
	"holdfast/repository"
	"holdfast/retention"
)

// SendCopies brings the second copies of the repository up to date, one after
// the other: the configured ones, or that in one place. What fails for one does
// not keep the others from being sent.
func (p *Parts) SendCopies(ctx context.Context, to place.Place) ([]repository.Sent, error) {
	copies := p.Config.Copies
	if !to.IsZero() {
		copies = []config.Copy{p.copyIn(to)}
	}
	if len(copies) == 0 {
		return nil, &holdfast.Problem{
			Class: holdfast.Usage,
			What:  "no second copy is configured",
			Do:    "Name places in `copies:`, or one with `holdfast repository copy --to PLACE`.",
		}
	}
	r, err := p.Repository(ctx)
	if err != nil {
		return nil, err
	}
	var list []repository.Sent
	var failed []error
	newest, err := newestOf(ctx, r)
	if err != nil {
		return nil, err
	}
	known, err := r.Copied(ctx)
	if err != nil {
		return nil, err
	}
	for _, second := range copies {
		sent, err := p.send(ctx, r, second, newest, known)
		if err == nil {
			list = append(list, sent)
		} else {
			failed = append(failed, notSent(second.Place, err))
		}
		if ctx.Err() != nil {
			break
		}
	}
	return list, errors.Join(failed...)
}

// extendCopies is how often the locks of a copy are extended: once a day, as those
// of the repository.
const extendCopies = 20 * time.Hour

// send brings one copy up to date, extends its locks when that is due, and records
// what it has.
func (p *Parts) send(
	ctx context.Context, r *repository.Repository, to config.Copy, newest map[holdfast.NodeName]holdfast.SetID,
	known []record.Copied,
) (repository.Sent, error) {
	options, err := p.copyOptions(to)
	if err != nil {
		return repository.Sent{}, err
	}
	now := record.Copied{Place: to.Place.String(), At: time.Now().UTC(), Newest: newest}
	i := slices.IndexFunc(known, func(c record.Copied) bool { return c.Place == now.Place })
	var before record.Copied
	if i >= 0 {
		before = known[i]
		now.Extended = before.Extended
	}
	options = append(options, repository.Choosing(p.kept(r, to)))
	due := now.At.Sub(before.Extended) >= extendCopies
	if due {
		options = append(options, repository.Extending())
	}
	sent, err := r.CopyTo(ctx, to.Place, options...)
	if err != nil {
		return sent, err
	}
	if due && sent.Locked {
		now.Extended = now.At
	}
	if maps.Equal(before.Newest, now.Newest) && before.Extended.Equal(now.Extended) {
		return sent, nil // a record is itself something to send
	}
	return sent, r.PutCopied(ctx, now)
}

// copyPolicy are the rules of a copy: its own, or else those of the repository.
func (p *Parts) copyPolicy(c config.Copy) retention.Policy {
	if c.Keep == (config.Retention{}) {
		return p.policyOf(p.Config.Retention)
	}
	return p.policyOf(c.Keep)
}

// kept chooses the sets that a copy would keep, so that none is sent to be dropped.
// Of other nodes all are sent: their rules are not known here. The newest set is
// always kept, so a single one needs no look at the others.
func (p *Parts) kept(r *repository.Repository, to config.Copy) repository.Choose {
	return func(
		ctx context.Context, there *repository.Repository, missing []repository.Entry,
	) ([]repository.Entry, error) {
		ofOthers := func(e repository.Entry) bool { return e.Node != p.Node.Name }
		ours := slices.DeleteFunc(slices.Clone(missing), ofOthers)
		if len(ours) < 2 {
			return missing, nil
		}
		sets, pins, err := candidates(ctx, there, p.Node.Name)
		if err != nil {
			return nil, err
		}
		read, err := r.ManifestsOf(ctx, ours)
		if err != nil {
			return nil, err
		}
		drills, err := r.Drills(ctx, p.Node.Name)
		if err != nil {
			return nil, err
		}
		pinned, err := r.Pins(ctx, p.Node.Name)
		if err != nil {
			return nil, err
		}
		for _, one := range read {
			sets = append(sets, candidate(one, drills))
		}
		plan := retention.Decide(p.copyPolicy(to), sets, append(pins, pinned...), time.Now())
		return slices.DeleteFunc(missing, func(e repository.Entry) bool {
			d, known := plan.Of(e.ID)
			return !ofOthers(e) && known && !d.Keep
		}), nil
	}
}

// DropInCopies drops in each copy what its rules do not keep, and maintains it. What
// fails for one does not keep the others from it.
func (p *Parts) DropInCopies(ctx context.Context) error {
	var failed []error
	for _, second := range p.Config.Copies {
		job, err := p.Retention(ctx, RetentionOptions{Copy: second.Place})
		if err == nil {
			var done retention.Report
			if done, err = job.Apply(ctx, true); len(done.Dropped) > 0 {
				p.Events.Report(Dropped{done.Dropped})
			}
		}
		if err != nil {
			failed = append(failed, fmt.Errorf("the second copy in %s: %w", second.Place, err))
		}
		if ctx.Err() != nil {
			break
		}
	}
	return errors.Join(failed...)
}

// copyOptions are how a copy is reached, and how it is locked.
func (p *Parts) copyOptions(c config.Copy) ([]repository.Option, error) {
	lock, err := ObjectLock(string(c.Lock))
	if err != nil {
		return nil, Usage(err)
	}
	return append(p.reach(c.Access, c.Limits), repository.Locked(lock)), nil
}

// newestOf are the newest sets of each node.
func newestOf(ctx context.Context, r *repository.Repository) (map[holdfast.NodeName]holdfast.SetID, error) {
	entries, err := r.Sets(ctx, "")
	newest := map[holdfast.NodeName]holdfast.SetID{}
	for _, e := range entries {
		newest[e.Node] = max(newest[e.Node], e.ID)
	}
	return newest, err
}

// CopiesOf are what the configured copies that a set was sent to have got last.
func (p *Parts) CopiesOf(ctx context.Context, from Source) ([]record.Copied, error) {
	sent, err := p.copiedTo(ctx, from.Repository)
	return slices.DeleteFunc(sent, func(c record.Copied) bool { return !c.Has(from.Set.Node.Name, from.Set.ID) }), err
}

// copiedTo are what the configured copies were sent.
func (p *Parts) copiedTo(ctx context.Context, r *repository.Repository) ([]record.Copied, error) {
	if len(p.Config.Copies) == 0 {
		return nil, nil
	}
	known, err := r.Copied(ctx)
	return slices.DeleteFunc(known, func(c record.Copied) bool {
		return !slices.ContainsFunc(p.Config.Copies, func(at config.Copy) bool { return at.Place.String() == c.Place })
	}), err
}

// markCopies says of each set which of the configured copies it was sent to.
func (p *Parts) markCopies(ctx context.Context, r *repository.Repository, entries []repository.Entry) error {
	sent, err := p.copiedTo(ctx, r)
	for i, e := range entries {
		for _, c := range sent {
			if c.Has(e.Node, e.ID) {
				entries[i].Copies = append(entries[i].Copies, c.Place)
			}
		}
	}
	return err
}

// notSent says that the repository itself is not concerned.
func notSent(to place.Place, err error) error {
	return &holdfast.Problem{
		Class: holdfast.ClassOf(err),
		What:  "the second copy in " + to.String() + " was not brought up to date",
		Err:   err,
		Why:   "The sets in the repository are intact. The copy lacks the newest ones.",
		Do:    "Mend what is named above, then: `holdfast repository copy`.",
	}
}

// copyIn is the copy in a place, with its access where the configuration knows
// the place.
func (p *Parts) copyIn(at place.Place) config.Copy {
	i := slices.IndexFunc(p.Config.Copies, func(c config.Copy) bool { return place.Share(c.Place, at) == place.Itself })
	if i < 0 {
		return config.Copy{Place: at}
	}
	return p.Config.Copies[i]
}

// secondCopy is the copy that check looks at: the one that it names, or else the
// first that is configured.
func (p *Parts) secondCopy() config.Copy {
	if at := p.Config.Check.SecondCopy; !at.IsZero() {
		return p.copyIn(at)
	}
	if len(p.Config.Copies) > 0 {
		return p.Config.Copies[0]
	}
	return config.Copy{}
}
