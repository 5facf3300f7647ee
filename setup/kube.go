package setup

import (
	"context"
	"net"
	"sync"

	"holdfast/node/kube"
)

// kubeKind is a node in Kubernetes. Its databases and its validator app are in the
// configuration, by names that the cluster alone knows.
func kubeKind(p *Parts) Kind {
	conf := p.Config.Kube
	options := kube.Options{
		Kubeconfig: conf.Kubeconfig, Context: conf.Context, Within: p.within(kube.CallTime),
	}
	kind := Kind{Node: plain{}, Way: bundleWay}
	if !options.InPod() {
		kind.Through = through(sync.OnceValues(func() (*kube.Cluster, error) { return kube.Connect(options) }))
	}
	return kind
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
