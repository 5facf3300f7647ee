package compose

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"

	"holdfast"
)

// pools are the addresses from which Docker gives networks theirs, if it is not
// configured otherwise.
var pools = []netip.Prefix{
	netip.MustParsePrefix("172.17.0.0/16"), netip.MustParsePrefix("172.18.0.0/15"), netip.MustParsePrefix("172.20.0.0/14"),
	netip.MustParsePrefix("172.24.0.0/13"), netip.MustParsePrefix("192.168.0.0/16"),
}

// addressed reports whether anything depends on a network's addresses: a
// container that has chosen one, or somebody who has chosen those of the whole.
func (s Specs) addressed(n network.Inspect) bool {
	if len(s.chosen(n.Name)) > 0 {
		return true
	}
	return slices.ContainsFunc(n.IPAM.Config, func(c network.IPAMConfig) bool {
		drawn := slices.ContainsFunc(pools, func(p netip.Prefix) bool {
			return c.Subnet.IsValid() && p.Contains(c.Subnet.Addr()) && c.Subnet.Bits() >= p.Bits()
		})
		return c.IPRange.IsValid() || len(c.AuxAddress) > 0 || !drawn
	})
}

// chosen are the addresses in a network that containers have chosen.
func (s Specs) chosen(network string) []netip.Addr {
	var out []netip.Addr
	for _, raw := range s.Containers {
		var r container.InspectResponse
		if json.Unmarshal(raw, &r) != nil || r.NetworkSettings == nil {
			continue
		}
		if at := r.NetworkSettings.Networks[network]; at != nil && given(at.IPAMConfig) != nil {
			for _, a := range []netip.Addr{at.IPAMConfig.IPv4Address, at.IPAMConfig.IPv6Address} {
				if a.IsValid() {
					out = append(out, a)
				}
			}
		}
	}
	return out
}

// addressesTaken refuses a network that the node's containers need as it was.
func addressesTaken(name, by string) error {
	return &holdfast.Problem{
		Class: holdfast.Refused, What: fmt.Sprintf("network %s has addresses that network %s has here", name, by),
		Why: "Containers of the node have chosen addresses in it.",
		Do:  "Remove the other network, `docker network rm " + by + "`, and restore again.",
	}
}

// fits refuses a network that is there and that is not what the node's
// containers need of it.
func (s Specs) fits(recorded, there network.Inspect) error {
	var differ []string
	note := func(what string, same bool) {
		if !same {
			differ = append(differ, what)
		}
	}
	note("driver "+there.Driver, there.Driver == recorded.Driver)
	note("access to the outside", there.Internal == recorded.Internal)
	note("IPv6", there.EnableIPv6 || !recorded.EnableIPv6)
	for _, a := range s.chosen(recorded.Name) {
		note("no address "+a.String(), slices.ContainsFunc(there.IPAM.Config, func(c network.IPAMConfig) bool {
			return c.Subnet.IsValid() && c.Subnet.Contains(a)
		}))
	}
	if len(differ) == 0 {
		return nil
	}
	return &holdfast.Problem{
		Class: holdfast.Refused,
		What:  fmt.Sprintf("network %s is not what the set recorded: %s", recorded.Name, strings.Join(differ, ", ")),
		Why:   "The node's containers could not reach each other as they did.",
		Do:    "Remove it, `docker network rm " + recorded.Name + "`, and restore again: it is made as it was.",
	}
}
