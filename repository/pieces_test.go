package repository_test

import (
	"bytes"
	"context"
	"io"
	"slices"
	"testing"

	"holdfast"
	"holdfast/repository/repositorytest"
)

// A row inserted in the middle changes its own piece, not the pieces behind it.
func TestPiecesBehindANewRowAreReused(t *testing.T) {
	everywhere(t, func(t *testing.T, s *site) {
		at := s.make1(t)
		r := open(t, at)
		var rows [][]byte
		for i := range 40 {
			rows = append(rows, random(uint64(i)+1000, 300<<10))
		}
		save := func(n int) (grown int64) {
			before := size(t, at)
			err := r.Write(t.Context(), "set", func(ctx context.Context, w holdfast.SetWriter) error {
				if err := fill(ctx, w, nil); err != nil {
					return err
				}
				if _, err := w.Put(ctx, "app/rows.copy", func(out io.Writer) error {
					for _, row := range rows {
						if _, err := out.Write(row); err != nil {
							return err
						}
						out.(interface{ Divide() }).Divide()
					}
					return nil
				}); err != nil {
					return err
				}
				return w.Seal(ctx, aSet("n", n, holdfast.Proven, "app/rows.copy"))
			})
			if err != nil {
				t.Fatal(err)
			}
			set, files, err := r.Latest(t.Context(), "n")
			if err != nil || set.ID == "" {
				t.Fatal(set.ID, err)
			}
			if !bytes.Equal(repositorytest.Read(t, files, "app/rows.copy"), bytes.Join(rows, nil)) {
				t.Fatal("the rows came back different")
			}
			return size(t, at) - before
		}
		first := save(1)
		rows = slices.Insert(rows, 5, random(7, 300<<10))
		if next := save(2); next > first/10 {
			t.Errorf("one row of 40 more: %d bytes stored, %d the first time", next, first)
		}
		// Large writes without a word are divided all the same, in order.
		rows = [][]byte{random(8, 5<<20), random(9, 3)}
		save(3)
	})
}

func TestAnEmptyFileOfRowsComesBackEmpty(t *testing.T) {
	everywhere(t, func(t *testing.T, s *site) {
		at := s.make1(t)
		r := open(t, at)
		if err := store(t.Context(), r, aSet("n", 1, holdfast.Proven, "app/rows.copy"),
			map[string][]byte{"app/rows.copy": nil}); err != nil {
			t.Fatal(err)
		}
		_, files, err := r.Latest(t.Context(), "n")
		if err != nil {
			t.Fatal(err)
		}
		if got := repositorytest.Read(t, files, "app/rows.copy"); len(got) != 0 {
			t.Errorf("%d bytes", len(got))
		}
	})
}
