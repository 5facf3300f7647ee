package kube

import (
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"holdfast"
)

// BootstrapSecret is the Secret of a node's namespace that has its identities in
// clear while it is made again from them: the node's private keys.
const BootstrapSecret = "participant-bootstrap-dump" //nolint:gosec // a name

const (
	bootstrapKey  = "content" // as the validator chart takes it
	bootstrapNote = "holdfast.dev/reonboarding"
)

// Bootstrap is the note on the Secret: what it was made for. There is none where
// there is no such Secret. One that somebody else made is refused.
func (n Node) Bootstrap(ctx context.Context) (note string, there bool, err error) {
	s, there, err := n.bootstrap(ctx)
	if err != nil || !there {
		return "", false, err
	}
	if note = s.Annotations[bootstrapNote]; note == "" {
		return "", true, &holdfast.Problem{
			Class: holdfast.Refused, What: n.BootstrapPlace() + " is not one of Holdfast",
			Why: "It may hold the only copy of a key, so it is never overwritten.",
			Do: "If it is of an earlier attempt: `" + n.Cluster.kubectl(n.Namespace) + " delete secret " +
				BootstrapSecret + "`. Then repeat the command.",
		}
	}
	return note, true, nil
}

// BootstrapPlace names the Secret for people.
func (n Node) BootstrapPlace() string {
	return "Secret " + BootstrapSecret + " of namespace " + n.Namespace
}

func (n Node) bootstrap(ctx context.Context) (s corev1.Secret, there bool, err error) {
	err = again(ctx, func(ctx context.Context) error {
		s = corev1.Secret{}
		err := n.Cluster.get(ctx, "secrets", n.Namespace, BootstrapSecret, &s)
		if there = err == nil; err == nil || apierrors.IsNotFound(err) {
			return nil
		}
		return n.Cluster.explain("get secrets "+BootstrapSecret, n.Namespace, err)
	})
	return s, there, err
}

// MakeBootstrap makes the Secret, with what it is for. It is there whole or not at
// all, and nobody can change it.
func (n Node) MakeBootstrap(ctx context.Context, dump []byte, note string) error {
	s := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Name: BootstrapSecret, Labels: map[string]string{managedBy: "holdfast"},
			Annotations: map[string]string{bootstrapNote: note},
		},
		Immutable: new(true), Data: map[string][]byte{bootstrapKey: dump},
	}
	return again(ctx, func(ctx context.Context) error {
		bounded, cancel := context.WithTimeout(ctx, n.Cluster.within)
		defer cancel()
		err := n.Cluster.core.Post().Namespace(n.Namespace).Resource("secrets").Body(s).Do(bounded).Error()
		switch {
		case err == nil:
			return nil
		case apierrors.IsAlreadyExists(err): // perhaps by a request whose answer was lost
			kept, _, err := n.Bootstrap(ctx)
			if err == nil && kept != note {
				err = &holdfast.Problem{
					Class: holdfast.Refused, What: n.BootstrapPlace() + " was made by another run",
					Do: "Repeat the command.",
				}
			}
			return err
		case apierrors.IsRequestEntityTooLargeError(err) || apierrors.IsInvalid(err):
			return &holdfast.Problem{
				Class: holdfast.Failed, Err: err,
				What: fmt.Sprintf("the identities, %d bytes, do not fit into a Secret", len(dump)),
				Why:  "The validator chart takes them from there.",
			}
		}
		return n.Cluster.explain("create secrets "+BootstrapSecret, n.Namespace, err)
	})
}

// RemoveBootstrap removes the Secret, unless a pod takes it: one that starts again
// without it would hang. It reports whether there was one.
func (n Node) RemoveBootstrap(ctx context.Context) (there bool, err error) {
	if _, there, err = n.Bootstrap(ctx); err != nil || !there {
		return there, err
	}
	o, err := n.Cluster.List(ctx, n.Namespace)
	if err != nil {
		return true, err
	}
	if takers := o.takers(); len(takers) > 0 {
		return true, &holdfast.Problem{
			Class: holdfast.Refused, What: fmt.Sprintf("%s takes %s", takers[0], n.BootstrapPlace()),
			Why: "A pod of it that starts again would wait for the Secret for ever.",
			Do: "Take participantIdentitiesDumpImport out of the chart's values first: `holdfast reonboard` prints " +
				"what to type. Then repeat the command.",
		}
	}
	s, there, err := n.bootstrap(ctx)
	if err != nil || !there {
		return true, err
	}
	return true, again(ctx, func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, n.Cluster.within)
		defer cancel()
		err := n.Cluster.core.Delete().Namespace(n.Namespace).Resource("secrets").Name(BootstrapSecret).
			Body(&metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &s.UID}}).Do(ctx).Error()
		if err == nil || apierrors.IsNotFound(err) {
			return nil
		}
		return n.Cluster.explain("delete secrets "+BootstrapSecret, n.Namespace, err)
	})
}

// takers are the workloads, and the pods, that take the Secret.
func (o Objects) takers() (out []string) {
	all := o.workloads()
	for _, p := range o.Pods {
		if p.Status.Phase != corev1.PodSucceeded && p.Status.Phase != corev1.PodFailed {
			all = append(all, workload("Pod", p.ObjectMeta, corev1.PodTemplateSpec{Spec: p.Spec}))
		}
	}
	for _, w := range all {
		takes := func(s SecretName) bool { return s.Name == BootstrapSecret }
		if slices.ContainsFunc(secretsOf([]Workload{w}), takes) && !slices.Contains(out, w.String()) {
			out = append(out, w.String())
		}
	}
	return out
}
