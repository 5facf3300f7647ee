package snapshot

import (
	"context"
	"fmt"
	"reflect"
	"time"

	"holdfast"
	"holdfast/content"
)

// clockApart is how far a keeper's clock may be from ours: a provider refuses
// requests that were signed further apart.
const clockApart = 5 * time.Minute

// listen looks at what the keeper says of the snapshot. What contradicts the
// capture ends it; the rest is evidence, by the keeper's word alone.
func (r *run) listen(context.Context) error {
	s := r.taken
	for _, c := range []struct {
		wrong bool
		what  string
	}{
		{s.CopyOf != "", "it is a copy of " + s.CopyOf},
		{s.Server != r.server.Name, fmt.Sprintf("it is of %s, and %s was asked for", s.Server, r.server.Name)},
		{s.Resource != r.server.Resource, fmt.Sprintf("it is of resource %s, and %s has %s", s.Resource, r.server.Name,
			r.server.Resource)},
	} {
		if c.wrong {
			return r.contradiction(c.what)
		}
	}
	lags := r.server.Lags
	for _, t := range s.Times {
		if t.At.IsZero() {
			continue
		}
		r.note(content.KeepersWord, fmt.Sprintf("%s: %s", t.Field, t.Means), t.At.UTC())
		switch t.Means {
		case NewestCommit:
			what, reaches := r.newest(t.At)
			if what != "" {
				return r.contradiction(t.Field + ": " + what)
			}
			if reaches {
				lags = ""
			}
		case Created, Changeable:
			if what := r.created(t.At); what != "" {
				return r.contradiction(t.Field + ": " + what)
			}
		}
	}
	if lags != "" {
		r.doubts = append(r.doubts, lags)
	}
	return nil
}

// created says what a time of the snapshot's making contradicts.
func (r *run) created(at time.Time) string {
	switch {
	case at.Before(r.asked.Wall.Add(-clockApart)):
		return fmt.Sprintf("it was made at %s, before it was requested at %s", stamp(at), stamp(r.asked.Wall))
	case at.After(r.ready.Wall.Add(clockApart)):
		return fmt.Sprintf("it was made at %s, after it was ready at %s", stamp(at), stamp(r.ready.Wall))
	}
	return ""
}

// newest says what the time of the newest transaction contradicts, and whether
// the content is shown to reach to this run. That time is by the server's clock,
// which was compared with ours.
func (r *run) newest(at time.Time) (what string, reaches bool) {
	const slack = 2 * time.Second // of comparing clocks, and of fields with whole seconds
	shift := r.floor[0].Clock
	drift := (r.after[0].Clock - shift).Abs()
	ours := at.Add(-shift)
	if ours.After(r.latest.Add(slack + drift)) {
		return fmt.Sprintf("it has transactions up to %s, and was said to be ready at %s", stamp(ours), stamp(r.latest)), false
	}
	// Something was committed between the first two readings, so the newest
	// transaction is not older than the first of them.
	if r.moved() && ours.Before(r.earliest.Add(-slack-drift)) {
		return fmt.Sprintf("its newest transaction is of %s, and the database has newer ones from before the request", stamp(ours)),
			false
	}
	return "", r.moved()
}

// moved reports whether a database said something else just before the request
// than at the begin of the capture.
func (r *run) moved() bool {
	for i := range r.floor {
		if !reflect.DeepEqual(r.floor[i].Facts, r.before[i].Facts) {
			return true
		}
	}
	return false
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

func (r *run) contradiction(what string) error {
	return &holdfast.Problem{
		Class: holdfast.Failed,
		What:  fmt.Sprintf("snapshot %s of %s contradicts what was asked for: %s", r.name, r.members(), what),
		Why:   "Its content is not known to be between the readings around it, so nothing is proved by them. No set was taken.",
		Do:    "To try again: `holdfast backup`. If it comes again, use `method: dump` and tell the provider.",
	}
}
