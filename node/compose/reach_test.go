package compose

import (
	"context"
	"fmt"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"holdfast"
	"holdfast/internal/libpq"
	"holdfast/internal/splicetest/bundle"
)

// Postgres is the first process of its container and takes an orphan that did
// not end well for a session of its own that crashed: whoever comes through
// `docker exec` has to leave none, however the connection ends.
func TestTheRelayLeavesPostgresAlone(t *testing.T) {
	ctx, host := t.Context(), bundle.Require(t)
	name := fmt.Sprintf("relay-%d", time.Now().UnixNano())
	docker := func(args ...string) {
		if out, err := exec.Command("docker", append([]string{"-H", host}, args...)...).CombinedOutput(); err != nil {
			t.Fatalf("docker %v: %v: %s", args, err, out)
		}
	}
	docker("run", "-d", "--name", name, "--network", "none", "-e", "POSTGRES_USER=cnadmin", "-e", "POSTGRES_PASSWORD=supersafe", "postgres:15")
	t.Cleanup(func() { docker("rm", "-f", "-v", name) })
	e, err := Connect(host, 0)
	if err != nil {
		t.Fatal(err)
	}
	reach := &Reach{engine: e, port: "5432", current: func(ctx context.Context) (Container, error) { return e.inspect(ctx, name) }}
	info, err := libpq.Parse("host=relay user=cnadmin dbname=postgres sslmode=disable")
	if err != nil {
		t.Fatal(err)
	}
	target := libpq.Address{Conninfo: info, Dial: reach.Dial,
		Password: func(context.Context) (holdfast.Secret, error) { return holdfast.NewSecret("supersafe"), nil }}

	var stays *pgx.Conn
	for end := time.Now().Add(time.Minute); ; time.Sleep(500 * time.Millisecond) {
		if stays, err = target.Connect(ctx, libpq.Options{}); err == nil {
			break
		}
		if time.Now().After(end) {
			t.Fatal(err)
		}
	}
	defer func() { _ = stays.Close(context.WithoutCancel(ctx)) }()
	for range 3 {
		conn, err := target.Connect(ctx, libpq.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if err := conn.Close(ctx); err != nil {
			t.Error(err)
		}
		cut, err := reach.Dial(ctx, "tcp", "")
		if err != nil {
			t.Fatal(err)
		}
		_ = cut.Close() // without a word
	}
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(200 * time.Millisecond) {
		var others int
		if err := stays.QueryRow(ctx, `SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()`).Scan(&others); err != nil {
			t.Fatalf("a session that had nothing to do with it: %v", err)
		}
		if others == 0 && time.Now().Add(8*time.Second).After(end) {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("%d connections are left", others)
		}
	}
	if way := reach.Way(); way != ByExec {
		t.Errorf("the way was %q", way)
	}
}

// A way that the configuration chooses is the only one.
func TestAWayThatIsChosen(t *testing.T) {
	server, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = server.Close() }()
	_, port, _ := net.SplitHostPort(server.Addr().String())
	c := Container{Name: "postgres", Service: "localhost", State: "running", Networks: []Network{{Address: "127.0.0.1"}}}
	elsewhere := c
	elsewhere.Networks = nil
	for _, x := range []struct {
		name string
		c    Container
		way  string
		want string
	}{
		{"by the service's name, and not by the address", c, "name", "the service's name"},
		{"by the address", c, "address", "the container's address"},
		{"by an address that is not there, and by no name", elsewhere, "address", "`reach:` below `compose:`"},
	} {
		b := Bundle{ways: map[string]string{"postgres": x.way}}
		r := NewNode(nil, b).reach("postgres", port)
		r.current = func(context.Context) (Container, error) { return x.c, nil }
		conn, err := r.Dial(t.Context(), "tcp", "")
		if err == nil {
			_ = conn.Close()
		}
		if _, do := holdfast.Advice(err); string(r.Way()) != x.want && !strings.Contains(do, x.want) {
			t.Errorf("%s: went by %q, %v: %s", x.name, r.Way(), err, do)
		}
	}
	outside := node(t, "splice-validator", "participant-4", "db.example", "running")[1:]
	_, err = Choose(outside, Site{Reach: map[string]string{"postgres": "exec"}})
	if holdfast.ClassOf(err) != holdfast.Usage || !strings.Contains(err.Error(), "compose.reach.postgres") {
		t.Errorf("a way to a server in no container: %v", err)
	}
}
