package postgres

import (
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"holdfast/content"
	"holdfast/internal/splicetest"
)

func TestFormatOfEachKindOfColumn(t *testing.T) {
	const binary, text = content.BinaryFormat, content.TextFormat
	server := splicetest.NewServer(t, "")
	conn, err := pgx.Connect(t.Context(), server.DSN("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if _, err := conn.Exec(t.Context(), `
		CREATE TYPE mood AS ENUM ('sad'); CREATE TYPE pair AS (a integer, b mood);
		CREATE DOMAIN small AS integer; CREATE DOMAIN smaller AS small; CREATE DOMAIN moody AS mood; CREATE DOMAIN moods AS mood[]; CREATE DOMAIN paired AS pair;
		CREATE EXTENSION hstore`, pgx.QueryExecModeSimpleProtocol); err != nil {
		t.Fatal(err)
	}
	cases := []struct{ columns, want string }{
		{"", binary},
		{"a integer, b bytea, c text, d jsonb, e timestamptz, f uuid, g numeric(5,2), h varchar(9), i char(3)",
			binary},
		{"a integer[], b bytea[], c text[][]", binary},
		{"a mood", binary},
		{"a small, b smaller, c moody", binary},
		{"a mood[]", text},
		{"a moods", text},
		{"a pair", text},
		{"a paired", text},
		{"a hstore", text},
		{"a regclass", text},
		{"a xml", text},
		{"a point", text},
		{"a inet", text},
		{"a int4range", text},
		{"a integer, b pair, c text", text},
		{"a integer, b mood[] GENERATED ALWAYS AS (NULL) STORED", binary}, // a generated column is not in the stream
	}
	for i, c := range cases {
		if _, err := conn.Exec(t.Context(), fmt.Sprintf("CREATE TABLE t%02d (%s)", i, c.columns)); err != nil {
			t.Fatal(err)
		}
	}
	list, err := tables(t.Context(), conn)
	if err != nil || len(list) != len(cases) {
		t.Fatalf("%d tables, %v", len(list), err)
	}
	for i, r := range list {
		if r.format != cases[i].want {
			t.Errorf("(%s): %s, want %s", cases[i].columns, r.format, cases[i].want)
		}
	}
	for oid := range stable {
		var name string
		if err := conn.QueryRow(t.Context(), `SELECT typname FROM pg_type WHERE oid = $1`,
			oid).Scan(&name); err != nil || strings.HasPrefix(strings.TrimPrefix(name, "_"), "reg") {
			t.Errorf("type %d: %q, %v", oid, name, err)
		}
	}
}
