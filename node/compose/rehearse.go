package compose

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"

	"holdfast"
	"holdfast/event"
)

// Rehearsed is what one part of a rehearsal showed.
type Rehearsed struct {
	Subject string
	holdfast.Finding
}

// Rehearse makes the node a second time from what a set would record of it now:
// its networks, its volumes, its containers, under another project's name, with
// no data and without starting anything. It compares each with its record, and
// removes all of it. What a set would not have is said first.
func (n *Node) Rehearse(ctx context.Context) (out []Rehearsed, err error) {
	now, err := n.fresh(ctx)
	if err != nil {
		return nil, err
	}
	specs, held, err := now.specs(ctx)
	if err != nil {
		return nil, err
	}
	out = append(out, now.record(held))
	images, err := now.images(ctx)
	if err != nil {
		return nil, err
	}
	out = append(out, images...)
	r := rehearsal{Engine: now.Engine, project: n.Project + "-holdfast-rehearsal"}
	if err := r.remove(ctx); err != nil { // what one that was killed has left
		return out, err
	}
	if r.specs, err = r.apart(specs, now.Bundle); err != nil {
		return append(out, Rehearsed{"remake", failed(err)}), nil
	}
	defer func() {
		if left := r.remove(context.WithoutCancel(ctx)); left != nil {
			out = append(out, Rehearsed{"remake", failed(left)})
		}
	}()
	out = append(out, r.run(ctx)...)
	return out, ctx.Err()
}

func failed(err error) holdfast.Finding {
	return holdfast.Finding{Verdict: holdfast.Violated, Evidence: err.Error()}
}

// record says whether a set would have all that it takes.
func (n *Node) record(held *holdings) Rehearsed {
	if len(held.notRemade) > 0 {
		return Rehearsed{"record", holdfast.Finding{Verdict: holdfast.Violated, Evidence: strings.Join(held.notRemade, "; ")}}
	}
	if !n.Engine.Local() {
		return Rehearsed{"record", holdfast.Finding{
			Verdict: holdfast.CannotTell, Evidence: "the bundle's files are on the machine of the Docker daemon " + n.Engine.Host(),
		}}
	}
	return Rehearsed{"record", holdfast.Finding{
		Verdict:  holdfast.Holds,
		Evidence: fmt.Sprintf("%d files, %d directories", len(held.files), len(held.directories)),
	}}
}

// registryPatience is how long a registry may take to say that it has an image.
const registryPatience = 15 * time.Second

// images says of every image whether an empty machine could fetch it.
func (n *Node) images(ctx context.Context) ([]Rehearsed, error) {
	var out []Rehearsed
	var seen []string
	for _, c := range n.All {
		if slices.Contains(seen, c.Image) {
			continue
		}
		seen = append(seen, c.Image)
		out = append(out, Rehearsed{"image " + c.Image, n.fetchable(ctx, c)})
	}
	return out, ctx.Err()
}

func (n *Node) fetchable(ctx context.Context, c Container) holdfast.Finding {
	if c.Digest == "" {
		return holdfast.Finding{
			Verdict:  holdfast.CannotTell,
			Evidence: "it did not come from a registry; `docker save` it, and keep the file with the repository",
		}
	}
	ctx, cancel := context.WithTimeout(ctx, registryPatience)
	defer cancel()
	_, err := n.Engine.API.DistributionInspect(ctx, c.Image, client.DistributionInspectOptions{})
	if err != nil {
		return holdfast.Finding{Verdict: holdfast.CannotTell, Evidence: "its registry does not say that it has it: " + err.Error()}
	}
	return holdfast.Finding{Verdict: holdfast.Holds, Evidence: "its registry has it"}
}

// rehearsal is a second copy of a node next to the first.
type rehearsal struct {
	*Engine
	project string
	specs   Specs
}

// apart is the record as it would be of a node that shares nothing with the one
// that runs: every name and every address is another one.
func (r rehearsal) apart(s Specs, b Bundle) (Specs, error) {
	m := move{
		fromProject: b.Project, toProject: r.project, fromDirectory: b.Directory, toDirectory: b.Directory,
		volumes: map[string]string{}, networks: map[string]string{},
	}
	out := s
	out.Volumes, out.Networks, out.Containers, out.Contents = slices.Clone(s.Volumes), slices.Clone(s.Networks), nil, nil
	for i := range out.Volumes {
		v := &out.Volumes[i]
		m.volumes[v.Name] = r.project + "_" + v.Name
		v.Name, v.Labels = m.volumes[v.Name], m.labels(v.Labels)
	}
	addresses := map[netip.Prefix]netip.Prefix{}
	for i := range out.Networks {
		n := &out.Networks[i]
		if slices.Contains([]string{"bridge", "host", "none"}, n.Name) {
			continue
		}
		m.networks[n.Name] = r.project + "_" + n.Name
		n.Name, n.Labels = m.networks[n.Name], m.labels(n.Labels)
		n.IPAM.Config = readdressed(n.IPAM.Config, addresses)
		n.Options = withoutBridge(n.Options)
	}
	for _, raw := range s.Containers {
		moved, err := m.container(raw)
		if err == nil {
			moved, err = r.unlike(moved, addresses)
		}
		if err != nil {
			return s, err
		}
		out.Containers = append(out.Containers, moved)
	}
	return out, nil
}

// withoutBridge are a network's options without the name of its device, which
// the machine has once.
func withoutBridge(options map[string]string) map[string]string {
	out := map[string]string{}
	for k, v := range options {
		if k != "com.docker.network.bridge.name" {
			out[k] = v
		}
	}
	return out
}

// readdressed moves the addresses of a network to where nobody has any, with the
// same distances between them.
func readdressed(list []network.IPAMConfig, moved map[netip.Prefix]netip.Prefix) []network.IPAMConfig {
	var out []network.IPAMConfig
	for _, c := range list {
		if c.Subnet.IsValid() {
			number := byte(len(moved))
			to := netip.PrefixFrom(netip.AddrFrom4([4]byte{100, 64 + number%64}), c.Subnet.Bits()).Masked() // of carriers (RFC 6598)
			if c.Subnet.Addr().Is6() {
				to = netip.PrefixFrom(netip.AddrFrom16([16]byte{0xfd, 0x5e, 0xed, 0, 0, number}), c.Subnet.Bits()).Masked()
			}
			moved[c.Subnet] = to
			c.Subnet = to
		}
		if c.IPRange.IsValid() {
			c.IPRange = netip.PrefixFrom(across(c.IPRange.Addr(), moved), c.IPRange.Bits())
		}
		c.Gateway = across(c.Gateway, moved)
		aux := map[string]netip.Addr{}
		for name, a := range c.AuxAddress {
			aux[name] = across(a, moved)
		}
		c.AuxAddress = aux
		out = append(out, c)
	}
	return out
}

// across is an address at the other place.
func across(a netip.Addr, moved map[netip.Prefix]netip.Prefix) netip.Addr {
	for from, to := range moved {
		if !a.IsValid() || !from.Contains(a) {
			continue
		}
		host, network := a.AsSlice(), to.Addr().AsSlice()
		for bit := range to.Bits() {
			mask := byte(0x80) >> (bit % 8)
			host[bit/8] = host[bit/8]&^mask | network[bit/8]&mask
		}
		out, _ := netip.AddrFromSlice(host)
		return out
	}
	return a
}

// unlike gives a container a name and addresses that the one that runs does not
// have.
func (r rehearsal) unlike(raw json.RawMessage, moved map[netip.Prefix]netip.Prefix) (json.RawMessage, error) {
	var all map[string]json.RawMessage
	var c container.InspectResponse
	if err := errors.Join(json.Unmarshal(raw, &all), json.Unmarshal(raw, &c)); err != nil {
		return nil, err
	}
	if name := strings.TrimPrefix(c.Name, "/"); !strings.HasPrefix(name, r.project) {
		all["Name"], _ = json.Marshal("/" + r.project + "-" + name)
	}
	if c.NetworkSettings != nil {
		for _, at := range c.NetworkSettings.Networks {
			if at == nil {
				continue
			}
			at.MacAddress = nil
			if at.IPAMConfig != nil {
				at.IPAMConfig = at.IPAMConfig.Copy()
				at.IPAMConfig.IPv4Address = across(at.IPAMConfig.IPv4Address, moved)
				at.IPAMConfig.IPv6Address = across(at.IPAMConfig.IPv6Address, moved)
			}
		}
		var err error
		if all["NetworkSettings"], err = json.Marshal(c.NetworkSettings); err != nil {
			return nil, err
		}
	}
	return json.Marshal(all)
}

// run makes everything, and says of each kind how that went.
func (r rehearsal) run(ctx context.Context) []Rehearsed {
	var out []Rehearsed
	did := func(kind string, count int, errs []error) bool {
		f := holdfast.Finding{Verdict: holdfast.Holds, Evidence: fmt.Sprintf("made again as recorded: %d", count)}
		if err := errors.Join(errs...); err != nil {
			f = failed(err)
		}
		out = append(out, Rehearsed{kind, f})
		return f.Verdict == holdfast.Holds
	}
	var errs []error
	for _, n := range r.specs.Networks {
		errs = append(errs, r.makeNetwork(ctx, n.Name, r.specs))
	}
	good := did("networks", len(r.specs.Networks), errs)
	errs = nil
	for _, v := range r.specs.Volumes {
		o := r.specs.volume(v.Name)
		_, err := r.API.VolumeCreate(ctx, o)
		errs = append(errs, r.Explain("create volume "+v.Name, err))
	}
	if !did("volumes", len(r.specs.Volumes), errs) || !good {
		return out
	}
	list, err := r.ordered()
	if err != nil {
		return append(out, Rehearsed{"containers", failed(err)})
	}
	errs = nil
	var differ []string
	for _, c := range list {
		errs = append(errs, r.remake(ctx, c, r.specs, func(e event.Event) {
			if d, ok := e.(Differs); ok && !d.Matters {
				differ = append(differ, d.String())
			}
		}))
	}
	did("containers", len(list), errs)
	if len(differ) > 0 {
		out = append(out, Rehearsed{"differences that do not matter", holdfast.Finding{
			Verdict: holdfast.Holds, Evidence: strings.Join(differ, "; "),
		}})
	}
	return out
}

// ordered are the containers, those first that others share something with.
func (r rehearsal) ordered() ([]Container, error) {
	var out []Container
	for _, raw := range r.specs.Containers {
		c, err := parseContainer(raw)
		if err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	return byNeed(out, r.specs), nil
}

// remove takes everything away that a rehearsal has made: all of it has the name
// of the rehearsal's project.
func (r rehearsal) remove(ctx context.Context) error {
	list, err := r.everything(ctx, r.project)
	if err != nil {
		return err
	}
	var errs []error
	for _, c := range list {
		errs = append(errs, r.discard(ctx, c.Name))
	}
	named := client.Filters{}.Add("name", r.project)
	volumes, err := r.API.VolumeList(ctx, client.VolumeListOptions{Filters: named})
	errs = append(errs, r.Explain("list volumes", err))
	for _, v := range volumes.Items {
		errs = append(errs, r.removeVolume(ctx, v.Name))
	}
	networks, err := r.API.NetworkList(ctx, client.NetworkListOptions{Filters: named})
	errs = append(errs, r.Explain("list networks", err))
	for _, n := range networks.Items {
		errs = append(errs, r.removeNetwork(ctx, n.Name))
	}
	return errors.Join(errs...)
}
