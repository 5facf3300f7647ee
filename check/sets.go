package check

import (
	"fmt"
	"holdfast/record"
	"slices"
	"strings"
	"time"

	"holdfast"
)

func repositoryReadable(v *view) answer {
	r, ok := v.Repository.Get()
	switch {
	case !ok:
		return cannotTell(inRepository, v.Repository.Missing())
	case r.Problem != "":
		return violated("%s", r.Problem)
	case len(r.Unreadable) > 0:
		return violated("%s of this node cannot be read: %s", count(len(r.Unreadable), "set"), some(r.Unreadable))
	case r.Newest != "":
		return violated("the newest proven set does not read back: %s", r.Newest)
	case len(r.Sets) == 0:
		return holds("%s opens; it has no sets of this node yet", r.Name)
	case len(v.proven) == 0:
		return holds("%s opens; %s, every manifest read, none of them proven", r.Name, count(len(r.Sets), "set"))
	}
	return holds("%s opens; %s, every manifest read, the newest proven one read back", r.Name, count(len(r.Sets), "set"))
}

// due is when the next set has to be there, after one: the cadence, and the
// grace that the time a backup takes calls for.
func (v *view) due(last holdfast.Set) time.Duration {
	took := last.Ended.Since - last.Began.Since
	return v.Limits.Cadence + max(v.Limits.Grace, 2*took)
}

// overdue reports whether the set is older than the newest one should be.
func (v *view) overdue(s holdfast.Set) bool { return v.now.Sub(takenAt(s)) > v.due(s) }

func postgresCadence(v *view) answer {
	if a, ok := v.listed(); !ok {
		return a
	}
	if len(v.proven) == 0 {
		if len(v.future) > 0 {
			return cannotTell(inClock, fmt.Sprintf("the only sets are from the future, as %s of %s", v.future[0].ID, when(v.future[0].Ended.Wall))).dueTo(ClockSane)
		}
		return violated("there is no proven set of this node%s", v.others())
	}
	s := v.proven[len(v.proven)-1]
	age := v.now.Sub(takenAt(s))
	if v.overdue(s) {
		return violated("the newest proven set %s is %s old; at most %s and a grace of %s are allowed%s",
			s.ID, span(age), span(v.Limits.Cadence), span(v.due(s)-v.Limits.Cadence), v.others())
	}
	return holds("the newest proven set %s is %s old", s.ID, span(age))
}

// others mentions newer sets that do not count.
func (v *view) others() string {
	if len(v.sets) == 0 {
		return ""
	}
	last := v.sets[len(v.sets)-1]
	if last.State == holdfast.Proven {
		return ""
	}
	return fmt.Sprintf("; the newest of any state, %s, is %s", last.ID, last.State)
}

func snapshotOrdering(v *view) answer {
	if a, ok := v.listed(); !ok {
		return a
	}
	if len(v.sets) == 0 {
		return cannotTell(inSet, "the repository has none of this node").dueTo(PostgresCadence)
	}
	s := v.sets[len(v.sets)-1]
	var findings []holdfast.Finding
	for _, e := range s.Order.Edges {
		findings = append(findings, e.Clock, e.Content)
	}
	findings = append(findings, s.Members.Findings...)
	for _, verdict := range []holdfast.Verdict{holdfast.Violated, holdfast.CannotTell} {
		i := slices.IndexFunc(findings, func(f holdfast.Finding) bool { return f.Verdict == verdict })
		switch {
		case i >= 0 && verdict == holdfast.Violated:
			return violated("set %s: %s", s.ID, findings[i].Evidence)
		case i >= 0:
			return cannotTell(input{"the proof of order of set " + string(s.ID), "`holdfast show " + string(s.ID) + "` says what it lacks; `holdfast backup` takes another."}, findings[i].Evidence)
		}
	}
	if len(s.Order.Edges) == 0 {
		return holds("set %s has no two components that have to be in order", s.ID)
	}
	return holds("set %s: %s; %s", s.ID, s.Order.Edges[0].Clock.Evidence, s.Order.Edges[0].Content.Evidence)
}

// pruningRetention is how long the participant keeps before it prunes, 0 for
// ever, and where that was read.
func (v *view) pruningRetention() (time.Duration, string, answer, bool) {
	p, missing, ok := v.participant()
	if ok && (p.Pruning != nil || p.NoPruning) {
		if p.Pruning == nil {
			return 0, "the participant's database", answer{}, true
		}
		return p.Pruning.Retention, "the participant's database", answer{}, true
	}
	if admin, there := v.Admin.Get(); there {
		if schedule, told := admin.Pruning.Get(); told {
			if schedule == nil {
				return 0, "the participant's admin API", answer{}, true
			}
			return schedule.Retention, "the participant's admin API", answer{}, true
		}
	}
	if ok {
		missing = cannotTell(inDatabase, "the participant's has no pruning schedule in a form that is known")
	}
	return 0, "", missing, false
}

func historicalSpacing(v *view) answer {
	s, a, ok := v.newest()
	switch {
	case v.Declared.NoHistory:
		return holds("declared: history is not wanted (check.history, or retention without history)")
	case !ok:
		return a
	}
	keeps, from, missing, ok := v.pruningRetention()
	switch {
	case !ok:
		return missing
	case keeps == 0:
		return holds("the participant does not prune (%s), so that every set holds all the history", from)
	}
	for i, later := range v.proven {
		if i == 0 || v.Declared.History > 0 && v.now.Sub(takenAt(later)) > v.Declared.History {
			continue
		}
		earlier := v.proven[i-1]
		if gap := takenAt(later).Sub(takenAt(earlier)); gap > keeps {
			return violated("%s lie between sets %s and %s; the participant prunes after %s (%s)", span(gap), earlier.ID, later.ID, span(keeps), from)
		}
	}
	if gap := v.now.Sub(takenAt(s)); gap > keeps {
		return violated("the newest proven set is %s old; the participant prunes after %s (%s)", span(gap), span(keeps), from).dueTo(PostgresCadence)
	}
	return holds("%s, no two neighbours further apart than the %s that the participant keeps (%s)", count(len(v.proven), "proven set"), span(keeps), from)
}

func restoreProven(v *view) answer {
	if a, ok := v.listed(); !ok {
		return a
	}
	drills, ok := v.Drills.Get()
	if !ok {
		return cannotTell(input{"the drills", inRepository.next}, v.Drills.Missing()).dueTo(RepositoryReadable)
	}
	drills = slices.DeleteFunc(slices.Clone(drills), func(d record.Drill) bool {
		return d.Verdict == holdfast.CannotTell || d.At.After(v.now.Add(v.Limits.Skew))
	})
	if len(drills) == 0 {
		return violated("no restore was ever rehearsed")
	}
	last := slices.MaxFunc(drills, func(a, b record.Drill) int { return a.At.Compare(b.At) })
	age := v.now.Sub(last.At)
	switch {
	case last.Verdict == holdfast.Violated:
		return violated("the drill of set %s, %s ago, failed: %s", last.Set, span(age), last.Found)
	case age > v.Limits.Drill:
		return violated("the last drill was %s ago, of set %s; at most %s are allowed", span(age), last.Set, span(v.Limits.Drill))
	}
	return holds("the drill of set %s, %s ago, restored it in %s", last.Set, span(age), span(last.Restore))
}

func secondCopy(v *view) answer {
	c, ok := v.Copy.Get()
	if !ok {
		return cannotTell(inCopy, v.Copy.Missing())
	}
	if c.Problem != "" {
		return violated("%s", c.Problem)
	}
	if a, ok := v.listed(); !ok {
		return a
	}
	if c.SameDisk {
		return violated("%s is on the same file system as the repository", c.Where)
	}
	if c.OneDisk {
		return violated("%s is on the disk of the repository, in another file system", c.Where)
	}
	if len(v.proven) == 0 {
		return holds("%s opens; there is no proven set that it should have", c.Where)
	}
	first := v.proven[len(v.proven)-1]
	var newest *CopiedSet
	for _, s := range c.Sets {
		if s.State == holdfast.Proven && (newest == nil || s.Ended.After(newest.Ended)) {
			newest = &s
		}
	}
	if newest == nil {
		return violated("%s has no proven set of this node", c.Where)
	}
	if behind := first.Ended.Wall.Sub(newest.Ended); behind > v.Limits.Copy {
		return violated("the newest proven set in %s is %s, %s older than the first copy's; at most %s are allowed", c.Where, newest.ID, span(behind), span(v.Limits.Copy))
	}
	return holds("%s has set %s", c.Where, newest.ID)
}

func spaceForRestore(v *view) answer {
	s, a, ok := v.newest()
	if !ok {
		return a
	}
	type place struct {
		need int64
		free holdfast.Observed[int64]
	}
	places := map[string]*place{}
	var order []string
	for _, c := range s.Captures {
		live, ok := v.Live[c.Component].Get()
		if !ok {
			return cannotTell(inDatabase, fmt.Sprintf("%s: %s", c.Component, v.Live[c.Component].Missing())).dueTo(PostgresSupported)
		}
		if places[live.Where] == nil {
			places[live.Where] = &place{free: live.Free}
			order = append(order, live.Where)
		}
		places[live.Where].need += c.Database.Bytes + c.Database.Bytes/10
	}
	var evidence []string
	for _, where := range order {
		p := places[where]
		free, ok := p.free.Get()
		if !ok {
			return cannotTell(inSpace, fmt.Sprintf("%s: %s", where, p.free.Missing()))
		}
		if free < p.need {
			return violated("%s has %s free; set %s needs %s there", where, size(free), s.ID, size(p.need))
		}
		evidence = append(evidence, fmt.Sprintf("%s has %s free, and needs %s", where, size(free), size(p.need)))
	}
	return holds("for set %s: %s", s.ID, strings.Join(evidence, "; "))
}

// size says bytes to a person.
func size(n int64) string {
	const unit = 1024
	if n < unit {
		return fmt.Sprintf("%d B", n)
	}
	value, exp := float64(n)/unit, 0
	for value >= unit && exp < 4 {
		value /= unit
		exp++
	}
	return fmt.Sprintf("%.1f %ciB", value, "KMGTP"[exp])
}
