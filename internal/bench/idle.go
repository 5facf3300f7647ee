package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// The most that a service with its page may use while it waits.
const (
	mostIdleMiB     = 60
	mostIdleSeconds = 0.1 // of processor time a minute
)

// idle measures a service with its page while nothing is due.
func (b *bench) idle(ctx context.Context) (err error) {
	one, err := b.newRepository(ctx, "idle", b.node.ParticipantDSN(), clientsOf(b))
	if err != nil {
		return err
	}
	if _, _, err := one.backup(ctx); err != nil {
		return err
	}
	address, err := freeAddress(ctx)
	if err != nil {
		return err
	}
	file, err := os.OpenFile(filepath.Join(one.dir, "holdfast.yaml"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(file, "\nhttp: {listen: '%s'}\npage: {open: true}\nschedule: {drill: never}\n", address)
	if err := errors.Join(err, file.Close()); err != nil {
		return err
	}
	run := one.command("run")
	service := exec.CommandContext(ctx, run.args[0], run.args[1:]...)
	if err := service.Start(); err != nil {
		return err
	}
	defer func() { _ = service.Process.Signal(os.Interrupt); _ = service.Wait() }()
	if err := until(ctx, 2*time.Minute, func() error {
		_, _, err := fetch(ctx, "http://"+address+"/nodes/bench/timeline")
		return err
	}); err != nil {
		return err
	}
	return b.idles(service.Process.Pid, "idle service with its page", b.rounds)
}

// idles measures what a service uses while nothing is due, once what is due at its
// start is done, and its page has closed the repository: two minutes after somebody
// looked.
func (b *bench) idles(pid int, what string, rounds int) error {
	time.Sleep(150 * time.Second)
	for range rounds {
		before, _, err := usage(pid)
		if err != nil {
			return err
		}
		time.Sleep(time.Minute)
		after, resident, err := usage(pid)
		if err != nil {
			return err
		}
		b.results.add(what+": memory, MiB", atMost(mostIdleMiB), float64(resident)/(1<<20))
		b.results.add(what+": processor time in a minute, seconds", atMost(mostIdleSeconds), (after - before).Seconds())
	}
	return nil
}

// usage is the processor time that a process has used, and its memory in bytes.
func usage(pid int) (used time.Duration, resident int64, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, 0, err
	}
	_, rest, _ := strings.Cut(string(text), ") ")
	fields := strings.Fields(rest) // from the state on: utime and stime are 14 and 15 of all, rss 24
	if len(fields) < 22 {
		return 0, 0, fmt.Errorf("/proc/%d/stat has %d fields", pid, len(fields))
	}
	const tick = 10 * time.Millisecond
	for _, i := range []int{11, 12} {
		n, err := strconv.ParseInt(fields[i], 10, 64)
		if err != nil {
			return 0, 0, err
		}
		used += time.Duration(n) * tick
	}
	pages, err := strconv.ParseInt(fields[21], 10, 64)
	return used, pages * int64(os.Getpagesize()), err
}
