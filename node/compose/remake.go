package compose

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"

	"holdfast"
	"holdfast/event"
	"holdfast/internal/docker"
)

// remake makes a container as it was recorded, puts into it what was put into
// the recorded one, and compares the two field by field. It does not start it,
// and nothing else will: its restart policy is disabled.
func (e *Engine) remake(ctx context.Context, c Container, specs Specs, events event.Listener) error {
	r, err := specs.recipeOf(c)
	if err != nil {
		return err
	}
	image := docker.Image{Name: c.Image}
	if _, err := e.Have(ctx, image, "Container "+c.Name+" is made from it."); err != nil {
		return err
	}
	if err := e.make(ctx, c.Name, r); err != nil {
		return err
	}
	if err := e.place(ctx, c.Name, specs.placedIn(c.ID)); err != nil {
		return err
	}
	differences, err := e.compare(ctx, c, c.Name, specs)
	if err != nil {
		return err
	}
	for _, d := range differences {
		events.Report(d)
	}
	return matter(c.Name, differences)
}

// make makes a container of a recipe, in all of its networks.
func (e *Engine) make(ctx context.Context, name string, r recipe) error {
	o := client.ContainerCreateOptions{Config: &r.config, HostConfig: &r.host, Name: name}
	first := r.networks[:min(1, len(r.networks))]
	o.NetworkingConfig = &network.NetworkingConfig{EndpointsConfig: map[string]*network.EndpointSettings{}}
	for _, n := range first {
		o.NetworkingConfig.EndpointsConfig[n.name] = n.at
	}
	made, err := e.API.ContainerCreate(ctx, o)
	if err != nil {
		return e.Explain("create container "+name, err)
	}
	for _, n := range r.networks[len(first):] {
		_, err := e.API.NetworkConnect(ctx, n.name, client.NetworkConnectOptions{Container: made.ID, EndpointConfig: n.at})
		if err != nil {
			return e.Explain("connect container "+name+" to network "+n.name, err)
		}
	}
	return nil
}

// makeNetwork makes a network that the set recorded: with its addresses, its
// options, and the labels by which Compose knows it as its own. Addresses that
// another network of this machine has are left out where nothing depends on
// them; the plan has refused before where something does.
func (e *Engine) makeNetwork(ctx context.Context, name string, specs Specs) error {
	_, err := e.API.NetworkInspect(ctx, name, client.NetworkInspectOptions{})
	if err == nil || !cerrdefs.IsNotFound(err) {
		return e.Explain("inspect network "+name, err)
	}
	n, ok := specs.network(name)
	if !ok {
		return notRecorded(name)
	}
	o := networkOptions(n)
	taken, err := e.taken(ctx, n)
	switch {
	case err != nil:
		return err
	case taken != "" && specs.addressed(n):
		return addressesTaken(name, taken)
	case taken != "":
		o.IPAM = nil
	}
	_, err = e.API.NetworkCreate(ctx, n.Name, o)
	return e.Explain("create network "+n.Name, err)
}

func notRecorded(name string) error {
	return &holdfast.Problem{
		Class: holdfast.Refused, What: "network " + name + " does not exist",
		Why: "Containers of the node were in it, and the set does not say how it was made.",
		Do:  "`docker network create " + name + "`, and restore again.",
	}
}

// network is a recorded network.
func (s Specs) network(name string) (network.Inspect, bool) {
	i := slices.IndexFunc(s.Networks, func(n network.Inspect) bool { return n.Name == name })
	if i < 0 {
		return network.Inspect{}, false
	}
	return s.Networks[i], true
}

// networkOptions are how a recorded network is made again.
func networkOptions(n network.Inspect) client.NetworkCreateOptions {
	o := client.NetworkCreateOptions{
		Driver: n.Driver, Internal: n.Internal, Attachable: n.Attachable,
		Options: n.Options, Labels: n.Labels, ConfigFrom: n.ConfigFrom.Network,
	}
	if n.EnableIPv6 {
		o.EnableIPv6 = &n.EnableIPv6
	}
	// Older daemons do not say whether IPv4 is enabled; the addresses do.
	four := slices.ContainsFunc(n.IPAM.Config, func(c network.IPAMConfig) bool { return c.Subnet.Addr().Is4() })
	if !four && !n.EnableIPv4 && n.EnableIPv6 && len(n.IPAM.Config) > 0 {
		off := false
		o.EnableIPv4 = &off
	}
	if o.ConfigFrom == "" && (len(n.IPAM.Config) > 0 || len(n.IPAM.Options) > 0) {
		o.IPAM = &network.IPAM{Driver: n.IPAM.Driver, Options: n.IPAM.Options, Config: n.IPAM.Config}
	}
	return o
}

// taken names the network of this machine that has addresses of a recorded one;
// "" where none has.
func (e *Engine) taken(ctx context.Context, n network.Inspect) (string, error) {
	list, err := e.API.NetworkList(ctx, client.NetworkListOptions{})
	if err != nil {
		return "", e.Explain("list the networks of the Docker daemon at "+e.Host(), err)
	}
	for _, other := range list.Items {
		if other.Name != n.Name && overlap(n.IPAM.Config, other.IPAM.Config) {
			return other.Name, nil
		}
	}
	return "", nil
}

func overlap(a, b []network.IPAMConfig) bool {
	return slices.ContainsFunc(a, func(x network.IPAMConfig) bool {
		return slices.ContainsFunc(b, func(y network.IPAMConfig) bool {
			return x.Subnet.IsValid() && y.Subnet.IsValid() && x.Subnet.Overlaps(y.Subnet)
		})
	})
}

// makeVolume makes a volume as the set recorded it, or a directory in the place
// of one. What Postgres keeps its data in belongs to the user that it did.
func (p *Programs) makeVolume(ctx context.Context, name string) error {
	if strings.HasPrefix(name, "/") {
		return p.makeDirectory(ctx, name)
	}
	e := p.Node.Engine
	_, err := e.API.VolumeInspect(ctx, name, client.VolumeInspectOptions{})
	if err == nil || !cerrdefs.IsNotFound(err) {
		return e.Explain("inspect volume "+name, err)
	}
	if _, err = e.API.VolumeCreate(ctx, p.Specs.volume(name)); err != nil {
		return e.Explain("create volume "+name, err)
	}
	if held, ok := p.Specs.contentsOf(name); ok {
		return p.pour(ctx, name, bytes.NewBuffer(held.Archive))
	}
	return p.own(ctx, dataDirectory{Volume: name})
}

// volume is how a recorded volume is made again.
func (s Specs) volume(name string) client.VolumeCreateOptions {
	o := client.VolumeCreateOptions{Name: name}
	for _, v := range s.Volumes {
		if v.Name == name {
			o.Driver, o.DriverOpts, o.Labels = v.Driver, v.Options, v.Labels
		}
	}
	return o
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

// removeNetwork removes a network that a restore has made. One that others use
// since stays.
func (e *Engine) removeNetwork(ctx context.Context, name string) error {
	_, err := e.API.NetworkRemove(ctx, name, client.NetworkRemoveOptions{})
	if cerrdefs.IsNotFound(err) {
		return nil
	}
	return e.Explain(fmt.Sprintf("remove network %s", name), err)
}

// removeVolume removes a volume that a restore has made.
func (e *Engine) removeVolume(ctx context.Context, name string) error {
	_, err := e.API.VolumeRemove(ctx, name, client.VolumeRemoveOptions{})
	if cerrdefs.IsNotFound(err) {
		return nil
	}
	return e.Explain("remove volume "+name, err)
}
