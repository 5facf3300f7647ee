package setup

import (
	"context"
	"errors"
	"strings"
	"time"

	"holdfast"
	"holdfast/config"
	"holdfast/repository"
)

// ObjectLock reads how a new repository locks what it stores, such as
// compliance:30d; the zero value without a text.
func ObjectLock(text string) (repository.ObjectLock, error) {
	if text == "" {
		return repository.ObjectLock{}, nil
	}
	mode, period, _ := strings.Cut(text, ":")
	age, err := config.ParseAge(period)
	if err != nil || age == config.Forever {
		return repository.ObjectLock{}, errors.New("--object-lock: want MODE:PERIOD, such as compliance:30d or governance:4w")
	}
	return repository.ObjectLock{Mode: strings.ToUpper(mode), Period: time.Duration(age)}, nil
}

// Immutability tries with the node's credentials what an attacker would try in
// the repository's place.
func (p *Parts) Immutability(ctx context.Context) ([]Finding, error) {
	tried, err := repository.Immutability(ctx, p.Config.Repository.Place, p.RepositoryOptions()...)
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
	return out, err
}
