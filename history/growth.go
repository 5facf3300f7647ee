package history

import (
	"time"

	"holdfast"
)

// Growth is how large the databases and the storage are, and will be if they go
// on as they did.
type Growth struct {
	Points    []Point    `json:"points"`             // oldest first, one a day at most
	Databases int64      `json:"database_bytes"`     // in the newest set
	Stored    int64      `json:"stored_bytes"`       // in the storage; 0: unknown
	PerDay    *int64     `json:"bytes_per_day"`      // of the databases; null before there are two days of sets
	Forecast  []Forecast `json:"forecast"`           // empty while the growth is unknown
	Price     *Price     `json:"price,omitempty"`    // as declared
	Cost      *float64   `json:"cost_now,omitempty"` // of a month, at the declared price
}

// Point is the size of the databases in a set.
type Point struct {
	At        time.Time `json:"at"`
	Databases int64     `json:"database_bytes"`
}

// Forecast is what is expected at a time. The storage is expected to keep its
// size relative to the databases.
type Forecast struct {
	At        time.Time `json:"at"`
	Databases int64     `json:"database_bytes"`
	Stored    int64     `json:"stored_bytes"`
	Cost      *float64  `json:"cost,omitempty"` // of a month
}

// Price is what the operator pays for storage.
type Price struct {
	PerGiBMonth float64 `json:"per_gib_month"`
	Currency    string  `json:"currency"`
}

// of is the price of so many bytes for a month, nil without a price.
func (p Price) of(bytes int64) *float64 {
	if p.PerGiBMonth == 0 || bytes == 0 {
		return nil
	}
	cost := p.PerGiBMonth * float64(bytes) / (1 << 30)
	return &cost
}

const day = 24 * time.Hour

// least is the shortest time that a growth is computed from: what a day's load
// does is no trend.
const least = 2 * day

// horizons are how far ahead is looked.
var horizons = []time.Duration{30 * day, 90 * day, 365 * day}

func growth(sets []Set, now time.Time, o Options) Growth {
	g := Growth{Points: []Point{}, Forecast: []Forecast{}, Stored: o.Stored, Cost: o.Price.of(o.Stored)}
	if o.Price.PerGiBMonth > 0 {
		g.Price = &o.Price
	}
	for _, s := range sets {
		if s.Databases == 0 || s.State == holdfast.Mismatched {
			continue
		}
		p := Point{At: s.Began, Databases: s.Databases}
		if n := len(g.Points); n > 0 && sameDay(g.Points[n-1].At, p.At) {
			g.Points[n-1] = p
		} else {
			g.Points = append(g.Points, p)
		}
		g.Databases = s.Databases
	}
	recent := g.Points
	for len(recent) > 0 && now.Sub(recent[0].At) > Window {
		recent = recent[1:]
	}
	if len(recent) < 2 || recent[len(recent)-1].At.Sub(recent[0].At) < least {
		return g
	}
	perDay := slope(recent)
	whole := int64(perDay)
	g.PerDay = &whole
	for _, ahead := range horizons {
		g.Forecast = append(g.Forecast, g.at(now, ahead, perDay, o.Price))
	}
	return g
}

func (g Growth) at(now time.Time, ahead time.Duration, perDay float64, price Price) Forecast {
	f := Forecast{At: now.Add(ahead)}
	f.Databases = max(0, g.Databases+int64(perDay*ahead.Hours()/24))
	if g.Databases > 0 {
		f.Stored = int64(float64(g.Stored) * float64(f.Databases) / float64(g.Databases))
	}
	f.Cost = price.of(f.Stored)
	return f
}

// slope is the growth a day by the least squares through all points: one odd day
// does not turn it.
func slope(points []Point) float64 {
	var x, y, xx, xy float64
	n := float64(len(points))
	for _, p := range points {
		at, bytes := p.At.Sub(points[0].At).Hours()/24, float64(p.Databases)
		x, y, xx, xy = x+at, y+bytes, xx+at*at, xy+at*bytes
	}
	return (n*xy - x*y) / (n*xx - x*x)
}

func sameDay(a, b time.Time) bool { return a.UTC().Truncate(day).Equal(b.UTC().Truncate(day)) }
