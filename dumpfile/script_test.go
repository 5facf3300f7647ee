package dumpfile

import (
	"bytes"
	"fmt"
	"io"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"

	"holdfast/pgdump"
)

const (
	begins = "--\n-- PostgreSQL database dump\n--\n\n-- Dumped from database version 15.18\n-- Dumped by pg_dump version 15.18\n\nSET standard_conforming_strings = on;\n"
	ends   = "\n--\n-- PostgreSQL database dump complete\n--\n\n"

	parameterRows = "COPY participant.lapi_parameters (participant_id, ledger_end, participant_pruned_up_to_inclusive) FROM stdin;\nsomebody::1220aa\t66\t\\N\n\\.\n"
	parameterDDL  = "CREATE TABLE participant.lapi_parameters (\n    participant_id text,\n    ledger_end bigint,\n    participant_pruned_up_to_inclusive bigint\n);\n"
	nodeIDsDDL    = "CREATE TABLE participant.common_node_id (identifier text NOT NULL, namespace text NOT NULL);\n"
)

// tables lists a dump's tables with their rows.
func tables(d pgdump.File) string {
	var out []string
	for _, db := range d.Databases {
		for _, t := range db.Tables {
			out = append(out, fmt.Sprintf("%s.%s %d", t.Schema, t.Name, t.Rows))
		}
	}
	return strings.Join(out, ", ")
}

// SQL is taken apart as psql does it: what looks like rows or like an end, in a
// string, a comment or a function, is none.
func TestScripts(t *testing.T) {
	const complete, truncated, damaged, unclear = pgdump.Complete, pgdump.Truncated, pgdump.Damaged, pgdump.Unclear
	for _, c := range []struct {
		name, sql string
		state     pgdump.State
		tables    string
		fault     string
	}{
		{"nothing", "", truncated, "", "it is empty"},
		{"an empty database", begins + ends, complete, "", ""},
		{"rows", begins + "COPY s.t (a) FROM stdin;\n1\n2\n\\.\n" + ends, complete, "s.t 2", ""},
		{"no rows", begins + "COPY s.t (a) FROM stdin;\n\\.\n" + ends, complete, "s.t 0", ""},
		{"no columns", begins + "COPY s.t  FROM stdin;\n\n\n\\.\n" + ends, complete, "s.t 2", ""},
		{"carriage returns", strings.ReplaceAll(begins+"COPY s.t (a) FROM stdin;\n1\n\\.\n"+ends, "\n", "\r\n"), unclear, "s.t 1", "a terminal changed them"},
		{"carriage returns in values alone", begins + "INSERT INTO s.t VALUES ('a\r\nb');\nCOMMENT ON TABLE s.t IS '\r\n';\n" + ends, complete, "s.t 1", ""},
		{"a prompt before the dump", "Password: \n" + begins + "COPY s.t (a) FROM stdin;\n1\n\\.\n" + ends, damaged, "s.t 1", "\"Password:\""},
		{"a prompt before the dump of all", "Password for user postgres: \r\n--\n-- PostgreSQL database cluster dump\n--\nSET x = 1;\n--\n-- PostgreSQL database cluster dump complete\n--\n", damaged, "", "Password for user postgres:"},
		{"a setting before the dump", "SET x = 1;\n" + begins + ends, complete, "", ""},
		{"a byte order mark", "\xef\xbb\xbf" + begins + ends, complete, "", ""},
		{"a backslash in a row", begins + "COPY s.t (a) FROM stdin;\n\\\\.\n\\N\n\\.\n" + ends, complete, "s.t 2", ""},
		{"an end within rows", begins + "COPY s.t (a) FROM stdin;\n-- PostgreSQL database dump complete\n", truncated, "s.t 1", "within the rows of s.t, after row 1"},
		{"an end in a string", begins + "COMMENT ON SCHEMA x IS '\n-- PostgreSQL database dump complete\n';", truncated, "", "before the end"},
		{"an end in a comment", begins + "/* /* \n*/\n-- PostgreSQL database dump complete\n*/", truncated, "", "before the end"},
		{"an end in dollars", begins + "DO $a$\n-- PostgreSQL database dump complete\n$$ $a$;", truncated, "", "before the end"},
		{"a string that does not end", begins + "SELECT 'x", truncated, "", "within a string"},
		{"dollars that do not end", begins + "DO $_$ $", truncated, "", "within a string in dollars"},
		{"a comment that does not end", begins + "/* *", truncated, "", "within a comment"},
		{"a statement that does not end", begins + "CREATE TABLE s.t (a integer", truncated, "", "within a statement"},
		{"a COPY that does not end", begins + "COPY s.t (a", truncated, "", "within a statement"},
		{"quotes in names", begins + `COPY "s.""x"."T y" ("a,b", "c)") FROM stdin;` + "\n1\t2\n\\.\n" + ends, complete, `s."x.T y 1`, ""},
		{"rows in a function", begins + "CREATE FUNCTION s.f() RETURNS void LANGUAGE sql AS $$\nCOPY s.t (a) FROM stdin;\n1\n\\.\n$$;\n" + ends, complete, "", ""},
		{"a function whose body is SQL", begins + "CREATE OR REPLACE FUNCTION s.f(a int) RETURNS void LANGUAGE sql BEGIN ATOMIC\n INSERT INTO s.t VALUES (CASE WHEN a > 1 THEN 1 END);\n INSERT INTO s.t VALUES (2);\nEND;\nINSERT INTO s.u VALUES (1);\n" + ends, complete, "s.u 1", ""},
		{"a rule of several statements", begins + "CREATE RULE r AS ON INSERT TO s.t DO ALSO (INSERT INTO s.u VALUES (1); DELETE FROM s.v);\n" + ends, complete, "", ""},
		{"strings with escapes", begins + `INSERT INTO s.t VALUES ('it''s; (', E'a\'b', $1, -1.5e-3, NULL, '{"a":";"}'::jsonb, ARRAY[1,2], (1));` + "\n" + ends, complete, "s.t 1", ""},
		{"many rows at once", begins + "INSERT INTO s.t (a, b) OVERRIDING SYSTEM VALUE VALUES\n\t(1, 'x'),\n\t(2, 'y') ON CONFLICT DO NOTHING;\nINSERT INTO s.t DEFAULT VALUES;\n" + ends, complete, "s.t 3", ""},
		{"an INSERT that does not end", begins + "INSERT INTO s.t VALUES (1, 'x'), (2", truncated, "s.t 1", "within a statement"},
		{"backslashes that escape", begins + "SET standard_conforming_strings = off;\nINSERT INTO s.t VALUES ('a\\'); (');\n" + ends, complete, "s.t 1", ""},
		{"names without a schema", begins + "SET search_path = s, pg_catalog;\nCREATE TABLE t (a integer, CONSTRAINT c CHECK ((a > 1)));\nCOPY t (a) FROM stdin;\n1\n\\.\n" + ends, complete, "s.t 1", ""},
		{"two dumps", begins + ends + begins + "COPY s.t (a) FROM stdin;\n\\.\n" + ends, complete, "s.t 0", ""},
		{"two dumps, the first cut", begins + begins + ends, truncated, "", "has no end before the next one begins"},
		{"the beginning is missing", "CREATE TABLE s.t (a integer);" + ends, damaged, "s.t 0", "its beginning is missing"},
		{"neither beginning nor end", "CREATE TABLE s.t (a integer);", unclear, "s.t 0", "may be part of one"},
		{"something else", "Dear colleague,\n", truncated, "", ""},
		{"a COPY of another program", begins + "COPY s.t (a) FROM stdin WITH (FORMAT csv);\n" + ends, unclear, "", "a COPY that pg_dump does not write"},
		{"a message among the rows", begins + "COPY s.t (a, b) FROM stdin;\n1\t2\npg_dump: warning: x\n3\t4\n\\.\n" + ends, damaged, "s.t 2", "a message of pg_dump is among the rows"},
		{"a message before everything", "pg_dump: last built-in OID is 16383\n" + begins + ends, damaged, "", "it contains a message of pg_dump"},
		{"a row of one column that looks like a message", begins + "COPY s.t (a) FROM stdin;\npg_dump: x\n\\.\n" + ends, complete, "s.t 1", ""},
		{"a row that looks like a message", begins + "COPY s.t (a, b) FROM stdin;\npg_dump: x\t1\n\\.\n" + ends, complete, "s.t 1", ""},
		{"a wanted row with a field too few", begins + parameterDDL + strings.Replace(parameterRows, "\t66", "", 1) + ends, damaged, "participant.lapi_parameters 1", "has 2 fields, but the table has 3 columns"},
		{"a wanted row with a value too few", begins + parameterDDL + "INSERT INTO participant.lapi_parameters VALUES ('a', 1);\n" + ends, damaged, "participant.lapi_parameters 1", "has 2 values, but the table has 3 columns"},
		{"a cluster without its end", "--\n-- PostgreSQL database cluster dump\n--\n\\connect template1\n" + begins + ends, truncated, "", "before the end of the dump of all databases"},
		{"a cluster without its beginning", begins + ends + "--\n-- PostgreSQL database cluster dump complete\n--\n", damaged, "", "its beginning is missing"},
		{"roles alone", "--\n-- PostgreSQL database cluster dump\n--\nCREATE ROLE a;\n--\n-- PostgreSQL database cluster dump complete\n--\n", complete, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := readBytes(t, []byte(c.sql))
			if d.State != c.state || tables(d) != c.tables || !strings.Contains(strings.Join(d.Faults, "; "), c.fault) || c.fault == "" && c.state == complete && len(d.Faults) > 0 {
				t.Errorf("%s, tables %q, faults %q", d.State, tables(d), d.Faults)
			}
		})
	}
}

// However the pieces fall in which a dump comes, it says the same.
func TestPiecesOfAnySize(t *testing.T) {
	sql := begins + nodeIDsDDL + parameterDDL + "DO $abc$ '; $ab$ $abc$;\nINSERT INTO s.t VALUES ('it''s', -1.25);\n" + parameterRows + ends
	want := readBytes(t, []byte(sql))
	for size := 1; size < 40; size++ {
		d, err := Reader{Stdin: &slow{[]byte(sql), size}}.Read(t.Context(), "-")
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(d, want) || d.State != pgdump.Complete {
			t.Fatalf("in pieces of %d: %+v\nwant %+v", size, d, want)
		}
		in := &input{err: nil, stop: func() {}}
		rest := []byte(sql)
		in.next1 = func() (piece, bool) {
			p := piece{space: make([]byte, headroom+size)}
			p.n = copy(p.space[headroom:], rest)
			if rest = rest[p.n:]; len(rest) == 0 {
				p.err = io.EOF
			}
			return p, true
		}
		in.done = func(piece) {}
		r := newReading("-")
		r.plain(t.Context(), in)
		r.dump.Read = in.at()
		if got := r.result(); !reflect.DeepEqual(got, want) {
			t.Fatalf("in windows of %d: %+v\nwant %+v", size, got, want)
		}
	}
}

// slow gives a few bytes at a time.
type slow struct {
	data []byte
	size int
}

func (s *slow) Read(p []byte) (int, error) {
	if len(s.data) == 0 {
		return 0, io.EOF
	}
	n := copy(p, s.data[:min(s.size, len(s.data))])
	s.data = s.data[n:]
	return n, nil
}

// The facts of a dump whose deciding tables are cut are unknown; those of one
// that is cut later are there, and what is lacking is named.
func TestFactsOfATruncatedDump(t *testing.T) {
	users := "CREATE TABLE participant.lapi_users (internal_id integer, user_id text, primary_party text, is_deactivated boolean);\n"
	whole := begins + nodeIDsDDL + parameterDDL + users + parameterRows + "COPY participant.lapi_users (internal_id, user_id, primary_party, is_deactivated) FROM stdin;\n1\talice\t\\N\tf\n"
	d := readBytes(t, []byte(whole)).Databases[0]
	if p := d.Facts.Participant; p == nil || p.LedgerEnd == nil || *p.LedgerEnd != 66 || len(p.Users) > 0 || !strings.Contains(strings.Join(d.Unread, " "), "participant.lapi_users") {
		t.Errorf("%+v, unread %v", d.Facts, d.Unread)
	}
	cut := whole[:strings.Index(whole, "66")+1]
	if d := readBytes(t, []byte(cut)).Databases[0]; d.Facts.Participant != nil || d.Facts.Unknown == "" {
		t.Errorf("%+v", d.Facts)
	}
}

func lines(parts ...io.Reader) io.Reader { return io.MultiReader(parts...) }

// repeated gives a text over and over, and ends with a whole one.
type repeated struct {
	text string
	left int64
	at   int
}

func (r *repeated) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) && (r.left > 0 || r.at > 0) {
		k := copy(p[n:], r.text[r.at:])
		r.at = (r.at + k) % len(r.text)
		n += k
		r.left -= int64(k)
	}
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

// Lines, values, names and statements of any length need no more memory than
// others, and neither does a wanted table that is made to be too long.
func TestLongThingsNeedLittleMemory(t *testing.T) {
	const much = 64 << 20 // more than is kept of anything
	for name, from := range map[string]io.Reader{
		"a line":              lines(strings.NewReader(begins+"COPY s.t (a) FROM stdin;\n"), &repeated{text: strings.Repeat("abcd\\\\", 100), left: much}, strings.NewReader("\n\\.\n"+ends)),
		"a line that matters": lines(strings.NewReader(begins+parameterDDL+"COPY participant.lapi_parameters (participant_id, ledger_end, participant_pruned_up_to_inclusive) FROM stdin;\n"), &repeated{text: strings.Repeat("x", 1000), left: much}, strings.NewReader("\t1\t2\n\\.\n"+ends)),
		"a string":            lines(strings.NewReader(begins+"INSERT INTO s.t VALUES ('"), &repeated{text: strings.Repeat("ab''", 100), left: much}, strings.NewReader("');\n"+ends)),
		"a name":              lines(strings.NewReader(begins+`CREATE TABLE "`), &repeated{text: strings.Repeat("x", 1000), left: much}, strings.NewReader(`" (a integer);`+ends)),
		"a comment":           lines(strings.NewReader(begins+"-- "), &repeated{text: strings.Repeat("x", 1000), left: much}, strings.NewReader(ends)),
		"a list of columns":   lines(strings.NewReader(begins+"CREATE TABLE s.t (a integer"), &repeated{text: ", b integer", left: much / 8}, strings.NewReader(");\n"+ends)),
		"rows that matter": lines(strings.NewReader(begins+parameterDDL+"COPY participant.lapi_parameters (participant_id, ledger_end, participant_pruned_up_to_inclusive) FROM stdin;\n"),
			&repeated{text: strings.Repeat("a", 60_000) + "\t1\t2\n", left: much}, strings.NewReader("\\.\n"+ends)),
		"columns": lines(strings.NewReader(begins), &counter{
			format: "CREATE TABLE s.t%d (" + manyColumns(100) + ");\n", most: 10_000,
		}, strings.NewReader(ends)),
		"names": lines(strings.NewReader(begins), &counter{
			format: "CREATE TABLE s.%[1]d_" + strings.Repeat("x", 50_000) + " (a integer);\n", most: 2_000,
		}, strings.NewReader(ends)),
		"rows of many databases": lines(&counter{
			format: begins + "-- %d\n" + parameterDDL + "COPY participant.lapi_parameters (participant_id, ledger_end, " +
				"participant_pruned_up_to_inclusive) FROM stdin;\n" +
				strings.Repeat(strings.Repeat("a", 60_000)+"\t1\t2\n", 10) + "\\.\n" + ends, most: 200,
		}),
		"tables": lines(strings.NewReader(begins), &counter{format: "CREATE TABLE s.t%d (a integer);\n", most: 250_000}, strings.NewReader(ends)),
	} {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			d, err := Reader{Stdin: from}.Read(t.Context(), "-")
			if err != nil {
				t.Fatal(err)
			}
			runtime.GC()
			runtime.ReadMemStats(&after)
			limit := int64(40 << 20) // what is kept of one table is below it
			unknown := slices.Contains([]string{"tables", "a name", "columns", "names", "rows of many databases"}, name)
			if unknown {
				limit = 96 << 20
			}
			if kept := int64(after.HeapAlloc) - int64(before.HeapAlloc); kept > limit {
				t.Errorf("%d MiB are kept of %d MiB", kept>>20, d.Read>>20)
			}
			if made := int64(after.TotalAlloc) - int64(before.TotalAlloc); !unknown && made > much+much/2 {
				t.Errorf("%d MiB were allocated for %d MiB", made>>20, d.Read>>20)
			}
			if unknown != (d.State == pgdump.Unclear) || !unknown && d.State != pgdump.Complete {
				t.Errorf("%s, %v", d.State, d.Faults)
			}
			runtime.KeepAlive(d)
		})
	}
}

// counter gives lines with numbers.
type counter struct {
	format  string
	n, most int
	buf     bytes.Buffer
}

func (c *counter) Read(p []byte) (int, error) {
	for c.buf.Len() < len(p) && c.n < c.most {
		fmt.Fprintf(&c.buf, c.format, c.n)
		c.n++
	}
	return c.buf.Read(p)
}

// manyColumns defines columns.
func manyColumns(n int) string {
	var list []string
	for i := range n {
		list = append(list, fmt.Sprintf("c%d integer", i))
	}
	return strings.Join(list, ", ")
}
