package cost_test

import (
	"math"
	"testing"
	"time"

	"holdfast/cost"
)

// Only what has a price is summed up, and the rest is named.
func TestSums(t *testing.T) {
	used := cost.Instance("db.t4g.micro", 20, time.Minute).Plus(cost.Instance("db.t4g.micro", 20, 2*time.Hour)).
		Plus(cost.Snapshot(20, 73*time.Hour))
	if got := used.Hours["db.t4g.micro"]; math.Abs(got-(2+1.0/6)) > 1e-9 { // ten minutes are the least
		t.Errorf("%v hours", got)
	}
	if got := used.Snapshots; got != 2 {
		t.Errorf("%v GB-months of snapshots", got)
	}
	for _, c := range []struct {
		prices cost.Prices
		want   string
	}{
		{cost.Prices{Currency: "USD", Hours: map[string]float64{"db.t4g.micro": 3}, Storage: 10, Snapshots: 1}, "9.09 USD"},
		{cost.Prices{Currency: "USD", Hours: map[string]float64{"db.m5.large": 3}, Snapshots: 1},
			"2.00 USD, without an hour of db.t4g.micro and a GB-month of an instance's storage, whose price is unknown"},
		{cost.Prices{Currency: "USD", Hours: map[string]float64{"db.t4g.micro": 0.0001}, Storage: 0.0001, Snapshots: 0.0001},
			"less than 0.01 USD"},
		{cost.Prices{}, "unknown: no price of an hour of db.t4g.micro, of a GB-month of an instance's storage, of a GB-month " +
			"of snapshots"},
	} {
		if got := c.prices.Of(used).String(); got != c.want {
			t.Errorf("%+v: %s, want %s", c.prices, got, c.want)
		}
	}
	if got := used.String(); got != "2.2 hours of db.t4g.micro, 0.06 GB-months of instance storage, 2.00 GB-months of snapshots" {
		t.Error(got)
	}
}
