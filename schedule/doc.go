// Package schedule decides what is to be done next, and when. It is arithmetic
// with times: it reads no clock, sleeps nowhere and starts nothing.
//
//	tasks := []schedule.Task{
//		{Name: "backup", Rule: schedule.Every(4 * time.Hour)},
//		{Name: "drill", Rule: weekly, Window: night},
//	}
//	next := schedule.Next(now, tasks, past)
//	// next.Task at next.At, because next.Why
//
// One task runs at a time. Of those that are due the one that has been due for
// longest comes first, so that a long one never keeps another from its turn.
// What was missed, while a machine slept or a database was away, is caught up
// on once.
package schedule
