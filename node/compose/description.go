package compose

import (
	"encoding/json"
	"fmt"

	"holdfast"
)

// Kind is what deployments of Docker Compose call themselves in sets.
const Kind = "compose"

// Description is what a set keeps of a compose node beyond what it keeps of
// every node; no other package reads it. Sets of manifest version 1 have it
// under the same names.
type Description struct {
	Project    string      `json:"project"`
	Engine     string      `json:"engine"` // which daemon ran it
	Directory  string      `json:"directory,omitempty"`
	Containers []Described `json:"containers"`
	Start      Start       `json:"start"`
}

// Described is one container, next to the program of the same name.
type Described struct {
	Service string `json:"service"`
	Name    string `json:"name"`
	ID      string `json:"id"`
	ImageID string `json:"image_id"`
}

// Start are the flags of the bundle's start.sh that a restore needs again
// (Splice: cluster/compose/validator/start.sh).
type Start struct {
	PartyHint   string   `json:"party_hint"`             // -p
	Identifier  string   `json:"participant_identifier"` // -P; the party hint when it was not given
	MigrationID string   `json:"migration_id,omitempty"` // -m
	Auth        string   `json:"auth"`                   // "oidc" (-a) or "none"
	Sponsor     string   `json:"sponsor"`                // -s
	Scan        string   `json:"scan"`                   // -c
	Overlays    []string `json:"overlays,omitempty"`     // the compose files next to the first
}

// Describe reads what a set keeps of a compose node. A node of another kind,
// and one of which nothing is kept, has an empty description.
func Describe(d *holdfast.Deployment) (Description, error) {
	var out Description
	if d == nil || d.Kind != Kind || len(d.Own) == 0 {
		return out, nil
	}
	if err := json.Unmarshal(d.Own, &out); err != nil {
		return out, fmt.Errorf("read how the compose node ran: %w", err)
	}
	return out, nil
}

// ImageID is the id of the image from which the program of that name ran.
func (d Description) ImageID(program string) string {
	for _, c := range d.Containers {
		if c.Name == program {
			return c.ImageID
		}
	}
	return ""
}
