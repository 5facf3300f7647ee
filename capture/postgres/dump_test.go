package postgres_test

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"holdfast"
	"holdfast/canton"
	"holdfast/capture/postgres"
	"holdfast/internal/libpq"
	"holdfast/internal/splicetest"
)

// folder is a sink, and gives back, in a directory.
type folder string

func (f folder) Put(_ context.Context, name string, fill func(io.Writer) error) (holdfast.Artifact, error) {
	path := filepath.Join(string(f), name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return holdfast.Artifact{}, err
	}
	out, err := os.Create(path)
	if err != nil {
		return holdfast.Artifact{}, err
	}
	if err := fill(out); err != nil {
		_ = out.Close()
		return holdfast.Artifact{}, err
	}
	return holdfast.Artifact{Name: name}, out.Close()
}

func (f folder) Open(_ context.Context, name string) (io.ReadCloser, error) {
	return os.Open(filepath.Join(string(f), name))
}

// after stores files with parts of those in an earlier folder.
func (f folder) after(earlier folder) holdfast.Splice {
	return func(ctx context.Context, name string, fill func(holdfast.Splicer) error) (holdfast.Artifact, error) {
		return f.Put(ctx, name, func(w io.Writer) error { return fill(splicer{w, earlier}) })
	}
}

type splicer struct {
	io.Writer
	earlier folder
}

func (splicer) Divide() {}

func (s splicer) Take(_ context.Context, name string, from, bytes int64) (bool, error) {
	in, err := os.Open(filepath.Join(string(s.earlier), name))
	if err != nil {
		return false, nil //nolint:nilerr // it is not there
	}
	defer func() { _ = in.Close() }()
	part := make([]byte, bytes)
	if _, err := in.ReadAt(part, from); err != nil {
		return false, err
	}
	_, err = s.Write(part)
	return true, err
}

func clock() holdfast.Clock {
	began := time.Now()
	return func() holdfast.Moment { return holdfast.Moment{Wall: time.Now(), Since: time.Since(began)} }
}

func facts(ctx context.Context, tx pgx.Tx, kind holdfast.Kind) (holdfast.Facts, error) {
	return canton.Read(ctx, tx, kind)
}

func address(t testing.TB, dsn string) libpq.Address {
	t.Helper()
	info, err := libpq.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	return libpq.Address{Conninfo: info}
}

func TestDumpOfAParticipantRecordsRowsAndFacts(t *testing.T) {
	node := splicetest.NewNode(t, splicetest.NodeOptions{})
	d := postgres.Dumper{Address: address(t, node.ParticipantDSN()), Facts: facts}
	c, err := d.Capture(t.Context(), holdfast.Component{
		Name: "participant",
		Kind: holdfast.Participant,
	}, clock(), folder(t.TempDir()), holdfast.Earlier{})
	if err != nil {
		t.Fatal(err)
	}
	if p := part(c).Facts.Participant; p == nil || p.ParticipantID != node.Identities.ParticipantID ||
		p.LedgerEnd == nil {
		t.Errorf("facts: %+v", part(c).Facts)
	}
	t.Logf("%d tables, %d bytes, WAL %+v", len(rowsOf(part(c)).Tables), c.Bytes, c.WAL)
}
