package daemon

import (
	"cmp"
	"context"
	"sync"
	"time"

	"holdfast"
	"holdfast/event"
	"holdfast/schedule"
)

// Node is a node that work is done for.
type Node struct {
	Name string
	// Tasks are what is to be done, asked before each decision: a configuration may
	// have been read again.
	Tasks func() []Task
	// Past is what the repository knows of the tasks, by name: another daemon, or
	// somebody by hand, may have done them. It is asked before something is done.
	Past func(ctx context.Context) (map[string]schedule.Past, error)
	// Missing is why a task is wanted at once, by its name: the node has something
	// that no set has. A task that fails is tried again patiently all the same. Nil
	// when nobody looks.
	Missing func() map[string]string
	// Show is given what the work stands at, at each step; nil when nobody looks.
	Show func(State)
	// Wake ends a wait early: the tasks have changed. Nil when they never do.
	Wake <-chan struct{}
	// Changed looks, at each glance, whether the repository went away or is back:
	// it is then asked although nothing is due. Nil when nobody looks.
	Changed func(ctx context.Context) bool
}

// State is what a node's work stands at.
type State struct {
	Looked  time.Time                // at the clock: a loop that does not look is stuck, unless a task is running
	Running string                   // the task that is at work; "" while it waits
	Next    schedule.Decision        // what begins next, or began
	Past    map[string]schedule.Past // of each task
}

// Task is a kind of work, and how it is done.
type Task struct {
	schedule.Task
	Wanted string // why it is wanted at once, whatever its rule says; "" when it is not
	// Do does it once. It ends when its context does.
	Do func(ctx context.Context) error
	// Outside is for a task that neither changes what the repository knows nor
	// depends on it: the repository is not asked because of it, and events say only
	// that it fails and that it works again.
	Outside bool
}

// Clock is the time, and how it passes.
type Clock interface {
	Now() time.Time
	// Sleep returns at that time by the clock on the wall, or earlier; when the
	// context ends at once.
	Sleep(ctx context.Context, until time.Time)
}

// Daemon does what is due for its nodes.
type Daemon struct {
	Nodes  []Node
	Clock  Clock
	Events event.Listener
}

// Run returns when the context has ended and nothing is at work any more.
func (d Daemon) Run(ctx context.Context) error {
	var all sync.WaitGroup
	for _, n := range d.Nodes {
		all.Go(func() { d.serve(ctx, n) })
	}
	all.Wait()
	return context.Cause(ctx)
}

// serve does one node's work.
func (d Daemon) serve(ctx context.Context, n Node) {
	w := worker{Daemon: d, node: n, own: map[string]schedule.Past{}}
	for ctx.Err() == nil {
		w.step(ctx)
	}
}

// worker is the work for one node, and what this process knows of it.
type worker struct {
	Daemon
	node  Node
	own   map[string]schedule.Past
	tasks []Task                   // of this step
	past  map[string]schedule.Past // of the repository
	asked bool                     // the repository, since the last wait or work
	shown schedule.Decision        // that was reported
}

// Glance is how often the clock is looked at: it may be set, and a machine may
// sleep.
const Glance = time.Minute

// step decides, and then waits for a while or does what is due. The repository is
// asked only when something seems to be due: a bucket's answers cost money.
func (w *worker) step(ctx context.Context) {
	w.tasks = w.node.Tasks()
	if !w.asked {
		_ = w.ask(ctx) // reported
	}
	now := w.Clock.Now()
	next := schedule.Next(now, w.node.Name, plans(w.tasks, true), w.merged())
	if ctx.Err() != nil {
		return
	}
	w.show("", next)
	if next.Task != "" && !next.At.After(now) {
		w.do(ctx, next)
		w.show("", next) // nothing runs while the repository is asked, which may hang
		return
	}
	w.announce(now)
	until := now.Add(Glance)
	if next.Task != "" && next.At.Before(until) {
		until = next.At
	}
	w.sleep(ctx, until)
	w.asked = next.Task == "" || w.Clock.Now().Before(next.At) || w.task(next.Task).Outside
	if w.asked && w.node.Changed != nil && ctx.Err() == nil && w.node.Changed(ctx) {
		w.askAgain(ctx)
	}
}

// askAgain asks a repository that went away or is back. What failed while it was
// away is tried again at once: nobody should hear of that afterwards.
func (w *worker) askAgain(ctx context.Context) {
	if w.ask(ctx) != nil {
		return
	}
	for name, own := range w.own {
		own.Failures, own.Failed = 0, nil
		w.own[name] = own
	}
}

// announce says what is waited for, when that has changed. Tasks outside are done
// too often to be spoken of.
func (w *worker) announce(now time.Time) {
	next := schedule.Next(now, w.node.Name, plans(w.tasks, false), w.merged())
	if next.Task != w.shown.Task || !next.At.Equal(w.shown.At) {
		w.Events.Report(Waiting{Node: w.node.Name, Task: next.Task, At: next.At, Why: next.Why})
		w.shown = next
	}
}

// sleep sleeps until then, or until it is woken.
func (w *worker) sleep(ctx context.Context, until time.Time) {
	if w.node.Wake == nil {
		w.Clock.Sleep(ctx, until)
		return
	}
	sleeping, wake := context.WithCancel(ctx)
	defer wake()
	go func() {
		select {
		case <-w.node.Wake:
			wake()
		case <-sleeping.Done():
		}
	}()
	w.Clock.Sleep(sleeping, until)
}

// show shows what the work stands at.
func (w *worker) show(running string, next schedule.Decision) {
	if w.node.Show != nil {
		w.node.Show(State{Looked: w.Clock.Now(), Running: running, Next: next, Past: w.merged()})
	}
}

// ask asks the repository what was done. While it does not answer, what is known
// already has to do.
func (w *worker) ask(ctx context.Context) error {
	past, err := w.node.Past(ctx)
	w.asked = true
	switch {
	case err == nil:
		w.past = past
	case ctx.Err() == nil:
		w.Events.Report(PastUnknown{Node: w.node.Name, Cause: err})
	}
	return err
}

// plans are the schedules of tasks, with or without those outside.
func plans(tasks []Task, outside bool) []schedule.Task {
	var out []schedule.Task
	for _, t := range tasks {
		if outside || !t.Outside {
			out = append(out, t.Task)
		}
	}
	return out
}

// merged is the past that the repository knows, with what only this process does.
func (w *worker) merged() map[string]schedule.Past {
	out, missing := map[string]schedule.Past{}, map[string]string{}
	if w.node.Missing != nil {
		missing = w.node.Missing()
	}
	for _, t := range w.tasks {
		p, own := w.past[t.Name], w.own[t.Name]
		if p.Done.Before(own.Done) {
			p.Done = own.Done
		}
		p.Wanted = cmp.Or(p.Wanted, missing[t.Name])
		if own.Took > 0 {
			p.Took = own.Took
		}
		p.Tried, p.Failures, p.Failed, p.Held = own.Tried, own.Failures, own.Failed, own.Held
		if (own.Failures > 0 || own.Held) && p.Done.After(own.Tried) { // somebody else has done it meanwhile
			p.Failures, p.Failed, p.Held = 0, nil, false
		}
		if t.Wanted != "" {
			p.Wanted, p.Failures = t.Wanted, 0
		}
		out[t.Name] = p
	}
	return out
}

// do has one task done, and remembers how it ended.
func (w *worker) do(ctx context.Context, next schedule.Decision) {
	outside := w.task(next.Task).Outside
	w.asked = outside
	if !outside {
		w.shown = schedule.Decision{}
		w.Events.Report(Began{Node: w.node.Name, Task: next.Task, Why: next.Why})
	}
	w.show(next.Task, next)
	began := w.Clock.Now()
	err := w.task(next.Task).Do(ctx)
	ended := w.Clock.Now()
	own := w.own[next.Task]
	own.Tried = ended
	if err == nil {
		worked := own.Failures == 0 && !own.Held
		own = schedule.Past{Done: began, Tried: ended, Took: ended.Sub(began)}
		if outside && worked { // nothing has changed
			w.own[next.Task] = own
			return
		}
		w.Events.Report(Ended{Node: w.node.Name, Task: next.Task, Took: own.Took})
	} else if holdfast.ClassOf(err) == holdfast.Busy && ctx.Err() == nil { // another daemon, or somebody by hand, is at it
		own.Held, own.Failures, own.Failed = true, 0, nil
		w.Events.Report(Held{Node: w.node.Name, Task: next.Task, Cause: err})
	} else if ctx.Err() == nil {
		own.Held, own.Failures, own.Failed = false, own.Failures+1, err
		w.Events.Report(Failed{Node: w.node.Name, Task: next.Task, Attempts: own.Failures, Cause: err})
	}
	w.own[next.Task] = own
}

func (w *worker) task(name string) Task {
	for _, t := range w.tasks {
		if t.Name == name {
			return t
		}
	}
	return Task{Do: func(context.Context) error { return nil }} // schedule names what it was given
}
