package setup

import (
	"context"

	"holdfast/config"
	"holdfast/place"
	"holdfast/record"
)

// Changed is what a change of the password has reached.
type Changed struct {
	Places    []string         `json:"places"` // that open with the new password, the repository first
	Reference config.Reference `json:"reference"`
}

// ChangePassword makes the repository and its configured copies open with the
// password behind a reference. A copy that cannot be reached keeps the old one
// until it is brought up to date.
func (p *Parts) ChangePassword(ctx context.Context, to config.Reference) (Changed, error) {
	done := Changed{Reference: to}
	if !p.readers.Knows(string(to)) {
		return done, Usage(config.NoReference("--new"))
	}
	next, err := p.Secret(to)(ctx)
	if err != nil {
		return done, err
	}
	r, err := p.Repository(ctx)
	if err != nil {
		return done, err
	}
	if err := r.ChangePassword(ctx, next); err != nil {
		return done, err
	}
	done.Places = append(done.Places, r.Name())
	p.Audit(ctx, record.ChangedPassword, "of the repository, to that behind "+string(to))
	if len(p.Config.Copies) == 0 {
		return done, nil
	}
	sent, err := p.SendCopies(ctx, place.Place{})
	for _, s := range sent {
		done.Places = append(done.Places, s.To)
	}
	return done, err
}
