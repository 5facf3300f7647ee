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
	"strconv"
	"strings"
	"syscall"
	"time"

	"holdfast"
	"holdfast/internal/libpq"
)

// Tools finds Postgres's own client programs: pg_dump writes a schema, and
// pg_restore reads it. Dir is where they are; when it is empty the directories
// of Debian's packages and PATH are searched, and the oldest version that is
// not older than the server is taken, because a newer pg_dump may write what
// an older server cannot read back.
type Tools struct {
	Dir string
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
	newest := 0
	for _, dirs := range tiers {
		best, bestMajor := "", 0
		for _, dir := range dirs {
			path := filepath.Join(dir, program)
			if info, err := os.Stat(path); err != nil || info.IsDir() {
				continue
			}
			v := versionOf(ctx, path)
			newest = max(newest, v)
			if v >= major && (best == "" || v < bestMajor) {
				best, bestMajor = path, v
			}
		}
		if best != "" {
			return best, nil
		}
	}
	install := fmt.Sprintf("Install Postgres's client programs of version %d or later (Debian, Ubuntu: apt-get install postgresql-client-%d), or set `tools:` to the directory that has them.", major, major)
	if newest == 0 {
		return "", &holdfast.Problem{Class: holdfast.Usage, What: program + " was not found" + inDir(t.Dir), Why: "The schema of a database is dumped and restored with it.", Do: install}
	}
	return "", &holdfast.Problem{Class: holdfast.Usage, What: fmt.Sprintf("%s is version %d%s, older than the server's %d", program, newest, inDir(t.Dir), major),
		Why: "Postgres's client programs refuse servers newer than themselves.", Do: install}
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

func versionOf(ctx context.Context, path string) int {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, path, "--version").Output()
	if err != nil {
		return 0
	}
	m := toolVersion.FindSubmatch(out)
	if m == nil {
		return 0
	}
	v, _ := strconv.Atoi(string(m[1]))
	return v
}

// run runs a client program against a database. The password goes through the
// environment, everything else of the connection as arguments. A cancelled
// context ends the program politely first.
func (t Tools) run(ctx context.Context, major int, info libpq.Conninfo, env []string, in io.Reader, out io.Writer, program string, args ...string) error {
	path, err := t.find(ctx, program, major)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, path, append(args, "--no-password", "--dbname="+info.String())...)
	cmd.Env = append(append(append(os.Environ(), "LC_ALL=C"), info.Env()...), env...)
	cmd.Stdin, cmd.Stdout = in, out
	complaint := &tail{most: 64 << 10}
	cmd.Stderr = complaint
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 5 * time.Second
	// Should we be killed, the program must not go on holding locks.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			return &toolFailed{program, info.Where(), complaint.String(), complaint.cut}
		}
		return fmt.Errorf("%s of %s: %w", program, info.Where(), err)
	}
	return nil
}

// toolFailed is what a client program said before it gave up.
type toolFailed struct {
	program, where, complaint string
	cut                       bool // it said more than was kept
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
