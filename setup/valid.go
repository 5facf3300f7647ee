package setup

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"holdfast"
	"holdfast/identities"
	"holdfast/place"
	"holdfast/secrets"
)

// Valid says what is wrong with a configuration beyond its form: connection
// strings that cannot be honoured, recipients that nothing can be sealed to.
// It connects to nothing.
func (p *Parts) Valid() error {
	if _, err := p.given(); err != nil {
		return err
	}
	if p.Config.Identities == nil {
		return nil
	}
	_, err := identities.ParseRecipients(p.Config.Identities.Recipients)
	return err
}

// Exposed mentions the secrets in files that every user of this machine can
// read, and places of identities that are weaker than others. That may be meant, as on a machine of one user, so it is no violation.
func (p *Parts) Exposed() []Finding {
	var out []Finding
	references := p.Config.References()
	for _, key := range slices.Sorted(maps.Keys(references)) {
		path, isFile := strings.CutPrefix(string(references[key]), "file:")
		if !isFile {
			continue
		}
		if !filepath.IsAbs(path) {
			path = filepath.Join(p.Config.Dir(), path)
		}
		if mode, yes := secrets.Exposed(path); yes {
			out = append(out, Finding{
				Subject: key, Verdict: holdfast.Holds,
				Found: fmt.Sprintf("%s has mode %04o", path, mode),
				Why:   "Every user of this machine can read this secret.",
				Do:    "`chmod 600 " + path + "`, if the user who runs Holdfast owns it.",
			})
		}
	}
	for _, at := range p.Config.Kept() {
		if at.Scheme == place.Kubernetes {
			out = append(out, Finding{
				Subject: "identities.keep", Verdict: holdfast.Holds,
				Found: at.String() + " is lost with its cluster",
				Why:   "Secrets of the cluster that the node is in are no place outside of it.",
				Do:    "Name another place in identities.keep as well.",
			})
		}
	}
	for _, at := range inClear(p.Config) {
		out = append(out, Finding{
			Subject: "identities.keep", Verdict: holdfast.Holds,
			Found: "the identities are in clear in " + at,
			Why:   "Whoever reads that secret has the node's private keys.",
			Do:    "Leave out seal: none, to keep them sealed.",
		})
	}
	return out
}
