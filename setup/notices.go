package setup

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"holdfast"
	"holdfast/check"
	"holdfast/config"
	"holdfast/notice"
	"holdfast/notify"
	"holdfast/schedule"
)

// Notices is what sends the configured targets what is wrong with the node.
func (s *Service) Notices(clock notice.Clock) notice.Service {
	file := s.stateFile("notices")
	return notice.Service{
		Node: s.Status().Node, Clock: clock, Targets: s.targets, Look: s.sights, Summary: s.digest,
		Load:     func() (m notice.Memory) { file.load(&m); return m },
		Save:     func(m notice.Memory) { file.save(m) },
		Delivery: s.delivered, Events: s.Options.Events,
	}
}

// targets are those that the configuration has now.
func (s *Service) targets() map[string]notice.Target {
	conf := s.config()
	out := map[string]notice.Target{}
	for name, to := range conf.Notices.To {
		out[name] = notice.Target{
			Policy: policyOfNotices(conf, to),
			Send: func(ctx context.Context, m notice.Message) error {
				return s.with(ctx, func(p *Parts) error {
					return p.sender(to.URL).Send(ctx, notify.Message{
						Title: m.Title, Text: m.Text, Incident: string(p.Node.Name), Resolved: m.Resolved,
					})
				})
			},
		}
	}
	return out
}

func policyOfNotices(c *config.Config, to config.Notice) notice.Policy {
	p := notice.Policy{Patience: time.Duration(c.Notices.Patience), Repeat: time.Duration(c.Notices.Repeat)}
	if rule, err := c.DigestRule(to); err == nil && !rule.Never() { // Load has checked it
		p.Digest = rule.Next
	}
	return p
}

func (p *Parts) sender(address config.Reference) notify.Sender {
	return notify.Sender{Address: p.Secret(address), Learn: p.Secrets.Learn, Hide: p.Secrets.Hide}
}

// TestNotices sends a notice to every target, or to that one, and a ping to the
// heartbeat.
func (p *Parts) TestNotices(ctx context.Context, only string) ([]Finding, error) {
	n := p.Config.Notices
	if _, known := n.To[only]; only != "" && !known || len(n.To) == 0 && n.Heartbeat == "" {
		return nil, &holdfast.Problem{
			Class: holdfast.Usage, What: "there is no such target of notices in the configuration",
			Do: "Name it: `notices: {to: {ops: {url: file:/etc/holdfast/ops.url}}}`.",
		}
	}
	const text = "This is a test. Nothing is wrong. Notices about this node will arrive here."
	var list []Finding
	for _, name := range slices.Sorted(maps.Keys(n.To)) {
		if only == "" || name == only {
			err := p.sender(n.To[name].URL).Send(ctx, notify.Message{
				Title: fmt.Sprintf("%s: test of notices", p.Node.Name), Text: text,
			})
			list = append(list, Found("notices to "+name, "delivered", undelivered("notices.to."+name+".url", err)))
		}
	}
	if n.Heartbeat != "" && only == "" { // a start alone would look like a run that never ended
		err := p.heartbeat().Ping(ctx, notify.Success, text)
		list = append(list, Found("heartbeat", "pinged", undelivered("notices.heartbeat", err)))
	}
	return list, nil
}

// undelivered says what to do about an address that cannot be reached.
func undelivered(key string, err error) error {
	if err == nil {
		return nil
	}
	return &holdfast.Problem{
		Class: holdfast.Failed, What: "not delivered", Err: err,
		Why: "Nobody hears of problems there.",
		Do:  "Correct the address that `" + key + "` refers to.",
	}
}

func (p *Parts) heartbeat() notify.Heartbeat {
	return notify.Heartbeat{Address: p.Secret(p.Config.Notices.Heartbeat), Hide: p.Secrets.Hide}
}

// ping says to the heartbeat how a backup goes. That it cannot be reached keeps no
// backup from anything.
func (p *Parts) ping(ctx context.Context, signal notify.Signal, err error) {
	if p.Config.Notices.Heartbeat == "" || ctx.Err() != nil {
		return
	}
	said := fmt.Sprintf("%s: backup", p.Node.Name)
	if err != nil {
		said += ": " + err.Error()
	}
	if err := p.heartbeat().Ping(ctx, signal, said); err != nil {
		p.Events.Report(NoHeartbeat{err})
	}
}

// NoHeartbeat is the event of a ping that was not taken.
type NoHeartbeat struct{ Cause error }

func (e NoHeartbeat) String() string {
	return fmt.Sprintf("the heartbeat was not pinged: %v", e.Cause)
}

// sights are all possible causes of trouble, and how they are now.
func (s *Service) sights(now time.Time) []notice.Sight {
	st := s.Status()
	list := []notice.Sight{st.repositorySight()}
	for _, t := range s.tasks() {
		if !t.Rule.Never() {
			list = append(list, st.taskSight(t.Task, now))
		}
	}
	for i := range list {
		list[i].Node = st.Node
	}
	return append(list, st.conditionSights()...)
}

const repositoryCause = "repository"

func (st Status) repositorySight() notice.Sight {
	sight := notice.Sight{Cause: repositoryCause, State: notice.Unknown}
	switch {
	case st.Stored.Failed != nil:
		why, do := holdfast.Advice(st.Stored.Failed)
		sight.State, sight.What, sight.Why, sight.Do = notice.Bad, "the repository cannot be read: "+st.Stored.Failed.Error(), why, do
	case !st.Stored.At.IsZero():
		sight.State = notice.Good
	}
	return sight
}

// taskSight is how a task goes. One that failed and was started again with the
// service is unknown until it is done or not due.
func (st Status) taskSight(t schedule.Task, now time.Time) notice.Sight {
	past := st.Work.Past[t.Name]
	sight := notice.Sight{Cause: taskCause(t.Name), State: notice.Unknown, Of: []string{repositoryCause}}
	if t.Name == copyRetentionTask { // a copy that is not reached is said once
		sight.Of = append(sight.Of, taskCause(copyTask))
	}
	due := schedule.Next(now, string(st.Node), []schedule.Task{t}, st.Work.Past).Due
	switch {
	case past.Failures > 0 && past.Tried.Before(st.Stored.Back): // it is tried again at once
	case past.Failures > 0:
		why, do := holdfast.Advice(past.Failed)
		sight.State, sight.Why, sight.Do = notice.Bad, why, do
		sight.What = fmt.Sprintf("the %s failed: %v", t.Name, past.Failed)
	case !st.Work.Looked.IsZero() && due.After(now):
		sight.State = notice.Good
	}
	return sight
}

func taskCause(name string) string { return "task/" + name }

// causes are the tasks whose failure explains a condition.
var causes = map[check.Code]string{
	check.PostgresCadence: backupTask, check.IdentitiesBackedUp: backupTask, check.SecondCopy: copyTask,
	check.RestoreProven: drillTask,
}

// conditionSights are the conditions as they were judged last. A symptom of
// another condition is unknown, and so is what was judged before the repository was
// back.
func (st Status) conditionSights() (list []notice.Sight) {
	if st.Report == nil {
		for _, code := range check.Codes() {
			list = append(list, notice.Sight{Node: st.Node, Cause: conditionCause(code), State: notice.Unknown})
		}
		return list
	}
	for _, c := range st.Report.Conditions {
		sight := notice.Sight{
			Node: st.Node, Cause: conditionCause(c.Code), State: notice.Unknown, Kind: string(c.Verdict),
			Of: []string{repositoryCause},
		}
		if task := causes[c.Code]; task != "" {
			sight.Of = append(sight.Of, taskCause(task))
		}
		switch {
		case c.Verdict == holdfast.Holds:
			sight.State = notice.Good
		case st.outdated():
		case c.Alarms():
			sight.State, sight.Why, sight.Do = notice.Bad, c.Consequence, c.Next
			sight.What = fmt.Sprintf("%s: not met: %s: %s", c.Code, c.Title, c.Evidence)
			if c.Verdict == holdfast.CannotTell {
				sight.What = fmt.Sprintf("%s: cannot tell: %s", c.Code, c.Evidence)
			}
		}
		list = append(list, sight)
	}
	return list
}

func conditionCause(code check.Code) string { return "condition/" + string(code) }

// digest sums up what happened since, and how things are.
func (s *Service) digest(since, now time.Time) notice.Message {
	st := s.Status()
	var taken, proven int
	for _, e := range st.Stored.Entries {
		if e.Began.After(since) {
			taken++
			if e.State == holdfast.Proven {
				proven++
			}
		}
	}
	text := fmt.Sprintf("Since %s: %d sets, %d of them proven.\n", since.UTC().Format(time.RFC3339), taken, proven)
	if newest := st.Stored.proven(); newest.ID != "" {
		text += fmt.Sprintf("The newest proven set is %s, %v old.\n", newest.ID, now.Sub(newest.Began).Round(time.Minute))
	} else {
		text += "There is no proven set.\n"
	}
	for _, sight := range s.sights(now) {
		if sight.State == notice.Bad {
			text += fmt.Sprintf("PROBLEM: %s\n", sight.What)
		}
	}
	return notice.Message{Title: fmt.Sprintf("%s: %s", st.Node, headlineOf(st, taken, proven)), Text: text}
}

func headlineOf(st Status, taken, proven int) string {
	if st.Report != nil && st.Report.Verdict == holdfast.Holds {
		return fmt.Sprintf("every condition holds, %d of %d new sets are proven", proven, taken)
	}
	return fmt.Sprintf("%d of %d new sets are proven, and not every condition holds", proven, taken)
}

// delivered notes how a target takes its notices.
func (s *Service) delivered(target string, failures int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	next := maps.Clone(s.status.Undelivered)
	if next == nil {
		next = map[string]int{}
	}
	next[target] = failures
	s.status.Undelivered = next
}
