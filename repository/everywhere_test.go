package repository_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/kopia/kopia/repo/blob"

	"holdfast"
	"holdfast/internal/storetest"
	"holdfast/place"
	"holdfast/repository"
)

// site is where a test makes its repositories: below a directory of this machine, or
// below the place of a server.
type site struct {
	storetest.Store
	made int
}

// everywhere runs a test in a directory, and in every place that is chosen: see
// storetest.Chosen. What a test is about decides whether it does: those that do not are
// of one kind of place, such as of files and their modes, of locks in a bucket, or of
// processes on a clock that servers do not have.
func everywhere(t *testing.T, test func(t *testing.T, s *site)) {
	t.Helper()
	t.Run("directory", func(t *testing.T) {
		test(t, &site{Store: storetest.Store{Kind: place.File, Place: place.Directory(t.TempDir())}})
	})
	for _, kind := range storetest.Chosen() {
		t.Run(kind.Name, func(t *testing.T) { test(t, &site{Store: kind.Start(t)}) })
	}
}

// within is a place of its own within the site.
func (s *site) within() place.Place {
	s.made++
	at := s.Place
	name := fmt.Sprintf("repository-%d", s.made)
	if s.Kind == place.File {
		at = place.Directory(filepath.Join(at.Path, name))
	} else {
		at.Path = strings.TrimPrefix(at.Path+"-"+name, "/")
	}
	accesses.Store(at.String(), s.Access)
	return at
}

// make1 makes a new repository there.
func (s *site) make1(t testing.TB) place.Place {
	t.Helper()
	at := s.within()
	if s.Kind == place.File {
		copyInto(t, at.Path)
		return at
	}
	if err := repository.Create(t.Context(), at, holdfast.NewSecret(password), by(at)); err != nil {
		t.Fatal(err)
	}
	return at
}

// accesses are by what the places of sites let us in.
var accesses sync.Map // of repository.Access, by place

// by is the access to a place of a site; to any other nothing is needed.
func by(at place.Place) repository.Option {
	a, _ := accesses.Load(at.String())
	access, _ := a.(repository.Access)
	return repository.By(access)
}

// handed is a place with its access, for a process of the test binary.
type handed struct{ Place, ID, Secret, Token, Key, KnownHosts string }

// hand is the text of a place and its access.
func hand(t testing.TB, at place.Place) string {
	t.Helper()
	a, _ := accesses.Load(at.String())
	access, _ := a.(repository.Access)
	h := handed{Place: at.String(), KnownHosts: access.KnownHosts}
	for of, to := range map[*holdfast.SecretFunc]*string{
		&access.ID: &h.ID, &access.Secret: &h.Secret, &access.Token: &h.Token, &access.Key: &h.Key,
	} {
		if *of == nil {
			continue
		}
		secret, err := (*of)(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		*to = secret.Reveal()
	}
	text, err := json.Marshal(h)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// taken is the place that was handed over.
func taken(text string) (place.Place, error) {
	var h handed
	if err := json.Unmarshal([]byte(text), &h); err != nil {
		return place.Place{}, err
	}
	at, err := place.Parse(h.Place, "/")
	if err != nil {
		return place.Place{}, err
	}
	fixed := func(text string) holdfast.SecretFunc {
		if text == "" {
			return nil
		}
		return holdfast.Fixed(holdfast.NewSecret(text))
	}
	accesses.Store(at.String(), repository.Access{
		ID: fixed(h.ID), Secret: fixed(h.Secret), Token: fixed(h.Token), Key: fixed(h.Key),
		KnownHosts: h.KnownHosts,
	})
	return at, nil
}

// raw is the storage of a place, without a repository.
func raw(t testing.TB, at place.Place) blob.Storage {
	t.Helper()
	st, err := repository.Storage(t.Context(), at, by(at))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.Close(context.Background()) })
	return st
}

// blobs lists the blobs of a place whose names begin so, by name.
func blobs(t testing.TB, at place.Place, prefix blob.ID) []blob.Metadata {
	t.Helper()
	list, err := blob.ListAllBlobs(t.Context(), raw(t, at), prefix)
	if err != nil {
		t.Fatal(err)
	}
	for i := range list {
		list[i].Timestamp = list[i].Timestamp.UTC() // a server's GMT is another zone each time, and compares so
	}
	slices.SortFunc(list, func(a, b blob.Metadata) int { return cmp.Compare(a.BlobID, b.BlobID) })
	return list
}

// names are the names of those blobs.
func names(t testing.TB, at place.Place, prefix blob.ID) (list []blob.ID) {
	t.Helper()
	for _, m := range blobs(t, at, prefix) {
		list = append(list, m.BlobID)
	}
	return list
}

// readBlob reads a blob; nil where there is none.
func readBlob(t testing.TB, at place.Place, id blob.ID) []byte {
	t.Helper()
	out := &repository.Buffer{}
	err := raw(t, at).GetBlob(t.Context(), id, 0, -1, out)
	if errors.Is(err, blob.ErrBlobNotFound) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	return append([]byte{}, out.Bytes()...)
}

// writeBlob replaces a blob.
func writeBlob(t testing.TB, at place.Place, id blob.ID, content []byte) {
	t.Helper()
	putBlob(t, raw(t, at), id, content)
}

// removeBlob removes a blob.
func removeBlob(t testing.TB, at place.Place, id blob.ID) {
	t.Helper()
	if err := raw(t, at).DeleteBlob(t.Context(), id); err != nil {
		t.Fatal(err)
	}
}

// flipBlob flips a bit in the middle of a blob.
func flipBlob(t testing.TB, at place.Place, id blob.ID) {
	t.Helper()
	content := readBlob(t, at, id)
	content[len(content)/2] ^= 1
	writeBlob(t, at, id, content)
}

// size is how much a place holds.
func size(t testing.TB, at place.Place) (total int64) {
	t.Helper()
	for _, m := range blobs(t, at, "") {
		total += m.Length
	}
	return total
}

// largest is the largest blob.
func largest(t testing.TB, at place.Place) blob.ID {
	t.Helper()
	shorter := func(a, b blob.Metadata) int { return cmp.Compare(a.Length, b.Length) }
	return slices.MaxFunc(blobs(t, at, ""), shorter).BlobID
}

// copyBlobs copies every blob of a place to another one, as a program would that knows
// files only.
func copyBlobs(t testing.TB, from, to place.Place) {
	t.Helper()
	st, err := repository.MakeStorage(t.Context(), to, by(to))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = st.Close(context.Background()) }()
	for _, id := range names(t, from, "") {
		putBlob(t, st, id, readBlob(t, from, id))
	}
}

func putBlob(t testing.TB, st blob.Storage, id blob.ID, content []byte) {
	t.Helper()
	if err := st.PutBlob(t.Context(), id, repository.Text(string(content)), blob.PutOptions{}); err != nil {
		t.Fatal(err)
	}
}

// damages are what a disk does to a blob.
func damages(t *testing.T, at place.Place, id blob.ID) map[string]func() {
	t.Helper()
	flips := 16
	if at.Scheme != place.File { // each costs seconds there, and what is read is the same
		flips = 3
	}
	return mangled(readBlob(t, at, id), flips,
		func(b []byte) { writeBlob(t, at, id, b) }, func() { removeBlob(t, at, id) })
}

// damagesOf are what a disk does to a file.
func damagesOf(t *testing.T, path string) map[string]func() {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	must := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	write := func(b []byte) { must(os.WriteFile(path, b, 0o600)) }
	return mangled(content, 16, write, func() { must(os.Remove(path)) })
}

func mangled(content []byte, flips int, write func([]byte), remove func()) map[string]func() {
	to := func(b []byte) func() { return func() { write(b) } }
	out := map[string]func(){
		"gone": remove, "empty": to(nil), "cut": to(content[:len(content)/2]),
		"zeros": to(make([]byte, len(content))), "something else": to([]byte("<html>502 Bad Gateway</html>")),
	}
	for n := 0; n < len(content); n += 1 + len(content)/flips {
		flipped := bytes.Clone(content)
		flipped[n] ^= 4
		out[fmt.Sprintf("bit of byte %d of %d flipped", n, len(content))] = to(flipped)
	}
	return out
}

// one is the only blob whose name begins so.
func one(t *testing.T, at place.Place, prefix blob.ID) blob.ID {
	t.Helper()
	list := names(t, at, prefix)
	if len(list) != 1 {
		t.Fatalf("%d blobs %s: %v", len(list), prefix, list)
	}
	return list[0]
}

// copies are the copies of kopia.repository in a repository.
func copies(t *testing.T, at place.Place) (list []blob.ID) {
	t.Helper()
	for _, id := range names(t, at, "holdfast-copy-") {
		if strings.HasSuffix(string(id), "-kopia.repository") {
			list = append(list, id)
		}
	}
	return list
}

// there reports whether a repository is in a place.
func there(t testing.TB, at place.Place) bool {
	t.Helper()
	_, err := repository.Reach(t.Context(), at, by(at))
	return err == nil
}
