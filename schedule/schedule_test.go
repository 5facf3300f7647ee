package schedule_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"holdfast/schedule"
)

func zone(t *testing.T, name string) *time.Location {
	t.Helper()
	z, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

func at(t *testing.T, text string, z *time.Location) schedule.Rule {
	t.Helper()
	r, err := schedule.At(text, z)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return r
}

func when(t *testing.T, text string) time.Time {
	t.Helper()
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04Z07:00"} {
		if got, err := time.Parse(layout, text); err == nil {
			return got
		}
	}
	t.Fatalf("%s is no time", text)
	return time.Time{}
}

func TestRules(t *testing.T) {
	const zurich, howe = "Europe/Zurich", "Australia/Lord_Howe"
	for _, c := range []struct {
		name, rule, zone, after string
		want                    []string
	}{
		{"daily", "30 3 * * *", "UTC", "2026-11-26T03:30Z", []string{"2026-11-27T03:30Z", "2026-11-28T03:30Z"}},
		{"a zone of its own", "CRON_TZ=Asia/Tokyo 0 9 * * *", "UTC", "2026-11-26T00:00Z", []string{"2026-11-27T00:00Z"}},
		{"weekly", "0 4 * * 0", zurich, "2026-03-22T04:00+01:00", []string{"2026-03-29T04:00+02:00"}},
		{"clocks go forward: the missing hour is not skipped", "30 2 * * *", zurich, "2026-03-28T02:30+01:00",
			[]string{"2026-03-29T03:30+02:00", "2026-03-30T02:30+02:00"}},
		{"asked within the missing hour", "30 2 * * *", zurich, "2026-03-29T01:45+01:00",
			[]string{"2026-03-29T03:30+02:00", "2026-03-30T02:30+02:00"}},
		{"clocks go back: once", "30 2 * * *", zurich, "2026-10-24T02:30+02:00",
			[]string{"2026-10-25T02:30+02:00", "2026-10-26T02:30+01:00"}},
		{"clocks go back, asked in the second hour", "30 2 * * *", zurich, "2026-10-25T02:10+01:00",
			[]string{"2026-10-26T02:30+01:00"}},
		{"every hour runs in both", "0 * * * *", zurich, "2026-10-25T01:00+02:00",
			[]string{"2026-10-25T02:00+02:00", "2026-10-25T02:00+01:00", "2026-10-25T03:00+01:00"}},
		{"every hour, and one is missing", "0 * * * *", zurich, "2026-03-29T01:00+01:00",
			[]string{"2026-03-29T03:00+02:00", "2026-03-29T04:00+02:00"}},
		{"clocks that go by half an hour", "15 2 * * *", howe, "2026-10-03T02:15+10:30",
			[]string{"2026-10-04T02:45+11:00", "2026-10-05T02:15+11:00"}},
		{"a day that few years have", "0 0 29 2 *", "UTC", "2026-11-26T00:00Z", []string{"2028-02-29T00:00Z"}},
	} {
		r := at(t, c.rule, zone(t, c.zone))
		last := when(t, c.after)
		for _, want := range c.want {
			if last = r.Next(last); !last.Equal(when(t, want)) {
				t.Errorf("%s: %s, want %s", c.name, last, want)
			}
		}
	}
}

func TestWhatIsNoRule(t *testing.T) {
	for _, text := range []string{
		"", "4h", "@every 4h", "* * * *", "0 3 * * * *", "61 * * * *", "0 0 30 2 *", "CRON_TZ=Europe/Bern 0 3 * * *", "CRON_TZ= 0 3 * * *",
	} {
		if r, err := schedule.At(text, time.UTC); err == nil {
			t.Errorf("%q is %v", text, r)
		}
	}
	if r := schedule.Every(0); !r.Never() || !r.Next(time.Now()).IsZero() || r.String() != "never" {
		t.Errorf("every 0 is %v", r)
	}
	if got := fmt.Sprint(schedule.Every(4*time.Hour), ", ", at(t, "@daily", time.UTC)); got != "every 4h, @daily (UTC)" {
		t.Error(got)
	}
}

// In every zone and around every change of its clocks the next time is behind the
// last, and a daily rule skips no day and has none twice.
func TestEveryDayHasItsTime(t *testing.T) {
	for _, name := range []string{"Europe/Zurich", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "America/Santiago"} {
		z := zone(t, name)
		for _, hour := range []int{0, 1, 2, 3, 23} {
			r := at(t, fmt.Sprintf("30 %d * * *", hour), z)
			last := time.Date(2026, 1, 1, hour, 30, 0, 0, z)
			for range 800 {
				next := r.Next(last)
				if gap := next.Sub(last); gap < 22*time.Hour || gap > 26*time.Hour {
					t.Fatalf("%s, %02d:30: %s is followed by %s", name, hour, last, next)
				}
				last = next
			}
		}
	}
}

func TestWindows(t *testing.T) {
	z := zone(t, "Europe/Zurich")
	for _, c := range []struct{ window, from, want string }{
		{"22:00-05:30", "2026-11-26T23:00+01:00", "2026-11-26T23:00+01:00"},
		{"22:00-05:30", "2026-11-26T05:29+01:00", "2026-11-26T05:29+01:00"},
		{"22:00-05:30", "2026-11-26T05:30+01:00", "2026-11-26T22:00+01:00"},
		{"01:00-05:00", "2026-11-26T05:00+01:00", "2026-11-27T01:00+01:00"},
		{"02:15-02:45", "2026-03-29T01:50+01:00", "2026-03-29T03:15+02:00"}, // which no clock shows that night
		{" 9:00 - 17:00", "2026-11-26T08:00+01:00", "2026-11-26T09:00+01:00"},
	} {
		w, err := schedule.Between(c.window, z)
		if err != nil {
			t.Errorf("%s: %v", c.window, err)
			continue
		}
		if got := w.Open(when(t, c.from)); !got.Equal(when(t, c.want)) {
			t.Errorf("%s from %s: %s, want %s", c.window, c.from, got, c.want)
		}
	}
	for _, text := range []string{"", "22:00", "22-5", "22:00-22:00", "25:00-01:00"} {
		if w, err := schedule.Between(text, z); err == nil {
			t.Errorf("%q is %v", text, w)
		}
	}
}

func TestNext(t *testing.T) {
	now := when(t, "2026-11-26T12:00Z")
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	backup := schedule.Task{Name: "backup", Rule: schedule.Every(4 * time.Hour), First: true}
	drill := schedule.Task{Name: "drill", Rule: schedule.Every(7 * 24 * time.Hour)}
	night, err := schedule.Between("22:00-05:00", time.UTC)
	if err != nil {
		t.Fatal(err)
	}
	quiet := drill
	quiet.Window = night
	for _, c := range []struct {
		name  string
		tasks []schedule.Task
		past  map[string]schedule.Past
		task  string
		in    time.Duration
		why   string
	}{
		{"nothing is configured", nil, nil, "", 0, ""},
		{"never is never", []schedule.Task{{Name: "drill"}}, nil, "", 0, ""},
		{"the first of all", []schedule.Task{backup}, nil, "backup", 0, "there is none yet"},
		{"not yet", []schedule.Task{backup}, map[string]schedule.Past{"backup": {Done: ago(time.Hour)}}, "backup", 3 * time.Hour, "every 4h"},
		{"a machine that slept for a month catches up once", []schedule.Task{backup},
			map[string]schedule.Past{"backup": {Done: ago(720 * time.Hour)}}, "backup", 0, "late by 716h"},
		{"and then waits", []schedule.Task{backup}, map[string]schedule.Past{"backup": {Done: now}}, "backup", 4 * time.Hour, "every 4h"},
		{"something new is wanted at once", []schedule.Task{backup},
			map[string]schedule.Past{"backup": {Done: ago(time.Minute), Wanted: "party alice is new"}}, "backup", 0, "party alice is new"},
		{"a failure waits", []schedule.Task{backup},
			map[string]schedule.Past{"backup": {Done: ago(5 * time.Hour), Tried: ago(10 * time.Second), Failures: 1}}, "backup", 50 * time.Second, "after 1 failures"},
		{"each for longer", []schedule.Task{backup},
			map[string]schedule.Past{"backup": {Done: ago(5 * time.Hour), Tried: now, Failures: 4}}, "backup", 8 * time.Minute, "after 4 failures"},
		{"but within the interval", []schedule.Task{backup},
			map[string]schedule.Past{"backup": {Done: ago(50 * time.Hour), Tried: now, Failures: 400}}, "backup", time.Hour, "after 400 failures"},
		{"wanted and failed waits as well", []schedule.Task{backup},
			map[string]schedule.Past{"backup": {Done: now, Tried: now, Failures: 2, Wanted: "an upgrade"}}, "backup", 2 * time.Minute, "an upgrade"},
		{"a set of the future does not end backups", []schedule.Task{backup},
			map[string]schedule.Past{"backup": {Done: now.Add(400 * 24 * time.Hour)}}, "backup", 0, "of the future"},
		{"nor does it make them run on and on", []schedule.Task{backup},
			map[string]schedule.Past{"backup": {Done: now.Add(400 * 24 * time.Hour), Tried: ago(time.Hour)}}, "backup", 3 * time.Hour, "of the future"},
		{"clocks differ a little", []schedule.Task{backup},
			map[string]schedule.Past{"backup": {Done: now.Add(20 * time.Second)}}, "backup", 4*time.Hour + 20*time.Second, "every 4h"},
		{"an attempt of the future is no reason to wait", []schedule.Task{backup},
			map[string]schedule.Past{"backup": {Done: ago(5 * time.Hour), Tried: now.Add(100 * time.Hour), Failures: 1}}, "backup", 0, "late"},
		{"the longest due comes first", []schedule.Task{backup, drill}, map[string]schedule.Past{
			"backup": {Done: ago(5 * time.Hour)}, "drill": {Done: ago(8 * 24 * time.Hour)}}, "drill", 0, "late by 24h"},
		{"a long one waits for a backup that it would keep waiting", []schedule.Task{backup, drill}, map[string]schedule.Past{
			"backup": {Done: ago(3 * time.Hour)}, "drill": {Done: ago(8 * 24 * time.Hour), Took: 2 * time.Hour}},
			"backup", 0, "before the drill, which takes about 2h"},
		{"behind it there is time", []schedule.Task{backup, drill}, map[string]schedule.Past{
			"backup": {Done: ago(time.Hour)}, "drill": {Done: ago(8 * 24 * time.Hour), Took: 2 * time.Hour}}, "drill", 0, "late"},
		{"longer than the interval, it runs all the same", []schedule.Task{backup, drill}, map[string]schedule.Past{
			"backup": {Done: ago(time.Hour)}, "drill": {Done: ago(8 * 24 * time.Hour), Took: 9 * time.Hour}}, "drill", 0, "late"},
		{"backups that fail keep nothing else waiting", []schedule.Task{backup, drill}, map[string]schedule.Past{
			"backup": {Done: ago(50 * time.Hour), Tried: now, Failures: 9}, "drill": {Done: ago(8 * 24 * time.Hour), Took: time.Hour}}, "drill", 0, "late"},
		{"a quiet window", []schedule.Task{quiet}, map[string]schedule.Past{"drill": {Done: ago(8 * 24 * time.Hour)}}, "drill", 10 * time.Hour, "late"},
		{"what is wanted at once does not wait for night", []schedule.Task{quiet},
			map[string]schedule.Past{"drill": {Done: ago(time.Hour), Wanted: "asked for"}}, "drill", 0, "asked for"},
	} {
		d := schedule.Next(now, "node-1", c.tasks, c.past)
		in := d.At.Sub(now)
		if d.At.IsZero() {
			in = 0
		}
		if d.Task != c.task || in != c.in || !strings.Contains(d.Why, c.why) {
			t.Errorf("%s: %s in %v (%s), want %s in %v (%s)", c.name, d.Task, in, d.Why, c.task, c.in, c.why)
		}
	}
}

// Nodes of one organisation do not begin at the same second, and each keeps its
// own.
func TestJitter(t *testing.T) {
	task := schedule.Task{Name: "retention", Rule: at(t, "0 3 * * *", time.UTC), Jitter: 10 * time.Minute}
	now := when(t, "2026-11-26T12:00Z")
	past := map[string]schedule.Past{"retention": {Done: now}}
	seen := map[time.Time]bool{}
	for i := range 50 {
		d := schedule.Next(now, fmt.Sprint("node-", i), []schedule.Task{task}, past)
		late := d.At.Sub(when(t, "2026-11-27T03:00Z"))
		if late < 0 || late >= task.Jitter || !d.At.Equal(schedule.Next(now, fmt.Sprint("node-", i), []schedule.Task{task}, past).At) {
			t.Errorf("%s", d.At)
		}
		seen[d.At] = true
	}
	if len(seen) < 40 {
		t.Errorf("50 nodes begin at %d different times", len(seen))
	}
}

// Intervals end a little early, each node's by its own measure: never later than
// they say, and nodes that are started together do not stay together.
func TestJitterOfIntervals(t *testing.T) {
	for _, c := range []struct{ every, most time.Duration }{
		{time.Minute, 2500 * time.Millisecond}, {time.Hour, 150 * time.Second}, {4 * time.Hour, 10 * time.Minute},
		{7 * 24 * time.Hour, 10 * time.Minute},
	} {
		task := schedule.Task{Name: "backup", Rule: schedule.Every(c.every), Jitter: 10 * time.Minute}
		began := when(t, "2026-11-26T12:00Z")
		seen := map[time.Time]bool{}
		const nodes, rounds = 200, 6
		for i := range nodes {
			at, period := began, time.Duration(0)
			for range rounds {
				d := schedule.Next(at, fmt.Sprint("node-", i), []schedule.Task{task},
					map[string]schedule.Past{"backup": {Done: at}})
				gap := d.At.Sub(at)
				if gap > c.every || gap < c.every-c.most || period != 0 && gap != period {
					t.Fatalf("%v, node %d: %v after %v", c.every, i, gap, period)
				}
				at, period = d.At, gap
			}
			seen[at.Truncate(time.Second)] = true
		}
		if c.every >= time.Hour && len(seen) < nodes/2 {
			t.Errorf("%v: %d nodes that began together begin at %d times", c.every, nodes, len(seen))
		}
	}
}

// A year of a node's life: whatever fails and however long things take, no kind of
// work is starved, and while backups succeed none is later than what was running
// when it became due.
func TestAYear(t *testing.T) {
	const seed = 7
	random := rand.New(rand.NewPCG(seed, seed))
	tasks := []schedule.Task{
		{Name: "backup", Rule: schedule.Every(4 * time.Hour), First: true},
		{Name: "check", Rule: schedule.Every(time.Hour)},
		{Name: "verify", Rule: at(t, "0 2 * * *", zone(t, "Europe/Zurich"))},
		{Name: "drill", Rule: at(t, "30 2 * * 0", zone(t, "America/New_York"))},
		{Name: "retention", Rule: schedule.Every(24 * time.Hour)},
	}
	takes := map[string]time.Duration{
		"backup": 20 * time.Minute, "check": 20 * time.Second, "verify": 90 * time.Minute, "drill": 5 * time.Hour, "retention": 3 * time.Minute,
	}
	past, longest := map[string]schedule.Past{}, map[string]time.Duration{}
	begin := when(t, "2026-01-01T00:00Z")
	last := map[string]time.Time{}
	var runs int
	for now := begin; now.Before(begin.AddDate(1, 0, 0)); runs++ {
		d := schedule.Next(now, "node", tasks, past)
		if d.At.Before(now) || d.Task == "" {
			t.Fatalf("%+v at %s", d, now)
		}
		began := d.At
		now = began.Add(time.Duration(float64(takes[d.Task]) * (0.5 + random.Float64())))
		p := past[d.Task]
		p.Tried = now
		if random.IntN(50) == 0 && d.Task != "backup" {
			p.Failures++
		} else {
			if !last[d.Task].IsZero() {
				longest[d.Task] = max(longest[d.Task], began.Sub(last[d.Task]))
			}
			last[d.Task] = began
			p = schedule.Past{Done: began, Tried: now, Took: now.Sub(began)}
		}
		past[d.Task] = p
	}
	for name, most := range map[string]time.Duration{
		"backup": 4*time.Hour + 5*time.Hour, // a drill may take seven and a half, but begins behind a backup
		"check":  12 * time.Hour, "verify": 37 * time.Hour, "drill": 8 * 24 * time.Hour, "retention": 34 * time.Hour,
	} {
		if longest[name] > most || longest[name] == 0 {
			t.Errorf("%s: once %v passed without one, want %v at most", name, longest[name], most)
		}
	}
	if runs < 365*24 {
		t.Errorf("%d runs", runs)
	}
}
