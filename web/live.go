package web

import (
	"slices"
	"sync"
	"time"

	"holdfast/event"
)

// Live is what is being done for a node now: it hears the node's events, and
// whoever watches hears that something changed. It keeps a bounded number.
type Live struct {
	mu       sync.Mutex
	task     string
	why      string
	since    time.Time
	work     []Work
	lines    []Line
	watchers map[chan struct{}]bool
}

// Work is how far one piece of work is.
type Work struct {
	Subject string `json:"subject"`
	Done    int64  `json:"done"`
	Total   int64  `json:"total"` // an estimate, 0 when unknown
}

// Percent is how much is done, 0 to 100; -1 when unknown.
func (w Work) Percent() int {
	if w.Total <= 0 {
		return -1
	}
	return int(min(100, 100*w.Done/w.Total))
}

// Line is one event.
type Line struct {
	At     time.Time `json:"at"`
	Text   string    `json:"text"`
	Failed bool      `json:"failed,omitempty"`
}

// State is what is being done at one moment.
type State struct {
	Task  string    `json:"task"` // "" when nothing is
	Why   string    `json:"why"`
	Since time.Time `json:"since"`
	Work  []Work    `json:"work"`
	Lines []Line    `json:"lines"` // newest first
}

// mostLines is how many events are kept.
const mostLines = 200

// Begin says that a task begins.
func (l *Live) Begin(task, why string, at time.Time) {
	l.change(func() { l.task, l.why, l.since, l.work = task, why, at, nil })
}

// End says that it has ended.
func (l *Live) End() { l.change(func() { l.task, l.why, l.since, l.work = "", "", time.Time{}, nil }) }

// Hear takes an event. Its text is shown as it is: whoever passes it on has taken
// out what is secret.
func (l *Live) Hear(e event.Event, text string, failed bool, at time.Time) {
	if done, ok := e.(event.Bytes); ok {
		l.change(func() { l.progress(done) })
		return
	}
	l.change(func() {
		l.lines = append(l.lines, Line{At: at, Text: text, Failed: failed})
		if len(l.lines) > 2*mostLines {
			l.lines = slices.Clone(l.lines[len(l.lines)-mostLines:])
		}
	})
}

func (l *Live) progress(b event.Bytes) {
	i := slices.IndexFunc(l.work, func(w Work) bool { return w.Subject == b.Subject })
	if i < 0 {
		l.work = append(l.work, Work{Subject: b.Subject})
		i = len(l.work) - 1
	}
	l.work[i].Done, l.work[i].Total = b.Done, b.Total
}

// State is what is being done, with the newest events.
func (l *Live) State() State {
	l.mu.Lock()
	defer l.mu.Unlock()
	lines := slices.Clone(l.lines[max(0, len(l.lines)-mostLines):])
	slices.Reverse(lines)
	return State{Task: l.task, Why: l.why, Since: l.since, Work: slices.Clone(l.work), Lines: lines}
}

// Watch returns a channel that gets something after each change, and what ends
// it. Changes that come quickly are one.
func (l *Live) Watch() (changed <-chan struct{}, stop func()) {
	c := make(chan struct{}, 1)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.watchers == nil {
		l.watchers = map[chan struct{}]bool{}
	}
	l.watchers[c] = true
	return c, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.watchers, c)
	}
}

func (l *Live) change(fn func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fn()
	for c := range l.watchers {
		select {
		case c <- struct{}{}:
		default: // it has one to look at already
		}
	}
}
