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

// serverKey is the label of a participant's container that names the container of
// its server.
const serverKey = "holdfast.drill.server"

// Participant is how a participant is started on a restored database.
type Participant struct {
	Image    docker.Image               // present in the daemon
	Recorded map[string]holdfast.Secret // the environment of the node's own; nil if unknown
	Env      map[string]string          // the operator's variables, which override Recorded
	Memory   int64                      // its limit in bytes; 0: half of the available memory
	Timeout  time.Duration              // until its admin API answers; 10 minutes if 0, as start.sh -w waits
	// Who reads the participant's id and version over a connection to its admin
	// API; the id is "" before it has an identity.
	Who func(ctx context.Context, dial Dialler) (id, version string, err error)
}

// Dialler connects to a port of a container.
type Dialler = func(ctx context.Context, network, address string) (net.Conn, error)

// adminPort is the port of a participant's admin API (Canton:
// docker/canton/images/canton-participant/app.conf).
const adminPort = "5002"

// Boot starts a participant on a database of the server, in the network namespace
// of the server's container, which has only the loopback. It waits until the
// participant reports its id, and removes it. A participant that exits before
// that is a Violation.
func (s *Server) Boot(ctx context.Context, database string, p Participant) (boot record.Boot, err error) {
	boot = record.Boot{Image: p.Image.Name, Digest: cmp.Or(p.Image.Digest, p.Image.ID)}
	server, ok := s.instance.(*box)
	if !ok {
		return boot, &holdfast.Problem{
			Class: holdfast.Usage,
			What:  "a participant needs a container, and so does its Postgres server",
			Do:    "Run the drill in a container: `drill.server: container`.",
		}
	}
	if s.Isolation.Verdict != holdfast.Holds {
		return boot, &holdfast.Problem{
			Class: holdfast.Undetermined,
			What:  "the participant was not started: its sandbox is not proven to be without a network: " + s.Isolation.Evidence,
			Why:   whyOneCopy,
		}
	}
	began := time.Now()
	name := server.name + "-participant"
	server.participants = append(server.participants, name)
	defer func() {
		boot.Took = time.Since(began)
		err = errors.Join(err, remove(server.engine, name))
	}()
	if err := p.start(ctx, server, name, database); err != nil {
		return boot, err
	}
	boot.Participant, boot.Version, err = p.await(ctx, server, name)
	return boot, err
}

const whyOneCopy = "Two running copies of one identity damage the node."

// start creates the container, checks that it has no network but the server's,
// and starts it.
func (p Participant) start(ctx context.Context, server *box, name, database string) error {
	e := server.engine
	r, err := e.API.ContainerInspect(ctx, server.name, client.ContainerInspectOptions{})
	if err != nil {
		return e.Explain("inspect container "+server.name, err)
	}
	within := "container:" + r.Container.ID
	memory := p.Memory
	if memory == 0 {
		available, _, err := Daemon{Engine: e}.resources(ctx)
		if err != nil {
			return err
		}
		memory = available / 2
	}
	own := labels("a participant of " + server.name)
	own[serverKey] = r.Container.ID
	_, err = e.API.ContainerCreate(ctx, client.ContainerCreateOptions{
		Name: name,
		Config: &container.Config{
			Image:       p.Image.ID,
			Env:         p.environment(database),
			Labels:      own,
			Healthcheck: &container.HealthConfig{Test: []string{"NONE"}},
		},
		HostConfig: &container.HostConfig{
			NetworkMode: container.NetworkMode(within),
			OomScoreAdj: 1000,
			Resources:   container.Resources{Memory: memory, CPUShares: lastShares},
		},
	})
	if err != nil {
		return e.Explain("create container "+name, err)
	}
	created, err := e.API.ContainerInspect(ctx, name, client.ContainerInspectOptions{})
	if err != nil {
		return e.Explain("inspect container "+name, err)
	}
	if mode := created.Container.HostConfig.NetworkMode; string(mode) != within {
		return &holdfast.Problem{
			Class: holdfast.Refused,
			What:  fmt.Sprintf("the participant was not started: Docker gave its container the network %s", mode),
			Why:   whyOneCopy,
		}
	}
	_, err = e.API.ContainerStart(ctx, name, client.ContainerStartOptions{})
	return e.Explain("start container "+name, err)
}

// basics are the variables that a participant's image requires, as a node without
// authentication sets them (Splice: cluster/compose/validator/compose.yaml and
// compose-disable-auth.yaml).
var basics = map[string]string{
	"CANTON_PARTICIPANT_ADMIN_USER_NAME": "ledger-api-user",
	"AUTH_TARGET_AUDIENCE":               "https://unsafe.example.com",
	"AUTH_JWKS_URL":                      "https://unsafe.example.com",
	"ADDITIONAL_CONFIG_DISABLE_AUTH":     "canton.participants.participant.ledger-api.auth-services=[]",
}

// nodePrefixes begin the names of variables whose value is the node's, even if
// the image has its own.
var nodePrefixes = []string{"CANTON_", "AUTH_", "ADDITIONAL_CONFIG", "LOG_"}

// environment is the node's own, except for the database and for the image's own
// variables. A node with its own authentication keeps it.
func (p Participant) environment(database string) []string {
	values := map[string]string{}
	for name, value := range p.Recorded {
		values[name] = value.Reveal()
	}
	for _, pair := range p.Image.Env {
		name, _, _ := strings.Cut(pair, "=")
		if !slices.ContainsFunc(nodePrefixes, func(prefix string) bool { return strings.HasPrefix(name, prefix) }) {
			delete(values, name)
		}
	}
	if len(p.Recorded) == 0 {
		maps.Copy(values, basics)
	}
	maps.Copy(values, p.Env)
	const postgres = "CANTON_PARTICIPANT_POSTGRES_"
	values[postgres+"SCHEMA"] = cmp.Or(values[postgres+"SCHEMA"], "participant")
	for name, value := range map[string]string{
		"SERVER": "127.0.0.1", "PORT": "5432", "DB": database, "USER": "postgres", "PASSWORD": "none",
	} {
		values[postgres+name] = value
	}
	out := make([]string, 0, len(values))
	for name, value := range values {
		out = append(out, name+"="+value)
	}
	slices.Sort(out)
	return out
}

// identityTimeout is how long a participant that answers may be without an
// identity: it reads its database only after its admin API is up.
const identityTimeout = time.Minute

// await polls the participant until it reports its id, exits, or times out.
func (p Participant) await(ctx context.Context, server *box, name string) (id, version string, err error) {
	e := server.engine
	until := time.Now().Add(cmp.Or(p.Timeout, 10*time.Minute))
	var first time.Time
	for {
		r, failed := e.API.ContainerInspect(ctx, name, client.ContainerInspectOptions{})
		if failed != nil {
			return "", "", e.Explain("inspect container "+name, failed)
		}
		if state := r.Container.State; state != nil && !state.Running {
			return "", "", &holdfast.Problem{
				Class: holdfast.Violation,
				What: fmt.Sprintf("the participant exited with code %d before it reported its id; its last lines: %s",
					state.ExitCode, e.Complaints(ctx, name)),
			}
		}
		id, version, err = p.Who(ctx, func(ctx context.Context, _, _ string) (net.Conn, error) {
			return e.Dial(ctx, server.name, adminPort)
		})
		now := time.Now()
		if err == nil && first.IsZero() {
			first = now
		}
		switch {
		case ctx.Err() != nil:
			return "", "", ctx.Err()
		case err == nil && (id != "" || now.Sub(first) > identityTimeout):
			return id, version, nil
		case now.After(until):
			return "", "", &holdfast.Problem{
				Class: holdfast.Undetermined,
				What: fmt.Sprintf("the participant runs, but does not report its id; its last lines: %s",
					e.Complaints(ctx, name)),
				Err: err,
				Do:  "Raise its time limit, `drill.boot.patience`, or its memory, `drill.boot.memory`.",
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(500 * time.Millisecond):
		}
	}
}
