package holdfast

// DeploymentDirectory is where a set keeps the files of its node's set-up.
const DeploymentDirectory = "node"

// Deployment is how a node ran when a set of it was taken: what a restore on a
// fresh machine has to make again. It holds no secrets; the files it names do,
// and are encrypted like the rest of the set.
type Deployment struct {
	Kind       string            `json:"kind"`              // "compose"
	Project    string            `json:"project"`           // its name there
	Engine     string            `json:"engine"`            // which daemon ran it
	Machine    string            `json:"machine,omitempty"` // its machine's name, and where the daemon keeps its things; older sets lack it
	Directory  string            `json:"directory,omitempty"`
	Splice     string            `json:"splice,omitempty"` // the version of its images
	Containers []DeployedProgram `json:"containers"`
	Start      Start             `json:"start"`
	Specs      string            `json:"specs_file,omitempty"` // within the set: what every container was made from
	Kept       []KeptFile        `json:"kept,omitempty"`
	NotKept    []string          `json:"not_kept,omitempty"` // files that could not be taken, and why
}

// DeployedProgram is one container of the node.
type DeployedProgram struct {
	Role    string `json:"role,omitempty"` // "postgres", "participant", "validator", "nginx"
	Service string `json:"service"`
	Name    string `json:"name"`
	ID      string `json:"id"`
	Image   string `json:"image"`
	ImageID string `json:"image_id"`
	Digest  string `json:"digest,omitempty"` // of the image in its registry
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
	Overlays    []string `json:"overlays,omitempty"`     // the compose files beside the first
}

// KeptFile is a file of the node's set-up that a set carries.
type KeptFile struct {
	Path string `json:"path"` // where it was
	File string `json:"file"` // within the set
	// Mode are its permissions, in octal, such as "0755"; older sets lack it.
	Mode string `json:"mode,omitempty"`
}
