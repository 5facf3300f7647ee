package compose

import (
	"os"
	"reflect"
	"testing"

	"holdfast"
	"holdfast/manifest"
)

// What a set of manifest version 1 kept of a compose node is read as what sets
// keep now.
func TestTheDescriptionInASetOfVersion1(t *testing.T) {
	in, err := os.Open("../../testdata/set-v1-compose.json")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = in.Close() }()
	set, err := manifest.Read(in)
	if err != nil {
		t.Fatal(err)
	}
	got, err := Describe(set.Deployment)
	if err != nil {
		t.Fatal(err)
	}
	want := Description{
		Project: "splice-validator", Engine: "6d0f8c52-3c1d-4f0f-8e21-0f5f3a3b9c11", Directory: "/opt/splice-node/docker-compose/validator",
		Containers: []Described{
			{Service: "postgres-splice", Name: "splice-validator-postgres-splice-1", ID: "aa11", ImageID: "sha256:0a0a"},
			{Service: "participant", Name: "splice-validator-participant-1", ID: "bb22", ImageID: "sha256:2c2c"},
			{Service: "validator", Name: "splice-validator-validator-1", ID: "cc33", ImageID: "sha256:3d3d"},
		},
		Start: Start{
			PartyHint: "demo-validator-1", Identifier: "demo-validator-1", MigrationID: "4", Auth: "none",
			Sponsor: "https://sv.example.com", Scan: "https://scan.example.com", Overlays: []string{"compose-disable-auth.yaml"},
		},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("the description is %+v,\nwant %+v", got, want)
	}
	if image := got.ImageID("splice-validator-participant-1"); image != "sha256:2c2c" {
		t.Errorf("the participant's image is %q", image)
	}
}

// A node of another kind, or of none, has nothing to tell; what is broken is
// no empty description.
func TestDescribeOtherDeployments(t *testing.T) {
	for name, d := range map[string]*holdfast.Deployment{"none": nil, "another kind": {Kind: "helm", Own: []byte(`{"project": "x"}`)}, "nothing of its own": {Kind: Kind}} {
		if got, err := Describe(d); err != nil || got.Project != "" {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	if _, err := Describe(&holdfast.Deployment{Kind: Kind, Own: []byte(`{"project": 7}`)}); err == nil {
		t.Error("a broken description is read")
	}
}
