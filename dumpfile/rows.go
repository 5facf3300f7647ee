package dumpfile

import (
	"bytes"

	"holdfast/pgdump"
)

// copyRows reads the rows of a COPY, up to the line with a backslash and a dot.
// Rows that nobody wants are only counted.
func (s *script) copyRows(t *table, columns int) {
	t.Data = true
	f := fields{table: t, columns: columns}
	begins := true
	for {
		w := s.in.window()
		if len(w) == 0 {
			s.fault(pgdump.Truncated, "it ends within the rows of %s.%s, after row %d", t.Schema, t.Name, t.Rows)
			return
		}
		if begins && (w[0] == '\\' || w[0] == 'p') {
			if s.copyEnds() {
				if t.end != nil {
					t.end()
				}
				return
			}
			if columns > 1 && s.isMessage() {
				s.messages(t)
				continue
			}
			w = s.in.window()
		}
		n := bytes.IndexByte(w, '\n')
		begins = n >= 0
		line := w
		if begins {
			line = w[:n]
			n++
			t.Rows++
		} else {
			n = len(w)
		}
		if t.row != nil {
			if problem := f.feed(line, begins); problem != "" {
				s.fault(pgdump.Damaged, "row %d of %s.%s %s", t.Rows, t.Schema, t.Name, problem)
			}
		}
		s.in.pass(n)
	}
}

// copyEnds consumes the end of a COPY, if it is next.
func (s *script) copyEnds() bool {
	w := s.in.peek(4)
	switch {
	case bytes.HasPrefix(w, []byte("\\.\n")):
		s.in.pass(3)
	case bytes.HasPrefix(w, []byte("\\.\r\n")):
		s.in.pass(4)
	default:
		return false
	}
	s.begins = true
	return true
}

// isMessage recognises a message of pg_dump: it is in the dump when standard
// error and standard output were sent to the same file.
func (s *script) isMessage() bool {
	w := s.in.peek(headroom)
	return bytes.HasPrefix(w, []byte("pg_dump: ")) || bytes.HasPrefix(w, []byte("pg_dumpall: "))
}

// messages consumes the line of a message among the rows of a table of several
// columns. A row has a tabulator.
func (s *script) messages(t *table) {
	line, _ := s.in.line(mostText)
	if bytes.IndexByte(line, '\t') >= 0 {
		t.Rows++ // a row that happens to begin so
		if t.row != nil {
			t.row(nil)
		}
		return
	}
	s.fault(pgdump.Damaged, "a message of pg_dump is among the rows of %s.%s: %.80q", t.Schema, t.Name, line)
}

// fields parses lines of COPY, piece by piece, and keeps the wanted values.
type fields struct {
	table   *table
	columns int
	n       int // the field that is being read
	values  []*string
	current []byte
	long    bool
}

// feed parses a piece of a line; ends means that the line ends with it. It
// returns what is wrong with the line, if anything.
func (f *fields) feed(piece []byte, ends bool) string {
	for {
		i := bytes.IndexByte(piece, '\t')
		part := piece
		if i >= 0 {
			part = piece[:i]
		}
		if f.wanted() >= 0 {
			room := mostText - len(f.current)
			f.long = f.long || len(part) > room
			f.current = append(f.current, part[:min(len(part), room)]...)
		}
		if i < 0 {
			break
		}
		f.field()
		piece = piece[i+1:]
	}
	if !ends {
		return ""
	}
	f.current = bytes.TrimSuffix(f.current, []byte("\r"))
	f.field()
	n, long, values := f.n, f.long, f.values
	f.n, f.long, f.values = 0, false, nil
	switch {
	case n != f.columns:
		f.table.row(nil)
		return "has " + counted(n, "field") + ", but the table has " + counted(f.columns, "column")
	case long:
		f.table.row(nil)
	default:
		f.table.row(values)
	}
	return ""
}

// wanted is the position for the current field's value, or -1.
func (f *fields) wanted() int {
	for i, w := range f.table.want {
		if w == f.n {
			return i
		}
	}
	return -1
}

func (f *fields) field() {
	if at := f.wanted(); at >= 0 {
		if f.values == nil {
			f.values = make([]*string, len(f.table.want))
		}
		if string(f.current) != `\N` {
			text := unescape(f.current)
			f.values[at] = &text
		}
		f.current = f.current[:0]
	}
	f.n++
}

// unescape reverts the escapes of COPY in a value.
func unescape(b []byte) string {
	if bytes.IndexByte(b, '\\') < 0 {
		return string(b)
	}
	out := make([]byte, 0, len(b))
	for i := 0; i < len(b); i++ {
		if b[i] == '\\' && i+1 < len(b) {
			i++
			out = append(out, unescaped(b[i])...)
			continue
		}
		out = append(out, b[i])
	}
	return string(out)
}
