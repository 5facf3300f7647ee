package compose

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"
	"github.com/moby/moby/api/types/network"
)

// recipe is what a container is made from: the record of one, without what
// belonged to that one container alone, such as its id.
type recipe struct {
	config   container.Config
	host     container.HostConfig
	networks []joined // the first is joined when the container is made
}

// joined is a network that a container joins, and how.
type joined struct {
	name string
	at   *network.EndpointSettings
}

// recipeOf reads the recipe of a recorded container.
func (s Specs) recipeOf(c Container) (recipe, error) {
	var r container.InspectResponse
	if err := json.Unmarshal(c.raw, &r); err != nil {
		return recipe{}, fmt.Errorf("what the set recorded of container %s: %w", c.Name, err)
	}
	if r.Config == nil || r.HostConfig == nil {
		return recipe{}, fmt.Errorf("the set recorded no configuration of container %s", c.Name)
	}
	out := recipe{config: *r.Config, host: *r.HostConfig}
	if ownHostname(r.ID, r.Config.Hostname) {
		out.config.Hostname = ""
	}
	if namedElsewhere(r.HostConfig) {
		out.config.Hostname, out.config.Domainname = "", ""
	}
	if r.HostConfig.NetworkMode.IsContainer() {
		out.config.ExposedPorts = nil // those of its image come by themselves, and others it cannot have
	}
	out.host.ContainerIDFile = ""
	if r.HostConfig.RestartPolicy.Name != "" {
		// Nothing but the plan starts it: a later step gives the policy back.
		out.host.RestartPolicy = container.RestartPolicy{Name: container.RestartPolicyDisabled}
	}
	names := s.names()
	out.host.NetworkMode = container.NetworkMode(byName(names, string(r.HostConfig.NetworkMode)))
	out.host.IpcMode = container.IpcMode(byName(names, string(r.HostConfig.IpcMode)))
	out.host.PidMode = container.PidMode(byName(names, string(r.HostConfig.PidMode)))
	out.host.VolumesFrom = slices.Clone(r.HostConfig.VolumesFrom)
	for i, from := range out.host.VolumesFrom {
		id, mode, _ := strings.Cut(from, ":")
		if name := names[id]; name != "" {
			out.host.VolumesFrom[i] = strings.TrimSuffix(name+":"+mode, ":")
		}
	}
	out.host.Links = nil // Docker keeps them on the default bridge, as it resolved them
	for _, link := range r.HostConfig.Links {
		target, alias, _ := strings.Cut(link, ":")
		out.host.Links = append(out.host.Links, strings.TrimPrefix(target, "/")+":"+alias[strings.LastIndex(alias, "/")+1:])
	}
	out.anonymous(r.Mounts)
	out.join(r)
	return out, nil
}

// ownHostname reports whether Docker has made a host's name of the container's
// id.
func ownHostname(id, name string) bool { return name != "" && strings.HasPrefix(id, name) }

// namedElsewhere reports whether a container has the names of another one, in
// whose network it lives, or of the machine. It cannot be given any.
func namedElsewhere(h *container.HostConfig) bool {
	return h.NetworkMode.IsContainer() || h.UTSMode.IsHost()
}

// names are the recorded containers' names by their ids.
func (s Specs) names() map[string]string {
	out := map[string]string{}
	for _, raw := range s.Containers {
		var c struct {
			ID   string `json:"Id"`
			Name string
		}
		if json.Unmarshal(raw, &c) == nil && c.ID != "" {
			out[c.ID] = strings.TrimPrefix(c.Name, "/")
		}
	}
	return out
}

// byName names the container of a mode such as "container:ID".
func byName(names map[string]string, mode string) string {
	if id, ok := strings.CutPrefix(mode, "container:"); ok && names[id] != "" {
		return "container:" + names[id]
	}
	return mode
}

// anonymous mounts the volumes without a name by the one that Docker gave them:
// what they hold may still be there, and a new container would get empty ones.
func (r *recipe) anonymous(mounts []container.MountPoint) {
	r.host.Mounts = slices.Clone(r.host.Mounts)
	for _, m := range mounts {
		if m.Type != mount.TypeVolume || m.Name == "" {
			continue
		}
		if i := slices.IndexFunc(r.host.Mounts, func(o mount.Mount) bool { return o.Target == m.Destination }); i >= 0 {
			r.host.Mounts[i].Source = m.Name
			continue
		}
		bound := slices.ContainsFunc(r.host.Binds, func(b string) bool { return destinationOf(b) == m.Destination })
		if bound || len(r.host.VolumesFrom) > 0 && !declared(r.config.Volumes, m.Destination) {
			continue
		}
		bind := m.Name + ":" + m.Destination
		if !m.RW {
			bind += ":ro"
		}
		r.host.Binds = append(slices.Clone(r.host.Binds), bind)
	}
}

func declared(volumes map[string]struct{}, destination string) bool {
	_, ok := volumes[destination]
	return ok
}

// destinationOf is where "SOURCE:DESTINATION:MODE" is mounted.
func destinationOf(bind string) string {
	_, rest, _ := strings.Cut(bind, ":")
	destination, _, _ := strings.Cut(rest, ":")
	return destination
}

// join are the networks that the container is in. The daemon makes it in one of
// them; older daemons refuse more, so it joins the others afterwards.
func (r *recipe) join(was container.InspectResponse) {
	mode := string(r.host.NetworkMode)
	if was.NetworkSettings == nil || mode == "none" || mode == "host" || strings.HasPrefix(mode, "container:") {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(was.NetworkSettings.Networks)) {
		at := was.NetworkSettings.Networks[name]
		if at == nil {
			at = &network.EndpointSettings{}
		}
		r.networks = append(r.networks, joined{name, &network.EndpointSettings{
			Aliases: withoutID(was.ID, at.Aliases), IPAMConfig: at.IPAMConfig, Links: at.Links,
			DriverOpts: at.DriverOpts, GwPriority: at.GwPriority, MacAddress: fixedMAC(at),
		}})
	}
	slices.SortStableFunc(r.networks, func(a, b joined) int {
		return rankOf(a.name != mode) - rankOf(b.name != mode)
	})
}

func rankOf(later bool) int {
	if later {
		return 1
	}
	return 0
}

// withoutID are the aliases without the one that Docker makes of the id.
func withoutID(id string, aliases []string) []string {
	return slices.DeleteFunc(slices.Clone(aliases), func(alias string) bool { return strings.HasPrefix(id, alias) })
}

// fixedMAC is a hardware address that is not made of the container's address.
// One that is would be another container's once the addresses are others.
func fixedMAC(at *network.EndpointSettings) network.HardwareAddr {
	mac := at.MacAddress
	if len(mac) != 6 || !at.IPAddress.Is4() || madeOf(mac, at.IPAddress) {
		return nil
	}
	return mac
}

func madeOf(mac network.HardwareAddr, address netip.Addr) bool {
	ip := address.As4()
	return mac[0] == 0x02 && mac[1] == 0x42 && slices.Equal([]byte(mac[2:]), ip[:])
}

// needed are the names of the containers that a container shares something
// with: they have to be there when it is made, and to run when it is started.
func (r recipe) needed() []string {
	var out []string
	for _, mode := range []string{string(r.host.NetworkMode), string(r.host.IpcMode), string(r.host.PidMode)} {
		if name, ok := strings.CutPrefix(mode, "container:"); ok {
			out = append(out, name)
		}
	}
	for _, from := range r.host.VolumesFrom {
		name, _, _ := strings.Cut(from, ":")
		out = append(out, name)
	}
	for _, link := range r.host.Links {
		name, _, _ := strings.Cut(link, ":")
		out = append(out, name)
	}
	return out
}

// byNeed orders recorded containers so that each comes after those that it
// needs.
func byNeed(list []Container, specs Specs) []Container {
	var out []Container
	seen := map[string]bool{}
	var visit func(c Container)
	visit = func(c Container) {
		if seen[c.Name] {
			return
		}
		seen[c.Name] = true
		if r, err := specs.recipeOf(c); err == nil { // making it says what is wrong
			for _, name := range r.needed() {
				if i := slices.IndexFunc(list, func(o Container) bool { return o.Name == name }); i >= 0 {
					visit(list[i])
				}
			}
		}
		out = append(out, c)
	}
	for _, c := range list {
		visit(c)
	}
	return out
}
