// Bench measures Holdfast against the tools one would use without it, on the
// same database, in one run:
//
//	go run ./internal/bench
//
// Absolute times mean little on a machine that others share, so everything is a
// ratio, and both sides of a ratio are measured within the same round; what is
// printed is the median of the rounds' ratios, next to the least and the
// greatest. Figures are not tests: the exit code is 0 whatever comes out,
// unless something could not be measured at all. Everything it makes is in one
// temporary directory, which is removed, with every process, at the end.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"holdfast/internal/splicetest"
)

// options are what the command line says.
type options struct {
	mb         int64
	smallMB    int64
	rounds     int
	slowRounds int
	rate       float64
	waitFor    time.Duration
	growth     float64
	dir        string
	holdfast   string
	against    string
	parts      string
	alone      bool
	howMany    int
	turn       float64
	window     time.Duration
	postgres   string
	summaries  bool
}

// The parts of a run, in their order.
var parts = []string{
	"sets", "restore", "waits", "memory", "inspect", "drill", "rehearsal", "idle",
	"fixed", "many", "cadence", "latency", "increments", "places", "page",
}

// usual are the parts that are measured when none are named: those that take
// minutes, and need no server of their own.
const usual = "sets,restore,waits,memory,inspect,drill,rehearsal,idle"

func main() {
	var o options
	flag.Int64Var(&o.mb, "mb", 2048, "size of the participant's database on disk, indexes included, in MiB")
	flag.Int64Var(&o.smallMB, "small-mb", 256,
		"size of the smaller database that the memory is compared with, in MiB")
	flag.IntVar(&o.rounds, "rounds", 3, "how often everything is measured")
	flag.IntVar(&o.slowRounds, "slow-rounds", 1, "in how many of the rounds the peers that take minutes take part")
	flag.Float64Var(&o.rate, "rate", 50, "ledger updates a second while waits are measured")
	flag.DurationVar(&o.waitFor, "wait-for", time.Minute,
		"how long waits are measured, and as long again without backups")
	flag.Float64Var(&o.growth, "growth", 1, "growth between a first set and the next, in percent of the database")
	flag.StringVar(&o.dir, "dir", "", "where to work (default: a new temporary directory)")
	flag.StringVar(&o.holdfast, "holdfast", "", "the program to measure (default: it is built)")
	flag.StringVar(&o.against, "against", "", "another build of Holdfast that the part fixed measures in turn")
	flag.StringVar(&o.parts, "parts", usual, "which parts to measure, of "+strings.Join(parts, ", "))
	flag.IntVar(&o.howMany, "sets", 180, "how many sets the part many takes: a month of six a day")
	flag.Float64Var(&o.turn, "turn", 0.5, "what is new, and pruned, before each of many sets, in percent of the database")
	flag.DurationVar(&o.window, "window", 4*time.Minute, "in what time the part cadence lets four hours pass")
	flag.StringVar(&o.postgres, "postgres", "", "major version of the server (default: the newest that has pg_dump)")
	flag.BoolVar(&o.summaries, "summaries", false,
		"have the server summarize its log, and Holdfast use it (-postgres 17 or later)")
	flag.BoolVar(&o.alone, "alone", false, "leave the other ways of backing up out, for a quick look")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, o, os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// bench is one run.
type bench struct {
	options
	dir      string
	node     *splicetest.Node
	holdfast string // the program
	out      io.Writer
	peers    []peer
	results  results
}

func run(ctx context.Context, o options, out io.Writer) (err error) {
	for _, p := range strings.Split(o.parts, ",") {
		if !slices.Contains(parts, p) {
			return fmt.Errorf("-parts %s: the parts are %s", p, strings.Join(parts, ", "))
		}
	}
	b := &bench{options: o, out: out}
	if b.dir, err = workDir(o.dir); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(b.dir)) }()
	if err := b.checkSpace(); err != nil {
		return err
	}
	b.note("up to %d MiB of disk are needed", b.space()>>20)
	if err := b.build(ctx); err != nil {
		return err
	}
	began := time.Now()
	b.note("filling a participant database of %d MiB", o.mb)
	if b.node, err = startNode(ctx, o); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.node.Close()) }()
	if !o.alone {
		b.peers = findPeers(b.node.Participant.Version.Bin, b.note)
	}
	if err := b.settle(ctx); err != nil {
		return err
	}
	measures := map[string]func(context.Context) error{
		"sets":       b.sets,
		"restore":    b.restores,
		"waits":      b.waits,
		"memory":     b.memory,
		"inspect":    b.inspect,
		"drill":      b.drills,
		"rehearsal":  b.rehearsals,
		"places":     b.places,
		"page":       b.pages,
		"idle":       b.idle,
		"fixed":      b.fixed,
		"many":       b.many,
		"cadence":    b.cadence,
		"latency":    b.latency,
		"increments": b.increments,
	}
	for _, name := range parts {
		if strings.Contains(","+o.parts+",", ","+name+",") {
			if err := measures[name](ctx); err != nil {
				return fmt.Errorf("measure %s: %w", name, err)
			}
		}
	}
	b.printf("\nDatabase of %d MiB; %d cores, %s; Postgres %s with the settings initdb writes (fsync on, shared_buffers 128MB); all on one machine, all data in the page cache; %s in all; load average at the end %s.\n\n",
		o.mb, runtime.NumCPU(), runtime.GOOS, b.node.Participant.Version.Major, time.Since(began).Round(time.Second),
		loadAverage())
	b.results.print(out)
	return nil
}

// loadAverage is how busy the machine was, the bench included.
func loadAverage() string {
	text, err := os.ReadFile("/proc/loadavg")
	fields := strings.Fields(string(text))
	if err != nil || len(fields) < 3 {
		return "unknown"
	}
	return fields[2] + " over 15 minutes"
}

// workDir makes a directory that the server's user may pass through.
func workDir(dir string) (string, error) {
	if dir == "" {
		dir = os.TempDir()
	}
	return os.MkdirTemp(dir, "holdfast-bench-")
}

// light are the parts that store sets of the database, and no copies of it.
var light = []string{"fixed", "many", "cadence", "latency", "idle", "rehearsal"}

// space is what a run takes of the disk at most: the database, the write-ahead log
// and sets, and in most parts a restored copy and dumps of it as well.
func (b *bench) space() uint64 {
	times := int64(3)
	for _, p := range strings.Split(b.parts, ",") {
		if !slices.Contains(light, p) {
			times = 6
		}
	}
	return uint64(b.mb*times+4096) << 20 //nolint:gosec // not negative
}

// checkSpace refuses to begin what would fill the disk.
func (b *bench) checkSpace() error {
	need := b.space()
	for _, dir := range []string{b.dir, os.TempDir()} {
		var fs syscall.Statfs_t
		if err := syscall.Statfs(dir, &fs); err != nil {
			return err
		}
		if free := fs.Bavail * uint64(fs.Bsize); free < need {
			return fmt.Errorf("%s has %d MiB free; a database of %d MiB takes up to %d", dir, free>>20, b.mb,
				need>>20)
		}
	}
	return nil
}

// build makes the program that is measured, as a release is made.
func (b *bench) build(ctx context.Context) error {
	if b.options.holdfast != "" {
		var err error
		b.holdfast, err = filepath.Abs(b.options.holdfast)
		return err
	}
	b.note("building holdfast")
	b.holdfast = filepath.Join(b.dir, "holdfast")
	_, err := execute(ctx, command{
		args: []string{"go", "build", "-trimpath", "-ldflags=-s -w", "-o", b.holdfast, "holdfast/cmd/holdfast"},
		env:  []string{"CGO_ENABLED=0"},
	})
	return err
}

func (b *bench) printf(format string, args ...any) { _, _ = fmt.Fprintf(b.out, format, args...) }

// note reports progress on standard error.
func (b *bench) note(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "%s  %s\n", time.Now().Format("15:04:05"), fmt.Sprintf(format, args...))
}
