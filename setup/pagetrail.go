package setup

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"holdfast"
	"holdfast/event"
	"holdfast/record"
	"holdfast/repository"
	"holdfast/web"
)

// pageTrail adds to the audit trail of a node who logs in to its page, and what
// is started there. It writes in the background: a page does not wait for the
// repository. Failed logins are one entry a minute for each name and address, so
// that guessing passwords fills no repository.
type pageTrail struct {
	service *Service
	poked   chan struct{}

	mu     sync.Mutex
	deeds  []record.Deed
	failed map[web.LoginFailed]int
}

// The bounds of what waits to be written.
const (
	mostWaiting = 256
	failedEvery = time.Minute
)

func newPageTrail(s *Service) *pageTrail {
	return &pageTrail{service: s, poked: make(chan struct{}, 1), failed: map[web.LoginFailed]int{}}
}

// pageEvents hears what happens on the page of all services. What is of no node
// goes into the trail of the first.
func pageEvents(first *Service, all []*Service) event.Listener {
	return func(e event.Event) {
		first.Options.Events.Report(e)
		switch e := e.(type) {
		case web.LoggedIn:
			first.trail.add(e.Who, record.LoggedIn, fmt.Sprintf("as %s, from %s", e.Role, e.From))
		case web.LoginFailed:
			first.trail.refused(e)
		case web.Acted:
			of := slices.IndexFunc(all, func(s *Service) bool { return s.Status().Node == e.Node })
			if of >= 0 {
				all[of].trail.acted(e)
			}
		}
	}
}

func (t *pageTrail) acted(e web.Acted) {
	act, what := record.Requested, e.What
	switch e.What {
	case "pin":
		act, what = record.PinnedSet, string(e.Set)
	case "unpin":
		act, what = record.UnpinnedSet, string(e.Set)
	}
	t.add(e.Who, act, what)
}

// add has an entry written.
func (t *pageTrail) add(who string, act record.Act, what string) {
	d := record.Deed{At: auditNow(), By: who + " on the page", Act: act, What: what}
	t.mu.Lock()
	full := len(t.deeds) >= mostWaiting
	if !full {
		t.deeds = append(t.deeds, d)
	}
	t.mu.Unlock()
	if full {
		t.service.Options.Events.Report(NotAudited{Act: act, What: what, Cause: errTooMuch})
		return
	}
	select {
	case t.poked <- struct{}{}:
	default: // it is about to be written
	}
}

var errTooMuch = &holdfast.Problem{
	Class: holdfast.Busy,
	What: fmt.Sprintf("%d entries wait for the repository, and no more are kept: `holdfast check` shows what is wrong with it",
		mostWaiting),
}

// refused counts a failed login.
func (t *pageTrail) refused(e web.LoginFailed) {
	if len(e.Who) > 64 { // what somebody typed
		e.Who = strings.ToValidUTF8(e.Who[:64], "") + "..."
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, known := t.failed[e]; known || len(t.failed) < mostWaiting {
		t.failed[e]++
	}
}

// run writes the entries until the context ends, and then those that wait.
func (t *pageTrail) run(ctx context.Context) {
	minute := time.NewTicker(failedEvery)
	defer minute.Stop()
	for ctx.Err() == nil {
		select {
		case <-t.poked:
			t.write(ctx, false)
		case <-minute.C:
			t.write(ctx, true)
		case <-ctx.Done():
		}
	}
	t.write(ctx, true)
}

// write writes what waits; with failed, the failed logins too.
func (t *pageTrail) write(ctx context.Context, failed bool) {
	deeds := t.take(failed)
	if len(deeds) == 0 {
		return
	}
	within, cancel := toAudit(ctx)
	defer cancel()
	err := t.service.with(within, func(p *Parts) error {
		r, err := p.Repository(within)
		for err == nil && len(deeds) > 0 {
			if err = p.auditIn(within, r, deeds[0]); err == nil {
				deeds = deeds[1:]
			}
		}
		return err
	})
	for _, d := range deeds {
		t.service.Options.Events.Report(NotAudited{Act: d.Act, What: d.What, Cause: err})
	}
	t.service.board.changed()
}

func (t *pageTrail) take(failed bool) []record.Deed {
	t.mu.Lock()
	defer t.mu.Unlock()
	deeds := t.deeds
	t.deeds = nil
	if !failed {
		return deeds
	}
	now := auditNow()
	for e, n := range t.failed {
		what := fmt.Sprintf("%q, from %s: %s", e.Who, e.From, e.Why)
		if n > 1 {
			what += fmt.Sprintf(", %d times", n)
		}
		deeds = append(deeds, record.Deed{At: now, By: "somebody on the page", Act: record.LoginRefused, What: what})
	}
	clear(t.failed)
	slices.SortStableFunc(deeds, func(a, b record.Deed) int {
		return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.What, b.What))
	})
	return deeds
}

// mostActivity is how many entries of the audit trail a page shows.
const mostActivity = 200

// activityOf is the node's part of the audit trail for its page, newest first. A
// trail that was changed is said before everything else.
func activityOf(ctx context.Context, r *repository.Repository, node holdfast.NodeName) ([]web.Activity, error) {
	trail, err := r.Trail(ctx)
	if err != nil {
		return nil, err
	}
	var out []web.Activity
	for _, what := range trail.Broken {
		out = append(out, web.Activity{
			At: time.Now().UTC(), What: "the audit trail was changed: " + what, Failed: true, Audit: true,
		})
	}
	for _, d := range slices.Backward(trail.Deeds) {
		if d.Node != node || len(out) >= mostActivity {
			continue
		}
		a := web.Activity{At: d.At, Who: d.By, What: string(d.Act), Audit: true, Failed: d.Act == record.LoginRefused}
		if set := holdfast.SetID(d.What); set.Valid() {
			a.Set = set
		} else {
			a.What += " " + d.What
		}
		out = append(out, a)
	}
	return out, nil
}
