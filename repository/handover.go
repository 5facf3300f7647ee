package repository

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"holdfast/internal/scratch"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/kopia/kopia/repo"
	"github.com/kopia/kopia/repo/blob"
	"github.com/kopia/kopia/repo/content"

	"holdfast"
)

// kopia opens a repository from a configuration file that names a storage by
// its type and options, credentials included. Ours refers to a storage that is
// already open: the file holds a number, and kopia receives the storage of that
// number.
const handedOver = "holdfast"

type handle struct {
	Number int64 `json:"number"`
}

var (
	waiting  sync.Map // storages to be handed over, by number
	handles  atomic.Int64
	announce = sync.OnceFunc(func() {
		blob.AddSupportedStorage(handedOver, handle{},
			func(_ context.Context, h *handle, _ bool) (blob.Storage, error) {
				if st, ok := waiting.LoadAndDelete(h.Number); ok {
					return st.(blob.Storage), nil //nolint:forcetypeassert // nothing else is put there
				}
				return nil, errors.New("the storage was handed over already")
			})
	})
)

// openThrough opens the repository in a storage, which is closed with it.
func (l location) openThrough(
	ctx context.Context, st blob.Storage, password holdfast.Secret, o *repo.Options,
) (repo.Repository, error) {
	announce()
	h := &handle{handles.Add(1)}
	waiting.Store(h.Number, st)
	defer func() {
		if _, unused := waiting.LoadAndDelete(h.Number); unused {
			_ = st.Close(ctx)
		}
	}()
	const configBytes = 64 << 10 // more than the file has
	dir, err := scratch.Make(configBytes)
	if err != nil {
		return nil, &holdfast.Problem{Class: holdfast.Failed, What: "open repository " + l.String(), Err: err,
			Do: "Set TMPDIR to a writable directory."}
	}
	defer func() { _ = dir.Remove() }()
	file := filepath.Join(dir.Path, "repository.config") // kopia reads it once
	config, err := json.Marshal(repo.LocalConfig{
		Storage:       &blob.ConnectionInfo{Type: handedOver, Config: h},
		Caching:       &content.CachingOptions{},
		ClientOptions: repo.ClientOptions{Hostname: hostName, Username: hostName, Description: l.String()},
	})
	if err == nil {
		err = os.WriteFile(file, config, fileMode)
	}
	if err != nil {
		return nil, fmt.Errorf("open repository %s: %w", l.String(), err)
	}
	return repo.Open(ctx, file, password.Reveal(), o)
}
