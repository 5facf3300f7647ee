package kube

import (
	"context"
	"errors"
	"fmt"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"

	"holdfast"
)

// How many objects one request takes, and how many of them there may be of a
// kind: more is another cluster than one that is looked through.
const (
	pageSize  = 500
	mostPage  = 40
	mostBegun = 4 // times a list is begun that the server forgets while it is read
)

// List lists what a node is found by: in a namespace, or in the whole cluster for
// "". It takes as many requests for three hundred pods as for three.
func (c *Cluster) List(ctx context.Context, namespace string) (o Objects, err error) {
	o.Texts = map[string]string{}
	if o.Deployments, err = items(ctx, c, c.apps, "deployments", namespace, metav1.ListOptions{},
		func(l appsv1.DeploymentList) []appsv1.Deployment { return l.Items }); err != nil {
		return o, err
	}
	if o.StatefulSets, err = items(ctx, c, c.apps, "statefulsets", namespace, metav1.ListOptions{},
		func(l appsv1.StatefulSetList) []appsv1.StatefulSet { return l.Items }); err != nil {
		return o, err
	}
	if o.Pods, err = items(ctx, c, c.core, "pods", namespace, metav1.ListOptions{},
		func(l corev1.PodList) []corev1.Pod { return l.Items }); err != nil {
		return o, err
	}
	if o.Services, err = items(ctx, c, c.core, "services", namespace, metav1.ListOptions{},
		func(l corev1.ServiceList) []corev1.Service { return l.Items }); err != nil {
		return o, err
	}
	return o, c.read(ctx, o)
}

// read reads the keys that say how nodes run. One that may not be read, or is not
// there, stays unseen: a question names it.
func (c *Cluster) read(ctx context.Context, o Objects) error {
	for _, reference := range o.Wanted() {
		text, err := c.text(ctx, reference)
		switch {
		case err == nil:
			o.Texts[reference] = text
		case !apierrors.IsForbidden(err) && !apierrors.IsNotFound(err) && !errors.Is(err, errNoKey):
			return c.explain("read "+reference, "", err)
		}
	}
	return nil
}

var errNoKey = errors.New("there is no such key")

// text is one key of a ConfigMap or of a Secret.
func (c *Cluster) text(ctx context.Context, reference string) (string, error) {
	scheme, rest, _ := strings.Cut(reference, ":")
	name, key, _ := strings.Cut(rest, "#")
	namespace, name, _ := strings.Cut(name, "/")
	if scheme+":" == mapScheme {
		var m corev1.ConfigMap
		if err := c.get(ctx, "configmaps", namespace, name, &m); err != nil {
			return "", err
		}
		return keyed(m.Data, key)
	}
	var s corev1.Secret
	if err := c.get(ctx, "secrets", namespace, name, &s); err != nil {
		return "", err
	}
	return keyed(s.Data, key)
}

func keyed[T string | []byte](data map[string]T, key string) (string, error) {
	value, ok := data[key]
	if !ok {
		return "", errNoKey
	}
	return string(value), nil
}

func (c *Cluster) get(ctx context.Context, resource, namespace, name string, into runtime.Object) error {
	ctx, cancel := context.WithTimeout(ctx, c.within)
	defer cancel()
	return c.core.Get().Namespace(namespace).Resource(resource).Name(name).Do(ctx).Into(into)
}

// page is a list as the API returns it.
type page[L any] interface {
	*L
	runtime.Object
	metav1.ListInterface
}

// items are the objects of one kind that the options choose, page by page. A list
// that is too old to go on with begins again: the server forgets what it was after
// some minutes.
func items[T, L any, P page[L]](
	ctx context.Context, c *Cluster, client *rest.RESTClient, resource, namespace string, o metav1.ListOptions,
	of func(L) []T,
) (out []T, err error) {
	o.Limit = pageSize
	begun := 1
	for pages := 0; pages < mostPage; pages++ {
		var list L
		err := c.page(ctx, client, resource, namespace, o, P(&list))
		if apierrors.IsResourceExpired(err) && o.Continue != "" && begun < mostBegun {
			begun++
			pages, out, o.Continue = -1, nil, ""
			continue
		}
		if err != nil {
			return nil, c.explain("list "+resource, namespace, err)
		}
		out = append(out, of(list)...)
		if o.Continue = P(&list).GetContinue(); o.Continue == "" {
			return out, nil
		}
	}
	return nil, &holdfast.Problem{
		Class: holdfast.Refused, What: fmt.Sprintf("%s has more than %d %s", c.Where(namespace), pageSize*mostPage, resource),
		Do: "Name the node's namespace: --namespace NAMESPACE.",
	}
}

func (c *Cluster) page(
	ctx context.Context, client *rest.RESTClient, resource, namespace string, o metav1.ListOptions, into runtime.Object,
) error {
	ctx, cancel := context.WithTimeout(ctx, c.within)
	defer cancel()
	return client.Get().NamespaceIfScoped(namespace, namespace != "").Resource(resource).
		VersionedParams(&o, c.parameters).Do(ctx).Into(into)
}
