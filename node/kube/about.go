package kube

import (
	"cmp"
	"strings"

	"holdfast"
)

// PartyHint is the name that the node's party was given.
func (v Validator) PartyHint() string { return v.env.Get("SPLICE_APP_VALIDATOR_PARTY_HINT").Text }

// Audience is the validator app's; "" where it is not known.
func (v Validator) Audience() string { return v.env.Get("SPLICE_APP_VALIDATOR_AUTH_AUDIENCE").Text }

// WithoutAuth reports whether the app takes tokens that anybody can make.
func (v Validator) WithoutAuth() bool {
	return v.env.Has("ADDITIONAL_CONFIG_DISABLE_AUTH") || !v.env.Has("SPLICE_APP_VALIDATOR_AUTH_JWKS_URL")
}

// Credentials is one of the values by which the app itself gets tokens, such as
// CLIENT_ID.
func (v Validator) Credentials(name string) Value {
	return v.env.Get("SPLICE_APP_VALIDATOR_LEDGER_API_AUTH_" + name)
}

// Splice is the version of the app's image; "" where its tag does not say it.
func (v Validator) Splice() string {
	for _, c := range v.App.Spec.Containers {
		image, _, _ := strings.Cut(c.Image, "@")
		_, tag, ok := strings.Cut(image[strings.LastIndex(image, "/")+1:], ":")
		if environment("", c, nil).Has(participantAddress) && ok && tag != "latest" {
			return tag
		}
	}
	return ""
}

// Lines say how a node runs, for people: what, and what about it.
func (v Validator) Lines() [][]string {
	out := [][]string{
		{"namespace", v.App.Namespace},
		{"Splice", cmp.Or(v.Splice(), "cannot tell: the image's tag does not say")},
		{"validator", v.App.about()},
	}
	if v.Participant.Name != "" {
		out = append(out, []string{"participant", v.Participant.about()})
	}
	for _, w := range v.Others {
		out = append(out, []string{"passed over", w.about() + "   a participant that the validator app does not reach"})
	}
	for _, kind := range []holdfast.Kind{holdfast.Participant, holdfast.Validator} {
		if d := v.Databases[kind]; d.Host != "" {
			out = append(out, []string{"database", d.Name + " as " + d.User + " at " + d.Host + "   " + d.Server})
		}
	}
	for _, mesh := range v.mesh {
		const advice = ": where it demands TLS between pods, give Holdfast's pod its proxy as well"
		out = append(out, []string{"mesh", mesh + advice})
	}
	return out
}

func (w Workload) about() string {
	out := w.String()
	if w.Chart != "" {
		out += "   chart " + w.Chart
	}
	if !w.Up {
		out += "   scaled to 0"
	}
	return out
}
