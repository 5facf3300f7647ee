package identities

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"filippo.io/age"

	"holdfast"
	"holdfast/internal/durable"
)

// directory keeps sealed identities as files: on a mounted share, on a disk in
// another machine.
type directory struct{ path string }

const (
	fileStart = "identities-"
	fileEnd   = ".json.age"
	clearEnd  = ".json"
)

// FileName is the name under which identities are kept. It follows from what
// they are and who can open them: the same content sealed to the same
// recipients has the same name, whenever it is sealed.
func FileName(id, content string, recipients []Recipient) string {
	var keys []string
	for _, r := range recipients {
		keys = append(keys, bare(r.text))
	}
	slices.Sort(keys)
	const recipientDigits = 6
	return fileName(id, content) + digest([]byte(joined(keys...)))[:recipientDigits] + fileEnd
}

// fileName is how every name for that content begins.
func fileName(id, content string) string {
	const contentDigits = 12
	return fmt.Sprintf("%s%s-%.*s-", fileStart, shortID(id), contentDigits, content)
}

// ClearName is the name under which identities are kept in clear.
func ClearName(id, content string) string {
	return strings.TrimSuffix(fileName(id, content), "-") + clearEnd
}

// SameContent reports whether two names stand for one content, whoever can open
// it.
func SameContent(a, b string) bool { return contentOf(a) == contentOf(b) }

// contentOf is a name without its end and its recipients.
func contentOf(name string) string {
	if sealed, is := strings.CutSuffix(name, fileEnd); is {
		return sealed[:max(0, strings.LastIndex(sealed, "-"))]
	}
	return strings.TrimSuffix(name, clearEnd)
}

// Whole reports what shows without a key of a file that is not a sealed one.
func Whole(content []byte) error {
	if _, err := age.ExtractHeader(bytes.NewReader(content)); err != nil {
		return &holdfast.Problem{
			Class: holdfast.Violation, What: "it is no sealed file of age",
			Why: "It does not bring the identities back.", Do: "`holdfast identities fetch` writes another.",
		}
	}
	return nil
}

// shortID is what people recognise a node by: its identifier and the first
// digits of its namespace, in characters that every file system takes.
func shortID(id string) string {
	const nameLength, namespaceLength = 40, 8
	id = strings.TrimPrefix(id, "PAR::")
	name, namespace, _ := strings.Cut(id, "::")
	name = strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9', r == '-', r == '_':
			return r
		}
		return '_'
	}, name)
	namespace = strings.TrimPrefix(namespace, "1220")
	if !fingerprintRule.MatchString("1220" + namespace) {
		namespace = digest([]byte(id))
	}
	if name == "" {
		name = "unnamed"
	}
	return name[:min(nameLength, len(name))] + "-" + namespace[:namespaceLength]
}

// Keep looks intact without a key: a sealed file of the same size. What is not
// is replaced by rename.
func (d directory) Keep(_ context.Context, name string, sealed []byte) (Kept, bool, error) {
	if name != filepath.Base(name) || !strings.HasPrefix(name, fileStart) || !strings.HasSuffix(name, fileEnd) {
		return Kept{}, false, fmt.Errorf("%q is no name for sealed identities", name)
	}
	path := filepath.Join(d.path, name)
	if intact(path, len(sealed)) {
		kept, err := describe(path)
		return kept, false, err
	}
	if err := d.write(path, sealed); err != nil {
		return Kept{}, false, d.problem(err)
	}
	back, err := os.ReadFile(path)
	if err != nil {
		return Kept{}, false, d.problem(err)
	}
	if !bytes.Equal(back, sealed) {
		return Kept{}, false, d.problem(errors.New("what was read back is not what was written"))
	}
	kept, err := describe(path)
	return kept, true, err
}

func (d directory) write(path string, sealed []byte) (err error) {
	if err := os.MkdirAll(d.path, 0o700); err != nil {
		return err
	}
	temp, err := os.CreateTemp(d.path, ".identities-*") // mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(temp.Name())
		}
	}()
	_, err = temp.Write(sealed)
	if err == nil {
		err = temp.Sync()
	}
	if closeErr := temp.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Rename(temp.Name(), path)
	}
	if err != nil {
		return err
	}
	return durable.SyncDirectory(d.path)
}

// List lists the directory.
func (d directory) List(context.Context) ([]Kept, error) {
	entries, err := os.ReadDir(d.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, d.problem(err)
	}
	var list []Kept
	for _, e := range entries {
		if !e.Type().IsRegular() || !strings.HasPrefix(e.Name(), fileStart) || !strings.HasSuffix(e.Name(), fileEnd) {
			continue
		}
		kept, err := describe(filepath.Join(d.path, e.Name()))
		if err != nil {
			return nil, d.problem(err)
		}
		list = append(list, kept)
	}
	slices.SortStableFunc(list, func(a, b Kept) int { return b.Written.Compare(a.Written) })
	return list, nil
}

// Read reads a file of the directory.
func (d directory) Read(_ context.Context, k Kept) ([]byte, error) {
	content, err := os.ReadFile(k.Where)
	if err != nil {
		return nil, d.problem(err)
	}
	return content, nil
}

func describe(path string) (Kept, error) {
	info, err := os.Stat(path)
	if err != nil {
		return Kept{}, err
	}
	return Kept{Name: info.Name(), Where: path, Size: info.Size(), Written: info.ModTime()}, nil
}

// intact reports whether a file is there that has the size and the beginning
// of a sealed one. Flipped bits show only to who has the key.
func intact(path string, size int) bool {
	content, err := os.ReadFile(path)
	if err != nil || len(content) != size {
		return false
	}
	return Whole(content) == nil
}

func (d directory) problem(err error) error {
	p := &holdfast.Problem{
		Class: holdfast.Failed, What: "keep the identities in " + d.path, Err: err,
		Why: "The sealed identities are not in this place; other places are not affected.",
		Do:  "Check that the directory is mounted and that this user may write to it.",
	}
	switch {
	case errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT):
		p.Class, p.Do = holdfast.NoSpace, "Make room there; a sealed dump takes a few kilobytes."
	case errors.Is(err, syscall.EROFS):
		p.Do = "Mount it writable."
	}
	return p
}
