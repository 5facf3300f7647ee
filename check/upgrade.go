package check

import (
	"fmt"
	"holdfast/observed"
	"strings"
	"time"

	"holdfast"
)

// crossing is the first release of Splice that crosses over to another
// synchronizer by itself (Splice: release notes).
var crossing = [3]int{0, 6, 5}

// upgradePrepared looks whether an upgrade that is announced would find the
// node as it has to be.
func upgradePrepared(v *view) answer {
	upgrade, says, ok := agreed(v.Scans, announced, v.announcement)
	switch {
	case !ok:
		return cannotTell(inScans, says)
	case upgrade.At.IsZero():
		return holds("%s", says)
	}
	app, ok := v.App.Get()
	switch older, known := olderThan(app.Version, crossing); {
	case !ok:
		return cannotTell(inVersion, says+"; "+v.App.Missing())
	case !known:
		return cannotTell(inVersion, fmt.Sprintf("%s; the validator app says that it is %q", says, app.Version))
	case older:
		return violated("%s; the validator app is of Splice %s, and cannot follow", says, app.Version)
	}
	at, from, a, ok := v.progress()
	switch {
	case !ok:
		return a
	case v.now.Sub(at) > following:
		return violated("%s; the participant has heard nothing for %s (%s)", says, span(v.now.Sub(at)), from)
	}
	return v.setBefore(upgrade, says)
}

// setBefore looks for the set that leads back to before an upgrade.
func (v *view) setBefore(upgrade observed.Upgrade, says string) answer {
	s, a, ok := v.newest()
	if !ok {
		return a
	}
	now, who, ok := v.serial()
	if !ok {
		return cannotTell(inScans, who)
	}
	c, _ := captured(s)
	if c.Facts.Participant == nil {
		return cannotTell(inSetFacts, fmt.Sprintf("set %s does not tell the serial of its synchronizer", s.ID))
	}
	then, ok := c.Facts.Participant.ActiveSerial()
	switch {
	case !ok:
		return cannotTell(inSetFacts, fmt.Sprintf("set %s does not tell the serial of its synchronizer", s.ID))
	case then != now && upgrade.At.After(takenAt(s).Add(v.due(s))):
		return holds("%s; the node follows, and the next set, of serial %d, is due before that", says, now)
	case then != now:
		return violated("%s; the newest proven set %s is of serial %d, in use is %d", says, s.ID, then, now)
	case v.overdue(s):
		return violated("%s; the newest proven set %s is %s old", says, s.ID, span(v.now.Sub(takenAt(s)))).dueTo(PostgresCadence)
	}
	return holds("%s; the node follows, and set %s is of serial %d, which ends then", says, s.ID, then)
}

// announced is what one Scan says of an upgrade, comparable with what others
// say.
func announced(s observed.Scan) holdfast.Observed[observed.Upgrade] {
	upgrade, ok := s.Upgrade.Get()
	if !ok {
		return s.Upgrade
	}
	if !upgrade.At.IsZero() {
		upgrade.At = upgrade.At.UTC().Round(0)
	}
	return holdfast.Known(upgrade)
}

// announcement says what is announced, and how long it is until then.
func (v *view) announcement(u observed.Upgrade) string {
	if u.At.IsZero() {
		return "no upgrade is announced"
	}
	until := u.At.Sub(v.now).Round(time.Minute)
	far := "in " + span(until)
	if until < 0 {
		far = span(-until) + " ago"
	}
	return fmt.Sprintf("an upgrade to %s is announced for %s, %s", u.Successor, when(u.At), far)
}

// olderThan compares a release such as 0.6.5 or 0.6.5-snapshot.20261101 with
// another one; whether it can be compared at all is the second result.
func olderThan(version string, than [3]int) (older, known bool) {
	number, _, _ := strings.Cut(version, "-")
	var n [3]int
	if _, err := fmt.Sscanf(number, "%d.%d.%d", &n[0], &n[1], &n[2]); err != nil {
		return false, false
	}
	for i := range n {
		if n[i] != than[i] {
			return n[i] < than[i], true
		}
	}
	return false, true
}
