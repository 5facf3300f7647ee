package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// results are the figures of a run, in the order in which they first came.
type results struct {
	figures []*figure
	samples []*samples
}

// figure is one quantity, measured once a round.
type figure struct {
	name   string
	target *float64 // the most it should be; nil for one that is only reported
	values []float64
}

// samples are what one contestant took, round by round.
type samples struct {
	name string
	list []sample
}

func atMost(v float64) *float64 { return &v }

func ratio(a, b time.Duration) float64 { return float64(a) / float64(b) }

func mib(n int64) float64 { return float64(n) / (1 << 20) }

func (r *results) add(name string, target *float64, value float64) {
	for _, f := range r.figures {
		if f.name == name {
			f.values = append(f.values, value)
			return
		}
	}
	r.figures = append(r.figures, &figure{name, target, []float64{value}})
}

func (r *results) sample(name string, s sample) {
	for _, l := range r.samples {
		if l.name == name {
			l.list = append(l.list, s)
			return
		}
	}
	r.samples = append(r.samples, &samples{name, []sample{s}})
}

func (b *bench) noteSample(name string, s sample) {
	b.note("%-24s %6.2f s   CPU %6.2f s, server %6.2f s   peak %4.0f MiB   stored %5.0f MiB", name, s.wall.Seconds(),
		s.cpu.Seconds(), s.server.Seconds(), mib(s.peak), mib(s.stored))
}

// median is the middle value, of the two in the middle the mean.
func median(values []float64) float64 {
	v := slices.Sorted(slices.Values(values))
	if n := len(v); n%2 == 0 {
		return (v[n/2-1] + v[n/2]) / 2
	}
	return v[len(v)/2]
}

// print prints both tables, in Markdown, which reads well as it is.
func (r *results) print(w io.Writer) {
	if len(r.figures) > 0 {
		rows := [][]string{{"figure", "median", "least", "greatest", "rounds", "at most", "reached"}}
		for _, f := range r.figures {
			row := []string{f.name, number(median(f.values)), number(slices.Min(f.values)),
				number(slices.Max(f.values)), fmt.Sprint(len(f.values)), "", ""}
			if f.target != nil {
				row[5], row[6] = number(*f.target), "no"
				if median(f.values) <= *f.target {
					row[6] = "yes"
				}
			}
			rows = append(rows, row)
		}
		table(w, rows)
	}
	if len(r.samples) > 0 {
		_, _ = fmt.Fprintln(w, "\nWhat each took, medians; these depend on the machine and on what else it did:")
		_, _ = fmt.Fprintln(w)
		rows := [][]string{{"contestant", "time (s)", "CPU of its own (s)", "CPU of the server (s)",
			"peak memory (MiB)", "stored (MiB)"}}
		for _, s := range r.samples {
			of := func(value func(sample) float64) string {
				var values []float64
				for _, one := range s.list {
					values = append(values, value(one))
				}
				m := median(values)
				if m == 0 {
					return ""
				}
				return number(m)
			}
			rows = append(rows, []string{s.name, of(func(s sample) float64 {
				return s.wall.Seconds()
			}), of(func(s sample) float64 { return s.cpu.Seconds() }),
				of(func(s sample) float64 {
					return s.server.Seconds()
				}), of(func(s sample) float64 {
					return mib(s.peak)
				}), of(func(s sample) float64 { return mib(s.stored) })})
		}
		table(w, rows)
	}
}

func number(v float64) string {
	switch {
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	case v >= 1 || v == 0:
		return fmt.Sprintf("%.2f", v)
	}
	return fmt.Sprintf("%.3f", v)
}

// table prints rows in aligned columns, the first row being the header.
func table(w io.Writer, rows [][]string) {
	width := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			width[i] = max(width[i], len(escape(cell)))
		}
	}
	line := func(row []string) {
		for i, cell := range row {
			_, _ = fmt.Fprintf(w, "| %-*s ", width[i], escape(cell))
		}
		_, _ = fmt.Fprintln(w, "|")
	}
	line(rows[0])
	for _, n := range width {
		_, _ = fmt.Fprintf(w, "|%s", strings.Repeat("-", n+2))
	}
	_, _ = fmt.Fprintln(w, "|")
	for _, row := range rows[1:] {
		line(row)
	}
}

// escape keeps a pipe in a name from ending the cell.
func escape(cell string) string { return strings.ReplaceAll(cell, "|", "\\|") }
