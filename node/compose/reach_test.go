package compose

import (
	"context"
	"fmt"
	"os/exec"
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
