package apiserver

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/streaming/pkg/httpstream"
	"k8s.io/streaming/pkg/httpstream/spdy"
)

func trusting(pool *x509.CertPool) *tls.Config {
	return &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
}

// Node is the name of the node that Kubelet makes.
const Node = "node"

// Kubelet makes a node. A port of any of its pods is that port of this machine.
func (s *Server) Kubelet(t testing.TB) {
	t.Helper()
	kubelet := httptest.NewUnstartedServer(http.HandlerFunc(forward))
	kubelet.StartTLS()
	t.Cleanup(kubelet.Close)
	at := kubelet.Listener.Addr().(*net.TCPAddr) //nolint:forcetypeassert // of a TCP listener
	node := corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: Node}}
	s.Create(t, "/api/v1/nodes", node)
	node.Status = corev1.NodeStatus{
		Addresses: []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: at.IP.String()}},
		DaemonEndpoints: corev1.NodeDaemonEndpoints{
			KubeletEndpoint: corev1.DaemonEndpoint{Port: int32(at.Port)}, //nolint:gosec // a port
		},
	}
	s.Put(t, "/api/v1/nodes/"+Node+"/status", node)
}

// Run creates a pod that is ready.
func (s *Server) Run(t testing.TB, p corev1.Pod) {
	t.Helper()
	p.Spec.NodeName = Node
	path := "/api/v1/namespaces/" + p.Namespace + "/pods"
	s.Create(t, path, p)
	p.Status = corev1.PodStatus{
		Phase:      corev1.PodRunning,
		Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}},
	}
	s.Put(t, path+"/"+p.Name+"/status", p)
}

// forward serves the streams of forwarded connections, as a kubelet does.
func forward(w http.ResponseWriter, r *http.Request) {
	if _, err := httpstream.Handshake(r, w, []string{"portforward.k8s.io"}); err != nil {
		return
	}
	streams := make(chan httpstream.Stream, 2)
	conn := spdy.NewResponseUpgrader().UpgradeResponse(w, r, func(stream httpstream.Stream, _ <-chan struct{}) error {
		streams <- stream
		return nil
	})
	if conn == nil {
		return
	}
	defer func() { _ = conn.Close() }()
	var complaints, data httpstream.Stream
	for complaints == nil || data == nil {
		select {
		case stream := <-streams:
			if stream.Headers().Get(corev1.StreamType) == corev1.StreamTypeError {
				complaints = stream
			} else {
				data = stream
			}
		case <-conn.CloseChan():
			return
		}
	}
	join(complaints, data)
	<-conn.CloseChan()
}

// join leads a stream to the port of this machine that it names.
func join(complaints, data httpstream.Stream) {
	defer func() { _, _ = complaints.Close(), data.Close() }()
	port, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", data.Headers().Get(corev1.PortHeader)))
	if err != nil {
		_, _ = io.WriteString(complaints, err.Error())
		return
	}
	var both sync.WaitGroup
	both.Go(func() {
		_, _ = io.Copy(port, data)
		_ = port.Close()
	})
	both.Go(func() {
		_, _ = io.Copy(data, port)
		_ = data.Close()
	})
	both.Wait()
}
