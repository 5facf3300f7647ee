package dumpfile

import (
	"fmt"
	"slices"
	"strings"

	"holdfast/canton"
	"holdfast/pgdump"
)

// The limits on what is kept of a file.
const (
	mostTables    = 200_000
	mostDatabases = 1_000
	mostFaults    = 20
	mostText      = 64 << 10 // of one name, value or word
	mostColumns   = 2_000    // Postgres has 1,600
	mostNamed     = 63       // bytes of a name, of which Postgres cuts the rest
	mostKept      = 64 << 20 // of everything, roughly: a small file may unpack to names and values without end
)

// What keeping a table, a column or an entry of an archive costs, in addition to
// its names.
const (
	perTable  = 400
	perColumn = 120
	perEntry  = 240
)

// reading is the state of a dump being read.
type reading struct {
	dump      pgdump.File
	state     pgdump.State
	databases []*database
	tables    int
	kept      int  // bytes, roughly
	full      bool // the dump has more than is kept
}

func newReading(name string) *reading {
	return &reading{dump: pgdump.File{Name: name, Form: pgdump.Unknown}, state: pgdump.Complete}
}

// fault records what is wrong. The worst fault sets the state: damaged is worse
// than truncated.
func (r *reading) fault(state pgdump.State, format string, args ...any) {
	rank := []pgdump.State{pgdump.Complete, pgdump.Unclear, pgdump.Truncated, pgdump.Damaged}
	if slices.Index(rank, state) > slices.Index(rank, r.state) {
		r.state = state
	}
	text := fmt.Sprintf(format, args...)
	if len(r.dump.Faults) < mostFaults && !slices.Contains(r.dump.Faults, text) {
		r.dump.Faults = append(r.dump.Faults, text)
	}
}

// broken records an error of a stream.
func (r *reading) broken(what string, err error) {
	if endsEarly(err) {
		r.fault(pgdump.Truncated, "%s ends early", what)
	} else {
		r.fault(pgdump.Damaged, "%s is damaged: %v", what, err)
	}
}

// database is one database of a dump.
type database struct {
	pgdump.Database
	facts  canton.Dumped
	tables map[[2]string]*table
	order  []*table
}

// table is one table of a database. Its rows go to the function row, if set.
type table struct {
	pgdump.Table
	columns []string
	want    []int // positions of columns
	row     func([]*string)
	end     func()
}

// newDatabase begins a database.
func (r *reading) newDatabase() *database {
	d := &database{tables: map[[2]string]*table{}, facts: canton.Dumped{Spend: r.keep}}
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
		r.fault(pgdump.Unclear, "it has more than %d tables, %d databases or %d MiB of names and values that matter; "+
			"the rest was not read", mostTables, mostDatabases, mostKept>>20)
	}
}

// keep reports whether so many bytes more may be kept. From the first that may
// not, none may.
func (r *reading) keep(bytes int) bool {
	if r.kept += bytes; r.kept > mostKept {
		r.tooMuch()
		return false
	}
	return true
}

// name is a name as Postgres keeps it.
func (r *reading) name(text string) string {
	if len(text) <= mostNamed {
		return text
	}
	r.fault(pgdump.Unclear, "it has a name of more than %d bytes, which Postgres does not have: %.20q...", mostNamed, text)
	return strings.Clone(text[:mostNamed])
}

// table finds or adds a table. If columns are given, its rows have them in that
// order.
func (r *reading) table(d *database, schema, name string, columns []string) *table {
	key := [2]string{schema, name}
	t := d.tables[key]
	if t == nil {
		t = &table{Table: pgdump.Table{Schema: schema, Name: name}}
		if r.tables >= mostTables {
			r.tooMuch()
			return t
		}
		if !r.keep(perTable + 2*(len(schema)+len(name))) {
			return t
		}
		r.tables++
		d.tables[key] = t
		d.order = append(d.order, t)
	}
	if columns != nil && !slices.Equal(columns, t.columns) || t.columns == nil {
		for _, c := range columns {
			if !r.keep(perColumn + len(name) + 2*len(c)) {
				return t
			}
		}
		t.columns = columns
		t.want, t.row, t.end = d.facts.Table(schema, name, columns)
	}
	return t
}

// result ends the reading.
func (r *reading) result() pgdump.File {
	r.dump.State = r.state
	r.dump.Databases = []pgdump.Database{}
	for _, d := range r.databases {
		if r.state == pgdump.Complete {
			d.facts.Complete()
		}
		found, facts := d.facts.Facts()
		d.Kind, d.Found, d.Facts, d.Unread = found.Kind, found.What, facts, d.facts.Unread()
		d.Tables = []pgdump.Table{}
		for _, t := range d.order {
			d.Tables = append(d.Tables, t.Table)
		}
		r.dump.Databases = append(r.dump.Databases, d.Database)
	}
	return r.dump
}
