package check

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"holdfast"
	"holdfast/observed"
	"holdfast/record"
)

// Condition is one condition of the catalogue, judged.
type Condition struct {
	Code        Code             `json:"code"`
	Title       string           `json:"title"`
	Verdict     holdfast.Verdict `json:"verdict"`
	Evidence    string           `json:"evidence"`
	Missing     []string         `json:"missing,omitempty"`     // the inputs that a verdict needs
	Consequence string           `json:"consequence,omitempty"` // of a violation
	Next        string           `json:"next,omitempty"`        // unless it holds
	SilencedBy  Code             `json:"silenced_by,omitempty"` // the condition that is its only cause
}

// Alarms reports whether somebody has to act on this condition: it does not
// hold, and it is not only the symptom of another condition that does not.
func (c Condition) Alarms() bool { return c.Verdict != holdfast.Holds && c.SilencedBy == "" }

// Evaluate judges every condition of the catalogue at the time now.
func Evaluate(o Observations, now time.Time) []Condition {
	v := newView(o, now)
	var out []Condition
	for _, e := range v.entries {
		a := v.of(e.Code)
		c := Condition{Code: e.Code, Title: e.Title, Verdict: a.verdict, Evidence: a.evidence, Missing: a.missing}
		switch a.verdict {
		case holdfast.Violated:
			c.Consequence, c.Next = e.Consequence, e.Next
		case holdfast.CannotTell:
			c.Next = a.next
		}
		if root := a.because; root != "" && a.verdict != holdfast.Holds && v.of(root).verdict != holdfast.Holds {
			c.SilencedBy = root
		}
		out = append(out, c)
	}
	return out
}

// answer is what the judge of one condition says.
type answer struct {
	verdict  holdfast.Verdict
	evidence string
	missing  []string
	next     string // what supplies the missing input
	because  Code   // the condition that is the only cause
}

func holds(format string, args ...any) answer {
	return answer{verdict: holdfast.Holds, evidence: fmt.Sprintf(format, args...)}
}

func violated(format string, args ...any) answer {
	return answer{verdict: holdfast.Violated, evidence: fmt.Sprintf(format, args...)}
}

// cannotTell names the input that is missing and why it is.
func cannotTell(in input, why string) answer {
	return answer{
		verdict:  holdfast.CannotTell,
		evidence: fmt.Sprintf("missing: %s: %s", in.name, why),
		missing:  []string{in.name},
		next:     in.next,
	}
}

// answers are those to one question about several things.
type answers []answer

// worstFirst is the worst answer, with the evidence of all: the worst first.
func (list answers) worstFirst() answer {
	var out answer
	var evidence []string
	for _, verdict := range []holdfast.Verdict{holdfast.Violated, holdfast.CannotTell, holdfast.Holds} {
		for _, a := range list {
			if a.verdict != verdict {
				continue
			}
			if out.verdict == "" {
				out = a
			}
			if !slices.Contains(evidence, a.evidence) {
				evidence = append(evidence, a.evidence)
			}
		}
	}
	out.evidence = strings.Join(evidence, "; ")
	return out
}

func (a answer) dueTo(c Code) answer {
	a.because = c
	return a
}

// input is something a verdict needs, and what to do to supply it.
type input struct{ name, next string }

// The inputs.
var (
	inRepository = input{
		"the repository",
		"Make the repository readable from this machine: `holdfast check --explain repository_readable`.",
	}
	inSet      = input{"a proven set", "Take one: `holdfast backup`."}
	inSetFacts = input{
		"what the newest proven set records",
		"`holdfast backup` with this version records it. It stays unknown for a release with another schema.",
	}
	inDatabase   = input{"the live databases", "Start the node's Postgres, or correct `databases:`."}
	inIdentities = input{
		"the running node's identities",
		"Start the validator app, or correct `identities:`. `holdfast identities fetch` shows what is wrong.",
	}
	inScans     = input{"what two Scans agree on", "Name Scans of at least three super validators in `check.scans`."}
	inRetention = input{
		"each super validator's sequencer retention",
		"Ask the super validators and declare it in `check.retention`, with the source. " +
			"`sv: '*'` stands for all that are not named.",
	}
	inProgress = input{
		"how far the participant has processed events",
		"Start the node's Postgres, or name the participant's metrics endpoint in `check.metrics`.",
	}
	inParties = input{
		"the parties that the participant hosts",
		"Name the participant's admin API in `check.admin`, such as localhost:5002.",
	}
	inCopy = input{
		"the second copy",
		"Name a place outside of this machine in `copies:`, and send it there: `holdfast repository copy`.",
	}
	inLocks = input{
		"the locks of the repository",
		"Let the node read them, as docs/policies/s3-node.json does: `holdfast config check --live`.",
	}
	inAttacks = input{
		"whether what is locked can be deleted",
		"Look at the retention of the bucket or container yourself: docs/places.md.",
	}
	inProvider = input{
		"the instances at the provider",
		"Let the node describe them, as docs/policies/rds-backup.json does: `holdfast config check --live`.",
	}
	inContainers = input{
		"the containers of the node",
		"Start the Docker daemon, or correct `compose:`. `holdfast node show` shows what is found.",
	}
	inSessions = input{
		"who is connected to the databases",
		"Start the databases' server, and let the role read them: `holdfast config check --live`.",
	}
	inVersion = input{"the version of the validator app", "Start the validator app, or correct `identities.url`."}
	inClock   = input{"a clock of another machine", "Name Scans in `check.scans`: their answers include the time."}
	inSpace   = input{
		"the free space on the databases' file system",
		"Name a directory on that file system in `check.restore_space`, if it is mounted here.",
	}
	inKMS = input{
		"whether the KMS still gives the node its keys",
		"Holdfast has no KMS credentials: check each key with those of the restored node. " +
			"`aws kms describe-key --key-id KEY` or `gcloud kms keys versions describe KEY` must show it enabled. " +
			"`holdfast identities show` lists the keys.",
	}
	inKeyTests = input{
		"the tests of recovery keys",
		"Make the repository readable from this machine: `holdfast check --explain repository_readable`.",
	}
)

// view is the observations, what several conditions derive from them, and the
// answers given so far.
type view struct {
	Observations
	now     time.Time
	entries []Entry
	answers map[Code]answer
	sets    []holdfast.Set // not from the future, oldest first; their proofs recomputed
	future  []holdfast.Set
	proven  []holdfast.Set
}

func newView(o Observations, now time.Time) *view {
	o.Limits = o.Limits.orDefaults()
	v := &view{Observations: o, now: now, entries: Catalogue(), answers: map[Code]answer{}}
	r, _ := o.Repository.Get()
	for _, s := range r.Sets {
		s.Prove() // from the recorded facts, not from what the manifest claims
		switch {
		case s.Ended.Wall.After(now.Add(o.Limits.Skew)):
			v.future = append(v.future, s)
			continue
		case s.State == holdfast.Proven:
			v.proven = append(v.proven, s)
		}
		v.sets = append(v.sets, s)
	}
	return v
}

// of is the answer of one condition. The catalogue's dependencies have no
// cycles: a test proves it.
func (v *view) of(c Code) answer {
	if a, ok := v.answers[c]; ok {
		return a
	}
	a := v.entry(c).judge(v)
	v.answers[c] = a
	return a
}

func (v *view) entry(c Code) Entry {
	return v.entries[slices.IndexFunc(v.entries, func(e Entry) bool { return e.Code == c })]
}

// latest is the set that `holdfast restore latest` takes: the newest proven one
// that is not in doubt. Without one, the answer says why, and which condition is
// the cause.
func (v *view) latest() (holdfast.Set, answer, bool) {
	if a, ok := v.listed(); !ok {
		return holdfast.Set{}, a, false
	}
	if len(v.proven) == 0 {
		missing := cannotTell(inSet, "the repository has no proven set of this node").dueTo(PostgresCadence)
		return holdfast.Set{}, missing, false
	}
	set, _ := record.Latest(v.proven, v.inDoubt)
	return *set, answer{}, true
}

// inDoubt reports whether a set may have rows wrong, as far as that is known.
func (v *view) inDoubt(s holdfast.Set) bool {
	disproofs, _ := v.Disproofs.Get()
	return slices.ContainsFunc(disproofs, func(d record.Disproof) bool {
		return d.Doubts(s.Node.Name, s.Began.Wall)
	})
}

// listed checks that the repository's sets are known.
func (v *view) listed() (answer, bool) {
	r, ok := v.Repository.Get()
	switch {
	case !ok:
		return cannotTell(inRepository, v.Repository.Missing()).dueTo(RepositoryReadable), false
	case r.Problem != "":
		return cannotTell(inRepository, r.Problem).dueTo(RepositoryReadable), false
	}
	return answer{}, true
}

// participant is what the live participant's database records. Without it the
// answer says why.
func (v *view) participant() (holdfast.ParticipantFacts, answer, bool) {
	live, why, ok := v.live(holdfast.Participant)
	switch {
	case !ok:
		return holdfast.ParticipantFacts{}, cannotTell(inDatabase, why).dueTo(PostgresSupported), false
	case live.Facts.Participant == nil:
		return holdfast.ParticipantFacts{}, cannotTell(inDatabase, "the participant's database: "+live.Facts.Unknown), false
	}
	return *live.Facts.Participant, answer{}, true
}

// live is the running database of the component of that kind.
func (v *view) live(kind holdfast.Kind) (observed.Database, string, bool) {
	for _, c := range v.Node.Components {
		if c.Kind == kind {
			live, ok := v.Live[c.Name].Get()
			return live, fmt.Sprintf("%s: %s", c.Name, v.Live[c.Name].Missing()), ok
		}
	}
	return observed.Database{}, fmt.Sprintf("the configuration has no database of kind %s", kind), false
}

// captured is the participant's capture of a set.
func captured(s holdfast.Set) (holdfast.Part, bool) {
	parts := s.Parts()
	i := slices.IndexFunc(parts, func(c holdfast.Part) bool {
		return c.Kind == holdfast.Participant && c.Facts.Participant != nil
	})
	if i < 0 {
		return holdfast.Part{}, false
	}
	return parts[i], true
}

// takenAt is the moment that a restore of the set goes back to, by the clock of
// the machine that took it.
func takenAt(s holdfast.Set) time.Time {
	if c, ok := captured(s); ok && !c.Consistent.Wall.IsZero() {
		return c.Consistent.Wall
	}
	return s.Ended.Wall
}

// span prints a duration for a person.
func span(d time.Duration) string {
	if d < 0 {
		return "-" + span(-d)
	}
	switch d = d.Round(time.Second); {
	case d < time.Hour:
		return d.String()
	case d < 2*day:
		return strings.TrimSuffix(d.Round(time.Minute).String(), "0s")
	case d%day < time.Hour:
		return fmt.Sprintf("%dd", int(d/day))
	}
	return fmt.Sprintf("%dd%dh", int(d/day), int(d%day/time.Hour))
}

func when(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05Z") }

// some lists a few of many.
func some(list []string) string {
	const most = 5
	if len(list) > most {
		return fmt.Sprintf("%s and %d more", strings.Join(list[:most], ", "), len(list)-most)
	}
	return strings.Join(list, ", ")
}

func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
