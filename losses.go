package holdfast

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// LossKind says what sort of thing would be lost, and so who can bring it back.
type LossKind string

// The kinds of losses. Only what is replayed comes back by itself, and only
// while the synchronizer still has it.
const (
	ReplayedLoss      LossKind = "replayed"
	UserLoss          LossKind = "user"
	PartyLoss         LossKind = "party"
	KeyLoss           LossKind = "key"
	PackageLoss       LossKind = "package"
	ConfigurationLoss LossKind = "configuration"
)

// Loss is one thing that a live database has and a captured one has not: what
// a restore of the captured one would lose.
type Loss struct {
	Kind LossKind `json:"kind"`
	What string   `json:"what"`
	Do   string   `json:"do,omitempty"` // what brings it back after a restore
}

// Losses compares what a database said about itself when it was captured with
// what it says now. Only what both sides tell is compared: packages are not
// when the set is one that did not record them.
func Losses(then, now Facts) []Loss {
	var out []Loss
	if then.Participant != nil && now.Participant != nil {
		out = participantLosses(*then.Participant, *now.Participant)
	}
	if t, n := then.Validator, now.Validator; t != nil && n != nil {
		for _, u := range n.Users {
			if !slices.Contains(t.Users, u) {
				out = append(out, Loss{UserLoss, fmt.Sprintf("validator: wallet user %s, onboarded since; it has to be onboarded again", u),
					fmt.Sprintf("Onboard wallet user %s again: with the same party, which the participant replays.", u)})
			}
		}
	}
	return out
}

func participantLosses(then, now ParticipantFacts) []Loss {
	var out []Loss
	add := func(kind LossKind, do, format string, args ...any) {
		out = append(out, Loss{kind, "participant: " + fmt.Sprintf(format, args...), do})
	}
	if then.LedgerEnd != nil && now.LedgerEnd != nil && *now.LedgerEnd > *then.LedgerEnd {
		add(ReplayedLoss, "", "%d ledger offsets (%d to %d); they are replayed from the synchronizer if it still has them",
			*now.LedgerEnd-*then.LedgerEnd, *then.LedgerEnd+1, *now.LedgerEnd)
	}
	for _, u := range now.Users {
		if !slices.ContainsFunc(then.Users, func(o User) bool { return o.ID == u.ID }) {
			add(UserLoss, fmt.Sprintf("Make ledger API user %s again, with its rights and its primary party.", u.ID),
				"ledger API user %s, made since; it has to be made again", u.ID)
		}
	}
	for _, k := range now.Keys {
		if !slices.ContainsFunc(then.Keys, func(o Key) bool { return o.Fingerprint == k.Fingerprint }) {
			add(KeyLoss, "Take newer keys from a newer identities dump; without one, whatever names them in the topology has to be changed to keys that are there.",
				"private key %.16s… (%s), made since; what was signed for or encrypted to it needs it", k.Fingerprint, k.Name)
		}
	}
	for _, d := range now.Dars {
		if then.Dars != nil && !slices.ContainsFunc(then.Dars, func(o Dar) bool { return o.ID == d.ID }) {
			add(PackageLoss, fmt.Sprintf("Upload and vet package %s %s again before its contracts are used.", d.Name, d.Version),
				"package %s %s, uploaded since; it has to be uploaded again", d.Name, d.Version)
		}
	}
	return append(out, configurationLosses(then, now)...)
}

// configurationLosses are local settings that a restore would take back. What
// the validator app sets at its start is not among them.
func configurationLosses(then, now ParticipantFacts) []Loss {
	var out []Loss
	for _, s := range now.Synchronizers {
		if s.Active && !slices.ContainsFunc(then.Synchronizers, func(o Synchronizer) bool { return o.Alias == s.Alias }) {
			out = append(out, Loss{ConfigurationLoss, fmt.Sprintf("participant: the connection to synchronizer %s, made since", s.Alias),
				fmt.Sprintf("Connect to synchronizer %s again.", s.Alias)})
		}
	}
	if p := now.Pruning; p != nil && (then.Pruning == nil || *then.Pruning != *p) {
		out = append(out, Loss{ConfigurationLoss, fmt.Sprintf("participant: the pruning schedule, changed since to %q, keeping %v", p.Cron, p.Retention),
			"Look at participantPruningSchedule: the validator app sets the schedule anew at each start, and clears it when none is configured."})
	}
	return out
}

// ReachesTo is the point in network time that the participant's database
// returns to: the oldest record time of the synchronizers it is connected to,
// and whether it tells one. One that it has left stands still for ever.
func (p ParticipantFacts) ReachesTo() (time.Time, bool) {
	connected := slices.DeleteFunc(slices.Clone(p.RecordTimes), func(r RecordTime) bool {
		return !slices.ContainsFunc(p.Synchronizers, func(s Synchronizer) bool { return s.Active && strings.HasPrefix(s.PhysicalID, r.Synchronizer+"::") })
	})
	if len(connected) == 0 {
		connected = p.RecordTimes
	}
	if len(connected) == 0 {
		return time.Time{}, false
	}
	return slices.MinFunc(connected, func(a, b RecordTime) int { return a.At.Compare(b.At) }).At, true
}

// ActiveSerial is the highest serial among the connections in use, and whether
// one of them tells it.
func (p ParticipantFacts) ActiveSerial() (int, bool) {
	highest, known := 0, false
	for _, s := range p.Synchronizers {
		if n, ok := s.Serial(); ok && s.Active && (!known || n > highest) {
			highest, known = n, true
		}
	}
	return highest, known
}
