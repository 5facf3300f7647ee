package compose

import (
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/moby/moby/api/types/container"

	"holdfast"
	"holdfast/internal/docker"
)

// Container is the part of the daemon's description of a container that Holdfast
// needs.
type Container struct {
	ID, Name       string
	Project        string // of Compose; "" for a container that Compose did not create
	Service        string
	Directory      string   // of the project's files, on the daemon's machine
	Files          []string // of the project: compose.yaml and its overlays
	Image          string   // "ghcr.io/.../validator-app:0.6.11"
	ImageID        string
	Digest         string // of the image in its registry
	State          string // "running", "exited", "restarting", "created", "paused", "dead"
	Health         string // "healthy", "starting", "unhealthy", "" without a check
	ExitCode       int
	Restarts       int
	Restart        Restart
	Env            Environment
	Networks       []Network
	Volumes        []string // names, in the order of their mount points
	Binds          []string // paths of the daemon's machine that are mounted, in the same order
	Ports          []string // published: "127.0.0.1:80->80"
	NetworkMode    string
	included       []Included
	workdir        string   // in which its program starts
	shares         []string // the containers in whose namespaces it lives
	oneOff         bool
	raw            json.RawMessage // the daemon's whole answer: it contains passwords
	publishedPorts map[string]string
	mounts         []mounted
}

// Restart is a restart policy.
type Restart struct {
	Name    string `json:"name"`
	Retries int    `json:"retries,omitempty"`
}

// String is the policy as docker takes it: "on-failure:3".
func (r Restart) String() string {
	if r.Retries > 0 {
		return fmt.Sprintf("%s:%d", r.Name, r.Retries)
	}
	return r.Name
}

// parseRestart reads what String prints.
func parseRestart(text string) Restart {
	name, retries, _ := strings.Cut(text, ":")
	n, _ := strconv.Atoi(retries)
	return Restart{name, n}
}

// Network is a container's membership in a network.
type Network struct {
	Name    string
	Address string   // "" while the container does not run
	Aliases []string // the names by which others reach it
}

// Environment are the variables of a container. Many of them are secrets, so the
// whole cannot be printed.
type Environment struct{ values map[string]string }

// Get returns the value of a variable that is not secret.
func (e Environment) Get(name string) string { return e.values[name] }

// Secret returns the value of one that is.
func (e Environment) Secret(name string) holdfast.Secret { return holdfast.NewSecret(e.values[name]) }

// Has reports whether there is such a variable, even an empty one.
func (e Environment) Has(name string) bool { _, ok := e.values[name]; return ok }

// Lookup returns the value of one, and whether there is such a variable.
func (e Environment) Lookup(name string) (string, bool) {
	value, ok := e.values[name]
	return value, ok
}

// Names lists the variables.
func (e Environment) Names() []string { return slices.Sorted(maps.Keys(e.values)) }

// String lists names only.
func (e Environment) String() string { return strings.Join(e.Names(), " ") }

// Format prints names only, whatever the verb.
func (e Environment) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(e.String())) }

// MarshalText encodes names only.
func (e Environment) MarshalText() ([]byte, error) { return []byte(e.String()), nil }

// Up reports whether a container's program runs, or may run again in a moment.
func (c Container) Up() bool {
	return slices.Contains([]string{"running", "restarting", "paused"}, c.State)
}

// Base is the last part of the image's name, "validator-app".
func (c Container) Base() string {
	name, _ := docker.SplitName(c.Image)
	return path.Base(name)
}

// Tag is the image's tag, "0.6.11"; "" if the image is named by digest only.
func (c Container) Tag() string {
	_, tag := docker.SplitName(c.Image)
	return tag
}

// parseContainer reads an answer of the daemon to GET /containers/{id}/json.
func parseContainer(raw []byte) (Container, error) {
	var r container.InspectResponse
	if err := json.Unmarshal(raw, &r); err != nil {
		return Container{}, fmt.Errorf("cannot parse the Docker daemon's description of a container: %w", err)
	}
	c := Container{
		ID:             r.ID,
		Name:           strings.TrimPrefix(r.Name, "/"),
		ImageID:        r.Image,
		Restarts:       r.RestartCount,
		raw:            slices.Clone(raw),
		publishedPorts: map[string]string{},
	}
	if r.Config != nil {
		c.Image, c.workdir = r.Config.Image, r.Config.WorkingDir
		c.Env.values = map[string]string{}
		for _, pair := range r.Config.Env {
			name, value, _ := strings.Cut(pair, "=")
			c.Env.values[name] = value
		}
		labels := r.Config.Labels
		c.Project, c.Service = labels[label+"project"], labels[label+"service"]
		c.Directory = labels[label+"project.working_dir"]
		c.Files = listed(labels[label+"project.config_files"])
		c.oneOff = strings.EqualFold(labels[label+"oneoff"], "true")
	}
	if r.State != nil {
		c.State, c.ExitCode = string(r.State.Status), r.State.ExitCode
		if r.State.Health != nil {
			c.Health = string(r.State.Health.Status)
		}
	}
	if r.HostConfig != nil {
		c.Restart = Restart{string(r.HostConfig.RestartPolicy.Name), r.HostConfig.RestartPolicy.MaximumRetryCount}
		c.NetworkMode = string(r.HostConfig.NetworkMode)
		c.shares = namespaces(r.HostConfig)
		for port, bindings := range r.HostConfig.PortBindings {
			for _, b := range bindings {
				address := b.HostIP.String()
				if !b.HostIP.IsValid() {
					address = "0.0.0.0"
				}
				c.Ports = append(c.Ports, fmt.Sprintf("%s:%s->%s", address, b.HostPort, port.Port()))
				c.publishedPorts[port.Port()] = address + ":" + b.HostPort
			}
		}
		slices.Sort(c.Ports)
	}
	c.mount(r)
	if r.NetworkSettings != nil {
		for _, name := range slices.Sorted(maps.Keys(r.NetworkSettings.Networks)) {
			n := Network{Name: name}
			if at := r.NetworkSettings.Networks[name]; at != nil {
				if at.IPAddress.IsValid() {
					n.Address = at.IPAddress.String()
				}
				n.Aliases = at.Aliases
			}
			c.Networks = append(c.Networks, n)
		}
	}
	return c, nil
}

// mount takes over what a container mounts. The daemon lists mounts in any order,
// and a plan has to come out the same each time.
func (c *Container) mount(r container.InspectResponse) {
	if r.HostConfig != nil {
		for inside := range r.HostConfig.Tmpfs {
			c.mounts = append(c.mounts, mounted{inside: path.Clean(inside), writable: true, memory: true})
		}
	}
	for _, m := range r.Mounts {
		at := mounted{inside: path.Clean(m.Destination), writable: m.RW}
		switch m.Type {
		case "volume":
			at.Volume = m.Name
		case "bind":
			at.Path, at.Bound = m.Source, true
		case "tmpfs":
			at.memory = true
		default:
			continue
		}
		c.mounts = append(c.mounts, at)
	}
	slices.SortFunc(c.mounts, func(a, b mounted) int { return strings.Compare(a.inside, b.inside) })
	for _, m := range c.mounts {
		switch {
		case m.Volume != "":
			c.Volumes = append(c.Volumes, m.Volume)
		case m.Bound:
			c.Binds = append(c.Binds, m.Path)
		}
	}
}

// unnamed are the names that Docker gives to volumes without one.
var unnamed = regexp.MustCompile(`^[0-9a-f]{64}$`)

// anonymous reports whether it is a volume without a name. Another
// container gets another one.
func (m mounted) anonymous() bool { return unnamed.MatchString(m.Volume) }

// label is the prefix of Compose's labels.
const label = "com.docker.compose."

// listed are the paths of a label that holds several. Compose writes absolute
// paths with commas between them: a comma before anything else belongs to a
// file's name.
func listed(paths string) []string {
	var out []string
	for _, piece := range strings.Split(paths, ",") {
		if len(out) > 0 && !strings.HasPrefix(piece, "/") {
			out[len(out)-1] += "," + piece
		} else if piece != "" {
			out = append(out, piece)
		}
	}
	return out
}
