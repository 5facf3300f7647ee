package export

import (
	"bytes"
	"context"
	"fmt"

	"holdfast"
	"holdfast/content"
)

// longestLine is what a server reads at most as one line of a text COPY: it has
// the whole line in memory, and no more than 1 GB of anything.
const longestLine = 1<<30 - 1<<16

// growth is how many times longer than in the stream of a capture a value can be
// as text: a byte of a bit string becomes eight characters.
const growth = 8

// readable refuses rows that no server could read as lines of SQL, before
// anything is written. Only segments that are large enough to have such a row
// are read for that.
func (s *script) readable(ctx context.Context) error {
	most := s.o.LongestLine
	if most == 0 {
		most = longestLine
	}
	for _, t := range s.rows.Tables {
		for _, g := range t.Segments {
			if g.Bytes < most/growth {
				continue
			}
			line := &lines{}
			if err := s.segment(ctx, line, t, g); err != nil {
				return err
			}
			if line.longest > most {
				return s.tooLong(t, line.longest)
			}
		}
	}
	return nil
}

func (s *script) tooLong(t content.Table, bytes int64) error {
	return &holdfast.Problem{
		Class: holdfast.Refused,
		What:  fmt.Sprintf("table %s.%s has a row of %d MiB as text", plain(t.Schema), plain(t.Name), bytes>>20),
		Why:   "Postgres reads no line of 1 GB or more, so no server could load this SQL.",
		Do: fmt.Sprintf("`holdfast export %s DIRECTORY` writes files with a restore.sh that loads such rows, "+
			"and `holdfast restore %[1]s` loads them as well.", s.set.ID),
	}
}

// lines measures the lines that are written to it. A value of a text COPY has no
// line end of its own.
type lines struct{ current, longest int64 }

func (l *lines) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		n := bytes.IndexByte(rest, '\n')
		ends := n >= 0
		if n++; !ends {
			n = len(rest)
		}
		l.current += int64(n)
		l.longest = max(l.longest, l.current)
		if ends {
			l.current = 0
		}
		rest = rest[n:]
	}
	return len(p), nil
}
