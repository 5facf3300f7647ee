package repository

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/kopia/kopia/repo/blob"
	"github.com/kopia/kopia/repo/format"
	"golang.org/x/sync/errgroup"

	"holdfast"
	"holdfast/event"
	"holdfast/place"
)

// A second copy of a repository is a repository: the same blobs under the same
// names, and the same password opens it. A blob with data or an index never
// changes once it is written, so what is there already is not sent again, and a
// copy that was broken off goes on.
//
// The names of indexes are listed before those of the data. All that an index of
// that list names is then in the second list, and whatever another process adds
// meanwhile comes with the next copy. Data is sent before the indexes, and what
// opens the repository last, so that the copy never names what it does not have.
// A lease keeps maintenance from deleting what is being sent.
//
// No blob is deleted in a copy. But a copy lists what the repository lists: that a
// set was dropped is itself an index, which is sent. And a copy is not maintained by
// itself: docs/decisions/ has the reasons.
//
// A copy is locked by a rule of its own, or else by that of the repository where
// its place locks at all. What the repository still has is locked for longer by
// who sends it, as nobody else may ever look at the copy.

// Sent is what was sent to a second copy.
type Sent struct {
	To      string `json:"to"`
	Blobs   int    `json:"blobs"`   // that were missing there
	Bytes   int64  `json:"bytes"`   // of these
	Present int    `json:"present"` // blobs that were there already
	Locked  bool   `json:"locked"`  // what is sent is locked there
	// Extended is how many blobs that were there already were locked for longer.
	Extended int `json:"extended"`
}

// CopyBegan is an event of a copy: what is to be sent.
type CopyBegan struct {
	To    string
	Blobs int
	Bytes int64
}

func (e CopyBegan) String() string {
	return fmt.Sprintf("copy to %s: %d blobs of %d bytes are missing there", e.To, e.Blobs, e.Bytes)
}

// BlobCopied is an event of a copy: a blob was sent, and read back equal.
type BlobCopied struct {
	To          string
	Done, Total int64 // bytes
}

func (e BlobCopied) String() string {
	return fmt.Sprintf("copy to %s: %d of %d bytes", e.To, e.Done, e.Total)
}

// copyLanes is how many blobs are sent at once.
const copyLanes = 8

// CopyTo makes a second copy of the repository in a place, or brings one there
// up to date. Each blob that was sent is read back and compared. The place has
// to be empty, or to hold a copy of this repository.
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
	l, err := r.takeLease(ctx)
	if err != nil {
		return Sent{}, err
	}
	defer l.end(ctx)
	st, err := at.storage(ctx, true)
	if err != nil {
		return Sent{}, at.explain("open", err)
	}
	defer func() { _ = st.Close(context.WithoutCancel(ctx)) }()
	c := copying{from: r.storage(), to: st, name: at.String(), events: r.Events, rule: at.rule.Load(), extend: at.extend}
	if err := c.sameRepository(ctx); err != nil {
		return Sent{}, err
	}
	listed, err := r.Sets(ctx, "")
	if err != nil {
		return Sent{}, err
	}
	sent, err := c.run(ctx)
	if err == nil {
		err = l.lost()
	}
	if err != nil {
		return sent, at.explain("write to", err)
	}
	return sent, r.shownBy(ctx, at, listed)
}

// shownBy makes sure that a copy lists the sets that were listed here before it was
// sent, and still are. A copy that was maintained by itself may have closed the epoch
// of an index that comes later, and kopia looks at no more of that epoch.
func (r *Repository) shownBy(ctx context.Context, at location, listed []Entry) error {
	at.cache = Cache{} // what the copy itself has is looked at
	there, err := at.open(ctx, r.password)
	if err != nil {
		return err
	}
	defer func() { _ = there.Close(ctx) }()
	theirs, err := there.Sets(ctx, "")
	if err != nil {
		return err
	}
	still, err := r.Sets(ctx, "")
	if err != nil {
		return err
	}
	for _, e := range listed {
		same := func(other Entry) bool { return other.Node == e.Node && other.ID == e.ID }
		if slices.ContainsFunc(theirs, same) || !slices.ContainsFunc(still, same) {
			continue
		}
		return &holdfast.Problem{
			Class: holdfast.Violation,
			What:  fmt.Sprintf("%s has all blobs of set %s, and does not list it", at, e.ID),
			Why: "The copy was maintained by itself, and looks at no index that comes later for a time that it has closed. " +
				"The sets that it lists are intact.",
			Do: "Keep that copy, and name an empty place instead in `copies:`, then: `holdfast repository copy`.",
		}
	}
	return nil
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

// copying sends the blobs of one storage to another.
type copying struct {
	from, to blob.Storage
	name     string
	events   event.Listener
	rule     *lockRule
	extend   bool // the locks of what is there already
}

// sameRepository refuses a place that holds anything but a copy of the same
// repository.
func (c copying) sameRepository(ctx context.Context) error {
	ours, err := readBlob(ctx, c.from, format.KopiaRepositoryBlobID)
	if err != nil {
		return err
	}
	theirs, err := readBlob(ctx, c.to, format.KopiaRepositoryBlobID)
	if err != nil {
		return err
	}
	foreign := theirs != nil && !sameRepository(ours, theirs)
	if !foreign {
		return nil
	}
	return &holdfast.Problem{
		Class: holdfast.Refused,
		What:  c.name + " holds another repository",
		Why:   "Sending this one there would make the sets of both unreadable.",
		Do:    "Name an empty place: `holdfast repository copy --to PLACE`.",
	}
}

// parts of a repository, in the order in which they are sent. Session markers,
// leases, locks and logs belong to processes, and are left out.
func partsOf() [][]string {
	return [][]string{
		{"p", "q"},                             // data
		{"x", "n", "m", "l"},                   // indexes
		{copyPrefix, "kopia.maintenance"},      // what repairs it
		{string(format.KopiaBlobCfgBlobID)},    // its settings
		{string(format.KopiaRepositoryBlobID)}, // its key: until this is there, it is no repository
	}
}

func (c copying) run(ctx context.Context) (Sent, error) {
	parts := partsOf()
	lists := make([][]blob.Metadata, len(parts))
	for i := range slices.Backward(parts) { // indexes before data
		for _, prefix := range parts[i] {
			found, err := blob.ListAllBlobs(ctx, c.from, blob.ID(prefix))
			if err != nil {
				return Sent{}, err
			}
			lists[i] = append(lists[i], found...)
		}
	}
	there := map[blob.ID]int64{}
	err := c.to.ListBlobs(ctx, "", func(m blob.Metadata) error {
		there[m.BlobID] = m.Length
		return nil
	})
	if err != nil {
		return Sent{}, err
	}
	sent := Sent{To: c.name, Locked: c.rule.locks()}
	var present []blob.Metadata
	for i, list := range lists {
		lists[i] = slices.DeleteFunc(list, func(m blob.Metadata) bool {
			length, ok := there[m.BlobID]
			same := ok && length == m.Length && !changes(m.BlobID)
			if same {
				present = append(present, m)
			} else {
				sent.Blobs, sent.Bytes = sent.Blobs+1, sent.Bytes+m.Length
			}
			return same
		})
	}
	sent.Present = len(present)
	c.events.Report(CopyBegan{c.name, sent.Blobs, sent.Bytes})
	var done atomic.Int64
	for _, list := range lists {
		if err := c.send(ctx, list, &done, sent.Bytes); err != nil {
			return sent, err
		}
	}
	if !c.extend || !c.rule.locks() {
		return sent, nil
	}
	sent.Extended = len(present)
	return sent, extendAll(ctx, c.to, c.rule, present)
}

// changes reports whether a blob of that name is written more than once.
func changes(id blob.ID) bool { return strings.HasPrefix(string(id), "kopia.") }

// send sends one part of the repository.
func (c copying) send(ctx context.Context, list []blob.Metadata, done *atomic.Int64, total int64) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(copyLanes)
	for _, m := range list {
		g.Go(func() error {
			if err := c.one(ctx, m.BlobID); err != nil {
				return err
			}
			c.events.Report(BlobCopied{c.name, done.Add(m.Length), total})
			return nil
		})
	}
	return g.Wait()
}

// one sends a blob, and reads it back.
func (c copying) one(ctx context.Context, id blob.ID) error {
	ours, err := readBlob(ctx, c.from, id)
	if err != nil || ours == nil { // nil: replaced since it was listed
		return err
	}
	if err := c.to.PutBlob(ctx, id, payload{ours}, blob.PutOptions{}); err != nil {
		return err
	}
	theirs, err := readBlob(ctx, c.to, id)
	if err == nil && !bytes.Equal(ours, theirs) {
		err = errors.New(string(id) + " came back different from what was sent")
	}
	return err
}
