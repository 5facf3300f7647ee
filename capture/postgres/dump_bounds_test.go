package postgres_test

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"holdfast"
	"holdfast/capture/postgres"
	"holdfast/internal/splicetest"
)

// nowhere is a sink that keeps nothing.
type nowhere struct{}

func (nowhere) Put(_ context.Context, name string, fill func(io.Writer) error) (holdfast.Artifact, error) {
	return holdfast.Artifact{Name: name}, fill(io.Discard)
}

func TestMemoryDoesNotGrowWithTheRows(t *testing.T) {
	server := splicetest.NewServer(t, "")
	exec1(t, server.DSN("postgres"), `CREATE DATABASE wide`)
	exec1(t, server.DSN("wide"), `
		CREATE TABLE rows_of_32_mb (id integer, v bytea);
		ALTER TABLE rows_of_32_mb ALTER COLUMN v SET STORAGE EXTERNAL;
		INSERT INTO rows_of_32_mb SELECT n, convert_to(repeat(md5(n::text), 1 << 20), 'UTF8') FROM generate_series(1, 6) n`)
	s := source{"wide", holdfast.App, server.DSN("wide")}
	var most atomic.Uint64
	done := make(chan struct{})
	go func() {
		for {
			select {
			case <-done:
				return
			default:
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				most.Store(max(most.Load(), m.HeapAlloc))
				time.Sleep(200 * time.Microsecond) // a row takes many times as long
			}
		}
	}()
	runtime.GC()
	var before runtime.MemStats
	runtime.ReadMemStats(&before)
	c, err := dumper(t, s, postgres.Options{}).Capture(t.Context(), component(s), clock(), nowhere{}, holdfast.Earlier{})
	close(done)
	if err != nil {
		t.Fatal(err)
	}
	if c.Bytes < 6*32<<20 {
		t.Errorf("only %d bytes were read", c.Bytes)
	}
	const bound = 24 << 20
	if grown := int64(most.Load()) - int64(before.HeapAlloc); grown > bound {
		t.Errorf("reading rows of 32 MiB took %d MiB of memory, the bound is %d", grown>>20, bound>>20)
	}
}

func TestAnUnchangedDatabaseGivesTheSameBytes(t *testing.T) {
	node := splicetest.NewNode(t, splicetest.NodeOptions{Bytes: 24 << 20})
	s := source{"participant", holdfast.Participant, node.ParticipantDSN()}
	options := postgres.Options{SegmentBlocks: 16}
	first, a := dump(t, "", s, options)
	second, b := dump(t, "", s, options)
	files := names(first)
	if !slices.Equal(files, names(second)) {
		t.Fatal("other files")
	}
	for _, name := range files {
		if !bytes.Equal(stored(t, a, name), stored(t, b, name)) {
			t.Errorf("%s differs", name)
		}
	}

	// What is appended changes the last segments of a table, and no other.
	end, err := node.LedgerEnd(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := splicetest.AppendUpdates(t.Context(), s.dsn, end, end+500); err != nil {
		t.Fatal(err)
	}
	third, c := dump(t, "", s, options)
	appended, kept := 0, 0
	for i, table := range rowsOf(third).Tables {
		old := rowsOf(first).Tables[i]
		if len(old.Segments) < 4 {
			continue
		}
		if table.Rows > old.Rows {
			appended++
		}
		for _, g := range old.Segments[:len(old.Segments)-2] { // a freed place in the one before the last may be filled
			kept++
			if !bytes.Equal(stored(t, a, g.File), stored(t, c, g.File)) && table.Name != "par_journal_requests" {
				t.Errorf("%s differs after appending", g.File)
			}
		}
	}
	if appended == 0 || kept < 10 {
		t.Errorf("%d tables grew, %d segments were to stay: too few to tell", appended, kept)
	}
}

// names are the files of a capture that hold no time of their own: pg_dump
// writes into the schema's when it ran.
func names(c holdfast.Part) []string {
	files := []string{rowsOf(c).Globals}
	for _, t := range rowsOf(c).Tables {
		for _, g := range t.Segments {
			files = append(files, g.File)
		}
	}
	return files
}

func stored(t testing.TB, f folder, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(string(f), name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}
