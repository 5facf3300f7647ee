package schedule

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
)

// Rule says how often something is done: at intervals, or at times of the
// calendar. The zero Rule is never.
type Rule struct {
	every time.Duration
	cron  *cron.SpecSchedule
	text  string // of the calendar
	walks bool   // through every hour, so that no hour of the calendar is special
}

// Every is a rule of intervals.
func Every(d time.Duration) Rule { return Rule{every: d} }

// At reads a rule of the calendar: five fields as in a crontab, or @daily and the
// like. The times are those of the zone, unless the text begins with
// CRON_TZ=ZONE.
func At(text string, zone *time.Location) (Rule, error) {
	fields := strings.TrimSpace(text)
	if name, rest, ok := strings.Cut(fields, " "); ok {
		if named, is := strings.CutPrefix(name, "CRON_TZ="); is {
			found, err := time.LoadLocation(named)
			if err != nil || named == "" {
				return Rule{}, fmt.Errorf("there is no time zone %q", named)
			}
			zone, fields = found, strings.TrimSpace(rest)
		}
	}
	parser := cron.NewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow | cron.Descriptor)
	parsed, err := parser.Parse(fields)
	if err != nil {
		return Rule{}, fmt.Errorf("want five fields as in a crontab, such as \"30 3 * * *\": %w", err)
	}
	spec, ok := parsed.(*cron.SpecSchedule)
	if !ok { // @every
		return Rule{}, errors.New("an interval is written alone, such as 4h")
	}
	spec.Location = zone
	r := Rule{cron: spec, text: fields, walks: spec.Hour&everyHour == everyHour}
	if r.Next(time.Unix(0, 0)).IsZero() {
		return Rule{}, errors.New("there is no such day in any year")
	}
	return r, nil
}

// everyHour are the bits of all hours in a parsed calendar.
const everyHour = 1<<24 - 1

// Never reports whether it is never done.
func (r Rule) Never() bool { return r.every <= 0 && r.cron == nil }

// String is the rule as it was written, with its zone.
func (r Rule) String() string {
	switch {
	case r.Never():
		return "never"
	case r.cron == nil:
		return "every " + strings.TrimSuffix(strings.TrimSuffix(r.every.String(), "0s"), "0m")
	}
	return fmt.Sprintf("%s (%s)", r.text, r.cron.Location)
}

// Next is the first time after that one; zero for never.
//
// Where the clocks of a zone are put forward, what stands in the missing hour is
// done as long after midnight as ever, so an hour later by the clock. Where they
// are put back, it is done in the first of the two hours, once; only what is done
// every hour is done in both.
func (r Rule) Next(after time.Time) time.Time {
	switch {
	case r.Never():
		return time.Time{}
	case r.cron == nil:
		return after.Add(r.every)
	case r.walks:
		return r.cron.Next(after)
	}
	calendar := *r.cron
	calendar.Location = time.UTC
	for wall := wallOf(after.In(r.cron.Location)); ; {
		if wall = calendar.Next(wall); wall.IsZero() {
			return wall
		}
		if t := moment(wall, r.cron.Location); t.After(after) {
			return t
		}
	}
}

// Interval is about how long it is between two times.
func (r Rule) Interval(now time.Time) time.Duration {
	if r.cron == nil {
		return r.every
	}
	first := r.Next(now)
	return r.Next(first).Sub(first)
}

// wallOf is what the clock on the wall shows, as a time that never leaps.
func wallOf(t time.Time) time.Time {
	return time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), 0, time.UTC)
}

// moment is when the clock on the wall first shows that; of what it never shows,
// when it would have, had it not been put forward.
func moment(wall time.Time, zone *time.Location) time.Time {
	const day = 24 * time.Hour
	_, before := wall.Add(-day).In(zone).Zone()
	_, behind := wall.Add(day).In(zone).Zone()
	first := wall.Add(-time.Duration(before) * time.Second).In(zone)
	second := wall.Add(-time.Duration(behind) * time.Second).In(zone)
	if !wallOf(first).Equal(wall) && wallOf(second).Equal(wall) {
		return second
	}
	return first
}
