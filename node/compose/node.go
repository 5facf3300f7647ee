package compose

import (
	"context"
	"io"
	"net/url"

	cerrdefs "github.com/containerd/errdefs"

	"holdfast"
	"holdfast/internal/libpq"
)

// Node is a validator node of one compose project.
type Node struct {
	Engine *Engine
	Bundle
	postgres *Reach
	app      *Reach
	admin    *Reach
}

// Open finds the node of a site's project, or the only one there is when none is
// named.
func Open(ctx context.Context, e *Engine, at Site) (*Node, error) {
	containers, err := e.Containers(ctx)
	if err != nil {
		return nil, err
	}
	b, err := Choose(containers, at)
	if b, err = e.settled(ctx, b, err); err != nil {
		return nil, err
	}
	return NewNode(e, b), nil
}

// NewNode is the node of a bundle: of one that runs, or of one that a set
// recorded.
func NewNode(e *Engine, b Bundle) *Node {
	n := &Node{Engine: e, Bundle: b}
	n.postgres = n.reach("postgres", b.ParticipantDatabase().Port)
	n.app = n.reach("validator", "5003")
	n.admin = n.reach("participant", "5002")
	return n
}

func (n *Node) reach(role, port string) *Reach {
	return &Reach{
		engine: n.Engine, port: port, only: ways[n.ways[role]],
		current: func(ctx context.Context) (Container, error) { return n.container(ctx, role) },
	}
}

// container is who plays a role now. It is the one that was found, as long as
// that runs; a container may have been made again since, and then the project is
// searched.
func (n *Node) container(ctx context.Context, role string) (Container, error) {
	if known := n.role(role); known != nil && known.ID != "" {
		now, err := n.Engine.inspect(ctx, known.ID)
		if err == nil && now.State == "running" && !isReplaced(now.Name) {
			return now, nil
		}
	}
	list, err := n.Engine.project(ctx, n.Project)
	if err != nil {
		return Container{}, err
	}
	for _, r := range n.again(list).Roles() {
		if r.Role == role {
			return *r.Container, nil
		}
	}
	return Container{}, &NotFound{holdfast.Problem{Class: holdfast.Unreachable, What: "project " + n.Project + " has no container of " + titles[role],
		Do: "`holdfast restore latest` makes it from the newest set; start.sh makes it from the bundle."}}
}

// fresh is the node as it is now. Its containers are inspected again; where one
// is gone or was put aside, the node is searched for again.
func (n *Node) fresh(ctx context.Context) (*Node, error) {
	var all []Container
	for _, c := range n.All {
		now, err := n.Engine.inspect(ctx, c.ID)
		if cerrdefs.IsNotFound(err) || err == nil && isReplaced(now.Name) {
			return Open(ctx, n.Engine, Site{Project: n.Project, Services: n.services, Reach: n.ways})
		}
		if err != nil {
			return nil, err
		}
		now.Digest = c.Digest // the image of a container does not change
		all = append(all, now)
	}
	b := n.again(all)
	b, err := n.Engine.settled(ctx, b, b.complete())
	return NewNode(n.Engine, b), err
}

// Role is a container and what it does for the node.
type Role struct {
	Role      string
	Container *Container
}

// titles are the roles in people's words.
var titles = map[string]string{"postgres": "Postgres", "participant": "the participant", "validator": "the validator app", "nginx": "nginx"}

// Roles lists the containers that have a role, in the order in which a node is
// started.
func (b Bundle) Roles() []Role {
	var out []Role
	for _, r := range []Role{{"postgres", b.Postgres}, {"participant", b.Participant}, {"validator", b.Validator}, {"nginx", b.Nginx}} {
		if r.Container != nil {
			out = append(out, r)
		}
	}
	return out
}

// Target is how the database of a component is reached. The password is read
// from the environment of the container that uses it, at that moment.
func (n *Node) Target(kind holdfast.Kind) libpq.Address {
	d, role := n.ParticipantDatabase(), "participant"
	if kind == holdfast.Validator {
		d, role = n.ValidatorDatabase(), "validator"
	}
	var info libpq.Conninfo
	info = info.With("host", d.Server).With("port", d.Port).With("dbname", d.Name).With("user", d.User)
	t := libpq.Address{Conninfo: info, Password: func(context.Context) (holdfast.Secret, error) { return n.password(role), nil }}
	if n.Engine != nil {
		t.Silence = n.Engine.Silence()
	}
	if !n.External() {
		t.Conninfo = info.With("sslmode", "disable") // the bytes stay on this machine, or in the daemon's own connection
		t.Dial, t.Reroute, t.Run = n.postgres.Dial, n.postgres.another, n.RunTool
	}
	return t
}

func (n *Node) password(role string) holdfast.Secret {
	if role == "validator" {
		return n.ValidatorDatabase().Password
	}
	return n.ParticipantDatabase().Password
}

// Components are the node's databases in the domain's words.
func (n *Node) Components() []holdfast.Component {
	return []holdfast.Component{{Name: "participant", Kind: holdfast.Participant}, {Name: "validator", Kind: holdfast.Validator}}
}

// RunTool runs one of Postgres's client programs where the server is, in its
// container.
func (n *Node) RunTool(ctx context.Context, env []string, in io.Reader, out, complaint io.Writer, argv ...string) (int, error) {
	c, err := n.container(ctx, "postgres")
	if err != nil {
		return 0, err
	}
	return n.Engine.Run(ctx, c.ID, env, in, out, complaint, argv...)
}

// App is the validator app's address and the dialler that reaches it where the
// address alone does not: nil behind nginx's published port, which is one of
// the daemon's machine.
func (n *Node) App() (base, address string, reach *Reach) {
	base, address = n.ValidatorAddress()
	if n.Engine != nil && !n.Engine.Local() {
		base, address = inside, ""
	}
	if u, err := url.Parse(base); err == nil && address == "" {
		n.app.port = u.Port()
		return base, "", n.app
	}
	return base, address, nil
}

// AdminReach connects to the participant's admin API in its container; the
// bundle publishes no port for it.
func (n *Node) AdminReach() *Reach { return n.admin }

// AppReach connects to the validator app in its container.
func (n *Node) AppReach() *Reach { return n.app }

// PostgresWay is how the databases are reached; "" before the first connection.
func (n *Node) PostgresWay() Way { return n.postgres.Way() }
