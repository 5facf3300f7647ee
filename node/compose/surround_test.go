package compose

import (
	"slices"
	"testing"

	"holdfast/step"
)

// running are the containers of a node, up or not.
func running(up ...string) []Container {
	var out []Container
	for name, variable := range map[string]string{
		"postgres": "POSTGRES_USER", "participant": "CANTON_PARTICIPANT_POSTGRES_DB", "validator": "SPLICE_APP_VALIDATOR_PARTY_HINT",
	} {
		c := Container{ID: name, Name: name, Service: name, State: "exited", Restart: Restart{Name: "always"}}
		c.Env.values = map[string]string{variable: "x"}
		if slices.Contains(up, name) {
			c.State = "running"
		}
		out = append(out, c)
	}
	return out
}

// What an undo does with a node's programs is what it has to, in every state
// that they may be in.
func TestAWayBackIsSurrounded(t *testing.T) {
	rename := step.Step{Act: step.Rename, Kind: step.Server, Name: "participant", Moves: []step.Move{{From: "a", To: "b"}}}
	drop := step.Step{Act: step.Drop, Kind: step.Database, Name: "new", Of: "participant"}
	stopP := step.Step{Act: step.Stop, Kind: step.Container, Name: "participant", Of: "participant"}
	startP := step.Step{Act: step.Start, Kind: step.Container, Name: "participant", Of: "participant"}
	enableP := step.Step{Act: step.EnableRestart, Kind: step.Container, Name: "participant", Of: "participant", Policy: "always"}
	for _, c := range []struct {
		name string
		up   []string
		back []step.Step
		want []string
	}{
		{"nothing to undo", []string{"postgres", "participant", "validator"}, nil, nil},
		{"a node that runs", []string{"postgres", "participant", "validator"}, []step.Step{rename}, []string{
			"disable restart container validator: always", "stop container validator",
			"disable restart container participant: always", "stop container participant", "rename a to b",
			"start container participant, wait until it is ready", "enable restart container participant: always",
			"start container validator, wait until it is ready", "enable restart container validator: always"}},
		{"a node that is stopped", []string{"postgres"}, []step.Step{rename}, []string{"rename a to b"}},
		{"all of it is stopped", nil, []step.Step{rename}, []string{"start container postgres, wait until it is ready", "rename a to b"}},
		{"what was built is dropped", []string{"postgres", "participant", "validator"}, []step.Step{drop}, []string{"drop database new"}},
		{"steps that change nothing", []string{"postgres", "participant", "validator"}, []step.Step{drop, startP, enableP}, []string{"drop database new"}},
		{"a way back that starts by itself", []string{"postgres", "participant"}, []step.Step{stopP, rename, startP, enableP}, []string{
			"stop container participant", "rename a to b", "start container participant"}},
		{"somebody has started a program", []string{"postgres", "participant"}, []step.Step{rename, startP, enableP}, []string{
			"disable restart container participant: always", "stop container participant", "rename a to b", "start container participant",
			"enable restart container participant: always"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := &Programs{Node: NewNode(nil, Bundle{Project: "p"})}
			list, err := p.among(running(c.up...)).complete(t.Context(), c.back)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, s := range list {
				got = append(got, s.String())
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("got  %q\nwant %q", got, c.want)
			}
		})
	}
}
