package export_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"holdfast"
	"holdfast/canton"
	"holdfast/capture/postgres"
	"holdfast/content"
	"holdfast/export"
	"holdfast/internal/libpq"
	"holdfast/internal/splicetest"
	"holdfast/place"
	"holdfast/repository"
)

// tools are client programs for a server of that version: HOLDFAST_TEST_PG_TOOLS
// has newer ones than the distribution, which pg_dump needs for newer servers.
func tools(t testing.TB, major string) postgres.Tools {
	t.Helper()
	dir := os.Getenv("HOLDFAST_TEST_PG_TOOLS")
	if n, _ := strconv.Atoi(major); dir == "" && n > 15 {
		t.Skipf("needs HOLDFAST_TEST_PG_TOOLS, client programs for a server of version %s", major)
	}
	return postgres.Tools{Dir: dir}
}

// path is a PATH on which those programs come first.
func path() string {
	if dir := os.Getenv("HOLDFAST_TEST_PG_TOOLS"); dir != "" {
		return dir + ":" + os.Getenv("PATH")
	}
	return os.Getenv("PATH")
}

// stored is a set in a repository, and the servers' databases it came from.
type stored struct {
	server *splicetest.Server
	set    holdfast.Set
	files  holdfast.Files
	dsn    map[holdfast.ComponentName]string
	known  *known
}

// known is what was found out about the databases of a set, which several
// comparisons want.
type known struct {
	plain  map[string]string            // copies made the plain way, by the source's connection string
	prints map[string]map[string]string // fingerprints, by connection string
	texts  map[string][]string          // what pg_dump prints, by its arguments
}

const settings = `
ALTER DATABASE zoo SET search_path = zoo, "Zoo 2. ""quoted""-ñ", public;
ALTER DATABASE zoo SET my.text = E'two\nlines; a quote '' and a backslash \\';
ALTER DATABASE zoo SET default_transaction_read_only = on;
ALTER DATABASE zoo SET statement_timeout = '1min';
`

// store makes a node with every sort of database, dumps them in order, and
// seals them as one set.
func store(t testing.TB, version string) stored {
	t.Helper()
	ctx := t.Context()
	node := splicetest.NewNode(t, splicetest.NodeOptions{Version: version, App: true})
	s := node.Participant
	must(t, s.Exec(ctx, "postgres", "CREATE DATABASE zoo"))
	must(t, splicetest.Zoo(ctx, s.DSN("zoo")))
	must(t, s.Exec(ctx, "zoo", settings))
	return seal(t, s, map[holdfast.ComponentName]string{
		"validator":   node.ValidatorDSN(),
		"participant": node.ParticipantDSN(),
		"app":         node.AppDSN(),
		"zoo":         s.DSN("zoo"),
	})
}

func seal(t testing.TB, s *splicetest.Server, dsn map[holdfast.ComponentName]string) stored {
	t.Helper()
	ctx := t.Context()
	began := time.Now()
	clock := func() holdfast.Moment { return holdfast.Moment{Wall: time.Now(), Since: time.Since(began)} }
	set := holdfast.Set{
		Schema:  holdfast.ManifestSchema,
		ID:      holdfast.NewSetID(began, [4]byte{1, 2, 3, 4}),
		Node:    holdfast.Node{Name: "it-s.one"},
		Began:   clock(),
		Attempt: 1,
	}
	rep := openRepository(t)
	must(t, rep.Write(ctx, "test", func(ctx context.Context, w holdfast.SetWriter) error {
		for _, name := range slices.Backward(slices.Sorted(maps.Keys(dsn))) { // the validator app before the participant
			info, err := libpq.Parse(dsn[name])
			if err != nil {
				return err
			}
			c := holdfast.Component{Name: name, Kind: holdfast.App}
			if k := holdfast.Kind(name); k == holdfast.Validator || k == holdfast.Participant {
				c.Kind = k
			}
			d := postgres.Dumper{
				Address: libpq.Address{Conninfo: info},
				Tools:   tools(t, s.Version.Major),
				Options: postgres.Options{SegmentBlocks: 64},
				Facts: func(ctx context.Context, tx pgx.Tx, kind holdfast.Kind) (holdfast.Facts, error) {
					return canton.Read(ctx, tx, kind)
				},
			}
			capture, err := d.Capture(ctx, c, clock, w, holdfast.Earlier{})
			if err != nil {
				return err
			}
			set.Node.Components = append(set.Node.Components, c)
			set.Captures = append(set.Captures, capture)
		}
		set.Ended = clock()
		set.Prove()
		if _, err := w.Put(ctx, holdfast.ReadmeName, func(w io.Writer) error {
			_, err := io.WriteString(w, "read me\n")
			return err
		}); err != nil {
			return err
		}
		return w.Seal(ctx, &set)
	}))
	entries, err := rep.Sets(ctx, "")
	must(t, err)
	back, err := rep.Load(ctx, entries[0])
	must(t, err)
	return stored{s, back.Set, back, dsn, &known{
		map[string]string{},
		map[string]map[string]string{},
		map[string][]string{},
	}}
}

func openRepository(t testing.TB) *repository.Repository {
	t.Helper()
	at, password := place.Directory(t.TempDir()), holdfast.NewSecret("a long password")
	must(t, repository.Create(t.Context(), at, password))
	rep, err := repository.Open(t.Context(), at, password)
	must(t, err)
	t.Cleanup(func() { must(t, rep.Close(context.Background())) })
	return rep
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func exported(t testing.TB, set holdfast.Set, files holdfast.Files) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "a directory's name", "export")
	report, err := export.Files(t.Context(), set, files, dir, export.Options{})
	must(t, err)
	var there export.Report
	must(t, filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		info, err := e.Info()
		if err == nil {
			there.Files++
			there.Bytes += info.Size()
		}
		return err
	}))
	if there.Dir = dir; report != there {
		t.Errorf("the report says %+v, there is %+v", report, there)
	}
	return dir
}

func createDB(t testing.TB, s *splicetest.Server, name, options string) string {
	t.Helper()
	must(t,
		s.Exec(t.Context(), "postgres",
			"CREATE DATABASE "+pgx.Identifier{name}.Sanitize()+" TEMPLATE template0 "+options))
	return name
}

// run runs a program against a server and returns what it said.
func run(
	t testing.TB, s *splicetest.Server, in io.Reader, env []string, name string, args ...string,
) (string, error) {
	t.Helper()
	if dir := os.Getenv("HOLDFAST_TEST_PG_TOOLS"); dir != "" && !strings.Contains(name, "/") {
		name = filepath.Join(dir, name)
	}
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Env = append(append(os.Environ(), "PATH="+path(), "PGHOST="+s.Socket(), "PGPORT="+strconv.Itoa(s.Port()),
		"PGUSER=postgres", "LC_ALL=C"), env...)
	cmd.Stdin = in
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// plainCopy copies a database the plain way, pg_dump into psql: Postgres prints
// some expressions in another form once they were read back, which is not for
// an export to undo.
func (f stored) plainCopy(t testing.TB, dsn string) string {
	t.Helper()
	s := f.server
	if copied, ok := f.known.plain[dsn]; ok {
		return copied
	}
	name := createDB(t, s, fmt.Sprintf("plain copy %d", time.Now().UnixNano()),
		"ENCODING '"+encodingOf(t, dsn)+"' LC_COLLATE 'C' LC_CTYPE 'C'")
	text := strings.NewReader(strings.Join(dumped(t, s, dsn), "\n") + "\n")
	if out, err := run(t, s, text, nil, "psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", name); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	f.known.plain[dsn] = s.DSN(name)
	return f.known.plain[dsn]
}

// fingerprint is that of a source, which nobody changes.
func (f stored) fingerprint(t testing.TB, dsn string) map[string]string {
	t.Helper()
	prints, ok := f.known.prints[dsn]
	if !ok {
		var err error
		prints, err = splicetest.Fingerprint(t.Context(), dsn)
		must(t, err)
		f.known.prints[dsn] = prints
	}
	return prints
}

// text is what pg_dump prints of a source's plain copy, which nobody changes.
func (f stored) text(t testing.TB, dsn string, args ...string) []string {
	t.Helper()
	key := strings.Join(append(args, dsn), " ")
	lines, ok := f.known.texts[key]
	if !ok {
		lines = dumped(t, f.server, f.plainCopy(t, dsn), args...)
		f.known.texts[key] = lines
	}
	return lines
}

func encodingOf(t testing.TB, dsn string) (encoding string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	must(t, err)
	defer func() { _ = conn.Close(context.Background()) }()
	must(t, conn.QueryRow(t.Context(), "SHOW server_encoding").Scan(&encoding))
	return encoding
}

// compare holds a restored database against its source: every row and
// sequence, and what pg_dump prints.
func (f stored) compare(t testing.TB, from, to string, args ...string) {
	t.Helper()
	want := f.fingerprint(t, from)
	got, err := splicetest.Fingerprint(t.Context(), to)
	must(t, err)
	for name, print := range want {
		if got[name] != print {
			t.Errorf("%s: %s, was %s", name, got[name], print)
		}
		delete(got, name)
	}
	for name := range got {
		t.Errorf("%s was not there", name)
	}
	a, b := f.text(t, from, args...), dumped(t, f.server, to, args...)
	lines := map[string]int{}
	for _, l := range a {
		lines[l]++
	}
	for _, l := range b {
		lines[l]--
	}
	shown := 0
	for _, l := range slices.Sorted(maps.Keys(lines)) {
		if lines[l] != 0 && shown < 20 {
			t.Errorf("%+d %.300s", lines[l], l)
			shown++
		}
	}
}

func noise(line string) bool {
	return line == "" || line == "SET transaction_timeout = 0;" ||
		strings.HasPrefix(line, `\restrict `) || strings.HasPrefix(line, `\unrestrict `) ||
		strings.HasPrefix(line, "-- Dumped ")
}

func dumped(t testing.TB, s *splicetest.Server, dsn string, args ...string) []string {
	t.Helper()
	text, err := run(t, s, nil, []string{"PGOPTIONS=-c default_transaction_read_only=off"}, "pg_dump",
		append(args, dsn)...)
	if err != nil {
		t.Fatalf("pg_dump: %v: %s", err, text)
	}
	return slices.DeleteFunc(strings.Split(text, "\n"), noise)
}

func eachVersion(t *testing.T, test func(t *testing.T, version string)) {
	splicetest.EachVersion(t, func(t *testing.T, version string) {
		t.Parallel()
		tools(t, version)
		test(t, version)
	})
}

func TestEveryDatabaseComesBack(t *testing.T) {
	eachVersion(t, func(t *testing.T, version string) {
		from := store(t, version)
		if from.set.State != holdfast.Proven {
			t.Fatalf("the set is %s: %v", from.set.State, from.set.Problems())
		}
		t.Run("by the script", func(t *testing.T) { scriptPutsBack(t, from) })
		t.Run("by SQL", func(t *testing.T) { sqlPutsBack(t, from, version) })
	})
}

func scriptPutsBack(t *testing.T, from stored) {
	dir := exported(t, from.set, from.files)
	for name, dsn := range from.dsn {
		t.Run(string(name), func(t *testing.T) {
			to := createDB(t, from.server, "back of "+string(name), "")
			out, err := run(t, from.server, nil, nil, filepath.Join(dir, "restore.sh"), "-j", "2", string(name), to)
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			from.compare(t, dsn, from.server.DSN(to))
			compareSettings(t, from.server, dsn, to)
		})
	}
}

func compareSettings(t *testing.T, s *splicetest.Server, dsn, to string) {
	t.Helper()
	of := func(dsn string) string {
		conn, err := pgx.Connect(t.Context(), dsn)
		must(t, err)
		defer func() { _ = conn.Close(context.Background()) }()
		var text string
		must(t,
			conn.QueryRow(t.Context(),
				`SELECT coalesce(array_agg(x ORDER BY x)::text, '') FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase, unnest(s.setconfig) x WHERE d.datname = current_database()`).Scan(&text))
		return text
	}
	if got, want := of(s.DSN(to)), of(dsn); got != want {
		t.Errorf("settings of the database: %s, were %s", got, want)
	}
}

func sqlPutsBack(t *testing.T, from stored, version string) {
	for name, dsn := range from.dsn {
		for _, owners := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, owners %t", name, owners), func(t *testing.T) {
				var stream bytes.Buffer
				must(t,
					export.SQL(t.Context(), from.set, name, from.files, &stream, adapter(t, version),
						export.SQLOptions{Owners: owners}))
				if !strings.HasSuffix(stream.String(), ")\n") ||
					!strings.Contains(stream.String()[stream.Len()-200:], "\n-- Holdfast: complete: ") {
					t.Errorf("the stream ends with %q", stream.String()[stream.Len()-200:])
				}
				to := createDB(t, from.server, fmt.Sprintf("sql of %s %t", name, owners), "")
				if out, err := run(t, from.server, &stream, nil, "psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d",
					to); err != nil {
					t.Fatalf("%v\n%s", err, out)
				}
				args := []string{"--no-owner", "--no-privileges"}
				if owners {
					args = nil
				}
				from.compare(t, dsn, from.server.DSN(to), args...)
				compareSettings(t, from.server, dsn, to)
			})
		}
	}
}

func adapter(t testing.TB, version string) export.Postgres {
	return export.Postgres{Script: tools(t, version).Script, Rows: postgres.TextRows}
}

// small is a set of one database, whose names are not ASCII.
func small(t testing.TB, options string) stored {
	t.Helper()
	s := splicetest.NewServer(t, "15")
	createDB(t, s, "small", options)
	must(t, s.Exec(t.Context(), "small", smallSQL))
	return seal(t, s, map[holdfast.ComponentName]string{"small": s.DSN("small")})
}

const smallSQL = `
	CREATE SCHEMA "schéma";
	CREATE TYPE "schéma"."humeur" AS ENUM ('gai', 'très gai');
	CREATE TABLE "schéma"."tàble" (id serial PRIMARY KEY, "naïve" text, m "schéma"."humeur", b bytea);
	INSERT INTO "schéma"."tàble" ("naïve", m, b) SELECT 'é' || n, 'très gai', sha256(n::text::bytea) FROM generate_series(1, 5000) n;
	CREATE TABLE "schéma"."tèxt" ("naïve" text, i interval);
	INSERT INTO "schéma"."tèxt" SELECT 'ü' || n, n * interval '1 day' FROM generate_series(1, 3000) n;
	CREATE MATERIALIZED VIEW "schéma"."vüe" AS SELECT count(*) FROM "schéma"."tèxt";
	ALTER DATABASE small SET my.text = 'é';`

func TestAnotherEncoding(t *testing.T) {
	const latin = "ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'"
	s := splicetest.NewServer(t, "15")
	createDB(t, s, "small", latin)
	must(t,
		s.Exec(t.Context(), "small",
			strings.NewReplacer("schéma", "schema", "tàble", "table", "naïve", "naive", "tèxt", "text", "vüe",
				"vue").Replace(smallSQL)))
	from := seal(t, s, map[holdfast.ComponentName]string{"small": s.DSN("small")})
	dir := exported(t, from.set, from.files)
	to := createDB(t, from.server, "by script", latin)
	if out, err := run(t, from.server, nil, nil, filepath.Join(dir, "restore.sh"), "small", to); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	from.compare(t, from.dsn["small"], from.server.DSN(to))
	compareSettings(t, from.server, from.dsn["small"], to)

	var stream bytes.Buffer
	must(t,
		export.SQL(t.Context(), from.set, "small", from.files, &stream, adapter(t, "15"),
			export.SQLOptions{Owners: true}))
	to = createDB(t, from.server, "by stream", latin)
	if out, err := run(t, from.server, &stream, nil, "psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d",
		to); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	from.compare(t, from.dsn["small"], from.server.DSN(to))
	compareSettings(t, from.server, from.dsn["small"], to)

	out, err := run(t, from.server, nil, nil, filepath.Join(dir, "restore.sh"), "small",
		createDB(t, from.server, "unicode", "ENCODING 'UTF8'"))
	if err == nil || !strings.Contains(out, "has the encoding UTF8; the dump is in LATIN1") {
		t.Errorf("%v\n%s", err, out)
	}
}

// change rewrites one file of an exported directory.
func change(t testing.TB, file string, f func([]byte) []byte) {
	t.Helper()
	b, err := os.ReadFile(file)
	must(t, err)
	must(t, os.WriteFile(file, f(b), 0o600))
}

func cut(b []byte) []byte     { return b[:len(b)/2] }
func cutLine(b []byte) []byte { return b[:bytes.LastIndexByte(b[:len(b)-1], '\n')+1] }
func flip(b []byte) []byte    { b = bytes.Clone(b); b[len(b)/2] ^= 1; return b }

func TestRestoreScriptFindsWhatIsDamaged(t *testing.T) {
	from := small(t, "")
	rows := from.set.Captures[0].Content.(content.Rows)
	segment := func(table string) string {
		for _, tab := range rows.Tables {
			if tab.Name == table {
				return tab.Segments[0].File
			}
		}
		t.Fatal(table)
		return ""
	}
	binary, text := segment("tàble"), segment("tèxt")
	noSums := hide(t, "sha256sum", "shasum")
	for _, c := range []struct {
		name string
		do   func(dir string)
		env  []string
		want []string
	}{
		{"a binary segment is cut", func(dir string) {
			change(t, filepath.Join(dir, binary), cut)
		}, nil, []string{binary + ": FAILED", "not as they were exported"}},
		{"a text segment has a flipped bit", func(dir string) {
			change(t, filepath.Join(dir, text), flip)
		}, nil, []string{text + ": FAILED"}},
		{"a segment is missing", func(dir string) {
			must(t, os.Remove(filepath.Join(dir, text)))
		}, nil, []string{text}},
		{"the schema is cut", func(dir string) {
			change(t, filepath.Join(dir, "small/schema.dump"), cut)
		}, nil, []string{"small/schema.dump: FAILED"}},
		{"a binary segment is cut, and nothing to compute sums with", func(dir string) {
			change(t, filepath.Join(dir, binary), cut)
		}, noSums, []string{binary + ": its rows could not be written", "NOT complete"}},
		{"a text segment lacks a row, and nothing to compute sums with", func(dir string) {
			change(t, filepath.Join(dir, text), cutLine)
		}, noSums, []string{text + ": the set has ", "NOT complete"}},
		{"a text segment is cut, and nothing to compute sums with", func(dir string) {
			change(t, filepath.Join(dir, text), cut)
		}, noSums, []string{text, "NOT complete"}},
		{"a segment is missing, and nothing to compute sums with", func(dir string) {
			must(t, os.Remove(filepath.Join(dir, text)))
		}, noSums, []string{text + " is missing"}},
		{"the list of segments lacks one", func(dir string) {
			change(t, filepath.Join(dir, "small/restore/segments.txt"), cutLine)
			change(t, filepath.Join(dir, "small/restore/sha256"), func([]byte) []byte { return nil })
		}, noSums, []string{"do not have the rows", "NOT complete"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := exported(t, from.set, from.files)
			c.do(dir)
			to := createDB(t, from.server, c.name, "")
			out, err := run(t, from.server, nil, c.env, filepath.Join(dir, "restore.sh"), "small", to)
			if err == nil {
				t.Errorf("it restored what is damaged:\n%s", out)
			}
			for _, want := range c.want {
				if !strings.Contains(out, want) {
					t.Errorf("it does not say %q:\n%s", want, out)
				}
			}
		})
	}
}

// hide is a PATH without some programs.
func hide(t testing.TB, programs ...string) []string {
	t.Helper()
	dir := t.TempDir()
	for _, from := range filepath.SplitList(path()) {
		entries, _ := os.ReadDir(from)
		for _, e := range entries {
			if !slices.Contains(programs, e.Name()) {
				_ = os.Symlink(filepath.Join(from, e.Name()), filepath.Join(dir, e.Name()))
			}
		}
	}
	return []string{"PATH=" + dir}
}

func TestRestoreScriptRefuses(t *testing.T) {
	from := small(t, "")
	proven := exported(t, from.set, from.files)
	from.set.Missing = []string{"the identities: the validator app did not answer"}
	from.set.Prove()
	unproven := exported(t, from.set, from.files)
	empty := createDB(t, from.server, "empty", "")
	for _, c := range []struct {
		name string
		dir  string
		args []string
		want string
	}{
		{"no arguments", proven, nil, "  small\n"},
		{"a database that is not empty", proven, []string{"small", "small"},
			"database small is not empty: it has schema schéma"},
		{"a database that is not there", proven, []string{"small", "nowhere"}, "nowhere"},
		{"a component that is not there", proven, []string{"big", empty}, "no component 'big'"},
		{"a component elsewhere", proven, []string{"../export/small", empty}, "is not a component"},
		{"a password in a keyword", proven, []string{"small", "dbname=empty password=x"}, "PGPASSWORD"},
		{"a password in a URL", proven, []string{"small", "postgresql://u:p@h/empty"}, "PGPASSWORD"},
		{"no number of jobs", proven, []string{"-j", "x", "small", empty}, "-j takes a number"},
		{"an unproven set", unproven, []string{"small", empty}, "this set is unproven, not proven"},
		{"an unproven set, taken for another", unproven, []string{"--accept", "misordered", "small", empty},
			"the validator app did not answer"},
	} {
		t.Run(c.name, func(t *testing.T) {
			out, err := run(t, from.server, nil, nil, filepath.Join(c.dir, "restore.sh"), c.args...)
			if err == nil || !strings.Contains(out, c.want) {
				t.Errorf("%v, want %q:\n%s", err, c.want, out)
			}
		})
	}
	if out, err := run(t, from.server, nil, nil, filepath.Join(unproven, "restore.sh"), "--accept", "unproven",
		"small", "dbname=empty"); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	from.compare(t, from.dsn["small"], from.server.DSN(empty))
}

func TestRestoreScriptLeavesOwnersOutWhereRolesAreMissing(t *testing.T) {
	from := small(t, "")
	s := splicetest.NewServer(t, "15")
	for _, sql := range []string{`CREATE ROLE "the owner $x"`,
		`CREATE DATABASE owned TEMPLATE small OWNER "the owner $x"`} {
		must(t, from.server.Exec(t.Context(), "postgres", sql))
	}
	must(t, from.server.Exec(t.Context(), "owned", `ALTER TABLE "schéma"."tèxt" OWNER TO "the owner $x"`))
	owned := seal(t, from.server, map[holdfast.ComponentName]string{"owned": from.server.DSN("owned")})
	dir := exported(t, owned.set, owned.files)
	out, err := run(t, s, nil, nil, filepath.Join(dir, "restore.sh"), "owned", createDB(t, s, "back", ""))
	if err != nil || !strings.Contains(out, `"the owner $x"`) {
		t.Errorf("%v\n%s", err, out)
	}
	owned.compare(t, owned.dsn["owned"], s.DSN("back"), "--no-owner", "--no-privileges")
	var stream bytes.Buffer
	must(t,
		export.SQL(t.Context(), owned.set, "owned", owned.files, &stream, adapter(t, "15"),
			export.SQLOptions{Owners: true}))
	out, err = run(t, s, &stream, nil, "psql", "-X", "-q", "-d", createDB(t, s, "again", ""))
	if err == nil || !strings.Contains(out, `roles are missing`) {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestFilesAreForTheirOwnerAndWholeOrAbsent(t *testing.T) {
	from := small(t, "")
	dir := exported(t, from.set, from.files)
	must(t, filepath.WalkDir(dir, func(name string, e fs.DirEntry, err error) error {
		info, statErr := e.Info()
		if err := errors.Join(err, statErr); err != nil {
			return err
		}
		want := fs.FileMode(0o600)
		if e.IsDir() || e.Name() == "restore.sh" {
			want = 0o700
		}
		if info.Mode().Perm() != want {
			t.Errorf("%s has mode %v", name, info.Mode())
		}
		return nil
	}))
	for _, name := range append(from.set.FileNames(), holdfast.ManifestName) {
		in, err := from.files.Open(t.Context(), name)
		must(t, err)
		want, err := io.ReadAll(in)
		must(t, errors.Join(err, in.Close()))
		if got, err := os.ReadFile(filepath.Join(dir, name)); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is not as in the set: %v", name, err)
		}
	}
	_, err := export.Files(t.Context(), from.set, from.files, dir, export.Options{})
	if holdfast.ClassOf(err) != holdfast.Refused {
		t.Errorf("a directory that is not empty: %v", err)
	}

	// A set that cannot be read to its end leaves nothing behind.
	names := append(from.set.FileNames(), holdfast.ManifestName)
	for i := range names {
		at := filepath.Join(t.TempDir(), "export")
		_, err := export.Files(t.Context(), from.set, &failing{Files: from.files, left: i}, at, export.Options{})
		if !errors.Is(err, errBroken) {
			t.Errorf("file %d: %v", i, err)
		}
		if left, _ := os.ReadDir(filepath.Dir(at)); len(left) > 0 {
			t.Errorf("file %d: %v was left", i, left)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	at := filepath.Join(t.TempDir(), "export")
	if _, err := export.Files(ctx, from.set, from.files, at, export.Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	must(t, os.Mkdir(at+".partial", 0o700))
	if _, err := export.Files(t.Context(), from.set, from.files, at,
		export.Options{}); holdfast.ClassOf(err) != holdfast.Refused {
		t.Errorf("during another export: %v", err)
	}
	for _, name := range []string{"../outside", "/outside", "small/data/$(touch x)", "small/data/a b",
		"small/restore/rows.txt", "a\nb", "-rf", "small//x"} {
		evil := from.set
		evil.Identities = &holdfast.IdentityFacts{SealedFile: name}
		if _, err := export.Files(t.Context(), evil, anything{from.files}, filepath.Join(t.TempDir(), "x"),
			export.Options{}); err == nil {
			t.Errorf("a file named %q was exported", name)
		}
	}
}

var errBroken = errors.New("the disk is broken")

// failing gives the first files, and breaks in the middle of the next.
type failing struct {
	holdfast.Files
	left int
}

func (f *failing) Open(ctx context.Context, name string) (io.ReadCloser, error) {
	in, err := f.Files.Open(ctx, name)
	if f.left--; f.left >= 0 || err != nil {
		return in, err
	}
	return struct {
		io.Reader
		io.Closer
	}{io.MultiReader(io.LimitReader(in, 10), broken{}), in}, nil
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errBroken }

// anything has a file of every name.
type anything struct{ holdfast.Files }

func (a anything) Open(ctx context.Context, name string) (io.ReadCloser, error) {
	if in, err := a.Files.Open(ctx, name); err == nil {
		return in, nil
	}
	return io.NopCloser(strings.NewReader("x")), nil
}

func TestSQLCutShortChangesNothing(t *testing.T) {
	from := small(t, "")
	var stream bytes.Buffer
	must(t, export.SQL(t.Context(), from.set, "small", from.files, &stream, adapter(t, "15"), export.SQLOptions{}))
	whole := stream.Bytes()
	end := bytes.LastIndex(whole, []byte("COMMIT;"))
	for i := range 9 {
		at := i * end / 8
		to := createDB(t, from.server, fmt.Sprint("cut at ", at), "")
		_, _ = run(t, from.server, bytes.NewReader(whole[:at]), nil, "psql", "-X", "-q", "-v", "ON_ERROR_STOP=1",
			"-d", to)
		if prints, err := splicetest.Fingerprint(t.Context(), from.server.DSN(to)); err != nil || len(prints) > 0 {
			t.Errorf("cut at %d of %d: %v, %v", at, end, prints, err)
		}
	}
}

func TestSQLThatCannotBeFinishedMakesPsqlFail(t *testing.T) {
	from := small(t, "")
	opened := 0
	for _, table := range from.set.Captures[0].Content.(content.Rows).Tables {
		opened += len(table.Segments)
	}
	for i := range opened {
		var stream bytes.Buffer
		err := export.SQL(t.Context(), from.set, "small", &failing{
			Files: from.files,
			left:  3 + i,
		}, &stream, adapter(t, "15"), export.SQLOptions{})
		if err == nil {
			t.Fatalf("segment %d: no error", i)
		}
		to := createDB(t, from.server, fmt.Sprint("broken at ", i), "")
		out, err := run(t, from.server, &stream, nil, "psql", "-X", "-q", "-d", to)
		if err == nil {
			t.Errorf("segment %d: psql reports success:\n%s", i, out)
		}
		if prints, err := splicetest.Fingerprint(t.Context(), from.server.DSN(to)); err != nil || len(prints) > 0 {
			t.Errorf("segment %d: %v, %v", i, prints, err)
		}
	}
}

func TestSQLRefuses(t *testing.T) {
	from := small(t, "")
	if err := export.SQL(t.Context(), from.set, "big", from.files, io.Discard, adapter(t, "15"),
		export.SQLOptions{}); holdfast.ClassOf(err) != holdfast.Usage {
		t.Errorf("a component that is not there: %v", err)
	}
	from.set.Missing = []string{"something"}
	var stream bytes.Buffer
	if err := export.SQL(t.Context(), from.set, "small", from.files, &stream, adapter(t, "15"),
		export.SQLOptions{}); holdfast.ClassOf(err) != holdfast.Refused || stream.Len() > 0 {
		t.Errorf("an unproven set: %v, %d bytes", err, stream.Len())
	}
	if err := export.SQL(t.Context(), from.set, "small", from.files, io.Discard, adapter(t, "15"),
		export.SQLOptions{Unproven: true}); err != nil {
		t.Error(err)
	}
}

// A row that no server could read as a line of SQL is refused before anything is
// written, whichever format it was captured in.
func TestSQLRefusesRowsThatNoServerReads(t *testing.T) {
	from := small(t, "")
	for table, change := range map[string]string{
		`"schéma"."tàble"`: `UPDATE "schéma"."tàble" SET b = decode(repeat('ab', 40000), 'hex') WHERE id = 4000`,
		`"schéma"."tèxt"`:  `UPDATE "schéma"."tèxt" SET "naïve" = repeat('x', 80000) WHERE "naïve" = 'ü7'`,
	} {
		must(t, from.server.Exec(t.Context(), "small", change))
		from = seal(t, from.server, map[holdfast.ComponentName]string{"small": from.server.DSN("small")})
		var stream bytes.Buffer
		most := export.SQLOptions{LongestLine: 80_000}
		err := export.SQL(t.Context(), from.set, "small", from.files, &stream, adapter(t, "15"), most)
		_, do := holdfast.Advice(err)
		if holdfast.ClassOf(err) != holdfast.Refused || stream.Len() > 0 || !strings.Contains(err.Error(), table) ||
			!strings.Contains(do, "holdfast export "+string(from.set.ID)) {
			t.Errorf("%s: %v, %s, %d bytes", table, err, do, stream.Len())
		}
		most.LongestLine = 81_000
		if err := export.SQL(t.Context(), from.set, "small", from.files, io.Discard, adapter(t, "15"), most); err != nil {
			t.Error(err)
		}
		must(t, from.server.Exec(t.Context(), "small", `UPDATE "schéma"."tàble" SET b = NULL WHERE id = 4000`))
	}
}

// What looks into other tables is put in place behind all rows, and what acts on
// statements behind all of them; both are as they were.
func TestWhatActsOnTheRestoreComesLast(t *testing.T) {
	s := splicetest.NewServer(t, "15")
	createDB(t, s, "small", "")
	must(t, s.Exec(t.Context(), "small", lastSQL))
	from := seal(t, s, map[holdfast.ComponentName]string{"small": s.DSN("small")})
	dir := exported(t, from.set, from.files)
	checked := func(to string) {
		t.Helper()
		there, err := splicetest.Fingerprint(t.Context(), s.DSN(to))
		must(t, err)
		if want := from.fingerprint(t, from.dsn["small"]); !maps.Equal(there, want) {
			t.Errorf("it has %v, want %v", there, want)
		}
		a, b := dumped(t, s, from.dsn["small"], "--schema-only"), dumped(t, s, s.DSN(to), "--schema-only")
		if slices.Sort(a); !slices.Equal(a, slices.Sorted(slices.Values(b))) {
			t.Errorf("pg_dump says\n%s\nand of the source\n%s", strings.Join(b, "\n"), strings.Join(a, "\n"))
		}
		if err := s.Exec(t.Context(), to, `INSERT INTO goods VALUES (99, 'unknown')`); err == nil {
			t.Error("the CHECK is not in place")
		}
	}
	to := createDB(t, s, "by the script", "")
	if out, err := run(t, s, nil, nil, filepath.Join(dir, "restore.sh"), "small", to); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	checked(to)
	var stream bytes.Buffer
	must(t, export.SQL(t.Context(), from.set, "small", from.files, &stream, adapter(t, "15"), export.SQLOptions{Owners: true}))
	to = createDB(t, s, "by SQL", "")
	if out, err := run(t, s, &stream, nil, "psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", to); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	checked(to)

	// One that does not hold any more is said.
	must(t, s.Exec(t.Context(), "postgres", `ALTER DATABASE small SET session_replication_role = replica`))
	must(t, s.Exec(t.Context(), "small", `ALTER TABLE kinds DISABLE RULE kept; DELETE FROM kinds WHERE k = 'a'`))
	broken := seal(t, s, map[holdfast.ComponentName]string{"small": s.DSN("small")})
	dir = exported(t, broken.set, broken.files)
	to = createDB(t, s, "broken", "")
	out, err := run(t, s, nil, nil, filepath.Join(dir, "restore.sh"), "small", to)
	if err == nil || !strings.Contains(out, "kind_is_known") || !strings.Contains(out, "does not hold for the rows") {
		t.Errorf("a CHECK that does not hold: %v\n%s", err, out)
	}
}

// lastSQL has a CHECK of a table, of its heirs, of a domain and of a domain that
// an array is made of, and an event trigger that keeps everybody from changing
// anything.
const lastSQL = `
	CREATE TABLE goods (id int PRIMARY KEY, k text); CREATE TABLE kinds (k text PRIMARY KEY);
	CREATE FUNCTION known_kind(x text) RETURNS boolean LANGUAGE sql STABLE AS 'SELECT EXISTS (SELECT FROM kinds WHERE k = x)';
	INSERT INTO kinds VALUES ('a'), ('b'); INSERT INTO goods SELECT n, 'a' FROM generate_series(1, 50) n;
	CREATE RULE kept AS ON DELETE TO kinds DO INSTEAD NOTHING;
	ALTER TABLE goods ADD CONSTRAINT kind_is_known CHECK (known_kind(k));
	COMMENT ON CONSTRAINT kind_is_known ON goods IS 'it''s known';
	CREATE TABLE heir (more int, CONSTRAINT kind_is_known CHECK (known_kind(k))) INHERITS (goods);
	INSERT INTO heir VALUES (51, 'b', 1);
	CREATE DOMAIN "Kind" AS text CONSTRAINT "it is known" CHECK (known_kind(VALUE));
	COMMENT ON CONSTRAINT "it is known" ON DOMAIN "Kind" IS 'so';
	CREATE DOMAIN one AS text CHECK (length(VALUE::varchar) < 9 AND VALUE !~ '^x');
	CREATE TABLE ones (o one[], k "Kind"); INSERT INTO ones VALUES ('{a,b}', 'a');
	CREATE MATERIALIZED VIEW counted AS SELECT count(*) FROM goods;
	CREATE FUNCTION nobody() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''nobody changes anything''; END';
	CREATE EVENT TRIGGER frozen ON ddl_command_start EXECUTE FUNCTION nobody();
	COMMENT ON EVENT TRIGGER frozen IS 'still';`
