package repository

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/kopia/kopia/repo"
	"github.com/kopia/kopia/repo/blob"
	"github.com/kopia/kopia/repo/format"
	"github.com/kopia/kopia/repo/maintenance"

	"holdfast"
	"holdfast/event"
	"holdfast/place"
)

// The algorithms of a new repository; docs/decisions/ has the measurements.
const (
	contentHash       = "BLAKE3-256"
	contentEncryption = "AES256-GCM-HMAC-SHA256"
	defaultSplitter   = "DYNAMIC-1M-BUZHASH"
)

// keyDerivation derives the key from the password: kopia's default, which is
// scrypt, and a cheap one in a build for tests. It is a variable for tests
// only.
var keyDerivation = format.DefaultKeyDerivationAlgorithm

// hostName is the host part of every snapshot's source and of the repository's
// client, so that kopia attributes all sets to Holdfast, whatever machine it
// runs on.
const hostName = "holdfast"

// now is the clock. Tests set another.
var now = time.Now

// Repository is an open repository. It is safe for use by several goroutines,
// and several processes may have the same one open.
type Repository struct {
	// Patience is how long to wait for a lock that another process holds. Set
	// it before the repository is used.
	Patience time.Duration
	// Events receives the repository's events. Set it before the repository is
	// used.
	Events event.Listener
	// Hide takes what is secret out of every manifest and record, a text of JSON,
	// before it is stored; nil: nothing is.
	Hide func(text []byte) []byte

	location location
	stored   blob.Storage    // the place itself
	cache    *cached         // what kopia reads it through
	password holdfast.Secret // to test copies of kopia.repository
	rep      repo.Repository
	fatal    atomic.Pointer[error]
	still    bool // what others have written since is not looked for
}

// Still is the repository as it is now, for several reads that belong together: what
// others have written is looked for once, and not by each of them. That is some ten
// requests to a bucket. It is for reading, and is not closed.
func (r *Repository) Still(ctx context.Context) (*Repository, error) {
	if err := r.refresh(ctx); err != nil {
		return nil, err
	}
	return r.AsFound(), nil
}

// AsFound is the repository as it was when it was opened, or last looked at: to open
// it lists what there is, and whoever opens it to read needs no second look. As Still,
// it is for reading, and is not closed.
func (r *Repository) AsFound() *Repository {
	return &Repository{
		Patience: r.Patience, Events: r.Events, Hide: r.Hide,
		location: r.location, stored: r.stored, cache: r.cache, password: r.password, rep: r.rep, still: true,
	}
}

// Create makes an empty repository in a place, encrypted under password, and
// leaves it closed. It refuses, and does not touch, an existing one.
func Create(ctx context.Context, in place.Place, password holdfast.Secret, options ...Option) error {
	at, err := locate(in, options)
	if err != nil {
		return err
	}
	if password.IsEmpty() {
		return &holdfast.Problem{Class: holdfast.Usage, What: "create repository: the password is empty",
			Do: "Put a long random password where repository.password points."}
	}
	if err := at.lockable(ctx); err != nil {
		return err
	}
	st, err := at.storage(ctx, true)
	if err != nil {
		return at.explain("create", err)
	}
	defer func() { _ = st.Close(ctx) }()
	if err := at.mayCreate(ctx, st); err != nil {
		return err
	}
	opt := &repo.NewRepositoryOptions{
		BlockFormat: format.ContentFormat{
			Hash:                 contentHash,
			Encryption:           contentEncryption,
			EnablePasswordChange: true,
			ECCOverheadPercent:   at.errorCorrection,
		},
		RetentionMode:   blob.RetentionMode(at.lockFor.Mode),
		RetentionPeriod: at.lockFor.Period,
	}
	opt.FormatBlockKeyDerivationAlgorithm = keyDerivation
	opt.ObjectFormat.Splitter = defaultSplitter
	opt.BlockFormat.EnablePasswordChange = true
	if err := repo.Initialize(ctx, st, opt, password.Reveal()); err != nil {
		return at.explain("create", err)
	}
	r, err := at.open(ctx, password)
	if err != nil {
		return err
	}
	defer func() { _ = r.Close(ctx) }()
	if err := r.write(ctx, "create", func(ctx context.Context, s *Session) error {
		params := maintenance.DefaultParams()
		params.ExtendObjectLocks = at.lockFor != ObjectLock{}
		params.Owner = r.rep.ClientOptions().UsernameAtHost()
		return maintenance.SetParams(ctx, s.w, &params)
	}); err != nil {
		return err
	}
	return r.keepCopies(ctx)
}

// Vacant reports whether a place holds nothing that a new repository would
// touch.
func Vacant(ctx context.Context, in place.Place, options ...Option) (bool, error) {
	at, err := locate(in, options)
	if err != nil {
		return false, err
	}
	return at.backend.vacant(ctx)
}

// Open opens the repository in a place.
func Open(ctx context.Context, in place.Place, password holdfast.Secret, options ...Option) (*Repository, error) {
	at, err := locate(in, options)
	if err != nil {
		return nil, err
	}
	return at.open(ctx, password)
}

func (l location) open(ctx context.Context, password holdfast.Secret) (*Repository, error) {
	st, err := l.storage(ctx, false)
	if err != nil {
		return nil, l.explain("open", err)
	}
	r := &Repository{location: l, stored: st, cache: l.cached(st), password: password}
	r.rep, err = l.openThrough(ctx, r.cache, password, &repo.Options{
		DisableRepositoryLog: true,
		DoNotWaitForUpgrade:  true,
		// Without this kopia ends the process.
		OnFatalError: func(err error) { r.fatal.Store(&err) },
		TimeNowFunc:  now,
	})
	if err != nil {
		return nil, l.unopened(ctx, password, err)
	}
	if err := r.readRule(ctx); err != nil {
		return nil, errors.Join(l.explain("open", err), r.Close(ctx))
	}
	return r, nil
}

// Reach says why there is no repository at a place; nil when there is one. It
// needs no password, and sends a place outside of this machine two requests.
func Reach(ctx context.Context, in place.Place, options ...Option) (Traffic, error) {
	at, err := locate(in, options)
	if err != nil {
		return Traffic{}, err
	}
	st, err := at.storage(ctx, false)
	if err != nil {
		return at.meter.read(), at.explain("open", err)
	}
	_, err = st.GetMetadata(ctx, format.KopiaRepositoryBlobID)
	return at.meter.read(), errors.Join(at.explain("open", err), st.Close(ctx))
}

// Close releases the repository.
func (r *Repository) Close(ctx context.Context) error {
	err := r.location.explain("close", r.rep.Close(context.WithoutCancel(ctx)))
	if t := r.Traffic(); t != (Traffic{}) {
		r.Events.Report(TrafficCounted{r.Name(), t})
	}
	return err
}

// Name is the place, for messages.
func (r *Repository) Name() string { return r.location.String() }

// Write runs fn with a session. What fn sealed becomes visible when fn and the
// flush after it have succeeded, all of it or none; bytes that were put stay
// stored either way and are found again by the next session.
func (r *Repository) Write(
	ctx context.Context, purpose string, fn func(context.Context, holdfast.SetWriter) error,
) error {
	if err := r.writable(); err != nil {
		return err
	}
	l, err := r.takeLease(ctx)
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

// writable refuses to write to the past.
func (r *Repository) writable() error {
	if r.location.asOf.IsZero() {
		return nil
	}
	return &holdfast.Problem{
		Class: holdfast.Refused,
		What:  fmt.Sprintf("write to repository %s as of %s", r.location, r.location.asOf.Format(time.RFC3339)),
		Why:   "It is seen as it was then, and nothing can be added to the past.",
		Do:    "Run it without --as-of.",
	}
}

func (r *Repository) write(ctx context.Context, purpose string, fn func(context.Context, *Session) error) error {
	_, w, err := r.rep.NewWriter(ctx, repo.WriteSessionOptions{Purpose: purpose})
	if err != nil {
		return r.location.explain("write to", err)
	}
	// kopia's scope function only logs the error of the last close; every
	// error counts here.
	s := newSession(w, r.location)
	s.r, s.hide = r, r.hidden
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
