package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"holdfast"
	"holdfast/content"
	"holdfast/event"
	"holdfast/internal/libpq"
)

// Dumper dumps one database. The zero Options are usable.
type Dumper struct {
	Address libpq.Address
	Tools   Tools
	Options Options
	// Facts reads what Canton keeps about itself, within the snapshot that is
	// dumped. Nil records an unknown schema.
	Facts func(ctx context.Context, tx pgx.Tx, kind holdfast.Kind) (holdfast.Facts, error)
}

// Options tune a dump.
type Options struct {
	Lanes         int           // tables and segments read at once, one in a small database; 0: one per core, at most 4
	Connections   int           // the most to open at once; 0 means 3, and 2 for each lane
	SegmentBlocks int64         // heap blocks per segment; 0 means 2048, 16 MiB
	StripBlocks   int64         // heap blocks per strip; 0 means 256, 2 MiB
	WaitLimit     time.Duration // the longest a session of the node may wait behind us; 0 means 1 s
	LockWait      time.Duration // how long to keep trying to get our own locks; 0 means 2 min
	Settle        time.Duration // how long to wait for transactions that were open before the snapshot; 0 means 5 s
	Full          bool          // nothing is taken over from an earlier set
	Reread        time.Duration // how old a reading may become that is taken over; 0 means 7 days
	Summaries     bool          // summaries of the write-ahead log are used, which takes a checkpoint
	Audit         float64       // the share of what is taken over that is read all the same; 0 means 0.01
	Events        event.Listener
}

// besidesLanes are the sessions that no lane has: control, exporter, and who reads
// summaries of the log.
const besidesLanes = 3

func (o Options) complete() Options {
	def := func(v *int, d int) {
		if *v <= 0 {
			*v = d
		}
	}
	wait := func(v *time.Duration, d time.Duration) {
		if *v <= 0 {
			*v = d
		}
	}
	def(&o.Lanes, min(4, runtime.NumCPU()))
	def(&o.Connections, besidesLanes+2*o.Lanes)
	if o.SegmentBlocks <= 0 {
		o.SegmentBlocks = 2048
	}
	if o.StripBlocks <= 0 {
		o.StripBlocks = stripBlocks
	}
	wait(&o.WaitLimit, time.Second)
	wait(&o.LockWait, 2*time.Minute)
	wait(&o.Settle, 5*time.Second)
	wait(&o.Reread, 7*24*time.Hour)
	if o.Audit <= 0 {
		o.Audit = 0.01
	}
	return o
}

// givingWayTries is how often a dump that gave way to the node starts again.
const givingWayTries = 4

// Capture dumps the database of component c into out. Files are named
// "<component>/...". An error means that nothing usable was stored; whatever
// was is found again by deduplication. If a session of the node waits for one
// of our locks as long as the limit allows, the dump releases its locks and
// starts again a little later, a few times. Rows that did not change since the
// earlier set are taken over from it; if that ever turns out to be wrong, the dump
// starts again and reads everything. Should that fail, the error comes with a
// capture that has only the disproof.
func (d Dumper) Capture(
	ctx context.Context, c holdfast.Component, clock holdfast.Clock, out holdfast.Sink, earlier holdfast.Earlier,
) (capture holdfast.Capture, err error) {
	began := clock()
	var waits []holdfast.Wait
	var found *holdfast.Disproof
	defer func() {
		if err != nil && found != nil {
			capture.Disproof = found
			capture.Components = []holdfast.Captured{{Component: c.Name, Kind: c.Kind}}
		}
	}()
	if d.Options.Full {
		earlier = holdfast.Earlier{}
	}
	for try := 1; ; try++ {
		capture, err := d.once(ctx, c, clock, out, earlier)
		var wrong *disproof
		if errors.As(err, &wrong) && ctx.Err() == nil {
			found, earlier = &wrong.Disproof, holdfast.Earlier{}
			d.Options.Events.Report(TakenOverDisproved{Component: c.Name, Disproof: wrong.Disproof})
			try--
			continue
		}
		pause := time.Duration(try) * 2 * time.Second
		var g *givingWay
		switch {
		case ctx.Err() != nil: // even where the last row had come already: who cancels wants no capture
			return holdfast.Capture{}, ctx.Err()
		case err == nil:
			capture.Began = began
			capture.Waits = append(waits, capture.Waits...)
			capture.Disproof = found
			return capture, nil
		case changed(err) && try < givingWayTries:
			d.Options.Events.Report(SchemaChanged{Component: c.Name, Err: err, Try: try, Pause: pause})
		case !errors.As(err, &g):
			return holdfast.Capture{}, explain(d.Address.Where(), err)
		case try == givingWayTries:
			d.Options.Events.Report(GaveWay{Component: c.Name, Wait: g.wait, Try: try})
			return holdfast.Capture{}, &holdfast.Problem{
				Class: holdfast.Busy,
				What: fmt.Sprintf("dump %s: gave way %d times to sessions that waited for our locks",
					d.Address.Where(), try),
				Err: g,
				Why: "The node's own work comes first: TRUNCATE, DROP and ALTER cannot run during a dump.",
				Do:  "Find out what keeps locking that table (pg_stat_activity), and run the backup when it is done.",
			}
		default:
			d.Options.Events.Report(GaveWay{Component: c.Name, Wait: g.wait, Try: try, Pause: pause})
			if g.wait.PID != 0 {
				waits = append(waits, g.wait)
			}
		}
		select {
		case <-ctx.Done():
			return holdfast.Capture{}, ctx.Err()
		case <-time.After(pause):
		}
	}
}

// run is one attempt at a dump.
type run struct {
	Dumper
	component   holdfast.Component
	clock       holdfast.Clock
	out         holdfast.Sink
	application string

	ctl    *pgx.Conn // outside the snapshot: the catalogue before it, who holds locks, who waits
	export *pgx.Conn // holds the snapshot, and no lock
	common pgx.Tx    // on export
	info   libpq.Conninfo
	server holdfast.Server
	base   holdfast.Database

	earlier    holdfast.Earlier
	ground     ground
	old        *earlier // nil: everything is read
	schemaRead schemaReading
	tables     []relation
	groups     []group
	leases     [][]*lease // by lane, by group
	snapshot   string

	of       holdfast.Captured
	digest   *schemaDigest
	rows     content.Rows
	segments [][]content.Segment // by table, by segment
	strips   [][][]strip         // of the segments
	unread   []atomic.Int64      // segments, by table
	read     atomic.Int64
	row      atomic.Int64 // the longest so far
	total    int64

	mu    sync.Mutex
	taken holdfast.TakenOver
}

func (d Dumper) once(
	ctx context.Context, c holdfast.Component, clock holdfast.Clock, out holdfast.Sink, earlier holdfast.Earlier,
) (holdfast.Capture, error) {
	d.Options = d.Options.complete()
	r := &run{
		Dumper:      d,
		component:   c,
		clock:       clock,
		out:         out,
		earlier:     earlier,
		application: fmt.Sprintf("holdfast dump %s %x", c.Name, time.Now().UnixNano()),
	}
	defer r.close()
	if err := r.open(ctx); err != nil {
		return holdfast.Capture{}, err
	}
	left, err := obstacles(ctx, r.ctl, r.server, d.Address.Where())
	if err != nil {
		return holdfast.Capture{}, err
	}
	wal, err := r.settle(ctx)
	if err != nil {
		return holdfast.Capture{}, err
	}
	if err := r.snap(ctx); err != nil {
		return holdfast.Capture{}, err
	}
	position, err := r.build(ctx, wal)
	if err != nil {
		return holdfast.Capture{}, err
	}
	r.prepare()
	capture := holdfast.Capture{Method: holdfast.Dump, Consistent: clock(), Server: r.server, WAL: wal, LeftOut: left}
	r.of = holdfast.Captured{Component: c.Name, Kind: c.Kind, Database: r.base}
	r.rows = content.Rows{Schema: r.file("schema.dump"), Globals: r.file("globals.sql")}
	d.Options.Events.Report(SnapshotTaken{Component: c.Name, Tables: len(r.tables), Bytes: r.total})
	if err := r.dump(ctx, &capture, position); err != nil {
		return holdfast.Capture{}, err
	}
	if err := r.writeReadings(ctx); err != nil {
		return holdfast.Capture{}, err
	}
	capture.TakenOver, capture.Ground = r.takenOver(), r.ground.public()
	capture.Ended, capture.Components, capture.Content = clock(), []holdfast.Captured{r.of}, r.rows
	return capture, nil
}

// open connects, and looks at the server and the tools before anything else.
func (r *run) open(ctx context.Context) error {
	var err error
	if r.info, err = r.Address.Resolve(ctx); err != nil {
		return err
	}
	if r.ctl, err = r.connect(ctx); err != nil {
		return err
	}
	if r.server, err = server(ctx, r.ctl); err != nil {
		return err
	}
	if r.server.Major() < 14 {
		return &holdfast.Problem{
			Class: holdfast.Refused,
			What:  fmt.Sprintf("%s runs Postgres %s", r.Address.Where(), r.server.Version),
			Why:   "A dump reads ranges of blocks, which Postgres does since version 14.",
			Do:    "Upgrade the server; Canton and Splice support 14 and later.",
		}
	}
	if err := execute(ctx, r.ctl, reading("UTF8", r.server.Major())...); err != nil {
		return err
	}
	if r.base, err = database(ctx, r.ctl, r.server.Major()); err != nil {
		return err
	}
	_, err = r.Tools.near(r.Address).find(ctx, "pg_dump", r.server.Major())
	return err
}

func (r *run) connect(ctx context.Context) (*pgx.Conn, error) {
	return r.Address.Connect(ctx, libpq.Options{Application: r.application})
}

// build reads the ground of this capture, and what may be taken over on it. The
// position in the log is what has to be on disk before the next one builds on it.
func (r *run) build(ctx context.Context, wal holdfast.WAL) (position string, err error) {
	if position, err = r.readGround(ctx); err != nil {
		return "", err
	}
	if r.ground.holds() && wal.Settled {
		r.ground.Log = wal.Before
	}
	if err := r.epochs(ctx); err != nil {
		return "", err
	}
	if r.old = readEarlier(ctx, r.earlier, r.ground, r.clock().Wall, r.Options.Reread); r.old != nil {
		r.old.length = r.Options.StripBlocks
		if r.Options.Summaries && !r.old.still {
			r.old.log = &summary{ready: make(chan struct{})}
		}
	}
	r.schemaRead, err = r.readSchemaGround(ctx)
	return position, err
}

// takenOver sums up what was taken over; nil where nothing could be.
func (r *run) takenOver() *holdfast.TakenOver {
	if r.old == nil {
		return nil
	}
	out := r.taken
	out.From, out.Oldest = r.earlier.Set, r.clock().Wall
	for _, table := range r.strips {
		for _, s := range slices.Concat(table...) {
			if s.Read.Before(out.Oldest) {
				out.Oldest = s.Read
			}
		}
	}
	return &out
}

// prepare makes room for what is read of each table.
func (r *run) prepare() {
	r.segments, r.unread = make([][]content.Segment, len(r.tables)), make([]atomic.Int64, len(r.tables))
	r.strips = make([][][]strip, len(r.tables))
	for _, g := range r.groups {
		for _, u := range g.units {
			r.segments[u.table] = append(r.segments[u.table], content.Segment{})
			r.strips[u.table] = append(r.strips[u.table], nil)
			r.unread[u.table].Add(1)
			r.total += u.weight
		}
	}
}

// dump reads everything in the snapshot, and then waits until the log is on the
// server's disk up to the position.
func (r *run) dump(ctx context.Context, capture *holdfast.Capture, position string) error {
	onDisk, err := r.flush(ctx, position)
	if err != nil {
		return err
	}
	watch := &watcher{
		conn: r.ctl, component: r.component.Name, application: r.application, events: r.Options.Events,
		limit: r.Options.WaitLimit, interval: max(r.Options.WaitLimit/10, 20*time.Millisecond),
	}
	work, working := errgroup.WithContext(ctx)
	back := make(chan struct{})
	work.Go(func() error { return watch.run(working, back) })
	work.Go(func() error {
		defer close(back) // the last lock is back once this returns
		readers, ctx := errgroup.WithContext(working)
		queues := make([]*queue, len(r.groups))
		for i, g := range r.groups {
			queues[i] = &queue{units: g.units}
		}
		for lane := range r.leases {
			readers.Go(func() error { return r.lane(ctx, r.leases[lane], queues) })
		}
		readers.Go(func() error { return r.summarize(ctx, position) })
		readers.Go(func() error { return r.schema(ctx) })
		readers.Go(func() error { return r.facts(ctx) })
		return readers.Wait()
	})
	err = work.Wait()
	capture.Waits = watch.caused()
	var g *givingWay
	if errors.As(err, &g) && g.wait.PID == 0 && len(capture.Waits) > 0 {
		g.wait = capture.Waits[0]
	}
	if err == nil {
		err = r.flushed(ctx, onDisk)
	}
	if err != nil {
		return err
	}
	r.of.Database.Needs.LargestRow = r.row.Load()
	r.of.Schema = r.digest.sum(r.of.Database.Needs.Extensions)
	for i, t := range r.tables {
		table := content.Table{
			Schema:    t.schema,
			Name:      t.name,
			Format:    t.format,
			Columns:   t.columnNames(),
			Extension: t.extension,
			Condition: t.condition,
			Segments:  r.segments[i],
		}
		for _, c := range t.columns {
			table.Types = append(table.Types, c.typeName)
		}
		for _, s := range table.Segments {
			table.Rows += s.Rows
			table.Bytes += s.Bytes
			table.Digest = table.Digest.Plus(s.Digest)
		}
		r.rows.Tables = append(r.rows.Tables, table)
		capture.Bytes += table.Bytes
	}
	return nil
}

// lane works through the groups in their order with its own leases, and gives
// a group's locks back as soon as no unit of it is left to take.
func (r *run) lane(ctx context.Context, leases []*lease, queues []*queue) error {
	for i, q := range queues {
		for u, ok := q.take(); ok; u, ok = q.take() {
			if err := r.unit(ctx, leases[i], u); err != nil {
				return err
			}
		}
		leases[i].close()
	}
	return nil
}

func (r *run) unit(ctx context.Context, l *lease, u unit) error {
	t := r.tables[u.table]
	name := r.file(u.file(t))
	var s content.Segment
	var most int64
	var err error
	if t.inStrips() {
		s, most, err = r.compose(ctx, l, u, name)
	} else {
		s, most, err = r.whole(ctx, l, u, name)
	}
	if err != nil {
		return fmt.Errorf("table %s: %w", t.ident(), err)
	}
	s.File, s.From, s.To = name, u.from, u.to
	r.segments[u.table][u.segment] = s
	for longest := r.row.Load(); most > longest && !r.row.CompareAndSwap(longest, most); longest = r.row.Load() {
	}
	r.Options.Events.Report(event.Bytes{
		Subject: "capture " + string(r.component.Name),
		Done:    r.read.Add(u.weight),
		Total:   r.total,
	})
	if r.unread[u.table].Add(-1) == 0 {
		r.Options.Events.Report(r.tableDone(u.table))
	}
	return nil
}

// whole stores a unit as one COPY gives it.
func (r *run) whole(ctx context.Context, l *lease, u unit, name string) (s content.Segment, most int64, err error) {
	t := r.tables[u.table]
	var got stream
	err = r.put(ctx, name, func(w io.Writer) error {
		var err error
		got, err = l.read(ctx, u.sql(t), t.format, w)
		return err
	})
	return content.Segment{Rows: got.rows, Bytes: got.bytes, Digest: got.digest}, got.most, err
}

// compose stores a unit in strips.
func (r *run) compose(ctx context.Context, l *lease, u unit, name string) (s content.Segment, most int64, err error) {
	t := r.tables[u.table]
	c := composition{r: r, l: l, table: t}
	fill := func() error { return c.compose(ctx, name, u.strips(t.blocks, r.Options.StripBlocks)) }
	if r.old != nil {
		c.old = r.old
		err = r.splice(ctx, name, func(w holdfast.Splicer) error {
			c.w = w
			return fill()
		})
	} else {
		err = r.put(ctx, name, func(w io.Writer) error {
			c.w = newPlain(w)
			return fill()
		})
	}
	for _, d := range c.done {
		s.Rows, s.Digest = s.Rows+d.Rows, s.Digest.Plus(d.Digest)
	}
	s.Bytes = c.at
	r.strips[u.table][u.segment] = c.done
	r.mu.Lock()
	defer r.mu.Unlock()
	r.taken.Bytes, r.taken.Rows = r.taken.Bytes+c.taken.Bytes, r.taken.Rows+c.taken.Rows
	r.taken.Audited += c.taken.Audited
	r.taken.Unwritten += c.taken.Unwritten
	return s, c.most, err
}

// tableDone sums up a table whose segments are all read.
func (r *run) tableDone(i int) TableDone {
	e := TableDone{Component: r.component.Name, Table: r.tables[i].ident()}
	for _, s := range r.segments[i] {
		e.Rows += s.Rows
		e.Bytes += s.Bytes
	}
	return e
}

// put stores one file, and distinguishes a failure of the store from one of
// what was to fill the file.
func (r *run) put(ctx context.Context, name string, fill func(io.Writer) error) error {
	var filling error
	_, err := r.out.Put(ctx, name, func(w io.Writer) error {
		k := &keeper{Writer: w}
		if filling = fill(k); k.err != nil {
			filling = k.err
		}
		return filling
	})
	if err != nil && filling == nil {
		return stored{err}
	}
	return err
}

// splice stores one file with parts of the earlier set, and distinguishes failures
// as put does.
func (r *run) splice(ctx context.Context, name string, fill func(holdfast.Splicer) error) error {
	var filling error
	_, err := r.earlier.Splice(ctx, name, func(w holdfast.Splicer) error {
		k := kept{w, &keeper{Writer: w}}
		if filling = fill(k); k.keeper.err != nil {
			filling = k.keeper.err
		}
		return filling
	})
	if err != nil && filling == nil {
		return stored{err}
	}
	return err
}

// schema has pg_dump write the schema, in the common snapshot, unless the earlier
// set has the same.
func (r *run) schema(ctx context.Context) error {
	if carried, err := r.carrySchema(ctx); carried || err != nil {
		return err
	}
	err := r.put(ctx, r.file("schema.dump"), func(w io.Writer) error {
		r.digest = newSchemaDigest(w)
		// Later than the watcher, which knows who waits and records it.
		patience := 2*r.Options.WaitLimit + time.Second
		return r.Tools.near(r.Address).run(ctx, r.server.Major(), r.info, r.application, r.digest, "pg_dump",
			slices.Concat(schemaOptions, []string{
				"--snapshot=" + r.snapshot,
				fmt.Sprintf("--lock-wait-timeout=%d", patience.Milliseconds()),
			})...)
	})
	var tool *toolFailed
	if errors.As(err, &tool) && strings.Contains(tool.complaint, "LOCK TABLE") {
		// It asks for its own locks, and stood behind somebody who waits for ours.
		return &givingWay{holdfast.Wait{
			Relation: "a table of the schema",
			Mode:     "AccessShareLock",
			Waited:   r.Options.WaitLimit,
		}}
	}
	if err != nil {
		return fmt.Errorf("schema: %w", err)
	}
	return nil
}

// facts reads, in the snapshot, what is not in tables' rows.
func (r *run) facts(ctx context.Context) (err error) {
	tx, err := r.common.Begin(ctx) // a savepoint: rolling it back gives back the locks of what is read here
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback(ctx) }()
	if r.Facts == nil {
		r.of.Facts = holdfast.Facts{Schema: "unknown", Unknown: "facts were not requested"}
	} else if r.of.Facts, err = r.Facts(ctx, tx, r.component.Kind); err != nil {
		return err
	}
	if r.rows.Views, err = populatedViews(ctx, tx); err != nil {
		return err
	}
	if r.rows.Sequences, err = sequences(ctx, tx); err != nil {
		return err
	}
	if r.of.Database.Needs, err = readNeeds(ctx, tx, r.server.Major()); err != nil {
		return err
	}
	globals, err := globalsSQL(ctx, tx, r.base)
	if err != nil {
		return err
	}
	return r.put(ctx, r.file("globals.sql"), func(w io.Writer) error {
		_, err := io.WriteString(w, globals)
		return err
	})
}

// file is a name within the component's directory.
func (r *run) file(name string) string { return string(r.component.Name) + "/" + name }

func (r *run) close() {
	r.release()
	closeConn(r.ctl)
}

func closeConn(conn *pgx.Conn) {
	(&lease{conn: conn}).close()
}

// queue hands out the units of a group.
type queue struct {
	mu    sync.Mutex
	units []unit
}

func (q *queue) take() (unit, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.units) == 0 {
		return unit{}, false
	}
	u := q.units[0]
	q.units = q.units[1:]
	return u, true
}
