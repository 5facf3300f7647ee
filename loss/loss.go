// Package loss compares what a database said about itself when it was captured
// with what it says now: what a restore would lose, and what brings it back.
package loss

import (
	"fmt"
	"holdfast"
	"slices"
)

// Kind says what sort of thing would be lost, and so who can bring it back.
type Kind string

// The kinds of losses. Only what is replayed comes back by itself, and only
// while the synchronizer still has it.
const (
	Replayed      Kind = "replayed"
	User          Kind = "user"
	Party         Kind = "party"
	Key           Kind = "key"
	Package       Kind = "package"
	Configuration Kind = "configuration"
)

// Loss is one thing that a live database has and a captured one has not: what
// a restore of the captured one would lose.
type Loss struct {
	Kind Kind   `json:"kind"`
	What string `json:"what"`
	Do   string `json:"do,omitempty"` // what brings it back after a restore
}

// Compare compares what a database said about itself when it was captured with
// what it says now. Only what both sides tell is compared: packages are not
// when the set is one that did not record them.
func Compare(then, now holdfast.Facts) []Loss {
	var out []Loss
	if then.Participant != nil && now.Participant != nil {
		out = participantLosses(*then.Participant, *now.Participant)
	}
	if t, n := then.Validator, now.Validator; t != nil && n != nil {
		for _, u := range n.Users {
			if !slices.Contains(t.Users, u) {
				out = append(out, Loss{User, fmt.Sprintf("validator: wallet user %s, onboarded since; it has to be onboarded again", u),
					fmt.Sprintf("Onboard wallet user %s again: with the same party, which the participant replays.", u)})
			}
		}
	}
	return out
}

func participantLosses(then, now holdfast.ParticipantFacts) []Loss {
	var out []Loss
	add := func(kind Kind, do, format string, args ...any) {
		out = append(out, Loss{kind, "participant: " + fmt.Sprintf(format, args...), do})
	}
	if then.LedgerEnd != nil && now.LedgerEnd != nil && *now.LedgerEnd > *then.LedgerEnd {
		add(Replayed, "", "%d ledger offsets (%d to %d); they are replayed from the synchronizer if it still has them",
			*now.LedgerEnd-*then.LedgerEnd, *then.LedgerEnd+1, *now.LedgerEnd)
	}
	for _, u := range now.Users {
		if !slices.ContainsFunc(then.Users, func(o holdfast.User) bool { return o.ID == u.ID }) {
			add(User, fmt.Sprintf("Make ledger API user %s again, with its rights and its primary party.", u.ID),
				"ledger API user %s, made since; it has to be made again", u.ID)
		}
	}
	for _, k := range now.Keys {
		if !slices.ContainsFunc(then.Keys, func(o holdfast.Key) bool { return o.Fingerprint == k.Fingerprint }) {
			add(Key, "Take newer keys from a newer identities dump; without one, whatever names them in the topology has to be changed to keys that are there.",
				"private key %.16s… (%s), made since; what was signed for or encrypted to it needs it", k.Fingerprint, k.Name)
		}
	}
	for _, d := range now.Dars {
		if then.Dars != nil && !slices.ContainsFunc(then.Dars, func(o holdfast.Dar) bool { return o.ID == d.ID }) {
			add(Package, fmt.Sprintf("Upload and vet package %s %s again before its contracts are used.", d.Name, d.Version),
				"package %s %s, uploaded since; it has to be uploaded again", d.Name, d.Version)
		}
	}
	return append(out, configurationLosses(then, now)...)
}

// configurationLosses are local settings that a restore would take back. What
// the validator app sets at its start is not among them.
func configurationLosses(then, now holdfast.ParticipantFacts) []Loss {
	var out []Loss
	for _, s := range now.Synchronizers {
		if s.Active && !slices.ContainsFunc(then.Synchronizers, func(o holdfast.Synchronizer) bool { return o.Alias == s.Alias }) {
			out = append(out, Loss{Configuration, fmt.Sprintf("participant: the connection to synchronizer %s, made since", s.Alias),
				fmt.Sprintf("Connect to synchronizer %s again.", s.Alias)})
		}
	}
	if p := now.Pruning; p != nil && (then.Pruning == nil || *then.Pruning != *p) {
		out = append(out, Loss{Configuration, fmt.Sprintf("participant: the pruning schedule, changed since to %q, keeping %v", p.Cron, p.Retention),
			"Look at participantPruningSchedule: the validator app sets the schedule anew at each start, and clears it when none is configured."})
	}
	return out
}
