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
	ctx, cancel := toAudit(ctx)
	defer cancel()
	r, err := p.Repository(ctx)
	if err == nil {
		err = p.auditIn(ctx, r, record.Deed{By: Who(), Act: act, What: what, At: auditNow()})
	}
	if err != nil {
		p.Events.Report(NotAudited{Act: act, What: what, Cause: err})
	}
}

// toAudit bounds how long entries may take. What they say was done, even if nobody
// waits any more.
func toAudit(ctx context.Context) (context.Context, context.CancelFunc) {
	within := auditTime
	if ctx.Err() != nil {
		within = lastAuditTime
	}
	return context.WithTimeout(context.WithoutCancel(ctx), within)
}

// How long an entry may take to be written, the same after an interrupt, and how
// long it waits for whoever drops or pins sets.
const (
	auditTime     = 20 * time.Second
	lastAuditTime = 5 * time.Second
	auditPatience = 10 * time.Second
)

func (p *Parts) auditIn(ctx context.Context, r *repository.Repository, d record.Deed) error {
	d.Node, d.Holdfast = p.Node.Name, p.Version
	before := r.Patience
	r.Patience = max(before, auditPatience)
	defer func() { r.Patience = before }()
	return r.AddDeed(ctx, d)
}

// auditNow is the time of an entry.
func auditNow() time.Time { return time.Now().UTC().Round(time.Second) }

// NotAudited is the event of an act that is not in the audit trail.
type NotAudited struct {
	Act   record.Act
	What  string
	Cause error
}

func (e NotAudited) String() string {
	return fmt.Sprintf("%s %s: this is not in the audit trail: %v", e.Act, e.What, e.Cause)
}

// NotNoted is the event of sets that a copy dropped, and whose drop is not recorded.
type NotNoted struct {
	Copy  string
	Cause error
}

func (e NotNoted) String() string {
	return fmt.Sprintf("`holdfast list` says until the next copy that %s has sets that it dropped: %v", e.Copy, e.Cause)
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
	var names []string
	for _, id := range chosen {
		names = append(names, string(id))
	}
	what := strings.Join(names, ", ")
	if u.copy.IsZero() {
		u.parts.auditPolicy(ctx, u.Repository)
	} else {
		what += " in the copy " + u.copy.String()
		if err := u.parts.noteDropped(ctx, u.copy, chosen); err != nil {
			u.parts.Events.Report(NotNoted{u.copy.String(), err})
		}
	}
	u.parts.Audit(ctx, record.DroppedSets, what)
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
