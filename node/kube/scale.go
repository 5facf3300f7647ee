package kube

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"holdfast"
)

// scalable are the resources of workloads that have a scale, by their kinds.
var scalable = map[string]string{"Deployment": "deployments", "StatefulSet": "statefulsets"}

// reference is a workload as kubectl takes it: deployment/participant.
func (w Workload) reference() string { return strings.ToLower(w.Kind) + "/" + w.Name }

// scaled are a workload's replicas.
type scaled struct {
	Spec struct {
		Replicas int `json:"replicas"` // that are wanted
	} `json:"spec"`
	Status struct {
		Selector string `json:"selector"` // of its pods
	} `json:"status"`
}

// scale is that of a workload. One that does not exist has none.
func (n Node) scale(ctx context.Context, reference string) (s scaled, there bool, err error) {
	return n.scaling(ctx, "get", reference, func(r *rest.RESTClient) *rest.Request { return r.Get() })
}

// setScale has a workload have so many replicas. Trying, nothing is changed.
func (n Node) setScale(ctx context.Context, reference string, replicas int, try bool) (there bool, err error) {
	body := fmt.Appendf(nil, `{"spec":{"replicas":%d}}`, replicas)
	_, there, err = n.scaling(ctx, "patch", reference, func(r *rest.RESTClient) *rest.Request {
		patch := r.Patch(types.MergePatchType).Body(body)
		if try {
			patch = patch.Param("dryRun", metav1.DryRunAll)
		}
		return patch
	})
	return there, err
}

func (n Node) scaling(
	ctx context.Context, verb, reference string, request func(*rest.RESTClient) *rest.Request,
) (s scaled, there bool, err error) {
	kind, name, _ := strings.Cut(reference, "/")
	c := n.Cluster
	err = again(ctx, func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, c.within)
		defer cancel()
		text, err := request(c.apps).Namespace(n.Namespace).Resource(kind + "s").Name(name).SubResource("scale").Do(ctx).Raw()
		if there = err == nil; apierrors.IsNotFound(err) {
			return nil
		}
		if err == nil {
			err = json.Unmarshal(text, &s)
		}
		if err != nil {
			return c.explain(verb+" "+kind+"s/scale", n.Namespace, err)
		}
		return nil
	})
	return s, there, err
}

// pods are those of a workload that are not at their end.
func (n Node) pods(ctx context.Context, selector string) (out []corev1.Pod, err error) {
	if selector == "" {
		return nil, nil
	}
	err = again(ctx, func(ctx context.Context) error {
		list, err := items(ctx, n.Cluster, n.Cluster.core, "pods", n.Namespace, metav1.ListOptions{LabelSelector: selector},
			func(l corev1.PodList) []corev1.Pod { return l.Items })
		out = nil
		for _, p := range list {
			if p.Status.Phase != corev1.PodSucceeded && p.Status.Phase != corev1.PodFailed {
				out = append(out, p)
			}
		}
		return err
	})
	return out, err
}

// outage is how long an API server that does not answer is waited for, as while
// it is upgraded: what it is needed for may have taken hours until then.
const outage = time.Minute

// again does what can be done again until the API server answers.
func again(ctx context.Context, do func(context.Context) error) error {
	for begun := time.Now(); ; {
		err := do(ctx)
		if holdfast.ClassOf(err) != holdfast.Unreachable || time.Since(begun) > outage {
			return err
		}
		if stopped := pause(ctx, time.Second); stopped != nil {
			return stopped
		}
	}
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
