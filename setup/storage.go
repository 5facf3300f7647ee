package setup

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"holdfast/event"
	"holdfast/metrics"
	"holdfast/repository"
)

// sizing is how large a repository is in its storage, measured now and then: it
// takes a request for each thousand blobs.
type sizing struct {
	mu    sync.Mutex
	at    time.Time
	bytes int64
}

// measureEach is how long a measured size is believed.
const measureEach = 6 * time.Hour

// of measures the repository, unless that was done recently.
func (s *sizing) of(ctx context.Context, r *repository.Repository, now time.Time) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if age := now.Sub(s.at); age >= 0 && age < measureEach {
		return s.bytes, nil
	}
	bytes, err := r.Size(ctx)
	if err == nil {
		s.at, s.bytes = now, bytes
	}
	return s.bytes, err
}

// traffic adds up what went to and from places outside of the machine since the
// service was started.
type traffic struct {
	mu sync.Mutex
	of map[string]repository.Traffic
}

// heard counts what passes on its way to another listener.
func (t *traffic) heard(next event.Listener) event.Listener {
	return func(e event.Event) {
		if counted, ok := e.(repository.TrafficCounted); ok {
			t.add(counted)
		}
		next.Report(e)
	}
}

func (t *traffic) add(counted repository.TrafficCounted) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.of == nil {
		t.of = map[string]repository.Traffic{}
	}
	t.of[counted.Repository] = t.of[counted.Repository].Plus(counted.Traffic)
}

// measured are the metrics of each place.
func (t *traffic) measured() (list []metrics.Traffic) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, place := range slices.Sorted(maps.Keys(t.of)) {
		c := t.of[place]
		list = append(list, metrics.Traffic{
			Place:    place,
			Requests: map[string]int64{"write": c.Writes, "read": c.Reads, "list": c.Lists, "delete": c.Deletes},
			Sent:     c.Sent, Received: c.Received,
		})
	}
	return list
}
