package holdfast

import (
	"context"
	"errors"
	"strings"
)

// Class says what sort of failure a Problem is. A program maps it to an exit
// code; nothing else decides on the text of an error.
type Class string

// The classes, in the order of their exit codes.
const (
	Failed       Class = "failed"        // it was tried and did not work
	Usage        Class = "usage"         // the command line or the configuration is wrong
	NotProven    Class = "not-proven"    // done, and stored, but the proof is missing
	Violation    Class = "violation"     // a condition that recovery depends on does not hold
	Undetermined Class = "undetermined"  // an input for the verdict is missing
	Busy         Class = "busy"          // another run holds the lock
	Refused      Class = "refused"       // it would be unsafe
	Unreachable  Class = "unreachable"   // the other side does not answer
	WrongKey     Class = "wrong-key"     // password, token or key is not accepted
	NoSpace      Class = "no-space"      // the disk of the repository is full
	ReadOnly     Class = "read-only"     // the repository cannot be written
	NoRepository Class = "no-repository" // there is no repository there
	Interrupted  Class = "interrupted"   // an interrupt ended the run
)

// Problem is an error for the operator: what failed and to what, why it
// matters, and what to type next. What is required; the others may be empty
// where there is nothing useful to say.
type Problem struct {
	Class Class
	What  string // "capture participant: the server closed the connection"
	Why   string // one sentence on the consequence
	Do    string // the next command, or the setting to change
	Err   error  // the cause, kept for errors.Is and errors.As
}

// Error returns what failed and its cause, in one line.
func (p *Problem) Error() string {
	if p.Err == nil {
		return p.What
	}
	return p.What + ": " + p.Err.Error()
}

// Unwrap returns the cause.
func (p *Problem) Unwrap() error { return p.Err }

// ClassOf returns the class of the outermost Problem in err's chain that has
// one, Interrupted for a cancelled context, Failed for any other error and ""
// for nil.
func ClassOf(err error) Class {
	if err == nil {
		return ""
	}
	var p *Problem
	for e := err; errors.As(e, &p); e = p.Err {
		if p.Class != "" {
			return p.Class
		}
	}
	if errors.Is(err, context.Canceled) {
		return Interrupted
	}
	return Failed
}

// Advice returns why the failure matters and what to do next, taken from the
// outermost Problem in the chain that says so.
func Advice(err error) (why, do string) {
	for err != nil {
		var p *Problem
		if !errors.As(err, &p) {
			break
		}
		if why == "" {
			why = p.Why
		}
		if do == "" {
			do = p.Do
		}
		err = p.Err
	}
	return strings.TrimSpace(why), strings.TrimSpace(do)
}
