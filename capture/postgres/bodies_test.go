package postgres

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"holdfast"
)

// What a function's text names is found in it, and words that only look so are
// not.
func TestWhatABodyNames(t *testing.T) {
	for _, c := range []struct{ language, text, want string }{
		{"sql", "SELECT 1", "relations [] calls [] types []"},
		{"sql", "SELECT EXISTS (SELECT FROM kinds WHERE k = $1)", "relations [kinds] calls [exists] types []"},
		{"sql", "SELECT 1 FROM a.b, ONLY c AS d JOIN \"E f\" ON true", "relations [a.b c E f] calls [] types []"},
		{"sql", "WITH w AS (SELECT 1) SELECT * FROM w", "relations [] calls [as] types []"},
		{"sql", "SELECT x.f($1)::s.t", "relations [] calls [x.f] types [s.t]"},
		{"sql", "SELECT * FROM f($1)", "relations [] calls [f] types []"},
		{"sql", "SELECT 'from kinds' -- from kinds\n /* from kinds */", "relations [] calls [] types []"},
		{"plpgsql", "BEGIN INSERT INTO log VALUES (1); UPDATE t SET x = 1; DELETE FROM ONLY u; END",
			"relations [log t u] calls [] types []"},
		{"plpgsql", "BEGIN RETURN 'SELECT FROM kinds'; END", "relations [] calls [] types []"},
		{"plpgsql", "BEGIN EXECUTE 'SELECT FROM kinds' INTO found; END", "relations [found kinds] calls [] types []"},
		{"plpgsql", "BEGIN EXECUTE format($q$SELECT FROM %I.kinds$q$, s); END", "relations [] calls [format] types []"},
		{"plpython3u", "plpy.execute('SELECT 1 FROM kinds')", "relations [kinds] calls [plpy.execute] types []"},
	} {
		b := readBody(c.text, c.language)
		if got := fmt.Sprintf("relations %v calls %v types %v", b.relations, b.calls, b.types); got != c.want {
			t.Errorf("%s: %s\nnames %s,\nwant  %s", c.language, c.text, got, c.want)
		}
	}
}

// However a text ends, reading it does.
func FuzzBody(f *testing.F) {
	for _, s := range []string{"SELECT 'a", "$$", "$a$ b $a", `"`, "/*", "--", "'' ''", "a.b.c(", "::"} {
		f.Add(s)
	}
	f.Fuzz(func(_ *testing.T, text string) { readBody(text, "plperl") })
}

// Two dumps of one schema differ in the time in their header alone, and have one
// digest; anything else changes it.
func TestTheDigestOfASchema(t *testing.T) {
	dump := func(minor, intSize byte, second byte, rest string) []byte {
		integer := func(b byte) []byte { return append([]byte{0, b}, make([]byte, intSize-1)...) }
		out := append([]byte("PGDMP"), 1, minor, 0, intSize, 8, 1)
		if minor < 15 {
			out = append(out, integer(0)...)
		} else {
			out = append(out, 0)
		}
		for range 7 {
			out = append(out, integer(second)...)
		}
		return append(out, rest...)
	}
	digest := func(text []byte, version string) string {
		var to bytes.Buffer
		d := newSchemaDigest(&to)
		for chunk := range bytes.SplitSeq(text, nil) { // byte by byte
			if _, err := d.Write(chunk); err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.Equal(to.Bytes(), text) {
			t.Error("the dump was changed")
		}
		return d.sum([]holdfast.Extension{{Name: "citext", Version: version}})
	}
	table := strings.Repeat("CREATE TABLE t (x int);", 20)
	for _, minor := range []byte{14, 16} {
		for _, size := range []byte{4, 8} {
			was := digest(dump(minor, size, 1, table), "1.6")
			if digest(dump(minor, size, 2, table), "1.6") != was {
				t.Errorf("version 1.%d, integers of %d: a later dump has another digest", minor, size)
			}
			if digest(dump(minor, size, 1, table+" "), "1.6") == was ||
				digest(dump(minor, size, 1, table), "1.7") == was ||
				digest(dump(minor, size, 1, strings.Replace(table, "x", "y", 1)), "1.6") == was {
				t.Errorf("version 1.%d, integers of %d: another schema has the same digest", minor, size)
			}
		}
	}
	if once, again := digest([]byte("cut off"), ""), digest([]byte("cut off"), ""); once != again {
		t.Error("what is no dump has no digest")
	}
}
