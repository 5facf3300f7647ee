package kube

import (
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// Name is a Service, and one pod of it where it is named.
type Name struct{ Pod, Service, Namespace string }

// Named reads a host's name that only the cluster knows: SERVICE.NAMESPACE.svc,
// with or without the cluster's domain, and the name of one of its pods before it.
func Named(host string) (Name, bool) {
	parts := strings.Split(strings.TrimSuffix(host, "."), ".")
	switch at := slices.Index(parts, "svc"); at {
	case 2:
		return Name{Service: parts[0], Namespace: parts[1]}, true
	case 3:
		return Name{Pod: parts[0], Service: parts[1], Namespace: parts[2]}, true
	}
	return Name{}, false
}

// String is the name that every pod of the cluster resolves.
func (n Name) String() string {
	host := n.Service + "." + n.Namespace + ".svc"
	if n.Pod != "" {
		host = n.Pod + "." + host
	}
	return host
}

// server is where an address leads that a program is given.
type server struct {
	host    string
	service *corev1.Service // nil outside of the cluster, or in a namespace that was not listed
	unseen  string          // why it cannot be seen where that is
}

// server resolves a host as a pod of a namespace does.
func (o Objects) server(host, namespace string) server {
	host = strings.TrimSuffix(host, ".")
	if address, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		return o.addressed(host, address)
	}
	if host == "localhost" {
		return besides(host)
	}
	name, named := Named(host)
	if parts := strings.Split(host, "."); !named && len(parts) < 3 {
		name = Name{Service: parts[0], Namespace: namespace}
		named = true
		if len(parts) == 2 {
			name.Namespace = parts[1]
			named = slices.Contains(o.namespaces(), parts[1])
		}
	}
	if !named {
		return server{host: host}
	}
	found := o.service(name.Namespace, name.Service)
	switch {
	case found == nil && slices.Contains(o.namespaces(), name.Namespace):
		return server{host: host, unseen: "there is no Service " + name.Service + " in namespace " + name.Namespace}
	case found != nil && found.Spec.Type == corev1.ServiceTypeExternalName:
		return server{host: found.Spec.ExternalName}
	}
	return server{host: name.String(), service: found}
}

// addressed is the server at an IP address.
func (o Objects) addressed(host string, address netip.Addr) server {
	if address.IsLoopback() {
		return besides(host)
	}
	for i, s := range o.Services {
		if slices.Contains(s.Spec.ClusterIPs, host) || s.Spec.ClusterIP == host {
			return server{host: Name{Service: s.Name, Namespace: s.Namespace}.String(), service: &o.Services[i]}
		}
	}
	for _, p := range o.Pods {
		if p.Status.PodIP == host {
			return server{host: host, unseen: host + " is the address of pod " + p.Name + ", which the next one does not have"}
		}
	}
	return server{host: host}
}

// besides is a server that a program reaches through a container next to its own.
func besides(host string) server {
	return server{host: host, unseen: host + " is a proxy in the program's own pod, which no other pod reaches; " +
		"name the server behind it"}
}
