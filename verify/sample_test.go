package verify

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"holdfast/record"
	"holdfast/stored"
)

// However a repository grows and shrinks meanwhile, a round reads every blob
// that was there when it began, and takes no more runs than its share says,
// give or take what came in between.
func TestARoundReadsEveryBlob(t *testing.T) {
	for seed := range uint64(50) {
		r := rand.New(rand.NewPCG(seed, 1))
		fresh := func() stored.Blob {
			return stored.Blob{Name: fmt.Sprintf("%c%016x", "pq"[r.IntN(2)], r.Uint64()), Bytes: 1 + r.Int64N(1000)}
		}
		var blobs []stored.Blob
		for range 1 + r.IntN(200) {
			blobs = append(blobs, fresh())
		}
		there := slices.Clone(blobs)
		percent := 1 + r.Float64()*40
		now := time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)
		var v record.Verification
		read := map[string]bool{}
		runs := 0
		for v.Since.IsZero() {
			if runs++; float64(runs) > 100/percent+float64(len(blobs)) {
				t.Fatalf("seed %d: no end after %d runs of %.1f%%", seed, runs, percent)
			}
			names, _, next := choose(blobs, percent, v, now)
			for _, n := range names {
				if read[n] {
					t.Fatalf("seed %d: %s is read twice in a round", seed, n)
				}
				read[n] = true
			}
			v = advance(next, names, blobs)
			if r.IntN(3) == 0 {
				blobs = append(blobs, fresh())
			}
			now = now.Add(24 * time.Hour)
		}
		for _, b := range there {
			if !read[b.Name] {
				t.Errorf("seed %d: %s was not read", seed, b.Name)
			}
		}
		if want := time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC); !v.Since.Equal(want) {
			t.Errorf("seed %d: everything is said to be read since %v", seed, v.Since)
		}
		if names, _, next := choose(blobs, percent, v, now); len(names) == 0 || next.Share != 0 ||
			!next.Round.Equal(now) {
			t.Errorf("seed %d: the next round does not begin: %v, %+v", seed, names, next)
		}
	}
}

func TestAnEmptyRepositoryIsReadAtOnce(t *testing.T) {
	names, bytes, v := choose(nil, 5, record.Verification{}, time.Unix(1, 0))
	if v = advance(v, names, nil); len(names) > 0 || bytes != 0 || v.Share != 1 {
		t.Errorf("%v, %d, %+v", names, bytes, v)
	}
}

// A rate is kept on average.
func TestReadingIsPaced(t *testing.T) {
	began := time.Now()
	p := pace{rate: 1 << 20, began: began, now: time.Now}
	for done := int64(0); done < 100<<10; done += 10 << 10 {
		if err := p.wait(t.Context(), done); err != nil {
			t.Fatal(err)
		}
	}
	if took := time.Since(began); took < 80*time.Millisecond {
		t.Errorf("90 KiB at 1 MiB a second took %v", took)
	}
}
