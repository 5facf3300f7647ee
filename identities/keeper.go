package identities

import (
	"context"
	"time"

	"holdfast"
	"holdfast/place"
)

// Keeper keeps sealed identities in one place. It never removes any.
type Keeper interface {
	// Keep writes a sealed file and reads it back, unless it is there already;
	// the second result is whether it was written. A name stands for a
	// content (FileName), so what is there under it is left alone as long as it
	// looks intact. Otherwise it is replaced, so that one or the other is always
	// there whole.
	Keep(ctx context.Context, name string, sealed []byte) (Kept, bool, error)
	// List returns the sealed files, the newest first. A place that is not made
	// yet has none.
	List(ctx context.Context) ([]Kept, error)
}

// Kept is a sealed file in a place.
type Kept struct {
	Name    string
	Where   string // the path of a file
	Size    int64
	Written time.Time
}

// keepers are the keepers by the kind of place. A new kind is a file with one,
// and a line here.
var keepers = map[place.Scheme]func(place.Place) Keeper{
	place.File: func(p place.Place) Keeper { return directory{p.Path} },
}

// KeeperAt is the keeper of a place.
func KeeperAt(p place.Place) (Keeper, error) {
	if err := p.Serves(place.Identities); err != nil {
		return nil, &holdfast.Problem{Class: holdfast.Usage, What: "keep the identities in " + p.String(), Err: err,
			Do: "Name another place in identities.keep."}
	}
	return keepers[p.Scheme](p), nil
}

// KeepersAt are the keepers of places.
func KeepersAt(places []place.Place) ([]Keeper, error) {
	var list []Keeper
	for _, p := range places {
		k, err := KeeperAt(p)
		if err != nil {
			return nil, err
		}
		list = append(list, k)
	}
	return list, nil
}
