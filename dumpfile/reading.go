package dumpfile

import (
	"fmt"
	"slices"

	"holdfast"
	"holdfast/canton"
)

// The most of a file's contents that is kept.
const (
	mostTables    = 200_000
	mostDatabases = 1_000
	mostFaults    = 20
	mostText      = 64 << 10 // of one name, value or word
	mostColumns   = 2_000    // Postgres has 1,600
)

// reading is a dump as far as it has been read.
type reading struct {
	dump      holdfast.Dump
	state     holdfast.DumpState
	databases []*database
	tables    int
	full      bool // more tables or databases came than are kept
}

func newReading(name string) *reading {
	return &reading{dump: holdfast.Dump{Name: name, Form: holdfast.UnknownDump}, state: holdfast.CompleteDump}
}

// fault notes what is wrong. The worst decides on the state: what is damaged
// is worth less than what is cut.
func (r *reading) fault(state holdfast.DumpState, format string, args ...any) {
	rank := []holdfast.DumpState{holdfast.CompleteDump, holdfast.UnclearDump, holdfast.TruncatedDump, holdfast.DamagedDump}
	if slices.Index(rank, state) > slices.Index(rank, r.state) {
		r.state = state
	}
	text := fmt.Sprintf(format, args...)
	if len(r.dump.Faults) < mostFaults && !slices.Contains(r.dump.Faults, text) {
		r.dump.Faults = append(r.dump.Faults, text)
	}
}

// broken notes an error of a stream.
func (r *reading) broken(what string, err error) {
	if endsEarly(err) {
		r.fault(holdfast.TruncatedDump, "%s ends early", what)
	} else {
		r.fault(holdfast.DamagedDump, "%s is damaged: %v", what, err)
	}
}

// database is one database of a dump.
type database struct {
	holdfast.DumpedDatabase
	says   canton.Dumped
	tables map[[2]string]*table
	order  []*table
}

// table is one table of a database. Its rows go to whoever wants them.
type table struct {
	holdfast.DumpedTable
	columns []string
	want    []int // positions of columns
	row     func([]*string)
	end     func()
}

// newDatabase begins a database.
func (r *reading) newDatabase() *database {
	d := &database{tables: map[[2]string]*table{}}
	if len(r.databases) >= mostDatabases {
		r.tooMuch()
		return d
	}
	r.databases = append(r.databases, d)
	return d
}

func (r *reading) tooMuch() {
	if !r.full {
		r.full = true
		r.fault(holdfast.UnclearDump, "it has more than %d tables or %d databases; the rest was not looked at", mostTables, mostDatabases)
	}
}

// table finds a table or makes it. With columns given, it is one whose columns
// come in that order.
func (r *reading) table(d *database, schema, name string, columns []string) *table {
	key := [2]string{schema, name}
	t := d.tables[key]
	if t == nil {
		t = &table{DumpedTable: holdfast.DumpedTable{Schema: schema, Name: name}}
		if r.tables >= mostTables {
			r.tooMuch()
			return t
		}
		r.tables++
		d.tables[key] = t
		d.order = append(d.order, t)
	}
	if columns != nil && !slices.Equal(columns, t.columns) || t.columns == nil {
		t.columns = columns
		t.want, t.row, t.end = d.says.Table(schema, name, columns)
	}
	return t
}

// result ends the reading.
func (r *reading) result() holdfast.Dump {
	r.dump.State = r.state
	r.dump.Databases = []holdfast.DumpedDatabase{}
	for _, d := range r.databases {
		if r.state == holdfast.CompleteDump {
			d.says.Complete()
		}
		found, facts := d.says.Facts()
		d.Kind, d.Found, d.Facts, d.Unread = found.Kind, found.What, facts, d.says.Unread()
		d.Tables = []holdfast.DumpedTable{}
		for _, t := range d.order {
			d.Tables = append(d.Tables, t.DumpedTable)
		}
		r.dump.Databases = append(r.dump.Databases, d.DumpedDatabase)
	}
	return r.dump
}
