package setup

import (
	"context"
	"errors"
	"fmt"
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
	if stands := p.Config.StandsIn(); len(copies) == 0 && !stands.IsZero() {
		return nil, &holdfast.Problem{
			Class: holdfast.Usage,
			What:  "the copy in " + stands.String() + " is the repository of this run, and no other copy is configured",
			Why:   "A copy is never sent to itself.",
			Do:    "Unset HOLDFAST_REPOSITORY_PATH, or name another place: `holdfast repository copy --to PLACE`.",
		}
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
	before := recordOf(known, to.Place)
	now := record.Copied{
		Place: before.Place, At: time.Now().UTC(), Newest: newest, Extended: before.Extended,
	}
	options = append(options, repository.Choosing(p.kept(r, to)))
	due := now.At.Sub(before.Extended) >= extendCopies
	if due {
		options = append(options, repository.Extending())
	}
	sent, err := r.CopyTo(ctx, to.Place, options...)
	if err != nil {
		return sent, errors.Join(err, noteSeen(ctx, r, before, sent))
	}
	if due && sent.Locked {
		now.Extended = now.At
	}
	now.Seen, now.Sets, now.Left = now.At, sent.Has, sent.Left
	return sent, r.PutCopied(ctx, now)
}

// noteSeen records which sets a copy has whose sending failed. Sets that its rules
// do not keep are still what they were.
func noteSeen(ctx context.Context, r *repository.Repository, before record.Copied, sent repository.Sent) error {
	if ctx.Err() != nil || sent.Sets == 0 {
		return nil
	}
	before.Seen, before.Sets, before.Left = time.Now().UTC(), sent.Has, sent.Left
	return r.PutCopied(ctx, before)
}

// recordOf is the record of the copy in a place; of one that was never sent to it
// has only the name.
func recordOf(known []record.Copied, at place.Place) record.Copied {
	for _, c := range known {
		if c.Place == at.String() {
			return c
		}
	}
	return record.Copied{Place: at.String()}
}

// noteDropped records that a copy has dropped sets of the node.
func (p *Parts) noteDropped(ctx context.Context, copied place.Place, dropped []holdfast.SetID) error {
	r, err := p.Repository(ctx)
	if err != nil {
		return err
	}
	known, err := r.Copied(ctx)
	if err != nil {
		return err
	}
	c := recordOf(known, p.copyIn(copied).Place)
	if c.Seen.IsZero() {
		return nil // what else it has is not known
	}
	return r.PutCopied(ctx, c.Without(p.Node.Name, dropped, time.Now().UTC()))
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
		missed, pinned, err := candidatesOf(ctx, r, p.Node.Name, ours)
		if err != nil {
			return nil, err
		}
		sets = append(sets, missed...)
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

// InCopies is how a set stands in each of the configured copies, as they were last
// seen. It is not known of a set that was read from a copy.
func (p *Parts) InCopies(ctx context.Context, from Source) ([]record.SetInCopy, error) {
	if from.FromCopy {
		return nil, nil
	}
	known, err := p.copied(ctx, from.Repository)
	return inCopies(known, from.Set.Node.Name, from.Set.ID), err
}

// copied are the records of the configured copies, also of those that were never
// sent to.
func (p *Parts) copied(ctx context.Context, r *repository.Repository) (list []record.Copied, err error) {
	if len(p.Config.Copies) == 0 {
		return nil, nil
	}
	known, err := r.Copied(ctx)
	for _, second := range p.Config.Copies {
		list = append(list, recordOf(known, second.Place))
	}
	return list, err
}

func inCopies(known []record.Copied, node holdfast.NodeName, set holdfast.SetID) (list []record.SetInCopy) {
	for _, c := range known {
		list = append(list, c.Of(node, set))
	}
	return list
}

// markCopies says of each set how it stands in the configured copies.
func (p *Parts) markCopies(ctx context.Context, r *repository.Repository, entries []repository.Entry) error {
	known, err := p.copied(ctx, r)
	for i := range entries {
		e := &entries[i]
		e.InCopies = inCopies(known, e.Node, e.ID)
		for _, in := range e.InCopies {
			if in.State == record.InCopy || in.State == record.WasSent {
				e.Copies = append(e.Copies, in.Place)
			}
		}
	}
	return err
}

// notSent says that the repository itself is not concerned.
func notSent(to place.Place, err error) error {
	if holdfast.ClassOf(err) == holdfast.Usage {
		return err // it is no copy
	}
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
