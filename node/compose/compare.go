package compose

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"

	"holdfast"
)

// Differs is the event of a container that was made again and that is not what
// the set recorded in one field. It names the field and no value: an
// environment holds passwords.
type Differs struct {
	Container string
	Field     string
	Matters   bool // the node would be another one, or would not come up
}

func (d Differs) String() string {
	return fmt.Sprintf("container %s is not as recorded: %s", d.Container, d.Field)
}

// matters are the fields in which a container has to be what it was. The others
// depend on the machine as well: its kernel, its daemon's own settings.
var matters = []string{
	"Config.Image", "Config.Env", "Config.Cmd", "Config.Entrypoint", "Config.User", "Config.WorkingDir",
	"Config.Hostname", "Config.Domainname", "Config.Healthcheck", "Config.MacAddress",
	"HostConfig.NetworkMode", "HostConfig.PortBindings", "HostConfig.ExtraHosts", "HostConfig.Dns",
	"HostConfig.Privileged", "HostConfig.CapAdd", "HostConfig.CapDrop", "HostConfig.GroupAdd",
	"HostConfig.Devices", "HostConfig.DeviceRequests", "HostConfig.ReadonlyRootfs", "HostConfig.Tmpfs",
	"HostConfig.Sysctls", "HostConfig.IpcMode", "HostConfig.PidMode",
	"mounts", "networks", "files that were put into it",
}

// matter ends a restore whose container is another one.
func matter(name string, differences []Differs) error {
	var fields []string
	for _, d := range differences {
		if d.Matters {
			fields = append(fields, d.Field)
		}
	}
	if len(fields) == 0 {
		return nil
	}
	return &holdfast.Problem{
		Class: holdfast.Refused,
		What:  fmt.Sprintf("container %s cannot be made as the set recorded it: %s", name, strings.Join(fields, ", ")),
		Why:   "The node would run differently from the one that was backed up.",
		Do: "Compare `docker version` here with that of the old machine. Or start the bundle with start.sh, stop the" +
			" participant and the validator app with `docker stop`, and restore again.",
	}
}

// compare says in which fields a container that was made differs from its
// record.
func (e *Engine) compare(ctx context.Context, recorded Container, name string, specs Specs) ([]Differs, error) {
	made, err := e.API.ContainerInspect(ctx, name, client.ContainerInspectOptions{})
	if err != nil {
		return nil, e.Explain("inspect container "+name, err)
	}
	was, err := portrayed(recorded.raw, specs.names())
	if err != nil {
		return nil, err
	}
	names, err := e.namesOf(ctx, made.Container)
	if err != nil {
		return nil, err
	}
	is, err := portrayed(made.Raw, names)
	if err != nil {
		return nil, err
	}
	out := differ(name, was, is)
	if files := specs.placedIn(recorded.ID); len(files) > 0 {
		now, err := parseContainer(made.Raw)
		if err != nil {
			return nil, err
		}
		found, _, err := e.placed(ctx, now)
		if err != nil {
			return nil, err
		}
		if !samePlaced(files, found) {
			out = append(out, Differs{name, "files that were put into it", true})
		}
	}
	return out, nil
}

// namesOf are the names, by id, of the containers that another one shares
// namespaces or volumes with.
func (e *Engine) namesOf(ctx context.Context, r container.InspectResponse) (map[string]string, error) {
	out := map[string]string{}
	if r.HostConfig == nil {
		return out, nil
	}
	h := r.HostConfig
	for _, mode := range []string{string(h.NetworkMode), string(h.IpcMode), string(h.PidMode)} {
		id, ok := strings.CutPrefix(mode, "container:")
		if !ok {
			continue
		}
		found, err := e.API.ContainerInspect(ctx, id, client.ContainerInspectOptions{})
		if cerrdefs.IsNotFound(err) {
			continue
		}
		if err != nil {
			return nil, e.Explain("inspect container "+id, err)
		}
		out[id] = strings.TrimPrefix(found.Container.Name, "/")
	}
	return out, nil
}

// portrayal is what a container was made with, field by field, without what
// every container has of its own.
type portrayal map[string]any

// portrayed reads a portrayal from the daemon's description of a container.
func portrayed(raw json.RawMessage, names map[string]string) (portrayal, error) {
	var typed container.InspectResponse
	var all struct{ Config, HostConfig map[string]any }
	if err := json.Unmarshal(raw, &typed); err != nil {
		return nil, fmt.Errorf("cannot parse the Docker daemon's description of a container: %w", err)
	}
	if err := json.Unmarshal(raw, &all); err != nil {
		return nil, fmt.Errorf("cannot parse the Docker daemon's description of a container: %w", err)
	}
	out := portrayal{}
	add := func(field string, value any) {
		if value = meaningful(value); value != nil {
			out[field] = value
		}
	}
	for field, value := range all.Config {
		add("Config."+field, value)
	}
	for field, value := range all.HostConfig {
		add("HostConfig."+field, value)
	}
	if typed.Config != nil {
		env := slices.Sorted(slices.Values(typed.Config.Env))
		add("Config.Env", env)
		if ownHostname(typed.ID, typed.Config.Hostname) {
			delete(out, "Config.Hostname")
		}
	}
	if h := typed.HostConfig; h != nil {
		if namedElsewhere(h) {
			delete(out, "Config.Hostname")
			delete(out, "Config.Domainname")
		}
		if h.NetworkMode.IsContainer() {
			delete(out, "Config.ExposedPorts")
		}
		for field, mode := range map[string]string{
			"NetworkMode": string(h.NetworkMode), "IpcMode": string(h.IpcMode), "PidMode": string(h.PidMode),
		} {
			add("HostConfig."+field, byName(names, mode))
		}
	}
	// A restart policy is given back last. What mounts there are is compared as the
	// container sees them: there are several ways to write one down.
	for _, field := range []string{"RestartPolicy", "Binds", "Mounts", "VolumesFrom", "Links", "ContainerIDFile", "ConsoleSize"} {
		delete(out, "HostConfig."+field)
	}
	delete(out, "Config.Volumes")
	add("mounts", mountsOf(typed))
	add("networks", networksOf(typed))
	return out, nil
}

// meaningful is a value without what is empty; nil for one that says nothing.
func meaningful(value any) any {
	switch v := value.(type) {
	case nil:
		return nil
	case bool:
		if !v {
			return nil
		}
	case float64:
		if v == 0 {
			return nil
		}
	case string:
		if v == "" {
			return nil
		}
	case []any:
		if len(v) == 0 {
			return nil
		}
	case map[string]any:
		if len(v) == 0 {
			return nil
		}
		out := map[string]any{}
		for key, inner := range v {
			if inner = meaningful(inner); inner != nil {
				out[key] = inner
			}
		}
		return out
	}
	if v := reflect.ValueOf(value); (v.Kind() == reflect.Slice || v.Kind() == reflect.Map) && v.Len() == 0 {
		return nil
	}
	return value
}

// mountsOf are the mounts as the container sees them.
func mountsOf(r container.InspectResponse) []string {
	var out []string
	for _, m := range r.Mounts {
		source := m.Source
		if m.Type == "volume" {
			source = m.Name
		}
		out = append(out, fmt.Sprintf("%s %s %s writable=%t %s", m.Type, source, m.Destination, m.RW, m.Propagation))
	}
	if r.HostConfig != nil {
		for _, m := range r.HostConfig.Mounts {
			m.Source = "" // stands above
			text, _ := json.Marshal(m)
			if m.BindOptions != nil || m.VolumeOptions != nil || m.TmpfsOptions != nil {
				out = append(out, string(text))
			}
		}
	}
	slices.Sort(out)
	return out
}

// networksOf are the networks, with the addresses and names that were chosen in
// them and not given by the daemon.
func networksOf(r container.InspectResponse) []string {
	var out []string
	if r.NetworkSettings == nil {
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(r.NetworkSettings.Networks)) {
		at := r.NetworkSettings.Networks[name]
		if at == nil {
			at = &network.EndpointSettings{}
		}
		aliases := slices.Sorted(slices.Values(withoutID(r.ID, at.Aliases)))
		chosen, _ := json.Marshal(struct {
			Aliases, Links []string
			Addresses      *network.EndpointIPAMConfig
			Options        map[string]string
			Priority       int
		}{slices.Compact(aliases), at.Links, given(at.IPAMConfig), at.DriverOpts, at.GwPriority})
		out = append(out, name+" "+string(chosen))
	}
	return out
}

// given are the addresses that were chosen; nil where none was.
func given(c *network.EndpointIPAMConfig) *network.EndpointIPAMConfig {
	if c == nil || !c.IPv4Address.IsValid() && !c.IPv6Address.IsValid() && len(c.LinkLocalIPs) == 0 {
		return nil
	}
	return c
}

// differ lists the fields in which two portrayals differ.
func differ(name string, was, is portrayal) []Differs {
	var out []Differs
	fields := slices.AppendSeq(slices.Collect(maps.Keys(was)), maps.Keys(is))
	slices.Sort(fields)
	for _, field := range slices.Compact(fields) {
		if !reflect.DeepEqual(was[field], is[field]) {
			out = append(out, Differs{name, field, slices.Contains(matters, field)})
		}
	}
	return out
}
