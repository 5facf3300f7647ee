package backup

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"holdfast"
	"holdfast/event"
	"holdfast/observed"
	"holdfast/record"
)

// Source is one component where it lives.
type Source interface {
	// Look finds what to capture, and refuses what cannot be captured.
	Look(ctx context.Context, c holdfast.Component) (observed.Outlook, error)
	// Capture puts the component's files into out and says what they are. What did
	// not change since the earlier set it may take over. An error may come with a
	// capture that has only a disproof, which is recorded all the same.
	Capture(
		ctx context.Context, c holdfast.Component, clock holdfast.Clock, out holdfast.Sink, earlier holdfast.Earlier,
	) (holdfast.Capture, error)
}

// Identities takes the node's identities.
type Identities interface {
	// Take puts the sealed dump into out, reusing the sealed file of the last
	// set when nothing changed. The function it returns compares the dump with
	// the participant's database of the same set, and returns what the manifest
	// records; its argument is nil if that database recorded nothing. Facts may
	// come with an error: those of an older dump that was carried over.
	Take(ctx context.Context, last *holdfast.IdentityFacts, files holdfast.Files, out holdfast.Sink) (func(*holdfast.ParticipantFacts) holdfast.IdentityFacts, error)
}

// Deployment says how the node runs, and puts what a restore on a fresh machine
// needs of it into out.
type Deployment interface {
	Record(ctx context.Context, out holdfast.Sink) (holdfast.Deployment, error)
}

// Rehearsal finds out whether the schemas of a set come back, and adds the
// evidence to its captures. Its error is that of a cancelled context.
type Rehearsal interface {
	Rehearse(ctx context.Context, set *holdfast.Set, last holdfast.Set, files holdfast.Files) error
}

// Store is where sets rest.
type Store interface {
	Write(ctx context.Context, purpose string, fn func(context.Context, holdfast.SetWriter) error) error
	Latest(ctx context.Context, node holdfast.NodeName, states ...holdfast.State) (holdfast.Set, holdfast.Files, error)
	Find(ctx context.Context, node holdfast.NodeName, id string) (holdfast.Set, holdfast.Files, error)
	PutDisproof(ctx context.Context, d record.Disproof) error
}

// Job is a node and everything a backup of it needs.
type Job struct {
	Node       holdfast.Node
	Sources    map[holdfast.ComponentName]Source
	Identities Identities // nil: the configuration says that there are none to fetch
	Deployment Deployment // nil: nothing is known but the databases
	Rehearsal  Rehearsal  // nil: schemas are not tried
	Full       bool       // everything is read, nothing is taken over from the last set
	// Together lists components that one capture stands for, because one snapshot
	// of their server has them. The source of the first takes it.
	Together [][]holdfast.ComponentName
	// Lifts is a set of snapshots whose rows are read, by sources that lead to
	// instances made of them; nil: the live databases are read.
	Lifts *holdfast.Set
	Store Store
	// Lock makes sure that nobody else copies or replaces the node's databases
	// meanwhile, until release. Held says whether that was so. It may wait.
	Lock func(ctx context.Context) (held func(context.Context) error, release func(), err error)
	// Whole refuses databases that may not belong together, because a restore was
	// broken off; nil: nothing is known of restores.
	Whole   func(ctx context.Context) error
	Version string         // of Holdfast
	Clock   holdfast.Clock // nil: the system's, from the begin of the run
	Events  event.Listener

	held func(context.Context) error // of the lock
}

// Plan is what a run would do.
type Plan struct {
	Node   holdfast.NodeName    `json:"node"`
	Stages [][]observed.Outlook `json:"stages"`
	Last   *Previous            `json:"last,omitempty"`
	// Estimate is how long the captures would take at the pace of the last set,
	// 0 when there is none to go by.
	Estimate time.Duration `json:"estimate_ns,omitempty"`
}

// Previous is the newest proven set there is.
type Previous struct {
	ID    holdfast.SetID `json:"id"`
	Ended time.Time      `json:"ended"`
	Took  time.Duration  `json:"took_ns"`
}

// Plan looks at every component and says what Run would do. It changes nothing.
func (j Job) Plan(ctx context.Context) (Plan, error) {
	p := Plan{Node: j.Node.Name}
	stages, err := j.Look(ctx)
	if err != nil {
		return p, err
	}
	p.Stages = stages
	last, _, err := j.Store.Latest(ctx, j.Node.Name, holdfast.Proven)
	if err != nil {
		return p, err
	}
	if err := sameNode(last, stages); err != nil {
		return p, err
	}
	if last.ID == "" {
		return p, nil
	}
	took := last.Ended.Since - last.Began.Since
	p.Last = &Previous{ID: last.ID, Ended: last.Ended.Wall, Took: took}
	var then, now int64
	for _, c := range last.Parts() {
		then += c.Database.Bytes
	}
	for _, s := range stages {
		for _, o := range s {
			now += o.Bytes
		}
	}
	if then > 0 {
		p.Estimate = time.Duration(float64(took) * float64(now) / float64(then))
	}
	return p, nil
}

// Run takes one set. A set that was stored is returned with its state whatever
// that is; the error is nil only for a proven one.
func (j Job) Run(ctx context.Context) (holdfast.Set, error) {
	if err := j.Node.Validate(); err != nil {
		return holdfast.Set{}, err
	}
	held, release, err := j.Lock(ctx)
	if err != nil {
		return holdfast.Set{}, err
	}
	defer release()
	j.held = held
	if j.Whole != nil {
		if err := j.Whole(ctx); err != nil {
			return holdfast.Set{}, err
		}
	}
	stages, err := j.Look(ctx)
	if err != nil {
		return holdfast.Set{}, err
	}
	last, files, err := j.last(ctx, stages)
	if err != nil {
		return holdfast.Set{}, err
	}
	const attempts = 2
	for attempt := 1; ; attempt++ {
		set, err := j.take(ctx, attempt, last, files)
		if err != nil {
			return set, err
		}
		if set.State == holdfast.Misordered && attempt < attempts {
			j.Events.Report(RunRepeated{Set: set.ID, Why: set.State})
			continue
		}
		return set, verdict(set)
	}
}

// last reads the set to go on from, and refuses to go on from another node's.
// One that cannot be read must not keep new ones from being taken.
func (j Job) last(ctx context.Context, stages [][]observed.Outlook) (holdfast.Set, holdfast.Files, error) {
	last, files, err := j.Store.Latest(ctx, j.Node.Name, holdfast.Proven, holdfast.Unproven)
	if ctx.Err() != nil {
		return holdfast.Set{}, nil, ctx.Err()
	}
	if err != nil {
		j.Events.Report(LastUnreadable{err})
		return holdfast.Set{}, nil, nil
	}
	witness := last
	if participantOf(last) == nil {
		if proven, _, err := j.Store.Latest(ctx, j.Node.Name, holdfast.Proven); err == nil {
			witness = proven
		}
	}
	return last, files, sameNode(witness, stages)
}

// Look asks every source, side by side, what it has, and refuses what is no one
// node. It changes nothing.
func (j Job) Look(ctx context.Context) ([][]observed.Outlook, error) {
	stages, err := j.Node.Stages()
	if err != nil {
		return nil, err
	}
	out := make([][]observed.Outlook, len(stages))
	failed := map[holdfast.ComponentName]error{}
	var mu sync.Mutex
	var group sync.WaitGroup
	for i, stage := range stages {
		out[i] = make([]observed.Outlook, len(stage))
		for k, c := range stage {
			source, ok := j.Sources[c.Name]
			if !ok {
				return nil, fmt.Errorf("component %s has no source", c.Name)
			}
			group.Go(func() {
				outlook, err := source.Look(ctx, c)
				mu.Lock()
				defer mu.Unlock()
				out[i][k], failed[c.Name] = outlook, err
			})
		}
	}
	group.Wait()
	for _, c := range j.Node.Components { // the same one of several each time
		if err := failed[c.Name]; err != nil {
			return nil, err
		}
	}
	if err := distinct(out); err != nil {
		return nil, err
	}
	if _, err := j.Node.Units(j.Together); err != nil {
		return nil, err
	}
	return out, oneParticipant(j.Node, out)
}

// distinct refuses two components that are one database.
func distinct(stages [][]observed.Outlook) error {
	seen := map[string]observed.Outlook{}
	for _, o := range slices.Concat(stages...) {
		other, twice := seen[o.Instance]
		if twice && o.Instance != "" {
			return &holdfast.Problem{
				Class: holdfast.Usage,
				What: fmt.Sprintf("components %s and %s are the same database: %s", other.Component, o.Component,
					o.Database),
				Why: "It would be captured twice, and one of the node's databases not at all.",
				Do:  "Correct `databases:` in holdfast.yaml.",
			}
		}
		seen[o.Instance] = o
	}
	return nil
}

// oneParticipant refuses databases of different nodes before anything is read.
func oneParticipant(n holdfast.Node, stages [][]observed.Outlook) error {
	var first *observed.Outlook
	for _, o := range slices.Concat(stages...) {
		if o.Participant == "" {
			continue
		}
		if first == nil {
			first = &o
			continue
		}
		if o.Participant != first.Participant {
			return &holdfast.Problem{
				Class: holdfast.Refused,
				What: fmt.Sprintf("the databases of node %s belong to different nodes: %s is %s, %s is %s", n.Name,
					first.Component, first.Found, o.Component, o.Found),
				Why: "A set of them would restore neither node.",
				Do:  "Correct `databases:` in holdfast.yaml.",
			}
		}
	}
	return nil
}

// sameNode refuses to add a set of another participant to a node's history.
func sameNode(last holdfast.Set, stages [][]observed.Outlook) error {
	known := participantOf(last)
	if known == nil {
		return nil
	}
	for _, o := range slices.Concat(stages...) {
		if o.Participant != "" && o.Participant != known.ParticipantID {
			return &holdfast.Problem{
				Class: holdfast.Refused,
				What: fmt.Sprintf("%s is %s, but the sets of node %s so far are of participant %s", o.Database,
					o.Found, last.Node.Name, known.ParticipantID),
				Why: "Either this is another node's database, or the node was given a new identity; one history " +
					"must not mix the two.",
				Do: "If the node really has a new identity, give it a new name: `node:` in holdfast.yaml.",
			}
		}
	}
	return nil
}

// take is one attempt at a set.
func (j Job) take(ctx context.Context, attempt int, last holdfast.Set, files holdfast.Files) (holdfast.Set, error) {
	clock := j.Clock
	if clock == nil {
		clock = SystemClock()
	}
	set, err := j.begin(clock, attempt)
	if err != nil {
		return holdfast.Set{}, err
	}
	err = j.Store.Write(ctx, "set "+string(set.ID), func(ctx context.Context, out holdfast.SetWriter) error {
		check := j.identities(ctx, &set, last, files, out)
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := j.deployment(ctx, &set, out); err != nil {
			return err
		}
		if err := j.captures(ctx, &set, clock, out, j.earlier(ctx, last, files, out)); err != nil {
			return err
		}
		if check != nil {
			facts := check(participantOf(set))
			set.Identities = &facts
		}
		// The last capture has ended: what comes now is in nobody's order.
		if j.Rehearsal != nil {
			if err := j.Rehearsal.Rehearse(ctx, &set, last, out); err != nil {
				return err
			}
		}
		if err := j.held(ctx); err != nil {
			return fmt.Errorf("the set was discarded: %w", err)
		}
		set.Ended = clock()
		if j.Lifts != nil {
			set.Ended = j.Lifts.Ended
		}
		set.Prove()
		if _, err := out.Put(ctx, holdfast.ReadmeName, func(w io.Writer) error {
			return writeReadme(w, set)
		}); err != nil {
			return err
		}
		return out.Seal(ctx, &set)
	})
	unnoted := j.noteDisproofs(context.WithoutCancel(ctx), set) // of a set that came to nothing as well
	if err != nil {
		return holdfast.Set{}, errors.Join(err, unnoted)
	}
	if err := errors.Join(j.readBack(ctx, set), unnoted); err != nil {
		return set, err
	}
	j.Events.Report(SetStored{Set: set.ID, State: set.State, Took: set.Ended.Since - set.Began.Since})
	return set, nil
}

// noteDisproofs records in the repository which rows changed unseen.
func (j Job) noteDisproofs(ctx context.Context, set holdfast.Set) error {
	for _, part := range set.Parts() {
		if part.Disproof == nil {
			continue
		}
		err := j.Store.PutDisproof(ctx, record.Disproof{
			Node:      set.Node.Name,
			Component: part.Component,
			At:        set.Began.Wall,
			Set:       set.ID,
			Disproof:  *part.Disproof,
		})
		if err != nil {
			problem := disproved(set, *part.Disproof)
			problem.Err = fmt.Errorf("the repository has no record of it: %w", err)
			return problem
		}
	}
	return nil
}

func (j Job) begin(clock holdfast.Clock, attempt int) (holdfast.Set, error) {
	var random [4]byte
	if _, err := rand.Read(random[:]); err != nil {
		return holdfast.Set{}, err
	}
	host, _ := os.Hostname()
	began := clock()
	var missing []string
	if j.Lifts != nil {
		began, missing = j.Lifts.Began, slices.Clone(j.Lifts.Missing)
		began.Wall = began.Wall.Add(justAfter)
	}
	return holdfast.Set{
		Schema: holdfast.ManifestSchema, ID: holdfast.NewSetID(began.Wall, random), Node: j.Node,
		Holdfast: j.Version, Host: host, Began: began, Attempt: attempt, Missing: missing,
	}, nil
}

// identities takes the identities first. Without them the databases are still
// worth having, so a failure is recorded, and costs the proof.
func (j Job) identities(
	ctx context.Context, set *holdfast.Set, last holdfast.Set, files holdfast.Files, out holdfast.Sink,
) func(*holdfast.ParticipantFacts) holdfast.IdentityFacts {
	if j.Identities == nil {
		if j.Node.HasParticipant() {
			j.Events.Report(NoIdentities{})
		}
		return nil
	}
	j.Events.Report(IdentitiesBegan{})
	check, err := j.Identities.Take(ctx, last.Identities, files, out)
	if err != nil {
		set.Missing = append(set.Missing, holdfast.MissingIdentities+err.Error())
		j.Events.Report(IdentitiesFailed{err})
	}
	return check
}

// deployment records how the node runs. Without it the databases are still
// worth having.
func (j Job) deployment(ctx context.Context, set *holdfast.Set, out holdfast.Sink) error {
	if j.Deployment == nil {
		return nil
	}
	d, err := j.Deployment.Record(ctx, out)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		set.Missing = append(set.Missing, "how the node runs: "+err.Error())
		j.Events.Report(DeploymentFailed{err})
		return nil
	}
	set.Deployment = &d
	return nil
}

// earlier is what each component's capture may take over. What cannot be found is
// read from the databases.
func (j Job) earlier(
	ctx context.Context, last holdfast.Set, files holdfast.Files, out holdfast.SetWriter,
) map[holdfast.ComponentName]holdfast.Earlier {
	if last.ID == "" || j.Full {
		return nil
	}
	splice, err := out.After(ctx, last.ID)
	if err != nil {
		j.Events.Report(LastUnreadable{err})
		return nil
	}
	from := map[holdfast.ComponentName]holdfast.Earlier{}
	for _, part := range last.Parts() {
		from[part.Component] = holdfast.Earlier{
			Set: last.ID, Part: part, Files: files, Splice: splice, Own: last.OwnTransactions(),
		}
	}
	return from
}

// captures walks the stages; a stage begins when the one before has ended.
func (j Job) captures(
	ctx context.Context, set *holdfast.Set, clock holdfast.Clock, out holdfast.Sink,
	earlier map[holdfast.ComponentName]holdfast.Earlier,
) error {
	stages, err := j.Node.Units(j.Together)
	if err != nil {
		return err
	}
	for _, stage := range stages {
		done := make([]holdfast.Capture, len(stage))
		group, ctx := errgroup.WithContext(ctx)
		for i, unit := range stage {
			for _, c := range unit {
				j.Events.Report(CaptureBegan{c.Name})
			}
			group.Go(func() (err error) {
				done[i], err = j.capture(ctx, set.ID, unit, clock, out, earlier)
				return err
			})
		}
		err := group.Wait()
		for _, c := range done {
			if len(c.Components) > 0 { // what one found is worth noting although another failed
				set.Captures = append(set.Captures, c)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// capture takes what is captured as one.
func (j Job) capture(
	ctx context.Context, set holdfast.SetID, unit []holdfast.Component, clock holdfast.Clock, out holdfast.Sink,
	earlier map[holdfast.ComponentName]holdfast.Earlier,
) (holdfast.Capture, error) {
	from := earlier[unit[0].Name]
	from.For = set
	done, err := j.Sources[unit[0].Name].Capture(ctx, unit[0], clock, out, from)
	if err != nil {
		return done, fmt.Errorf("capture %s: %w", unit[0].Name, err)
	}
	for _, c := range unit {
		if !slices.ContainsFunc(done.Components, func(of holdfast.Captured) bool { return of.Component == c.Name }) {
			return holdfast.Capture{}, fmt.Errorf("capture %s: the capture does not stand for %s", unit[0].Name, c.Name)
		}
		j.Events.Report(captureEnded(c.Name, done))
	}
	return done, nil
}

func participantOf(set holdfast.Set) *holdfast.ParticipantFacts {
	for _, c := range set.Parts() {
		if c.Facts.Participant != nil {
			return c.Facts.Participant
		}
	}
	return nil
}

// readBack finds the set in the repository as a restore would, because success
// that was not observed is not reported.
func (j Job) readBack(ctx context.Context, set holdfast.Set) error {
	problem := func(err error) error {
		return &holdfast.Problem{
			Class: holdfast.NotProven,
			What:  fmt.Sprintf("set %s was stored, but could not be read back", set.ID),
			Err:   err,
			Why:   "A set that cannot be read is not a backup.",
			Do:    "Check the repository's storage, then run the backup again.",
		}
	}
	stored, files, err := j.Store.Find(ctx, set.Node.Name, string(set.ID))
	if err != nil {
		return problem(err)
	}
	want, errWant := json.Marshal(set)
	got, errGot := json.Marshal(stored)
	if err := errors.Join(errWant, errGot); err != nil {
		return problem(err)
	}
	if !bytes.Equal(want, got) {
		return problem(errors.New("its manifest came back different"))
	}
	if set.Identities == nil || set.Identities.SealedFile == "" {
		return nil
	}
	in, err := files.Open(ctx, set.Identities.SealedFile)
	if err != nil {
		return problem(err)
	}
	defer func() { _ = in.Close() }()
	if n, err := io.Copy(io.Discard, in); err != nil || n == 0 {
		return problem(fmt.Errorf("the sealed identities: %d bytes, %w", n, err))
	}
	return nil
}

// verdict turns a set's state into the run's result.
func verdict(set holdfast.Set) error {
	for _, c := range set.Captures {
		if c.Disproof != nil {
			return disproved(set, *c.Disproof)
		}
	}
	var first holdfast.Problem
	if problems := set.Problems(); len(problems) > 0 {
		first = problems[0]
	}
	switch set.State {
	case holdfast.Proven:
		return nil
	case holdfast.Misordered:
		return &holdfast.Problem{
			Class: holdfast.Failed,
			What:  "the set contradicts its own order, twice: " + first.What,
			Why: "Restored, its validator app would refer to updates that its participant does not have. It is " +
				"stored as misordered and does not count.",
			Do: "Make sure that nothing restores or rewinds one of the databases, then run the backup again.",
		}
	case holdfast.Mismatched:
		return &holdfast.Problem{
			Class: holdfast.Failed,
			What:  "the parts of the set do not belong to one node: " + first.What,
			Why:   "Restored together they would be no node. The set is stored as mismatched and does not count.",
			Do:    "Check that `databases:` and `identities:` in holdfast.yaml point at the same node.",
		}
	}
	return &holdfast.Problem{
		Class: holdfast.NotProven,
		What:  "the set is stored, but not proven: " + first.What,
		Why:   cmp.Or(first.Why, "Nothing contradicts it, but an input of the proof is missing."),
		Do: cmp.Or(first.Do, "Mend what is missing and run the backup again;") +
			" `holdfast show " + string(set.ID) + "` has the details.",
	}
}

// disproved says that a database is not what the rule for unchanged rows says. The
// set itself was read in full.
func disproved(set holdfast.Set, d holdfast.Disproof) *holdfast.Problem {
	return &holdfast.Problem{
		Class: holdfast.Violation,
		What: fmt.Sprintf("rows of table %s, from block %d on, changed without a transaction since %s", d.Table, d.From,
			d.ReadAt.UTC().Format(time.RFC3339)),
		Why: fmt.Sprintf("The server's disk or memory, or the repository, is damaged (%s, was %s). Set %s was read in full "+
			"and is stored: %s. Sets between may have wrong rows there.", d.Is, d.Was, set.ID, set.State),
		Do: "Run `holdfast verify --read-data`, which names the sets in doubt, and look for errors of the server's disk " +
			"and memory. Then `holdfast backup --full`.",
	}
}

// SystemClock is a clock that begins now.
func SystemClock() holdfast.Clock {
	began := time.Now()
	return func() holdfast.Moment {
		now := time.Now()
		return holdfast.Moment{Wall: now.UTC().Round(0), Since: now.Sub(began)}
	}
}
