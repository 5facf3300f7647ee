package setup

import (
	"context"
	"errors"
	"slices"

	"holdfast"
	"holdfast/config"
	"holdfast/place"
	"holdfast/repository"
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
	for _, second := range copies {
		sent, err := r.CopyTo(ctx, second.Place, repository.By(p.access(second.Access)))
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
