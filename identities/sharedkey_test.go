package identities_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"holdfast"
	"holdfast/identities"
)

func TestASharedKeyOpensWithEnoughShares(t *testing.T) {
	key := must(identities.NewSharedKey(2, 3))
	whole, _ := recoveryKey(t)
	sealed := seal(t, []byte("the dump"), key.Recipient)
	for name, texts := range map[string][]holdfast.Secret{
		"two":                   {key.Shares[2], key.Shares[0]},
		"all":                   key.Shares,
		"with a key of another": {whole, key.Shares[1], key.Shares[2]},
		"in one text":           {holdfast.NewSecret(key.Shares[0].Reveal() + key.Shares[1].Reveal())},
	} {
		got, err := openWith(sealed, texts...)
		if err != nil || string(got) != "the dump" {
			t.Errorf("%s: got %q, %v", name, got, err)
		}
	}
	_, err := openWith(sealed, key.Shares[0])
	expect(t, err, holdfast.WrongKey, "one more share is missing", "2, 3")
	other := must(identities.NewSharedKey(2, 2))
	_, err = openWith(sealed, other.Shares...)
	expect(t, err, holdfast.WrongKey, "does not open", "one of their recipients")
	_, word, _ := strings.Cut(key.Shares[0].Reveal(), "other shares.\n")
	_, err = identities.ParseRecipients([]string{word})
	expect(t, err, holdfast.Usage, "a private key is configured", "public key")
}

func TestSharesAreWrittenAllOrNone(t *testing.T) {
	key := must(identities.NewSharedKey(2, 3))
	dir := filepath.Join(t.TempDir(), "shares")
	files := must(key.Write(dir))
	if len(files) != 3 {
		t.Fatalf("got %v", files)
	}
	for i, file := range files {
		if text := must(os.ReadFile(file)); string(text) != key.Shares[i].Reveal() {
			t.Errorf("%s has another text", file)
		}
		if info := must(os.Stat(file)); info.Mode().Perm() != 0o600 {
			t.Errorf("%s: mode %v", file, info.Mode())
		}
	}
	if err := os.Remove(files[0]); err != nil {
		t.Fatal(err)
	}
	_, err := must(identities.NewSharedKey(2, 3)).Write(dir)
	expect(t, err, holdfast.Refused, "share-2-of-3.txt", "empty directory")
	if _, err := os.Stat(files[0]); !os.IsNotExist(err) {
		t.Errorf("a share of what was not made stayed: %v", err)
	}
}

// Shares that were made once give the same key for ever.
func TestSharesOfTheFirstFormatGiveTheirKey(t *testing.T) {
	text := must(os.ReadFile("shares/testdata/two-of-three.txt"))
	const recipient = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILBsKVkTbrrGDIORSi6mxiaDGyoWZ1HoZMHLK/fvPtew"
	got, err := openWith(seal(t, []byte("the dump"), recipient), holdfast.NewSecret(string(text)))
	if err != nil || string(got) != "the dump" {
		t.Errorf("got %q, %v", got, err)
	}
}
