package config

import (
	"fmt"
	"slices"
	"strings"

	"holdfast/size"
)

// Drill says where and how drills run; every zero has a good default.
type Drill struct {
	Server     string              `yaml:"server"`     // local, container; empty: local if the programs are installed
	Dir        string              `yaml:"dir"`        // where sandbox servers keep their data, or their sockets
	Programs   string              `yaml:"programs"`   // directory of initdb and postgres; searched for when empty
	User       string              `yaml:"user"`       // to run them as, when Holdfast runs as root
	Image      string              `yaml:"image"`      // of Postgres, in a container; the node's own when empty
	KeepFree   Size                `yaml:"keep_free"`  // the space to leave free on a disk that a live server uses
	Memory     Size                `yaml:"memory"`     // the most that it takes; what is free when 0
	Processors int                 `yaml:"processors"` // the most that it uses; all when 0
	Checks     map[string][]string `yaml:"checks"`     // by component: SQL that returns no row, or true
	Boot       Boot                `yaml:"boot"`
}

// Boot says how the participant is started on a restored database.
type Boot struct {
	Image    string            `yaml:"image"`    // the node's own when empty
	Env      map[string]string `yaml:"env"`      // in addition to the node's own, which it overrides
	Memory   Size              `yaml:"memory"`   // the limit; half of the free memory when 0
	Patience Duration          `yaml:"patience"` // until it reports its id; 10m when 0
}

// The values of drill.server.
const (
	LocalServer     = "local"
	ContainerServer = "container"
)

// leastDrill is the least memory that a server of a drill works with.
const leastDrill = 512 << 20

func (d Drill) check(databases []string) error {
	if d.Server != "" && d.Server != LocalServer && d.Server != ContainerServer {
		return fmt.Errorf("drill.server: want %s, %s, or nothing", LocalServer, ContainerServer)
	}
	if d.Memory != 0 && d.Memory < leastDrill {
		return fmt.Errorf("drill.memory: want at least %s, or leave it out", size.Of(leastDrill))
	}
	for name := range d.Checks {
		if !slices.Contains(databases, name) {
			return fmt.Errorf("drill.checks.%s: there is no database %s; there are %s", name, name,
				strings.Join(databases, ", "))
		}
	}
	for name := range d.Boot.Env {
		if name == "" || strings.ContainsAny(name, "= ") {
			return fmt.Errorf("drill.boot.env: %q is no name of a variable", name)
		}
	}
	return nil
}
