package repository

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/kopia/kopia/repo/manifest"

	"holdfast"
	"holdfast/record"
)

// Records are small values that belong to a repository rather than to one
// machine: drills, verifications, the key that signs reports. They are kopia
// manifests of types of our own, stored next to the snapshots; kopia's own
// commands ignore them.
const (
	drillRecord   = "holdfast-drill"
	signingRecord = "holdfast-signing-key"
	copiedRecord  = "holdfast-copied"

	disproofRecord = "holdfast-disproof"
)

// PutDrill records a drill.
func (r *Repository) PutDrill(ctx context.Context, d record.Drill) error {
	return r.put(ctx, map[string]string{
		manifest.TypeLabelKey: drillRecord,
		"node":                string(d.Node),
		"set":                 string(d.Set),
	}, d, false)
}

// Drills lists the drills of a node's sets, or of every node's when it is
// empty, oldest first.
func (r *Repository) Drills(ctx context.Context, node holdfast.NodeName) ([]record.Drill, error) {
	labels := map[string]string{manifest.TypeLabelKey: drillRecord}
	if node != "" {
		labels["node"] = string(node)
	}
	list, err := records[record.Drill](ctx, r, labels)
	slices.SortStableFunc(list, func(a, b record.Drill) int { return a.At.Compare(b.At) })
	return list, err
}

// PutDisproof records rows that changed unseen.
func (r *Repository) PutDisproof(ctx context.Context, d record.Disproof) error {
	return r.put(ctx, map[string]string{
		manifest.TypeLabelKey: disproofRecord,
		"node":                string(d.Node),
		"set":                 string(d.Set),
	}, d, false)
}

// Disproofs lists the rows that changed unseen, of a node or of every node if it
// is empty, oldest first.
func (r *Repository) Disproofs(ctx context.Context, node holdfast.NodeName) ([]record.Disproof, error) {
	labels := map[string]string{manifest.TypeLabelKey: disproofRecord}
	if node != "" {
		labels["node"] = string(node)
	}
	list, err := records[record.Disproof](ctx, r, labels)
	slices.SortStableFunc(list, func(a, b record.Disproof) int { return a.At.Compare(b.At) })
	return list, err
}

// Disproofs is the same of every node, for a verification.
func (i *Inspection) Disproofs(ctx context.Context) ([]record.Disproof, error) {
	return i.r.Disproofs(ctx, "")
}

// PutCopied records what a second copy was sent. It replaces what was recorded of
// the place before.
func (r *Repository) PutCopied(ctx context.Context, c record.Copied) error {
	return r.put(ctx, map[string]string{manifest.TypeLabelKey: copiedRecord, "place": c.Place}, c, true)
}

// Copied lists what each second copy was sent last, by place.
func (r *Repository) Copied(ctx context.Context) ([]record.Copied, error) {
	list, err := records[record.Copied](ctx, r, map[string]string{manifest.TypeLabelKey: copiedRecord})
	slices.SortFunc(list, func(a, b record.Copied) int { return cmp.Compare(a.Place, b.Place) })
	return list, err
}

// SigningKey signs reports: an SSH key whose private part is stored in the
// repository, encrypted as everything there.
type SigningKey struct {
	Private holdfast.Secret
	Public  string // a line of an authorized_keys file
	Made    time.Time
}

// signingKey is how it is stored.
type signingKey struct {
	Private string    `json:"private"`
	Public  string    `json:"public"`
	Made    time.Time `json:"made"`
}

// SigningKey reads the repository's key. The first call creates it with fresh,
// which returns both parts. If two runs create one at once, the older one
// counts.
func (r *Repository) SigningKey(
	ctx context.Context, fresh func() (private, public string, err error),
) (SigningKey, error) {
	labels := map[string]string{manifest.TypeLabelKey: signingRecord}
	for made := false; ; made = true {
		list, err := records[signingKey](ctx, r, labels)
		if err != nil {
			return SigningKey{}, err
		}
		if len(list) > 0 {
			k := slices.MinFunc(list, func(a, b signingKey) int {
				return cmp.Or(a.Made.Compare(b.Made), cmp.Compare(a.Public, b.Public))
			})
			return SigningKey{holdfast.NewSecret(k.Private), k.Public, k.Made}, nil
		}
		if made {
			return SigningKey{}, fmt.Errorf("repository %s does not list the signing key that was stored", r.location)
		}
		k := signingKey{Made: time.Now().UTC()}
		if k.Private, k.Public, err = fresh(); err != nil {
			return SigningKey{}, err
		}
		if err := r.put(ctx, labels, k, false); err != nil {
			return SigningKey{}, err
		}
	}
}

// droppedRecord is the type of the notes on sets that were dropped on purpose.
// Only verifications write the record of verifications, because a running one
// has an older list of sets. So dropping a set writes a note here, in the same
// session, and a verification that misses a set looks here.
const droppedRecord = "holdfast-dropped"

// noteRetention is the shortest time that such a note is stored: longer than
// any verification takes.
const noteRetention = 30 * 24 * time.Hour

type droppedNote struct {
	Sets []holdfast.SetID `json:"sets"`
	At   time.Time        `json:"at"`
}

// Dropped lists sets that were dropped on purpose, as far back as a
// verification may still expect them.
func (r *Repository) Dropped(ctx context.Context) ([]holdfast.SetID, error) {
	notes, err := records[droppedNote](ctx, r, map[string]string{manifest.TypeLabelKey: droppedRecord})
	var out []holdfast.SetID
	for _, n := range notes {
		out = append(out, n.Sets...)
	}
	return out, err
}

// Dropped is the same, for a verification that misses a set.
func (i *Inspection) Dropped(ctx context.Context) ([]holdfast.SetID, error) { return i.r.Dropped(ctx) }

// noteDropped records that sets are dropped, and removes old notes on sets that
// the last verification does not expect.
func (s *Session) noteDropped(ctx context.Context, v record.Verification, sets []holdfast.SetID) error {
	found, err := s.w.FindManifests(ctx, map[string]string{manifest.TypeLabelKey: droppedRecord})
	for _, m := range found {
		var n droppedNote
		if err == nil {
			_, err = s.w.GetManifest(ctx, m.ID, &n)
		}
		if err == nil && now().Sub(n.At) > noteRetention &&
			!slices.ContainsFunc(n.Sets, func(id holdfast.SetID) bool {
				return slices.Contains(v.Sets, id)
			}) {
			err = s.w.DeleteManifest(ctx, m.ID)
		}
	}
	if err == nil {
		_, err = s.w.PutManifest(ctx, map[string]string{manifest.TypeLabelKey: droppedRecord},
			droppedNote{sets, now().UTC()})
	}
	return s.location.explain("write to", err)
}

// put stores a record; with replace it replaces every record with those labels.
func (r *Repository) put(ctx context.Context, labels map[string]string, value any, replace bool) error {
	text, err := json.Marshal(value)
	if err != nil {
		return err
	}
	value = json.RawMessage(r.hidden(text))
	return r.write(ctx, "record "+labels[manifest.TypeLabelKey], func(ctx context.Context, s *Session) error {
		var err error
		if replace {
			_, err = s.w.ReplaceManifests(ctx, labels, value)
		} else {
			_, err = s.w.PutManifest(ctx, labels, value)
		}
		return s.location.explain("write to", err)
	})
}

// hidden is a text of JSON without what is secret.
func (r *Repository) hidden(text []byte) []byte {
	if r.Hide == nil {
		return text
	}
	return r.Hide(text)
}

// records reads every record with those labels, in no order.
func records[T any](ctx context.Context, r *Repository, labels map[string]string) ([]T, error) {
	if err := r.refresh(ctx); err != nil {
		return nil, err
	}
	found, err := r.rep.FindManifests(ctx, labels)
	if err != nil {
		return nil, r.location.explain("read", err)
	}
	var out []T
	for _, m := range found {
		var text json.RawMessage
		var value T
		if _, err := r.rep.GetManifest(ctx, m.ID, &text); err != nil {
			return nil, r.location.explain("read", err)
		}
		if err := json.Unmarshal(text, &value); err != nil {
			return nil, fmt.Errorf("read %s: record %s: %w", r.location, m.ID, err)
		}
		out = append(out, value)
	}
	return out, nil
}
