package identities

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"holdfast"
	"holdfast/identities/shares"
	"holdfast/internal/durable"
)

// SharedKey is a recovery key that nobody has whole: it was split, and forgotten.
type SharedKey struct {
	Recipient string
	Threshold int
	Shares    []holdfast.Secret // what each person gets: a text of a few lines
}

// NewSharedKey makes a recovery key that any threshold of total people open
// identities with, together.
func NewSharedKey(threshold, total int) (SharedKey, error) {
	secret, list, err := shares.New(threshold, total)
	if err != nil {
		return SharedKey{}, err
	}
	key, err := keyOf(secret)
	if err != nil {
		return SharedKey{}, err
	}
	shared := SharedKey{
		Recipient: fmt.Sprintf("%s holdfast-%s-%d-of-%d", key.recipient, list[0].Key(), threshold, total),
		Threshold: threshold,
	}
	for _, s := range list {
		shared.Shares = append(shared.Shares, holdfast.NewSecret(fmt.Sprintf(
			"# %s: a recovery key of Holdfast. Any %d shares open what is sealed to\n# %s\n"+
				"# Keep it away from the node and from the other shares.\n%s\n",
			s, threshold, shared.Recipient, s.Text().Reveal())))
	}
	return shared, shared.opens(key)
}

// opens reads the shares as they will be read one day. Nobody has the key any
// more when they turn out to be wrong.
func (k SharedKey) opens(key derivedKey) error {
	for first := range len(k.Shares) - k.Threshold + 1 {
		var ring Keyring
		for _, text := range k.Shares[first : first+k.Threshold] {
			if err := ring.Add(text); err != nil {
				return err
			}
		}
		joined, err := ring.joined()
		if err == nil && joined.recipient != key.recipient {
			err = errors.New("they give another key")
		}
		if err != nil {
			return fmt.Errorf("the new shares do not open what they should: %w", err)
		}
	}
	return nil
}

// Write puts each share into a file of its own in a directory, for this user
// alone. Files that are there are never replaced. It writes all or none.
func (k SharedKey) Write(dir string) (files []string, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, shareProblem(dir, err)
	}
	defer func() {
		if err != nil {
			for _, file := range files {
				err = errors.Join(err, os.Remove(file))
			}
			files = nil
		}
	}()
	for i, text := range k.Shares {
		file := filepath.Join(dir, fmt.Sprintf("share-%d-of-%d.txt", i+1, len(k.Shares)))
		f, err := os.OpenFile(file, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if err != nil {
			return files, shareProblem(file, err)
		}
		files = append(files, file)
		_, err = f.WriteString(text.Reveal())
		if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
			return files, shareProblem(file, err)
		}
	}
	return files, durable.SyncDirectory(dir)
}

func shareProblem(file string, err error) error {
	return &holdfast.Problem{
		Class: holdfast.Refused,
		What:  "write " + file,
		Err:   err,
		Why:   "No file is replaced: a share may be the only one of its kind. Nothing was written.",
		Do:    "Name an empty directory.",
	}
}
