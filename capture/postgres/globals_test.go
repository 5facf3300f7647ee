package postgres_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"holdfast"
	"holdfast/capture/postgres"
	"holdfast/internal/eventtest"
	"holdfast/internal/splicetest"
)

func TestSettingsOfRolesAndGrantsOnTheDatabaseComeBack(t *testing.T) {
	server := splicetest.NewServer(t, "")
	for _, sql := range []string{
		`CREATE ROLE "app reader" LOGIN`, `CREATE DATABASE "old-1"`, `REVOKE ALL ON DATABASE "old-1" FROM PUBLIC`,
		`GRANT CONNECT ON DATABASE "old-1" TO "app reader" WITH GRANT OPTION`,
		`ALTER ROLE "app reader" IN DATABASE "old-1" SET work_mem TO '7MB'`,
		`ALTER DATABASE "old-1" SET search_path TO a, "B c"`,
	} {
		if err := server.Exec(t.Context(), "postgres", sql); err != nil {
			t.Fatal(err)
		}
	}
	if err := server.Exec(t.Context(), "old-1", `CREATE TABLE public.t (n int)`); err != nil {
		t.Fatal(err)
	}
	files := folder(t.TempDir())
	c, err := postgres.Dumper{Address: address(t, server.DSN("old-1"))}.Capture(t.Context(), holdfast.Component{
		Name: "app",
		Kind: holdfast.App,
	}, clock(), files, holdfast.Earlier{})
	if err != nil {
		t.Fatal(err)
	}
	loader := postgres.Loader{Address: address(t, server.DSN("postgres"))}
	fit, err := loader.Survey(t.Context(), part(c))
	if err != nil {
		t.Fatal(err)
	}
	if err := loader.Create(t.Context(), "new~1", part(c)); err != nil {
		t.Fatal(err)
	}
	if _, err := loader.Load(t.Context(), "new~1", part(c), fit, files); err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(t.Context(), server.DSN("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	rows, _ := conn.Query(t.Context(),
		`SELECT concat_ws(' | ', d.datacl::text, (SELECT string_agg(coalesce(r.rolname, '') || ' ' || s.setconfig::text, ' ' ORDER BY 1)
		FROM pg_db_role_setting s LEFT JOIN pg_roles r ON r.oid = s.setrole WHERE s.setdatabase = d.oid))
		FROM pg_database d WHERE datname IN ('old-1', 'new~1')`)
	got, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 2 || got[0] != got[1] {
		t.Errorf("the two databases differ:\n%q", got)
	}
	t.Logf("%q", got)
}

func TestNamesBeyondASCIIInAnotherEncodingAreRefusedByName(t *testing.T) {
	server := splicetest.NewServer(t, "")
	for _, c := range []struct{ db, sql string }{
		{"postgres", `CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'`},
		{"latin", `CREATE TABLE plain (n int)`},
	} {
		if err := server.Exec(t.Context(), c.db, c.sql); err != nil {
			t.Fatal(err)
		}
	}
	dump := func() error {
		_, err := postgres.Dumper{Address: address(t, server.DSN("latin"))}.Capture(t.Context(), holdfast.Component{
			Name: "app",
			Kind: holdfast.App,
		}, clock(), folder(t.TempDir()), holdfast.Earlier{})
		return err
	}
	if err := dump(); err != nil {
		t.Errorf("names in ASCII: %v", err)
	}
	if err := server.Exec(t.Context(), "latin", `CREATE TABLE "größe" (n int)`); err != nil {
		t.Fatal(err)
	}
	if err := dump(); holdfast.ClassOf(err) != holdfast.Refused || !strings.Contains(err.Error(), "public.\"gr") {
		t.Errorf("a name beyond ASCII: %v", err)
	}
}

// A set from elsewhere says in its globals what its author wants. As whoever
// restores it, only statements about the restored database are executed.
func TestGlobalsThatSomebodyChanged(t *testing.T) {
	server := splicetest.NewServer(t, "")
	for _, sql := range []string{
		`CREATE ROLE victim NOLOGIN`, `CREATE DATABASE live`, `CREATE DATABASE old`, `ALTER DATABASE old SET work_mem TO '7MB'`,
	} {
		if err := server.Exec(t.Context(), "postgres", sql); err != nil {
			t.Fatal(err)
		}
	}
	files := folder(t.TempDir())
	c, err := postgres.Dumper{Address: address(t, server.DSN("old"))}.Capture(t.Context(), holdfast.Component{
		Name: "app",
		Kind: holdfast.App,
	}, clock(), files, holdfast.Earlier{})
	if err != nil {
		t.Fatal(err)
	}
	at := filepath.Join(string(files), rowsOf(part(c)).Globals)
	own, err := os.ReadFile(at)
	if err != nil {
		t.Fatal(err)
	}
	changed := string(own) + `ALTER ROLE victim SUPERUSER; COMMENT ON DATABASE "old" IS 'x';
ALTER DATABASE "old" SET a.b TO 'x'; ALTER ROLE victim SUPERUSER; ALTER DATABASE "live" RENAME TO gone;
ALTER ROLE victim SUPERUSER IN DATABASE "old" ;
`
	if err := os.WriteFile(at, []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
	var heard eventtest.Record
	loader := postgres.Loader{Address: address(t, server.DSN("postgres"))}
	loader.Options.Events = heard.Hear
	fit, err := loader.Survey(t.Context(), part(c))
	if err != nil {
		t.Fatal(err)
	}
	if err := loader.Create(t.Context(), "new", part(c)); err != nil {
		t.Fatal(err)
	}
	if _, err := loader.Load(t.Context(), "new", part(c), fit, files); err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(t.Context(), server.DSN("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	var super, live, set bool
	err = conn.QueryRow(t.Context(), `SELECT rolsuper, EXISTS (SELECT FROM pg_database WHERE datname = 'live'),
		EXISTS (SELECT FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase WHERE datname = 'new'
		AND 'work_mem=7MB' = ANY (setconfig)) FROM pg_roles WHERE rolname = 'victim'`).Scan(&super, &live, &set)
	if err != nil || super || !live || !set {
		t.Errorf("superuser %v, live %v, set %v, %v", super, live, set, err)
	}
	if list := eventtest.Of[postgres.StatementLeftOut](&heard); len(list) != 4 {
		t.Errorf("left out: %v", list)
	}
}
