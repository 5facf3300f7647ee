package config

import (
	"cmp"
	"fmt"
	"time"

	"holdfast/schedule"
)

// Schedule says when `holdfast run` does what; every empty value has a good
// default.
type Schedule struct {
	Zone       string `yaml:"zone"`       // of the times below: Europe/Zurich; UTC when empty
	Backup     string `yaml:"backup"`     // an interval such as 4h, five fields as in a crontab, or never
	Check      string `yaml:"check"`      // the same; 1h when empty
	Watch      string `yaml:"watch"`      // for what is in no set, which is then backed up at once; 10m when empty
	Verify     string `yaml:"verify"`     // 24h when empty
	Drill      string `yaml:"drill"`      // 7d when empty
	Retention  string `yaml:"retention"`  // 24h when empty
	Identities string `yaml:"identities"` // into the places of identities.keep, since the last set; 24h when empty
	Window     string `yaml:"window"`     // in which a verification or a drill may begin: 22:00-05:00
}

// When are the parsed values of a schedule.
type When struct {
	Backup, Check, Watch, Verify, Drill, Retention, Identities schedule.Rule

	Window schedule.Window
}

// When parses the schedule.
func (s Schedule) When() (w When, err error) {
	zone, err := time.LoadLocation(cmp.Or(s.Zone, "UTC"))
	if err != nil || s.Zone == "Local" {
		return w, fmt.Errorf("schedule.zone: there is no time zone %q, such as Europe/Zurich", s.Zone)
	}
	for _, rule := range []struct {
		key, text string
		to        *schedule.Rule
	}{
		{"backup", cmp.Or(s.Backup, "4h"), &w.Backup},
		{"check", cmp.Or(s.Check, "1h"), &w.Check},
		{"watch", cmp.Or(s.Watch, "10m"), &w.Watch},
		{"verify", cmp.Or(s.Verify, "24h"), &w.Verify},
		{"drill", cmp.Or(s.Drill, "7d"), &w.Drill},
		{"retention", cmp.Or(s.Retention, "24h"), &w.Retention},
		{"identities", cmp.Or(s.Identities, "24h"), &w.Identities},
	} {
		if *rule.to, err = ruleOf(rule.text, zone); err != nil {
			return w, fmt.Errorf("schedule.%s: %w", rule.key, err)
		}
	}
	if s.Window != "" {
		if w.Window, err = schedule.Between(s.Window, zone); err != nil {
			return w, fmt.Errorf("schedule.window: %w", err)
		}
	}
	return w, nil
}

// ruleOf reads an interval, a calendar, or never.
func ruleOf(text string, zone *time.Location) (schedule.Rule, error) {
	const shortest = time.Minute
	if text == "never" {
		return schedule.Rule{}, nil
	}
	if every, err := duration(text); err == nil {
		if every < shortest {
			return schedule.Rule{}, fmt.Errorf("want %v at least", shortest)
		}
		return schedule.Every(every), nil
	}
	r, err := schedule.At(text, zone)
	if err != nil {
		return r, fmt.Errorf("want an interval such as 4h or 7d, five fields as in a crontab such as \"30 3 * * *\", or never: %w", err)
	}
	return r, nil
}
