package config_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"holdfast"
	"holdfast/config"
	"holdfast/place"
)

const wholeCheck = least + `check:
  scans: ['https://scan.sv-1.example.com', 'https://scan.sv-2.example.com/api/scan']
  admin: localhost:5002
  metrics: ['http://participant:10013/metrics']
  second_copy: copy
  not_backed_up: [backend]
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
  attack_every: 60d
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
		Scans:        []string{"https://scan.sv-1.example.com", "https://scan.sv-2.example.com/api/scan"},
		Admin:        "participant:5002",
		Metrics:      []string{"http://participant:10013/metrics"},
		SecondCopy:   place.Directory("/etc/holdfast/copy"),
		NotBackedUp:  []string{"backend"},
		RestoreSpace: "/var/lib/postgresql",
		Retention: []config.SVRetention{
			{SV: "Digital-Asset-2", Keeps: 30 * day, Source: "asked on 2026-11-02"},
			{SV: "*", Keeps: 30 * day, Source: "the recommended value"},
		},
		History:      &no,
		Pruning:      "48h",
		Cadence:      day / 12,
		Grace:        config.Duration(10 * time.Minute),
		DrillEvery:   7 * day,
		KeyTestEvery: 90 * day,
		AttackEvery:  60 * day,
		CopyBehind:   day / 4,
		Runway:       3 * day,
		ClockSkew:    config.Duration(5 * time.Second),
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
		{"a Scan without a scheme", "'https://scan.sv-1.example.com'", "scan.example.com",
			"check.scans[0]: want an address"},
		{"a Scan twice", "https://scan.sv-1.example.com", "https://scan.sv-2.example.com/api/scan",
			"check.scans[1]: it is listed twice"},
		{"an admin API without a port", "localhost:5002", "localhost", "check.admin: want host:port"},
		{"a retention of nobody", "sv: Digital-Asset-2, ", "", "check.retention[0].sv: name the super validator"},
		{"a retention of nothing", "keeps: 30d, ", "", "check.retention[0].keeps: set the retention"},
		{"a retention without a source", ", source: 'asked on 2026-11-02'", "",
			"check.retention[0].source: say who stated this"},
		{"a retention twice", "Digital-Asset-2", "'*'", "check.retention[1].sv: * is listed twice"},
		{"no pruning that is known", "pruning: 48h", "pruning: sometimes", "check.pruning: want off, or a duration"},
		{"a duration of no unit", "keeps: 30d", "keeps: 30",
			"check.retention[0].keeps: want a duration, such as 1s or 4h, or days such as 30d"},
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
	if _, err := parse(least, "HOLDFAST_CHECK_RETENTION=x"); err == nil ||
		!strings.Contains(err.Error(), "names no setting") {
		t.Errorf("a list of keys from the environment: %v", err)
	}
}

// A place that this program cannot use is refused by the name of its kind,
// before anything is read. A second copy may be elsewhere all the same.
func TestPlaces(t *testing.T) {
	keep := "\nidentities: {url: 'http://v', recipients: [age1x], auth: {mode: token, token: 'env:T'}, keep: " +
		"[/x, '%s']}\n"
	second := "\ncheck: {second_copy: '%s'}\n"
	for _, x := range []struct{ text, place, want string }{
		{keep, "/mnt/usb", ""},
		{keep, "", "identities.keep[1]: want a directory"},
		{keep, "~/kept", "identities.keep[1]: only a shell expands ~"},
		{keep, "vault://vault.example.com/secret/node-1", ""},
		{keep, "awssm://eu-central-1/holdfast", ""},
		{keep, "vault://vault.example.com/secret", "identities.keep[1]: the address is incomplete"},
		{keep, "s3://bucket/x", "identities.keep[1]: s3:// does not hold identities"},
		{keep, "nas:/kept", "identities.keep[1]: HOST:PATH names another machine"},
		{keep, "op://hunter2", "identities.keep[1]: op:// is unknown"},

		{second, "", ""},
		{second, "copy", ""},
		{second, "/mnt/copy", ""},
		{second, "./a:b", ""},
		{second, "/mnt/a:b", ""},
		{second, "s3://bucket/prefix", ""},
		{second, "gs://bucket", ""},
		{second, "sftp://host/path", ""},
		{second, "backup@host:/srv/copy", "check.second_copy: HOST:PATH names another machine"},
		{second, "host:copy", "check.second_copy: HOST:PATH names another machine"},
		{second, "vault://vault.example.com/secret/x", "check.second_copy: vault:// does not hold a repository"},
		{second, "ftp://user:hunter2@host/x", "check.second_copy: ftp:// is unknown"},
		{second, "sftp://user:hunter2@host/x", "check.second_copy: an address must not hold a password"},
	} {
		_, err := parse(least + fmt.Sprintf(x.text, x.place))
		if (err == nil) != (x.want == "") || err != nil && !strings.Contains(err.Error(), x.want) {
			t.Errorf("%q: %v, want %s", x.place, err, x.want)
		}
		if err != nil && (holdfast.ClassOf(err) != holdfast.Usage || strings.Contains(err.Error(), "hunter2")) {
			t.Errorf("%q: of class %s: %v", x.place, holdfast.ClassOf(err), err)
		}
	}
}

func TestRolesOfACompose(t *testing.T) {
	compose := "node: demo\ncompose: {project: p, %s}\nrepository: {path: /x, password: 'file:y'}\n"
	for roles, want := range map[string]string{
		"services: {participant: mine}": "", "services: {nginx: mine}": "compose.services.nginx",
		"services: {validator: ''}":                                      "compose.services.validator",
		"reach: {postgres: exec, validator: address, participant: name}": "", "reach: {nginx: exec}": "compose.reach.nginx",
		"reach: {postgres: ssh}": "compose.reach.postgres: ssh", "reach: {postgres: ''}": "compose.reach.postgres",
	} {
		_, err := parse(fmt.Sprintf(compose, roles))
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: got %v, want %q", roles, err, want)
		}
	}
}
