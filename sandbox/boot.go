package sandbox

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"holdfast"
	"holdfast/internal/docker"
	"holdfast/record"
)

// serverKey names, on a participant's container, the container of its server.
const serverKey = "holdfast.drill.server"

// Participant is how a participant is started on a restored database.
type Participant struct {
	Image    docker.Image               // one that is there
	Recorded map[string]holdfast.Secret // what the node's own was started with; nil where that is not known
	Env      map[string]string          // the operator's, which count before those
	Memory   int64                      // bytes it may take; 0 for half of what could be used
	Patience time.Duration              // until its admin API answers; 10 minutes if 0, as start.sh -w waits
	// Who asks the participant who it is and what it runs; "" is one without an
	// identity. The connection leads to its admin API.
	Who func(ctx context.Context, dial func(ctx context.Context, network, address string) (net.Conn, error)) (id, version string, err error)
}

// adminPort is that of a participant's admin API (Canton: docker/canton/images/
// canton-participant/app.conf).
const adminPort = "5002"

// Boot starts a participant on a database of the server, in the network
// namespace of the server's container, where the loopback is all there is. It
// waits until the participant says who it is, and removes it. A participant
// that ends before it has said so is a Violation.
func (s *Server) Boot(ctx context.Context, database string, p Participant) (said record.Boot, err error) {
	said = record.Boot{Image: p.Image.Name, Digest: cmp.Or(p.Image.Digest, p.Image.ID)}
	server, ok := s.life.(*box)
	if !ok {
		return said, &holdfast.Problem{Class: holdfast.Usage, What: "a participant is started in a container, beside a server in a container", Do: "Rehearse in a container: `drill.server: container`."}
	}
	if s.Isolation.Verdict != holdfast.Holds {
		return said, &holdfast.Problem{Class: holdfast.Undetermined, What: "the participant was not started: it is not proven that no network is reached from where it would run: " + s.Isolation.Evidence,
			Why: "Two living copies of one identity damage the node."}
	}
	began := time.Now()
	name := server.name + "-participant"
	server.beside = append(server.beside, name)
	defer func() {
		said.Took = time.Since(began)
		err = errors.Join(err, remove(server.engine, name))
	}()
	if err := p.start(ctx, server, name, database); err != nil {
		return said, err
	}
	said.Participant, said.Version, err = p.await(ctx, server, name)
	return said, err
}

// start makes the container and starts it, once it is sure that it has no
// network but the server's.
func (p Participant) start(ctx context.Context, server *box, name, database string) error {
	e := server.engine
	r, err := e.API.ContainerInspect(ctx, server.name, client.ContainerInspectOptions{})
	if err != nil {
		return e.Explain("inspect container "+server.name, err)
	}
	within := "container:" + r.Container.ID
	memory := p.Memory
	if memory == 0 {
		available, _, err := Daemon{Engine: e}.means(ctx)
		if err != nil {
			return err
		}
		memory = available / 2
	}
	own := labels("a participant of " + server.name)
	own[serverKey] = r.Container.ID
	_, err = e.API.ContainerCreate(ctx, client.ContainerCreateOptions{Name: name,
		Config:     &container.Config{Image: p.Image.ID, Env: p.environment(database), Labels: own, Healthcheck: &container.HealthConfig{Test: []string{"NONE"}}},
		HostConfig: &container.HostConfig{NetworkMode: container.NetworkMode(within), OomScoreAdj: 1000, Resources: container.Resources{Memory: memory}},
	})
	if err != nil {
		return e.Explain("create container "+name, err)
	}
	made, err := e.API.ContainerInspect(ctx, name, client.ContainerInspectOptions{})
	if err != nil {
		return e.Explain("inspect container "+name, err)
	}
	if mode := made.Container.HostConfig.NetworkMode; string(mode) != within {
		return &holdfast.Problem{Class: holdfast.Refused, What: fmt.Sprintf("the participant was not started: Docker gave its container the network %s", mode), Why: "Two living copies of one identity damage the node."}
	}
	_, err = e.API.ContainerStart(ctx, name, client.ContainerStartOptions{})
	return e.Explain("start container "+name, err)
}

// basics are what a participant's image asks for and a node without
// authentication gives it (Splice: cluster/compose/validator/compose.yaml and
// compose-disable-auth.yaml).
var basics = map[string]string{
	"CANTON_PARTICIPANT_ADMIN_USER_NAME": "ledger-api-user",
	"AUTH_TARGET_AUDIENCE":               "https://unsafe.example.com",
	"AUTH_JWKS_URL":                      "https://unsafe.example.com",
	"ADDITIONAL_CONFIG_DISABLE_AUTH":     "canton.participants.participant.ledger-api.auth-services=[]",
}

// kept are the beginnings of the names of variables that are the node's
// even where the image has a value of its own for them.
var kept = []string{"CANTON_", "AUTH_", "ADDITIONAL_CONFIG", "LOG_"}

// environment is what the participant is started with: the node's own, but for
// the database, and for what the image says of itself. A node that has its own
// way of authentication keeps it.
func (p Participant) environment(database string) []string {
	values := map[string]string{}
	for name, value := range p.Recorded {
		values[name] = value.Reveal()
	}
	for _, pair := range p.Image.Env {
		name, _, _ := strings.Cut(pair, "=")
		if !slices.ContainsFunc(kept, func(prefix string) bool { return strings.HasPrefix(name, prefix) }) {
			delete(values, name)
		}
	}
	if len(p.Recorded) == 0 {
		maps.Copy(values, basics)
	}
	maps.Copy(values, p.Env)
	const postgres = "CANTON_PARTICIPANT_POSTGRES_"
	values[postgres+"SCHEMA"] = cmp.Or(values[postgres+"SCHEMA"], "participant")
	for name, value := range map[string]string{"SERVER": "127.0.0.1", "PORT": "5432", "DB": database, "USER": "postgres", "PASSWORD": "none"} {
		values[postgres+name] = value
	}
	out := make([]string, 0, len(values))
	for name, value := range values {
		out = append(out, name+"="+value)
	}
	slices.Sort(out)
	return out
}

// nameless is how long a participant that answers may say that it has no
// identity: it reads its database only after its admin API is up.
const nameless = time.Minute

// await asks until there is an answer, and looks whether there is still
// somebody to ask.
func (p Participant) await(ctx context.Context, server *box, name string) (id, version string, err error) {
	e := server.engine
	until := time.Now().Add(cmp.Or(p.Patience, 10*time.Minute))
	var first time.Time
	for {
		r, failed := e.API.ContainerInspect(ctx, name, client.ContainerInspectOptions{})
		if failed != nil {
			return "", "", e.Explain("inspect container "+name, failed)
		}
		if state := r.Container.State; state != nil && !state.Running {
			return "", "", &holdfast.Problem{Class: holdfast.Violation, What: fmt.Sprintf("the participant ended with exit code %d before it said who it is; its last lines: %s", state.ExitCode, e.Complaints(ctx, name))}
		}
		id, version, err = p.Who(ctx, func(ctx context.Context, _, _ string) (net.Conn, error) { return e.Dial(ctx, server.name, adminPort) })
		now := time.Now()
		if err == nil && first.IsZero() {
			first = now
		}
		switch {
		case ctx.Err() != nil:
			return "", "", ctx.Err()
		case err == nil && (id != "" || now.Sub(first) > nameless):
			return id, version, nil
		case now.After(until):
			return "", "", &holdfast.Problem{Class: holdfast.Undetermined, What: fmt.Sprintf("the participant runs, and does not say who it is; its last lines: %s", e.Complaints(ctx, name)), Err: err,
				Do: "`drill.boot.patience` is how long it may take, `drill.boot.memory` how much memory it has."}
		}
		select {
		case <-ctx.Done():
		case <-time.After(500 * time.Millisecond):
		}
	}
}
