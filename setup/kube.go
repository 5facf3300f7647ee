package setup

import (
	"cmp"
	"context"
	"net"
	"sync"

	"holdfast"
	"holdfast/node/kube"
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
		kind.Recorder, kind.Show = c, c.show
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
