package postgres

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"holdfast"
	"holdfast/internal/libpq"
	"holdfast/internal/scratch"
)

// Tools finds Postgres's own client programs: pg_dump writes a schema, and
// pg_restore reads it. Dir is where they are; when it is empty the directories
// of Debian's packages and PATH are searched, and the oldest version that is
// not older than the server is taken, because a newer pg_dump may write what
// an older server cannot read back.
type Tools struct {
	Dir string
	// Elsewhere, when it is set, runs the programs where the server is, such as
	// in its container: they are then always of the server's version, and find
	// it on its own machine.
	Elsewhere libpq.Runner
	// Silence is how long a program may be silent that does nothing; 0 for
	// watchdog.DefaultLimit.
	Silence time.Duration

	server libpq.Address // that the programs work with, to ask it about their sessions
}

// near are the tools that run where the target's server is, if they can.
func (t Tools) near(target libpq.Address) Tools {
	if t.Elsewhere == nil {
		t.Elsewhere = target.Run
	}
	t.server = target
	return t
}

var toolVersion = regexp.MustCompile(`\) ([0-9]+)`)

// find returns the path of a program that suits a server of that major
// version.
func (t Tools) find(ctx context.Context, program string, major int) (string, error) {
	// The programs in PATH may be wrappers that take their time to say their
	// version, so they are asked last.
	packaged, _ := filepath.Glob("/usr/lib/postgresql/*/bin")
	more, _ := filepath.Glob("/usr/pgsql-*/bin")
	tiers := [][]string{append(packaged, more...), filepath.SplitList(os.Getenv("PATH"))}
	if t.Dir != "" {
		tiers = [][]string{{t.Dir}}
	}
	if t.Elsewhere != nil {
		return program, nil
	}
	newest, silent := 0, ""
	for _, dirs := range tiers {
		best, bestMajor := "", 0
		for _, dir := range dirs {
			path := filepath.Join(dir, program)
			if info, err := os.Stat(path); err != nil || info.IsDir() {
				continue
			}
			v := t.versionOf(ctx, path)
			if v == 0 {
				silent = path
			}
			newest = max(newest, v)
			if v >= major && (best == "" || v < bestMajor) {
				best, bestMajor = path, v
			}
		}
		if best != "" {
			return best, nil
		}
	}
	if ctx.Err() != nil { // then no program said its version
		return "", context.Cause(ctx)
	}
	return "", t.unsuitable(program, major, newest, silent)
}

// unsuitable says why no program suits. Newest is the newest version at hand, and
// silent is a program that did not say its version.
func (t Tools) unsuitable(program string, major, newest int, silent string) error {
	install := fmt.Sprintf("Install Postgres's client programs of version %d or later (Debian, Ubuntu: apt-get "+
		"install postgresql-client-%d), or set `tools:` to the directory that has them.", major, major)
	switch {
	case newest == 0 && silent != "":
		return &holdfast.Problem{
			Class: holdfast.Failed,
			What:  silent + " does not say its version",
			Why:   fmt.Sprintf("`%s --version` failed, or took longer than %s.", silent, versionTime),
			Do:    "Run it by hand. If it fails: " + install,
		}
	case newest == 0:
		return &holdfast.Problem{
			Class: holdfast.Usage,
			What:  program + " was not found" + inDir(t.Dir),
			Why:   "The schema of a database is dumped and restored with it.",
			Do:    install,
		}
	}
	return &holdfast.Problem{
		Class: holdfast.Usage,
		What:  fmt.Sprintf("%s is version %d%s, older than the server's %d", program, newest, inDir(t.Dir), major),
		Why:   "Postgres's client programs refuse servers newer than themselves.",
		Do:    install,
	}
}

// Suit says why the programs found do not suit a server of that major version;
// nil when they do.
func (t Tools) Suit(ctx context.Context, major int) error {
	for _, program := range []string{"pg_dump", "pg_restore"} {
		if _, err := t.find(ctx, program, major); err != nil {
			return err
		}
	}
	return nil
}

func inDir(dir string) string {
	if dir == "" {
		return ""
	}
	return " in " + dir
}

// versions remembers what programs on this machine said of themselves, as long
// as they stay the same: a restore needs them many times.
var versions sync.Map // of program to string

type program struct {
	path  string
	bytes int64
	since time.Time
}

// versionOf is a program's major version; 0 where it is unknown.
func (t Tools) versionOf(ctx context.Context, path string) int {
	m := toolVersion.FindStringSubmatch(t.saysVersion(ctx, path))
	if m == nil {
		return 0
	}
	v, _ := strconv.Atoi(m[1])
	return v
}

// saysVersion is what a program says of its version; "" if it fails.
func (t Tools) saysVersion(ctx context.Context, path string) string {
	info, err := os.Stat(path)
	if t.Elsewhere != nil || err != nil {
		return t.askVersion(ctx, path)
	}
	key := program{path, info.Size(), info.ModTime()}
	if v, ok := versions.Load(key); ok {
		return v.(string) //nolint:forcetypeassert // nothing else is in it
	}
	v := t.askVersion(ctx, path)
	if toolVersion.MatchString(v) {
		versions.Store(key, v)
	}
	return v
}

// versionTime is how long a program may take to say its version: one that is read
// from a slow disk of a busy machine takes seconds.
const versionTime = 30 * time.Second

func (t Tools) askVersion(ctx context.Context, path string) string {
	ctx, cancel := context.WithTimeout(ctx, versionTime)
	defer cancel()
	var out bytes.Buffer
	if ok, err := t.start(ctx, "", nil, nil, &out, io.Discard, path, "--version"); err != nil || !ok {
		return ""
	}
	return strings.TrimSpace(out.String())
}

// run runs a client program against a database. The password goes through the
// environment, everything else of the connection as arguments; its sessions start
// with the settings of ours. A cancelled context ends the program politely first.
func (t Tools) run(
	ctx context.Context, major int, info libpq.Conninfo, application string, out io.Writer, program string, args ...string,
) error {
	path, err := t.find(ctx, program, major)
	if err != nil {
		return err
	}
	complaint := &tail{most: 16 << 20}
	if t.Elsewhere != nil {
		info = info.With("host", "").With("hostaddr", "") // the server's own socket
	} else if t.server.Dial != nil {
		near, err := t.server.Listen(ctx)
		if err != nil {
			return err
		}
		defer near.Close()
		info = info.With("hostaddr", near.Host).With("port", near.Port)
	}
	env := append([]string{"LC_ALL=C"}, append(info.Env(), "PGAPPNAME="+application)...)
	ok, err := t.start(ctx, application, env, nil, out, complaint,
		slices.Concat([]string{path}, args, []string{"--no-password", "--dbname=" + info.Hardened().String()})...)
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return fmt.Errorf("%s of %s: %w", program, info.Where(), err)
	}
	if !ok {
		return &toolFailed{program, info.Where(), complaint.String(), string(complaint.buf), complaint.cut}
	}
	return nil
}

// inherits are the variables of ours that a program of Postgres may need. The others
// stay here: keys of places and of managers of secrets are among them.
var inherits = []string{
	"PATH", "LD_LIBRARY_PATH", "HOME", "USER", "LOGNAME", "TMPDIR", "TZ", "LANG", "LANGUAGE",
	"KRB5_CONFIG", "KRB5CCNAME", "KRB5_CLIENT_KTNAME", "KRB5_KTNAME", "OPENSSL_CONF", "SSL_CERT_FILE", "SSL_CERT_DIR",
}

// inherited is the part of an environment that a program of Postgres gets.
func inherited(environ []string) (out []string) {
	for _, pair := range environ {
		name, _, _ := strings.Cut(pair, "=")
		if slices.Contains(inherits, name) || strings.HasPrefix(name, "LC_") {
			out = append(out, pair)
		}
	}
	return out
}

// start runs a program and reports whether it ended well; the error says why
// it could not be run or followed to its end. Application is what its sessions
// are called; "" for a program without any. One that stands still is ended.
func (t Tools) start(
	ctx context.Context, application string, env []string, in io.Reader, out, complaint io.Writer, argv ...string,
) (bool, error) {
	var p progress
	ctx, stop := t.watch(argv[0], application).Context(ctx, p.made)
	defer stop()
	in, out, complaint = p.reader(in), p.writer(out), p.writer(complaint)
	if t.Elsewhere != nil {
		code, err := t.Elsewhere(ctx, env, in, out, complaint, argv...)
		return code == 0, err
	}
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env = append(inherited(os.Environ()), env...) // the connection is in the arguments
	cmd.Stdin, cmd.Stdout, cmd.Stderr = in, out, complaint
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 5 * time.Second
	// Should we be killed, the program must not go on holding locks.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	err := cmd.Start()
	if err == nil {
		p.pid.Store(int64(cmd.Process.Pid))
		err = cmd.Wait()
	}
	var exit *exec.ExitError
	switch {
	case err != nil && ctx.Err() != nil:
		return false, context.Cause(ctx)
	case errors.As(err, &exit):
		return false, nil
	}
	return err == nil, err
}

// desk is a directory where the programs run, for the files they work on.
type desk struct {
	tools   Tools
	dir     string
	scratch *scratch.Dir // of this machine
}

// schemaRoom is more than the schema of a node's database takes.
const schemaRoom = 64 << 20

// desk makes one; clear takes it away.
func (t Tools) desk(ctx context.Context) (d desk, err error) {
	d.tools = t
	if t.Elsewhere == nil {
		if d.scratch, err = scratch.Make(schemaRoom); err != nil {
			return d, err
		}
		d.dir = d.scratch.Path
		return d, nil
	}
	var out bytes.Buffer
	complaint := &tail{most: 4 << 10}
	ok, err := t.start(ctx, "", nil, nil, &out, complaint, "mktemp", "-d", "-t", "holdfast-XXXXXX")
	if d.dir = strings.TrimSpace(out.String()); err == nil && (!ok || d.dir == "") {
		err = fmt.Errorf("make a directory where pg_restore runs: %s", complaint)
	}
	return d, err
}

// put lays a file on the desk and returns its path there.
func (d desk) put(ctx context.Context, name string, content io.Reader) (string, error) {
	path := d.dir + "/" + name
	if d.tools.Elsewhere == nil {
		f, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
		if err != nil {
			return "", err
		}
		_, err = io.Copy(f, content)
		return path, errors.Join(err, f.Close())
	}
	complaint := &tail{most: 4 << 10}
	ok, err := d.tools.start(ctx, "", nil, content, io.Discard, complaint, "sh", "-c", `umask 077; exec cat >"$0"`, path)
	if err == nil && !ok {
		err = fmt.Errorf("write %s where pg_restore runs: %s", path, complaint)
	}
	return path, err
}

func (d desk) clear() {
	if d.tools.Elsewhere == nil {
		_ = d.scratch.Remove()
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	_, _ = d.tools.start(ctx, "", nil, nil, io.Discard, io.Discard, "rm", "-rf", d.dir)
}

// toolFailed is what a client program said before it gave up.
type toolFailed struct {
	program, where, complaint string
	lines                     string // the complaint, as it was
	cut                       bool   // it said more than was kept
}

func (t *toolFailed) Error() string {
	const most = 2 << 10
	said := t.complaint
	if len(said) > most {
		said = "... " + said[len(said)-most:]
	}
	return t.program + " of " + t.where + ": " + said
}

// tail keeps the last bytes of a program's complaints.
type tail struct {
	most int
	buf  []byte
	cut  bool
}

func (t *tail) Write(p []byte) (int, error) {
	t.buf = append(t.buf, p...)
	if over := len(t.buf) - t.most; over > 0 {
		t.buf, t.cut = t.buf[over:], true
	}
	return len(p), nil
}

func (t *tail) String() string {
	return strings.Join(strings.Fields(string(bytes.TrimSpace(t.buf))), " ")
}
