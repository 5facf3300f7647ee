// Package history says what a node's sets say together: over the days, which
// were taken, which gaps and changes there are, how the databases grow and what
// that will cost.
//
//	h := history.Make(sets, now, history.Options{Cadence: 4 * time.Hour})
//
// It is pure: sets and times come in, a report goes out.
package history
