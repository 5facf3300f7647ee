package setup

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/jackc/pgx/v5"

	"holdfast"
	"holdfast/backup"
	"holdfast/canton/sample"
	"holdfast/capture/instances"
	"holdfast/capture/postgres"
	"holdfast/capture/rds"
	"holdfast/capture/snapshot"
	"holdfast/config"
	"holdfast/cycle"
	"holdfast/drill"
	"holdfast/event"
	"holdfast/internal/libpq"
	"holdfast/internal/scratch"
	"holdfast/repository"
	"holdfast/restore"
)

func (c *cycling) clean(ctx context.Context) error {
	removed, err := c.own.Remove(ctx, everything)
	for _, what := range removed {
		c.parts.Events.Report(RehearsalSwept{what})
	}
	return err
}

// RehearsalSwept is the event of something that a rehearsal has left and that was
// deleted.
type RehearsalSwept struct{ What string }

func (e RehearsalSwept) String() string {
	return fmt.Sprintf("%s is deleted: a rehearsal that was killed has left it", e.What)
}

// password is one that every provider takes.
func (c *cycling) password(reference string) holdfast.Secret {
	var raw [24]byte
	_, _ = rand.Read(raw[:])
	s := c.parts.Secrets.Learn(holdfast.NewSecret(hex.EncodeToString(raw[:])))
	c.secret[reference] = s
	return s
}

const (
	passwordOfInstance   = "file:instance.password"
	passwordOfRepository = "file:repository.password"
)

// create makes the instance, and a node of the databases that it will have.
func (c *cycling) create(ctx context.Context) (err error) {
	const room = 1 << 30
	if c.dir, err = scratch.Make(room); err != nil {
		return err
	}
	c.made.Password = c.password(passwordOfInstance)
	c.note(func(s *cycle.Seen) { s.Created = time.Now() })
	if c.source, err = c.own.Make(ctx, c.made); err != nil {
		return err
	}
	c.note(func(s *cycle.Seen) { s.Of, s.Runs = c.source.Resource, c.source.Version })
	conf, err := c.configuration()
	if err != nil {
		return err
	}
	password := c.password(passwordOfRepository)
	kind := Kind{Node: plain{}, Way: bundleWay, Through: c.parts.kind.Through}
	if c.node, err = Open(conf, Options{
		Version: c.parts.Version, Events: c.hear, Known: c.secret, Secrets: c.parts.Secrets, Kind: &kind,
	}); err != nil {
		return err
	}
	return repository.Create(ctx, conf.Repository.Place, password)
}

// configuration is that of a node like the operator's, on the instance, with a
// repository that is removed with everything else.
func (c *cycling) configuration() (*config.Config, error) {
	text := fmt.Sprintf("node: %s\nrepository: {path: repository, password: %s}\ncache: {use: false}\ndatabases:\n",
		c.own.RehearsedAs(), passwordOfRepository)
	for _, component := range rehearsedComponents {
		text += fmt.Sprintf("  %s: {connection: %q, password: %s, method: rds, rds: {instance: %s}}\n", component.Name,
			c.at(string(component.Name)).String(), passwordOfInstance, c.own.Name)
	}
	conf, err := config.Parse(filepath.Join(c.dir.Path, "holdfast.yaml"), []byte(text), nil)
	if err != nil {
		return nil, err
	}
	conf.RDS, conf.Tools, conf.SilenceLimit = c.parts.Config.RDS, c.parts.Config.Tools, c.parts.Config.SilenceLimit
	return conf, nil
}

var rehearsedComponents = []holdfast.Component{
	{Name: "participant", Kind: holdfast.Participant}, {Name: "validator", Kind: holdfast.Validator},
}

// at is a database on the instance.
func (c *cycling) at(database string) libpq.Conninfo {
	return c.tls.With("host", c.source.Host).With("port", fmt.Sprint(c.source.Port)).With("user", masterUser).
		With("dbname", database)
}

func (c *cycling) address(database string) libpq.Address {
	at := c.at(database)
	return libpq.Address{
		Conninfo: at, Password: holdfast.Fixed(c.secret[passwordOfInstance]), Silence: c.parts.silence(),
		Dial: c.parts.through(at.Get("host"), at.Get("port")),
	}
}

// hear passes on what the node's parts report, and notes when they said what of the
// snapshot.
func (c *cycling) hear(e event.Event) {
	switch e := e.(type) {
	case snapshot.Requested:
		c.note(func(s *cycle.Seen) { s.Name = e.Snapshot })
	case snapshot.Taking:
		c.note(func(s *cycle.Seen) {
			if n := len(s.States); n == 0 || s.States[n-1] != e.State {
				s.States = append(s.States, e.State)
			}
			if s.Ready.IsZero() && e.State == rds.Available {
				s.Ready, s.Percent = time.Now(), e.Percent
			}
		})
	}
	c.parts.Events.Report(e)
}

// fill makes the two databases, with a few updates in each.
func (c *cycling) fill(ctx context.Context) error {
	server, err := c.first(ctx)
	if err != nil {
		return err
	}
	defer closing(server)
	c.ledger = sample.Ledger{Name: "holdfast-rehearsal", Began: time.Now().Add(-time.Hour).Truncate(time.Second)}
	for _, component := range rehearsedComponents {
		if _, err := server.Exec(ctx, fmt.Sprintf("CREATE DATABASE %s", component.Name)); err != nil {
			return err
		}
		conn, err := c.address(string(component.Name)).Connect(ctx, libpq.Options{})
		if err != nil {
			return err
		}
		err = c.ledger.Make(ctx, conn, component.Kind)
		closing(conn)
		if err != nil {
			return err
		}
	}
	const updates = 10
	w, err := c.writer(ctx)
	if err != nil {
		return err
	}
	defer w.close()
	for range updates {
		if err := c.write(ctx, w); err != nil {
			return err
		}
	}
	read, err := postgres.Live{Address: c.address("participant"), Facts: readFacts}.Read(ctx, rehearsedComponents[0])
	c.note(func(s *cycle.Seen) { s.Read, s.Clock, s.WasID = err == nil, read.Clock, read.Server.SystemID })
	return err
}

// first connects to the server for the first time. The name of an instance that was
// just made may be known a moment later.
func (c *cycling) first(ctx context.Context) (*pgx.Conn, error) {
	const tries = 10
	for n := 1; ; n++ {
		conn, err := c.address("postgres").Connect(ctx, libpq.Options{})
		switch {
		case err == nil:
			return conn, nil
		case holdfast.ClassOf(err) != holdfast.Unreachable:
			return nil, err
		case n == tries:
			return nil, &holdfast.Problem{
				Class: holdfast.Unreachable, What: fmt.Sprintf("instance %s is not reached at %s:%d", c.own.Name, c.source.Host,
					c.source.Port), Err: err,
				Why: "It is not public. It has the subnets and security groups of the plan.",
				Do:  "Make these reachable from here, or name others: --subnet-group, --security-group.",
			}
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(max(c.own.Options.Poll, time.Second)):
		}
	}
}

func closing(conn *pgx.Conn) { _ = conn.Close(context.Background()) }

// writer is the connections of a node's two programs.
type writer struct{ participant, validator *pgx.Conn }

func (w writer) close() {
	for _, conn := range []*pgx.Conn{w.participant, w.validator} {
		if conn != nil {
			closing(conn)
		}
	}
}

func (c *cycling) writer(ctx context.Context) (w writer, err error) {
	if w.participant, err = c.address("participant").Connect(ctx, libpq.Options{}); err == nil {
		w.validator, err = c.address("validator").Connect(ctx, libpq.Options{})
	}
	if err != nil {
		w.close()
	}
	return w, err
}

// write writes one update, and notes when.
func (c *cycling) write(ctx context.Context, w writer) error {
	began := time.Now()
	committed, _, err := c.ledger.Write(ctx, w.participant, w.validator)
	if err != nil {
		return err
	}
	c.note(func(s *cycle.Seen) {
		s.Writes = append(s.Writes, cycle.Write{Offset: c.ledger.Offset, At: committed, Took: time.Since(began)})
	})
	return nil
}

// writing writes updates until stop is called, which waits for the last one.
func (c *cycling) writing(ctx context.Context) (stop func() error, err error) {
	const pace = 100 * time.Millisecond
	w, err := c.writer(ctx)
	if err != nil {
		return nil, err
	}
	ended, end := make(chan error, 1), make(chan struct{})
	go func() {
		defer w.close()
		for {
			select {
			case <-end:
				ended <- nil
				return
			case <-time.After(pace):
			}
			if err := c.write(ctx, w); err != nil {
				ended <- fmt.Errorf("write to the databases: %w", err)
				return
			}
		}
	}()
	return func() error { close(end); return <-ended }, nil
}

// capture takes a set as any backup does.
func (c *cycling) capture(ctx context.Context) error {
	before, err := c.instance().Room(ctx)
	if err != nil {
		return err
	}
	stop, err := c.writing(ctx)
	if err != nil {
		return err
	}
	c.note(func(s *cycle.Seen) { s.RoomBefore, s.Requested = before.Used, time.Now() })
	err = c.node.Backup(ctx, 0, func(ctx context.Context, job backup.Job) (err error) {
		c.set, err = job.Run(ctx)
		return err
	})
	err = errors.Join(err, stop())
	if part, ok := c.set.Part("participant"); ok && part.Before != nil {
		c.note(func(s *cycle.Seen) { s.Before, s.After = ledgerEnd(part.Before.Facts), ledgerEnd(part.Facts) })
	}
	return errors.Join(err, c.look(ctx)) // of a set that failed too: that is when it matters
}

func ledgerEnd(f holdfast.Facts) int64 {
	if f.Participant == nil || f.Participant.LedgerEnd == nil {
		return 0
	}
	return *f.Participant.LedgerEnd
}

func (c *cycling) instance() rds.Instance { return rds.Instance{Account: c.account, ID: c.own.Name} }

// look notes what the provider says of the snapshot, and what it answers to a request
// for one of the same name.
func (c *cycling) look(ctx context.Context) error {
	name := c.saw().Name
	if name == "" {
		return nil
	}
	found, err := c.instance().Describe(ctx, name)
	if err != nil {
		return err
	}
	_, set, _ := found.Owner()
	wanted := snapshot.Labels(c.own.RehearsedAs(), set, c.own.Name)
	again := c.instance().Request(ctx, name, wanted)
	answer := "it was accepted"
	if again != nil {
		answer = again.Error()
	}
	after, err := c.instance().Room(ctx)
	c.note(func(s *cycle.Seen) {
		s.Described, s.Labels, s.Wanted, s.Resource, s.Version = true, found.Labels, wanted, found.Resource, found.Version
		s.Again, s.AgainExists, s.RoomAfter = answer, errors.Is(again, snapshot.ErrExists), after.Used
		for _, t := range found.Times {
			switch t.Field {
			case rds.SnapshotDatabaseTime:
				s.DatabaseTime = t.At
			case rds.OriginalSnapshotCreateTime:
				s.OriginalTime = t.At
			case rds.SnapshotCreateTime:
				s.CreateTime = t.At
			}
		}
	})
	return err
}

// lift lifts the set as any set.
func (c *cycling) lift(ctx context.Context) error {
	l, err := c.node.Lift(ctx, string(c.set.ID))
	if err != nil {
		return err
	}
	dump := l.drill.Then
	l.drill.Then = func(ctx context.Context, place drill.Place) error {
		found, there, err := c.own.Temporary(ctx, c.set.ID)
		if err == nil && there {
			c.note(func(s *cycle.Seen) { s.Wants, s.Has = instances.Setup(c.source, found) })
		}
		return errors.Join(err, dump(ctx, place))
	}
	began := time.Now()
	c.lifted, _, err = l.Run(ctx)
	c.note(func(s *cycle.Seen) { s.Lifted = time.Since(began) })
	if part, ok := c.lifted.Part("participant"); ok {
		c.note(func(s *cycle.Seen) { s.Offset, s.SystemID = ledgerEnd(part.Facts), part.Server.SystemID })
	}
	return err
}

// compare restores the lifted set as any set, on the instance itself, and reads every
// row.
func (c *cycling) compare(ctx context.Context) error {
	from, err := c.node.Source(ctx, string(c.lifted.ID))
	if err != nil {
		return err
	}
	target, _, err := c.node.RestoreTarget(ctx, RestoreOptions{}, from.Set, from.Files)
	if err != nil {
		return err
	}
	plan, err := restore.Make(ctx, target, from.Set, restore.Options{}, time.Now())
	if err != nil {
		return err
	}
	if _, err := restore.Apply(ctx, target, plan, from.Set, from.Files, c.hear); err != nil {
		return err
	}
	var rows int64
	var differ []error
	for _, component := range rehearsedComponents {
		part, _ := from.Set.Part(component.Name)
		conn, err := c.address(string(component.Name)).Connect(ctx, libpq.Options{})
		if err != nil {
			return err
		}
		n, err := c.ledger.Compare(ctx, conn, component.Kind, offsetOf(part.Facts))
		closing(conn)
		rows, differ = rows+n, append(differ, err)
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	differs := errors.Join(differ...)
	c.note(func(s *cycle.Seen) {
		if s.Rows, s.Compared = rows, true; differs != nil {
			s.CompareError = differs.Error()
		}
	})
	return nil
}

// offsetOf is how far a database is.
func offsetOf(f holdfast.Facts) int64 {
	if f.Validator != nil && len(f.Validator.Stores) > 0 && f.Validator.Stores[0].Offset != nil {
		return *f.Validator.Stores[0].Offset
	}
	return ledgerEnd(f)
}

// end deletes the instance, and looks whether its snapshot is still there.
func (c *cycling) end(ctx context.Context) error {
	if err := c.own.End(ctx); err != nil {
		return err
	}
	_, err := c.instance().Describe(ctx, c.saw().Name)
	c.note(func(s *cycle.Seen) { s.Ended, s.Outlived = err == nil || errors.Is(err, snapshot.ErrNone), err == nil })
	if errors.Is(err, snapshot.ErrNone) {
		return nil
	}
	return err
}

// remove removes everything, in the account and here.
func (c *cycling) remove(ctx context.Context) ([]string, error) {
	removed, err := c.own.Remove(ctx, everything)
	if c.node != nil {
		_ = c.node.Close(ctx)
	}
	if c.dir != nil {
		err = errors.Join(err, c.dir.Remove())
	}
	return removed, err
}
