package kube

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"holdfast"
)

// Kept is what a node's namespace is made again of. Values of releases may hold
// secrets, and are kept with them; variables in clear are kept without.
type Kept struct {
	// Objects are Deployments, StatefulSets, Services, claims and ConfigMaps, as
	// `kubectl apply` takes them.
	Objects  []json.RawMessage `json:"objects"`
	Releases []Release         `json:"releases"`
}

// Description is what a set says in clear about the namespace: names, and who
// keeps the objects as they are.
type Description struct {
	Namespace   string       `json:"namespace"`
	Validator   string       `json:"validator"` // "Deployment validator-app"
	Participant string       `json:"participant"`
	Workloads   []Installed  `json:"workloads"`
	Releases    []Release    `json:"releases,omitempty"` // without values
	Claims      []Claim      `json:"claims,omitempty"`
	Services    []string     `json:"services,omitempty"`
	Secrets     []SecretName `json:"secrets,omitempty"`
}

// Installed is a workload, and who keeps it as it is.
type Installed struct {
	Name  string `json:"name"` // "Deployment participant"
	Chart string `json:"chart,omitempty"`
	Owner Owner  `json:"owner"`
	// UID is the object's, which one that is made again does not have.
	UID string `json:"uid,omitempty"`
}

// Claim is a volume that the node's pods have.
type Claim struct {
	Name  string `json:"name"`
	Class string `json:"class,omitempty"`
	Size  string `json:"size"`
}

// SecretName is a Secret that the node's pods need, with the keys that they name.
type SecretName struct {
	Name string   `json:"name"`
	Keys []string `json:"keys,omitempty"`
}

// Describe reads what a set says about the namespace of its node.
func Describe(d *holdfast.Deployment) (out Description, err error) {
	if d == nil || d.Kind != Kind {
		return out, nil
	}
	return out, json.Unmarshal(d.Own, &out)
}

// Deployment is how the node runs now, without secrets.
func (n Node) Deployment(ctx context.Context) (holdfast.Deployment, error) {
	d, _, err := n.look(ctx)
	return d, err
}

// Record says how the node runs, and puts what its namespace is made again of
// into out. What may not be read is named instead.
func (n Node) Record(ctx context.Context, out holdfast.Sink) (holdfast.Deployment, error) {
	d, kept, err := n.look(ctx)
	if err != nil {
		return d, err
	}
	text, err := json.MarshalIndent(kept, "", " ")
	if err != nil {
		return d, err
	}
	d.OwnFile = holdfast.DeploymentDirectory + "/namespace.json"
	_, err = out.Put(ctx, d.OwnFile, func(w io.Writer) error {
		_, err := w.Write(text)
		return err
	})
	return d, err
}

// look reads all that is recorded of the node.
func (n Node) look(ctx context.Context) (d holdfast.Deployment, kept Kept, err error) {
	o, v, err := n.Find(ctx)
	if err != nil {
		return d, kept, err
	}
	r := recording{objects: o, validator: v, kept: Kept{Objects: []json.RawMessage{}, Releases: []Release{}}}
	if err := r.read(ctx, n); err != nil {
		return d, kept, err
	}
	r.workloads()
	r.services()
	r.databases()
	slices.Sort(r.notKept)
	r.notKept = slices.Compact(r.notKept)
	own, err := json.Marshal(r.description())
	return holdfast.Deployment{
		Kind: Kind, Machine: n.Cluster.Where(n.Namespace), Splice: v.Splice(), Programs: v.programs(o),
		NotKept: r.notKept, Own: own,
	}, r.kept, err
}

// recording gathers what is recorded of a namespace.
type recording struct {
	objects   Objects
	validator Validator
	claims    []corev1.PersistentVolumeClaim
	kept      Kept
	installed []Installed
	notKept   []string
}

func (r *recording) lacks(format string, args ...any) {
	r.notKept = append(r.notKept, fmt.Sprintf(format, args...))
}

// keep keeps an object as it is to be made again: without what the cluster adds.
func (r *recording) keep(version, kind string, m metav1.ObjectMeta, spec map[string]any) {
	m = metav1.ObjectMeta{Name: m.Name, Namespace: m.Namespace, Labels: m.Labels, Annotations: maps.Clone(m.Annotations)}
	maps.DeleteFunc(m.Annotations, func(name, _ string) bool {
		return name == lastApplied || name == rolledOut || strings.HasPrefix(name, boundByCluster)
	})
	object := map[string]any{"apiVersion": version, "kind": kind, "metadata": m}
	maps.Copy(object, spec)
	if text, err := json.Marshal(object); err == nil { // plain values encode
		r.kept.Objects = append(r.kept.Objects, text)
	}
}

// read reads what is not listed to find a node: claims, ConfigMaps, and what Helm
// has installed. What is not allowed is named with what would allow it.
func (r *recording) read(ctx context.Context, n Node) (err error) {
	r.claims, err = items(ctx, n.Cluster, n.Cluster.core, "persistentvolumeclaims", n.Namespace, metav1.ListOptions{},
		func(l corev1.PersistentVolumeClaimList) []corev1.PersistentVolumeClaim { return l.Items })
	switch {
	case holdfast.ClassOf(err) == holdfast.WrongKey:
		r.lacks("claims of volumes: the cluster does not allow to list persistentvolumeclaims")
	case err != nil:
		return err
	}
	for _, c := range r.claims {
		c.Spec.VolumeName = ""
		r.keep("v1", "PersistentVolumeClaim", c.ObjectMeta, map[string]any{"spec": c.Spec})
	}
	for _, name := range r.maps() {
		var m corev1.ConfigMap
		err := n.Cluster.get(ctx, "configmaps", n.Namespace, name, &m)
		switch {
		case apierrors.IsForbidden(err) || apierrors.IsNotFound(err):
			r.lacks("ConfigMap %s: %v", name, n.Cluster.explain("get configmaps "+name, n.Namespace, err))
		case err != nil:
			return n.Cluster.explain("get configmaps "+name, n.Namespace, err)
		default:
			r.keep("v1", "ConfigMap", m.ObjectMeta, map[string]any{"data": m.Data, "binaryData": m.BinaryData})
		}
	}
	return r.readReleases(ctx, n)
}

// readReleases reads what Helm has installed, where it did and its Secrets may be
// read. What Argo CD installs leaves none.
func (r *recording) readReleases(ctx context.Context, n Node) error {
	var named []Owner
	for _, w := range r.objects.workloads() {
		if w.owner.keepsValues() && !slices.Contains(named, w.owner) {
			named = append(named, w.owner)
		}
	}
	if len(named) == 0 {
		return nil
	}
	found, err := n.Cluster.releases(ctx, n.Namespace)
	if err != nil && holdfast.ClassOf(err) != holdfast.WrongKey {
		return err
	}
	for i := range found {
		found[i].Registry = registryOf(r.images(found[i].Name))
	}
	r.kept.Releases = append(r.kept.Releases, found...)
	for _, owner := range named {
		known := func(f Release) bool { return f.Name == owner.Name || owner.By == Flux }
		switch {
		case slices.ContainsFunc(found, known):
		case owner.By != Helm:
			r.lacks("values of %s: they are in its repository", owner)
		case err != nil:
			r.lacks("values of %s: the cluster does not allow to list secrets; packaging/kubernetes/role-values.yaml does",
				owner)
		default:
			r.lacks("values of %s: no Secret of Helm's has them; keep them: helm --namespace %s get values %s", owner,
				n.Namespace, owner.Name)
		}
	}
	return nil
}

// images are those of a release's workloads.
func (r *recording) images(release string) (out []string) {
	for _, w := range r.objects.workloads() {
		if w.Labels[helmInstance] != release && w.owner.Name != release {
			continue
		}
		for _, c := range w.containers() {
			out = append(out, c.Image)
		}
	}
	return out
}

// maps are the ConfigMaps that the pods need.
func (r *recording) maps() []string {
	var out []string
	for _, w := range r.objects.workloads() {
		for _, v := range w.Spec.Volumes {
			if v.ConfigMap != nil {
				out = append(out, v.ConfigMap.Name)
			}
		}
		for _, c := range w.containers() {
			for _, e := range c.Env {
				if e.ValueFrom != nil && e.ValueFrom.ConfigMapKeyRef != nil {
					out = append(out, e.ValueFrom.ConfigMapKeyRef.Name)
				}
			}
			for _, e := range c.EnvFrom {
				if e.ConfigMapRef != nil {
					out = append(out, e.ConfigMapRef.Name)
				}
			}
		}
	}
	slices.Sort(out)
	return slices.DeleteFunc(slices.Compact(out), func(name string) bool { return name == "kube-root-ca.crt" })
}

// workloads keeps what makes pods. What another object makes is not made again,
// but that object is.
func (r *recording) workloads() {
	for _, d := range r.objects.Deployments {
		if r.installs(workload("Deployment", d.ObjectMeta, d.Spec.Template)) {
			d.Spec.Template = r.clean("Deployment "+d.Name, d.Spec.Template)
			r.keep(appsv1.SchemeGroupVersion.String(), "Deployment", d.ObjectMeta, map[string]any{"spec": d.Spec})
		}
	}
	for _, s := range r.objects.StatefulSets {
		if r.installs(workload("StatefulSet", s.ObjectMeta, s.Spec.Template)) {
			s.Spec.Template = r.clean("StatefulSet "+s.Name, s.Spec.Template)
			r.keep(appsv1.SchemeGroupVersion.String(), "StatefulSet", s.ObjectMeta, map[string]any{"spec": s.Spec})
		}
	}
	others := map[string][]string{}
	for _, w := range r.objects.workloads() {
		if w.Kind != "Deployment" && w.Kind != "StatefulSet" {
			others[w.Kind] = append(others[w.Kind], w.Name)
		}
	}
	for kind, names := range others {
		r.lacks("%d of kind %s, such as %s: objects of this kind are not recorded", len(names), kind, slices.Min(names))
	}
}

// installs notes who owns a workload, and reports whether it is made again from
// what is recorded.
func (r *recording) installs(w Workload) bool {
	r.installed = append(r.installed, Installed{Name: w.String(), Chart: w.Chart, Owner: w.owner, UID: w.uid})
	if w.owner.By == Another {
		r.lacks("%s, which makes %s: objects of this kind are not recorded", w.owner, w)
	}
	return w.owner.By != Another
}

// clean is a template without the secrets that its variables have in clear.
func (r *recording) clean(of string, t corev1.PodTemplateSpec) corev1.PodTemplateSpec {
	t = *t.DeepCopy()
	delete(t.Annotations, lastApplied)
	for _, list := range [][]corev1.Container{t.Spec.InitContainers, t.Spec.Containers} {
		for i := range list {
			for k, e := range list[i].Env {
				if value := withoutSecrets(e.Name, e.Value); value != e.Value {
					list[i].Env[k].Value = value
					r.lacks("the secret in variable %s of %s: it is there in clear; move it to a Secret", e.Name, of)
				}
			}
		}
	}
	return t
}

// removed stands where a secret was.
const removed = "(secret, not recorded)"

// secretText finds values of keys that are passwords in a configuration's text.
var secretText = regexp.MustCompile(
	`(?i)((?:password|passwd|secret|token|passphrase|api[-_]?key|private[-_]?key)"?\s*[=:]\s*)` +
		`(\$\{[^}\n]*\}|\$\([^)\n]*\)|"[^"\n]*"|[^\s"',{}]+)`)

// withoutSecrets is a variable's value without what is secret in it. A reference
// for a webhook is no secret, and nor is a variable that stands in its place.
func withoutSecrets(name, value string) string {
	stands := func(text string) bool {
		text = strings.Trim(text, `"`)
		return text == "" || text[0] == '$' && len(text) > 1 && (text[1] == '{' || text[1] == '(') || injected(text)
	}
	if stands(value) {
		return value
	}
	if isPassword(name) {
		return removed
	}
	return secretText.ReplaceAllStringFunc(value, func(found string) string {
		parts := secretText.FindStringSubmatch(found)
		if stands(parts[2]) {
			return found
		}
		return parts[1] + `"` + removed + `"`
	})
}

// services keeps the namespace's Services, and lets the cluster choose their
// addresses again.
func (r *recording) services() {
	for _, s := range r.objects.Services {
		if s.Namespace == "default" && s.Name == "kubernetes" || ownerOf(s.ObjectMeta).By == Another {
			continue
		}
		if s.Spec.ClusterIP != corev1.ClusterIPNone {
			s.Spec.ClusterIP, s.Spec.ClusterIPs = "", nil
		}
		s.Spec.Ports = slices.Clone(s.Spec.Ports)
		for i := range s.Spec.Ports {
			s.Spec.Ports[i].NodePort = 0
		}
		s.Spec.HealthCheckNodePort = 0
		r.keep("v1", "Service", s.ObjectMeta, map[string]any{"spec": s.Spec})
	}
}

// databases names servers that are not in the namespace, and so not recorded.
func (r *recording) databases() {
	for _, kind := range []holdfast.Kind{holdfast.Participant, holdfast.Validator} {
		d := r.validator.Databases[kind]
		name, inside := Named(d.Host)
		what := ""
		switch {
		case d.Host == "":
		case !inside:
			what = "the databases' server at " + d.Host + ": it is outside of the cluster"
		case name.Namespace != r.validator.App.Namespace:
			what = "the databases' server, Service " + name.Service + ": it is in namespace " + name.Namespace
		}
		if what != "" {
			r.lacks("%s", what)
		}
	}
}

// description is what a set says in clear.
func (r *recording) description() Description {
	d := Description{
		Namespace: r.validator.App.Namespace, Validator: r.validator.App.String(),
		Participant: r.validator.Participant.String(), Workloads: r.installed, Secrets: secretsOf(r.objects.workloads()),
	}
	for _, release := range r.kept.Releases {
		release.Values = nil
		d.Releases = append(d.Releases, release)
	}
	for _, c := range r.claims {
		claim := Claim{Name: c.Name, Size: c.Spec.Resources.Requests.Storage().String()}
		if c.Spec.StorageClassName != nil {
			claim.Class = *c.Spec.StorageClassName
		}
		d.Claims = append(d.Claims, claim)
	}
	for _, s := range r.objects.Services {
		d.Services = append(d.Services, s.Name)
	}
	return d
}

// secretsOf are the Secrets that pods need, with the keys that they name.
func secretsOf(list []Workload) []SecretName {
	keys := map[string][]string{}
	need := func(name, key string) {
		keys[name] = append(keys[name], key)
	}
	for _, w := range list {
		for _, p := range w.Spec.ImagePullSecrets {
			need(p.Name, "")
		}
		for _, v := range w.Spec.Volumes {
			if v.Secret != nil {
				need(v.Secret.SecretName, "")
			}
		}
		for _, c := range w.containers() {
			for _, e := range c.Env {
				if e.ValueFrom != nil && e.ValueFrom.SecretKeyRef != nil {
					need(e.ValueFrom.SecretKeyRef.Name, e.ValueFrom.SecretKeyRef.Key)
				}
			}
			for _, e := range c.EnvFrom {
				if e.SecretRef != nil {
					need(e.SecretRef.Name, "")
				}
			}
		}
	}
	var out []SecretName
	for name, all := range keys {
		slices.Sort(all)
		all = slices.DeleteFunc(slices.Compact(all), func(key string) bool { return key == "" })
		out = append(out, SecretName{Name: name, Keys: all})
	}
	slices.SortFunc(out, func(a, b SecretName) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// Lines say how the node of a set ran, for people: what, and what about it.
func (d Description) Lines() [][]string {
	out := [][]string{{"namespace", d.Namespace}}
	for _, w := range d.Workloads {
		about := w.Name + ", kept by " + w.Owner.String()
		if w.Chart != "" {
			about += ", chart " + w.Chart
		}
		out = append(out, []string{"workload", about})
	}
	for _, r := range d.Releases {
		out = append(out, []string{"Helm release", r.String()})
	}
	for _, c := range d.Claims {
		out = append(out, []string{"claim", strings.TrimSpace(c.Name + ", " + c.Size + " " + c.Class)})
	}
	for _, s := range d.Secrets {
		about := s.Name
		if len(s.Keys) > 0 {
			about += ": " + strings.Join(s.Keys, ", ")
		}
		out = append(out, []string{"Secret, by name", about})
	}
	return out
}

// Recorded reads what a set keeps of its node's namespace.
func Recorded(ctx context.Context, set holdfast.Set, files holdfast.Files) (kept Kept, err error) {
	none := func(err error) (Kept, error) {
		return kept, &holdfast.Problem{
			Class: holdfast.Refused, What: fmt.Sprintf("set %s does not say how its node's namespace was made", set.ID), Err: err,
			Why: "Without that it cannot be made again.",
			Do:  "Install the charts as before, then `holdfast restore`. Or choose another set: `holdfast list`.",
		}
	}
	if set.Deployment == nil || set.Deployment.Kind != Kind || set.Deployment.OwnFile == "" {
		return none(nil)
	}
	in, err := files.Open(ctx, set.Deployment.OwnFile)
	if err != nil {
		return none(err)
	}
	defer func() { _ = in.Close() }()
	var text bytes.Buffer
	if _, err := text.ReadFrom(in); err != nil {
		return none(err)
	}
	if err := json.Unmarshal(text.Bytes(), &kept); err != nil {
		return none(fmt.Errorf("%s is damaged", set.Deployment.OwnFile))
	}
	return kept, nil
}
