package libpq

import (
	"os"
	"strings"
)

// Environment holds libpq's variables (PGHOST, PGSERVICE and their kind) of
// the shell that a program was started from. They complete the connections of
// the operator's own, and must not reach any other: a sandbox on its socket, a
// container of the node, the client programs of either.
type Environment map[string]string // by keyword

// TakeEnvironment takes libpq's variables out of the process's environment.
// A program calls it once, before anything connects or starts a program.
func TakeEnvironment() Environment {
	taken := Environment{}
	for _, pair := range os.Environ() {
		name, value, _ := strings.Cut(pair, "=")
		if !isVariable(name) {
			continue
		}
		if word := wordOf(name); word != "" && value != "" {
			taken[word] = value
		}
		_ = os.Unsetenv(name)
	}
	return taken
}

// Without returns an environment without libpq's variables, for a program
// whose connection is given as arguments.
func Without(environ []string) []string {
	var out []string
	for _, pair := range environ {
		if name, _, _ := strings.Cut(pair, "="); !isVariable(name) {
			out = append(out, pair)
		}
	}
	return out
}

func wordOf(variable string) string {
	for word, k := range keywords {
		if k.env == variable {
			return word
		}
	}
	return ""
}

// isVariable reports whether libpq, or one of Postgres's programs, would read
// the variable. PGDATA names a directory of a server and is not one of them.
func isVariable(name string) bool {
	switch name {
	case "PGDATESTYLE", "PGTZ", "PGGEQO", "PGSYSCONFDIR", "PGLOCALEDIR", "PGCLUSTER", "PGREALM", "PGSSLKEYLOGFILE":
		return true
	}
	return wordOf(name) != ""
}
