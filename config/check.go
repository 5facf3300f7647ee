package config

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"holdfast/place"
)

// Check says what else `holdfast check` reads, what is declared, and the
// thresholds; every zero threshold has a good default.
type Check struct {
	Scans        []string      `yaml:"scans"`         // addresses of Scans, of several super validators
	Admin        string        `yaml:"admin"`         // host:port of the participant's admin API
	Metrics      []string      `yaml:"metrics"`       // Prometheus endpoints of the participant and the validator app
	SecondCopy   place.Place   `yaml:"second_copy"`   // a copy of the repository that is not in copies
	NotBackedUp  []string      `yaml:"not_backed_up"` // databases and roles of the node's own servers that are in no set on purpose
	RestoreSpace string        `yaml:"restore_space"` // a directory on the file system that a restore fills
	Retention    []SVRetention `yaml:"retention"`
	History      *bool         `yaml:"history"`     // false: gaps in the history are accepted
	Pruning      string        `yaml:"pruning"`     // the intended pruning window, such as 48h; off
	Cadence      Duration      `yaml:"cadence"`     // between backups
	Grace        Duration      `yaml:"grace"`       // how late a backup may be
	DrillEvery   Duration      `yaml:"drill_every"` // between drills
	KeyTestEvery Duration      `yaml:"key_test_every"`
	AttackEvery  Duration      `yaml:"attack_every"` // between attacks that are tried on locks
	CopyBehind   Duration      `yaml:"copy_behind"`  // how far the second copy may lag
	Runway       Duration      `yaml:"runway"`       // the least that must be left with every super validator
	ClockSkew    Duration      `yaml:"clock_skew"`
}

// SVRetention is the declared retention of one super validator's sequencer.
type SVRetention struct {
	SV     string   `yaml:"sv"` // its name as in Scan; * for all others
	Keeps  Duration `yaml:"keeps"`
	Source string   `yaml:"source"` // who said so, and when
}

// NoPruning is the value of check.pruning for a participant that must never
// prune.
const NoPruning = "off"

func (c Check) check() error {
	for _, list := range []struct {
		key  string
		urls []string
	}{{"scans", c.Scans}, {"metrics", c.Metrics}} {
		for i, text := range list.urls {
			u, err := url.Parse(text)
			if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.User != nil {
				return fmt.Errorf("check.%s[%d]: want an address such as https://scan.sv-1.example.com", list.key, i)
			}
			if slices.Index(list.urls, text) != i {
				return fmt.Errorf("check.%s[%d]: it is listed twice, and would count twice", list.key, i)
			}
		}
	}
	if c.Admin != "" {
		if host, port, err := net.SplitHostPort(c.Admin); err != nil || host == "" || port == "" {
			return errors.New("check.admin: want host:port, such as localhost:5002")
		}
	}
	seen := map[string]bool{}
	for i, r := range c.Retention {
		key := fmt.Sprintf("check.retention[%d]", i)
		switch {
		case r.SV == "":
			return fmt.Errorf("%s.sv: name the super validator; '*' stands for all others", key)
		case r.Keeps <= 0:
			return fmt.Errorf("%s.keeps: set the retention of that super validator's sequencer, such as 30d", key)
		case strings.TrimSpace(r.Source) == "":
			return fmt.Errorf("%s.source: say who stated this, and when; a retention without a source does not count",
				key)
		case seen[r.SV]:
			return fmt.Errorf("%s.sv: %s is listed twice", key, r.SV)
		}
		seen[r.SV] = true
	}
	if _, err := c.PruningKept(); err != nil {
		return err
	}
	return nil
}

// PruningKept is the declared pruning window of the participant; 0 when it is
// off or not declared.
func (c Check) PruningKept() (time.Duration, error) {
	if c.Pruning == "" || c.Pruning == NoPruning {
		return 0, nil
	}
	d, err := duration(c.Pruning)
	if err != nil || d <= 0 {
		return 0, errors.New("check.pruning: want off, or a duration such as 48h or 30d")
	}
	return d, nil
}
