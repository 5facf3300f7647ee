package main

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"holdfast"
	"holdfast/event"
	"holdfast/grace"
	"holdfast/step"
)

// cutoff ends a command that does not end by itself after SIGTERM or Ctrl-C: with
// the process end its locks, its sessions and the programs that it has started.
type cutoff struct {
	swapping atomic.Bool
	exit     func(period time.Duration)
}

// hear notices that the node is being changed, which takes longer to put back.
func (c *cutoff) hear(e event.Event) {
	if began, ok := e.(step.Began); ok && !harmless(began.Step) {
		c.swapping.Store(true)
	}
}

// harmless reports whether a step leaves the node as it runs now.
func harmless(s step.Step) bool {
	switch s.Act {
	case step.Fetch, step.Write, step.Build, step.Reuse, step.Drop, step.Discard, step.Remove:
		return true
	}
	return false
}

// listener hears what a command does: it is shown, and it decides how long the
// command may take to end.
func (a *app) listener() event.Listener {
	shown := newProgress(a)
	return func(e event.Event) {
		a.cutoff.hear(e)
		shown.hear(e)
	}
}

func (c *cutoff) period() time.Duration {
	if c.swapping.Load() {
		return grace.Swap
	}
	return grace.End
}

// watch cuts the command off when ctx has been cancelled for too long; the
// function that it returns ends that.
func (c *cutoff) watch(ctx context.Context) (stop func()) {
	over := make(chan struct{})
	unhook := context.AfterFunc(ctx, func() {
		began := time.Now()
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for time.Since(began) < c.period() {
			select {
			case <-over:
				return
			case <-tick.C:
			}
		}
		c.exit(c.period())
	})
	return func() { unhook(); close(over) }
}

// cutOff says that the command was cut off, and ends the program.
func (a *app) cutOff(args []string, exit func(int)) func(time.Duration) {
	return func(period time.Duration) {
		err := a.interruption(fmt.Errorf("something did not end within %v", period))
		a.printError(err, asksForJSON(args))
		exit(exitCode(holdfast.ClassOf(err)))
	}
}
