package notice

import (
	"context"
	"fmt"
	"time"

	"holdfast"
	"holdfast/event"
)

// Target is somebody who gets notices.
type Target struct {
	Policy
	Send func(context.Context, Message) error
}

// Clock is the time, and how it passes.
type Clock interface {
	Now() time.Time
	Sleep(ctx context.Context, until time.Time)
}

// Service sends targets what is wrong with a node.
type Service struct {
	Node    holdfast.NodeName
	Clock   Clock
	Targets func() map[string]Target // by name, each time: a configuration may have been read again
	Look    func(now time.Time) []Sight
	Summary func(since, now time.Time) Message // the digest
	Load    func() Memory
	Save    func(Memory)
	// Delivery hears how each target takes its notices: attempts in a row that
	// failed.
	Delivery func(target string, failures int)
	Events   event.Listener
}

// Every is how often troubles are looked at.
const Every = time.Minute

// mostPatience is the longest time between two attempts to reach a target.
const mostPatience = time.Hour

// Run looks and sends until the context ends.
func (s Service) Run(ctx context.Context) {
	w := worker{Service: s, memory: s.Load(), failed: map[string]failure{}}
	for ctx.Err() == nil {
		every := w.step(ctx)
		s.Clock.Sleep(ctx, s.Clock.Now().Add(every))
	}
}

type worker struct {
	Service
	memory Memory
	failed map[string]failure // by target
}

// failure is that a target cannot be reached.
type failure struct {
	since, tried time.Time
	times        int
	cause        error
}

// again is when the next attempt is made.
func (f failure) again() time.Time {
	return f.tried.Add(min(Every<<min(f.times-1, 10), mostPatience))
}

// step looks once, and returns how long to wait for the next time: a minute, or
// less for the impatient.
func (w *worker) step(ctx context.Context) (every time.Duration) {
	targets := w.Targets()
	now := w.Clock.Now()
	w.memory.See(now, append(w.Look(now), w.unreachable(targets)...))
	policies, every := map[string]Policy{}, Every
	for name, t := range targets {
		policies[name], every = t.Policy, min(every, t.orDefaults().Patience)
		if f := w.failed[name]; f.times == 0 || !now.Before(f.again()) || f.tried.After(now.Add(skew)) {
			w.inform(ctx, name, t)
		}
	}
	for name := range w.failed {
		if _, configured := targets[name]; !configured {
			delete(w.failed, name)
		}
	}
	w.memory.Forget(now, policies)
	w.Save(w.memory)
	return max(every, time.Second)
}

// inform sends a target what is new for it.
func (w *worker) inform(ctx context.Context, name string, t Target) {
	now := w.Clock.Now()
	if list := w.memory.Decide(now, name, t.Policy); len(list) > 0 {
		m := Compose(w.Node, now, list)
		m.Resolved = w.memory.resolved(name, list)
		if !w.send(ctx, name, t, m) {
			return
		}
		w.memory.Deliver(now, name, list)
	}
	if since, due := w.memory.DigestDue(now, name, t.Policy); due {
		if w.send(ctx, name, t, w.Summary(since, now)) {
			w.memory.Digested(now, name)
		}
	}
}

func (w *worker) send(ctx context.Context, name string, t Target, m Message) bool {
	err := t.Send(ctx, m)
	if ctx.Err() != nil {
		return err == nil
	}
	if err == nil {
		delete(w.failed, name)
		w.Delivery(name, 0)
		w.Events.Report(Sent{Node: w.Node, Target: name, Title: m.Title})
		return true
	}
	f := w.failed[name]
	f.tried, f.cause, f.times = w.Clock.Now(), err, f.times+1
	if f.times == 1 {
		f.since = f.tried
	}
	w.failed[name] = f
	w.Delivery(name, f.times)
	w.Events.Report(Undelivered{Node: w.Node, Target: name, Title: m.Title, Attempts: f.times, Cause: err})
	return false
}

// unreachable are the targets as possible troubles, for the others to hear of.
func (w *worker) unreachable(targets map[string]Target) (list []Sight) {
	for name := range targets {
		s := Sight{Node: w.Node, Cause: targetCause(name), State: Good}
		if f := w.failed[name]; f.times > 0 {
			s.State, s.What = Bad, fmt.Sprintf("notices do not reach %s: %v", name, f.cause)
			s.Why, s.Do = "Whoever relies on it hears nothing.", "`holdfast notify test`"
		}
		list = append(list, s)
	}
	return list
}

// Sent is the event of a notice that was delivered.
type Sent struct {
	Node          holdfast.NodeName
	Target, Title string
}

func (e Sent) String() string { return fmt.Sprintf("notice to %s: %s", e.Target, e.Title) }

// Undelivered is the event of a notice that was not.
type Undelivered struct {
	Node          holdfast.NodeName
	Target, Title string
	Attempts      int // in a row
	Cause         error
}

func (e Undelivered) String() string {
	return fmt.Sprintf("notice to %s was not delivered, attempt %d: %v; it says: %s", e.Target, e.Attempts, e.Cause, e.Title)
}
