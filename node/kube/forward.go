package kube

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/transport/spdy"
	"k8s.io/streaming/pkg/httpstream"

	"holdfast"
)

// To connects to a port of a Service from outside of the cluster, through the API:
// each connection is forwarded to a pod that is ready at that moment. What it is
// called with says nothing new and is not looked at.
func (c *Cluster) To(name Name, port string) func(ctx context.Context, network, address string) (net.Conn, error) {
	return func(ctx context.Context, _, _ string) (net.Conn, error) {
		pod, number, err := c.pod(ctx, name, port)
		for err == nil {
			conn, failed := c.forward(ctx, name.Namespace, pod, number)
			if failed == nil {
				return conn, nil
			}
			gone := pod // another one has taken its place meanwhile, or it is what it was
			if pod, number, err = c.pod(ctx, name, port); err == nil && pod == gone {
				return nil, c.explain("create pods/portforward", name.Namespace, failed)
			}
		}
		return nil, err
	}
}

// pod is one that a Service sends to, and the port of it that a port of the
// Service leads to.
func (c *Cluster) pod(ctx context.Context, name Name, port string) (string, int, error) {
	var s corev1.Service
	if err := c.get(ctx, "services", name.Namespace, name.Service, &s); err != nil {
		return "", 0, c.explain("get services "+name.Service, name.Namespace, err)
	}
	if len(s.Spec.Selector) == 0 {
		return "", 0, &holdfast.Problem{
			Class: holdfast.Unreachable,
			What:  "Service " + name.Service + " selects no pods, so nothing can be forwarded to one",
			Do:    "Run Holdfast in a pod of the cluster, or name the server behind it.",
		}
	}
	var list corev1.PodList
	o := metav1.ListOptions{LabelSelector: labels.SelectorFromSet(s.Spec.Selector).String(), Limit: pageSize}
	if err := c.page(ctx, c.core, "pods", name.Namespace, o, &list); err != nil {
		return "", 0, c.explain("list pods", name.Namespace, err)
	}
	for _, p := range list.Items {
		if !ready(p) || name.Pod != "" && p.Name != name.Pod {
			continue
		}
		number, err := targetPort(s, p, port)
		return p.Name, number, err
	}
	return "", 0, &holdfast.Problem{
		Class: holdfast.Unreachable,
		What:  fmt.Sprintf("none of the %d pods behind Service %s is ready", len(list.Items), name.Service),
		Do:    "See why: `" + c.kubectl(name.Namespace) + " get pods`.",
	}
}

// ready reports whether a pod serves, and is not about to end.
func ready(p corev1.Pod) bool {
	return p.DeletionTimestamp == nil && slices.ContainsFunc(p.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}

// targetPort is the port of a pod that a Service's port leads to.
func targetPort(s corev1.Service, p corev1.Pod, port string) (int, error) {
	for _, at := range s.Spec.Ports {
		if strconv.Itoa(int(at.Port)) != port {
			continue
		}
		if at.TargetPort.Type == intstr.Int {
			if at.TargetPort.IntVal == 0 {
				return int(at.Port), nil
			}
			return int(at.TargetPort.IntVal), nil
		}
		for _, container := range p.Spec.Containers {
			for _, open := range container.Ports {
				if open.Name == at.TargetPort.StrVal {
					return int(open.ContainerPort), nil
				}
			}
		}
	}
	if s.Spec.ClusterIP == corev1.ClusterIPNone { // the pod's own ports are the Service's
		return strconv.Atoi(port)
	}
	return 0, &holdfast.Problem{
		Class: holdfast.Usage, What: "Service " + s.Name + " has no port " + port,
		Do: "Correct the port in holdfast.yaml.",
	}
}

// dialer opens streams to a pod: through a WebSocket, or, where something on the
// way lets none through, through the protocol before it.
func (c *Cluster) dialer(namespace, pod string) (httpstream.Dialer, *refusal, error) {
	at := c.core.Post().Namespace(namespace).Resource("pods").Name(pod).SubResource("portforward").URL()
	transport, upgrader, err := spdy.RoundTripperFor(c.config)
	if err != nil {
		return nil, nil, err
	}
	refused := &refusal{RoundTripper: transport}
	before := spdy.NewDialerForStreaming(upgrader, &http.Client{Transport: refused}, http.MethodPost, at)
	now, err := portforward.NewSPDYOverWebsocketDialerForStreaming(at, c.config)
	if err != nil {
		return nil, nil, err
	}
	return portforward.NewFallbackDialerForStreaming(now, before, func(err error) bool {
		return httpstream.IsUpgradeFailure(err) || httpstream.IsHTTPSProxyError(err)
	}), refused, nil
}

// refusal keeps why the cluster allows no forwarding, of which the library's error
// has the text alone.
type refusal struct {
	http.RoundTripper
	err error
}

// RoundTrip implements http.RoundTripper.
func (r *refusal) RoundTrip(request *http.Request) (*http.Response, error) {
	answer, err := r.RoundTripper.RoundTrip(request)
	if err == nil && (answer.StatusCode == http.StatusForbidden || answer.StatusCode == http.StatusUnauthorized) {
		r.err = apierrors.NewGenericServerResponse(
			answer.StatusCode, "create", corev1.Resource("pods/portforward"), "", "", 0, true)
	}
	return answer, err
}

// forward connects to a port of a pod.
func (c *Cluster) forward(ctx context.Context, namespace, pod string, port int) (net.Conn, error) {
	dialer, refused, err := c.dialer(namespace, pod)
	if err != nil {
		return nil, err
	}
	type answer struct {
		conn httpstream.Connection
		err  error
	}
	answered := make(chan answer, 1)
	go func() {
		conn, _, err := dialer.Dial(portforward.PortForwardProtocolV1Name)
		answered <- answer{conn, cmp.Or(refused.err, err)}
	}()
	ctx, cancel := context.WithTimeout(ctx, c.within)
	defer cancel()
	select {
	case a := <-answered:
		if a.err != nil {
			return nil, a.err
		}
		return open(a.conn, pod, port)
	case <-ctx.Done():
		go func() { // the library's dialer knows no context
			if a := <-answered; a.err == nil {
				_ = a.conn.Close()
			}
		}()
		return nil, context.Cause(ctx)
	}
}

// open opens the two streams of a forwarded connection.
func open(through httpstream.Connection, pod string, port int) (net.Conn, error) {
	headers := http.Header{}
	headers.Set(corev1.PortHeader, strconv.Itoa(port))
	headers.Set(corev1.PortForwardRequestIDHeader, "0")
	headers.Set(corev1.StreamType, corev1.StreamTypeError)
	complaints, err := through.CreateStream(headers)
	if err == nil {
		err = complaints.Close() // nothing is sent there
	}
	if err != nil {
		return nil, errors.Join(err, through.Close())
	}
	headers.Set(corev1.StreamType, corev1.StreamTypeData)
	data, err := through.CreateStream(headers)
	if err != nil {
		return nil, errors.Join(err, through.Close())
	}
	near, far := net.Pipe() // which has the deadlines that streams lack
	f := &forwarded{Conn: near, pod: pod, port: port}
	go f.run(far, data, complaints, through)
	return f, nil
}

// forwarded is a connection to a port of a pod.
type forwarded struct {
	net.Conn
	pod       string
	port      int
	complaint atomic.Pointer[string] // of the pod's node, which ended it
}

// run copies both ways until one of the sides ends.
func (f *forwarded) run(far net.Conn, data, complaints httpstream.Stream, through httpstream.Connection) {
	ended, said := make(chan struct{}, 2), make(chan string, 1)
	go func() {
		text, _ := io.ReadAll(io.LimitReader(complaints, 4<<10))
		said <- string(text)
	}()
	go func() {
		_, _ = io.Copy(data, far)
		ended <- struct{}{}
	}()
	go func() {
		_, _ = io.Copy(far, data)
		ended <- struct{}{}
	}()
	<-ended
	_ = data.Reset()
	select {
	case text := <-said:
		if text != "" {
			f.complaint.Store(&text)
		}
	case <-time.After(time.Second): // a complaint is there at once, or never
	}
	_ = far.Close()
	_ = through.Close()
}

// Read says what ended the connection, where the pod's node does.
func (f *forwarded) Read(p []byte) (int, error) {
	n, err := f.Conn.Read(p)
	if text := f.complaint.Load(); errors.Is(err, io.EOF) && text != nil {
		return n, &holdfast.Problem{
			Class: holdfast.Unreachable, What: fmt.Sprintf("port %d of pod %s is unreachable: %s", f.port, f.pod, *text),
			Do: "Check that its program is up: `kubectl logs " + f.pod + "`.",
		}
	}
	return n, err
}
