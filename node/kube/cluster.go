package kube

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"holdfast"
)

// CallTime is how long one request to a cluster may take.
const CallTime = 30 * time.Second

// Options say which cluster is meant, and how long it is waited for.
type Options struct {
	Kubeconfig string        // a file; KUBECONFIG, the pod's own or ~/.kube/config if empty
	Context    string        // of the kubeconfig; its current one if empty
	Within     time.Duration // of one request; CallTime if 0
	Account    string        // directory of the pod's service account; PodAccount if empty
}

// PodAccount is the directory in which a pod finds its service account.
const PodAccount = "/var/run/secrets/kubernetes.io/serviceaccount"

// Cluster is a cluster's API, with the rights of whoever runs Holdfast.
type Cluster struct {
	Kubeconfig string // the file that has the context; "" in a pod
	Context    string // of the kubeconfig; "" in a pod
	Namespace  string // that is meant where none is named

	within     time.Duration
	config     *rest.Config
	core, apps *rest.RESTClient
	parameters runtime.ParameterCodec
}

// InPod reports whether Holdfast runs in a pod of the cluster that is meant. The
// names of Services are then addresses like any other.
func (o Options) InPod() bool {
	return o.Kubeconfig == "" && os.Getenv("KUBECONFIG") == "" && os.Getenv("KUBERNETES_SERVICE_HOST") != ""
}

// Connect finds a cluster, as kubectl does. It sends nothing yet.
func Connect(o Options) (*Cluster, error) {
	c := &Cluster{within: cmp.Or(o.Within, CallTime)}
	find := c.fromKubeconfig
	do := "Check what kubectl uses: `kubectl config get-contexts`. Name another context: --context."
	if o.InPod() {
		find, do = c.fromPod, "Let the pod have its service account's token: automountServiceAccountToken: true."
	}
	err := find(o)
	if err == nil && c.config.Insecure {
		err = errors.New("insecure-skip-tls-verify: anybody could be the cluster")
	}
	if err == nil {
		err = c.clients()
	}
	if err != nil {
		return nil, &holdfast.Problem{Class: holdfast.Usage, What: "no cluster of Kubernetes", Err: err, Do: do}
	}
	return c, nil
}

// fromPod takes the cluster that Holdfast's own pod runs in. Its token is read
// again as it changes. The authority has to be there: without one, client-go would
// trust those of the image.
func (c *Cluster) fromPod(o Options) error {
	file := func(name string) string { return filepath.Join(cmp.Or(o.Account, PodAccount), name) }
	for _, needed := range []string{"token", "ca.crt"} {
		if _, err := os.Stat(file(needed)); err != nil {
			return err
		}
	}
	c.Namespace = metav1.NamespaceDefault
	if text, err := os.ReadFile(file("namespace")); err == nil {
		c.Namespace = strings.TrimSpace(string(text))
	}
	c.config = &rest.Config{
		Host: "https://" + net.JoinHostPort(
			os.Getenv("KUBERNETES_SERVICE_HOST"), cmp.Or(os.Getenv("KUBERNETES_SERVICE_PORT"), "443")),
		TLSClientConfig: rest.TLSClientConfig{CAFile: file("ca.crt")},
		BearerTokenFile: file("token"),
	}
	return nil
}

func (c *Cluster) fromKubeconfig(o Options) error {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = o.Kubeconfig
	loader := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(
		rules, &clientcmd.ConfigOverrides{CurrentContext: o.Context})
	raw, err := loader.RawConfig()
	if err != nil {
		return err
	}
	c.Context = cmp.Or(o.Context, raw.CurrentContext)
	if found := raw.Contexts[c.Context]; found != nil {
		c.Kubeconfig = found.LocationOfOrigin
	}
	if c.Namespace, _, err = loader.Namespace(); err != nil {
		return err
	}
	c.config, err = loader.ClientConfig()
	return err
}

// clients are those of the two groups whose objects are read. They know the types
// of no others, of which client-go's own set of clients has all.
func (c *Cluster) clients() (err error) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{corev1.AddToScheme, appsv1.AddToScheme} {
		if err := add(scheme); err != nil {
			return err
		}
	}
	c.parameters = runtime.NewParameterCodec(scheme)
	c.config.UserAgent = "holdfast"
	c.config.WarningHandler = rest.NoWarnings{}
	c.config.QPS = -1 // a connection takes two requests, and five a second would be a backup's pace
	client := func(path string, version schema.GroupVersion) (*rest.RESTClient, error) {
		config := rest.CopyConfig(c.config)
		config.APIPath, config.GroupVersion = path, &version
		config.NegotiatedSerializer = serializer.NewCodecFactory(scheme).WithoutConversion()
		return rest.RESTClientFor(config)
	}
	if c.core, err = client("/api", corev1.SchemeGroupVersion); err != nil {
		return err
	}
	c.apps, err = client("/apis", appsv1.SchemeGroupVersion)
	return err
}

// Where names the namespace of a cluster for people; the whole cluster for "".
func (c *Cluster) Where(namespace string) string {
	where := "the cluster"
	if c.Context != "" {
		where += " of context " + c.Context
	}
	if namespace != "" {
		where = "namespace " + namespace + " of " + where
	}
	return where
}

// explain makes an error of the API one for the operator. What is verb and
// resource, as a Role has them: "list pods".
func (c *Cluster) explain(what, namespace string, err error) error {
	if errors.Is(err, context.Canceled) {
		return err
	}
	p := &holdfast.Problem{
		Class: holdfast.Unreachable, What: what + " in " + c.Where(namespace), Err: err,
		Do: "Check that the cluster answers: `" + c.kubectl("") + " version`.",
	}
	switch {
	case apierrors.IsForbidden(err):
		p.Class, p.Err = holdfast.WrongKey, errors.New("the cluster does not allow it")
		role := "role.yaml"
		switch {
		case strings.HasSuffix(what, "/scale") || strings.HasSuffix(what, JournalMap):
			role = "role-restore.yaml"
		case strings.HasSuffix(what, BootstrapSecret):
			role = "role-reonboard.yaml"
		}
		p.Do = fmt.Sprintf("Give the right to %s: docs/kubernetes.md, Rights, has the smallest Role, "+
			"packaging/kubernetes/%s: `%s apply -f %[2]s`.", what, role, c.kubectl(namespace))
	case apierrors.IsUnauthorized(err):
		p.Class, p.Err = holdfast.WrongKey, errors.New("the cluster does not accept the credentials")
		p.Do = "Check them: `" + c.kubectl("") + " auth whoami`."
	case apierrors.IsNotFound(err):
		p.Class = holdfast.Usage
		p.Do = "See what there is: `" + c.kubectl(namespace) + " get all`."
	}
	return p
}

// kubectl is the command with the same cluster.
func (c *Cluster) kubectl(namespace string) string {
	out := "kubectl"
	if c.Context != "" {
		out += " --context " + c.Context
	}
	if namespace != "" {
		out += " --namespace " + namespace
	}
	return out
}
