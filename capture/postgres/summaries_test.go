package postgres

import "testing"

// Summaries cover the log from one position to another only if nothing is missing
// at either end or in between.
func TestSummariesCoverWithoutAGap(t *testing.T) {
	for _, x := range []struct {
		name         string
		stretches    []stretch
		whole, short bool
	}{
		{"none", nil, false, true},
		{"one", []stretch{{0, 30}}, true, false},
		{"exactly", []stretch{{10, 20}}, true, false},
		{"two", []stretch{{5, 15}, {15, 25}}, true, false},
		{"overlapping", []stretch{{5, 18}, {10, 25}}, true, false},
		{"one within another", []stretch{{5, 30}, {10, 12}}, true, false},
		{"a gap", []stretch{{5, 12}, {13, 25}}, false, false},
		{"the oldest is gone", []stretch{{11, 25}}, false, false},
		{"the newest is missing", []stretch{{5, 19}}, false, true},
	} {
		if whole, short := cover(x.stretches, 10, 20); whole != x.whole || short != x.short {
			t.Errorf("%s: whole %t, short %t; want %t, %t", x.name, whole, short, x.whole, x.short)
		}
	}
}

// A strip is spared only if no block of it was written or cut off.
func TestOnlyUnwrittenStripsAreSpared(t *testing.T) {
	const length = 256
	file := heapFile{1663, 5}
	table := relation{logged: true, file: file}
	in := func(written ...int64) *summary {
		s := &summary{holds: true, strips: map[heapFile]map[int64]bool{file: {}}}
		for _, n := range written {
			s.strips[file][n] = true
		}
		return s
	}
	cut := func(from int64) *summary {
		s := in()
		s.emptied = map[heapFile]int64{file: from}
		return s
	}
	first, second, last := strip{From: 0, To: 256}, strip{From: 256, To: 512}, strip{From: 512}
	for _, x := range []struct {
		name string
		s    *summary
		r    relation
		of   strip
		want bool
	}{
		{"no summary", nil, table, first, false},
		{"a summary that says nothing", &summary{}, table, first, false},
		{"nothing written", in(), table, first, true},
		{"written", in(0), table, first, false},
		{"another strip written", in(0), table, second, true},
		{"the open one written", in(2), table, last, false},
		{"grown by more than a strip", in(7), table, last, false},
		{"before the open one", in(1), table, last, true},
		{"cut within", cut(300), table, second, false},
		{"cut behind", cut(512), table, second, true},
		{"the open one is cut", cut(9000), table, last, false},
		{"not in the log", in(), relation{file: file}, first, false},
		{"without a file", in(), relation{logged: true}, first, false},
		{"another file", in(0), relation{logged: true, file: heapFile{1663, 6}}, first, true},
	} {
		if got := x.s.spares(x.r, x.of, length); got != x.want {
			t.Errorf("%s: %t, want %t", x.name, got, x.want)
		}
	}
}
