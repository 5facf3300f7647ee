package postgres

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/zeebo/xxh3"

	"holdfast/content"
)

// unit is one COPY: a segment of a table, or a whole one.
type unit struct {
	table    int   // index into the list of tables
	segment  int   // index into the table's segments
	from, to int64 // heap blocks [from, to); to is 0 for "to the end"
	whole    bool  // no range: the table is read as one
	weight   int64 // estimated bytes
}

// group is a set of tables that are locked together and given back together.
type group struct {
	tables []int
	units  []unit
	bytes  int64
}

// cut divides a table into units of segmentBlocks heap blocks. The boundaries
// are fixed multiples, whatever the table's size, so that a range of blocks
// nobody touched gives the same bytes in every set. The last unit is open at
// its end: rows that were appended after the size was read are in it.
func cut(index int, r relation, segmentBlocks int64) []unit {
	if !r.ranged || r.extension != "" || r.condition != "" || r.blocks <= segmentBlocks {
		return []unit{{table: index, whole: true, weight: r.bytes}}
	}
	n := (r.blocks + segmentBlocks - 1) / segmentBlocks
	var units []unit
	for i := range n {
		u := unit{
			table:   index,
			segment: int(i),
			from:    i * segmentBlocks,
			to:      (i + 1) * segmentBlocks,
			weight:  r.bytes / n,
		}
		if i == n-1 {
			u.to = 0
		}
		units = append(units, u)
	}
	return units
}

// size is how many bytes the tables have on disk, without their indexes.
func size(tables []relation) (bytes int64) {
	for _, t := range tables {
		bytes += t.bytes
	}
	return bytes
}

// groups distributes the tables over at most most groups: the small tables
// together first, then the large ones by size, so that most locks are given
// back within moments. Where there are more large tables than groups,
// neighbours in size share one. So do groups of together less than least bytes:
// each costs a connection for each lane, and locks are soon given back anyway.
func groups(tables []relation, segmentBlocks int64, most int, least int64) []group {
	order := make([]int, len(tables))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(tables[a].bytes, tables[b].bytes) })
	var small group
	var large []group
	for _, i := range order {
		units := cut(i, tables[i], segmentBlocks)
		if len(units) == 1 {
			small.add(i, units, tables[i].bytes)
			continue
		}
		var g group
		g.add(i, units, tables[i].bytes)
		large = append(large, g)
	}
	for len(large) > 1 && len(large) > most-1 {
		large = joinAt(large, smallestPair(large))
	}
	var out []group
	if len(small.units) > 0 {
		out = append(out, small)
	}
	out = append(out, large...)
	for len(out) > 1 {
		at := smallestPair(out)
		if out[at].bytes+out[at+1].bytes >= least {
			break
		}
		out = joinAt(out, at)
	}
	return out
}

func (g *group) add(table int, units []unit, bytes int64) {
	g.tables = append(g.tables, table)
	g.units = append(g.units, units...)
	g.bytes += bytes
}

// smallestPair is the first of the two neighbours that are smallest together.
func smallestPair(list []group) (at int) {
	for i := range len(list) - 1 {
		if list[i].bytes+list[i+1].bytes < list[at].bytes+list[at+1].bytes {
			at = i
		}
	}
	return at
}

// joinAt joins a group with the one behind it.
func joinAt(list []group, at int) []group {
	list[at].tables = append(list[at].tables, list[at+1].tables...)
	list[at].units = append(list[at].units, list[at+1].units...)
	list[at].bytes += list[at+1].bytes
	return slices.Delete(list, at+1, at+2)
}

// sql is the COPY that reads the unit.
func (u unit) sql(r relation) string {
	return copySQL(r.ident(), r.columnNames(), u.where(r.condition), r.format)
}

// where chooses the unit's rows; condition is that of an extension's
// configuration table.
func (u unit) where(condition string) string {
	switch {
	case condition != "":
		return " " + condition
	case u.whole:
		return ""
	case u.to == 0:
		return fmt.Sprintf(" WHERE ctid >= '(%d,0)'", u.from)
	}
	return fmt.Sprintf(" WHERE ctid >= '(%d,0)' AND ctid < '(%d,0)'", u.from, u.to)
}

func copySQL(ident string, columns []string, where, format string) string {
	sql := fmt.Sprintf("COPY (SELECT %s FROM ONLY %s%s) TO STDOUT", selection(columns), ident, where)
	if where == "" && len(columns) > 0 { // which is not planned: see plannedCalls
		sql = fmt.Sprintf("COPY %s (%s) TO STDOUT", ident, selection(columns))
	}
	if format == content.BinaryFormat {
		sql += " (FORMAT binary)"
	}
	return sql
}

// file is the unit's name within the component's directory.
func (u unit) file(r relation) string {
	return fmt.Sprintf("data/%s/%010d.copy", directory(r), u.from)
}

// directory is the name of a table's directory: "<schema>.<table>". A file
// system takes 255 bytes, so longer names are cut, and made unique by a digest.
func directory(r relation) string {
	const most = 200
	name := escape(r.schema) + "." + escape(r.name)
	if len(name) <= most {
		return name
	}
	short := name[:most-17]
	if i := strings.LastIndexByte(short, '%'); i > len(short)-3 {
		short = short[:i] // not within an escape
	}
	return fmt.Sprintf("%s~%016x", short, xxh3.HashString(name))
}

// escape makes a schema's or table's name fit for a file name: what is not an
// ASCII letter, digit, dash or underscore is percent-encoded, the dot as well,
// since it stands between the two names.
func escape(name string) string {
	var b strings.Builder
	for _, ch := range []byte(name) {
		switch {
		case 'a' <= ch && ch <= 'z', 'A' <= ch && ch <= 'Z', '0' <= ch && ch <= '9', ch == '-', ch == '_':
			b.WriteByte(ch)
		default:
			fmt.Fprintf(&b, "%%%02X", ch)
		}
	}
	return b.String()
}
