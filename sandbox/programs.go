package sandbox

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"holdfast"
)

var serverVersion = regexp.MustCompile(`\) ([0-9]+)`)

// Find finds the directory of initdb and postgres of that major version, or of
// the next one installed.
func (h Host) Find(ctx context.Context, major int) (string, error) {
	dirs := []string{h.Programs}
	if h.Programs == "" {
		dirs = nil
		for _, pattern := range []string{"/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/usr/local/pgsql/bin"} {
			found, _ := filepath.Glob(pattern)
			dirs = append(dirs, found...)
		}
		dirs = append(dirs, filepath.SplitList(os.Getenv("PATH"))...)
	}
	best, bestMajor := "", 0
	var installed []string
	for _, dir := range dirs {
		if _, err := os.Stat(filepath.Join(dir, "initdb")); err != nil {
			continue
		}
		m := serverVersion.FindSubmatch(versionOf(ctx, filepath.Join(dir, "postgres")))
		if m == nil {
			continue
		}
		v, _ := strconv.Atoi(string(m[1]))
		installed = append(installed, fmt.Sprintf("%d in %s", v, dir))
		if v >= major && (best == "" || v < bestMajor) {
			best, bestMajor = dir, v
		}
	}
	if best != "" {
		return best, nil
	}
	p := &holdfast.Problem{
		Class: holdfast.Usage,
		What:  fmt.Sprintf("this machine has no Postgres server of version %d or later for a drill", major),
		Why:   "A drill restores into a real server.",
		Do: fmt.Sprintf("Install one (Debian, Ubuntu: apt-get install postgresql-%d; it need not run), "+
			"or set `drill.programs` to the directory of initdb and postgres. "+
			"Or run the drill in a Docker container: `drill.image: postgres:%d`.", major, major),
	}
	if len(installed) > 0 {
		p.What += "; installed: " + strings.Join(installed, ", ")
	}
	return "", p
}

// versionOf is what a program says of its version; nothing if it fails or takes
// too long.
func versionOf(ctx context.Context, program string) []byte {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, program, "--version").Output()
	if err != nil {
		return nil
	}
	return out
}
