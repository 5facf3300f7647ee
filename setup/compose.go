package setup

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"holdfast"
	"holdfast/canton/admin"
	"holdfast/internal/libpq"
	"holdfast/node/compose"
)

// composed is a node of Docker Compose. It is found among the daemon's
// containers once, when it is first needed.
type composed struct {
	parts *Parts
	once  sync.Once
	node  *compose.Node
	err   error
}

func composeKind(p *Parts) Kind {
	c := &composed{parts: p}
	return Kind{
		Node: c, Recorder: c, Show: c.show, Try: c.try, Programs: c, Beside: c.beside,
		Lasting: c.lasting, Alive: c.alive, Remake: c.remake,
		DockerHost: p.Config.Compose.DockerHost, Way: bundleWay,
	}
}

func (c *composed) found(ctx context.Context) (*compose.Node, error) {
	c.once.Do(func() {
		var engine *compose.Engine
		if engine, c.err = compose.Connect(c.parts.Config.Compose.DockerHost, c.parts.silence()); c.err == nil {
			c.node, c.err = compose.Open(ctx, engine, c.site())
		}
	})
	return c.node, c.err
}

// site is the node that the configuration means.
func (c *composed) site() compose.Site {
	conf := c.parts.Config.Compose
	return compose.Site{Project: conf.Project, Directory: conf.Directory, Services: conf.Services, Reach: conf.Reach}
}

// Databases implements Node.
func (c *composed) Databases(ctx context.Context) (map[holdfast.ComponentName]libpq.Address, error) {
	n, err := c.found(ctx)
	if err != nil {
		return nil, err
	}
	return c.parts.addressesOf(n), nil
}

// addressesOf are the addresses of a node's own databases, as its containers
// tell them.
func (p *Parts) addressesOf(n *compose.Node) map[holdfast.ComponentName]libpq.Address {
	out := map[holdfast.ComponentName]libpq.Address{}
	for _, c := range n.Components() {
		out[c.Name] = p.learnFrom(n.Target(c.Kind))
	}
	return out
}

// App implements Node.
func (c *composed) App(ctx context.Context) (Dial, error) {
	n, err := c.found(ctx)
	if err != nil {
		return nil, err
	}
	return n.AppReach().Dial, nil
}

// Admin implements Node.
func (c *composed) Admin(ctx context.Context) (admin.Client, error) {
	n, err := c.found(ctx)
	if err != nil {
		return admin.Client{}, err
	}
	return adminOf(n), nil
}

// adminOf asks a compose node's participant at its container, because the
// bundle publishes no port for the admin API.
func adminOf(n *compose.Node) admin.Client {
	return admin.Client{Address: "participant:5002", Dial: n.AdminReach().Dial}
}

// Secret implements Node: ROLE/VARIABLE of a container's environment.
func (c *composed) Secret(ctx context.Context, place string) (holdfast.Secret, error) {
	n, err := c.found(ctx)
	if err != nil {
		return holdfast.Secret{}, err
	}
	role, variable, _ := strings.Cut(place, "/")
	return n.Secret(role, variable)
}

// Record implements backup.Deployment.
func (c *composed) Record(ctx context.Context, out holdfast.Sink) (holdfast.Deployment, error) {
	n, err := c.found(ctx)
	if err != nil {
		return holdfast.Deployment{}, err
	}
	d, err := n.Record(ctx, out)
	if err != nil {
		return d, err
	}
	beside, err := c.beside(ctx)
	if err != nil && ctx.Err() == nil {
		beside, err = []string{fmt.Sprintf("what else the databases' server has is unknown: %v", err)}, nil
	}
	d.NotKept = slices.Concat(d.NotKept, beside, n.Unknown())
	return d, err
}

// beside is what the bundle's Postgres has next to the node's databases.
func (c *composed) beside(ctx context.Context) ([]string, error) {
	n, err := c.found(ctx)
	if err != nil || n.External() {
		return []string{}, err
	}
	live, err := c.parts.Databases(ctx)
	if err != nil {
		return nil, err
	}
	return live.Beside(ctx)
}

func (c *composed) show(ctx context.Context) (Shown, error) {
	n, err := c.found(ctx)
	if err != nil {
		return Shown{}, err
	}
	d, err := n.Deployment(ctx)
	return Shown{Deployment: d, Lines: n.Lines(ctx), Way: func() string { return string(n.PostgresWay()) }}, err
}

func (c *composed) lasting(ctx context.Context) (holdfast.Finding, error) {
	n, err := c.found(ctx)
	if err != nil {
		return holdfast.Finding{}, err
	}
	return n.Lasting(ctx)
}

func (c *composed) alive(ctx context.Context) (holdfast.Finding, error) {
	n, err := c.found(ctx)
	if err != nil {
		return holdfast.Finding{}, err
	}
	return n.Alive(ctx)
}

// remake rehearses whether the node would come back on an empty machine.
func (c *composed) remake(ctx context.Context) []Finding {
	n, err := c.found(ctx)
	if err != nil {
		return []Finding{Found("remake", "", err)}
	}
	parts, err := n.Rehearse(ctx)
	var out []Finding
	for _, p := range parts {
		f := Finding{Subject: p.Subject, Verdict: p.Verdict, Found: p.Evidence}
		if p.Verdict != holdfast.Holds {
			f.Why = "On an empty machine the node would not come back as it is."
			f.Do = "docs/operate.md, \"What of a compose node comes back\", says what can be kept and how."
		}
		out = append(out, f)
	}
	if err != nil {
		out = append(out, Found("remake", "", err))
	}
	return out
}

// try finds the node, and a restore of it that was interrupted.
func (c *composed) try(ctx context.Context) []Finding {
	n, err := c.found(ctx)
	well := ""
	if err == nil {
		well = fmt.Sprintf("project %s, Splice %s", n.Project, n.Splice())
	}
	return append([]Finding{Found("docker", well, err)}, leftUnfinished(c.parts.journal())...)
}
