package postgres

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"strconv"
	"sync/atomic"

	"holdfast"
	"holdfast/internal/watchdog"
)

// watch is the watchdog of a client program. One that says nothing and computes
// nothing may wait for the server, which is asked whether it works for it.
func (t Tools) watch(program, application string) watchdog.Watchdog {
	w := watchdog.Watchdog{Limit: t.Silence}
	if application != "" {
		w.AtWork = func(ctx context.Context) error { return t.server.AtWork(ctx, application) }
	}
	w.Explain = func(err error) error {
		return &holdfast.Problem{
			Class: holdfast.Unreachable,
			What:  program + " stands still",
			Err:   err,
			Why:   "It was ended.",
			Do: "Check the server and what stands in between (proxy, firewall, tunnel), and whether somebody stopped the " +
				"program. Then run the command again. `silence_limit` in holdfast.yaml is how long Holdfast waits.",
		}
	}
	return w
}

// progress is how far a program has come: bytes that it took and gave, and the
// time that it has computed.
type progress struct {
	bytes atomic.Int64
	pid   atomic.Int64 // of a program on this machine
}

func (p *progress) made() int64 { return p.bytes.Load() + computed(int(p.pid.Load())) }

// reader counts what is read; nil stays nil.
func (p *progress) reader(in io.Reader) io.Reader {
	if in == nil {
		return nil
	}
	return counting{in: in, bytes: &p.bytes}
}

// writer counts what is written; nil stays nil.
func (p *progress) writer(out io.Writer) io.Writer {
	if out == nil {
		return nil
	}
	return counting{out: out, bytes: &p.bytes}
}

type counting struct {
	in    io.Reader
	out   io.Writer
	bytes *atomic.Int64
}

func (c counting) Read(p []byte) (int, error) {
	n, err := c.in.Read(p)
	c.bytes.Add(int64(n))
	return n, err
}

func (c counting) Write(p []byte) (int, error) {
	n, err := c.out.Write(p)
	c.bytes.Add(int64(n))
	return n, err
}

// computed is the time that a process and its ended children have computed, in
// ticks of the kernel; 0 where that is not known.
func computed(pid int) int64 {
	if pid == 0 {
		return 0
	}
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	// The name may contain blanks; what follows it begins with the third field.
	fields := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
	var ticks int64
	const user, childrensSystem = 14 - 3, 17 - 3
	for i := user; i <= childrensSystem && i < len(fields); i++ {
		n, _ := strconv.ParseInt(string(fields[i]), 10, 64)
		ticks += n
	}
	return ticks
}
