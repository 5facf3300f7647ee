package setup

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net"
	"slices"
	"sync"
	"syscall"

	"holdfast"
	"holdfast/capture/postgres"
	"holdfast/databases"
	"holdfast/journal"
	"holdfast/node/kube"
	"holdfast/restore"
)

// clustered is a node in Kubernetes. Its databases and its validator app are in
// the configuration, by names that the cluster alone knows.
type clustered struct {
	plain
	parts   *Parts
	cluster func() (*kube.Cluster, error) // connected to when it is first needed
}

func kubeKind(p *Parts) Kind {
	conf := p.Config.Kube
	options := kube.Options{
		Kubeconfig: conf.Kubeconfig, Context: conf.Context, Within: p.within(kube.CallTime),
	}
	c := &clustered{
		parts: p, cluster: sync.OnceValues(func() (*kube.Cluster, error) { return kube.Connect(options) }),
	}
	kind := Kind{Node: c, Way: bundleWay}
	if !options.InPod() {
		kind.Through = through(c.cluster)
	}
	if conf.Namespace != "" {
		kind.Recorder, kind.Show, kind.Programs, kind.Try = c, c.show, c, c.try
		kind.Way, kind.Clear, kind.Look, kind.Ledger = c.way, c, c.look, c.ledger
		kind.Serves = c.serves
	}
	return kind
}

// node is the node in its namespace.
func (c *clustered) node() (kube.Node, error) {
	cluster, err := c.cluster()
	conf := c.parts.Config.Kube
	return kube.Node{Cluster: cluster, Namespace: conf.Namespace, Validator: conf.Validator}, err
}

// Record implements backup.Deployment.
func (c *clustered) Record(ctx context.Context, out holdfast.Sink) (holdfast.Deployment, error) {
	n, err := c.node()
	if err != nil {
		return holdfast.Deployment{}, err
	}
	return n.Record(ctx, out)
}

func (c *clustered) show(ctx context.Context) (Shown, error) {
	n, err := c.node()
	if err != nil {
		return Shown{}, err
	}
	d, err := n.Deployment(ctx)
	if err != nil {
		return Shown{}, err
	}
	lines, err := ranAs(&d)
	return Shown{Deployment: d, Lines: lines}, err
}

// RestoreTarget implements Programs.
func (c *clustered) RestoreTarget(
	ctx context.Context, o RestoreOptions, set holdfast.Set, files holdfast.Files,
) (restore.Target, databases.Target, error) {
	if o.FreshVolume {
		return restore.Target{}, databases.Target{}, Usage(fmt.Errorf("--fresh-volume is for nodes of Docker Compose"))
	}
	if o.Rehearse { // it touches no program, and leaves nothing to be taken back
		d, err := c.parts.target(ctx, o)
		return restore.Target{Databases: d}, d, err
	}
	return c.managed(ctx, o.load(), c.lost(set, files))
}

// UndoTarget implements Programs.
func (c *clustered) UndoTarget(ctx context.Context) (restore.Target, databases.Target, error) {
	return c.managed(ctx, postgres.LoadOptions{}, kube.Lost{})
}

// lost is what the node is made again of where its namespace has nothing of it.
func (c *clustered) lost(set holdfast.Set, files holdfast.Files) kube.Lost {
	return kube.Lost{
		Record:    func(ctx context.Context) (kube.Kept, error) { return kube.Recorded(ctx, set, files) },
		Directory: c.parts.namespaceFiles(set.ID),
		Answers: func(ctx context.Context) error {
			live, err := c.parts.given()
			if err != nil {
				return err
			}
			for _, name := range slices.Sorted(maps.Keys(live.Addresses)) {
				if err := answers(ctx, live.Addresses[name]); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

// managed is a target whose programs are scaled to zero and back. Whoever scales
// them up meanwhile finds the databases closed.
func (c *clustered) managed(
	ctx context.Context, options postgres.LoadOptions, lost kube.Lost,
) (restore.Target, databases.Target, error) {
	d, err := c.parts.target(ctx, RestoreOptions{})
	if err != nil {
		return restore.Target{}, d, err
	}
	d = c.parts.targetOf(d.Live, options)
	d.Shut = true
	programs, err := c.programs()
	if err != nil {
		return restore.Target{}, d, err
	}
	programs.Lost = lost
	return restore.Target{Databases: d, Programs: programs, Journal: c.journal(ctx, programs.Node)}, d, nil
}

// journal is what remembers an unfinished restore: a file next to the
// configuration or, where none can be written, the cluster.
func (c *clustered) journal(ctx context.Context, n kube.Node) restore.Journal {
	file := c.parts.journal()
	if syscall.Access(c.parts.Config.Dir(), 2) == nil { // it may be written to
		return file
	}
	ctx = context.WithoutCancel(ctx) // what is interrupted is taken back, and that is written down as well
	key := string(c.parts.Node.Name) + ".json"
	return journal.Elsewhere{
		Place: "ConfigMap " + kube.JournalMap, Hide: file.Hide,
		Load:  func() ([]byte, error) { return n.Kept(ctx, key) },
		Store: func(text []byte) error { return n.Keep(ctx, key, text) },
	}
}

func (c *clustered) programs() (*kube.Programs, error) {
	n, err := c.node()
	if err != nil {
		return nil, err
	}
	live, err := c.parts.given()
	participant := live.Addresses[componentOf(live.Node, holdfast.Participant)]
	return &kube.Programs{
		Node: n, Identity: func(ctx context.Context) (string, error) { return identityOf(ctx, participant) },
	}, err
}

// componentOf is the first component of a kind.
func componentOf(n holdfast.Node, kind holdfast.Kind) holdfast.ComponentName {
	for _, c := range n.Components {
		if c.Kind == kind {
			return c.Name
		}
	}
	return ""
}

// Now implements Programs.
func (c *clustered) Now(context.Context) (restore.Programs, error) { return c.programs() }

// serves is how far a node is whose programs the operator installs.
func (c *clustered) serves(ctx context.Context) (seen restore.Seen, err error) {
	n, err := c.node()
	if err != nil {
		return seen, err
	}
	live, err := c.parts.given()
	if err != nil {
		return seen, err
	}
	if seen.Identity, err = identityOf(ctx, live.Addresses[componentOf(live.Node, holdfast.Participant)]); err != nil {
		return seen, err
	}
	as := kube.Renewal{Databases: map[holdfast.Kind]string{}}
	for _, kind := range []holdfast.Kind{holdfast.Participant, holdfast.Validator} {
		as.Databases[kind] = live.Addresses[componentOf(live.Node, kind)].Database()
	}
	now, err := n.Renewed(ctx, as)
	seen.Other, seen.Waits = now.Other, now.Waits
	return seen, err
}

// try finds a restore that was interrupted.
func (c *clustered) try(ctx context.Context) []Finding {
	n, err := c.node()
	if err != nil {
		return nil // what needs the cluster says so
	}
	return leftUnfinished(c.journal(ctx, n))
}

// RanAs says for people how the node of a set ran: what, and what about it. It
// says nothing of kinds of nodes whose sets hold all that is needed.
func RanAs(set holdfast.Set) [][]string {
	lines, err := ranAs(set.Deployment)
	if err != nil {
		return [][]string{{"node", "cannot tell: what the set says of it is damaged"}}
	}
	return lines
}

func ranAs(d *holdfast.Deployment) ([][]string, error) {
	if d == nil || d.Kind != kube.Kind {
		return nil, nil
	}
	about, err := kube.Describe(d)
	if err != nil {
		return nil, err
	}
	return append([][]string{{"Splice", cmp.Or(d.Splice, "cannot tell")}}, about.Lines()...), nil
}

// through connects to the Services of a cluster from outside of it. The cluster is
// found when it is first needed.
func through(cluster func() (*kube.Cluster, error)) func(host, port string) Dial {
	return func(host, port string) Dial {
		name, named := kube.Named(host)
		if !named {
			return nil
		}
		return func(ctx context.Context, network, address string) (net.Conn, error) {
			found, err := cluster()
			if err != nil {
				return nil, err
			}
			return found.To(name, port)(ctx, network, address)
		}
	}
}
