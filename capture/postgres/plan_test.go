package postgres

import (
	"fmt"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func TestCut(t *testing.T) {
	heap := func(blocks int64) relation { return relation{ranged: true, blocks: blocks, bytes: blocks * 8192} }
	for _, c := range []struct {
		name  string
		table relation
		want  []string // blocks, "from-to"
	}{
		{"an empty table is read as one", heap(0), []string{"whole"}},
		{"a table of one segment is read as one", heap(10), []string{"whole"}},
		{"one block more makes two, the last open at its end", heap(11), []string{"0-10", "10-"}},
		{"boundaries are multiples whatever the size", heap(35), []string{"0-10", "10-20", "20-30", "30-"}},
		{"a full last segment is open as well", heap(30), []string{"0-10", "10-20", "20-"}},
		{"a table that is not a heap has no blocks to go by", relation{blocks: 1000}, []string{"whole"}},
		{"an extension's condition stands for the range", relation{
			ranged:    true,
			blocks:    1000,
			condition: "WHERE NOT builtin",
		}, []string{"whole"}},
	} {
		var got []string
		for i, u := range cut(3, c.table, 10) {
			if u.table != 3 || u.segment != i {
				t.Errorf("%s: unit %d is %+v", c.name, i, u)
			}
			switch {
			case u.whole:
				got = append(got, "whole")
			case u.to == 0:
				got = append(got, fmt.Sprintf("%d-", u.from))
			default:
				got = append(got, fmt.Sprintf("%d-%d", u.from, u.to))
			}
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

func TestGrowthMovesNoBoundary(t *testing.T) {
	before, after := cut(0, relation{ranged: true, blocks: 95}, 10), cut(0, relation{ranged: true, blocks: 250}, 10)
	for i, u := range before[:len(before)-1] {
		if after[i].from != u.from || after[i].to != u.to {
			t.Errorf("segment %d was %d-%d and is %d-%d", i, u.from, u.to, after[i].from, after[i].to)
		}
	}
}

func TestGroups(t *testing.T) {
	sizes := func(blocks ...int64) []relation {
		var out []relation
		for i, b := range blocks {
			out = append(out, relation{name: fmt.Sprint(i), ranged: true, blocks: b, bytes: b})
		}
		return out
	}
	for _, c := range []struct {
		name   string
		tables []relation
		most   int
		least  int64
		want   [][]int
	}{
		{"nothing", nil, 4, 0, nil},
		{"small tables share one group, smallest first", sizes(5, 1, 3), 4, 0, [][]int{{1, 2, 0}}},
		{"large ones follow by size, each on its own", sizes(100, 1, 50, 200), 4, 0, [][]int{{1}, {2}, {0}, {3}}},
		{"where there are too many, the smallest neighbours join", sizes(1, 20, 30, 400, 500), 4, 0, [][]int{
			{0},
			{1, 2},
			{3},
			{4},
		}},
		{"two groups are the least: small and large", sizes(1, 20, 30, 400), 2, 0, [][]int{{0}, {1, 2, 3}}},
		{"no small table", sizes(20, 30), 6, 0, [][]int{{0}, {1}}},
		{"groups of a few files join, small tables too", sizes(5, 20, 30, 400, 500), 6, 100, [][]int{{0, 1, 2}, {3}, {4}}},
		{"a small database is one group", sizes(5, 20, 30), 6, 100, [][]int{{0, 1, 2}}},
	} {
		var got [][]int
		units, tables := 0, 0
		for _, g := range groups(c.tables, 10, c.most, c.least) {
			got = append(got, g.tables)
			units += len(g.units)
			tables += len(g.tables)
		}
		if !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
		want := 0
		for i, r := range c.tables {
			want += len(cut(i, r, 10))
		}
		if units != want || tables != len(c.tables) {
			t.Errorf("%s: %d units of %d, %d tables of %d", c.name, units, want, tables, len(c.tables))
		}
	}
}

func TestUnitReadsItsBlocks(t *testing.T) {
	r := relation{schema: "a b", name: `q"t`, columns: []column{{name: "x"}, {name: "Y"}}, format: "binary"}
	for _, c := range []struct {
		unit unit
		want string
	}{
		{unit{whole: true}, `COPY "a b"."q""t" ("x", "Y") TO STDOUT (FORMAT binary)`},
		{unit{
			from: 0,
			to:   10,
		},
			`COPY (SELECT "x", "Y" FROM ONLY "a b"."q""t" WHERE ctid >= '(0,0)' AND ctid < '(10,0)') TO STDOUT (FORMAT binary)`},
		{unit{from: 10},
			`COPY (SELECT "x", "Y" FROM ONLY "a b"."q""t" WHERE ctid >= '(10,0)') TO STDOUT (FORMAT binary)`},
	} {
		if got := c.unit.sql(r); got != c.want {
			t.Errorf("%s\nwant %s", got, c.want)
		}
	}
	if got := (unit{whole: true}).sql(relation{
		schema:    "s",
		name:      "t",
		format:    "text",
		condition: "WHERE a > 1",
	}); got != `COPY (SELECT  FROM ONLY "s"."t" WHERE a > 1) TO STDOUT` {
		t.Error(got)
	}
}

func TestNamesOfTablesAsNamesOfDirectories(t *testing.T) {
	for _, c := range []struct{ schema, name, want string }{
		{"participant", "par_contracts", "participant.par_contracts"},
		{"a.b", "c", "a%2Eb.c"},
		{"a", "b.c", "a.b%2Ec"},
		{"..", "../up", "%2E%2E.%2E%2E%2Fup"},
		{"S", "Ünï/\\:*?\"<>|~$ %2F", "S.%C3%9Cn%C3%AF%2F%5C%3A%2A%3F%22%3C%3E%7C%7E%24%20%252F"},
	} {
		got := directory(relation{schema: c.schema, name: c.name})
		if got != c.want {
			t.Errorf("%q.%q: %s, want %s", c.schema, c.name, got, c.want)
		}
	}
	long := strings.Repeat("é", 31)
	seen := map[string]string{}
	for _, pair := range [][2]string{
		{long, long},
		{long, long + "e"},
		{long + "e", long},
		{long, long[:60]},
		{strings.Repeat("🚀", 15), strings.Repeat("🚀", 15)},
	} {
		got := directory(relation{schema: pair[0], name: pair[1]})
		if len(got) > 200 {
			t.Errorf("%d bytes: %s", len(got), got)
		}
		if whole, _, _ := strings.Cut(got, "~"); !unescapes(whole) {
			t.Errorf("cut within an escape: %s", got)
		}
		if other, twice := seen[got]; twice {
			t.Errorf("%q and %q have one directory", other, pair)
		}
		seen[got] = fmt.Sprint(pair)
	}
}

func unescapes(s string) bool { _, err := url.PathUnescape(s); return err == nil }

func FuzzEscape(f *testing.F) {
	for _, name := range []string{"a", "a.b", "%2E", "..", "日本", "a b", "A&B=$", "\xff"} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		e := escape(name)
		if back, err := url.PathUnescape(e); err != nil || back != name {
			t.Errorf("%q became %q and %q, %v", name, e, back, err)
		}
		if strings.ContainsAny(e, "./\\\x00 ~") {
			t.Errorf("%q is no file name", e)
		}
	})
}

func TestIndexesAndConstraintsAreRestoredSideBySideAndTheRestOneByOne(t *testing.T) {
	list := `;
; Archive created at 2026-11-22
;
3456; 1259 16403 INDEX participant "odd name" cnadmin
3457; 0 0 INDEX ATTACH participant ord_p0_pkey cnadmin
3458; 2606 16405 CONSTRAINT participant t t_pkey cnadmin
3459; 2606 16406 FK CONSTRAINT participant t t_fkey cnadmin
3460; 0 0 COMMENT participant INDEX i cnadmin
3461; 3466 16409 EVENT TRIGGER - note postgres
3462; 0 0 COMMENT - EVENT TRIGGER note postgres
`
	parallel, serial, last := splitList(list)
	if want := "3456; 1259 16403 INDEX participant \"odd name\" cnadmin\n3458; 2606 16405 CONSTRAINT participant t " +
		"t_pkey cnadmin\n"; parallel != want {
		t.Errorf("side by side:\n%s", parallel)
	}
	if want := "3457; 0 0 INDEX ATTACH participant ord_p0_pkey cnadmin\n3459; 2606 16406 FK CONSTRAINT participant " +
		"t t_fkey cnadmin\n3460; 0 0 COMMENT participant INDEX i cnadmin\n"; serial != want {
		t.Errorf("one by one:\n%s", serial)
	}
	if want := "3461; 3466 16409 EVENT TRIGGER - note postgres\n3462; 0 0 COMMENT - EVENT TRIGGER note postgres\n"; last != want {
		t.Errorf("last of all:\n%s", last)
	}
}
