package postgres

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"holdfast/content"
)

// proof reads a restored database back once nothing of it changes any more, in
// sessions that were opened before: what the database itself does with a new
// session, such as an event trigger on login, comes too late to touch what is
// compared.
type proof struct {
	*build
	conn    *pgx.Conn // for what is not in rows
	readers []*lease
	aside   []aside

	mu   sync.Mutex
	got  []stream // by table
	left []int    // units that are not read yet, by table
}

// openProof opens the sessions of the proof.
func (b *build) openProof(ctx context.Context, checks []aside) (*proof, error) {
	p := &proof{build: b, aside: checks}
	var err error
	if p.conn, err = b.connect(ctx); err != nil {
		return nil, err
	}
	for range b.Options.lanes() {
		l, err := connectReader(ctx, b.Address, "holdfast restore", b.capture.Database.Encoding, b.fit.Server.Major())
		if err != nil {
			p.close()
			return nil, err
		}
		p.readers = append(p.readers, l)
	}
	return p, nil
}

func (p *proof) close() {
	closeConn(p.conn)
	for _, l := range p.readers {
		l.close()
	}
}

// run compares everything with the manifest.
func (p *proof) run(ctx context.Context) error {
	if err := p.tables(ctx); err != nil {
		return err
	}
	if err := inPlace(ctx, p.conn, p.aside); err != nil {
		return err
	}
	if err := p.sequences(ctx); err != nil {
		return err
	}
	return p.facts(ctx)
}

// proofBlocks is how much of a table one lane reads at once, so that the lanes
// share a large one.
const proofBlocks = 8192

// tables reads every table back.
func (p *proof) tables(ctx context.Context) error {
	units, err := p.units(ctx)
	if err != nil {
		return err
	}
	p.got, p.left = make([]stream, len(p.rows.Tables)), make([]int, len(p.rows.Tables))
	for _, u := range units {
		p.left[u.table]++
	}
	q := &queue{units: units}
	work, ctx := errgroup.WithContext(ctx)
	for _, l := range p.readers {
		work.Go(func() error {
			for u, ok := q.take(); ok; u, ok = q.take() {
				if err := p.unit(ctx, l, u); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return work.Wait()
}

// units cuts the tables as they are now, the largest pieces first.
func (p *proof) units(ctx context.Context) ([]unit, error) {
	now, err := tables(ctx, p.conn)
	if err != nil {
		return nil, err
	}
	there := map[string]relation{}
	for _, r := range now {
		there[tableKey(r.schema, r.name)] = r
	}
	var out []unit
	for i, t := range p.rows.Tables {
		r := there[tableKey(t.Schema, t.Name)]
		r.condition = t.Condition
		out = append(out, cut(i, r, proofBlocks)...)
	}
	slices.SortStableFunc(out, func(a, b unit) int { return cmp.Compare(b.weight, a.weight) })
	return out, nil
}

// unit reads a piece of a table; the last piece of one decides.
func (p *proof) unit(ctx context.Context, l *lease, u unit) error {
	t := p.rows.Tables[u.table]
	sql := copySQL(pgx.Identifier{t.Schema, t.Name}.Sanitize(), t.Columns, u.where(t.Condition), t.Format)
	got, err := l.read(ctx, sql, t.Format, nil)
	if err != nil {
		return fmt.Errorf("read table %s.%s back: %w", t.Schema, t.Name, err)
	}
	p.report(got.bytes)
	p.mu.Lock()
	defer p.mu.Unlock()
	sum := &p.got[u.table]
	sum.rows, sum.bytes, sum.digest = sum.rows+got.rows, sum.bytes+got.bytes, sum.digest.Plus(got.digest)
	if p.left[u.table]--; p.left[u.table] > 0 {
		return nil
	}
	return p.equal(t, *sum)
}

// equal compares a table with the manifest.
func (p *proof) equal(t content.Table, got stream) error {
	name := pgx.Identifier{t.Schema, t.Name}.Sanitize()
	if got.rows != t.Rows || got.digest != t.Digest {
		return mismatch(fmt.Sprintf("table %s of %s", name, p.capture.Component),
			fmt.Sprintf("%d rows, digest %s", got.rows, got.digest),
			fmt.Sprintf("%d rows, digest %s", t.Rows, t.Digest))
	}
	p.Options.Events.Report(TableProven{Component: p.capture.Component, Table: name, Rows: t.Rows, Bytes: t.Bytes})
	return nil
}

// sequences compares where they stand.
func (p *proof) sequences(ctx context.Context) error {
	got, err := sequences(ctx, p.conn)
	if err != nil {
		return err
	}
	got = slices.DeleteFunc(got, func(s content.Sequence) bool { // which sets of before did not hold
		return s.Extension != "" && !slices.ContainsFunc(p.build.rows.Sequences, func(o content.Sequence) bool {
			return o.Schema == s.Schema && o.Name == s.Name
		})
	})
	if !slices.Equal(got, p.build.rows.Sequences) {
		return mismatch("the sequences of "+string(p.capture.Component), fmt.Sprint(got),
			fmt.Sprint(p.build.rows.Sequences))
	}
	return nil
}

// facts compares what the database says about itself.
func (p *proof) facts(ctx context.Context) error {
	if p.Facts == nil {
		return nil
	}
	tx, err := p.conn.Begin(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback(ctx) }()
	facts, err := p.Facts(ctx, tx, p.capture.Kind)
	if err != nil {
		return err
	}
	if diff := factsDiffer(facts, p.capture.Facts); diff != "" {
		return mismatch("what "+string(p.capture.Component)+" says about itself", diff, "other facts")
	}
	return nil
}
