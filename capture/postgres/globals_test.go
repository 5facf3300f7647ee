package postgres_test

import (
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"holdfast"
	"holdfast/capture/postgres"
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
	}, clock(), files)
	if err != nil {
		t.Fatal(err)
	}
	loader := postgres.Loader{Address: address(t, server.DSN("postgres"))}
	fit, err := loader.Survey(t.Context(), part(c))
	if err != nil {
		t.Fatal(err)
	}
	if err := loader.Load(t.Context(), "new~1", part(c), fit, files); err != nil {
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
		}, clock(), folder(t.TempDir()))
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
