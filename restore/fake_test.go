package restore_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"holdfast"
	"holdfast/databases"
	"holdfast/event"
	"holdfast/restore"
	"holdfast/step"
	"holdfast/target"
)

// world is a node: containers, and the databases of one server. It stays when a
// process dies.
type world struct {
	up        map[string]bool
	policy    map[string]string
	databases map[string]string      // name to content
	labels    map[string]*step.Label // by name
	proven    map[string]bool        // built, and closed since
	log       *step.Log
	original  holdfast.Verdict
	did       []string
	built     int    // databases
	broken    string // what must never be, and was
	unplanned func() // changes the world between two surveys

	shut   bool            // the programs are a cluster's workloads, and databases are closed meanwhile
	owner  bool            // somebody scales up, after every step, what is at zero
	closed map[string]bool // databases that let nobody in
	within map[string]bool // programs that are connected to their database
}

// how the programs of a world run.
type how string

const (
	byHand     how = "by hand"
	containers how = "containers"
	workloads  how = "workloads"
	fought     how = "workloads that somebody scales up"
)

func (h how) managed() bool { return h != byHand }

const (
	wantContent = "restored"
	oldContent  = "old"
)

func newWorld(programs how) *world {
	w := &world{
		up: map[string]bool{}, policy: map[string]string{}, original: holdfast.Holds,
		databases: map[string]string{"participant-db": oldContent, "validator-db": oldContent}, labels: map[string]*step.Label{},
		proven: map[string]bool{}, closed: map[string]bool{}, within: map[string]bool{},
		shut: programs == workloads || programs == fought, owner: programs == fought,
	}
	switch programs {
	case containers:
		for _, name := range []string{"postgres", "participant", "validator"} {
			w.up[name], w.policy[name] = true, "always"
		}
	case workloads, fought:
		w.up["participant"], w.up["validator"] = true, true
		w.connect()
	}
	return w
}

// state is all that may be compared, without what is only left over.
func (w *world) state() string {
	live := map[string]string{}
	for name, content := range w.databases {
		if !strings.Contains(name, "~") {
			live[name] = content
		}
	}
	return fmt.Sprint(w.up, w.policy, live, w.shutDatabases(), w.within)
}

// shutDatabases are the live databases that let nobody in.
func (w *world) shutDatabases() (out []string) {
	for _, name := range []string{"participant-db", "validator-db"} {
		if w.closed[name] {
			out = append(out, name)
		}
	}
	return out
}

// connect has every workload that is up be connected, if its database lets it in.
func (w *world) connect() {
	for _, name := range []string{"participant", "validator"} {
		if _, there := w.databases[name+"-db"]; w.up[name] && there && !w.closed[name+"-db"] {
			w.within[name] = true
		}
	}
}

// killed is what a process dies of.
type killed struct{}

// process is one run of the program on a world. At one step it fails or dies:
// before the step is done, or when it is and nobody has heard of it.
type process struct {
	*world
	at    int // which step, from 1; 0: none
	after bool
	die   bool
	class holdfast.Class // of the failure
	count int
	lost  bool // one of its locks is, before the swap
	locks int  // that are held
}

func (p *process) fault(what string, do func() error) error {
	p.count++
	here := p.count == p.at
	strike := func() error {
		if p.die {
			panic(killed{})
		}
		if p.class != "" {
			return &holdfast.Problem{Class: p.class, What: what + " failed"}
		}
		return errors.New(what + " failed")
	}
	if here && !p.after {
		return strike()
	}
	if err := do(); err != nil {
		return err
	}
	p.did = append(p.did, what)
	if p.owner {
		p.up["participant"], p.up["validator"] = true, true
	}
	if p.shut {
		p.connect()
	}
	p.check(what)
	if here {
		return strike()
	}
	return nil
}

// check looks for what must never be.
func (p *process) check(what string) {
	content, there := p.databases["participant-db"]
	if p.shut {
		if p.within["validator"] && content != p.databases["validator-db"] {
			p.broken = "after " + what + " the validator app is connected to databases that do not belong together"
		}
		if p.within["validator"] && content == wantContent && !p.within["participant"] {
			p.broken = "after " + what + " the validator app is connected before the participant serves"
		}
		return
	}
	if p.up["validator"] && !there {
		p.broken = "after " + what + " the validator app runs without the participant's database"
	}
	if p.up["validator"] && content != p.databases["validator-db"] {
		p.broken = "after " + what + " the validator app runs on databases that do not belong together"
	}
}

func (p *process) target(programs how) restore.Target {
	t := restore.Target{Databases: p, Journal: (*file)(p.world)}
	switch programs {
	case containers:
		t.Programs = (*programsOf)(p)
	case workloads, fought:
		t.Programs = cluster{(*programsOf)(p)}
	}
	return t
}

// file is a journal that outlives the process.
type file world

func (f *file) Lock() (func(), error) { return func() {}, nil }
func (f *file) Read() (step.Log, error) {
	if f.log == nil {
		return step.Log{}, nil
	}
	log := *f.log
	log.Entries, log.Back = slices.Clone(log.Entries), slices.Clone(log.Back)
	return log, nil
}
func (f *file) Write(log step.Log) error {
	log.Entries, log.Back = slices.Clone(log.Entries), slices.Clone(log.Back)
	f.log = &log
	return nil
}
func (f *file) End() error { f.log = nil; return nil }

func (p *process) Names(set holdfast.SetID, c holdfast.Part) (target.Database, error) {
	name := string(c.Component) + "-db"
	return target.Database{Component: c.Component, Where: name, Database: name, New: name + "~new", Previous: name + "~before~" + string(set)}, nil
}
func (p *process) Look(_ context.Context, set holdfast.SetID, c holdfast.Part) (target.Database, error) {
	d, _ := p.Names(set, c)
	for n := 2; ; n++ {
		if _, taken := p.databases[d.Previous]; !taken {
			break
		}
		d.Previous = fmt.Sprintf("%s~before%d~%s", d.Database, n, set)
	}
	for name, l := range p.labels {
		if l != nil && l.Role == step.Previous && l.Component == c.Component && strings.HasPrefix(name, d.Database) && l.At.After(d.Before) {
			d.Before = l.At
		}
	}
	if l := p.labels[d.Database]; p.proven[d.Database] && l != nil {
		d.Ready, d.InPlace, d.New = true, &l.At, d.Database
		return d, nil
	}
	_, d.Live = p.databases[d.Database]
	d.Closed = p.closed[d.Database]
	d.Ready = p.proven[d.New]
	if p.within[string(c.Component)] {
		d.Obstacles = []target.Obstacle{{What: string(c.Component), PID: 1}}
	}
	return d, nil
}
func (p *process) Lock(context.Context, bool) (func(context.Context) error, func(), error) {
	if p.locks > 0 {
		return nil, nil, errors.New("in use by another run")
	}
	p.locks++
	free := sync.OnceFunc(func() { p.locks-- })
	return func(context.Context) error {
		if p.lost {
			p.lost = false
			return errors.New("the session is gone")
		}
		return nil
	}, free, nil
}
func (p *process) Build(_ context.Context, _ holdfast.SetID, d target.Database, _ holdfast.Part, _ holdfast.Files) error {
	return p.fault("build "+string(d.Component), func() error {
		p.built++
		p.databases[d.New], p.proven[d.New] = wantContent, true
		if p.shut {
			p.closed[d.New] = true
		}
		return nil
	})
}
func (p *process) Reuse(_ context.Context, _ holdfast.SetID, d target.Database, _ holdfast.Part) error {
	return p.fault("reuse "+string(d.Component), func() error {
		if !p.proven[d.New] {
			return errors.New("not proven")
		}
		return nil
	})
}
func (p *process) Discard(ctx context.Context, component holdfast.ComponentName, name string) (bool, error) {
	if p.proven[name] {
		return true, nil
	}
	return false, p.Drop(ctx, component, name)
}
func (p *process) Swaps(set holdfast.SetID, at time.Time, list []target.Database) []step.Step {
	s := step.Step{Act: step.Rename, Kind: step.Server, Name: "participant"}
	if p.shut {
		return p.swapsShut(set, at, list)
	}
	for _, d := range list {
		previous := step.Label{Role: step.Previous, Database: d.Database, Component: d.Component, Set: set, At: at}
		fresh := previous
		fresh.Role = step.New
		if d.Live {
			s.Moves = append(s.Moves, step.Move{From: d.Database, To: d.Previous, Label: &previous})
		}
		s.Moves = append(s.Moves, step.Move{From: d.New, To: d.Database, Was: &fresh})
	}
	return []step.Step{s}
}

// swapsShut are those of databases that are closed meanwhile, as the real ones.
func (p *process) swapsShut(set holdfast.SetID, at time.Time, list []target.Database) []step.Step {
	node := holdfast.Node{Components: []holdfast.Component{
		{Name: "validator", Kind: holdfast.Validator}, {Name: "participant", Kind: holdfast.Participant},
	}}
	return databases.Target{Live: databases.Live{Node: node}, Shut: true}.Swaps(set, at, list)
}
func (p *process) due(s step.Step) bool {
	_, there := p.databases[s.Moves[len(s.Moves)-1].From]
	return there
}
func (p *process) Rename(_ context.Context, s step.Step) error {
	return p.fault("rename", func() error {
		if s.If && !p.due(s) {
			return nil
		}
		for _, m := range s.Moves {
			if m.From == m.To {
				_, there := p.databases[m.From]
				if !there {
					return fmt.Errorf("cannot open or close %s", m.From)
				}
				p.access(m)
				p.labels[m.To] = m.Label
				continue
			}
			if p.inUse(m) {
				return &holdfast.Problem{Class: holdfast.Refused, What: m.From + " is in use"}
			}
			content, there := p.databases[m.From]
			_, taken := p.databases[m.To]
			if !there || taken {
				return fmt.Errorf("cannot rename %s to %s", m.From, m.To)
			}
			delete(p.databases, m.From)
			delete(p.labels, m.From)
			if p.shut {
				p.proven[m.To], p.closed[m.To] = p.proven[m.From] && m.Label != nil && m.Label.Role == step.New, p.closed[m.From]
			}
			delete(p.proven, m.From)
			delete(p.closed, m.From)
			p.databases[m.To], p.labels[m.To] = content, m.Label
			p.access(m)
			maps.DeleteFunc(p.proven, func(_ string, is bool) bool { return !is })
		}
		return nil
	})
}

// inUse reports whether a program keeps a database from being renamed.
func (p *process) inUse(m step.Move) bool {
	if p.shut {
		return p.within[strings.TrimSuffix(m.From, "-db")]
	}
	return p.up["participant"] || p.up["validator"]
}

// access is who may connect after a move.
func (p *process) access(m step.Move) {
	if m.Access == step.Unchanged || !p.shut {
		return
	}
	if p.closed[m.To] = m.Access == step.Nobody; !p.closed[m.To] {
		delete(p.proven, m.To)
		delete(p.closed, m.To)
	}
}
func (p *process) Drop(_ context.Context, _ holdfast.ComponentName, name string) error {
	return p.fault("drop", func() error {
		delete(p.databases, name)
		delete(p.labels, name)
		delete(p.proven, name)
		delete(p.closed, name)
		return nil
	})
}
func (p *process) Leftovers(context.Context) ([]step.Leftover, error) {
	var out []step.Leftover
	for _, name := range slices.Sorted(maps.Keys(p.databases)) {
		if l := p.labels[name]; l != nil {
			out = append(out, step.Leftover{Label: *l, Name: name})
		}
	}
	return out, nil
}
func (p *process) Back(_ context.Context, previous []step.Leftover, at time.Time) ([]step.Step, error) {
	s := step.Step{Act: step.Rename, Kind: step.Server, Name: "participant"}
	shut := step.Step{Act: step.Close, Kind: step.Server, Name: "participant"}
	var open []step.Step
	for _, l := range previous {
		undone := l.Label
		was := l.Label
		undone.Role, undone.At = step.Undone, at
		name := l.Database + "~undone"
		for taken := true; taken; _, taken = p.databases[name] {
			name += "+"
		}
		back := step.Move{From: l.Name, To: l.Database, Was: &was}
		if p.shut {
			back.Access = step.Nobody
			stays := step.Move{From: l.Database, To: l.Database, Access: step.Everybody}
			open = append(open, step.Step{
				Act: step.Open, Kind: step.Server, Name: string(l.Component), Of: string(l.Component), Moves: []step.Move{stays},
			})
			stays.Access = step.Nobody
			shut.Moves = append(shut.Moves, stays)
		}
		s.Moves = append(s.Moves, step.Move{From: l.Database, To: name, Label: &undone}, back)
	}
	if p.shut {
		return slices.Concat([]step.Step{shut, s}, open), nil
	}
	return []step.Step{s}, nil
}
func (p *process) Fit(_ context.Context, back []step.Step, keep bool, _ time.Time) ([]step.Step, error) {
	var out []step.Step
	for _, s := range back {
		_, there := p.databases[s.Name]
		if s.Kind == step.Server && !p.due(s) || s.Act == step.Drop && !there {
			continue
		}
		s.If = false
		out = append(out, s)
	}
	return out, nil
}
func (p *process) Remove(_ context.Context, list []step.Leftover) error {
	for _, l := range list {
		delete(p.databases, l.Name)
	}
	return nil
}

// programsOf are the containers of a process's world.
type programsOf process

func (p *programsOf) Survey(_ context.Context, _ holdfast.Set, _ time.Time, log step.Log) (step.Survey, error) {
	s := step.Survey{Original: step.Original{Verdict: p.original, Evidence: []string{"it was on another machine"}}}
	for _, name := range []string{"validator", "participant"} {
		s.Before = append(s.Before, p.stopped(name)...)
		policy, held := log.Policy(name)
		if !held {
			policy = p.policy[name]
		}
		s.After = append(s.After, step.Step{Act: step.EnableRestart, Kind: step.Container, Name: name, Of: name, Policy: policy})
	}
	start := []step.Step{
		{Act: step.Start, Kind: step.Container, Name: "participant", Of: "participant", Expect: "acme::1220", Wait: true},
		{Act: step.Start, Kind: step.Container, Name: "validator", Of: "validator", Expect: "acme::1220", Wait: true},
	}
	s.After = append(start, s.After...)
	if p.unplanned != nil {
		p.unplanned()
		p.unplanned = nil
	}
	return s, nil
}
func (p *programsOf) stopped(name string) (out []step.Step) {
	if p.policy[name] != "no" {
		out = append(out, step.Step{Act: step.DisableRestart, Kind: step.Container, Name: name, Of: name, Policy: p.policy[name]})
	}
	if p.up[name] {
		out = append(out, step.Step{Act: step.Stop, Kind: step.Container, Name: name, Of: name})
	}
	return out
}
func (p *programsOf) Quiet(context.Context, step.Log, event.Listener) error { return nil }

func (p *programsOf) Surround(_ context.Context, back []step.Step, _ time.Time) ([]step.Step, error) {
	var out, after []step.Step
	for _, s := range back {
		if s.Kind == step.Server && len(after) == 0 {
			for _, name := range []string{"validator", "participant"} {
				planned := slices.ContainsFunc(back, func(o step.Step) bool { return o.Kind == step.Container && o.Name == name })
				if stopped := p.stopped(name); !planned && p.up[name] {
					out = append(out, stopped...)
					after = append(after, step.Step{Act: step.Start, Kind: step.Container, Name: name, Of: name, Wait: true},
						step.Step{Act: step.EnableRestart, Kind: step.Container, Name: name, Of: name, Policy: p.policy[name]})
				}
			}
			slices.Reverse(after)
			for i := 0; i+1 < len(after); i += 2 {
				after[i], after[i+1] = after[i+1], after[i]
			}
		}
		out = append(out, s)
	}
	return append(out, after...), nil
}
func (p *programsOf) Do(_ context.Context, s step.Step, _ event.Listener) error {
	return (*process)(p).fault(s.String(), func() error {
		switch s.Act {
		case step.Stop, step.Start:
			p.up[s.Name] = s.Act == step.Start
		case step.DisableRestart:
			p.policy[s.Name] = "no"
		case step.EnableRestart:
			p.policy[s.Name] = s.Policy
		default:
			return errors.New("no such act")
		}
		return nil
	})
}
func (p *programsOf) Leftovers(context.Context) ([]step.Leftover, error) { return nil, nil }
func (p *programsOf) Remove(context.Context, step.Leftover) error        { return nil }

// cluster are the workloads of a process's world.
type cluster struct{ *programsOf }

func (c cluster) Survey(_ context.Context, _ holdfast.Set, _ time.Time, log step.Log) (step.Survey, error) {
	s := step.Survey{Original: step.Original{Verdict: c.original, Evidence: []string{"it was in another cluster"}}}
	for _, name := range []string{"validator", "participant"} {
		if c.up[name] {
			s.Before = append(s.Before, workload(step.Stop, name))
		}
		start := workload(step.Start, name)
		start.Expect = "acme::1220"
		s.After = append([]step.Step{start}, s.After...)
	}
	return s, nil
}

func workload(act step.Act, name string) step.Step {
	return step.Step{Act: act, Kind: step.Workload, Name: name, Of: name, Replicas: 1, Wait: act == step.Start}
}

func (c cluster) Surround(_ context.Context, back []step.Step, _ time.Time) (out []step.Step, err error) {
	up, waits := maps.Clone(c.up), map[string]bool{}
	resume := func(name string) {
		if waits[name] {
			delete(waits, name)
			out = append(out, workload(step.Start, name))
		}
	}
	for _, s := range back {
		for _, name := range []string{"validator", "participant"} {
			if s.Kind == step.Server && s.Act != step.Open && up[name] {
				out = append(out, workload(step.Stop, name))
				up[name] = false
				waits[name] = !slices.ContainsFunc(back, func(o step.Step) bool { return o.Act == step.Start && o.Of == name })
			}
		}
		if s.Kind == step.Workload {
			if up[s.Name] == (s.Act == step.Start) {
				continue
			}
			up[s.Name] = s.Act == step.Start
		}
		out = append(out, s)
		if s.Act == step.Open {
			resume(s.Of)
		}
	}
	resume("participant")
	resume("validator")
	return out, nil
}

// Quiet ends what is connected. The owner is at once there again.
func (c cluster) Quiet(context.Context, step.Log, event.Listener) error {
	for _, name := range []string{"participant", "validator"} {
		delete(c.within, name)
		c.up[name] = c.owner
	}
	c.connect()
	return nil
}

func (c cluster) Do(_ context.Context, s step.Step, _ event.Listener) error {
	return (*process)(c.programsOf).fault(s.String(), func() error {
		c.up[s.Name] = s.Act == step.Start
		delete(c.within, s.Name)
		return nil
	})
}

func aSet() holdfast.Set {
	capture := func(name holdfast.ComponentName) holdfast.Capture {
		return holdfast.Capture{
			Method:     holdfast.Dump,
			Components: []holdfast.Captured{{Component: name, Kind: holdfast.App, Facts: holdfast.Facts{Schema: "app"}}},
			Ended:      holdfast.Moment{Since: 1},
		}
	}
	s := holdfast.Set{
		Schema: holdfast.ManifestSchema, ID: "20261122T154500Z-1f0c9a3e",
		Node: holdfast.Node{Name: "n", Components: []holdfast.Component{
			{Name: "validator", Kind: holdfast.App}, {Name: "participant", Kind: holdfast.App}}},
		Captures: []holdfast.Capture{capture("validator"), capture("participant")},
	}
	s.Prove()
	return s
}

// run makes a plan and applies it. Died says that the process was killed.
func (p *process) run(t *testing.T, programs how) (report restore.Report, err error, died bool) {
	t.Helper()
	defer func() {
		if r := recover(); r != nil {
			if _, died = r.(killed); !died {
				panic(r)
			}
		}
	}()
	plan, err := restore.Make(t.Context(), p.target(programs), aSet(), restore.Options{}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	report, err = restore.Apply(t.Context(), p.target(programs), plan, aSet(), nil, nil)
	return report, err, false
}

// undo makes a plan for the way back and walks it.
func (p *process) undo(t *testing.T, programs how) (moves []step.Move, err error, died bool) {
	t.Helper()
	defer func() {
		if r := recover(); r != nil {
			if _, died = r.(killed); !died {
				panic(r)
			}
		}
	}()
	plan, err := restore.MakeUndo(t.Context(), p.target(programs), p, restore.UndoOptions{}, time.Now())
	if err != nil {
		return nil, err, false
	}
	moves, err = restore.Undo(t.Context(), p.target(programs), p, plan, nil)
	return moves, err, false
}
