package compose

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/api/types/volume"

	"holdfast"
)

const recordedDirectory = "/opt/splice-node/docker-compose/validator"

// recordedSpecs are those of a node that ran as project splice-validator.
func recordedSpecs(t *testing.T) Specs {
	t.Helper()
	raw, err := json.Marshal(map[string]any{
		"Id": strings.Repeat("ab", 32), "Name": "/splice-validator-postgres-splice-1",
		"Config": map[string]any{"Image": "postgres:14", "Env": []string{"PGDATA=/var/lib/postgresql/data/pgdata"}, "Labels": map[string]string{
			label + "project": "splice-validator", label + "service": "postgres-splice", label + "project.working_dir": recordedDirectory,
			label + "project.config_files": recordedDirectory + "/compose.yaml,/etc/node/own.yaml"}},
		"HostConfig": map[string]any{"NetworkMode": "splice-validator_splice_validator", "Binds": []string{
			"splice-validator_postgres-splice:/var/lib/postgresql/data:rw", recordedDirectory + "/postgres-entrypoint.sh:/postgres-entrypoint.sh:rw", "shared:/shared", "/etc/hosts:/hosts:ro"}},
		"Mounts": []any{
			map[string]any{"Type": "volume", "Name": "splice-validator_postgres-splice", "Destination": "/var/lib/postgresql/data"},
			map[string]any{"Type": "volume", "Name": "shared", "Destination": "/shared"},
			map[string]any{"Type": "bind", "Source": recordedDirectory + "/postgres-entrypoint.sh", "Destination": "/postgres-entrypoint.sh"}},
		"NetworkSettings": map[string]any{"Networks": map[string]any{"splice-validator_splice_validator": map[string]any{"Aliases": []string{"splice-validator-postgres-splice-1", "postgres-splice"}}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	own := map[string]string{label + "project": "splice-validator", label + "config-hash": "covers the name"}
	return Specs{Containers: []json.RawMessage{raw},
		Volumes:  []volume.Volume{{Name: "splice-validator_postgres-splice", Driver: "local", Labels: own}, {Name: "shared", Driver: "local"}},
		Networks: []network.Inspect{{Network: network.Network{Name: "splice-validator_splice_validator", Labels: own}}}}
}

// What Compose has named after the project is renamed, the bundle's files are
// where they are now, and everything else stays.
func TestANodeIsMovedToAnotherSite(t *testing.T) {
	then := Description{Project: "splice-validator", Directory: recordedDirectory}
	s, err := recordedSpecs(t).moved(then, Site{Project: "mine", Directory: "/srv/bundle"})
	if err != nil {
		t.Fatal(err)
	}
	c, err := parseContainer(s.Containers[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct{ what, got, want string }{
		{"name", c.Name, "mine-postgres-splice-1"}, {"project", c.Project, "mine"}, {"directory", c.Directory, "/srv/bundle"},
		{"files", strings.Join(c.Files, " "), "/srv/bundle/compose.yaml /etc/node/own.yaml"},
		{"network", c.Networks[0].Name, "mine_splice_validator"}, {"aliases", strings.Join(c.Networks[0].Aliases, " "), "mine-postgres-splice-1 postgres-splice"},
		{"mode", c.NetworkMode, "mine_splice_validator"},
		{"data", c.data().String(), "mine_postgres-splice"}, {"shared", c.mountOf("/shared").Volume, "shared"}, {"binds", strings.Join(c.Binds, " "), "/srv/bundle/postgres-entrypoint.sh"},
		{"volumes", s.Volumes[0].Name + " " + s.Volumes[1].Name, "mine_postgres-splice shared"}, {"volume's project", s.Volumes[0].Labels[label+"project"], "mine"},
		{"volume's digest", s.Volumes[0].Labels[label+"config-hash"], ""}, {"networks", s.Networks[0].Name, "mine_splice_validator"},
	} {
		if x.got != x.want {
			t.Errorf("%s: got %q, want %q", x.what, x.got, x.want)
		}
	}
	var host struct{ HostConfig struct{ Binds []string } }
	if err := json.Unmarshal(s.Containers[0], &host); err != nil {
		t.Fatal(err)
	}
	if want := []string{"mine_postgres-splice:/var/lib/postgresql/data:rw", "/srv/bundle/postgres-entrypoint.sh:/postgres-entrypoint.sh:rw", "shared:/shared", "/etc/hosts:/hosts:ro"}; !slices.Equal(host.HostConfig.Binds, want) {
		t.Errorf("binds: %q", host.HostConfig.Binds)
	}

	if same, err := recordedSpecs(t).moved(then, Site{}); err != nil || same.Volumes[0].Labels[label+"config-hash"] == "" || string(same.Containers[0]) != string(recordedSpecs(t).Containers[0]) {
		t.Errorf("a node that stays where it was is changed: %v", err)
	}
	bound := recordedSpecs(t)
	bound.Volumes[0].Options = map[string]string{"type": "none", "o": "bind", "device": "/mnt/data"}
	if _, err := bound.moved(then, Site{Project: "mine"}); holdfast.ClassOf(err) != holdfast.Refused {
		t.Errorf("two projects would share a directory: %v", err)
	}
	if kept := (Site{Directory: "/srv/bundle"}).files(holdfast.Set{Deployment: &holdfast.Deployment{Kind: Kind, Own: json.RawMessage(`{"directory": "` + recordedDirectory + `"}`), Kept: []holdfast.KeptFile{{Path: recordedDirectory + "/.env"}, {Path: "/etc/node/own.yaml"}}}}); kept[0].Path != "/srv/bundle/.env" || kept[1].Path != "/etc/node/own.yaml" {
		t.Errorf("kept files: %+v", kept)
	}
}

// The daemon lists the mounts of a container in any order; what is planned for
// them comes in one order, or the plan that was confirmed would not be the one
// that is carried out.
func TestMountsComeInOneOrder(t *testing.T) {
	mounts := []any{
		map[string]any{"Type": "bind", "Source": "/srv/a", "Destination": "/z"},
		map[string]any{"Type": "volume", "Name": "three", "Destination": "/c"},
		map[string]any{"Type": "volume", "Name": "one", "Destination": "/a"},
		map[string]any{"Type": "bind", "Source": "/srv/z", "Destination": "/d"},
		map[string]any{"Type": "volume", "Name": "two", "Destination": "/b"},
	}
	for range 8 {
		mounts = append(mounts[1:], mounts[0])
		raw, err := json.Marshal(map[string]any{"Id": "x", "Name": "/x", "Mounts": mounts})
		if err != nil {
			t.Fatal(err)
		}
		c, err := parseContainer(raw)
		if err != nil || strings.Join(c.Volumes, " ") != "one two three" || strings.Join(c.Binds, " ") != "/srv/z /srv/a" {
			t.Errorf("%v: volumes %q, binds %q", err, c.Volumes, c.Binds)
		}
	}
}
