package kube

import (
	"cmp"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"

	"holdfast"
)

// The variables by which a program is recognized. A chart always sets them, and
// no other program has them.
const (
	participantServer  = "CANTON_PARTICIPANT_POSTGRES_SERVER"
	participantAddress = "SPLICE_APP_VALIDATOR_PARTICIPANT_ADDRESS"
	ofSuperValidator   = "SPLICE_APP_VALIDATOR_SV_VALIDATOR"
)

// Validator is a validator node among the objects.
type Validator struct {
	App         Workload
	Participant Workload   // empty where none is behind the app's address
	Others      []Workload // of the namespace: participants that the app does not reach
	Super       bool       // it is a super validator's
	URL         string     // of the app's Service; "" where none leads to it
	Databases   map[holdfast.Kind]Database
	Questions   []Question

	env  Environment // of the app
	mesh []string    // whose proxies its pods have
}

// program is a workload with a container that is one of the node's programs.
type program struct {
	Workload
	env Environment
}

// programs are those that have a variable.
func (o Objects) programs(variable string) (out []program) {
	for _, w := range o.workloads() {
		for _, c := range w.Spec.Containers {
			if e := environment(w.Namespace, c, o.Texts); e.Has(variable) {
				out = append(out, program{w, e})
				break
			}
		}
	}
	slices.SortFunc(out, func(a, b program) int {
		return cmp.Or(strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Name, b.Name))
	})
	return out
}

// Wanted are the keys of ConfigMaps and Secrets that say how nodes run. Find uses
// what was read of them, from Texts.
func (o Objects) Wanted() (out []string) {
	for _, variable := range []string{participantServer, participantAddress} {
		for _, p := range o.programs(variable) {
			out = append(out, p.env.wanted()...)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Find finds the validator nodes, by namespace and name.
func Find(o Objects) (out []Validator) {
	participants := o.programs(participantServer)
	for _, app := range o.programs(participantAddress) {
		v := Validator{
			App: app.Workload, Super: app.env.Get(ofSuperValidator).Text == "true", env: app.env, URL: o.url(app.Workload),
			Databases: map[holdfast.Kind]Database{}, mesh: o.meshes(app.Namespace),
		}
		add := func(kind holdfast.Kind, p program) {
			d, questions := o.database(p.Workload, p.env, kind)
			v.Databases[kind], v.Questions = d, append(v.Questions, questions...)
		}
		add(holdfast.Validator, app)
		if p, why := o.behindAddress(app, participants); why != "" {
			v.Questions = append(v.Questions, Question{Of: holdfast.Participant, What: app.String() + ": " + why})
		} else {
			v.Participant = p.Workload
			add(holdfast.Participant, p)
		}
		for _, p := range participants {
			if p.Namespace == app.Namespace && p.Name != v.Participant.Name {
				v.Others = append(v.Others, p.Workload)
			}
		}
		out = append(out, v)
	}
	return out
}

// behindAddress is the participant that an app reaches, or why it cannot be seen
// which that is.
func (o Objects) behindAddress(app program, participants []program) (program, string) {
	if why := app.env.unknown(participantAddress); why != "" {
		return program{}, why
	}
	text := app.env.Get(participantAddress).Text
	at := o.server(hostOf(text), app.Namespace)
	switch {
	case at.unseen != "":
		return program{}, "its participant, " + text + ": " + at.unseen
	case at.service == nil:
		return program{}, "its participant, " + text + ", is not among the pods that were listed"
	}
	var found []program
	for _, p := range participants {
		if len(behind(*at.service, []Workload{p.Workload})) > 0 {
			found = append(found, p)
		}
	}
	if up := slices.DeleteFunc(slices.Clone(found), func(p program) bool { return !p.Up }); len(up) > 0 {
		found = up
	}
	switch len(found) {
	case 1:
		return found[0], ""
	case 0:
		return program{}, "no participant is behind Service " + at.service.Name + ", which it is given as " + text
	}
	return program{}, fmt.Sprintf("several participants are behind Service %s: %s and %s",
		at.service.Name, found[0].Workload, found[1].Workload)
}

// hostOf is the host of an address, which may have a scheme and a port.
func hostOf(address string) string {
	if _, rest, ok := strings.Cut(address, "://"); ok {
		address = rest
	}
	address, _, _ = strings.Cut(address, "/")
	if host, _, err := net.SplitHostPort(address); err == nil {
		return host
	}
	return address
}

// appPort is where the validator app serves its API.
const appPort = 5003

// url is where a Service leads to an app's API.
func (o Objects) url(app Workload) string {
	for _, s := range o.servicesOf(app) {
		for _, p := range s.Spec.Ports {
			if p.Port != appPort && p.TargetPort.IntValue() != appPort {
				continue
			}
			host := Name{Service: s.Name, Namespace: s.Namespace}.String()
			return (&url.URL{Scheme: "http", Host: net.JoinHostPort(host, fmt.Sprint(p.Port))}).String()
		}
	}
	return ""
}

// meshes are those whose proxies the pods of a namespace have.
func (o Objects) meshes(namespace string) (out []string) {
	for _, p := range o.Pods {
		if p.Namespace != namespace {
			continue
		}
		for _, c := range slices.Concat(p.Spec.InitContainers, p.Spec.Containers) {
			if mesh := (map[string]string{"istio-proxy": "Istio", "linkerd-proxy": "Linkerd"})[c.Name]; mesh != "" {
				out = append(out, mesh)
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// NotFound is the error that no node was found.
type NotFound struct{ holdfast.Problem }

// As lets the Problem in it be found.
func (n *NotFound) As(target any) bool {
	p, ok := target.(**holdfast.Problem)
	if ok {
		*p = &n.Problem
	}
	return ok
}

// Choose is the node that is meant: that of the workload, if one is named, or else
// the only one. A super validator's is never meant.
func Choose(found []Validator, workload, where string) (Validator, error) {
	plain := slices.DeleteFunc(slices.Clone(found), func(v Validator) bool { return v.Super })
	if len(plain) == 0 && len(found) > 0 {
		return Validator{}, superValidator(found[0])
	}
	if workload != "" {
		plain = slices.DeleteFunc(plain, func(v Validator) bool { return v.App.Name != workload })
	}
	if up := slices.DeleteFunc(slices.Clone(plain), func(v Validator) bool { return !v.App.Up }); len(up) > 0 {
		plain = up
	}
	switch len(plain) {
	case 0:
		return Validator{}, &NotFound{holdfast.Problem{
			Class: holdfast.Refused,
			What:  "no validator node in " + where,
			Why: "A node is recognized by its validator app, whose container has the variable " +
				participantAddress + ".",
			Do: "Name its namespace, `holdfast init --kube --namespace NAMESPACE`, or the cluster: --context.",
		}}
	case 1:
		return plain[0], nil
	}
	return Validator{}, several(plain)
}

func superValidator(v Validator) error {
	return &holdfast.Problem{
		Class: holdfast.Refused,
		What:  fmt.Sprintf("%s in namespace %s is a super validator's", v.App, v.App.Namespace),
		Why: "A super validator has more databases, in an order of their own, and cannot be restored as a validator " +
			"by itself is.",
		Do: "Name a validator's namespace, `holdfast init --kube --namespace NAMESPACE`, or its databases: --database.",
	}
}

func several(found []Validator) error {
	var names []string
	same := true
	for _, v := range found {
		names = append(names, v.App.Name+" in namespace "+v.App.Namespace)
		same = same && v.App.Namespace == found[0].App.Namespace
	}
	do := "Choose one: `holdfast init --kube --namespace " + found[0].App.Namespace + "`."
	if same {
		do = "Choose one: `holdfast init --kube --namespace " + found[0].App.Namespace +
			" --service validator=" + found[0].App.Name + "`."
	}
	return &holdfast.Problem{
		Class: holdfast.Usage, What: "several validator nodes run here: " + strings.Join(names, ", "),
		Why: "Each node is backed up separately.", Do: do,
	}
}
