package compose

import (
	"bytes"
	"encoding/json"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/moby/moby/api/types/network"
)

// made is a container as a daemon describes it.
func made(t *testing.T, id, name string, host, networks map[string]any, mounts ...any) json.RawMessage {
	t.Helper()
	raw, err := json.Marshal(map[string]any{
		"Id": strings.Repeat(id, 64/len(id)), "Name": "/" + name, "Mounts": mounts, "HostConfig": host,
		"Config":          map[string]any{"Hostname": strings.Repeat(id, 12/len(id)), "Image": "i", "Env": []string{"B=2", "A=1"}},
		"NetworkSettings": map[string]any{"Networks": networks},
	})
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func recipeIn(t *testing.T, s Specs, i int) recipe {
	t.Helper()
	c, err := parseContainer(s.Containers[i])
	if err != nil {
		t.Fatal(err)
	}
	r, err := s.recipeOf(c)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// A recipe has what was chosen for a container, and nothing of what the daemon
// has given to that one alone.
func TestARecipe(t *testing.T) {
	volume := strings.Repeat("0123456789abcdef", 4)
	main := made(t, "ab", "node-participant-1", map[string]any{"NetworkMode": "node_b", "RestartPolicy": map[string]any{"Name": "always"}},
		map[string]any{
			"node_a": map[string]any{"Aliases": []string{"participant", strings.Repeat("ab", 6)}, "MacAddress": "02:42:ac:12:00:03", "IPAddress": "172.18.0.3"},
			"node_b": map[string]any{"IPAMConfig": map[string]any{"IPv4Address": "10.9.0.3"}, "MacAddress": "92:d0:c6:0a:29:33", "IPAddress": "10.9.0.3"},
		},
		map[string]any{"Type": "volume", "Name": volume, "Destination": "/data", "RW": true})
	other := made(t, "cd", "node-probe-1", map[string]any{
		"NetworkMode": "container:" + strings.Repeat("ab", 32), "VolumesFrom": []string{strings.Repeat("ab", 32) + ":ro"}, "RestartPolicy": map[string]any{"Name": ""},
	}, nil)
	other = bytes.Replace(other, []byte(strings.Repeat("cd", 6)+`"`), []byte(strings.Repeat("ab", 6)+`"`), 1) // Docker gives it the other's
	s := Specs{Containers: []json.RawMessage{other, main}}
	r := recipeIn(t, s, 1)
	if r.config.Hostname != "" || string(r.host.RestartPolicy.Name) != "no" || !slices.Equal(r.host.Binds, []string{volume + ":/data"}) {
		t.Errorf("%q %q %q", r.config.Hostname, r.host.RestartPolicy.Name, r.host.Binds)
	}
	if len(r.networks) != 2 || r.networks[0].name != "node_b" || r.networks[0].at.MacAddress.String() != "92:d0:c6:0a:29:33" ||
		r.networks[1].at.MacAddress != nil || !slices.Equal(r.networks[1].at.Aliases, []string{"participant"}) {
		t.Errorf("networks %+v", r.networks)
	}
	probe := recipeIn(t, s, 0)
	if probe.config.Hostname != "" {
		t.Errorf("a container in another one's network is given the name %q", probe.config.Hostname)
	}
	if probe.host.NetworkMode != "container:node-participant-1" || probe.host.VolumesFrom[0] != "node-participant-1:ro" || len(probe.networks) > 0 ||
		probe.host.RestartPolicy.Name != "" {
		t.Errorf("%+v", probe.host)
	}
	var list []Container
	for _, raw := range s.Containers {
		c, _ := parseContainer(raw)
		list = append(list, c)
	}
	if first := byNeed(list, s)[0].Name; first != "node-participant-1" {
		t.Errorf("%s is made first", first)
	}
}

// Two containers are equal when all that was chosen is; whose id it is does not
// count, and a difference names its field and no value.
func TestPortrayals(t *testing.T) {
	portray := func(raw json.RawMessage) portrayal {
		t.Helper()
		p, err := portrayed(raw, nil)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	networks := func(aliases ...string) map[string]any { return map[string]any{"n": map[string]any{"Aliases": aliases}} }
	was := portray(made(t, "ab", "c", map[string]any{"ShmSize": 64, "CapAdd": nil, "Binds": []string{"v:/v"}}, networks("db", strings.Repeat("ab", 6)),
		map[string]any{"Type": "volume", "Name": "v", "Destination": "/v"}))
	same := portray(made(t, "cd", "c", map[string]any{"ShmSize": 64, "CapAdd": []string{}, "RestartPolicy": map[string]any{"Name": "no"}}, networks(strings.Repeat("cd", 6), "db"),
		map[string]any{"Type": "volume", "Name": "v", "Destination": "/v"}))
	if d := differ("c", was, same); len(d) > 0 {
		t.Errorf("they differ: %v", d)
	}
	is := portray(made(t, "cd", "c", map[string]any{"ShmSize": 32, "CapAdd": []string{"NET_ADMIN"}}, networks("database")))
	var got []string
	for _, d := range differ("c", was, is) {
		got = append(got, d.Field)
	}
	if want := []string{"HostConfig.CapAdd", "HostConfig.ShmSize", "mounts", "networks"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if err := matter("c", differ("c", was, is)); err == nil || strings.Contains(err.Error(), "ShmSize") || !strings.Contains(err.Error(), "CapAdd, mounts, networks") {
		t.Errorf("what matters: %v", err)
	}
}

func TestAddressesOfARehearsal(t *testing.T) {
	moved := map[netip.Prefix]netip.Prefix{}
	out := readdressed([]network.IPAMConfig{
		{Subnet: netip.MustParsePrefix("10.9.4.0/22"), Gateway: netip.MustParseAddr("10.9.7.254"), IPRange: netip.MustParsePrefix("10.9.5.0/24")},
		{Subnet: netip.MustParsePrefix("fd00:1::/64")},
	}, moved)
	if got := out[0].Subnet.String() + " " + out[0].Gateway.String() + " " + out[0].IPRange.String(); got != "100.64.0.0/22 100.64.3.254 100.64.1.0/24" {
		t.Errorf("got %s", got)
	}
	if got := across(netip.MustParseAddr("fd00:1::11"), moved).String(); got != "fd5e:ed00:1::11" {
		t.Errorf("got %s", got)
	}
	if got := across(netip.MustParseAddr("192.0.2.1"), moved).String(); got != "192.0.2.1" {
		t.Errorf("an address of no network is %s", got)
	}
}

// What depends on the addresses of a network, and what does not.
func TestNetworksWhoseAddressesMatter(t *testing.T) {
	chosen := made(t, "ab", "c", map[string]any{}, map[string]any{"fixed": map[string]any{"IPAMConfig": map[string]any{"IPv4Address": "172.20.0.9"}}})
	s := Specs{Containers: []json.RawMessage{chosen}}
	net := func(name, subnet string) network.Inspect {
		return network.Inspect{Network: network.Network{Name: name, Driver: "bridge", IPAM: network.IPAM{Config: []network.IPAMConfig{{Subnet: netip.MustParsePrefix(subnet)}}}}}
	}
	for _, c := range []struct {
		n    network.Inspect
		want bool
	}{{net("drawn", "172.20.0.0/16"), false}, {net("fixed", "172.20.0.0/16"), true}, {net("own", "10.1.0.0/24"), true}} {
		if got := s.addressed(c.n); got != c.want {
			t.Errorf("%s: %t", c.n.Name, got)
		}
	}
	if err := s.fits(net("fixed", "172.20.0.0/16"), net("fixed", "172.20.0.0/24")); err != nil {
		t.Error(err)
	}
	if err := s.fits(net("fixed", "172.20.0.0/16"), net("fixed", "172.21.0.0/16")); err == nil || !strings.Contains(err.Error(), "no address 172.20.0.9") {
		t.Errorf("a network without an address that is needed: %v", err)
	}
}

// Nothing of a server's data is taken for a file of the set-up, wherever it is
// and whoever runs it; a directory that holds more than a set-up is said to.
func TestWhatIsKeptOfWhatIsMounted(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o640); err != nil {
			t.Fatal(err)
		}
	}
	write("live/PG_VERSION", "15")
	write("bundle/conf/a", "a")
	write("bundle/conf/other/PG_VERSION", "15")
	write("bundle/conf/other/global/pg_control", "secret")
	write("bundle/conf/space/PG_15_202209061/5/1", "secret")
	write("big/one", strings.Repeat("x", mostBytes+1))
	if err := os.Symlink("a", filepath.Join(dir, "bundle/conf/link")); err != nil {
		t.Fatal(err)
	}
	h := &holdings{directories: []Directory{{Path: filepath.Join(dir, "live"), Data: true}}}
	c := Container{Name: "c"}
	bind := func(name string, writable, role bool) {
		h.bind(c, mounted{dataDirectory: dataDirectory{Path: filepath.Join(dir, name), Bound: true}, inside: "/x", writable: writable}, role)
	}
	bind("live", true, true)
	bind("bundle", false, true)
	bind("gone", false, true)
	bind("big", true, true)
	var files []string
	for _, f := range h.files {
		files = append(files, strings.TrimPrefix(f, dir+"/"))
	}
	if !slices.Equal(files, []string{"bundle/conf/a"}) || len(h.links) != 1 || h.links[0].Target != "a" {
		t.Errorf("kept are %q and %v", files, h.links)
	}
	if s := (Specs{Directories: h.directories}); !s.isLive(filepath.Join(dir, "bundle/conf/other/global")) || !s.isLive(filepath.Join(dir, "bundle/conf/space/PG_15_202209061/5")) ||
		s.isLive(filepath.Join(dir, "bundle/conf")) {
		t.Errorf("directories: %+v", h.directories)
	}
	if len(h.notRemade) > 0 || len(h.notKept) != 2 {
		t.Errorf("not kept: %q, cannot be made again: %q", h.notKept, h.notRemade)
	}
	bind("big", false, true)
	if len(h.notRemade) != 1 || !strings.Contains(h.notRemade[0], "big") {
		t.Errorf("cannot be made again: %q", h.notRemade)
	}
}
