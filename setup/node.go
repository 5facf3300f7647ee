package setup

import (
	"context"
	"net"

	"holdfast"
	"holdfast/backup"
	"holdfast/canton/admin"
	"holdfast/databases"
	"holdfast/internal/libpq"
	"holdfast/reonboard"
	"holdfast/restore"
)

// Dial connects to a program where an address alone does not lead to it.
type Dial = func(ctx context.Context, network, address string) (net.Conn, error)

// Node is how one gets at a node: its databases, its two programs, its secrets.
type Node interface {
	// Databases are the addresses of those that the node brings with it; others
	// are in the configuration.
	Databases(ctx context.Context) (map[holdfast.ComponentName]libpq.Address, error)
	// App connects to the validator app where the configured URL does not lead
	// to it.
	App(ctx context.Context) (Dial, error)
	// Admin is the participant's admin API.
	Admin(ctx context.Context) (admin.Client, error)
	// Secret reads a secret that a program of the node was started with.
	Secret(ctx context.Context, place string) (holdfast.Secret, error)
}

// Kind is a node of one kind, and what can be done with such a one besides.
// What is nil cannot be done.
type Kind struct {
	Node
	// Recorder says how the node runs, and puts what a restore on a fresh machine
	// needs of that into a set.
	Recorder backup.Deployment
	// Show is how the node runs, for people.
	Show func(ctx context.Context) (Shown, error)
	// Through connects to a port of a host that the configuration names, where the
	// network of this machine does not lead to it; nil for a host that it leads to.
	// Nil: it leads to all.
	Through func(host, port string) Dial
	// Lasting says whether the node's databases outlive the next stop of its
	// programs. Nil: they are not the node's own.
	Lasting func(ctx context.Context) (holdfast.Finding, error)
	// Alive says whether no database has two programs of its kind. Nil: their
	// addresses tell them apart.
	Alive func(ctx context.Context) (holdfast.Finding, error)
	// Remake rehearses on this machine, without data, whether the node would come
	// back on an empty one.
	Remake func(ctx context.Context) []Finding
	// Try says of everything that is of this kind alone whether it works.
	Try func(ctx context.Context) []Finding
	// Beside is what the node's own servers have next to its databases, and what is
	// in no set. Nil: they are not the node's own.
	Beside func(ctx context.Context) ([]string, error)
	// Programs are stopped and started by a restore. Nil: by the operator.
	Programs Programs
	// DockerHost is the daemon that runs the node, which can run a drill as well;
	// empty: as the docker command finds it.
	DockerHost string
	// Way is how the node of a set is started from its identities.
	Way func(set holdfast.Set) (reonboard.Way, error)
	// Clear is where it takes them in clear. Nil: a file next to the configuration.
	Clear reonboard.Clear
	// Look is how far a node is that starts from them. Nil: nobody looks.
	Look func(ctx context.Context, s reonboard.Start) (reonboard.Seen, error)
	// Serves is how far a node is whose programs the operator installs. Nil: nobody
	// looks.
	Serves func(ctx context.Context) (restore.Seen, error)
	// Ledger remembers used identifiers where no file can be written. Nil: nothing does.
	Ledger func(ctx context.Context) reonboard.Ledger
}

// Programs is a node as a restore stops and starts its programs.
type Programs interface {
	// RestoreTarget is the node as it is to be after a restore of the set.
	RestoreTarget(
		ctx context.Context, o RestoreOptions, set holdfast.Set, files holdfast.Files,
	) (restore.Target, databases.Target, error)
	// UndoTarget is the node on which the newest restore is taken back.
	UndoTarget(ctx context.Context) (restore.Target, databases.Target, error)
	// Now are the programs as they are, with the volumes that restores have left.
	Now(ctx context.Context) (restore.Programs, error)
}

// Shown is how a node runs.
type Shown struct {
	Deployment holdfast.Deployment
	Lines      [][]string    // for people: what, and what about it
	Way        func() string // by which the databases were reached last
}

// kindOf is the kind of the configured node.
func kindOf(p *Parts) Kind {
	if p.Config.Compose != nil {
		return composeKind(p)
	}
	if p.Config.Kube != nil {
		return kubeKind(p)
	}
	return Kind{Node: plain{}, Way: bundleWay}
}

// plain is a node of which nothing is known but its databases' connection
// strings.
type plain struct{}

func (plain) Databases(context.Context) (map[holdfast.ComponentName]libpq.Address, error) {
	return nil, nil
}

func (plain) App(context.Context) (Dial, error) {
	return nil, &holdfast.Problem{
		Class: holdfast.Usage, What: "identities.address: container: the configuration has no compose:",
		Do: "`holdfast init` on the machine that runs the bundle writes it.",
	}
}

func (plain) Admin(context.Context) (admin.Client, error) {
	return admin.Client{}, &holdfast.Problem{Class: holdfast.Usage, What: "check.admin names no admin API"}
}

func (plain) Secret(context.Context, string) (holdfast.Secret, error) {
	return holdfast.Secret{}, &holdfast.Problem{
		Class: holdfast.Usage, What: "the configuration has no compose: whose containers have secrets",
		Do: "`holdfast init` on the machine that runs the bundle writes it.",
	}
}
