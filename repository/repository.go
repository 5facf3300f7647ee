package repository

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/kopia/kopia/repo"
	"github.com/kopia/kopia/repo/blob"
	"github.com/kopia/kopia/repo/content"
	"github.com/kopia/kopia/repo/format"
	"github.com/kopia/kopia/repo/maintenance"

	"holdfast"
)

// What a new repository is made of; docs/decisions/ has the measurements.
const (
	contentHash       = "BLAKE3-256"
	contentEncryption = "AES256-GCM-HMAC-SHA256"
	defaultSplitter   = "DYNAMIC-1M-BUZHASH"
)

// keyDerivation makes the key from the password: kopia's choice, which is
// scrypt, and costs nothing in a build for tests. A variable for tests alone.
var keyDerivation = format.DefaultKeyDerivationAlgorithm

// hostName is the host part of every snapshot's source and of the repository's
// client, so that kopia attributes all sets to Holdfast whatever machine ran.
const hostName = "holdfast"

// now is the clock. Tests set another.
var now = time.Now

// Repository is an open repository. It is safe for use by several goroutines,
// and several processes may have the same one open.
type Repository struct {
	// Patience is how long to wait for another process that changes the history
	// or maintains the repository. It is set before the repository is used.
	Patience time.Duration

	location Location
	password holdfast.Secret // what copies of kopia.repository are tried with
	rep      repo.Repository
	fatal    atomic.Pointer[error]
}

// Create makes an empty repository at the location, encrypted under password,
// and leaves it closed. An existing one is refused, not touched.
func Create(ctx context.Context, at Location, password holdfast.Secret) error {
	if password.IsEmpty() {
		return &holdfast.Problem{Class: holdfast.Usage, What: "create repository: the password is empty",
			Do: "Put a long random password where repository.password points."}
	}
	if err := at.makeDirectory(); err != nil {
		return at.explain("create", err)
	}
	st, err := blob.NewStorage(ctx, at.Storage, true)
	if err != nil {
		return at.explain("create", err)
	}
	defer func() { _ = st.Close(ctx) }()
	if err := at.mayCreate(ctx, st); err != nil {
		return err
	}
	opt := &repo.NewRepositoryOptions{
		BlockFormat: format.ContentFormat{Hash: contentHash, Encryption: contentEncryption, EnablePasswordChange: true, ECCOverheadPercent: at.ErrorCorrection},
	}
	opt.FormatBlockKeyDerivationAlgorithm = keyDerivation
	opt.ObjectFormat.Splitter = defaultSplitter
	opt.BlockFormat.EnablePasswordChange = true
	if err := repo.Initialize(ctx, st, opt, password.Reveal()); err != nil {
		return at.explain("create", err)
	}
	r, err := Open(ctx, at, password)
	if err != nil {
		return err
	}
	defer func() { _ = r.Close(ctx) }()
	if err := r.write(ctx, "create", func(ctx context.Context, s *Session) error {
		params := maintenance.DefaultParams()
		params.Owner = r.rep.ClientOptions().UsernameAtHost()
		return maintenance.SetParams(ctx, s.w, &params)
	}); err != nil {
		return err
	}
	return r.keepCopies(ctx)
}

// Open opens the repository at the location.
func Open(ctx context.Context, at Location, password holdfast.Secret) (*Repository, error) {
	// kopia opens from a configuration file that names the storage, credentials
	// included; it reads the file once, so it lives only as long as this call.
	dir, err := os.MkdirTemp("", "holdfast-")
	if err != nil {
		return nil, &holdfast.Problem{Class: holdfast.Failed, What: "open repository " + at.Name, Err: err,
			Do: "Point TMPDIR at a directory that can be written."}
	}
	defer func() { _ = os.RemoveAll(dir) }()
	file := filepath.Join(dir, "repository.config")
	config, err := json.Marshal(repo.LocalConfig{
		Storage:       &at.Storage,
		Caching:       &content.CachingOptions{},
		ClientOptions: repo.ClientOptions{Hostname: hostName, Username: hostName, Description: at.Name},
	})
	if err == nil {
		err = os.WriteFile(file, config, 0o600)
	}
	if err != nil {
		return nil, fmt.Errorf("open repository %s: %w", at.Name, err)
	}
	r := &Repository{location: at, password: password}
	r.rep, err = repo.Open(ctx, file, password.Reveal(), &repo.Options{
		DisableRepositoryLog: true,
		DoNotWaitForUpgrade:  true,
		// Without this kopia ends the process.
		OnFatalError: func(err error) { r.fatal.Store(&err) },
		TimeNowFunc:  now,
	})
	if err != nil {
		return nil, at.unopened(ctx, password, err)
	}
	return r, nil
}

// Close releases the repository.
func (r *Repository) Close(ctx context.Context) error {
	return r.location.explain("close", r.rep.Close(context.WithoutCancel(ctx)))
}

// Name is the location's name for people.
func (r *Repository) Name() string { return r.location.Name }

// Write runs fn with a session. What fn sealed becomes visible when fn and the
// flush after it have succeeded, all of it or none; bytes that were put stay
// stored either way and are found again by the next session.
func (r *Repository) Write(ctx context.Context, purpose string, fn func(context.Context, holdfast.SetWriter) error) error {
	l, err := r.lend(ctx)
	if err != nil {
		return err
	}
	defer l.end(ctx)
	if err := r.keepCopies(ctx); err != nil {
		return err
	}
	return r.write(ctx, purpose, func(ctx context.Context, s *Session) error {
		s.lease = l
		return fn(ctx, s)
	})
}

func (r *Repository) write(ctx context.Context, purpose string, fn func(context.Context, *Session) error) error {
	_, w, err := r.rep.NewWriter(ctx, repo.WriteSessionOptions{Purpose: purpose})
	if err != nil {
		return r.location.explain("write to", err)
	}
	// kopia's scope function only logs the error of the last close; every
	// error counts here.
	s := newSession(w, r.location)
	err = fn(ctx, s)
	if err == nil {
		err = ctx.Err()
	}
	if err == nil {
		err = r.location.explain("write to", w.Flush(ctx))
	}
	if fatal := r.fatal.Load(); err == nil && fatal != nil {
		err = r.location.explain("write to", *fatal)
	}
	closed := r.location.explain("write to", w.Close(context.WithoutCancel(ctx)))
	if err != nil {
		return err // as fn gave it: what the node did wrong is not the repository's
	}
	return closed
}
