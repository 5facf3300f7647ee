// Command holdfast backs up Canton Network (Splice) validator nodes in proven
// order and brings them back. This package parses, wires and prints; what is
// decided is decided elsewhere.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/spf13/cobra"

	"holdfast"
	"holdfast/internal/libpq"
	"holdfast/sandbox"
	"holdfast/secrets"
	"holdfast/setup"
)

// version is set by the build.
var version = "0.1.0-dev"

// The memory that the garbage collector aims at. The buffers of a dump need
// about half of it whatever the size of the database; without a limit the
// collector would let garbage double that.
const memoryLimit = 200 << 20

func main() {
	if sandbox.IsInside() {
		err := sandbox.Inside(os.Args[1:])
		_, _ = fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if err := secrets.ForbidCores(); err != nil { // a system that forbids this has limits of its own
		_, _ = fmt.Fprintln(os.Stderr, "holdfast:", err)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(memoryLimit)
	}
	// A reader that goes away, as in "holdfast backup | head", is an error of
	// that write and not the end of a backup.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second one ends the program at once
	code := run(ctx, os.Args[1:], streams{in: os.Stdin, out: os.Stdout, err: os.Stderr, shell: libpq.TakeEnvironment()})
	stop()
	os.Exit(code)
}

// run runs one command line and returns the exit code.
func run(ctx context.Context, args []string, s streams) int {
	a := newApp(s)
	a.cutoff.exit = a.cutOff(args, os.Exit)
	defer a.cutoff.watch(ctx)()
	root := newRoot(a)
	root.SetArgs(args)
	root.SetIn(s.in)
	root.SetOut(s.out)
	root.SetErr(s.err)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	if ctx.Err() != nil && holdfast.ClassOf(err) != holdfast.NotProven {
		err = a.interruption(err)
	}
	a.printError(err, asksForJSON(args))
	return exitCode(holdfast.ClassOf(err))
}

// interruption is what a run says that somebody ended. A command's own words on
// what that means go before those of whatever broke off.
func (a *app) interruption(err error) error {
	p := &holdfast.Problem{Class: holdfast.Interrupted, What: "interrupted", Why: a.ifInterrupted}
	if !errors.Is(err, context.Canceled) {
		p.Err = err
	}
	return p
}

// exits is the one place that maps what went wrong to an exit code; the help
// prints it.
var exits = []struct {
	code    int
	class   holdfast.Class
	meaning string
}{
	{0, "", "done"},
	{1, holdfast.Failed, "failed"},
	{2, holdfast.Usage, "usage or configuration"},
	{3, holdfast.NotProven, "done, but not proven"},
	{4, holdfast.Violation, "a condition is violated"},
	{5, holdfast.Undetermined, "cannot tell"},
	{6, holdfast.Busy, "busy: another run holds the lock"},
	{7, holdfast.Refused, "refused for safety"},
	{8, holdfast.Unreachable, "unreachable"},
	{9, holdfast.WrongKey, "wrong password, token or key"},
	{10, holdfast.NoSpace, "no space left"},
	{11, holdfast.ReadOnly, "the repository cannot be written"},
	{12, holdfast.NoRepository, "there is no repository"},
	{130, holdfast.Interrupted, "interrupted"},
}

func exitCode(c holdfast.Class) int {
	for _, e := range exits {
		if e.class == c {
			return e.code
		}
	}
	return 1
}

// usageError makes a mistake on the command line a Usage problem.
func usageError(_ *cobra.Command, err error) error { return setup.Usage(err) }
