package check

import (
	"fmt"
	"strings"
	"time"

	"holdfast"
	"holdfast/observed"
)

// crossing is the first release of Splice that crosses over to a new
// synchronizer by itself (Splice: release notes).
var crossing = [3]int{0, 6, 5}

// upgradePrepared judges whether the node is ready for an announced upgrade.
func upgradePrepared(v *view) answer {
	upgrade, evidence, ok := agreed(v.Scans, announced, v.announcement)
	switch {
	case !ok:
		return cannotTell(inScans, evidence)
	case upgrade.At.IsZero():
		return holds("%s", evidence)
	}
	app, ok := v.App.Get()
	switch older, known := olderThan(app.Version, crossing); {
	case !ok:
		return cannotTell(inVersion, evidence+"; "+v.App.Missing())
	case !known:
		return cannotTell(inVersion, fmt.Sprintf("%s; the validator app reports version %q", evidence, app.Version))
	case older:
		return violated("%s; the validator app runs Splice %s and cannot follow", evidence, app.Version)
	}
	at, from, a, ok := v.progress()
	switch {
	case !ok:
		return a
	case v.now.Sub(at) > following:
		return violated("%s; the participant has received nothing for %s (%s)", evidence, span(v.now.Sub(at)), from)
	}
	return v.setBefore(upgrade, evidence)
}

// setBefore judges whether there is a set to go back to before an upgrade.
func (v *view) setBefore(upgrade observed.Upgrade, evidence string) answer {
	s, a, ok := v.latest()
	if !ok {
		return a
	}
	now, source, ok := v.serial()
	if !ok {
		return cannotTell(inScans, source)
	}
	c, _ := captured(s)
	if c.Facts.Participant == nil {
		return cannotTell(inSetFacts, fmt.Sprintf("set %s does not record the serial of its synchronizer", s.ID))
	}
	then, ok := c.Facts.Participant.ActiveSerial()
	switch {
	case !ok:
		return cannotTell(inSetFacts, fmt.Sprintf("set %s does not record the serial of its synchronizer", s.ID))
	case then != now && upgrade.At.After(takenAt(s).Add(v.due(s))):
		return holds("%s; the node follows, and the next set, of serial %d, is due before that", evidence, now)
	case then != now:
		return violated("%s; the newest proven set %s is of serial %d, in use is %d", evidence, s.ID, then, now)
	case v.overdue(s):
		return violated("%s; the newest proven set %s is %s old", evidence, s.ID, span(v.now.Sub(takenAt(s)))).
			dueTo(PostgresCadence)
	}
	return holds("%s; the node follows, and set %s is of serial %d, which ends then", evidence, s.ID, then)
}

// Upgrade is when the synchronizer is upgraded, as most of the Scans that answer
// say; zero when they announce none. One Scan is enough to announce: if it lies,
// that costs a set. That none is announced is known only when Scans agree.
func Upgrade(o Observations) (at time.Time, known bool) {
	v := newView(o, time.Time{})
	upgrade, _, agree := agreed(v.Scans, announced, v.announcement)
	return upgrade.At, agree || !upgrade.At.IsZero()
}

// announced is the upgrade that one Scan announces, in a form that compares
// with that of others.
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

// announcement prints what is announced, and the time until then.
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
// another. The second result reports whether it can be compared.
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
