package identities

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"

	"filippo.io/age"
	"filippo.io/age/agessh"
	"golang.org/x/crypto/ssh"

	"holdfast"
)

// NewRecoveryKey creates a key that opens what is sealed to its recipient. Store
// it away from the node: on paper, in a safe, with people.
func NewRecoveryKey() (key holdfast.Secret, recipient string, err error) {
	pair, err := age.GenerateX25519Identity()
	if err != nil {
		return holdfast.Secret{}, "", fmt.Errorf("create a recovery key: %w", err)
	}
	return holdfast.NewSecret(pair.String()), pair.Recipient().String(), nil
}

// ParseKeys reads private keys that open what Seal wrote: the lines of an age
// key file, or one SSH private key in PEM. It takes a key as it comes back from
// a safe: with a byte order mark, in UTF-16, in quotes, behind a label, in lower
// case, or wrapped.
func ParseKeys(text holdfast.Secret) ([]age.Identity, error) {
	content := strings.TrimSpace(string(withoutMark([]byte(text.Reveal()))))
	switch {
	case content == "":
		return nil, keyProblem("the recovery key's file is empty", "Give the file that has a line with AGE-SECRET-KEY-.")
	case strings.HasPrefix(content, "-----BEGIN AGE ENCRYPTED FILE"), strings.HasPrefix(content, "age-encryption.org/"):
		return nil, keyProblem("the recovery key's file is itself encrypted", "Decrypt it first: age -d -o key.txt <file>.")
	case strings.HasPrefix(content, "-----BEGIN"):
		return parseSSHKey(content)
	case strings.HasPrefix(content, "age1"), strings.HasPrefix(content, "ssh-"):
		return nil, keyProblem("this is a public key, but opening needs the private one",
			"Give the file that begins with AGE-SECRET-KEY-, or the SSH key's file without .pub.")
	}
	// The parser could quote a line, so its message is not repeated.
	if keys, err := age.ParseIdentities(strings.NewReader(content)); err == nil {
		return keys, nil
	}
	return findKeys(strings.ToUpper(content))
}

var (
	keyRule       = regexp.MustCompile(`AGE-SECRET-KEY-(?:PQ-)?1[0-9A-Z]+`)
	pluginKeyRule = regexp.MustCompile(`AGE-PLUGIN-([0-9A-Z+._-]+)-1[0-9A-Z]*`)
	// wrapping is what a mail program or a password manager puts into a long
	// word: line ends, with marks of a quotation.
	wrapping = regexp.MustCompile(`[ \t]*\r?\n[> \t]*`)
)

// findKeys finds keys within a text: on its lines, or else on lines that were
// one.
func findKeys(text string) ([]age.Identity, error) {
	var keys []age.Identity
	found := false
	for _, candidate := range []string{text, wrapping.ReplaceAllString(text, "")} {
		for _, word := range keyRule.FindAllString(candidate, -1) {
			found = true
			if parsed, err := age.ParseIdentities(strings.NewReader(word)); err == nil {
				keys = append(keys, parsed...)
			}
		}
		if len(keys) > 0 {
			return keys, nil
		}
	}
	if m := pluginKeyRule.FindStringSubmatch(text); m != nil {
		return nil, keyProblem("this key needs the age plugin "+strings.ToLower(m[1])+", and Holdfast starts no plugins",
			"Export the set and open the sealed file with age itself: `holdfast export SET DIR`, then "+
				"`age -d -i KEY DIR/identities/*.age`.")
	}
	if found {
		return nil, keyProblem("the recovery key has a typing error: its checksum is wrong",
			"Copy the line again, all of it. Similar letters are easily mixed up: B and 8, Q and 0, S and 5.")
	}
	return nil, keyProblem("the recovery key is unreadable",
		"Give a line that begins with AGE-SECRET-KEY-, or an SSH private key.")
}

func parseSSHKey(pem string) ([]age.Identity, error) {
	key, err := agessh.ParseIdentity([]byte(pem + "\n"))
	var locked *ssh.PassphraseMissingError
	switch {
	case errors.As(err, &locked):
		return nil, keyProblem("the SSH key is protected by a passphrase",
			"Remove the passphrase from a copy: cp key copy && ssh-keygen -p -N '' -f copy. "+
				"Give the copy, and wipe it afterwards.")
	case err != nil:
		return nil, keyProblem("the SSH key is unreadable", "Give an ssh-ed25519 or ssh-rsa private key in PEM.")
	}
	return []age.Identity{key}, nil
}

func keyProblem(what, do string) error {
	return &holdfast.Problem{
		Class: holdfast.WrongKey,
		What:  what,
		Why:   "Sealed identities open only with a key of one of their recipients.",
		Do:    do,
	}
}

// Open decrypts what Seal wrote. sealedTo lists the recipients from the manifest.
// It may be empty: only the error message needs it.
func Open(src io.Reader, keys []age.Identity, sealedTo []string) ([]byte, error) {
	if len(keys) == 0 {
		return nil, keyProblem("there is no recovery key to open the identities with", "Give the file of the recovery key.")
	}
	opened, err := age.Decrypt(src, keys...)
	var noMatch *age.NoIdentityMatchError
	switch {
	case errors.As(err, &noMatch):
		what := "the recovery key does not open the sealed identities"
		do := "Find the private key of one of their recipients."
		if len(sealedTo) > 0 {
			what += ", which were sealed to " + brief(strings.Join(sealedTo, ", "))
			do = "Find the private key of one of them."
		}
		return nil, keyProblem(what, do)
	case err != nil:
		return nil, damaged(err)
	}
	var dump bytes.Buffer
	if _, err := io.Copy(&dump, io.LimitReader(opened, MaxSize+1)); err != nil {
		return nil, damaged(err)
	}
	if dump.Len() > MaxSize {
		return nil, damaged(fmt.Errorf("it has more than %d MB", MaxSize>>20))
	}
	return dump.Bytes(), nil
}

func damaged(err error) error {
	return &holdfast.Problem{
		Class: holdfast.Failed,
		What:  "the sealed identities are damaged",
		Err:   err,
		Why:   "This copy cannot be used for recovery.",
		Do:    "Use another copy: from another set, or from another place where they are stored.",
	}
}
