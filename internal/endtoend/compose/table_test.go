package compose_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var updateDocs = flag.Bool("update", false, "write the table of docs/operate.md again")

// part is a row of the table in docs/operate.md: a part of a compose node, what
// a set has of it, what a restore on an empty machine makes of it, and the
// overlays that show it.
type part struct {
	what, kept, made string
	shown            []string
}

var parts = []part{
	{"the node's two databases, and those below `databases:`", "every row", "restored and proven", []string{"nothing"}},
	{
		"Postgres's data directory: a volume, a directory anywhere, a volume that stands for one, `PGDATA` below a mount",
		"owner and rights; none of its files", "made empty, with owner and rights",
		[]string{"data-below-the-bundle", "data-elsewhere", "data-in-a-volume-that-is-a-directory", "data-below-a-mount", "data-in-a-directory-below-a-mount"},
	},
	{
		"data in a volume without a name, in the container itself, in memory", "that it is there; `check` is violated: `data_outlives_stop`",
		"made again as it was", []string{"data-in-a-volume-without-a-name", "data-in-the-container", "data-in-memory"},
	},
	{"tablespaces, a write-ahead log elsewhere", "owner and rights of their directories", "the directories; all rows go to the default tablespace. `--fresh-volume` is refused with a log elsewhere, and says what to type", []string{"a-tablespace", "a-write-ahead-log-elsewhere"}},
	{"another Postgres server of the project", "how it runs; **not its data**", "empty", []string{"a-second-server"}},
	{"other databases of the node's Postgres", "**no**", "**no**", []string{"a-tablespace"}},
	{"networks: driver, subnets, gateways, ranges, IPv6, options, labels", "yes", "as they were; an address range that Docker chose and that is taken here becomes another", []string{"addresses", "IPv6", "options-of-a-network"}},
	{"membership in networks: chosen addresses, aliases, links, several networks", "yes", "as it was", []string{"addresses", "several-networks", "names"}},
	{"external networks and volumes", "yes", "as they were", []string{"external-parts"}},
	{"volumes: driver, options, labels", "yes", "as they were", []string{"mounts-written-long", "external-parts"}},
	{"what volumes hold (other than Postgres's)", "up to 50 files of at most 1 MiB; else **no**, and the set says so", "as it was; else empty", []string{"external-parts"}},
	{"Splice's `domain-upgrade-dump` and `heap-dumps`", "**no**: no recovery needs them", "empty", []string{"nothing"}},
	{"the compose file, overlays, `.env`", "yes, with owner and rights", "as they were; a file that is there and differs stays, the set's is put next to it", []string{"nothing"}},
	{
		"files and directories that containers mount, inside and outside of the bundle", "up to 50 files of at most 1 MiB for each directory, links, owners, rights; a single file up to 16 MiB",
		"as they were; a file outside of the bundle that is not there is refused before anything is stopped, with the way to get it", []string{"a-directory-with-keys", "configs-of-files", "mounts-written-long", "a-file-outside-of-the-bundle"},
	},
	{"directories with more than that", "owner and rights; **not the rest**. Mounted read-only into a container of the node, it makes the set unproven", "empty", []string{"a-directory-with-keys"}},
	{"paths of every machine: `/etc/ssl`, `/usr`, `/run`, `/sys`, sockets, devices", "**no**", "those of the new machine; a missing one is refused before anything is stopped", []string{"time-zone", "rights"}},
	{"`configs:` and `secrets:` with `content:` or `environment:`, files put in by `docker cp`", "yes", "put into the new containers", []string{"configs"}},
	{"`configs:` and `secrets:` with `file:`", "yes", "as they were", []string{"configs-of-files"}},
	{"what else programs write into their container", "**no**", "**no**", []string{"nothing"}},
	{"images", "name and digest; **not the image**", "pulled; one that Compose built here makes the set unproven", []string{"nothing"}},
	{"environment, command, user, groups, working directory, time zone, host name", "yes", "as they were", []string{"users", "time-zone", "names"}},
	{"limits, ulimits, shared memory", "yes", "as they were", []string{"limits"}},
	{"logging", "the settings; **not the logs**", "as they were", []string{"logs"}},
	{"health checks, labels, stop signal and time, init", "yes", "as they were", []string{"health-and-labels"}},
	{"capabilities, security options, read-only root, tmpfs, sysctls, devices", "yes", "as they were", []string{"rights"}},
	{"DNS, extra hosts, container names, published ports", "yes", "as they were", []string{"names", "published-ports"}},
	{"restart policies, replicas", "yes", "as they were", []string{"restarts"}},
	{"namespaces and volumes of another container of the project", "yes", "as they were", []string{"sidecars"}},
	{"those of a container of another project; networks of a swarm, or made from another network's configuration", "named; the set is **not proven**", "**no**", nil},
	{"a hardware address that was chosen", "yes; before Docker 25 the set is **not proven**", "as it was", nil},
	{"the daemon's own settings, registry logins, firewall", "**no**", "those of the new machine", nil},
}

// The table of docs/operate.md says what the overlays show.
func TestTheTableOfWhatComesBack(t *testing.T) {
	t.Parallel()
	var text strings.Builder
	text.WriteString("| part of the node | in a set | on an empty machine |\n|---|---|---|\n")
	for _, p := range parts {
		fmt.Fprintf(&text, "| %s | %s | %s |\n", p.what, p.kept, p.made)
		for _, name := range p.shown {
			if !slices.ContainsFunc(overlays, func(o habit) bool { return o.name == name }) {
				t.Errorf("%s: there is no overlay %s", p.what, name)
			}
		}
	}
	for _, o := range overlays {
		if !slices.ContainsFunc(parts, func(p part) bool { return slices.Contains(p.shown, o.name) }) {
			t.Errorf("overlay %s shows no row of the table", o.name)
		}
	}
	page := filepath.Join("..", "..", "..", "docs", "operate.md")
	all := string(must(os.ReadFile(page))(t))
	const begin, end = "<!-- comes back -->\n", "<!-- end -->\n"
	before, rest, found := strings.Cut(all, begin)
	is, after, closed := strings.Cut(rest, end)
	switch {
	case !found || !closed:
		t.Fatalf("%s has no table between %q and %q", page, begin, end)
	case *updateDocs:
		check(t, os.WriteFile(page, []byte(before+begin+text.String()+end+after), 0o644))
	case is != text.String():
		t.Errorf("%s differs from the table; go test ./internal/endtoend/compose -run %s -update writes it", page, t.Name())
	}
}
