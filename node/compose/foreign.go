package compose

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client/pkg/versions"
)

// foreign names what a node is made from that no record can make again: parts
// of other projects, of a swarm, of this machine alone.
func (n *Node) foreign(ctx context.Context, s Specs) ([]string, error) {
	var out []string
	names := s.names()
	for _, c := range n.All {
		shared, err := sharedWith(c, names)
		if err != nil {
			return nil, err
		}
		out = append(out, shared...)
		local, err := n.builtHere(ctx, c)
		if err != nil {
			return nil, err
		}
		if local != "" {
			out = append(out, local)
		}
		if n.hasFixedMAC(c) {
			out = append(out, "container "+c.Name+" has a hardware address of its own, which this version of Docker does not take back")
		}
	}
	for _, net := range s.Networks {
		if net.Scope == "swarm" {
			out = append(out, "network "+net.Name+" is a swarm's, which a single machine cannot make")
		}
		if net.ConfigFrom.Network != "" {
			out = append(out, fmt.Sprintf("network %s takes its addresses from network %s, which is not kept", net.Name, net.ConfigFrom.Network))
		}
	}
	return out, nil
}

// sharedWith names the containers of other projects that a container cannot be
// made without.
func sharedWith(c Container, names map[string]string) ([]string, error) {
	var r container.InspectResponse
	if err := json.Unmarshal(c.raw, &r); err != nil || r.HostConfig == nil {
		return nil, err
	}
	h, known := r.HostConfig, map[string]bool{}
	for id, name := range names {
		known[id], known[name] = true, true
	}
	var out []string
	add := func(other, what string) {
		if !known[other] {
			out = append(out, fmt.Sprintf("container %s uses the %s of container %.12s, which is not of this project", c.Name, what, other))
		}
	}
	for what, mode := range map[string]string{
		"network": string(h.NetworkMode), "IPC namespace": string(h.IpcMode), "processes": string(h.PidMode),
	} {
		if other, ok := strings.CutPrefix(mode, "container:"); ok {
			add(other, what)
		}
	}
	for _, from := range h.VolumesFrom {
		other, _, _ := strings.Cut(from, ":")
		add(other, "volumes")
	}
	return out, nil
}

// builtHere says that a container's image was built on this machine by Compose,
// so that no registry has it; "" where it was not.
func (n *Node) builtHere(ctx context.Context, c Container) (string, error) {
	r, err := n.Engine.API.ImageInspect(ctx, c.ImageID)
	if cerrdefs.IsNotFound(err) {
		return "", nil
	}
	if err != nil {
		return "", n.Engine.Explain("inspect image "+c.Image, err)
	}
	if r.Config == nil || r.Config.Labels[label+"project"] == "" || len(r.RepoDigests) > 0 {
		return "", nil
	}
	return fmt.Sprintf("image %s of container %s was built here (`build:`), and no registry has it", c.Image, c.Name), nil
}

// hasFixedMAC reports whether a container's hardware address was chosen, on a
// daemon that takes one only in a form which newer clients do not have.
func (n *Node) hasFixedMAC(c Container) bool {
	var r struct{ Config struct{ MacAddress string } }
	if json.Unmarshal(c.raw, &r) != nil || r.Config.MacAddress == "" {
		return false
	}
	return versions.LessThan(n.Engine.API.ClientVersion(), "1.44")
}
