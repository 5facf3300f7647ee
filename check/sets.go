package check

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"holdfast"
	"holdfast/record"
	"holdfast/size"
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
		return violated("the newest proven set is not readable: %s", r.Newest)
	case len(r.Sets) == 0:
		return holds("%s opens; it has no set of this node yet", r.Name)
	case len(v.proven) == 0:
		return holds("%s opens; %s, every manifest readable, none proven", r.Name, count(len(r.Sets), "set"))
	}
	return holds("%s opens; %s, every manifest and the newest proven set readable", r.Name, count(len(r.Sets), "set"))
}

// due is how long after a set the next one has to exist: the cadence, and a
// grace that grows with the time a backup takes.
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
			first := v.future[0]
			why := fmt.Sprintf("every set is from the future, such as %s of %s", first.ID, when(first.Ended.Wall))
			return cannotTell(inClock, why).dueTo(ClockSane)
		}
		return violated("there is no proven set of this node%s", v.others())
	}
	s := v.proven[len(v.proven)-1]
	age := v.now.Sub(takenAt(s))
	if v.overdue(s) {
		return violated("the newest proven set %s is %s old; the limit is %s plus a grace of %s%s",
			s.ID, span(age), span(v.Limits.Cadence), span(v.due(s)-v.Limits.Cadence), v.others())
	}
	return holds("the newest proven set %s is %s old", s.ID, span(age))
}

// others mentions a newer set that is not proven.
func (v *view) others() string {
	if len(v.sets) == 0 {
		return ""
	}
	last := v.sets[len(v.sets)-1]
	if last.State == holdfast.Proven {
		return ""
	}
	return fmt.Sprintf("; the newest set of any state, %s, is %s", last.ID, last.State)
}

func snapshotOrdering(v *view) answer {
	if a, ok := v.listed(); !ok {
		return a
	}
	if len(v.sets) == 0 {
		return cannotTell(inSet, "the repository has no set of this node").dueTo(PostgresCadence)
	}
	s := v.sets[len(v.sets)-1]
	var findings []holdfast.Finding
	for _, e := range s.Order.Edges {
		if !e.Soft {
			findings = append(findings, e.Clock, e.Content)
		}
	}
	findings = append(findings, s.Members.Findings...)
	for _, verdict := range []holdfast.Verdict{holdfast.Violated, holdfast.CannotTell} {
		i := slices.IndexFunc(findings, func(f holdfast.Finding) bool { return f.Verdict == verdict })
		switch {
		case i >= 0 && verdict == holdfast.Violated:
			return violated("set %s: %s", s.ID, findings[i].Evidence)
		case i >= 0:
			return cannotTell(input{
				"the proof of order of set " + string(s.ID),
				"See what is missing: `holdfast show " + string(s.ID) + "`. Take another set: `holdfast backup`.",
			}, findings[i].Evidence)
		}
	}
	if len(s.Order.Edges) == 0 {
		return holds("set %s has no two components that need an order", s.ID)
	}
	return holds("set %s: %s; %s", s.ID, s.Order.Edges[0].Clock.Evidence, s.Order.Edges[0].Content.Evidence)
}

// pruningRetention is how long the participant keeps history before it prunes,
// 0 for ever, and where that was read.
func (v *view) pruningRetention() (time.Duration, string, answer, bool) {
	p, missing, ok := v.participant()
	if ok && (p.Pruning != nil || p.NoPruning) {
		if p.Pruning == nil {
			return 0, "the participant's database", answer{}, true
		}
		return p.Pruning.Retention, "the participant's database", answer{}, true
	}
	if admin, there := v.Admin.Get(); there {
		if schedule, known := admin.Pruning.Get(); known {
			if schedule == nil {
				return 0, "the participant's admin API", answer{}, true
			}
			return schedule.Retention, "the participant's admin API", answer{}, true
		}
	}
	if ok {
		missing = cannotTell(inDatabase, "the pruning schedule in the participant's database has an unknown form")
	}
	return 0, "", missing, false
}

func historicalSpacing(v *view) answer {
	_, a, ok := v.latest()
	switch {
	case v.Declared.NoHistory:
		return holds("declared: history is not needed (check.history, or retention without history)")
	case !ok:
		return a
	}
	keeps, from, missing, ok := v.pruningRetention()
	switch {
	case !ok:
		return missing
	case keeps == 0:
		return holds("the participant does not prune (%s): every set holds the whole history", from)
	}
	for i, later := range v.proven {
		if i == 0 || v.Declared.History > 0 && v.now.Sub(takenAt(later)) > v.Declared.History {
			continue
		}
		earlier := v.proven[i-1]
		if gap := takenAt(later).Sub(takenAt(earlier)); gap > keeps {
			return violated("sets %s and %s are %s apart; the participant prunes after %s (%s)",
				earlier.ID, later.ID, span(gap), span(keeps), from)
		}
	}
	if gap := v.now.Sub(takenAt(v.proven[len(v.proven)-1])); gap > keeps {
		return violated("the newest proven set is %s old; "+
			"the participant prunes after %s (%s)", span(gap), span(keeps), from).
			dueTo(PostgresCadence)
	}
	return holds("%s, none further apart than the participant's retention of %s (%s)",
		count(len(v.proven), "proven set"), span(keeps), from)
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
		return violated("no drill was ever run")
	}
	last := slices.MaxFunc(drills, func(a, b record.Drill) int { return a.At.Compare(b.At) })
	age := v.now.Sub(last.At)
	switch {
	case last.Verdict == holdfast.Violated:
		return violated("the drill of set %s, %s ago, failed: %s", last.Set, span(age), last.Found)
	case age > v.Limits.Drill:
		return violated("the last drill was %s ago, of set %s; the limit is %s", span(age), last.Set, span(v.Limits.Drill))
	}
	return holds("the drill of set %s, %s ago, restored it in %s", last.Set, span(age), span(last.Restore))
}

func schemaComesBack(v *view) answer {
	if a, ok := v.listed(); !ok {
		return a
	}
	if len(v.sets) == 0 {
		return cannotTell(inSet, "the repository has no set of this node").dueTo(PostgresCadence)
	}
	s := v.sets[len(v.sets)-1]
	parts := slices.DeleteFunc(s.Parts(), func(p holdfast.Part) bool { return p.Method != holdfast.Dump })
	for _, p := range parts {
		if p.Rehearsal != nil && p.Rehearsal.Verdict() == holdfast.Violated {
			return violated("set %s: %s: %s", s.ID, p.Component, p.Rehearsal.Finding().Evidence)
		}
	}
	var evidence []string
	for _, p := range parts {
		if by, ok := v.drilled(s.ID, p); ok {
			evidence = append(evidence, fmt.Sprintf("%s: the drill of set %s restored it", p.Component, by))
			continue
		}
		why, next := "it was not tried when set "+string(s.ID)+" was taken", "Take another set: `holdfast backup`."
		if p.Rehearsal != nil {
			why, next = p.Rehearsal.Unknown, p.Rehearsal.Do+" Or run `holdfast drill`."
		}
		if why != "" {
			return cannotTell(input{"whether the schema of " + string(p.Component) + " comes back", next}, why)
		}
		evidence = append(evidence, fmt.Sprintf("%s: %s", p.Component, p.Rehearsal.Finding().Evidence))
	}
	return holds("set %s: %s", s.ID, strings.Join(evidence, "; "))
}

// drilled is the newest set with the schema of this part that a drill has
// restored.
func (v *view) drilled(newest holdfast.SetID, part holdfast.Part) (holdfast.SetID, bool) {
	drills, _ := v.Drills.Get()
	for _, d := range slices.Backward(drills) {
		if d.Verdict != holdfast.Holds {
			continue
		}
		i := slices.IndexFunc(v.sets, func(s holdfast.Set) bool { return s.ID == d.Set })
		if i < 0 {
			continue
		}
		then, ok := v.sets[i].Part(part.Component)
		if ok && (d.Set == newest || part.Schema != "" && then.Schema == part.Schema) {
			return d.Set, true
		}
	}
	return "", false
}

func takenOverHolds(v *view) answer {
	if a, ok := v.listed(); !ok {
		return a
	}
	disproofs, ok := v.Disproofs.Get()
	if !ok {
		return cannotTell(input{"what backups found changed", inRepository.next}, v.Disproofs.Missing()).
			dueTo(RepositoryReadable)
	}
	var settled string
	for _, d := range slices.Backward(disproofs) {
		doubtful := v.doubtful(d)
		if !slices.ContainsFunc(v.sets, d.SettledBy) {
			return violated("%s; %s", d, doubtful)
		}
		if settled == "" {
			settled = fmt.Sprintf("; %s; all was read since; %s", d, doubtful)
		}
	}
	if len(v.sets) == 0 {
		return holds("nothing was taken over yet%s", settled)
	}
	s := v.sets[len(v.sets)-1]
	var evidence []string
	for _, p := range s.Parts() {
		if t := p.TakenOver; t != nil {
			evidence = append(evidence, fmt.Sprintf("%s: %s of %s taken over, the oldest reading %s old", p.Component,
				size.Of(t.Bytes), size.Of(p.Bytes), span(v.now.Sub(t.Oldest))))
		}
	}
	if len(evidence) == 0 {
		return holds("set %s was read whole%s", s.ID, settled)
	}
	return holds("set %s: %s%s", s.ID, strings.Join(evidence, "; "), settled)
}

// doubtful names the sets that may have rows wrong.
func (v *view) doubtful(d record.Disproof) string {
	var list []string
	for _, s := range v.sets {
		if d.Doubts(s.Node.Name, s.Began.Wall) {
			list = append(list, string(s.ID))
		}
	}
	if len(list) == 0 {
		return "no set is in doubt"
	}
	return count(len(list), "set") + " in doubt: " + some(list)
}

// secondCopy judges every copy, and says the worst first. A copy on the disk of the
// repository is no violation where another one is elsewhere.
func secondCopy(v *view) answer {
	copies, ok := v.Copies.Get()
	if !ok {
		return cannotTell(inCopy, v.Copies.Missing())
	}
	elsewhere := slices.ContainsFunc(copies, func(c Copy) bool {
		return !c.SameFileSystem && !c.SameDisk && v.current(c).verdict == holdfast.Holds
	})
	var all answers
	for _, c := range copies {
		a := v.current(c)
		if near := onDiskOfRepository(c); near != "" && a.verdict == holdfast.Holds && !elsewhere {
			a = violated("%s", near)
		}
		if len(copies) > 1 && (c.Problem != "" || c.Unknown != "") {
			a.evidence = c.Where + ": " + a.evidence
		}
		all = append(all, a)
	}
	return all.worstFirst()
}

// onDiskOfRepository says that a copy is lost with the repository; "" when it is not.
func onDiskOfRepository(c Copy) string {
	switch {
	case c.SameFileSystem:
		return c.Where + " is on the same file system as the repository"
	case c.SameDisk:
		return c.Where + " is on another file system, but on the disk of the repository"
	}
	return ""
}

// current judges whether a copy has what it is to have, wherever it is.
func (v *view) current(c Copy) answer {
	if c.Problem != "" {
		return violated("%s", c.Problem)
	}
	if c.Unknown != "" {
		return cannotTell(inCopy, c.Unknown)
	}
	if a, ok := v.listed(); !ok {
		return a
	}
	if len(v.proven) == 0 {
		return holds("%s opens; there is no proven set to copy yet", c.Where)
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
		return violated("the newest proven set in %s is %s, %s older than the first copy's; the limit is %s",
			c.Where, newest.ID, span(behind), span(v.Limits.Copy))
	}
	return holds("%s has set %s. It %s", c.Where, newest.ID, v.holdings(c))
}

// holdings says what a copy has of the repository's sets.
func (v *view) holdings(c Copy) string {
	has, notKept := 0, 0
	for _, s := range v.sets {
		switch {
		case slices.ContainsFunc(c.Sets, func(one CopiedSet) bool { return one.ID == s.ID }):
			has++
		case c.Recorded.Left.Has(s.Node.Name, s.ID):
			notKept++
		}
	}
	return record.Holdings(has, notKept, len(v.sets))
}

func spaceForRestore(v *view) answer {
	s, a, ok := v.latest()
	if !ok {
		return a
	}
	type disk struct {
		need int64
		free holdfast.Observed[int64]
	}
	disks := map[string]*disk{}
	var order []string
	for _, c := range s.Parts() {
		live, ok := v.Live[c.Component].Get()
		if !ok {
			why := fmt.Sprintf("%s: %s", c.Component, v.Live[c.Component].Missing())
			return cannotTell(inDatabase, why).dueTo(PostgresSupported)
		}
		if disks[live.Where] == nil {
			disks[live.Where] = &disk{free: live.Free}
			order = append(order, live.Where)
		}
		disks[live.Where].need += c.Database.Bytes + c.Database.Bytes/10
	}
	var evidence []string
	for _, where := range order {
		d := disks[where]
		free, ok := d.free.Get()
		if !ok {
			return cannotTell(inSpace, fmt.Sprintf("%s: %s", where, d.free.Missing()))
		}
		if free < d.need {
			return violated("%s has %s free; set %s needs %s there", where, size.Of(free), s.ID, size.Of(d.need))
		}
		evidence = append(evidence, fmt.Sprintf("%s has %s free; %s needed", where, size.Of(free), size.Of(d.need)))
	}
	return holds("for set %s: %s", s.ID, strings.Join(evidence, "; "))
}
