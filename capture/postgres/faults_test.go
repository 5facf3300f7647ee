package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"holdfast"
	"holdfast/capture/postgres"
	"holdfast/content"
	"holdfast/event"
	"holdfast/internal/splicetest"
)

// cutting is a network that breaks every connection of it once so many bytes
// have come through all of them.
type cutting struct {
	left atomic.Int64
}

func (c *cutting) dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return cut{conn, c}, nil
}

type cut struct {
	net.Conn
	network *cutting
}

func (c cut) Read(p []byte) (int, error) {
	if c.network.left.Load() <= 0 {
		_ = c.Conn.Close()
		return 0, io.EOF
	}
	n, err := c.Conn.Read(p)
	c.network.left.Add(-int64(n))
	return n, err
}

func TestALostConnectionFailsTheDump(t *testing.T) {
	server := splicetest.NewServer(t, "")
	s := farm(t, server, "farm")
	for _, bytes := range []int64{50, 3000, 10_000, 100_000, 1_000_000} {
		network := &cutting{}
		network.left.Store(bytes)
		d := dumper(t, s, quick)
		d.Address.Dial = network.dial
		_, err := d.Capture(t.Context(), component(s), clock(), folder(t.TempDir()), holdfast.Earlier{})
		if holdfast.ClassOf(err) != holdfast.Unreachable || advice(err) == " " {
			t.Errorf("after %d bytes: %s: %v", bytes, holdfast.ClassOf(err), err)
		}
		nothingLeft(t, server)
	}
}

func TestEverySessionOfADumpMayBeEnded(t *testing.T) {
	server := splicetest.NewServer(t, "")
	s := farm(t, server, "farm")
	whole, _ := dump(t, "", s, quick)
	failed := 0
	for i := 0; ; i++ {
		var once sync.Once
		ended := false
		out := hooked{folder(t.TempDir()), func(_ context.Context, name string) {
			if strings.Contains(name, ".large/") {
				once.Do(func() {
					ended = one[int](t, s.dsn,
						fmt.Sprintf(`SELECT count(pg_terminate_backend(pid)) FROM (SELECT pid FROM pg_stat_activity
						WHERE application_name ~ '^holdfast dump' ORDER BY backend_start, pid OFFSET %d LIMIT 1) s`,
							i)) == 1
				})
			}
		}}
		c, err := dumper(t, s, quick).Capture(t.Context(), component(s), clock(), out, holdfast.Earlier{})
		nothingLeft(t, server)
		switch {
		case !ended:
			if failed < 3 {
				t.Errorf("of %d sessions only %d were needed", i, failed)
			}
			return
		case err != nil:
			failed++
			if holdfast.ClassOf(err) != holdfast.Unreachable {
				t.Errorf("session %d: %s: %v", i, holdfast.ClassOf(err), err)
			}
		default: // it had done its work
			for j, table := range rowsOf(part(c)).Tables {
				if table.Digest != rowsOf(whole).Tables[j].Digest {
					t.Errorf("session %d: table %s is not the same", i, table.Name)
				}
			}
		}
	}
}

func TestAServerThatEndsFailsTheDump(t *testing.T) {
	server := splicetest.NewServer(t, "")
	s := farm(t, server, "farm")
	for name, end := range map[string]func() error{"in good order": server.Stop, "at once": server.Kill} {
		var once sync.Once
		out := hooked{folder(t.TempDir()), func(_ context.Context, name string) {
			if strings.Contains(name, ".large/") {
				once.Do(func() {
					if err := end(); err != nil {
						t.Error(err)
					}
				})
			}
		}}
		_, err := dumper(t, s, quick).Capture(t.Context(), component(s), clock(), out, holdfast.Earlier{})
		if holdfast.ClassOf(err) != holdfast.Unreachable {
			t.Errorf("%s: %s: %v", name, holdfast.ClassOf(err), err)
		}
		if err := server.Resume(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	c, files := dump(t, "", s, quick)
	proveRestores(t, s, server, c, files)
}

func TestTimeoutsOfARoleDoNotStopADumpOrARestore(t *testing.T) {
	server := splicetest.NewServer(t, "")
	s := farm(t, server, "farm")
	exec1(t, server.DSN("postgres"), `CREATE ROLE hasty SUPERUSER LOGIN`)
	for _, setting := range []string{"statement_timeout = '50ms'", "lock_timeout = '1ms'",
		"idle_in_transaction_session_timeout = '50ms'", "default_transaction_read_only = on"} {
		exec1(t, server.DSN("postgres"), `ALTER ROLE hasty SET `+setting)
	}
	s.dsn = server.DSNAs("hasty", "farm")
	if _, err := dumper(t, s, quick).Look(t.Context(), component(s)); err != nil {
		t.Error(err)
	}
	out := hooked{folder(t.TempDir()), func(_ context.Context, name string) {
		if strings.Contains(name, ".large/") {
			time.Sleep(60 * time.Millisecond)
		}
	}}
	c, err := dumper(t, s, quick).Capture(t.Context(), component(s), clock(), out, holdfast.Earlier{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := load(t, "", server.DSNAs("hasty", "postgres"), "again", part(c), out); err != nil {
		t.Error(err)
	}
}

func TestARestoreOfABrokenSetSaysWhatIsBroken(t *testing.T) {
	server := splicetest.NewServer(t, "")
	s := farm(t, server, "farm")
	c, files := dump(t, "", s, quick)
	var large content.Table
	for _, table := range rowsOf(c).Tables {
		if table.Name == "large" {
			large = table
		}
	}
	file := large.Segments[1].File
	edit := func(name string, change func([]byte) []byte) func(t *testing.T) {
		return func(t *testing.T) {
			path := filepath.Join(string(files), name)
			whole, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = os.WriteFile(path, whole, 0o600) })
			if changed := change(append([]byte{}, whole...)); changed == nil {
				err = os.Remove(path)
			} else {
				err = os.WriteFile(path, changed, 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	flip := func(at int) func([]byte) []byte {
		return func(b []byte) []byte { b[at] ^= 1; return b }
	}
	recount := func(by int64) func(*testing.T) {
		return func(t *testing.T) {
			for i := range rowsOf(c).Tables {
				if rowsOf(c).Tables[i].Name == "large" {
					rowsOf(c).Tables[i].Segments[1].Rows += by
					t.Cleanup(func() { rowsOf(c).Tables[i].Segments[1].Rows -= by })
				}
			}
		}
	}
	for _, f := range []struct {
		name   string
		plant  func(*testing.T)
		want   []string
		class  holdfast.Class
		absent bool
	}{
		{
			name:  "a flipped bit in a value",
			plant: edit(file, flip(5000)),
			want:  []string{`"large"`, "digest"},
			class: holdfast.NotProven,
		},
		{name: "a flipped bit in the signature", plant: edit(file, flip(0)), want: []string{`"large"`, file}},
		{
			name:  "a flipped bit in a length",
			plant: edit(file, flip(len("PGCOPY\n\xff\r\n\x00")+8+2)),
			want:  []string{`"large"`, file},
		},
		{
			name:  "a file cut short",
			plant: edit(file, func(b []byte) []byte { return b[:len(b)/2] }),
			want:  []string{`"large"`, file},
		},
		{
			name:  "an empty file",
			plant: edit(file, func([]byte) []byte { return []byte{} }),
			want:  []string{`"large"`, file},
		},
		{
			name:   "a missing file",
			plant:  edit(file, func([]byte) []byte { return nil }),
			want:   []string{`"large"`, file},
			absent: true,
		},
		{name: "another number of rows", plant: recount(1), want: []string{`"large"`, file, "rows were written"}},
		{
			name:   "a missing schema",
			plant:  edit(rowsOf(c).Schema, func([]byte) []byte { return nil }),
			want:   []string{rowsOf(c).Schema},
			absent: true,
		},
		{
			name:  "a schema cut short",
			plant: edit(rowsOf(c).Schema, func(b []byte) []byte { return b[:len(b)/3] }),
			want:  []string{"pg_restore"},
		},
		{
			name:  "something else for a schema",
			plant: edit(rowsOf(c).Schema, func([]byte) []byte { return []byte("not an archive") }),
			want:  []string{"pg_restore"},
		},
	} {
		t.Run(f.name, func(t *testing.T) {
			f.plant(t)
			_, err := load(t, "", server.DSN("postgres"), "broken", c, files)
			if err == nil {
				t.Fatal("it was restored all the same")
			}
			for _, want := range f.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%v does not name %s", err, want)
				}
			}
			if f.class != "" && holdfast.ClassOf(err) != f.class || holdfast.ClassOf(err) == holdfast.Unreachable {
				t.Errorf("%s: %v", holdfast.ClassOf(err), err)
			}
			if f.absent != errors.Is(err, os.ErrNotExist) {
				t.Errorf("%v", err)
			}
			if n := one[int](t, server.DSN("postgres"),
				`SELECT count(*) FROM pg_database WHERE datname = 'broken'`); n != 0 {
				t.Error("the new database is still there")
			}
		})
	}
	if _, err := load(t, "", server.DSN("postgres"), "whole", c, files); err != nil {
		t.Errorf("the set is whole again: %v", err)
	}
	if _, err := load(t, "", server.DSN("postgres"), "whole", c, files); holdfast.ClassOf(err) != holdfast.Refused {
		t.Errorf("a database that is there: %v", err)
	}
	if one[int](t, server.DSN("whole"), `SELECT count(*) FROM large`) != 1500 {
		t.Error("the database that was there was touched")
	}
}

func TestACancelledRestoreLeavesNothing(t *testing.T) {
	server := splicetest.NewServer(t, "")
	s := farm(t, server, "farm")
	c, files := dump(t, "", s, quick)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	l := postgres.Loader{Address: address(t, server.DSN("postgres")), Tools: tools(t, ""), Facts: facts}
	l.Options.Events = func(event.Event) { cancel() }
	fit, err := l.Survey(ctx, c)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Create(ctx, "half", c); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Load(ctx, "half", c, fit, files); holdfast.ClassOf(err) != holdfast.Interrupted {
		t.Errorf("%v", err)
	}
	if n := one[int](t, server.DSN("postgres"), `SELECT count(*) FROM pg_database WHERE datname = 'half'`); n != 0 {
		t.Error("the new database is still there")
	}
	nothingLeft(t, server)
}

func TestTheRightClientProgramsAreAskedFor(t *testing.T) {
	all := splicetest.Versions()
	newest := all[len(all)-1]
	old := ""
	for _, v := range all[:len(all)-1] {
		if _, err := os.Stat(v.Bin + "/pg_dump"); err == nil {
			old = v.Bin
		}
	}
	server := splicetest.NewServer(t, newest.Major)
	s := source{"postgres", holdfast.App, server.DSN("postgres")}
	d := dumper(t, s, quick)
	d.Tools = postgres.Tools{Dir: t.TempDir()}
	_, err := d.Capture(t.Context(), component(s), clock(), folder(t.TempDir()), holdfast.Earlier{})
	if holdfast.ClassOf(err) != holdfast.Usage || !strings.Contains(err.Error(), "pg_dump was not found") ||
		!strings.Contains(advice(err), "postgresql-client-"+newest.Major) {
		t.Errorf("no pg_dump: %v; %s", err, advice(err))
	}
	if old == "" {
		t.Skip("needs HOLDFAST_TEST_PG with a server newer than a pg_dump at hand")
	}
	d.Tools.Dir = old
	_, err = d.Capture(t.Context(), component(s), clock(), folder(t.TempDir()), holdfast.Earlier{})
	if holdfast.ClassOf(err) != holdfast.Usage ||
		!strings.Contains(err.Error(), "older than the server's "+newest.Major) ||
		!strings.Contains(advice(err), "postgresql-client-"+newest.Major) {
		t.Errorf("an old pg_dump: %v; %s", err, advice(err))
	}
	nothingLeft(t, server)
}
