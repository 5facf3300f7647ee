package kube

import (
	"context"

	"holdfast"
)

// Kind is the word for such a node in a set.
const Kind = "kube"

// Node is a validator of a cluster, by the names that the configuration has.
type Node struct {
	Cluster   *Cluster
	Namespace string
	// Validator is the workload of its app, where the namespace has several.
	Validator string
}

// Find lists the node's namespace, and finds the node in it.
func (n Node) Find(ctx context.Context) (Objects, Validator, error) {
	o, err := n.Cluster.List(ctx, n.Namespace)
	if err != nil {
		return o, Validator{}, err
	}
	v, err := Choose(Find(o), n.Validator, n.Cluster.Where(n.Namespace))
	return o, v, err
}

// programs are those of the namespace, with the images that they run from. The
// node's own have their roles, and what runs next to them in their pods none.
func (v Validator) programs(o Objects) (out []holdfast.Program) {
	roles := map[string]string{participantAddress: "validator", participantServer: "participant"}
	for _, w := range o.workloads() {
		if w.Namespace != v.App.Namespace {
			continue
		}
		for _, c := range w.Spec.Containers {
			p := holdfast.Program{Name: w.Name + "/" + c.Name, Image: c.Image, Digest: o.digest(w, c.Name)}
			own := w.String() == v.App.String() || w.String() == v.Participant.String()
			for variable, role := range roles {
				if own && environment(w.Namespace, c, o.Texts).Has(variable) {
					p.Role = role
				}
			}
			out = append(out, p)
		}
	}
	return out
}
