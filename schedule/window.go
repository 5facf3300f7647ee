package schedule

import (
	"errors"
	"strings"
	"time"
)

// Window is a part of the day in which something may begin. The zero Window is
// the whole day.
type Window struct {
	from, to time.Duration // since midnight, by the clock on the wall
	zone     *time.Location
	text     string
}

// Between reads a window, such as 22:00-05:30. It may pass midnight.
func Between(text string, zone *time.Location) (Window, error) {
	wrong := errors.New("want a part of the day, such as 22:00-05:30")
	first, last, ok := strings.Cut(strings.ReplaceAll(text, " ", ""), "-")
	if !ok {
		return Window{}, wrong
	}
	w := Window{zone: zone, text: text}
	for _, end := range []struct {
		text string
		to   *time.Duration
	}{{first, &w.from}, {last, &w.to}} {
		t, err := time.Parse("15:04", end.text)
		if err != nil {
			return Window{}, wrong
		}
		*end.to = time.Duration(t.Hour())*time.Hour + time.Duration(t.Minute())*time.Minute
	}
	if w.from == w.to {
		return Window{}, wrong
	}
	return w, nil
}

// String is the window as it was written.
func (w Window) String() string { return w.text }

// Open is the first time from t on that is in the window.
func (w Window) Open(t time.Time) time.Time {
	if w.zone == nil || w.holds(t) {
		return t
	}
	wall := wallOf(t.In(w.zone))
	opens := time.Date(wall.Year(), wall.Month(), wall.Day(), 0, 0, 0, 0, time.UTC).Add(w.from)
	for {
		if at := moment(opens, w.zone); at.After(t) {
			return at
		}
		opens = opens.AddDate(0, 0, 1)
	}
}

func (w Window) holds(t time.Time) bool {
	wall := wallOf(t.In(w.zone))
	since := time.Duration(wall.Hour())*time.Hour + time.Duration(wall.Minute())*time.Minute +
		time.Duration(wall.Second())*time.Second
	if w.from < w.to {
		return w.from <= since && since < w.to
	}
	return since >= w.from || since < w.to
}
