package splicetest

import (
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Version is one installed Postgres.
type Version struct {
	Major string // "15"
	Bin   string // the directory of initdb and postgres
}

// Versions finds the installed versions, oldest first, one per major: those
// that HOLDFAST_TEST_PG names and those below /usr/lib/postgresql.
func Versions() []Version {
	var found []Version
	add := func(major, bin string) {
		known := slices.ContainsFunc(found, func(v Version) bool { return v.Major == major })
		if known || !executable(bin, "initdb") || !executable(bin, "postgres") {
			return
		}
		found = append(found, Version{major, bin})
	}
	for _, entry := range strings.Split(os.Getenv("HOLDFAST_TEST_PG"), ":") {
		if major, bin, ok := strings.Cut(entry, "="); ok {
			add(major, bin)
		}
	}
	packaged, _ := filepath.Glob("/usr/lib/postgresql/*/bin")
	for _, bin := range packaged {
		add(filepath.Base(filepath.Dir(bin)), bin)
	}
	slices.SortFunc(found, func(a, b Version) int { return cmp.Compare(a.number(), b.number()) })
	return found
}

// Chosen are the versions that a test of every version runs on: all of them in
// the long form, otherwise the oldest and the newest, between which most of what
// differs has changed. Other tests run on the one that FindVersion prefers.
func Chosen() []Version {
	all := Versions()
	if Long() || len(all) < 3 {
		return all
	}
	return []Version{all[0], all[len(all)-1]}
}

// FindVersion returns the installed version of that major; with "" the newest
// that has the client programs next to it, or the newest of all.
func FindVersion(major string) (Version, error) {
	all := Versions()
	if len(all) == 0 {
		return Version{}, fmt.Errorf("no Postgres is installed below /usr/lib/postgresql and HOLDFAST_TEST_PG names none")
	}
	if major == "" {
		for _, v := range slices.Backward(all) {
			if executable(v.Bin, "pg_dump") {
				return v, nil
			}
		}
		return all[len(all)-1], nil
	}
	for _, v := range all {
		if v.Major == major {
			return v, nil
		}
	}
	return Version{}, fmt.Errorf("no Postgres %s is installed; HOLDFAST_TEST_PG can name one (found: %v)", major, all)
}

func (v Version) number() int {
	n, _ := strconv.Atoi(v.Major)
	return n
}

func executable(dir, name string) bool {
	info, err := os.Stat(filepath.Join(dir, name))
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}

var versionText = regexp.MustCompile(`\(PostgreSQL\) (\d+)`)

// versionOf gets the major version of the server program in bin.
func versionOf(bin string) (string, error) {
	out, err := exec.Command(filepath.Join(bin, "postgres"), "--version").Output()
	if err != nil {
		return "", fmt.Errorf("ask %s for its version: %w", bin, err)
	}
	m := versionText.FindSubmatch(out)
	if m == nil {
		return "", fmt.Errorf("%s/postgres says %q, not its version", bin, out)
	}
	return string(m[1]), nil
}
