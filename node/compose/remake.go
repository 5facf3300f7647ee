package compose

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"

	"holdfast"
	"holdfast/internal/docker"
)

// remake makes a container as it was recorded, with the networks and volumes
// it needs; it does not start it, and nothing else will: its restart policy is
// disabled.
func (e *Engine) remake(ctx context.Context, c Container, specs Specs) error {
	var r container.InspectResponse
	if err := json.Unmarshal(c.raw, &r); err != nil {
		return err
	}
	if _, err := e.Have(ctx, docker.Image{Name: c.Image}, "Container "+c.Name+" is made from it."); err != nil {
		return err
	}
	for _, at := range c.Networks {
		if err := e.makeNetwork(ctx, at.Name, specs); err != nil {
			return err
		}
	}
	for _, name := range c.Volumes {
		if err := e.makeVolume(ctx, name, specs); err != nil {
			return err
		}
	}
	config, host := *r.Config, *r.HostConfig
	if strings.HasPrefix(r.ID, config.Hostname) {
		config.Hostname = "" // Docker had made it from the container's id
	}
	host.RestartPolicy = container.RestartPolicy{Name: container.RestartPolicyDisabled}
	networks := &network.NetworkingConfig{EndpointsConfig: map[string]*network.EndpointSettings{}}
	if r.NetworkSettings != nil && !slices.Contains([]string{"none", "host"}, string(host.NetworkMode)) {
		for name, at := range r.NetworkSettings.Networks {
			networks.EndpointsConfig[name] = &network.EndpointSettings{Aliases: slices.DeleteFunc(slices.Clone(at.Aliases), func(alias string) bool {
				return strings.HasPrefix(r.ID, alias)
			}), IPAMConfig: at.IPAMConfig, Links: at.Links, DriverOpts: at.DriverOpts}
		}
	}
	_, err := e.API.ContainerCreate(ctx, client.ContainerCreateOptions{Config: &config, HostConfig: &host, NetworkingConfig: networks, Name: c.Name})
	return e.Explain("create container "+c.Name, err)
}

// makeNetwork makes a network that the set recorded, with the labels by which
// Compose knows it as its own.
func (e *Engine) makeNetwork(ctx context.Context, name string, specs Specs) error {
	_, err := e.API.NetworkInspect(ctx, name, client.NetworkInspectOptions{})
	if err == nil || !cerrdefs.IsNotFound(err) {
		return e.Explain("inspect network "+name, err)
	}
	i := slices.IndexFunc(specs.Networks, func(n network.Inspect) bool { return n.Name == name })
	if i < 0 {
		return &holdfast.Problem{
			Class: holdfast.Refused, What: "network " + name + " does not exist",
			Why: "Containers of the node were in it, and it is not of the node's own.",
			Do:  "`docker network create " + name + "`, and restore again.",
		}
	}
	n := specs.Networks[i]
	_, err = e.API.NetworkCreate(ctx, n.Name, client.NetworkCreateOptions{
		Driver: n.Driver, Internal: n.Internal, Attachable: n.Attachable, Options: n.Options, Labels: n.Labels,
	})
	return e.Explain("create network "+n.Name, err)
}

// makeVolume makes a volume as the set recorded it.
func (e *Engine) makeVolume(ctx context.Context, name string, specs Specs) error {
	_, err := e.API.VolumeInspect(ctx, name, client.VolumeInspectOptions{})
	if err == nil || !cerrdefs.IsNotFound(err) {
		return e.Explain("inspect volume "+name, err)
	}
	o := client.VolumeCreateOptions{Name: name}
	for _, v := range specs.Volumes {
		if v.Name == name {
			o.Driver, o.DriverOpts, o.Labels = v.Driver, v.Options, v.Labels
		}
	}
	_, err = e.API.VolumeCreate(ctx, o)
	return e.Explain("create volume "+name, err)
}

// rename gives a container another name.
func (e *Engine) rename(ctx context.Context, from, to string) error {
	_, err := e.API.ContainerRename(ctx, from, client.ContainerRenameOptions{NewName: to})
	return e.Explain("rename container "+from+" to "+to, err)
}

// remove removes a stopped container and none of its volumes; one that is not
// there is as good as removed.
func (e *Engine) remove(ctx context.Context, name string) error {
	_, err := e.API.ContainerRemove(ctx, name, client.ContainerRemoveOptions{})
	if cerrdefs.IsNotFound(err) {
		return nil
	}
	return e.Explain("remove container "+name, err)
}
