package snapshot

import (
	"context"
	"errors"
	"time"

	"holdfast/content"
)

// Keeper takes snapshots of one server and keeps them.
type Keeper interface {
	// Server is the server as the keeper sees it now.
	Server(ctx context.Context) (Server, error)
	// Room is how many snapshots the account has, and how many it may have.
	Room(ctx context.Context) (Room, error)
	// Request asks for a snapshot and does not wait for it. ErrExists says that one
	// of that name is there, ErrBusy that the server takes no request now.
	Request(ctx context.Context, name string, labels map[string]string) error
	// Describe returns a snapshot, or ErrNone.
	Describe(ctx context.Context, name string) (Snapshot, error)
}

// Shelf is where one account's snapshots of one server lie.
type Shelf interface {
	// List returns the snapshots that somebody requested, ours and others.
	List(ctx context.Context) ([]Snapshot, error)
	// Delete deletes one. One that is gone is no error.
	Delete(ctx context.Context, name string) error
}

// What a Keeper answers.
var (
	ErrExists = errors.New("a snapshot of that name exists")
	ErrBusy   = errors.New("the server takes no snapshot now")
	ErrNone   = errors.New("there is no snapshot of that name")
)

// Server is a server as its keeper sees it.
type Server struct {
	Keeper   string // "rds eu-central-1": what a manifest calls the keeper
	Name     string // as the keeper calls it
	Resource string // the keeper's name for it that is never given again
	Kind     string // "RDS instance", for people
	// Cluster says that it is a cluster: Members run it, and are no servers of their own.
	Cluster bool
	Members []string // their names, the writer's first
	// Bare says that nobody runs the cluster yet: its first member is to be requested.
	Bare    bool
	State   string // the keeper's word
	Takes   bool   // it takes a request in that state
	Host    string // the address that the keeper publishes for reading and writing
	Port    int
	Version string // of Postgres
	// Protected says that it is not deleted before somebody has it unprotected.
	Protected bool
	// Lags says why a snapshot may be older than its request; "" where the keeper
	// takes it of the very disk that is written to.
	Lags string
	// Pauses says why the server may stand still meanwhile; "" if it does not.
	Pauses string
	Shape  content.Shape
	Labels map[string]string // all of them: ours and others'
}

// String is the server for people: "instance canton".
func (s Server) String() string { return What(s.Cluster) + " " + s.Name }

// What is a server to people: an instance, or a cluster of them.
func What(cluster bool) string {
	if cluster {
		return "cluster"
	}
	return "instance"
}

// Room is how full an account is.
type Room struct{ Used, Most int }

// Left is how many more snapshots the account takes.
func (r Room) Left() int { return r.Most - r.Used }

// Phase is where a snapshot stands.
type Phase int

// The phases of a snapshot.
const (
	Pending Phase = iota
	Ready
	Broken // it never becomes ready
)

// Snapshot is one as its keeper describes it.
type Snapshot struct {
	Name     string
	Server   string // of which server, as the keeper calls it
	Resource string
	Phase    Phase
	State    string // the keeper's word
	Percent  int    // of it is done
	Labels   map[string]string
	CopyOf   string // the snapshot that it is a copy of; "" for none
	Version  string // of Postgres
	Bytes    int64
	Times    []Time
	// Cluster says that it is of a cluster, and becomes one.
	Cluster bool
	Engine  string // of a cluster: a request to restore it has to name it
	Mode    string // of that engine
	// Runs is how many members run what is made of it at first: 1 of an instance.
	Runs int
	// Grows says that its storage is charged by what is in it, at a price of its own.
	Grows bool
}

// Time is one that the keeper says, and what it can mean at most.
type Time struct {
	Field string
	Means Meaning
	At    time.Time // zero: the keeper does not say
}

// Meaning is what a keeper's time can mean at most.
type Meaning string

// The meanings.
const (
	NewestCommit Meaning = "the newest transaction in it" // by the server's clock
	Created      Meaning = "when it was requested or completed"
	Changeable   Meaning = "when it or a copy of it was made" // a copy has another time
)
