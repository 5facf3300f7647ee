package compose

import (
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/api/types/volume"

	"holdfast"
)

// Site is where a recorded node is to run, where that is not where it ran.
type Site struct {
	Project   string // of Compose; "": as recorded
	Directory string // of the bundle's files, on the daemon's machine; "": as recorded
	// Services are, by role, the service or the container that has it, where
	// several may have it: "participant", "validator", "postgres".
	Services map[string]string
	// Reach is, by role, the only way that is tried: "address", "name", "exec".
	Reach map[string]string
}

// move takes what was recorded of a node to another project name or another
// directory of the bundle. Whatever Compose has named after the project is
// renamed: containers, volumes, networks. What has a name of its own keeps it.
type move struct {
	fromProject, toProject     string
	fromDirectory, toDirectory string
	volumes, networks          map[string]string // old names to new ones
}

// moved is what the node would have been recorded as at the site.
func (s Specs) moved(d Description, to Site) (Specs, error) {
	m := move{d.Project, cmp.Or(to.Project, d.Project), d.Directory, cmp.Or(to.Directory, d.Directory), map[string]string{}, map[string]string{}}
	if m.fromProject == m.toProject && m.fromDirectory == m.toDirectory {
		return s, nil
	}
	out := s
	out.Volumes, out.Networks, out.Containers = slices.Clone(s.Volumes), slices.Clone(s.Networks), nil
	for i := range out.Volumes {
		if err := m.volume(&out.Volumes[i]); err != nil {
			return s, err
		}
	}
	for i := range out.Networks {
		n := &out.Networks[i]
		if n.Labels[label+"project"] == m.fromProject {
			m.networks[n.Name] = m.named(n.Name)
			n.Name, n.Labels = m.named(n.Name), m.unhashed(n.Labels)
		}
	}
	if err := m.contained(&out, s); err != nil {
		return s, err
	}
	for _, raw := range s.Containers {
		moved, err := m.container(raw)
		if err != nil {
			return s, err
		}
		out.Containers = append(out.Containers, moved)
	}
	return out, nil
}

// volume moves a volume. One without a name gets another such name: it belongs
// to one container alone.
func (m move) volume(v *volume.Volume) error {
	if device := v.Options["device"]; strings.HasPrefix(device, "/") && v.Options["o"] != "" {
		v.Options = maps.Clone(v.Options)
		v.Options["device"] = m.file(device)
		if own := v.Labels[label+"project"] == m.fromProject; own && m.fromProject != m.toProject && m.file(device) == device {
			return m.shared(fmt.Sprintf("volume %s is directory %s", v.Name, device))
		}
	}
	name := v.Name
	switch {
	case v.Labels[label+"project"] == m.fromProject:
		v.Name, v.Labels = m.named(v.Name), m.unhashed(v.Labels)
	case m.fromProject != m.toProject && unnamed.MatchString(v.Name):
		v.Name = fmt.Sprintf("%x", sha256.Sum256([]byte(m.toProject+v.Name)))
	}
	m.volumes[name] = v.Name
	return nil
}

// shared refuses a node whose data would be that of another one as well.
func (m move) shared(what string) error {
	return &holdfast.Problem{
		Class: holdfast.Refused, What: what + ", which a node of project " + m.toProject + " would share",
		Why: "Two servers on the same data destroy it.",
		Do:  "Restore under the old project's name: `project:` below `compose:` in holdfast.yaml.",
	}
}

// contained moves what is recorded of directories and volumes.
func (m move) contained(out *Specs, s Specs) error {
	out.Directories, out.Links, out.Contents = slices.Clone(s.Directories), slices.Clone(s.Links), slices.Clone(s.Contents)
	for i := range out.Directories {
		d := &out.Directories[i]
		was := d.Path
		d.Path = m.source(was)
		if d.Data && d.Path == was && m.fromProject != m.toProject {
			return m.shared("Postgres keeps its data in " + was)
		}
	}
	for i := range out.Links {
		out.Links[i].Path = m.file(out.Links[i].Path)
	}
	for i := range out.Contents {
		out.Contents[i].Volume = renamed(m.volumes, out.Contents[i].Volume)
	}
	return nil
}

// container moves one container's answer of the daemon.
func (m move) container(raw json.RawMessage) (json.RawMessage, error) {
	var r container.InspectResponse
	if err := json.Unmarshal(raw, &r); err != nil {
		return nil, fmt.Errorf("what a set recorded of a container: %w", err)
	}
	r.Name = "/" + m.named(strings.TrimPrefix(r.Name, "/"))
	if r.Config != nil {
		r.Config.Labels = m.labels(r.Config.Labels)
	}
	if h := r.HostConfig; h != nil {
		for i, bind := range h.Binds {
			source, rest, _ := strings.Cut(bind, ":")
			h.Binds[i] = m.source(source) + ":" + rest
		}
		for i := range h.Mounts {
			h.Mounts[i].Source = m.source(h.Mounts[i].Source)
		}
		h.NetworkMode = container.NetworkMode(renamed(m.networks, string(h.NetworkMode)))
		for i, link := range h.Links {
			target, alias, _ := strings.Cut(link, ":")
			h.Links[i] = m.named(strings.TrimPrefix(target, "/")) + ":" + alias
		}
	}
	for i := range r.Mounts {
		mount := &r.Mounts[i]
		mount.Name = renamed(m.volumes, mount.Name)
		if mount.Type == "bind" {
			mount.Source = m.file(mount.Source)
		}
	}
	if r.NetworkSettings != nil {
		networks := map[string]*network.EndpointSettings{}
		for name, at := range r.NetworkSettings.Networks {
			if at != nil {
				for i, alias := range at.Aliases {
					at.Aliases[i] = m.named(alias)
				}
				for i, link := range at.Links {
					target, alias, _ := strings.Cut(link, ":")
					at.Links[i] = m.named(target) + ":" + alias
				}
			}
			networks[renamed(m.networks, name)] = at
		}
		r.NetworkSettings.Networks = networks
	}
	return json.Marshal(r)
}

// named is the new name of what Compose has named after the project.
func (m move) named(name string) string {
	rest, ok := strings.CutPrefix(name, m.fromProject)
	if !ok || rest == "" || rest[0] != '-' && rest[0] != '_' {
		return name
	}
	return m.toProject + rest
}

func renamed(names map[string]string, name string) string { return cmp.Or(names[name], name) }

// source is that of a mount: a path, or the name of a volume.
func (m move) source(source string) string {
	if strings.HasPrefix(source, "/") {
		return m.file(source)
	}
	return renamed(m.volumes, source)
}

// file is where a file of the bundle is at the new place; other files stay.
func (m move) file(name string) string {
	if m.fromDirectory == "" || !isIn(name, m.fromDirectory) {
		return name
	}
	return path.Join(m.toDirectory, strings.TrimPrefix(name, m.fromDirectory))
}

// labels are those by which Compose knows its own.
func (m move) labels(labels map[string]string) map[string]string {
	out := maps.Clone(labels)
	if out[label+"project"] == m.fromProject {
		out[label+"project"] = m.toProject
	}
	for _, name := range []string{"project.working_dir", "project.config_files", "project.environment_file"} {
		if text, ok := out[label+name]; ok {
			files := listed(text)
			for i := range files {
				files[i] = m.file(files[i])
			}
			out[label+name] = strings.Join(files, ",")
		}
	}
	return out
}

// unhashed are the labels of a volume or a network without Compose's digest of
// how it was declared, which covers its name. One without is taken as it is; of
// one that differs Compose makes networks again, without the names under which
// containers reach each other, and offers to make volumes again, without what is
// in them.
func (m move) unhashed(labels map[string]string) map[string]string {
	out := m.labels(labels)
	if m.fromProject != m.toProject {
		delete(out, label+"config-hash")
	}
	return out
}
