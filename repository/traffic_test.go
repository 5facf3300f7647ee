package repository_test

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	"holdfast"
	"holdfast/internal/eventtest"
	"holdfast/internal/storetest"
	"holdfast/place"
	"holdfast/repository"
)

// What is counted is what the server of a bucket is asked, and what it would charge
// for.
func TestTrafficIsWhatTheServerCounts(t *testing.T) {
	s := storetest.S3(t)
	created(t, s)
	var writes, reads, lists, deletes atomic.Int64
	forward := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: s.Address})
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		names := r.URL.Query().Has("list-type")
		switch {
		case r.Method == http.MethodDelete:
			deletes.Add(1)
		case r.Method == http.MethodPut:
			writes.Add(1)
		case names:
			lists.Add(1)
		case !r.URL.Query().Has("location"):
			reads.Add(1)
		}
		forward.ServeHTTP(w, r)
	}))
	defer front.Close()
	at, err := place.Parse("s3://"+s.Place.Bucket+"/"+s.Place.Path+"?region=us-east-1&tls=off&endpoint="+
		front.Listener.Addr().String(), "/")
	if err != nil {
		t.Fatal(err)
	}
	var heard eventtest.Record
	r, err := repository.Open(t.Context(), at, holdfast.NewSecret(password), repository.By(s.Access))
	if err != nil {
		t.Fatal(err)
	}
	r.Events = heard.Hear
	content := random(1, 1<<20)
	if err := store(t.Context(), r, aSet("demo", 1, holdfast.Proven, rows), map[string][]byte{rows: content}); err != nil {
		t.Fatal(err)
	}
	sets(t, r, "demo")
	if err := r.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := r.Traffic()
	const opening = 1 // kopia looks for settings of the bucket before it hands the storage over
	if got.Writes != writes.Load() || got.Reads+opening != reads.Load() || got.Lists != lists.Load() ||
		got.Deletes != deletes.Load() {
		t.Errorf("counted %+v; the server saw %d, %d, %d and %d", got, writes.Load(), reads.Load(), lists.Load(),
			deletes.Load())
	}
	if got.Sent < int64(len(content)) || got.Received == 0 {
		t.Errorf("counted %d bytes sent and %d received", got.Sent, got.Received)
	}
	if said := eventtest.Of[repository.TrafficCounted](&heard); len(said) != 1 || said[0].Traffic != got {
		t.Errorf("reported %+v", said)
	}
}

// Limits hold on average, and a lease does not wait for its turn.
func TestLimitsOfAPlace(t *testing.T) {
	s := storetest.WebDAV(t)
	created(t, s)
	content := random(2, 600<<10)
	for name, c := range map[string]struct {
		limits repository.Limits
		least  time.Duration
	}{
		"upload": {repository.Limits{Upload: 400 << 10}, 400 * time.Millisecond}, // the first second's worth goes at once
		"none":   {},
	} {
		r := open(t, s.Place, repository.By(s.Access), repository.Limited(c.limits))
		began := time.Now()
		set := aSet("demo", len(name), holdfast.Proven, rows)
		if err := store(t.Context(), r, set, map[string][]byte{rows: content}); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took < c.least {
			t.Errorf("%s: %d bytes took %v", name, len(content), took)
		}
		content = random(3, 600<<10)
	}
	r := open(t, s.Place, repository.By(s.Access), repository.Limited(repository.Limits{Requests: 20}))
	before, began := r.Traffic(), time.Now()
	for len(sets(t, r, "demo")) > 0 {
		got := r.Traffic()
		n := got.Reads + got.Lists - before.Reads - before.Lists
		if took := time.Since(began); n > 40 {
			if most := 20 * (took.Seconds() + 1.1); float64(n) > most {
				t.Errorf("%d requests in %v", n, took)
			}
			break
		}
	}
}
