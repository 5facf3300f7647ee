// Package step is the vocabulary of a plan: what is done, to which object,
// under which new name, and why. A restore, and the way back from one, is a
// list of such steps. The list that is shown is the list that is walked.
package step

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"holdfast"
)

// Step is one thing that a plan does. It says all that is needed to do it and,
// with the mark in a journal, to take it back.
type Step struct {
	Act  Act    `json:"act"`
	Kind Kind   `json:"kind"`
	Name string `json:"name"` // of the object; of a server its databases' component
	// As is the new name: of what a database is built as, of what makes room, of
	// a file that differs from the one that is there.
	As   string `json:"as,omitempty"`
	From string `json:"from,omitempty"` // what is put back
	Of   string `json:"of,omitempty"`   // the component of a database, the role of a container
	// Policy is a container's restart policy: the one that is disabled, or set.
	Policy string `json:"policy,omitempty"`
	Owner  string `json:"owner,omitempty"` // of a directory that is made, by numbers: "999:999"
	Mode   string `json:"mode,omitempty"`  // of it: "0700"
	// Expect is the participant that the database has to show before a container
	// is started; "" for any.
	Expect string `json:"expect,omitempty"`
	Wait   bool   `json:"wait,omitempty"` // until it is ready
	// Replicas are those that a workload has before it is stopped, or gets when it
	// is started.
	Replicas int `json:"replicas,omitempty"`
	// Try says that a start may fail: what is started did not run before either.
	Try bool `json:"try,omitempty"`
	// If says that it is unknown whether there is anything to do.
	If bool `json:"if,omitempty"`
	// Without are objects of a database that are left out when it is built.
	Without []string `json:"without,omitempty"`
	Moves   []Move   `json:"moves,omitempty"` // of a server's databases, in one transaction
	Why     string   `json:"why,omitempty"`
}

// Act is what is done.
type Act string

// The acts, in the order in which a restore does them.
const (
	Fetch          Act = "fetch"           // an image, from its registry
	Write          Act = "write"           // a file that is missing, as the set kept it
	DisableRestart Act = "disable restart" // of a container: whatever restarts, it stays down
	Stop           Act = "stop"
	Keep           Act = "keep"    // what a volume has, as another one; an empty one takes its name
	Replace        Act = "replace" // a container, by one made as the set recorded it
	Create         Act = "create"
	Build          Act = "build"   // and prove
	Install        Act = "install" // what the operator types; it is waited for
	Reuse          Act = "reuse"   // what an earlier run has built and proven
	Rename         Act = "rename"
	Open           Act = "open" // databases that have their place, to everybody
	Run            Act = "run"  // a container that does its work once
	Start          Act = "start"
	EnableRestart  Act = "enable restart" // of a container, by its policy
	Remove         Act = "remove"
	Close          Act = "close" // databases, to everybody
	Drop           Act = "drop"
	Discard        Act = "discard"  // drop what was built, unless it is proven
	PutBack        Act = "put back" // what was kept, or replaced
)

// Kind says what an object is.
type Kind string

// The kinds of objects.
const (
	Container Kind = "container"
	Volume    Kind = "volume" // or a directory in the place of one
	Network   Kind = "network"
	Image     Kind = "image"
	File      Kind = "file"
	Directory Kind = "directory" // one that Postgres keeps data in is a Volume
	Database  Kind = "database"
	Server    Kind = "server"   // of Postgres
	Instance  Kind = "instance" // a server that a provider runs
	Cluster   Kind = "cluster"  // of such instances, which is one server
	Workload  Kind = "workload" // of a cluster, which makes pods
	Namespace Kind = "namespace"
)

// Rented reports whether it is a server that a provider runs.
func (k Kind) Rented() bool { return k == Instance || k == Cluster }

// Move renames one database, and sets or clears its label. From and To of one
// that is only opened or closed are the same.
type Move struct {
	From  string `json:"from"`
	To    string `json:"to"`
	Label *Label `json:"label,omitempty"` // afterwards; nil: the database is live and carries none
	Was   *Label `json:"was,omitempty"`   // before
	// If says that it is unknown whether there is such a database.
	If bool `json:"if,omitempty"`
	// Access is who may connect afterwards.
	Access Access `json:"access,omitempty"`
}

// Access says who may connect to a database.
type Access string

// The kinds of access.
const (
	Unchanged Access = ""
	Everybody Access = "open"   // whom the server lets in otherwise
	Nobody    Access = "closed" // superusers neither
)

// String is the step on one line: "stop container splice-validator-1".
func (s Step) String() string {
	what := fmt.Sprintf("%s %s %s", s.Act, s.Kind, s.Name)
	switch {
	case s.Kind == Server:
		what = string(s.Act) + " " + moves(s.Moves)
	case s.Kind.Rented() && len(s.Moves) > 0:
		what = fmt.Sprintf("%s %s %s", s.Act, s.Kind, moves(s.Moves))
	}
	return what + s.detail()
}

// detail is what a step says besides its act and its object.
func (s Step) detail() string {
	var out string
	switch {
	case s.From != "" && s.As != "":
		out = fmt.Sprintf(" from %s; what it has now becomes %s", s.From, s.As)
	case s.From != "":
		out = " from " + s.From
	case s.As != "":
		out = " as " + s.As
	}
	if s.Policy != "" {
		out += ": " + s.Policy
	}
	if len(s.Without) > 0 {
		out += ", without " + strings.Join(s.Without, ", ")
	}
	if s.Owner != "" {
		out += ", owner " + s.Owner + ", mode " + s.Mode
	}
	if s.Kind == Workload {
		out += scale(s)
	}
	if s.Expect != "" {
		out += ", expecting participant " + s.Expect
	}
	if s.Wait {
		out += ", wait until it is ready"
	}
	return out
}

// scale is what becomes of the replicas of a workload.
func scale(s Step) string {
	switch s.Act {
	case Stop:
		return fmt.Sprintf(", scale from %d to 0", s.Replicas)
	case Start:
		return fmt.Sprintf(", scale from 0 to %d", s.Replicas)
	}
	return ""
}

// Detail is what a step says besides its act and its object, for a column of a
// table.
func (s Step) Detail() string {
	out := strings.TrimLeft(s.detail(), " :,;")
	if s.Kind == Server || len(s.Moves) > 0 {
		out = moves(s.Moves)
	}
	return out
}

func moves(list []Move) string {
	var out []string
	for _, m := range list {
		text := m.From
		if m.To != m.From {
			text += " to " + m.To
		}
		if m.If {
			text += " (if it exists)"
		}
		out = append(out, text)
	}
	return strings.Join(out, ", ")
}

// Began is the event of a step that begins.
type Began struct{ Step Step }

func (b Began) String() string { return b.Step.String() }

// Ended is the event of a step that is done.
type Ended struct {
	Step Step
	Took time.Duration
}

func (e Ended) String() string {
	return fmt.Sprintf("%s: done in %s", e.Step, e.Took.Round(time.Millisecond))
}

// Same reports whether two lists do the same things. Reasons do not count: they
// may quote a log that goes on.
func Same(a, b []Step) bool {
	return slices.EqualFunc(a, b, func(x, y Step) bool {
		moves := slices.EqualFunc(x.Moves, y.Moves, Move.same)
		return moves && x.Act == y.Act && x.Kind == y.Kind && x.Name == y.Name && x.As == y.As && x.From == y.From &&
			x.Policy == y.Policy && x.Expect == y.Expect && x.Wait == y.Wait && x.Try == y.Try && x.If == y.If && x.Replicas == y.Replicas &&
			slices.Equal(x.Without, y.Without)
	})
}

func (m Move) same(o Move) bool {
	return m.From == o.From && m.To == o.To && m.If == o.If && m.Access == o.Access
}

// Original is the verdict on whether the node that a set was taken of is sure
// not to run while the restored one does. Two copies of one node on a network
// damage it in ways that cannot be undone, often without a symptom.
type Original struct {
	Verdict   holdfast.Verdict `json:"verdict"` // holdfast.Holds: it is stopped, or the restore stops it
	Evidence  []string         `json:"evidence"`
	Statement string           `json:"statement,omitempty"` // who said that it is stopped, and when
}

// Survey is what a restore does with a node's programs, around its databases.
type Survey struct {
	Before   []Step // the databases are built and renamed
	After    []Step
	Original Original
	// Aside is what to know besides: what a volume that makes room takes with it and
	// no set has, who else may start the programs.
	Aside []string
	// Server says why the databases' server cannot be looked at before the first
	// of these steps are done, as when it does not run; "" when it can.
	Server string
	// Install is what the operator installs: of a node that is gone.
	Install []Part
}

// Part is one of a node that the operator installs, by lines that Holdfast does not
// type.
type Part struct {
	Of    string `json:"of"`    // "Secret postgres-secrets"
	Lines string `json:"lines"` // of a shell
	// First says that it is typed before the databases are made.
	First bool `json:"first,omitempty"`
}

// Typing is the event of lines that are to be typed now: the run waits for what they
// make.
type Typing struct{ Parts []Part }

func (t Typing) String() string {
	var of []string
	for _, p := range t.Parts {
		of = append(of, p.Of)
	}
	return "waiting for you to install " + strings.Join(of, ", ")
}

// Waiting is the event of something that is still waited for, and why.
type Waiting struct{ For, Why string }

func (w Waiting) String() string { return fmt.Sprintf("waiting for %s: %s", w.For, w.Why) }
