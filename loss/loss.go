// Package loss compares the facts of a captured database with those of the live
// one: what a restore would lose, and how to recover it.
package loss

import (
	"fmt"
	"slices"

	"holdfast"
)

// Kind is the kind of a loss. It decides who can recover it.
type Kind string

// The kinds of losses. Only Replayed comes back by itself, while the
// synchronizer still has it.
const (
	Replayed      Kind = "replayed"
	User          Kind = "user"
	Party         Kind = "party"
	Key           Kind = "key"
	Package       Kind = "package"
	Configuration Kind = "configuration"
)

// Loss is one thing that a restore would lose: the live database has it, the
// captured one does not.
type Loss struct {
	Kind Kind   `json:"kind"`
	What string `json:"what"`
	Do   string `json:"do,omitempty"` // how to recover it after a restore
}

// Compare lists what a restore would lose. It compares only what both sides
// know: no packages, for example, if the set did not record them.
func Compare(then, now holdfast.Facts) []Loss {
	var out []Loss
	if then.Participant != nil && now.Participant != nil {
		out = participantLosses(*then.Participant, *now.Participant)
	}
	if t, n := then.Validator, now.Validator; t != nil && n != nil {
		for _, u := range n.Users {
			if !slices.Contains(t.Users, u) {
				out = append(out, Loss{
					Kind: User,
					What: fmt.Sprintf("validator: wallet user %s, onboarded since", u),
					Do:   fmt.Sprintf("Onboard wallet user %s again, with the same party: the participant replays the party.", u),
				})
			}
		}
	}
	return out
}

func participantLosses(then, now holdfast.ParticipantFacts) []Loss {
	var out []Loss
	add := func(kind Kind, do, format string, args ...any) {
		out = append(out, Loss{Kind: kind, What: "participant: " + fmt.Sprintf(format, args...), Do: do})
	}
	if then.LedgerEnd != nil && now.LedgerEnd != nil && *now.LedgerEnd > *then.LedgerEnd {
		add(Replayed, "", "%d ledger offsets (%d to %d); the synchronizer replays them if it still has them",
			*now.LedgerEnd-*then.LedgerEnd, *then.LedgerEnd+1, *now.LedgerEnd)
	}
	for _, u := range now.Users {
		if !slices.ContainsFunc(then.Users, func(o holdfast.User) bool { return o.ID == u.ID }) {
			add(User, fmt.Sprintf("Create ledger API user %s again, with its rights and its primary party.", u.ID),
				"ledger API user %s, created since", u.ID)
		}
	}
	for _, k := range now.Keys {
		if !slices.ContainsFunc(then.Keys, func(o holdfast.Key) bool { return o.Fingerprint == k.Fingerprint }) {
			add(Key, "Take the newer keys from a newer identities dump. Without one, change the topology to keys that exist.",
				"private key %.16s… (%s), created since; whatever is signed with or encrypted to it needs it", k.Fingerprint, k.Name)
		}
	}
	for _, d := range now.Dars {
		if then.Dars != nil && !slices.ContainsFunc(then.Dars, func(o holdfast.Dar) bool { return o.ID == d.ID }) {
			add(Package, fmt.Sprintf("Upload and vet package %s %s again before its contracts are used.", d.Name, d.Version),
				"package %s %s, uploaded since", d.Name, d.Version)
		}
	}
	return append(out, configurationLosses(then, now)...)
}

// configurationLosses are local settings that a restore would revert. What the
// validator app sets at each start is not among them.
func configurationLosses(then, now holdfast.ParticipantFacts) []Loss {
	var out []Loss
	for _, s := range now.Synchronizers {
		same := func(o holdfast.Synchronizer) bool { return o.Alias == s.Alias }
		if s.Active && !slices.ContainsFunc(then.Synchronizers, same) {
			out = append(out, Loss{
				Kind: Configuration,
				What: fmt.Sprintf("participant: the connection to synchronizer %s, created since", s.Alias),
				Do:   fmt.Sprintf("Connect to synchronizer %s again.", s.Alias),
			})
		}
	}
	if p := now.Pruning; p != nil && (then.Pruning == nil || *then.Pruning != *p) {
		out = append(out, Loss{
			Kind: Configuration,
			What: fmt.Sprintf("participant: the pruning schedule, changed since to %q, keeping %v", p.Cron, p.Retention),
			Do: "Check participantPruningSchedule: the validator app sets the schedule at each start, " +
				"and clears it when none is configured.",
		})
	}
	return out
}
