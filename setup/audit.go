package setup

import (
	"context"
	"fmt"
	"strings"
	"time"

	"holdfast"
	"holdfast/record"
	"holdfast/repository"
)

// Audit adds to the audit trail what was done. What cannot be written there is an
// event: it keeps nobody from a restore.
func (p *Parts) Audit(ctx context.Context, act record.Act, what string) {
	within := auditTime
	if ctx.Err() != nil {
		within = lastAuditTime
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), within) // it was done, even if nobody waits any more
	defer cancel()
	r, err := p.Repository(ctx)
	if err == nil {
		err = p.auditIn(ctx, r, act, what)
	}
	if err != nil {
		p.Events.Report(NotAudited{Act: act, What: what, Cause: err})
	}
}

// How long an entry may take to be written, the same after an interrupt, and how
// long it waits for whoever drops or pins sets.
const (
	auditTime     = 20 * time.Second
	lastAuditTime = 5 * time.Second
	auditPatience = 10 * time.Second
)

func (p *Parts) auditIn(ctx context.Context, r *repository.Repository, act record.Act, what string) error {
	before := r.Patience
	r.Patience = max(before, auditPatience)
	defer func() { r.Patience = before }()
	return r.AddDeed(ctx, record.Deed{
		At: time.Now().UTC().Round(time.Second), Node: p.Node.Name, By: Who(), Act: act, What: what, Holdfast: p.Version,
	})
}

// NotAudited is the event of an act that is not in the audit trail.
type NotAudited struct {
	Act   record.Act
	What  string
	Cause error
}

func (e NotAudited) String() string {
	return fmt.Sprintf("%s %s: this is not in the audit trail: %v", e.Act, e.What, e.Cause)
}

// Drop drops sets and says so in the audit trail. A policy that differs from the
// last one of the trail is said before it drops anything.
func (u upkeep) Drop(
	ctx context.Context, node holdfast.NodeName, choose func(context.Context) ([]holdfast.SetID, error),
) error {
	var chosen []holdfast.SetID
	err := u.Repository.Drop(ctx, node, func(ctx context.Context) (list []holdfast.SetID, err error) {
		chosen, err = choose(ctx)
		return chosen, err
	})
	if err != nil || len(chosen) == 0 {
		return err
	}
	u.parts.auditPolicy(ctx, u.Repository)
	var names []string
	for _, id := range chosen {
		names = append(names, string(id))
	}
	u.parts.Audit(ctx, record.DroppedSets, strings.Join(names, ", "))
	return nil
}

// auditPolicy says in the audit trail that sets are dropped by another policy
// than before.
func (p *Parts) auditPolicy(ctx context.Context, r *repository.Repository) {
	now := fmt.Sprintf("%+v", p.Config.Retention)
	trail, err := r.Trail(ctx)
	if err != nil {
		return // the entry of the drop says that the trail cannot be read
	}
	last := ""
	for _, d := range trail.Deeds {
		if d.Act == record.ChangedPolicy && d.Node == p.Node.Name {
			last = d.What
		}
	}
	if last != now {
		p.Audit(ctx, record.ChangedPolicy, now)
	}
}
