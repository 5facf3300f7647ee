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

// Check says where else to look when the conditions are judged, what is
// declared, and the thresholds; every zero threshold has a good default.
type Check struct {
	Scans        []string      `yaml:"scans"`         // addresses of Scans, of several super validators
	Admin        string        `yaml:"admin"`         // host:port of the participant's admin API
	Metrics      []string      `yaml:"metrics"`       // Prometheus endpoints of the participant and the validator app
	SecondCopy   place.Place   `yaml:"second_copy"`   // another repository, a copy of this one; one that is no directory is named and not looked into
	RestoreSpace string        `yaml:"restore_space"` // a directory on the file system that a restore fills
	Retention    []SVRetention `yaml:"retention"`
	History      *bool         `yaml:"history"`     // false: gaps in the history are accepted
	Pruning      string        `yaml:"pruning"`     // what the participant is meant to keep, such as 48h; off
	Cadence      Duration      `yaml:"cadence"`     // between backups
	Grace        Duration      `yaml:"grace"`       // that one may be late
	DrillEvery   Duration      `yaml:"drill_every"` // between rehearsed restores
	KeyTestEvery Duration      `yaml:"key_test_every"`
	CopyBehind   Duration      `yaml:"copy_behind"` // that the second copy may be
	Runway       Duration      `yaml:"runway"`      // that has to be left with every super validator
	ClockSkew    Duration      `yaml:"clock_skew"`
}

// SVRetention is what one super validator's sequencer is declared to keep.
type SVRetention struct {
	SV     string   `yaml:"sv"` // its name as in Scan; * for all that are not named
	Keeps  Duration `yaml:"keeps"`
	Source string   `yaml:"source"` // who said so, and when
}

// NoPruning is the value of check.pruning for a participant that is meant
// never to prune.
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
				return fmt.Errorf("check.%s[%d]: it is there twice, and would be believed twice", list.key, i)
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
			return fmt.Errorf("%s.sv: whose it is; '*' stands for all that are not named", key)
		case r.Keeps <= 0:
			return fmt.Errorf("%s.keeps: how long that super validator's sequencer keeps, such as 30d", key)
		case strings.TrimSpace(r.Source) == "":
			return fmt.Errorf("%s.source: who said so, and when; a statement without a source is not used", key)
		case seen[r.SV]:
			return fmt.Errorf("%s.sv: %s is there twice", key, r.SV)
		}
		seen[r.SV] = true
	}
	if _, err := c.PruningKept(); err != nil {
		return err
	}
	return nil
}

// PruningKept is what the participant is declared to keep; 0 when that is off,
// or not declared.
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
