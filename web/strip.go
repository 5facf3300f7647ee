package web

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"holdfast"
	"holdfast/history"
)

// dayRow is one day of the timeline, as wide as it has minutes.
type dayRow struct {
	Day     time.Time
	Marks   []setMark
	Late    []bar // when a set was overdue
	Changes []history.Change
	Lines   []int // minutes of the changes
	Class   string
	Says    string
}

type bar struct{ X, W int }

// setMark is one set in its day.
type setMark struct {
	history.Set
	bar
	Class string
}

// The day in minutes, and the least width of a set in it.
const (
	dayLong  = 24 * 60
	leastBar = 16
)

// dayRows are the days of a node's history, the newest first.
func dayRows(r Reports) (out []dayRow) {
	h := r.History
	if h.To.IsZero() {
		return nil
	}
	first := h.From.UTC().Truncate(24*time.Hour).AddDate(0, 0, 1)
	for day := h.To.UTC().Truncate(24 * time.Hour); !day.Before(first); day = day.AddDate(0, 0, -1) {
		out = append(out, dayOf(h, day))
	}
	return out
}

func dayOf(h history.Report, day time.Time) dayRow {
	row := dayRow{Day: day}
	minute := func(at time.Time) int { return min(max(int(at.Sub(day).Minutes()), 0), dayLong) }
	within := func(at time.Time) bool { return !at.Before(day) && at.Before(day.AddDate(0, 0, 1)) }
	states, doubtful := map[holdfast.State]int{}, 0
	for _, s := range h.Sets {
		if !within(s.Began) {
			continue
		}
		x := min(minute(s.Began), dayLong-leastBar)
		wide := min(max(minute(s.Ended)-x, leastBar), dayLong-x)
		row.Marks = append(row.Marks, setMark{s, bar{x, wide}, string(s.State)})
		states[s.State]++
		if len(s.InDoubt) > 0 {
			doubtful++
		}
	}
	for _, g := range h.Gaps {
		from, to := minute(g.From.Add(h.Cadence)), minute(g.To)
		if to > from && g.To.After(day) {
			row.Late = append(row.Late, bar{from, to - from})
		}
	}
	for _, c := range h.Changes {
		if within(c.At) {
			row.Changes = append(row.Changes, c)
			if x := minute(c.At); !slices.Contains(row.Lines, x) {
				row.Lines = append(row.Lines, x)
			}
		}
	}
	row.Class, row.Says = sayDay(states, doubtful, len(row.Late) > 0)
	return row
}

// sayDay says in words what a day's strip shows.
func sayDay(states map[holdfast.State]int, doubtful int, late bool) (class, says string) {
	var parts []string
	for _, s := range []holdfast.State{holdfast.Misordered, holdfast.Mismatched, holdfast.Unproven, holdfast.Proven} {
		if n := states[s]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, s))
		}
	}
	if len(parts) == 0 {
		parts = append(parts, "no sets")
	}
	if doubtful > 0 {
		parts = append(parts, fmt.Sprintf("%d in doubt", doubtful))
	}
	switch {
	case late:
		class, parts = "late", append(parts, "a set was late")
	case states[holdfast.Misordered]+states[holdfast.Mismatched] > 0:
		class = "misordered"
	case doubtful > 0:
		class = "doubt"
	case states[holdfast.Unproven] > 0:
		class = "unproven"
	case states[holdfast.Proven] > 0:
		class = "proven"
	}
	return class, strings.Join(parts, ", ")
}

// chart is the growth of the databases as lines of a drawing.
type chart struct {
	Line, Area, Ahead string // paths
	Now               int    // the x of the newest point
	Top               int64  // bytes at the upper edge
	From, To          time.Time
}

// The drawing's size.
const (
	chartWide = 1000
	chartHigh = 240
)

// chartOf draws the points of the past, and the forecast for three months.
func chartOf(g history.Growth) chart {
	if len(g.Points) < 2 {
		return chart{}
	}
	points := g.Points
	var ahead *history.Forecast
	if len(g.Forecast) > 1 {
		ahead = &g.Forecast[1]
	}
	c := chart{From: points[0].At, To: points[len(points)-1].At}
	for _, p := range points {
		c.Top = max(c.Top, p.Databases)
	}
	if ahead != nil {
		c.To, c.Top = ahead.At, max(c.Top, ahead.Databases)
	}
	c.Top += c.Top / 10
	at := func(t time.Time, bytes int64) (int, int) {
		return int(float64(chartWide) * float64(t.Sub(c.From)) / float64(c.To.Sub(c.From))),
			chartHigh - int(float64(chartHigh)*float64(bytes)/float64(c.Top))
	}
	var line strings.Builder
	var x, y int
	for i, p := range points {
		x, y = at(p.At, p.Databases)
		fmt.Fprintf(&line, "%s%d %d", map[bool]string{true: "M", false: "L"}[i == 0], x, y)
	}
	c.Line, c.Now = line.String(), x
	c.Area = fmt.Sprintf("%sL%d %dL0 %dZ", c.Line, x, chartHigh, chartHigh)
	if ahead != nil {
		endX, endY := at(ahead.At, ahead.Databases)
		c.Ahead = fmt.Sprintf("M%d %dL%d %d", x, y, endX, endY)
	}
	return c
}
