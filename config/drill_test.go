package config_test

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"holdfast/config"
)

func TestEveryKeyOfADrillArrives(t *testing.T) {
	c, err := parse(least + `drill:
  server: container
  dir: drills
  programs: /usr/lib/postgresql/15/bin
  user: postgres
  image: postgres:15
  keep_free: 20GiB
  memory: 4GiB
  processors: 2
  checks:
    participant: [SELECT true]
  boot:
    image: canton-participant:0.6.12
    env: {LOG_LEVEL_STDOUT: DEBUG}
    memory: 8GiB
    patience: 5m
`)
	want := config.Drill{
		Server:   config.ContainerServer,
		Dir:      "/etc/holdfast/drills",
		Programs: "/usr/lib/postgresql/15/bin",
		User:     "postgres",
		Image:    "postgres:15",
		KeepFree: 20 << 30, Memory: 4 << 30, Processors: 2,
		Checks: map[string][]string{"participant": {"SELECT true"}},
		Boot: config.Boot{
			Image:    "canton-participant:0.6.12",
			Env:      map[string]string{"LOG_LEVEL_STDOUT": "DEBUG"},
			Memory:   8 << 30,
			Patience: config.Duration(5 * time.Minute),
		},
	}
	if err != nil || !reflect.DeepEqual(c.Drill, want) {
		t.Errorf("%+v, %v\nwant %+v", c, err, want)
	}
	c, err = parse("node: demo\ncompose: {project: splice-validator}\nrepository: {path: /x, password: " +
		"env:P}\ndrill: {checks: {validator: [SELECT true]}}\n")
	if err != nil || len(c.Drill.Checks) != 1 {
		t.Errorf("a question to a database of a compose node: %v", err)
	}
}

func TestMistakesOfADrillAreNamed(t *testing.T) {
	for text, want := range map[string]string{
		"memory: 100MiB":           "drill.memory: want at least 512.0 MiB, or leave it out",
		"processors: -1":           "drill.processors: want a whole number",
		"server: docker":           "drill.server: want local, container, or nothing",
		"boots: {}":                "unknown key drill.boots; known here are server, dir",
		"boot: {images: x}":        "unknown key drill.boot.images; known here are image, env, memory, patience",
		"boot: {env: {'A B': x}}":  `drill.boot.env: "A B" is no name of a variable`,
		"boot: {memory: 8}":        "drill.boot.memory: want a number of bytes",
		"boot: {patience: 5}":      "drill.boot.patience: want a duration",
		"checks: {app: [SELECT]}":  "drill.checks.app: there is no database app; there are participant",
		"checks: {participant: x}": "drill.checks.participant: want a list",
	} {
		if _, err := parse(least + "drill: {" + text + "}\n"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v; want %s", text, err, want)
		}
	}
}
