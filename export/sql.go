package export

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"

	"holdfast"
	"holdfast/content"
	"holdfast/event"
)

// Postgres is what a stream of SQL needs of Postgres's own tools and formats.
type Postgres struct {
	// Script writes one section of a schema dump as SQL; postgres.Tools has it.
	Script func(ctx context.Context, major int, schema io.Reader, section string, owners bool, w io.Writer) error
	// Rows turns a binary segment of a table into lines of a text COPY and
	// counts them; postgres.TextRows does.
	Rows func(dst io.Writer, src io.Reader, t content.Table) (int64, error)
}

// SQLOptions tune a stream of SQL. The zero value is usable.
type SQLOptions struct {
	Owners   bool // keep owners and grants; the roles have to exist where it is restored
	Unproven bool // stream a set that is not proven as well
	// LongestLine is what the server that is to read the stream takes as one line,
	// in bytes; 0: what Postgres takes.
	LongestLine int64
	Events      event.Listener
}

// SQL writes one component of a set as SQL that psql restores into an empty
// database, of the recorded version or a later one:
//
//	psql -v ON_ERROR_STOP=1 -d DATABASE
//
// It is one transaction; a stream that was cut short changes nothing, and lacks
// the comment at the end. After an error of SQL the stream ends in a statement
// that fails, so that psql does not report success for a part.
func SQL(
	ctx context.Context, set holdfast.Set, component holdfast.ComponentName, files holdfast.Files, w io.Writer, pg Postgres, o SQLOptions,
) error {
	c, ok := set.Part(component)
	if !ok {
		return &holdfast.Problem{
			Class: holdfast.Usage,
			What:  fmt.Sprintf("set %s has no component %s", set.ID, component),
			Do:    "`holdfast show` lists what it has.",
		}
	}
	state, problems := worth(set)
	if state != holdfast.Proven && !o.Unproven {
		what := fmt.Sprintf("set %s is %s", set.ID, state)
		if len(problems) > 0 {
			what += ": " + problems[0]
		}
		return &holdfast.Problem{
			Class: holdfast.Refused,
			What:  what,
			Why:   "A node restored from it may not work, and need not say so.",
			Do:    "Choose a proven set: `holdfast list`; or say that you want this one all the same.",
		}
	}
	rows, err := content.RowsOf(c)
	if err != nil {
		return err
	}
	s := &script{d: dialectOf(c), set: set, capture: c, rows: rows, files: files, out: w, pg: pg, o: o}
	if err := s.run(ctx, state); err != nil {
		return fmt.Errorf("export %s of set %s: %w", component, set.ID, err)
	}
	return nil
}

// script is one stream being written.
type script struct {
	d       dialect
	set     holdfast.Set
	capture holdfast.Part
	rows    content.Rows
	files   holdfast.Files
	out     io.Writer
	pg      Postgres
	o       SQLOptions
	done    int64
}

func (s *script) run(ctx context.Context, state holdfast.State) error {
	// Everything but rows is made before the first byte is written, and rows that
	// cannot be read back are found.
	if err := s.readable(ctx); err != nil {
		return err
	}
	before, after, err := s.frame(ctx, state)
	if err != nil {
		return err
	}
	if _, err := s.out.Write(before); err != nil {
		return err
	}
	for _, t := range s.rows.Tables {
		if err := s.table(ctx, t); err != nil {
			return err
		}
	}
	_, err = s.out.Write(after)
	return err
}

// frame makes what comes before and after the rows.
func (s *script) frame(ctx context.Context, state holdfast.State) (before, after []byte, err error) {
	globals, err := readAll(ctx, s.files, s.rows.Globals)
	if err != nil {
		return nil, nil, err
	}
	var head, foot bytes.Buffer
	name := fmt.Sprintf("component %s of set %s (%s)", s.capture.Component, s.set.ID, state)
	fmt.Fprintf(&head,
		"-- Holdfast: %s, from Postgres %s.\n-- For psql, into an empty database. It is whole if its last line "+
			"says so.\n\n", oneLine(name), oneLine(s.capture.Server.Version))
	head.WriteString("\\set ON_ERROR_STOP on\n" + s.d.pins() + "BEGIN;\n" + s.d.check(s.capture))
	if s.o.Owners {
		head.WriteString(s.d.checkRoles(s.capture))
	}
	head.WriteString(s.d.settings(s.capture, globals))
	if err := s.section(ctx, "pre-data", &head); err != nil {
		return nil, nil, err
	}
	head.WriteString(s.d.pins() + s.d.aside(s.capture, globals))

	foot.WriteString("\n" + s.d.sequences(s.rows) + content.DropPolicies + ";\n")
	var behind bytes.Buffer
	if err := s.section(ctx, "post-data", &behind); err != nil {
		return nil, nil, err
	}
	rest, triggers := eventTriggersLast(behind.String())
	foot.WriteString(rest + s.d.pins() + s.d.putBack() + s.d.pins() + s.d.finish(s.rows) + triggers)
	fmt.Fprintf(&foot, "COMMIT;\n-- Holdfast: complete: %s\n", oneLine(name))
	return head.Bytes(), foot.Bytes(), nil
}

// entryHead begins an entry of a script of pg_restore.
var entryHead = regexp.MustCompile(`(?m)^--\n-- Name: (.*); Type: ([A-Z ]+); Schema: .*\n--\n`)

// eventTriggersLast takes event triggers, and what is said of them, out of a
// script of post-data: they would act on the statements behind them.
func eventTriggersLast(text string) (rest, triggers string) {
	heads := entryHead.FindAllStringSubmatchIndex(text, -1)
	if len(heads) == 0 {
		return text, ""
	}
	rest = text[:heads[0][0]]
	for i, h := range heads {
		end := len(text)
		if i+1 < len(heads) {
			end = heads[i+1][0]
		}
		name, kind := text[h[2]:h[3]], text[h[4]:h[5]]
		if kind == "EVENT TRIGGER" || strings.HasPrefix(name, "EVENT TRIGGER ") {
			triggers += text[h[0]:end]
		} else {
			rest += text[h[0]:end]
		}
	}
	return rest, triggers
}

// oneLine keeps a text within its comment.
func oneLine(s string) string {
	return string(bytes.Map(func(r rune) rune {
		if r < ' ' {
			return ' '
		}
		return r
	}, []byte(s)))
}

func (s *script) section(ctx context.Context, section string, w io.Writer) error {
	in, err := s.files.Open(ctx, s.rows.Schema)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	var text bytes.Buffer
	major := s.capture.Server.Major()
	if err := s.pg.Script(ctx, major, in, section, s.o.Owners, &text); err != nil {
		return err
	}
	script := text.Bytes()
	if major < 17 {
		// pg_restore of a later version than the server's resets what the
		// server does not have.
		script = bytes.Replace(script, []byte("\nSET transaction_timeout = 0;\n"), []byte("\n"), 1)
	}
	_, err = w.Write(script)
	return err
}

// failure makes psql fail where a stream ends too early: it ends the rows, and
// raises an error.
const failure = "\n\\.\nDO 'BEGIN RAISE EXCEPTION ''the export failed here; the stream is not complete''; END';\n"

// table writes the rows of one table.
func (s *script) table(ctx context.Context, t content.Table) error {
	if t.Rows == 0 {
		return nil
	}
	if _, err := io.WriteString(s.out, "\n"+s.d.copyIn(t, content.TextFormat)); err != nil {
		return err
	}
	for _, g := range t.Segments {
		if err := s.segment(ctx, s.out, t, g); err != nil {
			_, _ = io.WriteString(s.out, failure) // the error that led here is the one to report
			return err
		}
		s.done += g.Bytes
		s.o.Events.Report(event.Bytes{
			Subject: "export " + string(s.capture.Component),
			Done:    s.done,
			Total:   s.capture.Bytes,
		})
	}
	_, err := io.WriteString(s.out, "\\.\n")
	return err
}

// segment writes one segment's rows to out and compares their number with the
// manifest's.
func (s *script) segment(ctx context.Context, out io.Writer, t content.Table, g content.Segment) error {
	in, err := s.files.Open(ctx, g.File)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	var rows int64
	if t.Format == content.BinaryFormat {
		rows, err = s.pg.Rows(out, cancelled{ctx, in}, t)
	} else {
		rows, err = textRows(out, cancelled{ctx, in})
	}
	if err != nil {
		return fmt.Errorf("file %s: %w", g.File, err)
	}
	if rows != g.Rows {
		return fmt.Errorf("file %s has %d rows, the manifest has %d", g.File, rows, g.Rows)
	}
	return nil
}

// textRows copies lines of a text COPY and counts them. A value holds no line
// end of its own: COPY escapes it.
func textRows(dst io.Writer, src io.Reader) (rows int64, err error) {
	buf := make([]byte, 256<<10)
	whole := true
	for {
		n, err := src.Read(buf)
		if n > 0 {
			rows += int64(bytes.Count(buf[:n], []byte{'\n'}))
			whole = buf[n-1] == '\n'
			if _, err := dst.Write(buf[:n]); err != nil {
				return rows, err
			}
		}
		switch {
		case errors.Is(err, io.EOF) && !whole:
			return rows, errors.New("the last row is cut short")
		case errors.Is(err, io.EOF):
			return rows, nil
		case err != nil:
			return rows, err
		}
	}
}
