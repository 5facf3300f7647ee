package check

import (
	"fmt"
	"holdfast/loss"
	"holdfast/record"
	"slices"
	"time"

	"holdfast"
)

// Loss is what a restore of the newest proven set would lose, now: what has to
// be replayed, what is gone, and what is to be done by hand.
type Loss struct {
	Set      holdfast.SetID   `json:"set"`
	Taken    time.Time        `json:"taken"`
	Age      time.Duration    `json:"age_ns"`
	From     *time.Time       `json:"replay_from,omitempty"` // in network time
	To       *time.Time       `json:"replay_to,omitempty"`
	Replay   *time.Duration   `json:"replay_ns,omitempty"`           // of ledger time
	Estimate time.Duration    `json:"restore_estimate_ns,omitempty"` // by the newest drill that proved a set
	Losses   []loss.Loss      `json:"losses"`
	Untold   []string         `json:"untold"` // what could not be compared, and why
	Complete holdfast.Verdict `json:"complete"`
	Steps    []string         `json:"steps"` // by hand, in order
}

// Losses says what a restore of the newest proven set would lose. Without such
// a set, or without a repository, there is nothing to say: nil.
func Losses(o Observations, now time.Time) *Loss {
	v := newView(o, now)
	s, _, ok := v.newest()
	if !ok {
		return nil
	}
	out := &Loss{Set: s.ID, Taken: takenAt(s), Age: now.Sub(takenAt(s)), Losses: []loss.Loss{}, Untold: []string{}, Complete: holdfast.Holds}
	var bytes int64
	for _, c := range s.Captures {
		bytes += c.Database.Bytes
		v.compare(out, c)
	}
	if drills, ok := v.Drills.Get(); ok {
		out.Estimate, _ = record.RestoreEstimate(bytes, drills)
	}
	if len(out.Untold) > 0 {
		out.Complete = holdfast.CannotTell
	}
	out.Steps = v.steps(s, out.Losses)
	return out
}

// compare adds what one component would lose.
func (v *view) compare(out *Loss, c holdfast.Capture) {
	untold := func(why string) { out.Untold = append(out.Untold, fmt.Sprintf("%s: %s", c.Component, why)) }
	live, ok := v.Live[c.Component].Get()
	switch {
	case !ok:
		untold(v.Live[c.Component].Missing())
		return
	case c.Kind == holdfast.App:
		untold("a database of your own; what is in it, its app knows")
		return
	case c.Facts.Participant == nil && c.Facts.Validator == nil:
		untold("the set does not know its schema: " + c.Facts.Unknown)
		return
	case live.Facts.Participant == nil && live.Facts.Validator == nil:
		untold("the live database: " + live.Facts.Unknown)
		return
	}
	out.Losses = append(out.Losses, loss.Compare(c.Facts, live.Facts)...)
	for _, party := range live.Parties {
		out.Losses = append(out.Losses, loss.Loss{Kind: loss.Party, What: fmt.Sprintf("participant: party %s, hosted since", party),
			Do: "Look whether the replay brings back party " + party + "; allocate it again if its topology was never sequenced."})
	}
	then, now := c.Facts.Participant, live.Facts.Participant
	if then == nil || now == nil {
		return
	}
	if then.Dars == nil {
		untold("packages: the set does not record them")
	}
	from, okFrom := then.ReachesTo()
	to, okTo := now.ReachesTo()
	if !okFrom || !okTo {
		untold("the span of ledger time: no record time in the set or in the live database")
		return
	}
	replay := to.Sub(from)
	out.From, out.To, out.Replay = &from, &to, &replay
}

// steps are what a person does around a restore. Whatever no command does is
// here; the order is the order in which it is done.
func (v *view) steps(s holdfast.Set, losses []loss.Loss) []string {
	out := []string{
		"Make sure that the lost node is stopped and stays so: two living copies of one identity end both, and absence of errors proves nothing.",
		"`holdfast restore latest` shows the plan, `--yes` applies it. Start the participant first, then the validator app, with the party hint, identifier and migration id as before.",
	}
	if c, ok := captured(s); ok {
		then, known := c.Facts.Participant.ActiveSerial()
		if now, _, ok := v.serial(); ok && known && then != now {
			out = append(out, fmt.Sprintf("The set is from synchronizer serial %d, in use is %d: start against the old synchronizer with Splice 0.6.5 or later; the participant crosses over by itself once it has caught up.", then, now))
		}
	}
	out = append(out, "Wait until the validator app is ready and has caught up: splice_store_last_seen_record_time_ms comes near to now.")
	for _, l := range losses {
		if l.Do != "" && !slices.Contains(out, l.Do) {
			out = append(out, l.Do)
		}
	}
	return append(out,
		"Restart your own applications from a backup that is older than the participant's: ledger offsets after the restore point are not the same again.",
		"Look at ACS commitments with the other participants for a day, and take a backup: `holdfast backup`.")
}
