package kube

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"

	"holdfast"
)

// participantIdentifier is the variable of the app with the participant's
// identifier.
const participantIdentifier = "SPLICE_APP_VALIDATOR_PARTICIPANT_IDENTIFIER"

// Stopped makes sure that none of the node's programs runs in its namespace, nor is
// to run.
func (n Node) Stopped(ctx context.Context) error {
	o, v, err := n.Find(ctx)
	var none *NotFound
	if err != nil && !errors.As(err, &none) {
		return err
	}
	run := o.running(v)
	if len(run) == 0 {
		return nil
	}
	var names, scale, pauses []string
	for _, w := range run {
		names, scale = append(names, w.String()), append(scale, w.reference())
		if pause := w.owner.pause(); pause != "" && !slices.Contains(pauses, pause) {
			pauses = append(pauses, pause)
		}
	}
	do := "If it is lost, stop it for good: `" + n.Cluster.kubectl(n.Namespace) + " scale --replicas=0 " +
		strings.Join(scale, " ") + "`"
	if len(pauses) > 0 {
		do += ", and pause first who scales it back: " + strings.Join(pauses, ", ")
	}
	return &holdfast.Problem{
		Class: holdfast.Refused,
		What: "the old node lives: " + strings.Join(names, " and ") + " of namespace " + n.Namespace +
			" is running, or is to run",
		Why: "Two participants with the same keys harm each other, and a node that runs needs no new participant.",
		Do:  do + ". Then repeat the command. Try `holdfast restore` before.",
	}
}

// running are the node's workloads that have pods, or are to have some.
func (o Objects) running(v Validator) (out []Workload) {
	for _, w := range own(o, v) {
		if w.Up || len(o.podsOf(w)) > 0 {
			out = append(out, w)
		}
	}
	return out
}

// own are the node's workloads; where its app is not among the objects, or does not
// say which participant it has, every participant.
func own(o Objects, v Validator) (out []Workload) {
	if v.App.Name == "" {
		for _, p := range o.programs(participantServer) {
			out = append(out, p.Workload)
		}
		return out
	}
	if v.Participant.Name == "" {
		return append(v.Others, v.App)
	}
	return []Workload{v.Participant, v.App}
}

// podsOf are the pods of a workload that are not at their end.
func (o Objects) podsOf(w Workload) (out []corev1.Pod) {
	selector := labels.SelectorFromSet(w.Labels)
	for _, p := range o.Pods {
		ended := p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed
		if !ended && p.Namespace == w.Namespace && len(w.Labels) > 0 && selector.Matches(labels.Set(p.Labels)) {
			out = append(out, p)
		}
	}
	return out
}

// Renewed is a node that is made again from its identities, as the cluster shows it.
type Renewed struct {
	Other  []string // what its programs are started with, other than they are to be
	Waits  string   // why the node does not serve yet; "" if it does
	Takers []string // who takes the identities in clear
}

// Renewed looks at a node that is to be started like that.
func (n Node) Renewed(ctx context.Context, as Renewal) (out Renewed, err error) {
	o, v, err := n.Find(ctx)
	out.Takers = o.takers()
	var none *NotFound
	switch {
	case errors.As(err, &none):
		out.Other = []string{"there is no validator node in " + n.Cluster.Where(n.Namespace) + " yet"}
		return out, nil
	case err != nil:
		return out, err
	case v.Participant.Name == "":
		out.Other = append(out.Other, "the participant of "+v.App.String()+" is not known")
		for _, q := range v.Questions {
			out.Other = append(out.Other, q.What)
		}
		return out, nil
	}
	for kind, w := range map[holdfast.Kind]Workload{holdfast.Participant: v.Participant, holdfast.Validator: v.App} {
		want := as.Databases[kind]
		got := v.Databases[kind].Name
		if want != "" && got != "" && got != want {
			out.Other = append(out.Other, fmt.Sprintf("%s is started with database %s, not %s", w, got, want))
		}
	}
	slices.Sort(out.Other)
	out.Waits = cmp.Or(o.waits(v.Participant), o.waits(v.App))
	if got := v.env.Get(participantIdentifier).Text; got != "" && as.Identifier != "" && got != as.Identifier {
		out.Other = append(out.Other,
			fmt.Sprintf("%s is started with identifier %s, not %s", v.App, got, as.Identifier))
	}
	return out, nil
}

// waits says why a workload does not serve; "" if it does.
func (o Objects) waits(w Workload) string {
	pods := o.podsOf(w)
	if len(pods) == 0 {
		return w.String() + " has no pod yet"
	}
	if slices.ContainsFunc(pods, ready) {
		return ""
	}
	return w.String() + ": " + unready(pods[0]).Error()
}
