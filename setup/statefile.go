package setup

import (
	"cmp"
	"encoding/json"
	"os"
	"path/filepath"

	"holdfast/internal/durable"
)

// stateFile is a file of what a service remembers on this machine. It may be lost
// at any time: what matters is in the repository.
type stateFile string

// stateFile is that file of the service's node.
func (s *Service) stateFile(name string) stateFile { return stateFileOf(s.config().Node, name) }

// stateFileOf is that file of a node; "" where there is no directory for it.
func stateFileOf(node, name string) stateFile {
	dir := os.Getenv("STATE_DIRECTORY") // of systemd
	if dir == "" {
		home, _ := os.UserHomeDir()
		base := os.Getenv("XDG_STATE_HOME")
		if home == "" && base == "" {
			return ""
		}
		dir = filepath.Join(cmp.Or(base, filepath.Join(home, ".local", "state")), "holdfast")
	}
	return stateFile(filepath.Join(dir, name+"-"+node+".json"))
}

func (f stateFile) load(into any) {
	if text, err := os.ReadFile(string(f)); err == nil {
		_ = json.Unmarshal(text, into) // a damaged file is a lost one
	}
}

// save writes the file if that changes it.
func (f stateFile) save(v any) {
	text, err := json.Marshal(v)
	if f == "" || err != nil {
		return
	}
	if known, err := os.ReadFile(string(f)); err == nil && string(known) == string(text) {
		return
	}
	if os.MkdirAll(filepath.Dir(string(f)), 0o700) == nil {
		_ = durable.Write(string(f), text, 0o600)
	}
}
