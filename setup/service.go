package setup

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"time"

	"holdfast"
	"holdfast/backup"
	"holdfast/check"
	"holdfast/config"
	"holdfast/daemon"
	"holdfast/notify"
	"holdfast/place"
	"holdfast/schedule"
	"holdfast/verify"
)

// The names of what a service does.
const (
	backupTask    = "backup"
	copyTask      = "copy"
	checkTask     = "check"
	verifyTask    = "verification"
	drillTask     = "drill"
	retentionTask = "retention"
	watchTask     = "watch"

	copyRetentionTask = "copy-retention"
	identitiesTask    = "identities-refresh"
)

// verifiedShare is how much of the data a scheduled verification reads, in
// percent: all of it within three weeks.
const verifiedShare = 5

// Service is a node that a daemon works for. Everything is opened again for each
// task, so that a rotated password or a server that moved is found.
type Service struct {
	Options Options

	mu       sync.Mutex
	conf     *config.Config
	status   Status
	requests map[string]string // tasks that somebody wants at once, and why
	wake     chan struct{}     // the daemon, for them
	board    *board
	trail    *pageTrail
	wish     wish
	glimpse  glimpse
	reached  time.Time // when it looked last
	size     sizing
	traffic  traffic
	// upgrade is when the synchronizer is upgraded, as Scans announce; zero when
	// they announce none.
	upgrade time.Time
}

// Serve is the service of a configured node.
func Serve(conf *config.Config, o Options) *Service {
	s := &Service{
		conf: conf, status: Status{Node: holdfast.NodeName(conf.Node)},
		requests: map[string]string{}, wake: make(chan struct{}, 1),
	}
	s.board, s.trail = newBoard(s), newPageTrail(s)
	s.glimpse.look = s.reach
	o.Events = s.traffic.heard(s.board.heard(o))
	s.Options = o
	return s
}

// takes says why another configuration cannot replace the service's; nil when it
// can.
func (s *Service) takes(conf *config.Config) error {
	now, restart := s.config(), "Restart the service: `systemctl restart holdfast`."
	switch {
	case conf.Node != now.Node:
		return &holdfast.Problem{
			Class: holdfast.Usage,
			What:  fmt.Sprintf("the configuration is of node %s, and this service of %s", conf.Node, now.Node),
			Do:    restart,
		}
	case conf.HTTP != now.HTTP:
		return &holdfast.Problem{
			Class: holdfast.Usage, What: "`http:` has changed, and where a service listens is read at its start", Do: restart,
		}
	}
	if !reflect.DeepEqual(conf.Page, now.Page) {
		return &holdfast.Problem{
			Class: holdfast.Usage, What: "`page:` has changed, and who may see it is read at the start", Do: restart,
		}
	}
	p, err := Open(conf, s.Options)
	if err != nil {
		return err
	}
	return p.Close(context.Background())
}

// replace takes another configuration. What runs is not disturbed.
func (s *Service) replace(conf *config.Config) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conf = conf
}

func (s *Service) config() *config.Config {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.conf
}

// Try makes sure that the configuration can be used, before anything is due.
func (s *Service) Try() error { return s.with(context.Background(), func(*Parts) error { return nil }) }

// Node is what the daemon needs of it.
func (s *Service) Node() daemon.Node {
	return daemon.Node{
		Name: s.config().Node, Tasks: s.tasks, Past: s.past, Missing: s.missing, Show: s.show, Wake: s.wake,
		Changed: s.glimpse.changed,
	}
}

// with runs fn with the node's parts.
func (s *Service) with(ctx context.Context, fn func(*Parts) error) error {
	p, err := Open(s.config(), s.Options)
	if err != nil {
		return err
	}
	defer giveBack()
	defer func() { _ = p.Close(context.WithoutCancel(ctx)) }()
	return fn(p)
}

// tasks are what is done, as the configuration schedules it now.
func (s *Service) tasks() []daemon.Task {
	const jitter = 10 * time.Minute
	when, err := s.config().Schedule.When()
	if err != nil { // Load has checked it
		return nil
	}
	task := func(name string, r schedule.Rule, w schedule.Window, do func(context.Context, *Parts) error) daemon.Task {
		return daemon.Task{
			Task:   schedule.Task{Name: name, Rule: r, Window: w, Jitter: jitter, First: name == backupTask},
			Wanted: s.wanted(name),
			Do: func(ctx context.Context) error {
				s.taken(name)
				return s.with(ctx, func(p *Parts) error { return do(ctx, p) })
			},
		}
	}
	var always schedule.Window
	list := []daemon.Task{
		task(backupTask, when.Backup, always, takeSet),
		task(checkTask, when.Check, always, s.judge),
		task(verifyTask, when.Verify, when.Window, verifySample),
		task(drillTask, when.Drill, when.Window, drillNewest),
		task(retentionTask, when.Retention, always, dropSets),
	}
	watch := task(watchTask, when.Watch, always, s.watch)
	watch.Outside = true
	list = append(list, watch)
	if len(s.config().Copies) > 0 { // wanted as soon as there is a set that a copy lacks
		list = append(list, task(copyTask, when.Retention, always, sendCopies),
			task(copyRetentionTask, when.Retention, always, dropInCopies))
	}
	if i := s.config().Identities; i != nil && len(i.Keep) > 0 { // else only a set keeps them
		list = append(list, task(identitiesTask, when.Identities, always, refreshIdentities))
	}
	return list
}

// past is what the repository knows of the tasks.
func (s *Service) past(ctx context.Context) (map[string]schedule.Past, error) {
	err := s.with(ctx, func(p *Parts) error { return s.read(ctx, p) })
	if err != nil {
		s.unread(err)
		return nil, err
	}
	return s.Status().Stored.past(s.config()), nil
}

// StoredUnproven is the event of a set that is stored, and of which something is
// not proven. The next one is taken at its time.
type StoredUnproven struct {
	Set   holdfast.SetID
	Cause error
}

func (e StoredUnproven) String() string {
	return fmt.Sprintf("set %s is stored, and not proven: %v", e.Set, e.Cause)
}

// Judged is the event of a check.
type Judged struct {
	Violated, Unknown []string // conditions
}

func (e Judged) String() string {
	if len(e.Violated)+len(e.Unknown) == 0 {
		return "every condition holds"
	}
	return fmt.Sprintf("violated: %s; unknown: %s", listed(e.Violated), listed(e.Unknown))
}

func listed(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

func takeSet(ctx context.Context, p *Parts) error {
	p.ping(ctx, notify.Start, nil)
	unproven, err := p.takeSet(ctx)
	if worst := cmp.Or(err, unproven); worst != nil {
		p.ping(ctx, notify.Fail, worst)
	} else {
		p.ping(ctx, notify.Success, nil)
	}
	return err
}

// RowsNotRead is the event of rows that were not read into the repository, of databases
// whose snapshots a provider takes. A set of snapshots is there instead, and the next
// run tries again.
type RowsNotRead struct{ Cause error }

func (e RowsNotRead) String() string {
	return fmt.Sprintf("the rows were not read into the repository, a snapshot is taken instead: %v", e.Cause)
}

// RowsReadLive is the event of rows that are read from the live databases, because
// they could not be read from an instance that is made of a snapshot.
type RowsReadLive struct{ Cause error }

func (e RowsReadLive) String() string {
	return fmt.Sprintf("the rows cannot be read from a temporary instance, so they are read from the live databases: %v; "+
		"to try it by hand: `holdfast cloud lift`; to choose: rds.rows_from in holdfast.yaml", e.Cause)
}

// takeSet takes a set, as the configuration says, and where it is time reads the rows
// into the repository again.
func (p *Parts) takeSet(ctx context.Context) (unproven, err error) {
	due, err := p.rowsDue(ctx)
	switch {
	case err != nil:
		return nil, err
	case !due:
		return p.takeSetBy(ctx, p.Backup)
	case p.Config.RDS.RowsFrom == config.RowsFromLive:
		return p.takeRowsLive(ctx)
	}
	if unproven, err = p.takeSetBy(ctx, p.Backup); err != nil {
		return unproven, err
	}
	failed := p.liftNewest(ctx)
	switch {
	case failed == nil || ctx.Err() != nil:
		return unproven, ctx.Err()
	case p.Config.RDS.RowsFrom == config.RowsFromSnapshot || holdfast.ClassOf(failed) == holdfast.Busy:
		p.Events.Report(RowsNotRead{failed})
		return unproven, nil
	}
	p.Events.Report(RowsReadLive{failed})
	live, err := p.takeSetBy(ctx, p.BackupOfRows)
	if err != nil && ctx.Err() == nil {
		p.Events.Report(RowsNotRead{err})
		return unproven, nil
	}
	return cmp.Or(unproven, live), err
}

// takeRowsLive dumps the live databases, or takes a snapshot of them where that fails.
func (p *Parts) takeRowsLive(ctx context.Context) (unproven, err error) {
	unproven, err = p.takeSetBy(ctx, p.BackupOfRows)
	if err == nil || ctx.Err() != nil || holdfast.ClassOf(err) == holdfast.Busy {
		return unproven, err
	}
	p.Events.Report(RowsNotRead{err})
	return p.takeSetBy(ctx, p.Backup)
}

// liftNewest lifts the newest proven set of snapshots.
func (p *Parts) liftNewest(ctx context.Context) error {
	l, err := p.Lift(ctx, "latest")
	if err == nil {
		_, _, err = l.Run(ctx)
	}
	return err
}

// takeSetBy takes one. That it is stored and not proven is no failure of the backup,
// and is said apart.
func (p *Parts) takeSetBy(
	ctx context.Context, take func(context.Context, time.Duration, func(context.Context, backup.Job) error) error,
) (unproven, err error) {
	err = take(ctx, 0, func(ctx context.Context, job backup.Job) error {
		set, err := job.Run(ctx)
		if err != nil && set.ID != "" && ctx.Err() == nil {
			unproven = err
			p.Events.Report(StoredUnproven{set.ID, err})
			return nil
		}
		return err
	})
	return unproven, err
}

func sendCopies(ctx context.Context, p *Parts) error {
	_, err := p.SendCopies(ctx, place.Place{})
	return err
}

func (s *Service) judge(ctx context.Context, p *Parts) error {
	looked := time.Now().UTC()
	seen, err := p.Observe(ctx)
	if err != nil {
		return err
	}
	report := check.Make(seen, time.Now().UTC())
	s.judged(report, seen, looked)
	var j Judged
	for _, c := range report.Conditions {
		switch {
		case !c.Alarms():
		case c.Verdict == holdfast.Violated:
			j.Violated = append(j.Violated, string(c.Code))
		case c.Verdict == holdfast.CannotTell:
			j.Unknown = append(j.Unknown, string(c.Code))
		}
	}
	p.Events.Report(j)
	return nil
}

func verifySample(ctx context.Context, p *Parts) error {
	return p.Verify(ctx, VerifyOptions{}, func(job verify.Job) error {
		plan, err := job.Plan(ctx, verify.Request{Level: verify.Sample, Percent: verifiedShare})
		if err != nil {
			return err
		}
		_, err = job.Run(ctx, plan)
		return err
	})
}

func drillNewest(ctx context.Context, p *Parts) error {
	from, err := p.Source(ctx, "latest")
	if err != nil {
		return err
	}
	job, err := p.DrillJob(ctx, from.Set, from.Files, DrillOptions{NoPull: true})
	if err != nil {
		return err
	}
	plan, err := job.Plan(ctx, from.Set, p.KnownDrills(ctx, from))
	if err != nil {
		return err
	}
	_, kept, err := p.Drill(ctx, job, plan, from, "")
	return errors.Join(err, kept)
}

func dropSets(ctx context.Context, p *Parts) error {
	job, err := p.Retention(ctx, RetentionOptions{})
	if err != nil {
		return err
	}
	done, err := job.Apply(ctx, true)
	if len(done.Dropped) > 0 {
		p.Events.Report(Dropped{done.Dropped})
	}
	return err
}

// dropInCopies is a task of its own: a copy that is not reached is no failure of
// the repository's retention.
func dropInCopies(ctx context.Context, p *Parts) error { return p.DropInCopies(ctx) }

// refreshIdentities fetches the identities into their places. Each set does so
// too: this is for a node of which none is taken, because its databases do not
// answer or sets are rare.
func refreshIdentities(ctx context.Context, p *Parts) error {
	_, report, err := p.KeepIdentities(ctx)
	if err != nil {
		return err
	}
	return report.Err()
}

// Dropped is the event of sets that no rule keeps any more.
type Dropped struct{ Sets []holdfast.SetID }

func (e Dropped) String() string {
	return fmt.Sprintf("dropped %d sets that no rule keeps", len(e.Sets))
}
