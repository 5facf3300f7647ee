package sandbox

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// Searching a private root ends at these limits. A disk that a cloud fills while it is
// read gives a few thousand files in a second, and /usr has hundreds of thousands.
const (
	mostEntries = 3_000_000
	searchTime  = 5 * time.Minute
	searchers   = 16 // wait for the disk at once
)

// limits end a search that would not end in time.
type limits struct {
	most   int64 // files and directories
	within time.Duration
}

// search looks through a tree of directories, several at once.
type search struct {
	limits
	until   time.Time
	seen    atomic.Int64
	workers errgroup.Group

	mu    sync.Mutex
	found []string
}

// findSockets finds every socket that a path below the root leads to. A directory
// that cannot be opened leads to none. An error says that some may not have been
// found, and why.
func findSockets(root string, l limits) ([]string, error) {
	s := &search{limits: l, until: time.Now().Add(l.within)}
	s.workers.SetLimit(searchers)
	s.workers.Go(func() error { return s.directory(root) })
	err := s.workers.Wait()
	return s.found, err
}

// directory looks through one, and hands its directories to whoever is free.
func (s *search) directory(path string) error {
	entries, _ := os.ReadDir(path)
	seen := s.seen.Add(int64(len(entries)))
	switch {
	case seen > s.most:
		return fmt.Errorf("there are too many files to find every socket: more than %d", s.most)
	case time.Now().After(s.until):
		return fmt.Errorf("the disk is too slow to find every socket: %d files were seen in %v", seen, s.within)
	}
	for _, e := range entries {
		child := filepath.Join(path, e.Name())
		switch {
		case e.Type()&fs.ModeSocket != 0:
			s.mu.Lock()
			s.found = append(s.found, child)
			s.mu.Unlock()
		case e.IsDir():
			look := func() error { return s.directory(child) }
			if s.workers.TryGo(look) {
				continue
			}
			if err := look(); err != nil {
				return err
			}
		}
	}
	return nil
}
