package metrics

import (
	"maps"
	"slices"
	"time"

	"holdfast"
)

// Metric is one metric: its name, what it says, and its labels in addition to
// the node's name.
type Metric struct {
	Name   string
	Help   string
	Labels []string

	of func(Node, put)
}

// put takes one value, with the values of the labels.
type put func(value float64, labels ...string)

// Table lists the metrics of a node. docs/metrics.md prints it.
func Table() []Metric {
	var list []Metric
	for _, part := range [][]Metric{ages(), newest(), storage(), judged(), work()} {
		list = append(list, part...)
	}
	return list
}

// ages are when what recovery needs was last made.
func ages() []Metric {
	return []Metric{
		{"holdfast_captured_timestamp_seconds", "When the newest set was begun, whatever its state.", nil,
			func(n Node, add put) {
				if n.Newest != nil {
					at(add, n.Newest.Began)
				}
			}},
		{"holdfast_proven_timestamp_seconds", "When the newest proven set was begun.", nil,
			func(n Node, add put) { at(add, n.Proven) }},
		{"holdfast_drilled_timestamp_seconds", "When the newest drill began that restored every row.", nil,
			func(n Node, add put) { at(add, n.Drilled) }},
		{"holdfast_drill_verdict", "1 for the verdict of the newest drill.", []string{"verdict"},
			func(n Node, add put) {
				if n.Drill != "" {
					verdicts(n.Drill, func(v holdfast.Verdict, is float64) { add(is, string(v)) })
				}
			}},
		{"holdfast_copied_timestamp_seconds", "When the newest set in a second copy was begun.", []string{"place"},
			func(n Node, add put) {
				for _, c := range n.Copies {
					at(add, c.Newest, c.Place)
				}
			}},
		{"holdfast_copies", "Second copies that are configured.", nil,
			func(n Node, add put) { add(float64(len(n.Copies))) }},
		{"holdfast_identities_timestamp_seconds", "When the newest set with identities was begun.", nil,
			func(n Node, add put) { at(add, n.Identities) }},
		{"holdfast_verified_timestamp_seconds", "When stored data was last verified.", nil,
			func(n Node, add put) { at(add, n.Verified) }},
		{"holdfast_all_read_timestamp_seconds", "Everything that was stored before this time was read since.", nil,
			func(n Node, add put) { at(add, n.AllRead) }},
		{"holdfast_repository_read_timestamp_seconds", "When the repository was last read; the metrics of sets are of then.", nil,
			func(n Node, add put) { at(add, n.Read) }},
		{"holdfast_repository_readable", "Whether the newest attempt to read the repository succeeded.", nil,
			func(n Node, add put) { add(truth(n.Readable)) }},
		{"holdfast_sets", "Sets in the repository.", []string{"state"},
			func(n Node, add put) {
				for _, s := range states {
					add(float64(n.Sets[s]), string(s))
				}
			}},
	}
}

var states = []holdfast.State{holdfast.Proven, holdfast.Unproven, holdfast.Misordered, holdfast.Mismatched}

// newest are the measures of the newest set.
func newest() []Metric {
	of := func(fn func(Set, put)) func(Node, put) {
		return func(n Node, add put) {
			if n.Newest != nil {
				fn(*n.Newest, add)
			}
		}
	}
	return []Metric{
		{"holdfast_set_state", "1 for the state of the newest set.", []string{"state"},
			of(func(s Set, add put) {
				for _, state := range states {
					add(truth(s.State == state), string(state))
				}
			})},
		{"holdfast_set_order_margin_seconds",
			"Time between captures of the newest set that a rule orders, the shortest; 0 or less is misordered.", nil,
			of(func(s Set, add put) {
				if s.Margin != nil {
					add(s.Margin.Seconds())
				}
			})},
		{"holdfast_set_duration_seconds", "How long the newest set took.", nil,
			of(func(s Set, add put) { add(s.Ended.Sub(s.Began).Seconds()) })},
		{"holdfast_set_bytes", "Size of the newest set's files, before deduplication.", nil,
			of(func(s Set, add put) { add(float64(s.Bytes)) })},
		{"holdfast_capture_duration_seconds", "How long a component's capture took in the newest set.",
			[]string{"component"},
			of(func(s Set, add put) {
				for _, c := range s.Captures {
					add(c.Took.Seconds(), string(c.Component))
				}
			})},
		{"holdfast_capture_read_bytes", "Bytes that were read of a component for the newest set.",
			[]string{"component"},
			of(func(s Set, add put) {
				for _, c := range s.Captures {
					add(float64(c.Read), string(c.Component))
				}
			})},
		{"holdfast_capture_taken_over_bytes",
			"Bytes of a component that the newest set took over from an earlier one, because nothing had changed.",
			[]string{"component"},
			of(func(s Set, add put) {
				for _, c := range s.Captures {
					add(float64(c.TakenOver), string(c.Component))
				}
			})},
		{"holdfast_capture_oldest_reading_timestamp_seconds",
			"When the oldest rows of a component in the newest set were read, where some were taken over.",
			[]string{"component"},
			of(func(s Set, add put) {
				for _, c := range s.Captures {
					at(add, c.Oldest, string(c.Component))
				}
			})},
		{"holdfast_waits_caused", "Sessions of the node that waited behind a lock of the newest backup.", nil,
			of(func(s Set, add put) { add(float64(len(s.Waits))) })},
		{"holdfast_wait_caused_seconds", "The longest of these waits.", nil,
			of(func(s Set, add put) {
				var longest time.Duration
				for _, w := range s.Waits {
					longest = max(longest, w)
				}
				add(longest.Seconds())
			})},
	}
}

// storage is what the repository takes, for how long it is locked, and what goes to
// and from places outside of the machine.
func storage() []Metric {
	return []Metric{
		{"holdfast_stored_bytes", "Size of the repository in its storage, measured every six hours.", nil,
			func(n Node, add put) {
				if n.Stored > 0 {
					add(float64(n.Stored))
				}
			}},
		{"holdfast_lock_ends_timestamp_seconds", "When the first lock on what is stored ends, as the last check saw.", nil,
			func(n Node, add put) { at(add, n.LocksEnd) }},
		{"holdfast_lock_period_seconds", "For how long the repository locks what it stores.", nil,
			func(n Node, add put) {
				if n.LockPeriod > 0 {
					add(n.LockPeriod.Seconds())
				}
			}},
		{"holdfast_storage_requests_total", "Requests to a place outside of the machine, counted when a task ends.",
			[]string{"place", "operation"},
			func(n Node, add put) {
				for _, t := range n.Traffic {
					for _, operation := range slices.Sorted(maps.Keys(t.Requests)) {
						add(float64(t.Requests[operation]), t.Place, operation)
					}
				}
			}},
		{"holdfast_storage_bytes_total", "Bytes to and from a place outside of the machine, counted when a task ends.",
			[]string{"place", "direction"},
			func(n Node, add put) {
				for _, t := range n.Traffic {
					add(float64(t.Sent), t.Place, "sent")
					add(float64(t.Received), t.Place, "received")
				}
			}},
	}
}

// judged are the conditions and how long is left.
func judged() []Metric {
	return []Metric{
		{"holdfast_checked_timestamp_seconds", "When the conditions were last judged.", nil,
			func(n Node, add put) { at(add, n.Checked) }},
		{"holdfast_condition_verdict", "1 for the verdict of a condition of `holdfast check`.",
			[]string{"condition", "verdict"},
			func(n Node, add put) {
				for _, c := range n.Conditions {
					verdicts(c.Verdict, func(v holdfast.Verdict, is float64) { add(is, c.Code, string(v)) })
				}
			}},
		{"holdfast_condition_alarms", "Whether somebody has to act on a condition: it does not hold, and no other is its cause.",
			[]string{"condition"},
			func(n Node, add put) {
				for _, c := range n.Conditions {
					add(truth(c.Alarms), c.Code)
				}
			}},
		{"holdfast_runway_ends_timestamp_seconds",
			"When the first super validator disables the node, if the node stopped now.", nil,
			func(n Node, add put) { at(add, n.RunwayEnds) }},
	}
}

// work is what the service does and will do.
func work() []Metric {
	of := func(fn func(Task, put)) func(Node, put) {
		return func(n Node, add put) {
			for _, t := range n.Tasks {
				fn(t, add)
			}
		}
	}
	label := []string{"task"}
	return []Metric{
		{"holdfast_task_next_timestamp_seconds", "When a task begins next.", label,
			of(func(t Task, add put) { at(add, t.Next, t.Name) })},
		{"holdfast_task_interval_seconds", "The longest time between two runs of a task, by its schedule.", label,
			of(func(t Task, add put) {
				if t.Interval > 0 {
					add(t.Interval.Seconds(), t.Name)
				}
			})},
		{"holdfast_task_done_timestamp_seconds", "When the newest run of a task began that succeeded.", label,
			of(func(t Task, add put) { at(add, t.Done, t.Name) })},
		{"holdfast_task_duration_seconds", "How long the newest run of a task took that succeeded.", label,
			of(func(t Task, add put) {
				if t.Took > 0 {
					add(t.Took.Seconds(), t.Name)
				}
			})},
		{"holdfast_task_failures", "Attempts of a task that failed in a row; 0 after one that succeeded.", label,
			of(func(t Task, add put) { add(float64(t.Failures), t.Name) })},
		{"holdfast_task_running", "Whether a task is running.", label,
			of(func(t Task, add put) { add(truth(t.Running), t.Name) })},
		{"holdfast_notice_failures", "Attempts to deliver a notice that failed in a row.", []string{"target"},
			func(n Node, add put) {
				for _, t := range n.Targets {
					add(float64(t.Failures), t.Name)
				}
			}},
	}
}

// at adds a time, unless it is unknown.
func at(add put, t time.Time, labels ...string) {
	if !t.IsZero() {
		add(float64(t.UnixMilli())/1000, labels...)
	}
}

// verdicts adds each verdict, 1 for the one that is true.
func verdicts(is holdfast.Verdict, add func(holdfast.Verdict, float64)) {
	for _, v := range []holdfast.Verdict{holdfast.Holds, holdfast.Violated, holdfast.CannotTell} {
		add(v, truth(v == is))
	}
}

func truth(is bool) float64 {
	if is {
		return 1
	}
	return 0
}
