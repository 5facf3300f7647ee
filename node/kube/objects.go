package kube

import (
	"maps"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// Objects are what a cluster has, or one namespace of it, as far as a node is
// found by them.
type Objects struct {
	Deployments  []appsv1.Deployment
	StatefulSets []appsv1.StatefulSet
	Pods         []corev1.Pod
	Services     []corev1.Service
	// Texts are what ConfigMaps and Secrets have under the keys that Wanted named,
	// by reference.
	Texts map[string]string
}

// Workload is what makes pods of one kind, or a pod that nothing made.
type Workload struct {
	Kind, Namespace, Name string
	Chart                 string // that Helm made it of, with its version; "" if it does not say
	Up                    bool   // it is to have pods
	Labels                map[string]string
	Spec                  corev1.PodSpec
	claims                []string // of a StatefulSet's first pod
	owner                 Owner
	uid                   string // of the object, which no other one ever has
}

func (w Workload) String() string { return w.Kind + " " + w.Name }

// Owner is what keeps the workload as it is.
func (w Workload) Owner() Owner { return w.owner }

// containers are all of a pod.
func (w Workload) containers() []corev1.Container {
	return slices.Concat(w.Spec.InitContainers, w.Spec.Containers)
}

// workloads are what makes the pods. A pod whose maker is not among the objects,
// such as one of another kind, stands for it.
func (o Objects) workloads() []Workload {
	var out []Workload
	for _, d := range o.Deployments {
		w := workload("Deployment", d.ObjectMeta, d.Spec.Template)
		w.Up = d.Spec.Replicas == nil || *d.Spec.Replicas > 0
		out = append(out, w)
	}
	for _, s := range o.StatefulSets {
		w := workload("StatefulSet", s.ObjectMeta, s.Spec.Template)
		w.Up = s.Spec.Replicas == nil || *s.Spec.Replicas > 0
		for _, c := range s.Spec.VolumeClaimTemplates {
			w.claims = append(w.claims, c.Name+"-"+s.Name+"-0")
		}
		out = append(out, w)
	}
	makers := map[string]bool{}
	for _, p := range o.Pods {
		kind, name := maker(p)
		key := p.Namespace + " " + kind + " " + name
		if p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed || makers[key] || o.makes(p) {
			continue
		}
		makers[key] = true
		made := p.ObjectMeta
		made.Name = name
		w := workload(kind, made, corev1.PodTemplateSpec{ObjectMeta: p.ObjectMeta, Spec: p.Spec})
		w.Up = true
		out = append(out, w)
	}
	return out
}

func workload(kind string, m metav1.ObjectMeta, t corev1.PodTemplateSpec) Workload {
	chart := m.Labels["helm.sh/chart"]
	if chart == "" {
		chart = t.Labels["helm.sh/chart"]
	}
	w := Workload{
		Kind: kind, Namespace: m.Namespace, Name: m.Name, Chart: chart, Labels: t.Labels, Spec: t.Spec, owner: ownerOf(m),
		uid: string(m.UID),
	}
	for _, v := range t.Spec.Volumes {
		if v.PersistentVolumeClaim != nil {
			w.claims = append(w.claims, v.PersistentVolumeClaim.ClaimName)
		}
	}
	return w
}

// maker is what made a pod: itself if nothing did.
func maker(p corev1.Pod) (kind, name string) {
	for _, r := range p.OwnerReferences {
		if r.Controller != nil && *r.Controller {
			return r.Kind, r.Name
		}
	}
	return "Pod", p.Name
}

// makes reports whether one of the Deployments or StatefulSets made a pod.
func (o Objects) makes(p corev1.Pod) bool {
	kind, name := maker(p)
	switch kind {
	case "StatefulSet":
		return slices.ContainsFunc(o.StatefulSets, func(s appsv1.StatefulSet) bool {
			return s.Namespace == p.Namespace && s.Name == name
		})
	case "ReplicaSet": // which is called as its Deployment, with a hash
		return slices.ContainsFunc(o.Deployments, func(d appsv1.Deployment) bool {
			hash, ok := strings.CutPrefix(name, d.Name+"-")
			return ok && d.Namespace == p.Namespace && !strings.Contains(hash, "-")
		})
	}
	return false
}

// service is a Service by its name; nil where there is none.
func (o Objects) service(namespace, name string) *corev1.Service {
	for i, s := range o.Services {
		if s.Namespace == namespace && s.Name == name {
			return &o.Services[i]
		}
	}
	return nil
}

// behind are the workloads whose pods a Service sends to.
func behind(s corev1.Service, all []Workload) (out []Workload) {
	if len(s.Spec.Selector) == 0 {
		return nil
	}
	selector := labels.SelectorFromSet(s.Spec.Selector)
	for _, w := range all {
		if w.Namespace == s.Namespace && selector.Matches(labels.Set(w.Labels)) {
			out = append(out, w)
		}
	}
	return out
}

// servicesOf are those that send to the pods of a workload, by name.
func (o Objects) servicesOf(w Workload) (out []corev1.Service) {
	for _, s := range o.Services {
		if len(behind(s, []Workload{w})) > 0 {
			out = append(out, s)
		}
	}
	slices.SortFunc(out, func(a, b corev1.Service) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// namespaces are those that have an object.
func (o Objects) namespaces() []string {
	all := map[string]bool{}
	for _, s := range o.Services {
		all[s.Namespace] = true
	}
	for _, p := range o.Pods {
		all[p.Namespace] = true
	}
	return slices.Sorted(maps.Keys(all))
}

// digest is that of the image which a workload's container runs from; "" where
// none of its pods runs.
func (o Objects) digest(w Workload, container string) string {
	selector := labels.SelectorFromSet(w.Labels)
	for _, p := range o.Pods {
		if p.Namespace != w.Namespace || len(w.Labels) == 0 || !selector.Matches(labels.Set(p.Labels)) {
			continue
		}
		for _, c := range p.Status.ContainerStatuses {
			if _, digest, ok := strings.Cut(c.ImageID, "@"); ok && c.Name == container {
				return digest
			}
		}
	}
	return ""
}
