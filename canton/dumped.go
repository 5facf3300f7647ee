package canton

import (
	"fmt"
	"slices"

	"holdfast"
)

// The most that is kept of one table of a dump. A node with a hundred thousand
// users stays below it; a file that was made to fill the memory does not.
const (
	mostRows  = 1 << 20
	mostBytes = 32 << 20
)

// Dumped is what a dump of one database says of Canton and Splice. It is told
// of every table while the dump is read, keeps the few rows that matter, and
// then gives the same facts as a live database would.
type Dumped struct {
	schemas  []*dumpedSchema
	complete bool
}

type dumpedSchema struct {
	schema
	rows map[string]*dumpedTable
	of   *Dumped
}

func (s *dumpedSchema) name() string { return s.schema.name }

// dumpedTable is what was kept of one table: its wanted columns, row by row.
type dumpedTable struct {
	columns []string
	rows    [][]*string
	bytes   int
	whole   bool   // its rows have ended
	fault   string // why its rows are not all here
}

// Table is told of a table's columns, in the order of its rows; several times
// over if need be. It returns the positions of the columns whose values it
// wants, and what wants them: row for each row, with nil for one that could not
// be read, and end when the rows have come to their end. Without these
// functions no row of the table matters.
func (d *Dumped) Table(schema, name string, columns []string) (want []int, row func(values []*string), end func()) {
	s := d.schema(schema)
	for _, c := range columns {
		s.columns[name+"."+c] = true
	}
	if len(columns) == 0 {
		s.columns[name+"."] = true
	}
	t := s.rows[name]
	if t == nil {
		t = &dumpedTable{columns: wantedOf(name)}
	}
	if len(t.columns) == 0 {
		return nil, nil, nil
	}
	s.rows[name] = t
	kept := make([]int, len(t.columns)) // where in values a column of the table is
	for i, c := range t.columns {
		kept[i] = -1
		if at := slices.Index(columns, c); at >= 0 {
			kept[i] = len(want)
			want = append(want, at)
		}
	}
	filter := filterOf(name)
	return want, func(values []*string) { t.keep(kept, values, filter) }, func() { t.whole = true }
}

// Complete is told that the dump was read to a proper end: a table that had no
// rows until now has none.
func (d *Dumped) Complete() { d.complete = true }

// Unread lists the tables that matter and whose rows are not all here.
func (d *Dumped) Unread() []string {
	var out []string
	for _, s := range d.schemas {
		for name, t := range s.rows {
			if d.lacks(t) != "" {
				out = append(out, s.name()+"."+name)
			}
		}
	}
	slices.Sort(out)
	return out
}

// lacks says why a table's rows are not all here.
func (d *Dumped) lacks(t *dumpedTable) string {
	if t.fault == "" && !t.whole && !d.complete {
		return "has rows that the dump does not have any more"
	}
	return t.fault
}

func (d *Dumped) schema(name string) *dumpedSchema {
	for _, s := range d.schemas {
		if s.schema.name == name {
			return s
		}
	}
	s := &dumpedSchema{schema{name, map[string]bool{}}, map[string]*dumpedTable{}, d}
	d.schemas = append(d.schemas, s)
	return s
}

// wantedOf lists the columns of a table that any query reads.
func wantedOf(table string) []string {
	var out []string
	for _, q := range queries {
		if q.table != table {
			continue
		}
		for _, c := range q.all() {
			if !slices.Contains(out, c) {
				out = append(out, c)
			}
		}
	}
	return out
}

// filterOf is the query that leaves rows of a table out. No table has two.
func filterOf(table string) query {
	for _, q := range queries {
		if q.table == table && q.filter != "" {
			return q
		}
	}
	return query{}
}

// keep copies what is wanted of a row.
func (t *dumpedTable) keep(kept []int, values []*string, filter query) {
	if t.fault != "" {
		return
	}
	if values == nil {
		t.fault = "has a row that could not be read"
		return
	}
	row := make([]*string, len(t.columns))
	for i, at := range kept {
		if at < 0 || values[at] == nil {
			continue
		}
		if t.columns[i] == filter.filter && !beginsWith(*values[at], filter.prefix) {
			return
		}
		row[i] = values[at]
		t.bytes += len(*values[at])
	}
	if len(t.rows) >= mostRows || t.bytes > mostBytes {
		t.fault, t.rows = "has more rows than can be kept", nil
		return
	}
	t.rows = append(t.rows, row)
}

func beginsWith(text, prefix string) bool {
	return len(text) >= len(prefix) && text[:len(prefix)] == prefix
}

func (s *dumpedSchema) each(q query, fn func(row []*string)) error {
	t := s.rows[q.table]
	if t == nil {
		return nil
	}
	if lacks := s.of.lacks(t); lacks != "" {
		return fmt.Errorf("%w: table %s of schema %s %s", errUnread, q.table, s.name(), lacks)
	}
	at := make([]int, 0, len(t.columns))
	for _, c := range q.all() {
		at = append(at, slices.Index(t.columns, c))
	}
	row := make([]*string, len(at))
	for _, kept := range t.rows {
		for i, k := range at {
			row[i] = kept[k]
		}
		fn(row)
	}
	return nil
}

// Facts says what the dumped database is, and what it says about its node. A
// dump whose rows cannot be read gives facts that are unknown, and says why.
func (d *Dumped) Facts() (Found, holdfast.Facts) {
	sources := make([]source, len(d.schemas))
	for i, s := range d.schemas {
		sources[i] = s
	}
	found, s, err := recogniseOne(sources)
	if err != nil {
		return Found{What: "a database that cannot be told: " + err.Error()}, holdfast.Facts{Schema: "unknown", Unknown: err.Error()}
	}
	if found.Kind == "" {
		return found, holdfast.Facts{Schema: "unknown", Unknown: found.What}
	}
	facts, err := facts(found, s, found.Kind)
	if err != nil {
		return found, holdfast.Facts{Schema: "unknown", Unknown: err.Error()}
	}
	return found, facts
}
