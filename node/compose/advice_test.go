package compose

import (
	"context"
	"encoding/json"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"holdfast"
	"holdfast/internal/splicetest/bundle"
	"holdfast/step"
)

// follow types the commands that an error advises; words stand for the capitals
// in them.
func follow(t *testing.T, err error, words ...string) {
	t.Helper()
	if err == nil {
		t.Fatal("nothing was refused")
	}
	_, do := holdfast.Advice(err)
	commands := regexp.MustCompile("`(docker [^`]+)`").FindAllStringSubmatch(do, -1)
	if len(commands) == 0 {
		t.Fatalf("%v: no command is advised: %s", err, do)
	}
	for _, m := range commands {
		cmd := exec.Command("sh", "-c", strings.NewReplacer(words...).Replace(m[1]))
		cmd.Env = bundle.Environ()
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v: %s", m[1], err, out)
		}
	}
}

// What a refusal advises is typed, and leads on.
func TestAdviceOnTheDaemonLeadsOn(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	p := porter(t)
	e, project := p.Node.Engine, p.Node.Project

	t.Run("a container has the helper's name", func(t *testing.T) {
		other := project + "-other"
		_, err := e.API.ContainerCreate(ctx, client.ContainerCreateOptions{
			Name: project + "-holdfast-helper", Config: &container.Config{Image: "postgres:15"},
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = e.dismiss(context.WithoutCancel(ctx), other) })
		follow(t, e.awaitHelper(ctx, project+"-holdfast-helper"), "OTHER", other)
		if err := e.awaitHelper(ctx, project+"-holdfast-helper"); err != nil {
			t.Error(err)
		}
	})
	t.Run("a network was not recorded", func(t *testing.T) {
		name := project + "-net"
		follow(t, p.missingNetwork(ctx, &needs{}, name))
		t.Cleanup(func() { _ = e.removeNetwork(context.WithoutCancel(ctx), name) })
		if err := p.missingNetwork(ctx, &needs{}, name); err != nil {
			t.Error(err)
		}
	})
	t.Run("a network is another one", func(t *testing.T) {
		name := project + "-inner"
		create := exec.Command("docker", "network", "create", "--internal", name)
		create.Env = bundle.Environ()
		if out, err := create.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		recorded := *p
		if err := json.Unmarshal([]byte(`[{"Name": "`+name+`", "Driver": "bridge"}]`), &recorded.Specs.Networks); err != nil {
			t.Fatal(err)
		}
		follow(t, recorded.missingNetwork(ctx, &needs{}, name))
		var n needs
		if err := recorded.missingNetwork(ctx, &n, name); err != nil || len(n.stands) != 1 {
			t.Errorf("got %v, %v", n, err)
		}
	})
	t.Run("a volume was kept of another Postgres", func(t *testing.T) {
		kept, now := p.volume(t, "kept", ""), p.volume(t, "now", "")
		name := project + "-postgres"
		made, err := e.API.ContainerCreate(ctx, client.ContainerCreateOptions{
			Name: name, Config: &container.Config{Image: "postgres:15"},
			HostConfig: &container.HostConfig{Binds: []string{now.Volume + ":/var/lib/postgresql/data"}},
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = e.dismiss(context.WithoutCancel(ctx), made.ID) })
		c, err := e.inspect(ctx, name)
		if err != nil {
			t.Fatal(err)
		}
		of := *p
		of.Node = NewNode(e, Bundle{Project: project, Postgres: &c})
		_, err = of.claim(ctx, step.Step{Act: step.PutBack, Kind: step.Volume, Name: "another", From: kept.Volume})
		follow(t, err)
	})
}

// A doubt is settled by what its refusal advises.
func TestAdviceOnADoubtLeadsOn(t *testing.T) {
	all := node(t, "splice-validator", "participant-4", "postgres-splice", "exited")
	for _, c := range all {
		if c.Service == "participant" {
			c.ID, c.Name = "copy", "copy"
			all = append(all, c)
		}
	}
	_, err := Choose(all, Site{})
	_, do := holdfast.Advice(err)
	m := regexp.MustCompile("`holdfast init --service ([a-z]+)=([^`]+)`").FindStringSubmatch(do)
	if m == nil {
		t.Fatalf("%v: %s", err, do)
	}
	b, err := Choose(all, Site{Services: map[string]string{m[1]: m[2]}})
	if err != nil || b.Participant.Name != m[2] {
		t.Errorf("got %v, %v", b.Participant, err)
	}
}
