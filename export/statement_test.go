package export

import (
	"testing"

	"holdfast"
	"holdfast/content"
	"holdfast/internal/splicetest"
)

// TestNamesReachTheServerInEveryEncoding runs the statements of a capture with
// names nobody should choose, in a database that is not in Unicode. The files
// of a set are UTF-8 where they hold names, so what is not ASCII is escaped.
func TestNamesReachTheServerInEveryEncoding(t *testing.T) {
	ctx := t.Context()
	s := splicetest.NewServer(t, "15")
	for _, encoding := range []string{"UTF8", "LATIN1", "SQL_ASCII"} {
		d := dialect{encoding}
		if err := s.Exec(ctx, "postgres",
			"CREATE DATABASE \""+encoding+"\" TEMPLATE template0 ENCODING '"+encoding+
				"' LC_COLLATE 'C' LC_CTYPE 'C'"); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"plain", `quo"te`, "apo'strophe", `back\slash`, "né\n", "$holdfast$",
			`é\0041"'`} {
			c := holdfast.Part{Captured: holdfast.Captured{Database: holdfast.Database{
				Name:     name,
				Encoding: encoding,
				Roles:    []string{"postgres"},
			}}}
			rows := content.Rows{
				Sequences: []content.Sequence{{Schema: name, Name: name + "s", Last: 7, Called: true}},
				Views:     []content.View{{Schema: name, Name: name + "v"}},
				Tables:    []content.Table{{Schema: name, Name: name, Columns: []string{name}}},
			}
			sql := d.pins() + d.check(c) + d.checkRoles(c) + d.settings(c,
				"-- \nALTER DATABASE "+plain(name)+" SET my.x TO 'a''b\nc;\né';\nALTER DATABASE "+plain(name)+
					" SET nowhere TO 'x';\n") +
				"CREATE SCHEMA " + d.ident(name) + "; CREATE TABLE " + d.table(name,
				name) + " AS SELECT 1 AS " + d.ident(name) + "; CREATE SEQUENCE " + d.table(name, name+"s") +
				"; CREATE MATERIALIZED VIEW " + d.table(name,
				name+"v") + " AS SELECT * FROM " + d.table(name, name) + " WITH NO DATA;\n" +
				d.sequences(rows) + d.finish(rows) + d.count(rows) + "SELECT 1 / (last_value = 7)::integer FROM " +
				d.table(name, name+"s") + "; DROP SCHEMA " + d.ident(name) + " CASCADE;"
			if err := s.Exec(ctx, encoding, sql); err != nil {
				t.Errorf("%s, %q: %v\n%s", encoding, name, err, sql)
			}
		}
	}
}

func TestNamesOnOneLine(t *testing.T) {
	if got := tableLine(content.Table{
		Schema: "zoo",
		Name:   "new\nline.é $x`'\"",
	}); got != "zoo.new%0Aline%2E%C3%A9%20%24x%60%27%22" {
		t.Error(got)
	}
}
