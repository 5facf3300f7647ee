package repository

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/kopia/kopia/repo/blob"
	"github.com/kopia/kopia/repo/content"
	"github.com/kopia/kopia/repo/format"

	"holdfast"
	"holdfast/place"
	"holdfast/stored"
)

// diagnosis says why a repository does not open: which vital blobs are missing
// or altered, and which bytes would replace them.
type diagnosis struct {
	faults  []stored.Fault
	remedy  map[blob.ID][]byte // nil if no copy opens the repository
	changed bool               // another program changed the password
}

// diagnose finds out why a repository does not open with a password. Nil means
// that its vital blobs are not the cause.
func diagnose(
	ctx context.Context, st blob.Reader, outside []copyStore, password holdfast.Secret,
) (*diagnosis, error) {
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
	if a := findRemedy(ctx, live, copies, password); a != nil {
		return a, nil
	}
	switch {
	case wellFormed(live[key]):
		return nil, nil // the password is wrong
	case live[key] == nil && len(copies) == 0:
		there, err := holdsAnything(ctx, st)
		if err != nil || !there {
			return nil, err
		}
	}
	return &diagnosis{faults: []stored.Fault{faultOf(key, live[key], nil)}}, nil
}

// findRemedy looks for blobs that open the repository, and replaces as few as
// possible. Without kopia.blobcfg it opens as well, but has lost how long the
// storage must protect blobs from deletion.
func findRemedy(
	ctx context.Context, live map[blob.ID][]byte, copies []duplicate, password holdfast.Secret,
) *diagnosis {
	const key, settings = format.KopiaRepositoryBlobID, format.KopiaBlobCfgBlobID
	candidates := func(id blob.ID) (list []duplicate) {
		list = append(list, duplicate{of: id, bytes: live[id]})
		for _, d := range copies {
			if d.of == id && d.intact() {
				list = append(list, d)
			}
		}
		return list
	}
	for _, k := range candidates(key) {
		if k.bytes == nil || opens(ctx, map[blob.ID][]byte{key: k.bytes}, password) != nil {
			continue
		}
		a := &diagnosis{remedy: map[blob.ID][]byte{key: k.bytes}}
		if k.String() != "" {
			a.faults = append(a.faults, faultOf(key, live[key], &k))
			a.changed = wellFormed(live[key]) && sameRepository(live[key], k.bytes) &&
				mostlyDiffer(live[key], k.bytes)
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

// wellFormed reports whether bytes have the format of a kopia.repository. Its
// encrypted part may still be damaged.
func wellFormed(b []byte) bool {
	j, err := format.ParseKopiaRepositoryJSON(b)
	return err == nil && len(j.UniqueID) > 0 && len(j.EncryptedFormatBytes) > 0
}

// mostlyDiffer distinguishes a new encryption from damage: encrypting again
// changes every byte, even under the same password.
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

// mayCreate refuses to create a repository over one that has lost its
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
		return nil // kopia refuses an existing one
	}
	return &holdfast.Problem{
		Class: holdfast.Refused,
		What:  fmt.Sprintf("create repository %s: it holds sets of a repository that lost its kopia.repository", l),
		Why:   "A new repository in its place would make them unreadable for ever.",
		Do:    "`holdfast verify --repair` restores it from its copy. Or choose another repository.path.",
	}
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

func (a *diagnosis) problem(l location, err error) error {
	var what []string
	for _, f := range a.faults {
		what = append(what, f.Name+map[bool]string{
			true:  " is missing",
			false: " is damaged",
		}[f.Kind == stored.Missing])
	}
	p := &holdfast.Problem{
		Class: holdfast.Violation,
		What:  fmt.Sprintf("open repository %s: %s", l, strings.Join(what, ", ")),
		Err:   err,
		Why:   "Without it nothing in the repository can be read. The sets themselves are intact.",
		Do:    "`holdfast verify --repair` restores it from its copy.",
	}
	switch {
	case a.changed:
		p.Class, p.What = holdfast.WrongKey, fmt.Sprintf("open repository %s: the password opens only an earlier "+
			"copy of kopia.repository", l)
		p.Why = "Another program changed its password, such as `kopia repository change-password`."
		p.Do = "Point repository.password at the new one."
	case a.remedy == nil:
		p.Do = "Check repository.password: it opens no copy of kopia.repository. With the right one, `holdfast " +
			"verify --repair` restores it from a copy. A second copy of the repository has one, too."
	}
	return p
}

// PutBack restores the vital blobs of a repository that does not open: from the
// copy in it, or from one outside of it (Copies). It renames damaged blobs and
// uses only copies that open the repository. It returns what it restored:
// nothing if the repository opens.
func PutBack(
	ctx context.Context, in place.Place, password holdfast.Secret, options ...Option,
) ([]stored.Fault, error) {
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
			if _, err := renameDamaged(ctx, l, id); err != nil {
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
