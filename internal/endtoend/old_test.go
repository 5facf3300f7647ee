package endtoend

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"holdfast"
	"holdfast/internal/splicetest"
	"holdfast/place"
	"holdfast/restore"
)

// What the repository in testdata holds: one set that the program took when
// manifests were of version 1, of a node of three databases on Postgres 14.
// Its password is that of all tests here.
const (
	oldRepository  = "testdata/repository-v1.tar.gz"
	oldSet         = "20261126T110124Z-97a017f4"
	oldParticipant = "demo-validator-1::12208ad8434cee990cbe0a1409f18380182f41010b2a8957798d69e82e7a1ca8e056"
)

// What the databases of the old set hold, as that program said. A reader that
// lost a table on the way would find the rest in order.
var oldRows = map[holdfast.ComponentName]struct{ tables, rows int64 }{
	"app": {4, 1460}, "validator": {49, 139}, "participant": {113, 1808},
}

// unpack writes the files of an archive below dir.
func unpack(t *testing.T, archive, dir string) {
	t.Helper()
	in, err := os.Open(archive)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = in.Close() }()
	plain, err := gzip.NewReader(in)
	if err != nil {
		t.Fatal(err)
	}
	for files := tar.NewReader(plain); ; {
		h, err := files.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err == nil && !filepath.IsLocal(h.Name) {
			err = fmt.Errorf("%s leads out of the archive", h.Name)
		}
		if err == nil {
			err = unpackOne(filepath.Join(dir, h.Name), h, files)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func unpackOne(path string, h *tar.Header, content io.Reader) error {
	if h.Typeflag == tar.TypeDir {
		return os.MkdirAll(path, 0o700)
	}
	text, err := io.ReadAll(content)
	if err != nil {
		return err
	}
	return os.WriteFile(path, text, 0o600)
}

// A set that an earlier program took is worth what it was worth: it is found,
// verified to the last row, and comes back with the rows it was made of.
func TestASetOfManifestVersion1IsVerifiedAndRestored(t *testing.T) {
	dir := t.TempDir()
	unpack(t, oldRepository, dir)
	at := place.Directory(filepath.Join(dir, "repository"))
	server := splicetest.NewServer(t, "")
	execute(t, server.DSN("postgres"), `CREATE ROLE cnadmin`)
	p := parts{Repository: openAt(t, at), Node: nodeAt(t, server.DSN("participant-4"), server.DSN("validator"))}
	p.Node.Components = append(p.Node.Components, holdfast.Component{Name: "app", Kind: holdfast.App})
	p.Node.Addresses["app"] = target(t, server.DSN("app"))

	set, files := p.find(t, oldSet)
	if set.State != holdfast.Proven || len(set.Problems()) > 0 || len(set.Captures) != len(oldRows) {
		t.Fatalf("the old set is %s with %d captures: %v", set.State, len(set.Captures), set.Problems())
	}
	report, err := verified(t, at, everything)
	if err != nil || report.Verdict != holdfast.Holds || len(report.Sets) != 1 || report.Sets[0].Verdict != holdfast.Holds {
		t.Errorf("the old repository is verified to be %+v, %v", report, err)
	}

	plan, err := restore.Make(t.Context(), p.target(), set, restore.Options{}, set.Ended.Wall)
	if err != nil {
		t.Fatal(err)
	}
	done, err := restore.Apply(t.Context(), p.target(), plan, set, files, nil)
	if err != nil || !done.Swapped || len(done.Done) != len(oldRows) {
		t.Fatalf("the old set is restored with %+v, %v", done, err)
	}
	for _, d := range done.Done {
		if want := oldRows[d.Component]; int64(d.Tables) != want.tables || d.Rows != want.rows {
			t.Errorf("%s comes back with %d tables and %d rows, want %+v", d.Component, d.Tables, d.Rows, want)
		}
	}
	// The restore has compared the digests of all rows; this asks the server.
	if id := query[string](t, server.DSN("participant-4"), `SELECT participant_id FROM participant.lapi_parameters`); id != oldParticipant {
		t.Errorf("the participant that came back is %s", id)
	}
}
