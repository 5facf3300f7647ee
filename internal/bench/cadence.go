package main

import (
	"context"
	"fmt"
	"os"
	"sync"
	"time"

	"holdfast/internal/splicetest"
)

// inWindow is how many sets a window of four hours has at one every 15 minutes.
const inWindow = 16

// cadence compares one full reading in a window with sixteen sets that take over:
// six windows are a day. The node is under load, and a window passes in the time
// of -window.
func (b *bench) cadence(ctx context.Context) error {
	often, err := b.newRepository(ctx, "often", b.node.ParticipantDSN(), clientsOf(b))
	if err != nil {
		return err
	}
	seldom, err := b.newRepository(ctx, "seldom", b.node.ParticipantDSN(), clientsOf(b))
	if err != nil {
		return err
	}
	stop, err := b.loaded(ctx)
	if err != nil {
		return err
	}
	for round := range b.rounds {
		b.note("round %d of windows of %v", round+1, b.window)
		idle, err := b.within(ctx, 0, nil)
		if err != nil {
			return err
		}
		frequent, err := b.windowOf(ctx, often, inWindow)
		if err != nil {
			return err
		}
		full, err := b.windowOf(ctx, seldom, 1, "--full")
		if err != nil {
			return err
		}
		b.note("  CPU of the server %v without sets, %v with %d, %v with one that reads all", idle.cpu, frequent.cpu, inWindow, full.cpu)
		b.results.add("96 sets a day / 6 full readings: CPU of the server", atMost(1.0),
			ratio(frequent.cpu-idle.cpu, full.cpu-idle.cpu))
		b.results.add("96 sets a day / 6 full readings: bytes the server reads", atMost(1.0),
			float64(frequent.read-idle.read)/float64(max(1, full.read-idle.read)))
		b.results.add("96 sets a day / 6 full readings: repository growth for each update", atMost(1.0),
			frequent.perUpdate()/full.perUpdate())
		b.results.add("96 sets a day / 6 full readings: CPU of Holdfast", nil, ratio(frequent.own, full.own))
		b.results.add("longest of 16 sets (s)", nil, frequent.longest.Seconds())
	}
	return stop()
}

// loaded keeps the node under load, of a stable size, until stop.
func (b *bench) loaded(ctx context.Context) (stop func() error, err error) {
	end, err := b.node.LedgerEnd(ctx)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	var background sync.WaitGroup
	var failed error
	background.Go(func() {
		failed = b.node.Run(ctx, splicetest.Load{Rate: b.rate, PruneKeep: end * 9 / 10, PruneEvery: time.Second})
		if ctx.Err() != nil {
			failed = nil
		}
	})
	return func() error {
		cancel()
		background.Wait()
		return failed
	}, nil
}

// window is what happened in one.
type window struct {
	cpu     time.Duration // of the server
	read    int64         // bytes that the server read, from memory of the system too
	own     time.Duration // CPU of Holdfast
	grown   int64         // bytes of the repository
	updates int64
	longest time.Duration
}

func (w window) perUpdate() float64 { return float64(w.grown) / float64(max(1, w.updates)) }

// windowOf takes so many sets in a window, evenly, after one that is not measured.
func (b *bench) windowOf(ctx context.Context, r repository, sets int, flags ...string) (w window, err error) {
	before, _, err := r.backup(ctx, flags...)
	if err != nil {
		return w, err
	}
	from, err := b.node.LedgerEnd(ctx)
	if err != nil {
		return w, err
	}
	var own, longest time.Duration
	stored := before.stored
	w, err = b.within(ctx, sets, func() error {
		s, _, err := r.backup(ctx, flags...)
		own, longest, stored = own+s.cpu, max(longest, s.wall), s.stored
		return err
	})
	if err != nil {
		return w, err
	}
	to, err := b.node.LedgerEnd(ctx)
	w.own, w.longest, w.grown, w.updates = own, longest, stored-before.stored, to-from
	return w, err
}

// within does something so often in a window, each at the end of its part of it.
func (b *bench) within(ctx context.Context, times int, do func() error) (w window, err error) {
	cpu, read := b.serverCPU(), b.serverRead()
	began := time.Now()
	for i := range max(1, times) {
		due := began.Add(b.window * time.Duration(i+1) / time.Duration(max(1, times)))
		if err := sleep(ctx, time.Until(due)); err != nil {
			return w, err
		}
		if do == nil {
			continue
		}
		if err := do(); err != nil {
			return w, err
		}
	}
	return window{cpu: b.serverCPU() - cpu, read: b.serverRead() - read}, nil
}

// serverRead is what the server's processes that have ended have read.
func (b *bench) serverRead() (bytes int64) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/io", b.node.Participant.PID()))
	if err != nil {
		return 0
	}
	_, _ = fmt.Sscanf(string(text), "rchar: %d", &bytes)
	return bytes
}
