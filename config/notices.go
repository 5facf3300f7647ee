package config

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"holdfast/schedule"
)

// Notices says who gets a notice when something is wrong, by `holdfast run`.
type Notices struct {
	Patience Duration          `yaml:"patience"` // how long a problem lasts before a notice; 10m when empty
	Repeat   Duration          `yaml:"repeat"`   // of one that lasts; 24h when empty
	To       map[string]Notice `yaml:"to"`       // targets, by a name for them
	// Heartbeat is the address that a backup pings when it starts, succeeds and
	// fails, as at healthchecks.io: it notices silence.
	Heartbeat Reference `yaml:"heartbeat"`
}

// Notice is one target of notices.
type Notice struct {
	URL    Reference `yaml:"url"`    // where its address is, which is a secret
	Digest string    `yaml:"digest"` // when it gets a summary: five fields as in a crontab, an interval, or never
}

// DigestRule is when a target gets a summary, in the zone of the schedule.
func (c *Config) DigestRule(n Notice) (schedule.Rule, error) {
	zone, err := time.LoadLocation(cmp.Or(c.Schedule.Zone, "UTC"))
	if err != nil {
		return schedule.Rule{}, err
	}
	return ruleOf(cmp.Or(n.Digest, "never"), zone)
}

func (c *Config) checkNotices() error {
	for name, n := range c.Notices.To {
		key := "notices.to." + name
		if n.URL == "" {
			return fmt.Errorf("%s.url: say where its address is, such as file:/etc/holdfast/slack.url", key)
		}
		if err := n.URL.check(key + ".url"); err != nil {
			return err
		}
		if _, err := c.DigestRule(n); err != nil {
			return fmt.Errorf("%s.digest: %w", key, err)
		}
	}
	if c.Notices.Repeat != 0 && c.Notices.Repeat < Duration(time.Minute) {
		return errors.New("notices.repeat: want 1m at least")
	}
	return c.Notices.Heartbeat.check("notices.heartbeat")
}

// references are those of the notices, by their keys.
func (n Notices) references() map[string]Reference {
	out := map[string]Reference{"notices.heartbeat": n.Heartbeat}
	for name, to := range n.To {
		out["notices.to."+name+".url"] = to.URL
	}
	return out
}
