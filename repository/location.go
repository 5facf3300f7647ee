package repository

import (
	"context"

	"github.com/kopia/kopia/repo/blob"

	"holdfast"
	"holdfast/place"
)

// Option says more about a repository than where it is.
type Option func(*location)

// Copies are places outside of the repository that get a copy of
// kopia.repository each, without which nothing in it can be read.
func Copies(in ...place.Place) Option { return func(l *location) { l.copies = in } }

// ErrorCorrection is how much redundancy a new repository stores beside the
// data, in percent of it.
func ErrorCorrection(percent int) Option { return func(l *location) { l.errorCorrection = percent } }

// Through puts something between the repository and its storage: what limits,
// counts or disturbs it.
func Through(wrap func(blob.Storage) blob.Storage) Option {
	return func(l *location) { l.wrap = wrap }
}

// location is where a repository is, with what is said about it.
type location struct {
	place.Place
	site            site
	copies          []place.Place
	errorCorrection int
	wrap            func(blob.Storage) blob.Storage
}

// site is what a repository needs of a place. A new kind of place is a file
// with one, and a line in sites.
type site interface {
	// storage opens the place as a storage of blobs; create makes what is not
	// there yet. An error that is fs.ErrNotExist says that the place is not there.
	storage(ctx context.Context, create bool) (blob.Storage, error)
	// vacant reports whether nothing is there: not even the place, or it is empty.
	vacant() (bool, error)
	// lock opens a lock of that name, which is not held yet.
	lock(name string) (lock, error)
	// lockFile is what kopia derives the path of its own lock from; "" for a
	// place where it has none.
	lockFile() string
}

// lock is held by one process at a time, and given back however that ends.
type lock interface {
	// try takes the lock; false where another holds it.
	try() (bool, error)
	// release gives the lock back, if it is held, and closes it.
	release()
}

// shelf is a place outside of a repository for small files that open it.
type shelf interface {
	names() ([]string, error) // of the files there
	read(name string) ([]byte, error)
	write(name string, b []byte) error // whole or not at all
	remove(name string) error
	where(name string) string // for people
}

// The places a repository can be in, and those for copies of what opens it.
var (
	sites = map[place.Scheme]func(place.Place) site{
		place.File: func(p place.Place) site { return localDirectory(p.Path) },
	}
	shelves = map[place.Scheme]func(place.Place) shelf{
		place.File: func(p place.Place) shelf { return localDirectory(p.Path) },
	}
)

// locate finds what it takes to use a place.
func locate(at place.Place, options []Option) (location, error) {
	l := location{Place: at}
	for _, o := range options {
		o(&l)
	}
	if err := at.Serves(place.Repository); err != nil {
		return l, &holdfast.Problem{Class: holdfast.Usage, What: "repository " + at.String(), Err: err,
			Do: "Name another place in repository.path."}
	}
	l.site = sites[at.Scheme](at)
	return l, nil
}

// storage opens the storage.
func (l location) storage(ctx context.Context, create bool) (blob.Storage, error) {
	st, err := l.site.storage(ctx, create)
	if err == nil && l.wrap != nil {
		st = l.wrap(st)
	}
	return st, err
}

// outside are the places for copies of what opens the repository. One of a kind
// that takes none has its own users, who complain.
func (l location) outside() (list []shelf) {
	for _, p := range l.copies {
		if open, ok := shelves[p.Scheme]; ok {
			list = append(list, open(p))
		}
	}
	return list
}
