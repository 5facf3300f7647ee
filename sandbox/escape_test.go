package sandbox_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"holdfast"
	"holdfast/internal/libpq"
	"holdfast/internal/splicetest"
	"holdfast/sandbox"
)

// outside is what a server in a sandbox must not reach: a live server, listeners,
// a file, a process.
type outside struct {
	dir     string
	live    *splicetest.Server
	victim  *exec.Cmd
	address string // of the listener on a port
	touched atomic.Int32
}

const secret = "a secret of the machine"

func newOutside(t *testing.T) *outside {
	t.Helper()
	o := &outside{dir: base(t), live: splicetest.NewServer(t, "")}
	o.ask(t, "CREATE TABLE escaped (how text); GRANT ALL ON escaped TO PUBLIC")
	if err := os.WriteFile(filepath.Join(o.dir, "secret"), []byte(secret), 0o644); err != nil {
		t.Fatal(err)
	}
	for network, at := range map[string]string{"unix": o.socket(), "unixpacket": o.abstract(), "tcp": "127.0.0.1:0"} {
		l, err := net.Listen(network, at)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = l.Close() })
		if network == "tcp" {
			o.address = l.Addr().String()
		}
		go func() {
			for conn, err := l.Accept(); err == nil; conn, err = l.Accept() {
				o.touched.Add(1)
				_ = conn.Close()
			}
		}()
	}
	if err := os.Chmod(o.socket(), 0o777); err != nil {
		t.Fatal(err)
	}
	// A directory that this process holds open, as a service manager leaves one.
	fd, err := syscall.Open(o.dir, syscall.O_RDONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Close(fd) })
	o.victim = exec.Command("sleep", "300")
	if err := o.victim.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = o.victim.Process.Kill(); _ = o.victim.Wait() })
	return o
}

func (o *outside) socket() string   { return filepath.Join(o.dir, "listener") }
func (o *outside) abstract() string { return "@" + filepath.Base(o.dir) }

func (o *outside) ask(t *testing.T, sql string) string {
	t.Helper()
	info, err := libpq.Parse(o.live.DSN("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	return say(t.Context(), libpq.Address{Conninfo: info}, sql)
}

// say is all that a server answers.
func say(ctx context.Context, at libpq.Address, sql string) string {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	conn, err := at.Connect(ctx, libpq.Options{Application: "holdfast test"})
	if err != nil {
		return err.Error()
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	results, err := conn.PgConn().Exec(ctx, "SET search_path = public; "+sql).ReadAll()
	var out strings.Builder
	for _, r := range results {
		for _, row := range r.Rows {
			for _, value := range row {
				_, _ = fmt.Fprintf(&out, "%s\n", value)
			}
		}
	}
	_, _ = fmt.Fprintln(&out, err)
	return out.String()
}

// program is SQL that runs a command as the server and shows what it printed.
func program(command string) string {
	return "CREATE TEMP TABLE said (line text); COPY said FROM PROGRAM '" +
		strings.ReplaceAll("("+command+") 2>&1; true", "'", "''") + "' (DELIMITER E'\\x01'); TABLE said"
}

// nap is what a server starts to outlive it, and no other test does.
var nap = fmt.Sprintf("sleep 98765.%d", os.Getpid())

// escapes are ways out of a sandbox, from SQL of a superuser.
func escapes(o *outside, s *sandbox.Server) map[string]string {
	host := fmt.Sprintf("host=%s port=%d dbname=postgres user=postgres", o.live.Socket(), o.live.Port())
	insert := func(how string) string { return "INSERT INTO escaped VALUES ('" + how + "')" }
	perl := func(name, kind string) string {
		return program(fmt.Sprintf(`perl -MSocket -e 'socket(S,AF_UNIX,%s,0); connect(S,pack_sockaddr_un(%s)) and print "%s"'`,
			kind, name, secret))
	}
	pid, secretFile := o.victim.Process.Pid, filepath.Join(o.dir, "secret")
	_, port, _ := net.SplitHostPort(o.address)
	return map[string]string{
		"dblink": "CREATE EXTENSION IF NOT EXISTS dblink; SELECT dblink_exec('" + host + "', $$" + insert("dblink") + "$$)",
		"a materialized view": "CREATE EXTENSION IF NOT EXISTS dblink; CREATE MATERIALIZED VIEW v AS SELECT " +
			"dblink_exec('" + host + "', $$" + insert("view") + "$$)",
		"a foreign server": "CREATE EXTENSION IF NOT EXISTS postgres_fdw; CREATE SERVER live FOREIGN DATA WRAPPER " +
			"postgres_fdw OPTIONS (host '" + o.live.Socket() + "', port '" + strconv.Itoa(o.live.Port()) + "', dbname 'postgres'); " +
			"CREATE USER MAPPING FOR CURRENT_USER SERVER live OPTIONS (user 'postgres'); " +
			"CREATE FOREIGN TABLE there (how text) SERVER live OPTIONS (table_name 'escaped'); " +
			"INSERT INTO there VALUES ('foreign')",
		"a port":                "CREATE EXTENSION IF NOT EXISTS dblink; SELECT dblink_connect('host=127.0.0.1 port=" + port + "')",
		"a port from a program": program("perl -MIO::Socket::INET -e 'IO::Socket::INET->new(\"" + o.address + "\")'"),
		"a client program":      program(`psql "` + host + `" -c "` + insert("psql") + `"`),
		"a Unix socket":         perl(`"`+o.socket()+`"`, "SOCK_STREAM"),
		"an abstract socket":    perl(`"\0`+o.abstract()[1:]+`"`, "SOCK_SEQPACKET"),
		"a file":                "SELECT pg_read_file('" + secretFile + "')",
		"a large object":        "SELECT lo_import('" + secretFile + "', 4711); SELECT convert_from(lo_get(4711), 'UTF8')",
		"a written file":        "COPY (SELECT 1) TO '" + filepath.Join(o.dir, "written") + "'",
		"its own label":         "COPY (SELECT 1) TO '" + filepath.Join(s.Dir, "drill.json") + "'",
		"/proc":                 program(fmt.Sprintf("cat /proc/1/root%s /proc/%d/cwd/secret", secretFile, pid)),
		"a mounted /proc":       program("unshare -Urmp --fork sh -c 'mkdir /tmp/p; mount -t proc p /tmp/p && cat /tmp/p/1/root" + secretFile + "'"),
		"mounts": program("unshare -Urm sh -c 'mount --bind / /mnt; umount -l /; umount -l /usr; " +
			"cat /../../" + secretFile + " " + secretFile + "'"),
		"namespaces":   program("nsenter -t 1 -m -n -p cat " + secretFile),
		"setuid":       program("su -c 'cat " + secretFile + "'; sudo -n cat " + secretFile + "; mount -t tmpfs x /usr && echo " + secret),
		"devices":      program("mknod data/disk b 254 0 && cat data/disk && echo " + secret),
		"descriptors":  program(`perl -e 'for(3..255){ if(open(my $d,"<&=",$_)){ chdir($d) and print join(" ",glob("*")) } }'`),
		"a signal":     program(fmt.Sprintf("kill -9 %d", pid)),
		"a large file": program("truncate -s 3G " + filepath.Join(s.Dir, "data", "large") + " && echo " + secret),
		"a fork":       program("setsid " + nap + " >/dev/null 2>&1 &"),
	}
}

// open are the ways that lead somewhere where there is no sandbox. An attempt that
// fails there too would prove nothing.
var open = map[string]bool{
	"dblink": true, "a materialized view": true, "a foreign server": true, "a port": true, "a port from a program": true,
	"a client program": true, "a Unix socket": true, "an abstract socket": true, "a file": true, "a large object": true,
}

// touches counts what has come out.
func (o *outside) touches(t *testing.T) int {
	rows := 0
	_, _ = fmt.Sscan(o.ask(t, "SELECT count(*) FROM escaped"), &rows)
	return rows + int(o.touched.Load())
}

// Nothing that SQL can do leaves a sandbox.
func TestWaysOutOfASandbox(t *testing.T) {
	o := newOutside(t)
	s, err := host(base(t)).Start(t.Context(), 0, "a test")
	if err != nil {
		t.Fatal(err)
	}
	stopped := false
	defer func() {
		if !stopped {
			_ = s.Stop()
		}
	}()
	info, err := libpq.Parse(o.live.DSN("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	for name, sql := range escapes(o, s) {
		if !open[name] {
			continue
		}
		before := o.touches(t)
		said := say(t.Context(), libpq.Address{Conninfo: info}, sql)
		for end := time.Now().Add(5 * time.Second); o.touches(t) == before && !strings.Contains(said, secret); {
			if time.Now().After(end) {
				t.Fatalf("%s leads nowhere without a sandbox either: %s", name, said)
			}
		}
	}
	before := o.touches(t)
	label, _ := os.ReadFile(filepath.Join(s.Dir, "drill.json"))
	for name, sql := range escapes(o, s) {
		said := say(t.Context(), s.Address, sql)
		if strings.Contains(said, secret) || strings.Contains(said, "listener") {
			t.Errorf("%s leads out: %s", name, said)
		}
	}
	if n := o.touches(t); n != before {
		t.Errorf("%d connections came out; written to the live server: %s", n-before, o.ask(t, "TABLE escaped"))
	}
	if _, err := os.Stat(filepath.Join(o.dir, "written")); err == nil {
		t.Error("a file of the machine was written")
	}
	if now, _ := os.ReadFile(filepath.Join(s.Dir, "drill.json")); string(now) != string(label) {
		t.Errorf("the server wrote its own label: %s", now)
	}
	if !alive(o.victim.Process.Pid) {
		t.Error("a process of the machine was killed")
	}
	stopped = true
	if err := s.Stop(); err != nil {
		t.Error(err)
	}
	if text, _ := exec.Command("sh", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '").Output(); strings.Contains(string(text), nap) {
		t.Error("what the server started has outlived it")
	}
	if s.Isolation.Verdict != holdfast.Holds && s.Isolation.Verdict != holdfast.CannotTell {
		t.Errorf("%+v", s.Isolation)
	}
}
