package setup_test

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"holdfast"
	"holdfast/backup"
	"holdfast/config"
	"holdfast/internal/splicetest"
	"holdfast/node/compose"
	"holdfast/repository"
	"holdfast/setup"
)

// A backup of a compose node searches the daemon's containers once, and
// recognises each database once before its first row, however many parts of the
// backup need to know.
func TestABackupFindsOutEverythingOnce(t *testing.T) {
	const password = "of-the-database"
	node := splicetest.NewNode(t, splicetest.NodeOptions{TCP: true, Password: password})
	through := newTap(t, "127.0.0.1:"+strconv.Itoa(node.Participant.Port()))
	daemon := newDaemon(t, through.port(), password, nameOf(t, node.ParticipantDSN()), nameOf(t, node.ValidatorDSN()))
	t.Setenv("PASSWORD_OF_REPOSITORY", "of-the-repository")
	p := opened(t, `
compose: {project: splice-validator, docker_host: 'unix://`+daemon.socket+`'}
repository: {path: repository, password: env:PASSWORD_OF_REPOSITORY}
`)
	set := taken(t, p)
	if ran, err := compose.Describe(set.Deployment); err != nil || ran.Project != "splice-validator" || len(ran.Containers) != 2 {
		t.Errorf("how the node runs is recorded as %+v, %v", ran, err)
	}
	if got := daemon.calls("/containers/json"); got != 1 {
		t.Errorf("the containers were listed %d times", got)
	}
	if through.recognised != 2 {
		t.Errorf("two databases were recognised %d times before the first row", through.recognised)
	}
}

// What works without Docker works where Docker does not.
func TestABrokenDaemonIsNoMatterForTheRepository(t *testing.T) {
	t.Setenv("PASSWORD_OF_REPOSITORY", "of-the-repository")
	p := opened(t, `
compose: {project: splice-validator, docker_host: 'unix:///nowhere/docker.sock'}
repository: {path: repository, password: env:PASSWORD_OF_REPOSITORY}
`)
	r, err := p.Repository(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if list, err := r.Sets(t.Context(), p.Node.Name); err != nil || len(list) != 0 {
		t.Errorf("got %v, %v", list, err)
	}
	if _, err := p.Databases(t.Context()); holdfast.ClassOf(err) != holdfast.Unreachable {
		t.Errorf("got %v", err)
	}
}

// opened are the parts of a configuration whose repository has been created.
func opened(t *testing.T, text string) *setup.Parts {
	t.Helper()
	conf, err := config.Parse(filepath.Join(t.TempDir(), "holdfast.yaml"), []byte("node: demo\n"+text), nil)
	if err != nil {
		t.Fatal(err)
	}
	p, err := setup.Open(conf, setup.Options{Version: "example"})
	if err != nil {
		t.Fatal(err)
	}
	password, err := p.Password(t.Context())
	if err == nil {
		err = repository.Create(t.Context(), conf.Repository.Place, password)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return p
}

// taken takes a set, which has to be proven.
func taken(t *testing.T, p *setup.Parts) (set holdfast.Set) {
	t.Helper()
	err := p.Backup(t.Context(), 0, func(ctx context.Context, job backup.Job) (err error) {
		set, err = job.Run(ctx)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func nameOf(t *testing.T, dsn string) string {
	t.Helper()
	c, err := pgx.ParseConfig(dsn)
	if err != nil {
		t.Fatal(err)
	}
	return c.Database
}

// tap carries connections to a server, and reads what is asked of it.
type tap struct {
	listener net.Listener
	server   string

	mu         sync.Mutex
	begun      bool // a snapshot was taken: rows come next
	recognised int  // before that
}

func newTap(t *testing.T, server string) *tap {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	out := &tap{listener: listener, server: server}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			running.Go(func() { out.carry(conn) })
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		running.Wait()
	})
	return out
}

func (p *tap) port() string {
	_, port, _ := net.SplitHostPort(p.listener.Addr().String())
	return port
}

func (p *tap) carry(client net.Conn) {
	defer func() { _ = client.Close() }()
	server, err := net.Dial("tcp", p.server)
	if err != nil {
		return
	}
	var back sync.WaitGroup
	back.Go(func() {
		_, _ = io.Copy(client, server)
		_ = client.Close()
	})
	_, _ = io.Copy(io.MultiWriter(server, p), client)
	_ = server.Close()
	back.Wait()
}

// Write reads what a client sends.
func (p *tap) Write(sent []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	text := string(sent)
	p.begun = p.begun || strings.Contains(text, "pg_export_snapshot")
	if !p.begun {
		p.recognised += strings.Count(text, "SELECT n.nspname, c.relname, a.attname")
	}
	return len(sent), nil
}

// daemon is a Docker daemon with the containers of a node whose databases are on
// a server outside of the project.
type daemon struct {
	socket     string
	containers map[string]any

	mu    sync.Mutex
	asked map[string]int
}

func newDaemon(t *testing.T, port, password, participant, validator string) *daemon {
	t.Helper()
	d := &daemon{socket: filepath.Join(t.TempDir(), "docker.sock"), asked: map[string]int{}}
	const prefix = "CANTON_PARTICIPANT_POSTGRES_"
	d.containers = map[string]any{
		"p": container("p", "participant", "canton-participant", map[string]string{
			prefix + "SERVER": "127.0.0.1", prefix + "PORT": port, prefix + "DB": participant, prefix + "SCHEMA": "participant",
			prefix + "USER": "postgres", prefix + "PASSWORD": password,
		}),
		"v": container("v", "validator", "validator-app", map[string]string{
			"SPLICE_APP_VALIDATOR_PARTY_HINT": "demo-validator-1",
			"ADDITIONAL_CONFIG_PERSISTENCE": "canton.validator-apps.validator_backend.storage.config.properties {\n" +
				"databaseName = " + validator + "\ncurrentSchema = validator\nserverName = 127.0.0.1\n" +
				"portNumber = " + port + "\nuser = postgres\npassword = " + password + "\n}",
		}),
	}
	listener, err := net.Listen("unix", d.socket)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: d}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
	return d
}

func container(id, service, image string, env map[string]string) any {
	var pairs []string
	for k, v := range env {
		pairs = append(pairs, k+"="+v)
	}
	const label = "com.docker.compose."
	return map[string]any{
		"Id": id, "Name": "/splice-validator-" + service + "-1", "Image": "sha256:" + strings.Repeat("ab", 32),
		"State": map[string]any{"Status": "running", "Running": true},
		"Config": map[string]any{"Image": image + ":0.6.11", "Env": pairs, "Labels": map[string]string{
			label + "project": "splice-validator", label + "service": service, label + "oneoff": "False",
		}},
	}
}

func (d *daemon) calls(path string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.asked[path]
}

// ServeHTTP answers as the Docker Engine API does.
func (d *daemon) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := r.URL.Path
	if strings.HasPrefix(path, "/v1.") {
		path = path[strings.Index(path[1:], "/")+1:]
	}
	d.mu.Lock()
	d.asked[path]++
	d.mu.Unlock()
	w.Header().Set("Api-Version", "1.47")
	w.Header().Set("Content-Type", "application/json")
	answer := func(value any) { _ = json.NewEncoder(w).Encode(value) }
	name := strings.TrimSuffix(strings.TrimPrefix(path, "/containers/"), "/json")
	switch found, ok := d.containers[name]; {
	case path == "/_ping":
	case path == "/info":
		answer(map[string]any{"ID": "daemon", "Name": "machine", "DockerRootDir": "/var/lib/docker"})
	case path == "/containers/json":
		answer([]any{map[string]any{"Id": "p"}, map[string]any{"Id": "v"}})
	case ok:
		answer(found)
	case strings.HasSuffix(path, "/changes"):
		answer([]any{})
	default:
		w.WriteHeader(http.StatusNotFound)
		answer(map[string]any{"message": "no such thing: " + path})
	}
}
