package holdfast

import "encoding/json"

// DeploymentDirectory is where a set keeps the files of its node's set-up.
const DeploymentDirectory = "node"

// Deployment is how a node ran when a set of it was taken: what a restore on a
// fresh machine has to make again. It holds no secrets; the files it names do,
// and are encrypted like the rest of the set.
type Deployment struct {
	Kind     string     `json:"kind"`              // "compose"
	Machine  string     `json:"machine,omitempty"` // where it ran; older sets lack it
	Splice   string     `json:"splice,omitempty"`  // the version of its programs
	Programs []Program  `json:"programs"`
	Kept     []KeptFile `json:"kept,omitempty"`
	NotKept  []string   `json:"not_kept,omitempty"` // what of the node is in no set, and why
	// NotRemade names what a restore on an empty machine cannot make again, and
	// why. A set with any is not proven.
	NotRemade []string `json:"not_remade,omitempty"`
	// Own is what only nodes of this kind understand, and OwnFile a file of the
	// set with what is too long for a manifest or is secret.
	Own     json.RawMessage `json:"own,omitempty"`
	OwnFile string          `json:"own_file,omitempty"`
}

// Program is one of the node's programs.
type Program struct {
	Role   string `json:"role,omitempty"` // "postgres", "participant", "validator", "nginx"
	Name   string `json:"name"`
	Image  string `json:"image"`
	Digest string `json:"digest,omitempty"` // of the image in its registry
}

// KeptFile is a file of the node's set-up that a set carries.
type KeptFile struct {
	Path string `json:"path"` // where it was
	File string `json:"file"` // within the set
	// Mode are its permissions, in octal, such as "0755"; older sets lack it.
	Mode string `json:"mode,omitempty"`
	// Owner is who owned it, by numbers, such as "1001:1001"; older sets lack it.
	Owner string `json:"owner,omitempty"`
}

// lacking are what cannot be made again.
func (d *Deployment) lacking() []string {
	if d == nil {
		return nil
	}
	return d.NotRemade
}

// Files are the names of the deployment's files within the set.
func (d *Deployment) Files() []string {
	if d == nil {
		return nil
	}
	var names []string
	if d.OwnFile != "" {
		names = append(names, d.OwnFile)
	}
	for _, k := range d.Kept {
		names = append(names, k.File)
	}
	return names
}
