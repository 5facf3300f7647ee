package dumpfile

import "holdfast/pgdump"

// insert reads an INSERT with its rows.
func (s *script) insert() {
	if !s.token(false).is("INTO") {
		s.again()
		s.rest(false)
		return
	}
	schema, name, ok := s.tableName()
	if !ok {
		s.rest(false)
		return
	}
	d := s.database()
	var columns []string
	if t := s.token(true); t.mark('(') {
		columns = s.names()
	} else {
		s.again()
		if known := d.tables[[2]string{schema, name}]; known != nil {
			columns = known.columns
		}
	}
	t := s.table(d, schema, name, columns)
	for {
		switch w := s.token(false); {
		case w.is("VALUES"):
			s.tuples(t)
			return
		case w.is("OVERRIDING"), w.is("SYSTEM"), w.is("USER"), w.is("VALUE"):
		case w.is("DEFAULT"):
			t.Rows, t.Data = t.Rows+1, true
			s.rest(false)
			return
		default:
			s.again()
			s.rest(false)
			return
		}
	}
}

// tuples reads rows in parentheses, up to the end of the statement.
func (s *script) tuples(t *table) {
	t.Data = true
	for {
		w := s.token(false)
		switch {
		case w.mark('('):
			if !s.tuple(t) {
				s.ended()
				return
			}
			t.Rows++
		case w.mark(','):
		case w.kind == ended:
			s.ended()
			return
		default: // ; or ON CONFLICT
			s.again()
			s.rest(false)
			return
		}
	}
}

// tuple reads one row, behind its opening parenthesis.
func (s *script) tuple(t *table) bool {
	var values []*string
	if t.row != nil {
		values = make([]*string, len(t.want))
	}
	v := value{}
	depth, n, odd := 1, 0, false
	for {
		at := wantedAt(t, n)
		w := s.token(at >= 0)
		switch {
		case w.kind == ended:
			return false
		case w.mark('('):
			depth++
			v.odd = true
		case w.mark(')') && depth > 1:
			depth--
		case w.mark(')'), w.mark(',') && depth == 1:
			if at >= 0 {
				values[at] = v.text
				odd = odd || v.odd
			}
			v = value{}
			n++
			if w.mark(',') {
				continue
			}
			if odd && t.row != nil {
				values = nil
			}
			s.give(t, values, n)
			return true
		case at >= 0:
			v.add(w)
		}
	}
}

func (s *script) give(t *table, values []*string, n int) {
	switch {
	case t.row == nil:
	case len(t.columns) > 0 && n != len(t.columns):
		t.row(nil)
		s.fault(pgdump.Damaged, "row %d of %s.%s has %s, but the table has %s",
			t.Rows+1, t.Schema, t.Name, counted(n, "value"), counted(len(t.columns), "column"))
	default:
		t.row(values)
	}
}

// wantedAt is the position for the value of column n, or -1 if nobody wants it.
func wantedAt(t *table, n int) int {
	if t.row == nil {
		return -1
	}
	for i, w := range t.want {
		if w == n {
			return i
		}
	}
	return -1
}

// value is one value of a row as it is read: a string, a number with its sign,
// or a word.
type value struct {
	text *string
	sign string
	odd  bool // not a plain value, so its result is unknown
}

func (v *value) add(t token) {
	switch {
	case t.long || v.text != nil:
		v.odd = v.odd || t.long
		// What follows a string is a cast, which does not change it.
	case t.mark('-'):
		v.sign = "-"
	case t.is("NULL") || t.is("DEFAULT"):
	case t.kind == text || t.kind == word:
		s := v.sign + string(t.text)
		v.text = &s
	}
}
