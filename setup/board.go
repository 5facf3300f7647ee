package setup

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"holdfast"
	"holdfast/check"
	"holdfast/config"
	"holdfast/daemon"
	"holdfast/event"
	"holdfast/eventlog"
	"holdfast/history"
	"holdfast/record"
	"holdfast/repository"
	"holdfast/schedule"
	"holdfast/web"
)

// board keeps what the pages of a node are made of, so that a page waits for
// nothing. It reads the repository again when something has changed, and of sets
// only those that it does not know yet: a set never changes.
type board struct {
	service *Service
	live    *web.Live
	poked   chan struct{}
	viewed  chan struct{} // by somebody, who may look at a set next

	mu      sync.Mutex
	looked  time.Time // when somebody did last
	kept    web.Reports
	entries []repository.Entry
	facts   map[holdfast.SetID]setFacts
	shown   map[holdfast.SetID]web.SetReport // that somebody looked at

	opened sync.RWMutex // of parts: whoever reads a set holds it open
	parts  *Parts       // open while somebody looks: a repository of many sets takes much memory

	reading sync.Mutex // one at a time reads the repository, and knows what follows
}

// The bounds of what a board keeps, and how often it looks by itself: ages
// change, and somebody may have done something by hand.
const (
	boardEvery = 15 * time.Minute
	mostShown  = 32
	attention  = 2 * time.Minute // that a repository stays open after somebody looked
)

func newBoard(s *Service) *board {
	return &board{
		service: s, live: new(web.Live), poked: make(chan struct{}, 1), viewed: make(chan struct{}, 1),
		facts: map[holdfast.SetID]setFacts{}, shown: map[holdfast.SetID]web.SetReport{},
	}
}

// heard is a listener that passes events on, and shows them.
func (b *board) heard(o Options) event.Listener {
	return func(e event.Event) {
		o.Events.Report(e)
		if _, often := e.(event.Bytes); often {
			b.live.Hear(e, "", false, time.Time{})
			return
		}
		b.live.Hear(e, o.hide(e.String()), eventlog.IsWarning(e), time.Now().UTC())
	}
}

// works shows what the daemon does for the node.
func (b *board) works(before, now daemon.State) {
	switch {
	case now.Running == before.Running:
	case now.Running == "":
		b.live.End()
	default:
		b.live.Begin(now.Running, now.Next.Why, time.Now().UTC())
	}
}

// judged keeps a report without what is secret in it.
func (b *board) judged(r check.Report) {
	text, err := json.Marshal(r)
	if known := b.service.Options.Secrets; err == nil && known != nil {
		var hidden check.Report
		if err = json.Unmarshal(known.HideJSON(text), &hidden); err == nil {
			r = hidden
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.kept.CheckProblem = err; err == nil {
		b.kept.Check = &r
	}
}

// changed has the repository read again.
func (b *board) changed() { poke(b.poked) }

func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default: // it is about to be seen
	}
}

// run reads the repository, until the context ends.
func (b *board) run(ctx context.Context) {
	for ctx.Err() == nil {
		if err := b.refresh(ctx); err != nil && ctx.Err() == nil {
			b.mu.Lock()
			b.kept.Problem = errors.New(b.service.Options.hide(err.Error()))
			b.mu.Unlock()
		}
		b.wait(ctx)
	}
	b.swap(context.WithoutCancel(ctx), nil)
}

// wait waits until the repository is to be read again. Meanwhile it is open while
// somebody looks.
func (b *board) wait(ctx context.Context) {
	again := time.After(boardEvery)
	for {
		left := b.attended()
		if left <= 0 {
			b.rest(ctx)
			left = boardEvery
		}
		select {
		case <-b.viewed:
			_ = b.ready(ctx) // whoever looks at a set hears why not
		case <-time.After(left):
		case <-b.poked:
			return
		case <-again:
			return
		case <-ctx.Done():
			return
		}
	}
}

// attended is for how long somebody is still thought to look.
func (b *board) attended() time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	return attention - time.Since(b.looked)
}

// rest closes the repository, and gives its memory back.
func (b *board) rest(ctx context.Context) {
	if b.isOpen() {
		b.swap(context.WithoutCancel(ctx), nil)
		giveBack()
	}
}

func (b *board) isOpen() bool {
	b.opened.RLock()
	defer b.opened.RUnlock()
	return b.parts != nil
}

// ready opens the repository, unless it is open.
func (b *board) ready(ctx context.Context) error {
	if b.isOpen() {
		return nil
	}
	b.reading.Lock()
	defer b.reading.Unlock()
	if b.isOpen() {
		return nil
	}
	p, err := Open(b.service.config(), b.service.Options)
	if err != nil {
		return err
	}
	if _, err := p.Repository(ctx); err != nil {
		return errors.Join(err, p.Close(context.WithoutCancel(ctx)))
	}
	b.swap(ctx, p)
	return nil
}

// swap takes other parts, and closes the former ones.
func (b *board) swap(ctx context.Context, p *Parts) {
	b.opened.Lock()
	before := b.parts
	b.parts = p
	b.opened.Unlock()
	if before != nil {
		_ = before.Close(ctx)
	}
}

// refresh reads what has changed.
func (b *board) refresh(ctx context.Context) error {
	b.reading.Lock()
	defer b.reading.Unlock()
	defer giveBack()
	p, err := Open(b.service.config(), b.service.Options)
	if err != nil {
		return err
	}
	if err := b.read(ctx, p, &b.service.size); err != nil {
		return errors.Join(err, p.Close(context.WithoutCancel(ctx)))
	}
	if b.attended() <= 0 {
		return p.Close(context.WithoutCancel(ctx))
	}
	b.swap(ctx, p)
	return nil
}

func (b *board) read(ctx context.Context, p *Parts, size *sizing) error {
	r, err := p.still(ctx)
	if err != nil {
		return err
	}
	now := time.Now().UTC()
	entries, err := p.listed(ctx, r, p.Node.Name)
	if err != nil {
		return err
	}
	b.mu.Lock()
	known := b.facts
	b.mu.Unlock()
	facts, err := p.facts(ctx, r, entries, known)
	if err != nil {
		return err
	}
	next := web.Reports{At: now}
	if next.Drills, err = r.Drills(ctx, p.Node.Name); err != nil {
		return err
	}
	if next.Pins, err = r.Pins(ctx, p.Node.Name); err != nil {
		return err
	}
	if next.Activity, err = activityOf(ctx, r, p.Node.Name); err != nil {
		return err
	}
	seen, err := r.Verification(ctx)
	if err != nil {
		return err
	}
	next.Verification = &seen
	stored, err := size.of(ctx, r, now)
	if err != nil {
		return err
	}
	decide(p, entries, facts, next.Drills, next.Pins, now)
	for _, e := range entries {
		next.Sets = append(next.Sets, e.Set)
	}
	next.History = historyOf(p.Config, entries, facts, next, stored)
	withoutSummaries(entries)
	b.keep(next, entries, facts)
	return nil
}

func (b *board) keep(next web.Reports, entries []repository.Entry, facts map[holdfast.SetID]setFacts) {
	b.mu.Lock()
	defer b.mu.Unlock()
	next.Check, next.CheckProblem = b.kept.Check, b.kept.CheckProblem
	b.kept, b.entries, b.facts = next, entries, facts
}

// historyOf is what the sets say together.
func historyOf(
	conf *config.Config, entries []repository.Entry, facts map[holdfast.SetID]setFacts, r web.Reports, stored int64,
) history.Report {
	drilled := map[holdfast.SetID]holdfast.Verdict{}
	for _, d := range r.Drills {
		drilled[d.Set] = record.Restores(d.Set, r.Drills)
	}
	var sets []history.Set
	for _, e := range entries {
		s := history.Set{Set: e.Set, Databases: facts[e.ID].Databases, Marks: facts[e.ID].Candidate.Marks}
		if v := drilled[e.ID]; v == holdfast.Holds || v == holdfast.Violated {
			s.Drilled = v
		}
		for i := range r.Pins {
			if r.Pins[i].Set == e.ID && r.Pins[i].HoldsAt(r.At) {
				s.Pinned = &r.Pins[i]
			}
		}
		sets = append(sets, s)
	}
	o := history.Options{
		Cadence: time.Duration(conf.Check.Cadence), Grace: time.Duration(conf.Check.Grace), Stored: stored,
	}
	o.Price.PerGiBMonth, o.Price.Currency, _ = conf.Repository.StoragePrice() // Load has checked it
	return history.Make(sets, r.At, o)
}

// History is what the node's sets say together.
func (p *Parts) History(ctx context.Context) (history.Report, error) {
	var b board
	b.facts = map[holdfast.SetID]setFacts{}
	err := b.read(ctx, p, new(sizing))
	return b.kept.History, err
}

// reports are the newest, at once.
func (b *board) reports() web.Reports {
	work := b.service.Status().Work
	b.mu.Lock()
	r := b.kept
	b.looked = time.Now()
	b.mu.Unlock()
	poke(b.viewed)
	now := time.Now().UTC()
	for _, t := range b.service.tasks() {
		next := schedule.Next(now, b.service.config().Node, []schedule.Task{t.Task}, work.Past)
		if next.Task != "" && work.Running != t.Name {
			r.Next = append(r.Next, web.Due{Task: t.Name, At: next.At, Why: next.Why})
		}
	}
	slices.SortFunc(r.Next, func(x, y web.Due) int { return cmp.Or(x.At.Compare(y.At), cmp.Compare(x.Task, y.Task)) })
	return r
}

// set is one set with what is known around it.
func (b *board) set(ctx context.Context, id holdfast.SetID) (web.SetReport, error) {
	b.mu.Lock()
	b.looked = time.Now()
	entries, kept := b.entries, b.kept
	report, known := b.shown[id]
	b.mu.Unlock()
	at := slices.IndexFunc(entries, func(e repository.Entry) bool { return e.ID == id })
	if at < 0 {
		return report, &holdfast.Problem{
			Class: holdfast.Usage, What: fmt.Sprintf("there is no set %q", id), Do: "`holdfast list` shows the sets.",
		}
	}
	if !known {
		var err error
		if report, err = b.open(ctx, entries, at); err != nil {
			return report, err
		}
	}
	report.Stored, report.Drills, report.Pin = entries[at].Set, []record.Drill{}, nil
	for _, d := range kept.Drills {
		if d.Set == id {
			report.Drills = append(report.Drills, d)
		}
	}
	for i := range kept.Pins {
		if kept.Pins[i].Set == id {
			report.Pin = &kept.Pins[i]
		}
	}
	return report, nil
}

// open reads a set and the one before it.
func (b *board) open(ctx context.Context, entries []repository.Entry, at int) (web.SetReport, error) {
	if err := b.ready(ctx); err != nil {
		return web.SetReport{}, err
	}
	b.opened.RLock()
	defer b.opened.RUnlock()
	if b.parts == nil { // nobody has looked for long, but just now
		return web.SetReport{}, &holdfast.Problem{Class: holdfast.Unreachable, What: "the repository is not open"}
	}
	r, err := b.parts.Repository(ctx)
	if err != nil {
		return web.SetReport{}, err
	}
	read, err := r.ManifestsOf(ctx, entries[max(0, at-1):at+1])
	if err == nil {
		err = read[len(read)-1].Err
	}
	if err != nil {
		return web.SetReport{}, err
	}
	var previous *holdfast.Set
	if len(read) > 1 && read[0].Err == nil {
		previous = &read[0].Set
	}
	report := web.NewSetReport(read[len(read)-1].Set, previous)
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.shown) >= mostShown {
		clear(b.shown)
	}
	b.shown[report.Set.ID] = report
	return report, nil
}
