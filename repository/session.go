package repository

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"path"
	"path/filepath"
	"strings"
	"sync"

	"github.com/kopia/kopia/fs"
	"github.com/kopia/kopia/repo"
	"github.com/kopia/kopia/repo/object"
	"github.com/kopia/kopia/snapshot"

	"holdfast"
	setmanifest "holdfast/manifest"
	"holdfast/place"
	"holdfast/record"
)

// After this many bytes a session writes its index, so that a later run can
// reuse what this one has stored even if this one is killed. Tests set it
// lower.
var checkpointBytes int64 = 2 << 30

// outsideCheckpoint is the same of a place outside of the machine, where the way is
// longer than the one to a disk and breaks more often. It costs two requests more
// for thirteen packs.
const outsideCheckpoint = 256 << 20

// checkpoint is after how many bytes a session writes its index.
func (l location) checkpoint() int64 {
	switch {
	case l.indexEvery > 0:
		return l.indexEvery
	case l.Scheme != place.File:
		return min(checkpointBytes, outsideCheckpoint)
	default:
		return checkpointBytes
	}
}

// Session writes the files of one set. Put may be called from several
// goroutines.
type Session struct {
	r        *Repository
	w        repo.RepositoryWriter
	location location
	hide     func(text []byte) []byte // takes what is secret out of a text of JSON
	lease    *lease                   // nil for a session that writes no set
	buffers  sync.Pool                // of pieces

	mu        sync.Mutex
	files     map[string]file
	unindexed int64
	sealed    bool
}

type file struct {
	name  string
	bytes int64
	id    object.ID
}

func newSession(w repo.RepositoryWriter, at location) *Session {
	return &Session{w: w, location: at, files: map[string]file{}, buffers: sync.Pool{New: func() any {
		b := make([]byte, 0, pieceMost)
		return &b
	}}}
}

// Put stores what fill writes under name. A nil return means that the bytes are
// stored and belong to the set that is sealed. Closing commits nothing, so a
// fill that fails leaves no file.
func (s *Session) Put(ctx context.Context, name string, fill func(io.Writer) error) (holdfast.Artifact, error) {
	if path.Clean(name) != name || !filepath.IsLocal(name) || name == "." {
		return holdfast.Artifact{}, fmt.Errorf("store %q: not a path within a set", name)
	}
	s.mu.Lock()
	sealed := s.sealed
	s.mu.Unlock()
	if sealed {
		return holdfast.Artifact{}, fmt.Errorf("store %s: the set is sealed already", name)
	}
	w := s.writer(ctx, name)
	defer func() { _ = w.Close() }()
	counted := &counter{w: w}
	if err := fill(counted); err != nil {
		return holdfast.Artifact{}, s.location.explainStoring(err, counted.err)
	}
	id, err := w.Result()
	if err != nil {
		return holdfast.Artifact{}, s.location.explain("write to", err)
	}
	s.mu.Lock()
	s.files[name] = file{name, counted.n, id}
	s.unindexed += counted.n - counted.taken
	due := s.unindexed >= s.location.checkpoint()
	if due {
		s.unindexed = 0
	}
	s.mu.Unlock()
	if due {
		if err := s.w.Flush(ctx); err != nil {
			return holdfast.Artifact{}, s.location.explain("write to", err)
		}
	}
	return holdfast.Artifact{Name: name, Bytes: counted.n}, nil
}

// Open reads a file back that was put before, whether or not the set is sealed.
func (s *Session) Open(ctx context.Context, name string) (io.ReadCloser, error) {
	s.mu.Lock()
	f, ok := s.files[name]
	s.mu.Unlock()
	if !ok {
		return nil, fmt.Errorf("open %s: it was not stored", name)
	}
	in, err := s.w.OpenObject(ctx, f.id)
	if err != nil {
		return nil, s.location.explain("read", err)
	}
	return in, nil
}

// explainStoring distinguishes a failing storage from a failing source: it
// explains only errors that the storage returned.
func (l location) explainStoring(err, stored error) error {
	if stored != nil {
		return l.explain("write to", stored)
	}
	return err
}

// Seal writes the manifest and stores the files that it names as one set. The
// set is visible once Write has returned nil. It comes last: the index flush of
// a later file would publish the set.
func (s *Session) Seal(ctx context.Context, set *holdfast.Set) error {
	if err := s.lease.lost(); err != nil {
		return err
	}
	if _, err := s.Put(ctx, holdfast.ManifestName, func(w io.Writer) error {
		var text bytes.Buffer
		if err := setmanifest.Write(&text, *set); err != nil {
			return err
		}
		_, err := w.Write(s.hide(text.Bytes()))
		return err
	}); err != nil {
		return err
	}
	s.mu.Lock()
	s.sealed = true
	s.mu.Unlock()
	at := fs.UTCTimestampFromTime(set.Ended.Wall)
	files, err := s.take(append(set.FileNames(), holdfast.ManifestName))
	if err != nil {
		return fmt.Errorf("seal set %s: %w", set.ID, err)
	}
	root, err := writeTree(ctx, s.w, files, at)
	if err != nil {
		return s.location.explain("write to", err)
	}
	return s.publish(ctx, set, root, len(files))
}

// publish makes the tree below root a set.
func (s *Session) publish(ctx context.Context, set *holdfast.Set, root *snapshot.DirEntry, files int) error {
	facts, err := json.Marshal(record.Summarize(*set))
	if err != nil {
		return err
	}
	_, err = snapshot.SaveSnapshot(ctx, s.w, &snapshot.Manifest{
		Source:      sourceOf(set.Node.Name),
		Description: fmt.Sprintf("Holdfast set %s of node %s: %s", set.ID, set.Node.Name, set.State),
		StartTime:   fs.UTCTimestampFromTime(set.Began.Wall),
		EndTime:     fs.UTCTimestampFromTime(set.Ended.Wall),
		RootEntry:   root,
		Stats: snapshot.Stats{
			TotalFileCount: int32(files), //nolint:gosec // a set has fewer than 2^31 files
			TotalFileSize:  root.DirSummary.TotalFileSize,
		},
		// A pin protects the snapshot from kopia's own retention, which does
		// not know sets.
		Pins: []string{hostName},
		Tags: map[string]string{
			tagNode: string(set.Node.Name), tagSet: string(set.ID), tagState: string(set.State),
			tagFacts: string(s.hide(facts)),
		},
	})
	return s.location.explain("write to", err)
}

// take returns the files of those names. A name that was never put is an error,
// so no manifest can name a missing file.
func (s *Session) take(names []string) ([]file, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	files := make([]file, 0, len(names))
	for _, name := range names {
		f, ok := s.files[name]
		if !ok {
			return nil, fmt.Errorf("the manifest names %s, which was not stored", name)
		}
		files = append(files, f)
	}
	return files, nil
}

// counter counts the bytes and remembers the storage's own error.
type counter struct {
	w     io.Writer
	n     int64
	taken int64 // of n, what was stored before
	err   error
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	if err != nil {
		c.err = err
	}
	return n, err
}

// Divide ends a piece: the file may be divided here.
func (c *counter) Divide() {
	if d, ok := c.w.(*pieces); ok {
		d.Divide()
	}
}

// How files are compressed: rows, the bulk of the data, fast; the rest well.
const (
	rowCompressor   = "s2-default"
	otherCompressor = "zstd-fastest"
)

// writer returns the writer of a file; files of rows are divided by their
// writer.
func (s *Session) writer(ctx context.Context, name string) storing {
	if strings.HasSuffix(name, ".copy") {
		return &pieces{ctx: ctx, w: s.w, name: name, buffers: &s.buffers, slots: make(chan struct{}, pieceWriters)}
	}
	return s.w.NewObjectWriter(ctx, object.WriterOptions{
		Description:        name,
		Compressor:         otherCompressor,
		MetadataCompressor: otherCompressor,
	})
}
