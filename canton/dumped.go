package canton

import (
	"fmt"
	"slices"

	"holdfast"
)

// The limits on what is kept of one table of a dump. A node with a hundred
// thousand users stays below them; a malicious file does not.
const (
	mostRows  = 1 << 20
	mostBytes = 32 << 20
)

// Dumped collects what a dump of one database records about Canton and Splice.
// While the dump is read, it gets every table, keeps the few needed rows, and
// then returns the same facts as a live database would.
type Dumped struct {
	// Spend reports whether so many bytes more may be kept, of all that the reader
	// of the dump keeps; nil: the limits of each table alone apply.
	Spend func(bytes int) bool

	schemas  []*dumpedSchema
	complete bool
}

type dumpedSchema struct {
	schema
	rows map[string]*dumpedTable
	of   *Dumped
}

func (s *dumpedSchema) name() string { return s.schema.name }

// dumpedTable is what was kept of one table: the needed columns, row by row.
type dumpedTable struct {
	columns []string
	rows    [][]*string
	bytes   int
	whole   bool   // its rows have ended
	fault   string // why rows are missing
}

// Table adds a table with its columns, in the order of its rows. It may be called
// several times for one table. It returns the positions of the needed columns
// and two functions: row takes each row, nil for one that could not be read, and
// end marks the end of the rows. If the functions are nil, no row is needed.
func (d *Dumped) Table(schema, name string, columns []string) (
	want []int, row func(values []*string), end func(),
) {
	s := d.schema(schema)
	for _, c := range columns {
		s.columns[name+"."+c] = true
	}
	if len(columns) == 0 {
		s.columns[name+"."] = true
	}
	t := s.rows[name]
	if t == nil {
		t = &dumpedTable{columns: neededColumns(name)}
	}
	if len(t.columns) == 0 {
		return nil, nil, nil
	}
	s.rows[name] = t
	kept := make([]int, len(t.columns)) // the position in values of each column
	for i, c := range t.columns {
		kept[i] = -1
		if at := slices.Index(columns, c); at >= 0 {
			kept[i] = len(want)
			want = append(want, at)
		}
	}
	filter := filterOf(name)
	row = func(values []*string) { t.keep(kept, values, filter, d.Spend) }
	return want, row, func() { t.whole = true }
}

// Complete marks that the dump was read to its proper end: a table without rows
// until now has none.
func (d *Dumped) Complete() { d.complete = true }

// Unread lists the needed tables without all their rows.
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

// lacks is why rows of a table are missing.
func (d *Dumped) lacks(t *dumpedTable) string {
	if t.fault == "" && !t.whole && !d.complete {
		return "has rows that are missing from the dump"
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

// neededColumns lists the columns of a table that any query reads.
func neededColumns(table string) []string {
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

// filterOf is the query that filters the rows of a table. No table has two.
func filterOf(table string) query {
	for _, q := range queries {
		if q.table == table && q.filter != "" {
			return q
		}
	}
	return query{}
}

// keep copies the needed values of a row.
func (t *dumpedTable) keep(kept []int, values []*string, filter query, spend func(int) bool) {
	if t.fault != "" {
		return
	}
	if values == nil {
		t.fault = "has a row that could not be read"
		return
	}
	row, before := make([]*string, len(t.columns)), t.bytes
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
	const perValue = 24 // a pointer, and the header of the text that it leads to
	cost := t.bytes - before + perValue*(len(row)+1)
	if len(t.rows) >= mostRows || t.bytes > mostBytes || spend != nil && !spend(cost) {
		t.fault, t.rows = "has too many rows", nil
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

// Facts returns what the dumped database is, and what it records about its node.
// If its rows cannot be read, the facts are unknown, with the reason.
func (d *Dumped) Facts() (Found, holdfast.Facts) {
	sources := make([]source, len(d.schemas))
	for i, s := range d.schemas {
		sources[i] = s
	}
	found, s, err := recogniseOne(sources)
	if err != nil {
		return Found{What: "an unknown database: " + err.Error()}, unknownFacts(err.Error())
	}
	if found.Kind == "" {
		return found, unknownFacts(found.What)
	}
	facts, err := facts(found, s, found.Kind)
	if err != nil {
		return found, unknownFacts(err.Error())
	}
	return found, facts
}

func unknownFacts(why string) holdfast.Facts {
	return holdfast.Facts{Schema: "unknown", Unknown: why}
}
