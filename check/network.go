package check

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"holdfast"
	"holdfast/observed"
)

// agreed is what most of the answering Scans report, at least two of them, and
// which ones report otherwise or nothing. A Scan belongs to one super validator
// and may be wrong, late or lying: one alone is never believed.
func agreed[T comparable](
	scans []observed.Scan, field func(observed.Scan) holdfast.Observed[T], show func(T) string,
) (T, string, bool) {
	votes := map[T][]string{}
	var values []T
	var others []string
	answered := 0
	for _, s := range scans {
		value, ok := field(s).Get()
		if !ok {
			others = append(others, fmt.Sprintf("%s: %s", s.URL, field(s).Missing()))
			continue
		}
		if votes[value] == nil {
			values = append(values, value)
		}
		votes[value] = append(votes[value], s.URL)
		answered++
	}
	var best T
	switch {
	case len(scans) == 0:
		return best, "no Scan is configured", false
	case answered == 0:
		return best, strings.Join(others, "; "), false
	}
	slices.SortStableFunc(values, func(a, b T) int { return len(votes[b]) - len(votes[a]) })
	best = values[0]
	evidence := fmt.Sprintf("%d of %s: %s", len(votes[best]), count(len(scans), "Scan"), show(best))
	for _, value := range values[1:] {
		others = append(others, fmt.Sprintf("%s: %s", strings.Join(votes[value], ", "), show(value)))
	}
	if len(others) > 0 {
		evidence += " (" + strings.Join(others, "; ") + ")"
	}
	return best, evidence, len(votes[best]) >= 2 && 2*len(votes[best]) > answered
}

// following is how recent the participant's progress must be to count as
// following the network: a healthy participant receives an event at least every
// half hour (Splice source).
const following = time.Hour

// progress is how far the participant has processed events, in network time,
// and where that was read. It acknowledges what it has processed every ten
// minutes.
func (v *view) progress() (time.Time, string, answer, bool) {
	if m, ok := v.Metrics.Get(); ok && !m.LastSequenced.IsZero() {
		return m.LastSequenced, "the participant's metrics", answer{}, true
	}
	p, a, ok := v.participant()
	if ok {
		if at, known := p.ReachesTo(); known {
			return at, "the participant's database" + v.withoutMetrics(), answer{}, true
		}
		a = cannotTell(inProgress, "the participant's database has no record time yet")
	}
	if m, there := v.Metrics.Get(); there && !m.LastSeen.IsZero() {
		return m.LastSeen, "the validator app's metrics", answer{}, true
	}
	if a.because != "" {
		a = cannotTell(inProgress, strings.TrimPrefix(a.evidence, "missing: ")).dueTo(a.because)
	}
	return time.Time{}, "", a, false
}

// withoutMetrics says why there are none where some are declared.
func (v *view) withoutMetrics() string {
	if why := v.Metrics.Missing(); v.Declared.Metrics && why != "" {
		return "; " + why
	}
	return ""
}

// serial is the serial of the synchronizer in use, and where it was read.
func (v *view) serial() (int, string, bool) {
	n, evidence, ok := agreed(v.Scans, func(s observed.Scan) holdfast.Observed[int] { return s.Serial },
		func(n int) string { return fmt.Sprintf("serial %d is in use", n) })
	if ok {
		return n, evidence, true
	}
	if at, from, _, ok := v.progress(); ok && v.now.Sub(at) <= following {
		if p, _, ok := v.participant(); ok {
			if own, ok := p.ActiveSerial(); ok {
				return own, fmt.Sprintf("the node follows serial %d (%s, %s ago)", own, from, span(v.now.Sub(at))), true
			}
		}
	}
	return 0, evidence, false
}

// published counts the sequencers of a serial that at least two Scans list,
// and how many of those answer.
func (v *view) published(serial int) (listed bool, sequencers, answer int, evidence string, ok bool) {
	listed, evidence, ok = agreed(v.Scans, func(s observed.Scan) holdfast.Observed[bool] {
		list, known := s.Sequencers.Get()
		if !known {
			return holdfast.Unknown[bool](s.Sequencers.Missing())
		}
		return holdfast.Known(slices.ContainsFunc(list, func(q observed.Sequencer) bool { return q.Serial == serial }))
	}, func(listed bool) string {
		return fmt.Sprintf("serial %d is %spublished", serial, map[bool]string{false: "not "}[listed])
	})
	seen := map[string]int{}
	answers := map[string]bool{}
	for _, s := range v.Scans {
		list, _ := s.Sequencers.Get()
		for _, q := range list {
			if q.Serial == serial && q.URL != "" {
				seen[q.URL]++
				answers[q.URL] = answers[q.URL] || q.Answers
			}
		}
	}
	for url, n := range seen {
		if n >= 2 {
			sequencers++
			if answers[url] {
				answer++
			}
		}
	}
	return listed, sequencers, answer, evidence, ok
}

func oldSynchronizer(v *view) answer {
	s, a, ok := v.latest()
	if !ok {
		return a
	}
	c, _ := captured(s)
	var then int
	if c.Facts.Participant != nil {
		then, ok = c.Facts.Participant.ActiveSerial()
	} else {
		ok = false
	}
	if !ok {
		return cannotTell(inSetFacts, fmt.Sprintf("set %s does not record the serial of its synchronizer", s.ID))
	}
	now, source, ok := v.serial()
	if !ok {
		return cannotTell(inScans, source)
	}
	if then == now {
		return holds("set %s was connected to serial %d, which is in use: %s", s.ID, then, source)
	}
	if then > now {
		return cannotTell(inScans, fmt.Sprintf("set %s was connected to serial %d, "+
			"newer than the one in use: %s", s.ID, then, source))
	}
	listed, sequencers, answer, evidence, ok := v.published(then)
	which := fmt.Sprintf("set %s was connected to serial %d, in use is %d", s.ID, then, now)
	switch {
	case !ok:
		return cannotTell(inScans, fmt.Sprintf("%s; whether the old one is published: %s", which, evidence))
	case !listed:
		return violated("%s, and the old one is no longer published: %s", which, evidence)
	case answer == 0:
		return cannotTell(input{
			"an answer of an old sequencer",
			"Run the check from the node's own network: super validators accept only known addresses.",
		}, fmt.Sprintf("%s of serial %d published, none answers from here", count(sequencers, "sequencer"), then))
	}
	return holds("%s; %d of %s of the old one answer", which, answer, count(sequencers, "published sequencer"))
}

func lsuRetention(v *view) answer {
	if _, a, ok := v.latest(); !ok {
		return a
	}
	now, source, ok := v.serial()
	if !ok {
		return cannotTell(inScans, source).dueTo(OldSynchronizer)
	}
	oldest := now
	for _, s := range slices.Backward(v.proven) {
		c, _ := captured(s)
		if c.Facts.Participant == nil {
			continue
		}
		if then, ok := c.Facts.Participant.ActiveSerial(); ok && then < now {
			return holds("set %s is from serial %d, before the upgrade to %d", s.ID, then, now)
		}
	}
	for _, serial := range v.serialsBefore(now) {
		if listed, _, _, evidence, ok := v.published(serial); ok && listed {
			return violated("every proven set is from serial %d, but an older serial is still useful: %s", now, evidence)
		}
		oldest = min(oldest, serial)
	}
	// That no Scan publishes a serial below the one in use is agreed as well.
	_, _, _, evidence, ok := v.published(oldest)
	switch {
	case ok:
		return holds("no serial before %d is published any more: an older set would be useless", now)
	case v.alwaysOn(now):
		return holds("the node never used a serial before %d", now)
	}
	return cannotTell(inScans, "whether an older serial is still published: "+evidence)
}

// serialsBefore are the serials below that one that any Scan publishes. Each is
// judged separately: a serial that one Scan made up hides no other.
func (v *view) serialsBefore(now int) []int {
	var out []int
	for _, scan := range v.Scans {
		list, _ := scan.Sequencers.Get()
		for _, q := range list {
			if q.Serial >= 0 && q.Serial < now && !slices.Contains(out, q.Serial) {
				out = append(out, q.Serial)
			}
		}
	}
	return out
}

// alwaysOn reports whether the live participant knows no serial before this
// one. After an upgrade it keeps the connection to the old one.
func (v *view) alwaysOn(serial int) bool {
	p, _, ok := v.participant()
	return ok && len(p.Synchronizers) > 0 && !slices.ContainsFunc(p.Synchronizers, func(s holdfast.Synchronizer) bool {
		n, known := s.Serial()
		return !known || n < serial
	})
}

func restorePointRetained(v *view) answer {
	s, a, ok := v.latest()
	if !ok {
		return a
	}
	c, _ := captured(s)
	if c.Facts.Participant == nil {
		return cannotTell(inSetFacts, fmt.Sprintf("set %s does not record which time it reaches", s.ID))
	}
	point, ok := c.Facts.Participant.ReachesTo()
	if !ok {
		return cannotTell(inSetFacts, fmt.Sprintf("set %s has no record time", s.ID))
	}
	return v.within(point, 0, fmt.Sprintf("set %s reaches %s", s.ID, when(point)))
}

func acknowledgement(v *view) answer {
	at, from, a, ok := v.progress()
	if !ok {
		return a
	}
	out := v.within(at, v.Limits.Runway, fmt.Sprintf("the participant has processed events up to %s (%s)", when(at), from))
	if admin, there := v.Admin.Get(); there && out.verdict != holdfast.Violated && v.now.Sub(at) > following &&
		!slices.ContainsFunc(admin.Connected, func(c observed.Connection) bool { return c.Healthy }) {
		out.evidence += "; it is connected to no synchronizer"
	}
	if len(out.missing) > 0 && out.missing[0] == inRetention.name {
		return out.dueTo(RestorePointRetained)
	}
	return out
}

// within judges a time against the retention of every super validator's
// sequencer, with a margin.
func (v *view) within(at time.Time, margin time.Duration, evidence string) answer {
	svs, all := v.retentions()
	var unknown []string
	var shortest *Runway
	for _, r := range svs {
		if r.Retention == nil {
			unknown = append(unknown, r.SV)
			continue
		}
		r.left(at, v.now)
		if shortest == nil || *r.Left < *shortest.Left {
			shortest = &r
		}
	}
	switch {
	case shortest != nil && *shortest.Left < margin:
		return violated("%s; %s", evidence, shortest)
	case len(unknown) > 0:
		return cannotTell(inRetention, fmt.Sprintf("not declared for %s; %s", some(unknown), evidence))
	case shortest == nil:
		return cannotTell(inRetention, "check.retention declares none; "+evidence)
	case !all:
		return cannotTell(inRetention, "the super validators are unknown, "+
			"and check.retention has no entry for '*'; "+evidence)
	}
	return holds("%s; %s", evidence, shortest)
}
