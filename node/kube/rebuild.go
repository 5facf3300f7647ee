package kube

import (
	"bytes"
	"encoding/json"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"holdfast"
)

// Rebuild is how a namespace that is gone is made again: what the operator types,
// and the files that this takes. The databases are made in between.
type Rebuild struct {
	Servers  []Install // of the databases, and what belongs to nobody
	Programs []Install // the participant's first, then the validator app's
	// Files are values and objects, by name. They may hold passwords.
	Files map[string][]byte
	// Node is the node as it was; its passwords are references, or unknown.
	Node Validator
}

// Install is what makes a part of the namespace again.
type Install struct {
	Of    []string // its workloads: "Deployment participant"
	Lines string   // to type in a shell
}

// Site is where a namespace is made again.
type Site struct {
	Context   string // of kubectl
	Namespace string
	Directory string // where the files are
}

func (s Site) kubectl(namespace string) string {
	return (&Cluster{Context: s.Context}).kubectl(namespace)
}

// Rebuilt says how a namespace is made again, as a set has it.
func Rebuilt(d Description, kept Kept, s Site) (Rebuild, error) {
	b := builder{site: s, kept: kept, out: Rebuild{Files: map[string][]byte{}}}
	if err := b.read(d); err != nil {
		return b.out, err
	}
	v, err := Choose(Find(b.objects), nameOf(d.Validator), "the set")
	if err != nil {
		return b.out, err
	}
	b.out.Node = v
	b.group()
	for _, w := range b.objects.serversOf(v) {
		b.server(w, v)
	}
	for _, w := range []Workload{v.Participant, v.App} {
		if p := b.partOf(w); p != nil {
			b.out.Programs = b.install(b.out.Programs, p)
		}
	}
	for _, p := range b.parts {
		if p.loose() {
			b.out.Servers = slices.Insert(b.install(nil, p), 1, b.out.Servers...)
		} else {
			b.out.Programs = b.install(b.out.Programs, p)
		}
	}
	return b.out, nil
}

// nameOf is the name of "Deployment validator-app".
func nameOf(workload string) string {
	_, name, _ := strings.Cut(workload, " ")
	return name
}

// builder finds out how a namespace is made again.
type builder struct {
	site    Site
	kept    Kept
	objects Objects
	all     []object
	parts   []*part
	out     Rebuild
}

// object is one of those that a set keeps.
type object struct {
	raw      json.RawMessage
	kind     string
	meta     metav1.ObjectMeta
	workload *Workload // of a Deployment or a StatefulSet
}

// part is what is installed at once: what one owner keeps, or a workload that
// nobody does.
type part struct {
	owner   Owner
	objects []object
	done    bool
}

// loose reports whether it is what nobody keeps, besides workloads.
func (p *part) loose() bool { return p.owner.By == Nobody && len(p.workloads()) == 0 }

func (p *part) workloads() (out []string) {
	for _, o := range p.objects {
		if o.workload != nil {
			out = append(out, o.workload.String())
		}
	}
	return out
}

// read reads the objects of a set. Services that are made by others, and so are not
// kept, are known by name.
func (b *builder) read(d Description) error {
	b.objects.Texts = map[string]string{}
	for _, raw := range b.kept.Objects {
		o := object{raw: raw}
		if err := b.decode(&o); err != nil {
			return fmt.Errorf("an object of the set is damaged: %w", err)
		}
		b.all = append(b.all, o)
	}
	for _, name := range d.Services {
		if b.objects.service(d.Namespace, name) == nil {
			m := metav1.ObjectMeta{Name: name, Namespace: d.Namespace}
			b.objects.Services = append(b.objects.Services, corev1.Service{ObjectMeta: m})
		}
	}
	return nil
}

func (b *builder) decode(o *object) error {
	var head struct {
		metav1.TypeMeta
		Metadata metav1.ObjectMeta
	}
	if err := json.Unmarshal(o.raw, &head); err != nil {
		return err
	}
	o.kind, o.meta = head.Kind, head.Metadata
	switch o.kind {
	case "Deployment":
		var d appsv1.Deployment
		err := json.Unmarshal(o.raw, &d)
		w := workload(o.kind, d.ObjectMeta, d.Spec.Template)
		b.objects.Deployments, o.workload = append(b.objects.Deployments, d), &w
		return err
	case "StatefulSet":
		var s appsv1.StatefulSet
		err := json.Unmarshal(o.raw, &s)
		w := workload(o.kind, s.ObjectMeta, s.Spec.Template)
		b.objects.StatefulSets, o.workload = append(b.objects.StatefulSets, s), &w
		return err
	case "Service":
		var s corev1.Service
		err := json.Unmarshal(o.raw, &s)
		b.objects.Services = append(b.objects.Services, s)
		return err
	case "ConfigMap":
		var m corev1.ConfigMap
		err := json.Unmarshal(o.raw, &m)
		for key, text := range m.Data {
			b.objects.Texts[mapScheme+m.Namespace+"/"+m.Name+"#"+key] = text
		}
		return err
	}
	return nil
}

// group makes the parts. A claim that a StatefulSet makes by itself is left to it.
func (b *builder) group() {
	for _, o := range b.all {
		if o.kind == "PersistentVolumeClaim" && b.objects.claims(o.meta.Name) {
			continue
		}
		owner := ownerOf(o.meta)
		own := owner.By == Nobody && o.workload != nil
		i := slices.IndexFunc(b.parts, func(p *part) bool {
			return !own && p.owner == owner && (owner.By != Nobody || p.loose())
		})
		if i < 0 {
			i = len(b.parts)
			b.parts = append(b.parts, &part{owner: owner})
		}
		b.parts[i].objects = append(b.parts[i].objects, o)
	}
	for _, r := range b.kept.Releases { // that have no object of these kinds
		owner := Owner{By: Helm, Kind: "release", Namespace: r.Namespace, Name: r.Name}
		known := func(p *part) bool { return p.owner == owner || p.owner.By == Flux }
		if !slices.ContainsFunc(b.parts, known) {
			b.parts = append(b.parts, &part{owner: owner})
		}
	}
}

// claims reports whether a claim is one that a StatefulSet makes.
func (o Objects) claims(name string) bool {
	return slices.ContainsFunc(o.StatefulSets, func(s appsv1.StatefulSet) bool {
		return slices.ContainsFunc(s.Spec.VolumeClaimTemplates, func(c corev1.PersistentVolumeClaim) bool {
			return strings.HasPrefix(name, c.Name+"-"+s.Name+"-")
		})
	})
}

// serversOf are the workloads that serve a node's databases, as far as they are in
// its namespace.
func (o Objects) serversOf(v Validator) (out []Workload) {
	for _, kind := range []holdfast.Kind{holdfast.Participant, holdfast.Validator} {
		name, inside := Named(v.Databases[kind].Host)
		if !inside || name.Namespace != v.App.Namespace {
			continue
		}
		s := o.service(name.Namespace, name.Service)
		if s == nil {
			continue
		}
		for _, w := range behind(*s, o.workloads()) {
			if !slices.ContainsFunc(out, func(o Workload) bool { return o.String() == w.String() }) {
				out = append(out, w)
			}
		}
	}
	return out
}

// partOf is the part with a workload.
func (b *builder) partOf(w Workload) *part {
	for _, p := range b.parts {
		if slices.Contains(p.workloads(), w.String()) {
			return p
		}
	}
	return nil
}

// server adds what serves databases. Where one release makes it together with the
// programs, it is made by itself first, and the release takes it over.
func (b *builder) server(w Workload, v Validator) {
	p := b.partOf(w)
	if p == nil || p.done {
		return
	}
	if p != b.partOf(v.Participant) && p != b.partOf(v.App) {
		b.out.Servers = b.install(b.out.Servers, p)
		return
	}
	alone := &part{owner: p.owner}
	for _, o := range p.objects {
		if o.workload != nil && o.workload.String() == w.String() || o.kind == "Service" && b.leadsTo(o, w) ||
			o.kind == "ConfigMap" && takesMap(w, o.meta.Name) {
			alone.objects = append(alone.objects, o)
		}
	}
	b.out.Servers = append(b.out.Servers, b.apply(alone))
}

func (b *builder) leadsTo(o object, w Workload) bool {
	s := b.objects.service(o.meta.Namespace, o.meta.Name)
	return s != nil && len(behind(*s, []Workload{w})) > 0
}

// takesMap reports whether the pods of a workload take a ConfigMap.
func takesMap(w Workload, name string) bool {
	for _, v := range w.Spec.Volumes {
		if v.ConfigMap != nil && v.ConfigMap.Name == name {
			return true
		}
	}
	for _, c := range w.containers() {
		for _, e := range c.Env {
			if e.ValueFrom != nil && e.ValueFrom.ConfigMapKeyRef != nil && e.ValueFrom.ConfigMapKeyRef.Name == name {
				return true
			}
		}
		for _, e := range c.EnvFrom {
			if e.ConfigMapRef != nil && e.ConfigMapRef.Name == name {
				return true
			}
		}
	}
	return false
}

// install adds a part, once.
func (b *builder) install(list []Install, p *part) []Install {
	if p.done {
		return list
	}
	p.done = true
	if p.owner.By == Helm {
		for _, r := range b.kept.Releases {
			if r.Name == p.owner.Name && r.Namespace == p.owner.Namespace {
				return append(list, b.upgrade(p, r))
			}
		}
	}
	if len(p.objects) == 0 {
		return list
	}
	return append(list, b.apply(p))
}

// upgrade is a release of Helm's with the values that the set has.
func (b *builder) upgrade(p *part, r Release) Install {
	values := []byte(r.Values)
	if len(values) == 0 || string(values) == "null" {
		values = []byte("{}")
	}
	var text bytes.Buffer
	if json.Indent(&text, values, "", "  ") != nil { // what a set has is JSON
		text.Write(values)
	}
	text.WriteByte('\n')
	name := r.Name + ".values.json"
	b.out.Files[name] = text.Bytes()
	registry := r.Registry
	if registry == "" {
		registry = "REGISTRY"
	}
	line := fmt.Sprintf("helm upgrade --install %s %s --version %s --namespace %s",
		quote(r.Name), quote(registry+"/"+r.Chart), quote(r.Version), quote(r.Namespace))
	if b.site.Context != "" {
		line += " --kube-context " + quote(b.site.Context)
	}
	return Install{Of: p.workloads(), Lines: line + " --values " + b.file(name) + "\n"}
}

// apply are objects as they were.
func (b *builder) apply(p *part) Install {
	name, of := "objects", p.workloads()
	if len(of) > 0 {
		name = strings.ToLower(strings.ReplaceAll(of[0], " ", "-"))
	} else if p.owner.By != Nobody {
		name = p.owner.Name
	}
	name += ".json"
	raw := make([]json.RawMessage, 0, len(p.objects))
	for _, o := range p.objects {
		raw = append(raw, o.raw)
	}
	text, err := json.MarshalIndent(map[string]any{"apiVersion": "v1", "kind": "List", "items": raw}, "", "  ")
	if err != nil { // what was JSON is
		text = nil
	}
	b.out.Files[name] = append(text, '\n')
	lines := ""
	if p.owner.By != Nobody {
		lines = "# " + p.owner.String() + " takes these objects over when it installs them again.\n"
	}
	if bytes.Contains(text, []byte(removed)) {
		lines += "# A variable had a secret in clear, which is in no set: put it in the place of '" + removed + "' first.\n"
	}
	return Install{Of: of, Lines: lines + b.site.kubectl(b.site.Namespace) + " apply --filename " + b.file(name) + "\n"}
}

// file is one of the files, as a word of a shell.
func (b *builder) file(name string) string { return quote(filepath.Join(b.site.Directory, name)) }

var harmless = regexp.MustCompile(`^[A-Za-z0-9@%+=:,./_-]+$`)

// quote makes a word of a shell.
func quote(word string) string {
	if harmless.MatchString(word) {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
