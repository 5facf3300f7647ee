package repository

import (
	"context"
	"errors"
	"fmt"
	"holdfast/place"
	"holdfast/stored"
	"strings"

	"github.com/kopia/kopia/repo/blob"
	"github.com/kopia/kopia/repo/content"
	"github.com/kopia/kopia/repo/format"

	"holdfast"
)

// ailment is what keeps a repository from being opened: vital blobs that are
// gone or not what they were, and what would take their places.
type ailment struct {
	faults  []stored.Fault
	remedy  map[blob.ID][]byte // nil where nothing opens the repository
	changed bool               // the password was, by another program
}

// diagnose looks why a repository does not open with a password. Nil means that
// its vital blobs are not to blame.
func diagnose(ctx context.Context, st blob.Reader, outside []shelf, password holdfast.Secret) (*ailment, error) {
	const key = format.KopiaRepositoryBlobID
	live := map[blob.ID][]byte{}
	var err error
	for _, id := range vital {
		if live[id], err = readBlob(ctx, st, id); err != nil {
			return nil, err
		}
	}
	if live[key] != nil && opens(ctx, live, password) == nil {
		return nil, nil
	}
	copies, err := duplicates(ctx, st, outside)
	if err != nil {
		return nil, err
	}
	if a := try(ctx, live, copies, password); a != nil {
		return a, nil
	}
	switch {
	case wellFormed(live[key]):
		return nil, nil // the password is not its own
	case live[key] == nil && len(copies) == 0:
		there, err := holdsAnything(ctx, st)
		if err != nil || !there {
			return nil, err
		}
	}
	return &ailment{faults: []stored.Fault{faultOf(key, live[key], nil)}}, nil
}

// try looks for blobs that open the repository, with as few of its own replaced
// as that takes. Without kopia.blobcfg it opens as well; what is lost then is
// how long the storage is to keep blobs from being deleted.
func try(ctx context.Context, live map[blob.ID][]byte, copies []duplicate, password holdfast.Secret) *ailment {
	const key, settings = format.KopiaRepositoryBlobID, format.KopiaBlobCfgBlobID
	candidates := func(id blob.ID) (list []duplicate) {
		list = append(list, duplicate{of: id, bytes: live[id]})
		for _, d := range copies {
			if d.of == id && d.whole() {
				list = append(list, d)
			}
		}
		return list
	}
	for _, k := range candidates(key) {
		if k.bytes == nil || opens(ctx, map[blob.ID][]byte{key: k.bytes}, password) != nil {
			continue
		}
		a := &ailment{remedy: map[blob.ID][]byte{key: k.bytes}}
		if k.String() != "" {
			a.faults = append(a.faults, faultOf(key, live[key], &k))
			a.changed = wellFormed(live[key]) && sameRepository(live[key], k.bytes) && mostlyDiffer(live[key], k.bytes)
		}
		for _, s := range append(candidates(settings), duplicate{of: settings}) {
			if opens(ctx, map[blob.ID][]byte{key: k.bytes, settings: s.bytes}, password) != nil {
				continue
			}
			a.remedy[settings] = s.bytes
			if live[settings] != nil && (s.String() != "" || s.bytes == nil) {
				a.faults = append(a.faults, faultOf(settings, live[settings], &s))
			}
			return a
		}
	}
	return nil
}

func faultOf(id blob.ID, live []byte, from *duplicate) stored.Fault {
	f := stored.Fault{Part: stored.KeyBlob, Name: string(id), Kind: stored.Altered}
	if id == format.KopiaBlobCfgBlobID {
		f.Part = stored.SettingsBlob
	}
	if live == nil {
		f.Kind = stored.Missing
	}
	if from != nil {
		f.Remedy = from.String()
	}
	return f
}

// wellFormed reports whether bytes are a kopia.repository as kopia writes it; of
// what is encrypted in it nothing is known.
func wellFormed(b []byte) bool {
	j, err := format.ParseKopiaRepositoryJSON(b)
	return err == nil && len(j.UniqueID) > 0 && len(j.EncryptedFormatBytes) > 0
}

// mostlyDiffer tells what was encrypted anew from what was damaged: under
// another password, or for the same one, every byte is another.
func mostlyDiffer(a, b []byte) bool {
	x, _ := format.ParseKopiaRepositoryJSON(a)
	y, _ := format.ParseKopiaRepositoryJSON(b)
	n, differ := min(len(x.EncryptedFormatBytes), len(y.EncryptedFormatBytes)), 0
	for i := range n {
		if x.EncryptedFormatBytes[i] != y.EncryptedFormatBytes[i] {
			differ++
		}
	}
	return differ > n/2
}

// holdsAnything reports whether a storage holds data of a repository.
func holdsAnything(ctx context.Context, st blob.Reader) (bool, error) {
	found := errors.New("found")
	for _, prefix := range content.PackBlobIDPrefixes {
		err := st.ListBlobs(ctx, prefix, func(blob.Metadata) error { return found })
		if errors.Is(err, found) {
			return true, nil
		} else if err != nil {
			return false, err
		}
	}
	return false, nil
}

// mayCreate refuses to make a new repository over one that has lost its
// kopia.repository.
func (l location) mayCreate(ctx context.Context, st blob.Reader) error {
	key, err := readBlob(ctx, st, format.KopiaRepositoryBlobID)
	there := false
	if err == nil && key == nil {
		there, err = holdsAnything(ctx, st)
	}
	if err != nil {
		return l.explain("create", err)
	}
	if !there {
		return nil // one that is there is refused by kopia
	}
	return &holdfast.Problem{Class: holdfast.Refused, What: fmt.Sprintf("create repository %s: there are sets of one that has lost its kopia.repository", l),
		Why: "A new one over it would make them unreadable for good.", Do: "`holdfast verify --repair` puts it back from its copy; or choose another repository.path."}
}

// unopened explains why a repository does not open.
func (l location) unopened(ctx context.Context, password holdfast.Secret, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	st, failed := l.storage(ctx, false)
	if failed != nil {
		return l.explain("open", err)
	}
	defer func() { _ = st.Close(ctx) }()
	a, failed := diagnose(ctx, st, l.outside(), password)
	if failed != nil || a == nil {
		return l.explain("open", err)
	}
	return a.problem(l, err)
}

func (a *ailment) problem(l location, err error) error {
	var what []string
	for _, f := range a.faults {
		what = append(what, f.Name+map[bool]string{true: " is gone", false: " is damaged"}[f.Kind == stored.Missing])
	}
	p := &holdfast.Problem{Class: holdfast.Violation, What: fmt.Sprintf("open repository %s: %s", l, strings.Join(what, ", ")), Err: err,
		Why: "Without it nothing in the repository can be read; the sets themselves are untouched.",
		Do:  "`holdfast verify --repair` puts it back from its copy."}
	switch {
	case a.changed:
		p.Class, p.What = holdfast.WrongKey, fmt.Sprintf("open repository %s: the password opens it no more, but a copy of kopia.repository from before", l)
		p.Why = "Its password was changed by another program, such as `kopia repository change-password`."
		p.Do = "Point repository.password at the new one."
	case a.remedy == nil:
		p.Do = "Is repository.password the right one? It opens no copy of kopia.repository, if there is any. With the right one, `holdfast verify --repair` puts back what there is a copy of; a second copy of the repository has one too."
	}
	return p
}

// PutBack puts back what keeps a repository from being opened: from the copy in
// it, or from one outside of it (Copies). What is replaced is
// kept under another name. It says what it put back, which is nothing where the
// repository opens; no copy is used that has not been seen to open it.
func PutBack(ctx context.Context, in place.Place, password holdfast.Secret, options ...Option) ([]stored.Fault, error) {
	at, err := locate(in, options)
	if err != nil {
		return nil, err
	}
	return at.putBack(ctx, password)
}

func (l location) putBack(ctx context.Context, password holdfast.Secret) ([]stored.Fault, error) {
	st, err := l.storage(ctx, false)
	if err != nil {
		return nil, l.explain("open", err)
	}
	defer func() { _ = st.Close(ctx) }()
	a, err := diagnose(ctx, st, l.outside(), password)
	if err != nil {
		return nil, l.explain("open", err)
	}
	if a == nil {
		return nil, nil
	}
	if a.remedy == nil || a.changed {
		return nil, a.problem(l, nil)
	}
	for i, f := range a.faults {
		id := blob.ID(f.Name)
		if f.Kind != stored.Missing {
			if _, err := moveAside(ctx, l, id); err != nil {
				return nil, l.explain("write to", err)
			}
		}
		if b := a.remedy[id]; b != nil {
			if err := st.PutBlob(ctx, id, payload{b}, blob.PutOptions{}); err != nil {
				return nil, l.explain("write to", err)
			}
		}
		a.faults[i].Mended = true
	}
	return a.faults, nil
}
