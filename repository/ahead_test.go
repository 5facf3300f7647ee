package repository

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/kopia/kopia/repo/content"
	"github.com/kopia/kopia/repo/object"
)

// far answers only when as many pieces as are read in advance were asked for.
type far struct {
	content.Reader
	asked chan struct{}
	all   chan struct{}
	lost  content.ID
}

func (f far) GetContent(ctx context.Context, id content.ID) ([]byte, error) {
	f.asked <- struct{}{}
	select {
	case <-f.all:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if id == f.lost {
		return nil, errors.New("lost")
	}
	return []byte(id.String()), nil
}

// The pieces of a file are asked for at once and come in their order. The error of one
// comes behind the bytes before it.
func TestPiecesAreReadAtOnce(t *testing.T) {
	const pieces = 3 * readaheadPieces
	var ids []content.ID
	var entries []object.IndirectObjectEntry
	var want bytes.Buffer
	for i := range pieces {
		id, err := content.ParseID(fmt.Sprintf("%064x", i))
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
		want.WriteString(id.String())
		entries = append(entries, object.IndirectObjectEntry{Length: int64(len(id.String()))})
	}
	for _, lost := range []int{-1, pieces / 2} {
		f := far{asked: make(chan struct{}, pieces), all: make(chan struct{})}
		expected := want.Bytes()
		if lost >= 0 {
			f.lost = ids[lost]
			expected = expected[:lost*int(entries[0].Length)]
		}
		a := &readahead{coming: make(chan chan ready, readaheadPieces-1)}
		a.ctx, a.stop = context.WithTimeout(t.Context(), 30*time.Second)
		go a.fetch(f, ids, entries)
		for range readaheadPieces {
			select {
			case <-f.asked:
			case <-a.ctx.Done():
				t.Fatal("pieces wait for each other")
			}
		}
		close(f.all)
		got, err := io.ReadAll(a)
		if !bytes.Equal(got, expected) || (err != nil) != (lost >= 0) {
			t.Errorf("without piece %d: %d bytes, %v; want %d", lost, len(got), err, len(expected))
		}
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	}
}
