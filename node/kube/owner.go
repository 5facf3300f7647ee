package kube

import (
	"fmt"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Owner is what keeps an object as it is: whoever changes the object by hand may
// find it changed back.
type Owner struct {
	By        string `json:"by"` // one of the words below; "" for nobody
	Kind      string `json:"kind,omitempty"`
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name,omitempty"`
}

// Who owns objects.
const (
	Nobody = ""
	Helm   = "Helm"
	ArgoCD = "Argo CD"
	Flux   = "Flux"
	// Another is an object of the cluster that makes this one, such as
	// CloudNativePG's Cluster.
	Another = "operator"
)

// The marks that owners leave on their objects.
const (
	argoTracking   = "argocd.argoproj.io/tracking-id"
	argoInstance   = "argocd.argoproj.io/instance"
	fluxHelm       = "helm.toolkit.fluxcd.io/"
	fluxKustomize  = "kustomize.toolkit.fluxcd.io/"
	helmRelease    = "meta.helm.sh/release-name"
	helmNamespace  = "meta.helm.sh/release-namespace"
	managedBy      = "app.kubernetes.io/managed-by"
	helmInstance   = "app.kubernetes.io/instance"
	lastApplied    = "kubectl.kubernetes.io/last-applied-configuration"
	rolledOut      = "deployment.kubernetes.io/revision"
	boundByCluster = "pv.kubernetes.io/"
)

// ownerOf reads who owns an object from the marks on it. What makes it comes
// first, and then Argo CD and Flux: what they install has Helm's marks as well.
func ownerOf(m metav1.ObjectMeta) Owner {
	for _, r := range m.OwnerReferences {
		if r.Controller != nil && *r.Controller {
			return Owner{By: Another, Kind: r.Kind, Namespace: m.Namespace, Name: r.Name}
		}
	}
	if id := m.Annotations[argoTracking]; id != "" {
		name, _, _ := strings.Cut(id, ":")
		if namespace, of, ok := strings.Cut(name, "_"); ok { // an Application outside of Argo's own namespace
			return Owner{By: ArgoCD, Kind: "Application", Namespace: namespace, Name: of}
		}
		return Owner{By: ArgoCD, Kind: "Application", Name: name}
	}
	if name := m.Labels[argoInstance]; name != "" {
		return Owner{By: ArgoCD, Kind: "Application", Name: name}
	}
	if name := m.Labels[fluxHelm+"name"]; name != "" {
		return Owner{By: Flux, Kind: "HelmRelease", Namespace: m.Labels[fluxHelm+"namespace"], Name: name}
	}
	if name := m.Labels[fluxKustomize+"name"]; name != "" {
		return Owner{By: Flux, Kind: "Kustomization", Namespace: m.Labels[fluxKustomize+"namespace"], Name: name}
	}
	if name := m.Annotations[helmRelease]; name != "" {
		return Owner{By: Helm, Kind: "release", Namespace: m.Annotations[helmNamespace], Name: name}
	}
	if m.Labels[managedBy] == "Helm" && m.Labels[helmInstance] != "" {
		return Owner{By: Helm, Kind: "release", Namespace: m.Namespace, Name: m.Labels[helmInstance]}
	}
	return Owner{}
}

// String is the owner for people: "Flux's HelmRelease flux-system/validator".
func (o Owner) String() string {
	name := o.Name
	if o.Namespace != "" && o.By != Helm && o.By != Another {
		name = o.Namespace + "/" + name
	}
	switch o.By {
	case Nobody:
		return "nobody"
	case Helm:
		return "Helm's release " + name
	case Another:
		return o.Kind + " " + name
	}
	return o.By + "'s " + o.Kind + " " + name
}

// pause is how an owner is kept from changing back what it owns; "" where no
// command does that.
func (o Owner) pause() string {
	switch o.By {
	case Flux:
		return fmt.Sprintf("`flux suspend %s %s --namespace %s`", strings.ToLower(o.Kind), o.Name, o.Namespace)
	case ArgoCD:
		return "`kubectl annotate application " + o.Name + " argocd.argoproj.io/skip-reconcile=true` in Argo CD's namespace"
	}
	return ""
}

// keepsValues reports whether an owner installs charts with values.
func (o Owner) keepsValues() bool {
	return o.By == Helm || o.By == ArgoCD || o.By == Flux && o.Kind == "HelmRelease"
}
