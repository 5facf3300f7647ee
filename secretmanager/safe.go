package secretmanager

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"holdfast"
	"holdfast/event"
)

// Safe is a secret whose versions are documents.
type Safe struct {
	Manager Manager
	Name    string
	Events  event.Listener
}

// Document is what a version holds.
type Document struct {
	Name    string // stands for the content: two with one name are the same
	Content []byte
	Clear   bool // it is not sealed
}

// Kept is a document in a version.
type Kept struct {
	Version
	Name  string // the document's; "" if it was not read
	Where string
	Size  int
	Clear bool
}

// stored is a document as it is written: fields that a person can read and copy
// out by the vendor's own command.
type stored struct {
	File   string `json:"file"`
	Sealed string `json:"sealed,omitempty"` // in base64
	Clear  string `json:"clear,omitempty"`
	SHA256 string `json:"sha256"` // of the document, to find damage without a key
}

// maxTries is how often a write is tried that another one got ahead of.
const maxTries = 3

// Keep makes a document the newest version, and reads it back. It writes nothing
// if the newest version is that document; the second result is whether it wrote.
func (s Safe) Keep(ctx context.Context, d Document) (Kept, bool, error) {
	value, err := d.value()
	if err != nil {
		return Kept{}, false, err
	}
	limits, err := s.Manager.Limits(ctx, s.Name)
	if err != nil {
		return Kept{}, false, err
	}
	if size := len(value.Text.Reveal()); size > limits.Bytes {
		return Kept{}, false, tooLarge("write "+s.Manager.Where(s.Name, ""), size, limits.Bytes)
	}
	for n := 1; ; n++ {
		kept, written, err := s.keep(ctx, d, value)
		if err == nil {
			s.warn(ctx, limits)
		}
		if !errors.Is(err, ErrChanged) || n == maxTries {
			return kept, written, err
		}
	}
}

func (s Safe) keep(ctx context.Context, d Document, value Value) (Kept, bool, error) {
	newest, there, err := s.Newest(ctx)
	if err != nil && !errors.Is(err, ErrNone) {
		return Kept{}, false, err
	}
	if err == nil && there.Name == d.Name && there.Clear == d.Clear {
		return newest, false, nil
	}
	v, err := s.Manager.Write(ctx, s.Name, value, newest.ID)
	if err != nil {
		return Kept{}, false, err
	}
	kept, back, err := s.readBack(ctx, v.ID)
	if err == nil && (back.Name != d.Name || !bytes.Equal(back.Content, d.Content)) {
		err = s.damaged(v.ID, "what was read back is not what was written")
	}
	return kept, true, err
}

// readBack reads a version that was just written. Managers with several servers
// may need a moment until each has it.
func (s Safe) readBack(ctx context.Context, version string) (Kept, Document, error) {
	const tries = 5
	for n := 1; ; n++ {
		kept, d, err := s.Read(ctx, version)
		if !errors.Is(err, ErrNone) || n == tries {
			return kept, d, err
		}
		select {
		case <-ctx.Done():
			return kept, d, context.Cause(ctx)
		case <-time.After(time.Duration(n) * pause):
		}
	}
}

// Newest reads the newest version. The error is ErrNone where there is none, or
// where it holds no whole document; the version is named all the same.
func (s Safe) Newest(ctx context.Context) (Kept, Document, error) { return s.Read(ctx, "") }

// Read reads a version, or the newest for "".
func (s Safe) Read(ctx context.Context, version string) (Kept, Document, error) {
	v, text, err := s.Manager.Read(ctx, s.Name, version)
	kept := Kept{Version: v, Where: s.Manager.Where(s.Name, v.ID)}
	if errors.Is(err, ErrNone) && v.ID != "" {
		return kept, Document{}, s.damaged(v.ID, "its value was deleted")
	}
	if err != nil {
		return kept, Document{}, err
	}
	d, err := parse(text)
	if errors.Is(err, errForeign) {
		return kept, Document{}, s.foreign(v.ID)
	}
	if err != nil {
		return kept, Document{}, s.damaged(v.ID, err.Error())
	}
	kept.Name, kept.Size, kept.Clear = d.Name, len(d.Content), d.Clear
	return kept, d, nil
}

// List lists the versions, the newest first. Only that one is read.
func (s Safe) List(ctx context.Context) ([]Kept, error) {
	versions, err := s.Manager.Versions(ctx, s.Name)
	if err != nil || len(versions) == 0 {
		return nil, err
	}
	newest, _, err := s.Newest(ctx)
	if err != nil && !errors.Is(err, ErrNone) {
		return nil, err
	}
	var out []Kept
	for _, v := range versions {
		if v.ID == newest.ID { // which is first, whatever the clock of the manager says
			newest.Version = v
			out = slices.Insert(out, 0, newest)
			continue
		}
		out = append(out, Kept{Version: v, Where: s.Manager.Where(s.Name, v.ID)})
	}
	return out, nil
}

// warn reports that versions will be dropped soon.
func (s Safe) warn(ctx context.Context, limits Limits) {
	const near = 2
	if limits.Versions == 0 {
		return
	}
	versions, err := s.Manager.Versions(ctx, s.Name)
	if err != nil || len(versions) < limits.Versions-near {
		return // the document is kept; how many there are is a second thought
	}
	s.Events.Report(VersionsNearLimit{
		Where:    s.Manager.Where(s.Name, ""),
		Versions: len(versions), Limit: limits.Versions, Do: limits.More,
	})
}

// damaged says that a version holds no whole document. It counts as none: the
// next write replaces it.
func (s Safe) damaged(version, why string) error {
	return &holdfast.Problem{
		Class: holdfast.Violation,
		What:  s.Manager.Where(s.Name, version) + ": " + why,
		Err:   ErrNone,
		Why:   "This version does not bring the identities back. Earlier ones are untouched.",
		Do:    "`holdfast identities fetch` writes a new one.",
	}
}

var errForeign = errors.New("it holds something that Holdfast has not written")

// foreign says that somebody else's secret has this name.
func (s Safe) foreign(version string) error {
	return &holdfast.Problem{
		Class: holdfast.Refused,
		What:  s.Manager.Where(s.Name, version),
		Err:   errForeign,
		Why:   "A new version would hide the secret from whoever uses it. Nothing was written.",
		Do:    "Choose another name in identities.keep.",
	}
}

func (d Document) value() (Value, error) {
	sum := sha256.Sum256(d.Content)
	s := stored{File: d.Name, SHA256: hex.EncodeToString(sum[:])}
	if d.Clear {
		s.Clear = string(d.Content)
	} else {
		s.Sealed = base64.StdEncoding.EncodeToString(d.Content)
	}
	text, err := json.Marshal(s)
	return Value{Text: holdfast.NewSecret(string(text)), Digest: d.Name}, err
}

func parse(text holdfast.Secret) (Document, error) {
	var s stored
	if json.Unmarshal([]byte(text.Reveal()), &s) != nil || s.File == "" {
		return Document{}, errForeign
	}
	d := Document{Name: s.File, Content: []byte(s.Clear), Clear: s.Clear != ""}
	if !d.Clear {
		var err error
		if d.Content, err = base64.StdEncoding.DecodeString(s.Sealed); err != nil {
			return Document{}, errors.New("it is damaged: no base64")
		}
	}
	if sum := sha256.Sum256(d.Content); hex.EncodeToString(sum[:]) != s.SHA256 {
		return Document{}, errors.New("it is damaged: its SHA-256 is another")
	}
	return d, nil
}
