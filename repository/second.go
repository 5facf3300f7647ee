package repository

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/kopia/kopia/repo/blob"
	"github.com/kopia/kopia/repo/format"
	"github.com/kopia/kopia/repo/maintenance"

	"holdfast"
	"holdfast/place"
	"holdfast/record"
	"holdfast/size"
)

// A second copy of a repository is a repository of its own, with the same key: the
// two blobs that open it are sent as they are, so a piece has the same name in both.
// Sets are sent, not blobs. The pieces of a set that the copy has are found by their
// names, and the others are read here and written there. So the copy has indexes, a
// maintenance and a retention of its own, and nothing that is dropped here is dropped
// there: docs/decisions/ has the reasons.
//
// Sets are sent oldest first, and one is listed there when all its pieces are stored.
// Every blob that is written there is read back and compared. What was broken off is
// found again by its pieces.
//
// A copy is locked by a rule of its own, or else by that of the repository where
// its place locks at all. Who sends it extends its locks, as nobody else may ever
// look at the copy.

// Sent is what was sent to a second copy.
type Sent struct {
	To      string `json:"to"`
	Sets    int    `json:"sets"`    // that were missing there
	Pieces  int    `json:"pieces"`  // of these sets, that were missing there
	Bytes   int64  `json:"bytes"`   // of these pieces
	Present int    `json:"present"` // sets that were there already
	Records int    `json:"records"` // drills, pins and the like that were missing there
	Locked  bool   `json:"locked"`  // what is sent is locked there
	// Extended is how many blobs that were there already were locked for longer.
	Extended int `json:"extended"`
	// Has are the sets that the copy lists; Left are those of the repository that it
	// is not to have. Both are nil where that was not found out.
	Has, Left record.NodeSets `json:"-"`
}

// CopyBegan is an event of a copy: a set is to be sent.
type CopyBegan struct {
	To     string
	Set    holdfast.SetID
	Pieces int
	Bytes  int64
}

func (e CopyBegan) String() string {
	return fmt.Sprintf("copy to %s: %d pieces (%s) of set %s are missing there", e.To, e.Pieces, size.Of(e.Bytes), e.Set)
}

// PiecesCopied is an event of a copy: some pieces were sent, stored and read back.
type PiecesCopied struct {
	To          string
	Set         holdfast.SetID
	Done, Total int64 // bytes
}

func (e PiecesCopied) String() string {
	return fmt.Sprintf("copy to %s: %s of %s of set %s", e.To, size.Of(e.Done), size.Of(e.Total), e.Set)
}

// Choose says which sets that a copy does not list are sent there.
type Choose func(ctx context.Context, there *Repository, missing []Entry) ([]Entry, error)

// Choosing makes CopyTo send only what choose returns. Without it all is sent.
func Choosing(by Choose) Option { return func(l *location) { l.choose = by } }

// CopyTo makes a second copy of the repository in a place, or brings one there
// up to date. The place has to be empty, or to hold a copy of this repository.
func (r *Repository) CopyTo(ctx context.Context, to place.Place, options ...Option) (Sent, error) {
	at, err := locate(to, options)
	if err != nil {
		return Sent{}, err
	}
	if place.Share(to, r.location.Place) == place.Itself {
		return Sent{}, &holdfast.Problem{Class: holdfast.Usage, What: at.String() + " is the repository itself",
			Why: "A copy in the same place is lost with it.", Do: "Name another place: `holdfast repository copy --to PLACE`."}
	}
	if err := at.followOf(ctx, r.location.rule.Load()); err != nil {
		return Sent{}, err
	}
	ours, err := r.takeLease(ctx)
	if err != nil {
		return Sent{}, err
	}
	defer ours.end(ctx)
	there, fresh, err := r.openSecond(ctx, at)
	if err != nil {
		return Sent{}, err
	}
	defer func() { _ = there.Close(ctx) }()
	theirs, err := there.takeLease(ctx)
	if err != nil {
		return Sent{}, err
	}
	defer theirs.end(ctx)
	c := sending{from: r, to: there, leases: []*lease{ours, theirs}, fresh: fresh}
	c.sent = Sent{To: at.String(), Locked: there.location.rule.Load().locks()}
	err = c.run(ctx)
	return c.sent, err
}

// openSecond opens the copy in a place; it makes one where there is none. What is
// written to it is read back.
func (r *Repository) openSecond(ctx context.Context, at location) (there *Repository, fresh bool, err error) {
	at.cache = Cache{} // what the copy itself has is looked at
	inner := at.wrap
	at.wrap = func(st blob.Storage) blob.Storage {
		if inner != nil {
			st = inner(st)
		}
		return readBack{st}
	}
	if fresh, err = r.sendKey(ctx, at); err != nil {
		return nil, false, err
	}
	rule := at.rule.Load()
	if there, err = at.open(ctx, r.password); err != nil {
		return nil, false, err
	}
	there.location.rule.Store(rule)
	there.Hide = r.Hide
	err = there.ownMaintenance(ctx)
	if err == nil {
		err = there.keepCopies(ctx)
	}
	if err != nil {
		return nil, false, errors.Join(err, there.Close(ctx))
	}
	return there, fresh, nil
}

// sendKey makes what opens a copy the same as here: at first, and when the password
// was changed. Only what opens with our password is sent.
func (r *Repository) sendKey(ctx context.Context, at location) (fresh bool, err error) {
	st, err := at.storage(ctx, true)
	if err != nil {
		return false, at.explain("open", err)
	}
	defer func() { _ = st.Close(context.WithoutCancel(ctx)) }()
	ours, theirs := map[blob.ID][]byte{}, map[blob.ID][]byte{}
	for _, id := range vital {
		if ours[id], err = readBlob(ctx, r.storage(), id); err != nil {
			return false, r.location.explain("read", err)
		}
		if theirs[id], err = readBlob(ctx, st, id); err != nil {
			return false, at.explain("read", err)
		}
	}
	const key = format.KopiaRepositoryBlobID
	fresh = theirs[key] == nil
	if !fresh && wellFormed(theirs[key]) && !sameRepository(ours[key], theirs[key]) {
		return false, &holdfast.Problem{
			Class: holdfast.Refused,
			What:  at.String() + " holds another repository",
			Why:   "Sending this one there would make the sets of both unreadable.",
			Do:    "Name an empty place: `holdfast repository copy --to PLACE`.",
		}
	}
	if err := r.opens(ctx, ours); err != nil {
		return false, r.location.unopened(ctx, r.password, errors.New("it has changed since it was opened"))
	}
	for _, id := range slices.Backward(vital) { // the key last: until it is there, it is no repository
		if ours[id] == nil || bytes.Equal(ours[id], theirs[id]) {
			continue
		}
		if err := st.PutBlob(ctx, id, payload{ours[id]}, blob.PutOptions{}); err != nil {
			return false, at.explain("write to", err)
		}
	}
	return fresh, nil
}

// ownMaintenance makes a new copy one that Holdfast maintains.
func (r *Repository) ownMaintenance(ctx context.Context) error {
	known, err := maintenance.HasParams(ctx, r.rep)
	if err != nil || known {
		return r.location.explain("read", err)
	}
	return r.write(ctx, "maintain the copy", func(ctx context.Context, s *Session) error {
		params := maintenance.DefaultParams()
		params.ExtendObjectLocks = r.location.rule.Load().IsRetentionEnabled()
		params.Owner = r.rep.ClientOptions().UsernameAtHost()
		return maintenance.SetParams(ctx, s.w, &params)
	})
}

// readBack is a storage that reads every blob back that it wrote, but those that
// belong to a process.
type readBack struct{ blob.Storage }

// PutBlob implements blob.Storage.
func (s readBack) PutBlob(ctx context.Context, id blob.ID, data blob.Bytes, o blob.PutOptions) error {
	if err := s.Storage.PutBlob(ctx, id, data, o); err != nil || passing(id) {
		return err
	}
	var sent bytes.Buffer
	if _, err := data.WriteTo(&sent); err != nil {
		return err
	}
	got, err := readBlob(ctx, s.Storage, id)
	if err == nil && !bytes.Equal(sent.Bytes(), got) {
		err = errors.New(string(id) + " came back different from what was sent")
	}
	return err
}

// followOf makes the place of a copy lock by the rule of its own, or else by that
// of the repository.
func (l location) followOf(ctx context.Context, original *lockRule) error {
	if err := l.lockable(ctx); err != nil {
		return err
	}
	says := original.BlobStorageConfiguration
	if l.lockFor != (ObjectLock{}) {
		says = l.lockFor.says()
	}
	l.rule.Store(l.follow(ctx, says))
	return nil
}
