package config

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"

	"holdfast/cost"
)

// RDS says how Amazon RDS is reached, for databases that are captured by its
// snapshots. Credentials, and what is empty, come by AWS's own chain.
type RDS struct {
	Region   string   `yaml:"region"`
	Profile  string   `yaml:"profile"`  // of ~/.aws/config
	Endpoint string   `yaml:"endpoint"` // of another server that speaks it: https://...
	CA       string   `yaml:"ca"`       // file with certificates to trust, in addition to the system's
	Await    Duration `yaml:"await"`    // for an instance that is not available; 30m when zero
	Within   Duration `yaml:"within"`   // for a snapshot to become available; 6h when zero
	Poll     Duration `yaml:"poll"`     // between two questions; 15s when zero
	// DumpEvery is how often a service dumps the databases as well, so that their rows
	// are in the repository itself; 7d when zero.
	DumpEvery Duration `yaml:"dump_every"`
	// RowsFrom says what a service reads these rows from: RowsFromSnapshot,
	// RowsFromLive, or empty for a snapshot and, where that fails, the live databases.
	RowsFrom string `yaml:"rows_from"`
	Prices   Prices `yaml:"prices"` // of the provider, for estimates
}

// Prices are what the provider charges, each with its currency: 0.016 USD. What is
// empty is unknown.
type Prices struct {
	Hours     map[string]string `yaml:"hours"`     // of an instance, by its class
	Storage   string            `yaml:"storage"`   // of an instance, a GB and month
	Volumes   string            `yaml:"volumes"`   // of Aurora clusters, a GB and month
	Snapshots string            `yaml:"snapshots"` // a GB and month
}

// Prices are those of the provider, and that of the repository's storage.
func (c *Config) Prices() (cost.Prices, error) {
	p := c.RDS.Prices
	out := cost.Prices{Hours: map[string]float64{}}
	var failures []error
	read := func(key, text string) float64 {
		amount, currency, ok := price(text)
		switch {
		case !ok:
			failures = append(failures, fmt.Errorf("%s: want an amount and its currency, such as 0.016 USD", key))
		case currency != "" && out.Currency != "" && currency != out.Currency:
			failures = append(failures, fmt.Errorf("%s: it is in %s, and another price in %s", key, currency, out.Currency))
		case currency != "":
			out.Currency = currency
		}
		return amount
	}
	for _, class := range slices.Sorted(maps.Keys(p.Hours)) {
		out.Hours[class] = read("rds.prices.hours."+class, p.Hours[class])
	}
	out.Storage, out.Snapshots = read("rds.prices.storage", p.Storage), read("rds.prices.snapshots", p.Snapshots)
	out.Volumes = read("rds.prices.volumes", p.Volumes)
	if out.Currency != "" {
		out.Bucket = read("repository.price", c.Repository.Price)
	}
	return out, errors.Join(failures...)
}

// What the rows are read from.
const (
	RowsFromSnapshot = "snapshot" // a temporary instance that is made of the newest snapshot
	RowsFromLive     = "live"     // the live databases
)

// RDSDatabase says where in RDS a database is.
type RDSDatabase struct {
	Instance string `yaml:"instance"` // the instance, or the cluster
}

// MethodRDS captures a database by a snapshot that RDS takes and keeps.
const MethodRDS = "rds"

func (r RDS) check() error {
	if known := []string{RowsFromSnapshot, RowsFromLive}; r.RowsFrom != "" && !slices.Contains(known, r.RowsFrom) {
		return fmt.Errorf("rds.rows_from: want one of %v", known)
	}
	if r.Endpoint == "" {
		return nil
	}
	if u, err := url.Parse(r.Endpoint); err != nil || u.Host == "" || u.User != nil || u.Scheme != "https" && u.Scheme != "http" {
		return fmt.Errorf("rds.endpoint: want an address such as https://rds.example.com")
	}
	return nil
}

// checkRDS makes sure that a database says where it is exactly if it is captured
// there.
func (d Database) checkRDS(key string) error {
	switch {
	case d.Method == MethodRDS && d.RDS.Instance == "":
		return fmt.Errorf("%s.rds.instance: method rds needs the name of the RDS instance or cluster", key)
	case d.Method != MethodRDS && d.RDS.Instance != "":
		return fmt.Errorf("%s.rds.instance: it has a meaning with `method: rds` alone", key)
	}
	return nil
}
