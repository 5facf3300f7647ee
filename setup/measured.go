package setup

import (
	"time"

	"holdfast"
	"holdfast/check"
	"holdfast/metrics"
	"holdfast/repository"
	"holdfast/schedule"
)

// measured are the metrics of the services' nodes.
func measured(services []*Service) (list []metrics.Node) {
	now := time.Now()
	for _, s := range services {
		list = append(list, s.measured(now))
	}
	return list
}

// measured is what metrics say of the node.
func (s *Service) measured(now time.Time) metrics.Node {
	st := s.Status()
	n := metrics.Node{
		Name: st.Node, Read: st.Stored.At, Readable: !st.Stored.At.IsZero() && st.Stored.Failed == nil,
		Sets: map[holdfast.State]int{}, Newest: st.Stored.measured(), Proven: st.Stored.proven().Began,
		Verified: st.Stored.Verification.At, AllRead: st.Stored.Verification.Since,
		Copies: s.measuredCopies(st), Tasks: s.measuredTasks(st, now),
		Stored: st.Stored.Bytes, LocksEnd: st.Locks.Until, LockPeriod: st.Locks.Period, Traffic: s.traffic.measured(),
	}
	for name := range s.config().Notices.To {
		n.Targets = append(n.Targets, metrics.Target{Name: name, Failures: st.Undelivered[name]})
	}
	for _, e := range st.Stored.Entries {
		n.Sets[e.State]++
	}
	if set := st.Stored.Newest; set != nil && set.Identities != nil {
		n.Identities = set.Began.Wall
	}
	for _, d := range st.Stored.Drills {
		n.Drill = d.Verdict
		if d.Verdict == holdfast.Holds && d.At.After(n.Drilled) {
			n.Drilled = d.At
		}
	}
	if st.Report != nil {
		judgedIn(&n, *st.Report)
	}
	return n
}

// judgedIn adds what a report judged.
func judgedIn(n *metrics.Node, r check.Report) {
	n.Checked = r.At
	for _, c := range r.Conditions {
		n.Conditions = append(n.Conditions, metrics.Condition{
			Code: string(c.Code), Verdict: c.Verdict, Alarms: c.Alarms(),
		})
	}
	for _, left := range r.Runways { // the soonest is the first
		if left.Ends != nil && n.RunwayEnds.IsZero() {
			n.RunwayEnds = *left.Ends
		}
	}
}

// measured are the measures of the newest set.
func (s Stored) measured() *metrics.Set {
	set := s.Newest
	if set == nil {
		return nil
	}
	e := s.Entries[len(s.Entries)-1]
	out := &metrics.Set{Began: e.Began, Ended: e.Ended, State: e.State, Bytes: e.Bytes, Margin: set.Margin()}
	for _, c := range set.Captures {
		for _, w := range c.Waits {
			out.Waits = append(out.Waits, w.Waited)
		}
		for _, of := range c.Components {
			m := metrics.Capture{Component: of.Component, Took: c.Ended.Since - c.Began.Since, Read: c.Bytes}
			if t := c.TakenOver; t != nil {
				m.Read, m.TakenOver, m.Oldest = c.Bytes-t.Bytes, t.Bytes, t.Oldest
			}
			out.Captures = append(out.Captures, m)
		}
	}
	return out
}

// measuredCopies are the configured copies, and what they have of the node.
func (s *Service) measuredCopies(st Status) (list []metrics.Copy) {
	for _, c := range s.config().Copies {
		found := metrics.Copy{Place: c.Place.String()}
		for _, sent := range st.Stored.Copied {
			if sent.Place == found.Place {
				found.Newest = begunAt(st.Stored.Entries, sent.Newest[st.Node])
			}
		}
		list = append(list, found)
	}
	return list
}

// begunAt is when a set was begun.
func begunAt(entries []repository.Entry, id holdfast.SetID) time.Time {
	for _, e := range entries {
		if e.ID == id {
			return e.Began
		}
	}
	return id.Began()
}

// measuredTasks are the tasks, each as if there were no other.
func (s *Service) measuredTasks(st Status, now time.Time) (list []metrics.Task) {
	for _, t := range s.tasks() {
		past := st.Work.Past[t.Name]
		next := schedule.Next(now, string(st.Node), []schedule.Task{t.Task}, st.Work.Past)
		list = append(list, metrics.Task{
			Name: t.Name, Interval: t.Rule.Interval(now), Next: next.At, Done: past.Done, Took: past.Took,
			Failures: past.Failures, Running: st.Work.Running == t.Name,
		})
	}
	return list
}
