package postgres

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"holdfast/content"
	"holdfast/internal/memory"
)

// behind is what comes behind the rows.
type behind struct {
	indexes  map[string][]index // by tableKey, to be built table by table
	late     []index            // to be built when all rows are there: they call functions
	parallel string             // pg_restore's entries of other indexes and constraints
	serial   string             // and of the rest
	last     string             // and of what acts on statements and sessions: event triggers
}

// behind reads what comes behind the rows. The indexes and constraints of the
// tables that hold rows are built one by one as each table is ready, with the
// statements that pg_restore itself would say; what is not certain is left to
// it.
func (b *build) behind(ctx context.Context, schema string) (behind, error) {
	major := max(b.fit.Server.Major(), b.capture.Server.Major())
	var list, script bytes.Buffer
	if err := b.Tools.list(ctx, major, schema, &list); err != nil {
		return behind{}, err
	}
	if err := b.Tools.read(ctx, major, nil, &script, "the schema's post-data", "--section=post-data",
		"--no-tablespaces", "--verbose", "--file=-", schema); err != nil {
		return behind{}, err
	}
	out := behind{indexes: map[string][]index{}}
	var first string
	kept, err := b.kept(ctx, list.String(), schema)
	if err != nil {
		return behind{}, err
	}
	first, out.serial, out.last = splitList(kept)
	tables := map[string]bool{}
	for _, t := range b.rows.Tables {
		tables[tableKey(t.Schema, t.Name)] = true
	}
	said := entries(script.String())
	for _, line := range strings.SplitAfter(first, "\n") {
		id, _, _ := strings.Cut(line, ";")
		switch x, ok := indexOf(said[id]); {
		case !ok || !tables[x.table]:
			out.parallel += line
		case x.calls():
			out.late = append(out.late, x)
		default:
			out.indexes[x.table] = append(out.indexes[x.table], x)
		}
	}
	return out, nil
}

// kept is a list of entries without what is left out.
func (b *build) kept(ctx context.Context, list, schema string) (string, error) {
	if len(b.fit.Without) == 0 {
		return list, nil
	}
	var all bytes.Buffer
	major := max(b.fit.Server.Major(), b.capture.Server.Major())
	err := b.Tools.read(ctx, major, nil, &all, "the schema's list", "--list", schema)
	return within(leaveOut(list, b.fit.Without), schemasMade(all.String(), b.fit.Without)), err
}

// dropPolicies drops the policies that CREATE EXTENSION has made: the dump has
// all of them as they were.
func (b *build) dropPolicies(ctx context.Context) error {
	conn, err := b.connect(ctx)
	if err != nil {
		return err
	}
	defer closeConn(conn)
	return execute(ctx, conn, content.DropPolicies)
}

// rest has pg_restore restore what was left to it: indexes and constraints
// first, several at once, then the rest one by one. Attaching the indexes of
// partitions to those of their parents locks both, and two at once have been
// seen to deadlock.
func (b *build) rest(ctx context.Context, desk desk, schema string, behind behind) error {
	if err := b.dropPolicies(ctx); err != nil {
		return err
	}
	for _, part := range []struct {
		entries string
		jobs    int
	}{{behind.parallel, b.Options.lanes()}, {behind.serial, 1}} {
		if err := b.entries(ctx, desk, schema, part.entries, part.jobs); err != nil {
			return err
		}
	}
	return nil
}

// entries has pg_restore restore what a list of post-data names.
func (b *build) entries(ctx context.Context, desk desk, schema, list string, jobs int) error {
	if list == "" {
		return nil
	}
	path, err := desk.put(ctx, "schema.list", strings.NewReader(list))
	if err != nil {
		return err
	}
	return b.section(ctx, schema, jobs, "--section=post-data", "--use-list="+path)
}

// splitList divides pg_restore's list of a dump's entries into those that may
// be restored side by side, the others, and event triggers with what is said
// of them, which come last of all. An entry reads "3456; 1259 16403 INDEX schema
// name owner".
func splitList(list string) (parallel, serial, last string) {
	var first, rest, end strings.Builder
	for _, line := range strings.SplitAfter(list, "\n") {
		if strings.HasPrefix(line, ";") {
			continue
		}
		fields := strings.Fields(line)
		if len(fields) > 4 && (fields[3] == "INDEX" && fields[4] != "ATTACH" || fields[3] == "CONSTRAINT") {
			first.WriteString(line)
		} else if strings.Contains(line, " EVENT TRIGGER ") && len(fields) > 5 {
			end.WriteString(line)
		} else {
			rest.WriteString(line)
		}
	}
	return first.String(), rest.String(), end.String()
}

// entryHead begins an entry of a script that pg_restore --verbose writes.
var entryHead = regexp.MustCompile(`(?m)^--\n-- TOC entry ([0-9]+) \(class [0-9]+ OID [0-9]+\)\n(?:-- .*\n)*--\n\n`)

// entries cuts such a script into its entries, by their numbers. Left out is
// what does not look as it should: an entry with more than one paragraph, or
// whose number is there twice.
func entries(script string) map[string]string {
	out := map[string]string{}
	heads := entryHead.FindAllStringSubmatchIndex(script, -1)
	for i, h := range heads {
		end := len(script)
		if i+1 < len(heads) {
			end = heads[i+1][0]
		}
		id := script[h[2]:h[3]]
		statement, more, _ := strings.Cut(script[h[1]:end], "\n\n")
		more = strings.TrimSpace(more)
		_, twice := out[id]
		if twice || more != "" && !strings.HasPrefix(more, "-- Completed on ") {
			statement = ""
		}
		out[id] = statement
	}
	return out
}

// index is one index, or a constraint that makes one.
type index struct {
	table      string // its tableKey
	name       string
	statement  string
	constraint bool // made by ALTER TABLE, which locks the table against all others
}

// indexOf reads the statement of an index or a constraint.
func indexOf(statement string) (index, bool) {
	x := index{statement: statement}
	rest, found := strings.CutPrefix(statement, "ALTER TABLE ONLY ")
	if found {
		x.constraint = true
	} else {
		rest = strings.TrimPrefix(statement, "CREATE ")
		rest = strings.TrimPrefix(rest, "UNIQUE ")
		if rest, found = strings.CutPrefix(rest, "INDEX "); !found {
			return x, false
		}
		x.name, rest = identifier(rest)
		if rest, found = strings.CutPrefix(rest, " ON "); !found {
			return x, false
		}
		rest = strings.TrimPrefix(rest, "ONLY ")
	}
	schema, rest := identifier(rest)
	rest, found = strings.CutPrefix(rest, ".")
	if !found || !strings.HasSuffix(statement, ";") {
		return x, false
	}
	name, rest := identifier(rest)
	x.table = tableKey(schema, name)
	if x.constraint {
		rest, found = strings.CutPrefix(rest, "\n    ADD CONSTRAINT ")
		x.name, _ = identifier(rest)
		return x, found
	}
	return x, strings.HasPrefix(rest, " USING ")
}

func tableKey(schema, name string) string { return fmt.Sprintf("%q.%q", schema, name) }

// calls reports whether the index calls a function of somebody's own, such as
// public.words(...): a function may look into other tables, whatever it says of
// itself, and does so by the search path of the database's programs.
func (x index) calls() bool { return ownCall.MatchString(x.statement) && !x.constraint }

var ownCall = regexp.MustCompile(`(?:\w|")\.(?:\w+|"(?:[^"]|"")+")\(`)

// stop is where a restore stops if the index is refused.
func (x index) stop() stop {
	kind := "INDEX"
	if x.constraint {
		kind = "CONSTRAINT"
	}
	s := stopAt(kind, x.name)
	s.Definition = x.statement
	return s
}

// sorted reports whether the index is built by sorting.
func (x index) sorted() bool {
	if x.constraint {
		return strings.Contains(x.statement, " PRIMARY KEY (") || strings.Contains(x.statement, " UNIQUE (")
	}
	return strings.Contains(x.statement, " USING btree (") || strings.Contains(x.statement, " USING hash (")
}

// building are the settings of a session that builds indexes.
func building(super bool) []string {
	settings := []string{"SET standard_conforming_strings = on", "SET client_min_messages = warning"}
	if super {
		settings = append(settings, "SET deadlock_timeout = "+hurry)
	}
	return settings
}

// build builds the index, with the help of as many workers as there are idle
// lanes.
func (x index) build(ctx context.Context, l *lease, memory int64, workers int) error {
	if err := execute(ctx, l.conn, fmt.Sprintf("SET maintenance_work_mem = '%dkB'", memory>>10),
		fmt.Sprintf("SET max_parallel_maintenance_workers = %d", workers)); err != nil {
		return err
	}
	if err := execute(ctx, l.conn, x.statement); err != nil {
		return fmt.Errorf("%s: %w", strings.Join(strings.Fields(x.statement), " "), err)
	}
	return nil
}

// buildLate builds the indexes that need the rows of other tables, and gathers
// the statistics of what they are on.
func (b *build) buildLate(ctx context.Context, late []index) error {
	if len(late) == 0 {
		return nil
	}
	conn, err := b.connect(ctx)
	if err != nil {
		return err
	}
	defer closeConn(conn)
	memory, err := b.indexMemory(ctx, conn, 1)
	if err != nil {
		return err
	}
	if err := execute(ctx, conn, append(building(isSuperuser(conn)), b.searchPath())...); err != nil {
		return err
	}
	for _, x := range late {
		if err := b.tried(x.build(ctx, &lease{conn: conn}, memory, b.Options.lanes()-1), x.stop()); err != nil {
			return err
		}
	}
	if b.trial != nil {
		return nil
	}
	for _, t := range b.rows.Tables {
		if !slices.ContainsFunc(late, func(x index) bool { return x.table == tableKey(t.Schema, t.Name) }) {
			continue
		}
		if err := b.analyze(ctx, conn, pgx.Identifier{t.Schema, t.Name}.Sanitize()); err != nil {
			return err
		}
	}
	return nil
}

// buildMemory is what index builds may use of memory.
type buildMemory struct {
	most  int64 // for one index
	spill bool  // the server lets sorts use temporary files
}

func (b *build) buildMemory(ctx context.Context) (buildMemory, error) {
	conn, err := b.connect(ctx)
	if err != nil {
		return buildMemory{}, err
	}
	defer closeConn(conn)
	var m buildMemory
	if m.most, err = b.indexMemory(ctx, conn, b.Options.lanes()); err != nil {
		return m, err
	}
	err = conn.QueryRow(ctx, `SELECT current_setting('temp_file_limit') = '-1'`).Scan(&m.spill)
	return m, err
}

// of is how much memory the build of an index on a table of that many bytes
// gets. A sort in little memory is faster than one in much: runs that fit the
// processor's cache, merged once, took half the time of one large sort. So it
// gets what it needs to merge all its runs at once, and not more: Postgres reads
// each run of a merge through a buffer of 256 KiB, so that n runs of m bytes
// take n such buffers within m.
func (m buildMemory) of(x index, bytes int64, workers int) int64 {
	if !x.sorted() || !m.spill {
		return m.most
	}
	const buffer, least, helper = 280 << 10, 8 << 20, 32 << 20
	need := max(least, int64(1.5*math.Sqrt(float64(bytes)*buffer)))
	if workers > 0 {
		// The memory is for all of them, and Postgres sends no worker for less.
		need = max(need, helper) * int64(workers+1)
	}
	return min(need, m.most)
}

// indexMemory is how much memory one of jobs index builds may use: what the
// machine has, when the server is on it, else what the server's own settings
// suggest; never less than the server would use by itself.
func (b *build) indexMemory(ctx context.Context, conn *pgx.Conn, jobs int) (int64, error) {
	var own, shared int64
	if err := conn.QueryRow(ctx,
		`SELECT pg_size_bytes(current_setting('maintenance_work_mem')), pg_size_bytes(current_setting('shared_buffers'))`).Scan(&own, &shared); err != nil {
		return 0, err
	}
	const most = 1 << 30
	share := shared / int64(4*jobs)
	if free := memory.OfMachine(); free > 0 && isLocal(conn.PgConn()) {
		share = free / int64(4*jobs)
	}
	return max(own, min(share, most)), nil
}

func isLocal(conn *pgconn.PgConn) bool {
	address := conn.Conn().RemoteAddr()
	return address.Network() == "unix" || strings.HasPrefix(address.String(), "127.") ||
		strings.HasPrefix(address.String(), "[::1]")
}
