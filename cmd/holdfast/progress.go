package main

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"holdfast/backup"
	"holdfast/capture/postgres"
	"holdfast/drill"
	"holdfast/event"
	"holdfast/identities"
	"holdfast/internal/printable"
	"holdfast/repository"
	"holdfast/retention"
	"holdfast/size"
	"holdfast/step"
	"holdfast/verify"
)

// progress shows how far a run is: bars on a terminal, a line a minute
// elsewhere, nothing with JSON output or --quiet.
type progress struct {
	out      io.Writer
	bare     io.Writer // of bars, which move the cursor
	terminal bool
	quiet    bool

	now func() time.Time

	mu   sync.Mutex
	bars map[string]*progressbar.ProgressBar
	last map[string]time.Time
}

// lineEvery is how often a run that nobody watches says how far it is.
const lineEvery = time.Minute

// newProgress is the listener of a command. There is one for all its parts: a
// line goes above whatever bars there are.
func newProgress(a *app) *progress {
	if a.shown != nil {
		return a.shown
	}
	a.shown = &progress{
		out: a.err, bare: a.known.Writer(a.whole.err), quiet: a.quiet || a.output == "json", now: time.Now,
		bars: map[string]*progressbar.ProgressBar{}, last: map[string]time.Time{},
	}
	if f, ok := a.whole.err.(*os.File); ok {
		a.shown.terminal = term.IsTerminal(int(f.Fd())) && os.Getenv("TERM") != "dumb"
	}
	return a.shown
}

// hear is an event.Listener.
func (p *progress) hear(e event.Event) {
	if done, ok := e.(event.Bytes); ok {
		p.bytes(done)
		return
	}
	if typed, ok := e.(step.Typing); ok {
		p.typed(typed)
		return
	}
	if isNews(e) {
		p.print(e.String())
	}
}

// isNews reports whether an event is worth a line to somebody who looks on: what
// begins and what goes wrong, once. How it ended is in the result, which is
// printed next, and the rest is for logs.
func isNews(e event.Event) bool {
	switch e := e.(type) {
	case backup.CaptureEnded, backup.SetStored, verify.Ended, drill.Ended,
		postgres.SnapshotTaken, postgres.SessionWaits, postgres.TableDone, postgres.TableProven,
		identities.DumpKept, repository.MaintenanceEnded, retention.SetDropped, step.Ended:
		return false
	case postgres.LocksRetried:
		return e.Try == 1
	case identities.FetchRetried:
		return e.Try == 1
	}
	return true
}

// typed prints lines that the run waits for, whoever looks on: nobody else types them.
func (p *progress) typed(t step.Typing) {
	_, _ = fmt.Fprintf(p.out, "\nType now, in another shell; this run waits for Postgres to answer, and goes on by itself:\n")
	for _, in := range t.Parts {
		_, _ = fmt.Fprintf(p.out, "\n%s:\n\n%s", in.Of, in.Lines)
	}
	_, _ = fmt.Fprintln(p.out)
}

// bytes shows how far a piece of work is.
func (p *progress) bytes(s event.Bytes) {
	if p.quiet {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.terminal {
		p.line(s)
		return
	}
	bar := p.bars[s.Subject]
	if bar == nil {
		bar = progressbar.NewOptions64(s.Total, progressbar.OptionSetWriter(p.bare), progressbar.OptionSetDescription(printable.Cell(s.Subject)),
			progressbar.OptionShowBytes(true), progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionSetWidth(30),
			progressbar.OptionClearOnFinish(), progressbar.OptionSetPredictTime(true))
		p.bars[s.Subject] = bar
	}
	_ = bar.Set64(min(s.Done, s.Total))
}

// line says how far a piece of work is, if it has not for a while.
func (p *progress) line(s event.Bytes) {
	now := p.now()
	if p.last[s.Subject].IsZero() {
		p.last[s.Subject] = now
	}
	if now.Sub(p.last[s.Subject]) < lineEvery {
		return
	}
	p.last[s.Subject] = now
	if s.Total <= 0 {
		_, _ = fmt.Fprintf(p.out, "%s: %s\n", s.Subject, size.Of(s.Done))
		return
	}
	_, _ = fmt.Fprintf(p.out, "%s: %s of about %s (%d%%)\n", s.Subject, size.Of(s.Done), size.Of(s.Total), min(100, 100*s.Done/s.Total))
}

// print prints one line above the bars.
func (p *progress) print(text string) {
	if p.quiet {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, bar := range p.bars {
		if !bar.IsFinished() {
			_ = bar.Clear()
		}
	}
	_, _ = fmt.Fprintln(p.out, short(text))
}
