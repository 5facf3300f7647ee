package kube

import (
	"cmp"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"holdfast"
)

// Renewal is what a node is started as from its identities.
type Renewal struct {
	Identifier string // of the new participant; "" for one that has its old keys and name
	PartyHint  string // that the node has always had; "" where it is unknown
	// Databases are the names of the new databases.
	Databases map[holdfast.Kind]string
	// Conflict says that the server has a database of another participant, which the
	// participant chart takes for a mistake.
	Conflict bool
}

// Overlay is what the values of one release have to say for a renewal.
type Overlay struct {
	Of    []string // workloads: "Deployment participant"
	Owner Owner    // who has the values
	Values

	release Release // empty where it is not Helm's own
	objects []string
}

// Values are some of a chart's, as YAML.
type Values struct {
	First string // for the first start; "" where there is nothing to say
	Once  string // what of First is for the first start alone
	Later string // what takes Once away, as Helm reads it together with First
}

// Overlays are the values for a renewal of a node that ran like that, the
// participant's first. Two programs of one release have one overlay, each below the
// name of its chart.
func Overlays(d Description, programs []holdfast.Program, as Renewal) []Overlay {
	participant := overlay(d, programs, d.Participant, participantChart)
	participant.Values = as.participant()
	app := overlay(d, programs, d.Validator, validatorChart)
	app.Values = as.app()
	if participant.Owner != app.Owner || participant.Owner.By == Nobody {
		return []Overlay{participant, app}
	}
	app.Of, app.objects = slices.Concat(participant.Of, app.Of), slices.Concat(participant.objects, app.objects)
	app.First = below(participant.First, app.First)
	app.Once = below(participant.Once, app.Once)
	app.Later = below(participant.Later, app.Later)
	return []Overlay{app}
}

// The charts of Splice.
const (
	participantChart = "splice-participant"
	validatorChart   = "splice-validator"
)

// below are values of the two charts, as those of one that has both as its parts.
func below(participant, app string) (out string) {
	for _, part := range [][2]string{{participantChart, participant}, {validatorChart, app}} {
		if part[1] != "" {
			out += part[0] + ": # or the alias that it has there\n  " +
				strings.ReplaceAll(strings.TrimSuffix(part[1], "\n"), "\n", "\n  ") + "\n"
		}
	}
	return out
}

// overlay is one without values yet: whose they are, as a set says it.
func overlay(d Description, programs []holdfast.Program, workload, chart string) Overlay {
	o := Overlay{Of: []string{cmp.Or(workload, chart)}}
	if kind, name, ok := strings.Cut(workload, " "); ok {
		o.objects = []string{strings.ToLower(kind) + "/" + name}
	}
	i := slices.IndexFunc(d.Workloads, func(w Installed) bool { return workload != "" && w.Name == workload })
	if i < 0 {
		return o
	}
	if o.Owner = d.Workloads[i].Owner; o.Owner.By != Helm {
		return o
	}
	o.release = Release{Name: o.Owner.Name, Namespace: cmp.Or(o.Owner.Namespace, d.Namespace), Chart: chart}
	if m := chartVersion.FindStringSubmatch(d.Workloads[i].Chart); m != nil {
		o.release.Chart, o.release.Version = m[1], strings.ReplaceAll(m[2], "_", "+")
	}
	for _, r := range d.Releases {
		if r.Name == o.release.Name && r.Namespace == o.release.Namespace {
			o.release.Chart, o.release.Version, o.release.Registry = r.Chart, r.Version, r.Registry
		}
	}
	if o.release.Registry == "" {
		var images []string
		for _, p := range programs {
			images = append(images, p.Image)
		}
		o.release.Registry = registryOf(images)
	}
	return o
}

// chartVersion splits what charts write on their objects. A plus in a version is an
// underscore there.
var chartVersion = regexp.MustCompile(`^(.+?)-(\d+\.\d+\.\d+.*)$`)

// once marks what is for the first start alone.
const once = " # for the first start alone\n"

func (as Renewal) participant() (v Values) {
	const check = "  enableParticipantDbConflictCheck: "
	if name := as.Databases[holdfast.Participant]; name != "" {
		v.First = "  databaseName: " + scalar(name) + "\n"
	}
	if as.Conflict {
		v = Values{First: v.First + check + "false" + once, Once: check + "false\n", Later: check + "null\n"}
	}
	for _, text := range []*string{&v.First, &v.Once, &v.Later} {
		if *text != "" {
			*text = "persistence:\n" + *text
		}
	}
	return v
}

func (as Renewal) app() (v Values) {
	v.First = "nodeIdentifier: " + scalar(as.Identifier) + "\n"
	if as.PartyHint != "" {
		v.First += "validatorPartyHint: " + scalar(as.PartyHint) + "\n"
	}
	if name := as.Databases[holdfast.Validator]; name != "" {
		v.First += "persistence:\n  databaseName: " + scalar(name) + "\n"
	}
	const imported, migrate = "participantIdentitiesDumpImport:", "migrateValidatorParty: "
	from := "  secretName: " + BootstrapSecret + "\n  newParticipantIdentifier: " + scalar(as.Identifier) + "\n"
	v.First += imported + once + from + migrate + "true" + once
	v.Once = imported + "\n" + from + migrate + "true\n"
	v.Later = imported + " null\n" + migrate + "null\n"
	return v
}

// scalar is a text in YAML, which takes it as JSON has it.
func scalar(text string) string {
	out, err := json.Marshal(text)
	if err != nil {
		return `""` // a text always encodes
	}
	return string(out)
}

// Upgrade says what to type, with a context of kubectl, so that the release has the overlay's values: commands,
// and comments where no command does it. Later takes away what is for the first start
// alone; "" where nothing is.
func (o Overlay) Upgrade(context, namespace string, later bool) string {
	values := o.First
	scale := (&Cluster{Context: context}).kubectl(namespace) + " scale --replicas=1 " +
		strings.Join(o.objects, " ") + "\n"
	switch {
	case later && o.Later == "":
		return ""
	case later:
		values = o.Later
	case values == "": // it is as it was, and at zero
		return scale
	}
	if o.Owner.By == Helm {
		if context != "" {
			context = " --kube-context " + context
		}
		chart := cmp.Or(o.release.Registry, "REGISTRY") + "/" + o.release.Chart
		// The elder --reuse-values takes nothing away.
		return fmt.Sprintf("helm upgrade %s %s --version %s --namespace %s%s --reset-then-reuse-values "+
			"--values - <<'END'\n%sEND\n",
			o.release.Name, chart, cmp.Or(o.release.Version, "VERSION"), o.release.Namespace, context, values)
	}
	of, say := strings.Join(o.Of, " and "), "The values of %s have to say, which %s keeps:\n"
	if later {
		say, values = "Take these lines out of the values of %s again, which %s keeps:\n", o.Once
	}
	out := "# " + fmt.Sprintf(say, of, o.Owner)
	for line := range strings.Lines(values) {
		out += "#   " + line
	}
	switch o.Owner.By {
	case ArgoCD:
		out += "argocd app sync " + o.Owner.Name + "\n"
	case Flux:
		out += fmt.Sprintf("flux reconcile %s %s --namespace %s --with-source\n",
			strings.ToLower(o.Owner.Kind), o.Owner.Name, o.Owner.Namespace)
	default:
		if !later && len(o.objects) > 0 {
			out += scale
		}
	}
	return out
}
