package verify

import (
	"slices"
	"strings"
	"time"

	"holdfast/record"
	"holdfast/stored"
)

// choose picks the blobs of the next sample: the ones after the last one that
// was read, in the order of their names, up to that share of all bytes. Names
// are random, so this is a random sample. As it continues where the last one
// ended, every blob is read once in a round. A new round begins when the last
// one is complete.
func choose(
	blobs []stored.Blob, percent float64, last record.Verification, now time.Time,
) (names []string, bytes int64, memory record.Verification) {
	blobs = inOrder(blobs)
	if last.Round.IsZero() || last.Share >= 1 {
		last.Round, last.Cursor, last.Share = now.UTC(), "", 0
	}
	var total int64
	for _, b := range blobs {
		total += b.Bytes
	}
	want := int64(float64(total) * percent / 100)
	for _, b := range blobs {
		if key(b.Name) <= last.Cursor {
			continue
		}
		if bytes >= want && len(names) > 0 {
			break
		}
		names, bytes = append(names, b.Name), bytes+b.Bytes
	}
	return names, bytes, last
}

// advance records that those blobs were read. A complete round has read
// everything that was stored when it began.
func advance(v record.Verification, read []string, blobs []stored.Blob) record.Verification {
	for _, name := range read {
		v.Cursor = max(v.Cursor, key(name))
	}
	var done, total int64
	for _, b := range blobs {
		total += b.Bytes
		if key(b.Name) <= v.Cursor {
			done += b.Bytes
		}
	}
	v.Share = 1
	if total > 0 {
		v.Share = float64(done) / float64(total)
	}
	if done == total {
		v.Share, v.Since = 1, v.Round
	}
	return v
}

func inOrder(blobs []stored.Blob) []stored.Blob {
	blobs = slices.Clone(blobs)
	slices.SortFunc(blobs, func(a, b stored.Blob) int { return strings.Compare(key(a.Name), key(b.Name)) })
	return blobs
}

// key is a blob's name without its first letter, which says what it holds:
// small blobs with directories and large ones with rows are read in one mixed
// order.
func key(name string) string {
	if name == "" {
		return ""
	}
	return name[1:]
}
