package postgres

import (
	"cmp"
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"holdfast"
	"holdfast/content"
	"holdfast/event"
)

// tables does what is done table by table: the rows are written, indexes are
// built, and statistics gathered.
//
// A table is written by one lane in one transaction, which lets Postgres write
// its rows frozen: nobody has to come back later to mark them visible, and the
// index builds and the proof, which read them later, leave the pages clean. Only
// a table that would keep one lane busy when all others are done is shared
// between lanes, segment by segment. Indexes come after the rows, since building
// one from all rows is far cheaper than keeping it up row by row.
func (b *build) tables(ctx context.Context, indexes map[string][]index) error {
	for _, t := range b.rows.Tables {
		b.total += 2 * t.Bytes
	}
	share := int64(float64(b.total/2) * largestShare)
	memory, err := b.buildMemory(ctx)
	if err != nil {
		return err
	}
	work, ctx := errgroup.WithContext(ctx)
	var tasks [][][]task
	for _, t := range b.rows.Tables {
		tasks = append(tasks, b.tasks(ctx, t, share, indexes[tableKey(t.Schema, t.Name)], memory))
	}
	scheduler := newScheduler(tasks)
	defer context.AfterFunc(ctx, scheduler.stop)()
	for range b.Options.lanes() {
		work.Go(func() error {
			l, err := connectReader(ctx, b.Address, "holdfast restore", b.capture.Database.Encoding,
				b.fit.Server.Major())
			if err != nil {
				return err
			}
			defer l.close()
			if err := execute(ctx, l.conn, building(isSuperuser(l.conn))...); err != nil {
				return err
			}
			return scheduler.run(l)
		})
	}
	return work.Wait()
}

// tasks are the tasks of one table. Their weights compare them with one
// another, roughly: an index costs by the row, everything else by the byte.
func (b *build) tasks(
	ctx context.Context, t content.Table, share int64, indexes []index, memory buildMemory,
) [][]task {
	const perRow = 100
	var write []task
	for _, j := range divide(t, share) {
		write = append(write, task{
			name:   "write",
			weight: j.bytes(),
			do:     func(l *lease, _ int) error { return b.load(ctx, l, j) },
		})
	}
	var build []task
	for _, x := range indexes {
		build = append(build, task{
			name:   "index",
			weight: t.Bytes/8 + t.Rows*perRow,
			alone:  x.constraint,
			do: func(l *lease, idle int) error {
				return b.tried(x.build(ctx, l, memory.of(x, t.Bytes, idle), idle), x.stop())
			},
		})
	}
	if b.trial != nil { // there are no rows to write and to count
		return [][]task{build}
	}
	const sample = 16 << 20 // about what is read of a large table
	analyze := task{name: "analyze", weight: min(t.Bytes, sample), do: func(l *lease, _ int) error {
		return b.analyze(ctx, l.conn, pgx.Identifier{t.Schema, t.Name}.Sanitize())
	}}
	return [][]task{write, build, {analyze}}
}

// largestShare of all bytes is what one lane may write alone. Other lanes have
// the rest to do meanwhile, and only a table that is written by one alone is
// written frozen: nobody then has to mark its rows visible and write it once
// more. Lanes that write the same table also wait for each other to extend it.
const largestShare = 0.6

// job is what one lane writes at once: a whole table, or a segment of one.
type job struct {
	table    content.Table
	segments []content.Segment
	whole    bool
}

func (j job) bytes() (n int64) {
	for _, s := range j.segments {
		n += s.Bytes
	}
	return n
}

// divide makes the jobs of a table: one, unless it is larger than share bytes.
func divide(t content.Table, share int64) []job {
	if t.Bytes <= share || len(t.Segments) < 2 {
		return []job{{t, t.Segments, true}}
	}
	var jobs []job
	for i := range t.Segments {
		jobs = append(jobs, job{t, t.Segments[i : i+1], false})
	}
	return jobs
}

// frozenLeast is the least that is worth being written frozen: it takes a new
// file, which costs more than a small table's rows.
const frozenLeast = 256 << 10

// load writes the rows of a job.
func (b *build) load(ctx context.Context, l *lease, j job) error {
	ident := pgx.Identifier{j.table.Schema, j.table.Name}.Sanitize()
	if err := b.vacate(ctx, l, j.table); err != nil {
		return fmt.Errorf("table %s: %w", ident, err)
	}
	// What an extension has made in its configuration table stays.
	frozen := j.whole && j.table.Bytes >= frozenLeast && j.table.Extension == "" && j.table.Condition == ""
	if frozen {
		if err := execute(ctx, l.conn, "BEGIN", "TRUNCATE ONLY "+ident); err != nil {
			return fmt.Errorf("table %s: %w", ident, err)
		}
	}
	for _, s := range j.segments {
		if err := b.segment(ctx, l, j.table, s, frozen); err != nil {
			return fmt.Errorf("table %s, file %s: %w", ident, s.File, err)
		}
	}
	if frozen {
		if err := execute(ctx, l.conn, "COMMIT"); err != nil {
			return fmt.Errorf("table %s: %w", ident, err)
		}
	}
	return nil
}

// vacate takes the rows out of an extension's configuration table that are in
// the set as well: the extension may have made some of them again.
func (b *build) vacate(ctx context.Context, l *lease, t content.Table) error {
	if t.Extension == "" {
		return nil
	}
	rows := pgx.Identifier{t.Schema, t.Name}.Sanitize() + " " + t.Condition
	return execute(ctx, l.conn, "DO "+literal("BEGIN IF EXISTS (SELECT FROM ONLY "+rows+") THEN DELETE FROM ONLY "+
		rows+"; END IF; END"))
}

// segment writes the rows of one file.
func (b *build) segment(ctx context.Context, l *lease, t content.Table, s content.Segment, frozen bool) error {
	defer b.report(s.Bytes)
	if s.Rows == 0 {
		return nil
	}
	in, err := b.open(ctx, s.File)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	from := &supplier{from: in}
	into := pgx.Identifier{t.Schema, t.Name}.Sanitize()
	if len(t.Columns) > 0 {
		into += " (" + selection(t.Columns) + ")"
	}
	tag, err := l.conn.PgConn().CopyFrom(ctx, from,
		fmt.Sprintf("COPY %s FROM STDIN (FORMAT %s, FREEZE %t)", into, t.Format, frozen))
	if err := cmp.Or(from.end(), err); err != nil {
		return err
	}
	if tag.RowsAffected() != s.Rows {
		return fmt.Errorf("%d rows were written, the manifest has %d", tag.RowsAffected(), s.Rows)
	}
	return nil
}

func (b *build) report(bytes int64) {
	b.Options.Events.Report(event.Bytes{
		Subject: "restore " + string(b.capture.Component),
		Done:    b.done.Add(bytes),
		Total:   b.total,
	})
}

func mismatch(what, got, want string) error {
	return &holdfast.Problem{
		Class: holdfast.NotProven,
		What:  fmt.Sprintf("%s came back different: %s; the manifest has %s", what, got, want),
		Why:   "What was restored is not what was captured, so it must not be used.",
		Do:    "Try another set: `holdfast list`. Keep this one, and report it.",
	}
}
