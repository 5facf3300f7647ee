package check

import (
	"fmt"
	"slices"
	"time"

	"holdfast"
	"holdfast/loss"
	"holdfast/observed"
	"holdfast/record"
)

// Loss is what a restore would lose now that names no set: what is
// replayed, what is lost, and what a person has to do by hand.
type Loss struct {
	Set      holdfast.SetID   `json:"set"`
	Taken    time.Time        `json:"taken"`
	Age      time.Duration    `json:"age_ns"`
	From     *time.Time       `json:"replay_from,omitempty"` // in network time
	To       *time.Time       `json:"replay_to,omitempty"`
	Replay   *time.Duration   `json:"replay_ns,omitempty"`           // of ledger time
	Estimate time.Duration    `json:"restore_estimate_ns,omitempty"` // by the newest drill that proved a set
	Losses   []loss.Loss      `json:"losses"`
	New      []NewRows        `json:"new_rows,omitempty"` // where they were counted
	Unseen   []string         `json:"new_rows_unknown,omitempty"`
	Unknown  []string         `json:"untold"` // what could not be compared, and why
	Complete holdfast.Verdict `json:"complete"`
	Steps    []string         `json:"steps"` // by hand, in order
}

// NewRows are rows of a table that are new or changed since the set.
type NewRows struct {
	Component holdfast.ComponentName `json:"component"`
	observed.Growth
}

// Losses computes what `holdfast restore latest` would lose. Without a proven set
// or a repository it returns nil.
func Losses(o Observations, now time.Time) *Loss {
	v := newView(o, now)
	s, _, ok := v.latest()
	if !ok {
		return nil
	}
	out := &Loss{
		Set:      s.ID,
		Taken:    takenAt(s),
		Age:      now.Sub(takenAt(s)),
		Losses:   []loss.Loss{},
		Unknown:  []string{},
		Complete: holdfast.Holds,
	}
	var bytes int64
	for _, c := range s.Parts() {
		bytes += c.Database.Bytes
		v.compare(out, c)
		v.count(out, c)
	}
	if drills, ok := v.Drills.Get(); ok {
		out.Estimate, _ = record.RestoreEstimate(bytes, drills)
	}
	if len(out.Unknown) > 0 {
		out.Complete = holdfast.CannotTell
	}
	out.Steps = v.steps(s, out.Losses)
	return out
}

// count adds the rows that are new in one component, if they were counted.
func (v *view) count(out *Loss, c holdfast.Part) {
	since, asked := v.Since[c.Component]
	if !asked {
		return
	}
	tables, ok := since.Get()
	if !ok {
		out.Unseen = append(out.Unseen, fmt.Sprintf("%s: %s", c.Component, since.Missing()))
	}
	for _, t := range tables {
		out.New = append(out.New, NewRows{c.Component, t})
	}
}

// compare adds what one component would lose.
func (v *view) compare(out *Loss, c holdfast.Part) {
	unknown := func(why string) { out.Unknown = append(out.Unknown, fmt.Sprintf("%s: %s", c.Component, why)) }
	live, ok := v.Live[c.Component].Get()
	switch {
	case !ok:
		unknown(v.Live[c.Component].Missing())
		return
	case c.Kind == holdfast.App:
		unknown("a database of your own: only its app knows its content")
		return
	case c.Kind != holdfast.Participant && c.Kind != holdfast.Validator:
		unknown("the database of a " + c.Kind.Title() + "; what it would lose is not compared")
		return
	case c.Facts.Participant == nil && c.Facts.Validator == nil:
		unknown("the set records an unknown schema: " + c.Facts.Unknown)
		return
	case live.Facts.Participant == nil && live.Facts.Validator == nil:
		unknown("the live database: " + live.Facts.Unknown)
		return
	}
	out.Losses = append(out.Losses, loss.Compare(c.Facts, live.Facts)...)
	for _, party := range live.Parties {
		out.Losses = append(out.Losses, loss.Loss{
			Kind: loss.Party,
			What: fmt.Sprintf("participant: party %s, hosted since", party),
			Do: "Check that the replay brings back party " + party + ". If its topology was never sequenced, " +
				"allocate it again.",
		})
	}
	then, now := c.Facts.Participant, live.Facts.Participant
	if then == nil || now == nil {
		return
	}
	if then.Dars == nil {
		unknown("packages: the set does not record them")
	}
	from, okFrom := then.ReachesTo()
	to, okTo := now.ReachesTo()
	if !okFrom || !okTo {
		unknown("the ledger time to replay: no record time in the set or in the live database")
		return
	}
	replay := to.Sub(from)
	out.From, out.To, out.Replay = &from, &to, &replay
}

// steps are what a person does around a restore, in this order: everything that
// no command does.
func (v *view) steps(s holdfast.Set, losses []loss.Loss) []string {
	out := []string{
		"Make sure that the lost node is stopped and stays stopped: " +
			"two running copies of one identity destroy both, even without errors.",
		"`holdfast restore latest` shows the plan, `--yes` applies it. " +
			"Start the participant first, then the validator app, with the same party hint, " +
			"identifier and migration id as before.",
	}
	if c, ok := captured(s); ok {
		then, known := c.Facts.Participant.ActiveSerial()
		if now, _, ok := v.serial(); ok && known && then != now {
			out = append(out, fmt.Sprintf("The set is from synchronizer serial %d, in use is %d. "+
				"Start against the old synchronizer with Splice 0.6.5 or later; "+
				"the participant crosses over by itself when it has caught up.", then, now))
		}
	}
	out = append(out, "Wait until the validator app is ready and has caught up: "+
		"its metric splice_store_last_seen_record_time_ms is close to now.")
	for _, l := range losses {
		if l.Do != "" && !slices.Contains(out, l.Do) {
			out = append(out, l.Do)
		}
	}
	return append(out,
		"Restart your own applications from a backup older than the participant's: "+
			"ledger offsets after the restore point change.",
		"Watch ACS commitments with the other participants for a day, and take a backup: `holdfast backup`.")
}
