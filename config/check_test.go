package config_test

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"holdfast"
	"holdfast/config"
)

const wholeCheck = least + `check:
  scans: ['https://scan.sv-1.example.com', 'https://scan.sv-2.example.com/api/scan']
  admin: localhost:5002
  metrics: ['http://participant:10013/metrics']
  second_copy: copy
  restore_space: /var/lib/postgresql
  retention:
    - {sv: Digital-Asset-2, keeps: 30d, source: 'asked on 2026-11-02'}
    - {sv: '*', keeps: 720h, source: the recommended value}
  history: false
  pruning: 48h
  cadence: 2h
  grace: 10m
  drill_every: 7d
  key_test_every: 90d
  copy_behind: 6h
  runway: 3d
  clock_skew: 5s
`

func TestEveryKeyOfCheckArrives(t *testing.T) {
	c, err := parse(wholeCheck, "HOLDFAST_CHECK_ADMIN=participant:5002")
	if err != nil {
		t.Fatal(err)
	}
	no := false
	const day = config.Duration(24 * time.Hour)
	want := config.Check{
		Scans: []string{"https://scan.sv-1.example.com", "https://scan.sv-2.example.com/api/scan"}, Admin: "participant:5002", Metrics: []string{"http://participant:10013/metrics"},
		SecondCopy: "/etc/holdfast/copy", RestoreSpace: "/var/lib/postgresql",
		Retention: []config.SVRetention{{SV: "Digital-Asset-2", Keeps: 30 * day, Source: "asked on 2026-11-02"}, {SV: "*", Keeps: 30 * day, Source: "the recommended value"}},
		History:   &no, Pruning: "48h", Cadence: day / 12, Grace: config.Duration(10 * time.Minute), DrillEvery: 7 * day, KeyTestEvery: 90 * day,
		CopyBehind: day / 4, Runway: 3 * day, ClockSkew: config.Duration(5 * time.Second),
	}
	if !reflect.DeepEqual(c.Check, want) {
		t.Errorf("got  %+v\nwant %+v", c.Check, want)
	}
	if d, err := c.Check.PruningKept(); err != nil || d != 48*time.Hour {
		t.Errorf("pruning %v, %v", d, err)
	}
	if got := origin(c, "check.retention[1].source"); got.Value != "the recommended value" {
		t.Errorf("%+v", got)
	}
	if v := reflect.ValueOf(c.Check); true {
		for i := range v.NumField() {
			if v.Field(i).IsZero() {
				t.Errorf("%s is not in the test", v.Type().Field(i).Name)
			}
		}
	}
}

func TestMistakesOfCheckAreNamed(t *testing.T) {
	for _, x := range []struct{ name, old, text, want string }{
		{"a Scan without a scheme", "'https://scan.sv-1.example.com'", "scan.example.com", "check.scans[0]: want an address"},
		{"a Scan twice", "https://scan.sv-1.example.com", "https://scan.sv-2.example.com/api/scan", "check.scans[1]: it is there twice"},
		{"an admin API without a port", "localhost:5002", "localhost", "check.admin: want host:port"},
		{"a retention of nobody", "sv: Digital-Asset-2, ", "", "check.retention[0].sv: whose it is"},
		{"a retention of nothing", "keeps: 30d, ", "", "check.retention[0].keeps: how long"},
		{"a retention that nobody said", ", source: 'asked on 2026-11-02'", "", "check.retention[0].source: who said so"},
		{"a retention twice", "Digital-Asset-2", "'*'", "check.retention[1].sv: * is there twice"},
		{"no pruning that is known", "pruning: 48h", "pruning: sometimes", "check.pruning: want off, or a duration"},
		{"a duration of no unit", "keeps: 30d", "keeps: 30", "check.retention[0].keeps: want a duration, such as 1s or 4h, or days such as 30d"},
		{"too many days", "keeps: 30d", "keeps: 300000000d", "check.retention[0].keeps: want a duration"},
	} {
		t.Run(x.name, func(t *testing.T) {
			if !strings.Contains(wholeCheck, x.old) {
				t.Fatal("no " + x.old)
			}
			_, err := parse(strings.Replace(wholeCheck, x.old, x.text, 1))
			if err == nil || !strings.Contains(err.Error(), x.want) || holdfast.ClassOf(err) != holdfast.Usage {
				t.Errorf("got  %v\nwant %s", err, x.want)
			}
		})
	}
	if _, err := parse(least, "HOLDFAST_CHECK_RETENTION=x"); err == nil || !strings.Contains(err.Error(), "names no setting") {
		t.Errorf("a list of keys from the environment: %v", err)
	}
}

func TestIsAddress(t *testing.T) {
	for text, want := range map[string]bool{
		"": false, "copy": false, "/mnt/copy": false, "./a:b": false, "/mnt/a:b": false,
		"s3://bucket/prefix": true, "gs://bucket": true, "sftp://host/path": true, "backup@host:/srv/copy": true, "host:copy": true,
	} {
		if got := config.IsAddress(text); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
}
