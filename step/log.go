package step

import (
	"slices"
	"time"

	"holdfast"
)

// Log is what a journal holds of a run that has not come to its end.
type Log struct {
	Schema   int            `json:"schema"`
	Set      holdfast.SetID `json:"set"`
	Began    time.Time      `json:"began"`
	Original Original       `json:"original"` // what was known of the original node, and who said so
	// Entries are the steps of the run, and of interrupted ones before it, in the
	// order in which they were begun.
	Entries []Entry `json:"entries"`
	// Back is the list by which the run is being taken back; empty until then.
	Back []Entry `json:"back,omitempty"`
}

// LogSchema is the version of the form of a Log.
const LogSchema = 2

// Entry is one step with its mark.
type Entry struct {
	Step Step `json:"step"`
	Mark Mark `json:"mark"`
}

// Mark says how far a step is.
type Mark string

// The marks.
const (
	Planned Mark = ""      // of the way back alone
	Begun   Mark = "begun" // it may have been done, or not
	Done    Mark = "done"
)

// Unfinished reports whether there is anything to take back.
func (l Log) Unfinished() bool { return len(l.Entries)+len(l.Back) > 0 }

// Swapping reports whether the run may have changed which databases are live.
func (l Log) Swapping() bool {
	return slices.ContainsFunc(l.All(), func(e Entry) bool {
		return e.Step.Kind == Server || e.Step.Act == Keep || e.Step.Kind == Volume && e.Step.Act == PutBack
	})
}

// All are the steps that were begun, those of the way back among them: to take
// a step back is a step as well.
func (l Log) All() []Entry {
	out := slices.Clone(l.Entries)
	for _, e := range l.Back {
		if e.Mark != Planned {
			out = append(out, e)
		}
	}
	return out
}

// Rest is the way back that is left: of one that was interrupted what is not
// done yet, else all of it.
func (l Log) Rest() []Step {
	if len(l.Back) == 0 {
		return Reverse(l.Entries)
	}
	var out []Step
	for _, e := range l.Back {
		if e.Mark == Begun && e.Step.Act == Rename {
			e.Step.If = true
		}
		if e.Mark != Done {
			out = append(out, e.Step)
		}
	}
	return out
}

// Policy is the restart policy that a container had before the first run
// disabled it.
func (l Log) Policy(container string) (string, bool) {
	for _, e := range l.All() {
		if e.Step.Act == DisableRestart && e.Step.Name == container {
			return e.Step.Policy, true
		}
	}
	return "", false
}

// Replicas are those that a workload had before the first run stopped it.
func (l Log) Replicas(workload string) (int, bool) {
	for _, e := range l.All() {
		if e.Step.Act == Stop && e.Step.Kind == Workload && e.Step.Name == workload {
			return e.Step.Replicas, true
		}
	}
	return 0, false
}

// Has reports whether a step of that act on an object of that kind was begun.
func (l Log) Has(act Act, kind Kind) bool {
	return slices.ContainsFunc(l.Entries, func(e Entry) bool { return e.Step.Act == act && e.Step.Kind == kind })
}

// Reverse is the way back from what was done: each step's opposite, the last
// one first. What was made is removed: containers, volumes, networks,
// directories, files. What cannot be taken back, or need not be (an image, a
// dropped database), has no opposite. Once a volume was kept, all databases
// since are on the one that took its place, and go with it.
func Reverse(done []Entry) []Step {
	var out []Step
	kept := slices.IndexFunc(done, func(e Entry) bool { return e.Step.Act == Keep })
	for i, e := range slices.Backward(done) {
		gone := kept >= 0 && i > kept && (e.Step.Kind == Database || e.Step.Kind == Server)
		if back, ok := e.opposite(kept >= 0); ok && !gone {
			out = append(out, back)
		}
	}
	return settled(out)
}

// settled leaves out what a way back over several runs would start only to stop
// it again: programs stay down in between. Postgres has to run for the
// databases. A workload is started once, the last time: somebody may have scaled
// it up between two runs, so that the second has stopped it as well.
func settled(list []Step) []Step {
	for i := 0; i < len(list); i++ {
		var later []Act
		switch s := list[i]; {
		case s.Act == Start && s.Kind == Workload:
			later = []Act{Start, Stop}
		case s.Act == Start && s.Kind == Container && s.Of != "postgres":
			later = []Act{Stop}
		case s.Act == EnableRestart:
			later = []Act{DisableRestart}
		default:
			continue
		}
		again := func(o Step) bool { return slices.Contains(later, o.Act) && o.Name == list[i].Name }
		if slices.ContainsFunc(list[i+1:], again) {
			list = slices.Delete(list, i, i+1)
			i--
		}
	}
	return list
}

// back are the moves that take those of a step back.
func (s Step) back(access Access) (out []Move) {
	for _, m := range slices.Backward(s.Moves) {
		out = append(out, Move{From: m.To, To: m.From, Label: m.Was, Was: m.Label, If: m.If, Access: access})
	}
	return out
}

// opposite is the step that takes one back.
func (e Entry) opposite(kept bool) (Step, bool) {
	s := e.Step
	back := Step{Kind: s.Kind, Name: s.Name, Of: s.Of, Replicas: s.Replicas}
	switch s.Act {
	case DisableRestart:
		back.Act, back.Policy = EnableRestart, s.Policy
	case EnableRestart:
		back.Act, back.Policy = DisableRestart, s.Policy
	case Stop:
		server := s.Of == "postgres"
		back.Act, back.Wait, back.Try = Start, server, server && kept
	case Start:
		back.Act = Stop
	case Keep, Replace:
		back.Act, back.From, back.If = PutBack, s.As, true
	case Create:
		back.Act = Remove
		if s.If { // it may have been there
			return back, false
		}
	case Write:
		back.Act = Remove
		if s.As != "" {
			back.Name = s.As
		}
	case Build:
		back.Act, back.Name = Drop, s.As
	case Rename:
		back.Act, back.If = Rename, e.Mark == Begun
		back.Moves = s.back(Unchanged)
	case Open:
		back.Act, back.Moves = Close, s.back(Nobody)
	case Close:
		back.Act, back.Moves = Open, s.back(Everybody)
	default:
		return back, false
	}
	return back, true
}
