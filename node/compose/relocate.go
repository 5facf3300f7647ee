package compose

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"

	"holdfast"
)

// Site is where a recorded node is to run, where that is not where it ran.
type Site struct {
	Project   string // of Compose; "": as recorded
	Directory string // of the bundle's files, on the daemon's machine; "": as recorded
	// Services are, by role, the service or the container that has it, where
	// several may have it: "participant", "validator", "postgres".
	Services map[string]string
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
	out := Specs{Volumes: slices.Clone(s.Volumes), Networks: slices.Clone(s.Networks)}
	for i := range out.Volumes {
		v := &out.Volumes[i]
		if v.Labels[label+"project"] != m.fromProject {
			continue
		}
		if m.fromProject != m.toProject && v.Options["device"] != "" {
			return s, &holdfast.Problem{Class: holdfast.Refused, What: fmt.Sprintf("volume %s is directory %s, which a node of project %s would share", v.Name, v.Options["device"], m.toProject),
				Why: "Two servers on the same data destroy it.", Do: "Restore under the old project's name: `project:` below `compose:` in holdfast.yaml."}
		}
		m.volumes[v.Name] = m.named(v.Name)
		v.Name, v.Labels = m.named(v.Name), m.unhashed(v.Labels)
	}
	for i := range out.Networks {
		n := &out.Networks[i]
		if n.Labels[label+"project"] == m.fromProject {
			m.networks[n.Name] = m.named(n.Name)
			n.Name, n.Labels = m.named(n.Name), m.unhashed(n.Labels)
		}
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
	if m.fromDirectory == "" || name != m.fromDirectory && !strings.HasPrefix(name, m.fromDirectory+"/") {
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
