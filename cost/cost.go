// Package cost says what a provider charges for, and what that comes to. It knows
// no prices but those that it is given: they differ between regions, and change.
package cost

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Usage is what a provider charges for.
type Usage struct {
	Hours     map[string]float64 `json:"instance_hours,omitempty"`     // of instances, by their class
	Storage   float64            `json:"storage_gb_months,omitempty"`  // of instances
	Volumes   float64            `json:"volume_gb_months,omitempty"`   // of clusters, by what they have
	Snapshots float64            `json:"snapshot_gb_months,omitempty"` // beyond what is free
	Bucket    float64            `json:"bucket_gb_months,omitempty"`   // of a repository
}

// Prices are those of one currency. One that is 0 is unknown.
type Prices struct {
	Currency                   string
	Hours                      map[string]float64 // of an instance, by its class
	Storage, Snapshots, Bucket float64            // of a GB for a month
	Volumes                    float64            // the same, of a cluster
}

// Sum is what a usage comes to at prices.
type Sum struct {
	Amount   float64  `json:"amount"` // of what has a price
	Currency string   `json:"currency,omitempty"`
	Unknown  []string `json:"unknown_prices,omitempty"` // what has none
}

// Of is what a usage comes to.
func (p Prices) Of(u Usage) Sum {
	out := Sum{Currency: p.Currency}
	add := func(used, price float64, what string) {
		switch {
		case used == 0:
		case price == 0:
			out.Unknown = append(out.Unknown, what)
		default:
			out.Amount += used * price
		}
	}
	for _, class := range slices.Sorted(maps.Keys(u.Hours)) {
		add(u.Hours[class], p.Hours[class], "an hour of "+class)
	}
	add(u.Storage, p.Storage, "a GB-month of an instance's storage")
	add(u.Volumes, p.Volumes, "a GB-month of a cluster's volume")
	add(u.Snapshots, p.Snapshots, "a GB-month of snapshots")
	add(u.Bucket, p.Bucket, "a GB-month of the bucket")
	return out
}

func (s Sum) String() string {
	amount := fmt.Sprintf("%.2f %s", s.Amount, s.Currency)
	if s.Amount > 0 && s.Amount < 0.01 {
		amount = "less than 0.01 " + s.Currency
	}
	switch {
	case len(s.Unknown) == 0:
		return strings.TrimSpace(amount)
	case s.Amount == 0:
		return "unknown: no price of " + strings.Join(s.Unknown, ", of ")
	}
	return amount + ", without " + strings.Join(s.Unknown, " and ") + ", whose price is unknown"
}

func (u Usage) String() string {
	var out []string
	for _, class := range slices.Sorted(maps.Keys(u.Hours)) {
		out = append(out, fmt.Sprintf("%.1f hours of %s", u.Hours[class], class))
	}
	for _, of := range []struct {
		n    float64
		what string
	}{{u.Storage, "instance storage"}, {u.Volumes, "cluster volumes"}, {u.Snapshots, "snapshots"}, {u.Bucket, "a bucket"}} {
		if of.n > 0 {
			out = append(out, gigabytes(of.n)+" GB-months of "+of.what)
		}
	}
	if len(out) == 0 {
		return "nothing"
	}
	return strings.Join(out, ", ")
}

func gigabytes(n float64) string {
	if n >= 10 {
		return fmt.Sprintf("%.0f", n)
	}
	return fmt.Sprintf("%.2f", max(n, 0.01))
}

// Plus is both together.
func (u Usage) Plus(o Usage) Usage {
	out := Usage{
		Storage: u.Storage + o.Storage, Volumes: u.Volumes + o.Volumes, Snapshots: u.Snapshots + o.Snapshots,
		Bucket: u.Bucket + o.Bucket,
	}
	for _, hours := range []map[string]float64{u.Hours, o.Hours} {
		for class, n := range hours {
			if out.Hours == nil {
				out.Hours = map[string]float64{}
			}
			out.Hours[class] += n
		}
	}
	return out
}

// hoursOfMonth are those of a month on average.
const hoursOfMonth = 730

// shortest is what is charged for an instance at least: Amazon RDS User Guide,
// "On-Demand DB instances".
const shortest = 10 * time.Minute

// Instance is what an instance is charged for that is there for so long.
func Instance(class string, gb float64, there time.Duration) Usage {
	hours := max(there, shortest).Hours()
	return Usage{Hours: map[string]float64{class: hours}, Storage: gb * hours / hoursOfMonth}
}

// Snapshot is what a snapshot of so many GB is charged for that is kept for so
// long, if none of it is free.
func Snapshot(gb float64, kept time.Duration) Usage {
	return Usage{Snapshots: gb * kept.Hours() / hoursOfMonth}
}

// Month is a node whose sets of the last month are kept.
type Month struct {
	GB        float64       // of its databases, which fill the storage of their instance
	ChangedGB float64       // blocks that change in a day
	Days      int           // of the month
	Lifts     float64       // in the month
	LiftTakes time.Duration // from the request of the instance to its deletion
	Class     string        // of the instance
}

// Kept are the GB that hold all sets: the databases once, and what has changed
// since. The number of sets does not matter, because each has only what changed.
func (m Month) Kept() float64 { return m.GB + float64(m.Days)*m.ChangedGB }

// Dump is a month of dumps to a bucket, at most: what is stored is compressed.
func (m Month) Dump() Usage { return Usage{Bucket: m.Kept()} }

// RDS is a month of snapshots of an RDS instance: as much as the instance has
// storage is free.
func (m Month) RDS() Usage { return Usage{Snapshots: max(0, m.Kept()-m.GB)} }

// Aurora is a month of snapshots of an Aurora cluster: manual ones that are older
// than its automated backups are not free.
func (m Month) Aurora() Usage { return Usage{Snapshots: m.Kept()} }

// Lift is what the lifts of a month add: the instances, and the rows in the bucket.
func (m Month) Lift() Usage {
	one := Instance(m.Class, m.GB, m.LiftTakes)
	return Usage{
		Hours: map[string]float64{m.Class: one.Hours[m.Class] * m.Lifts}, Storage: one.Storage * m.Lifts, Bucket: m.Kept(),
	}
}
