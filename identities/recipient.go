package identities

import (
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"filippo.io/age"
	"filippo.io/age/agessh"

	"holdfast"
	"holdfast/identities/shares"
)

// Recipient is a public key that identities are sealed to: an age key (age1…, or
// the post-quantum age1pq1…) or an SSH key (ssh-ed25519, ssh-rsa).
type Recipient struct {
	text string
	key  age.Recipient
}

// String is the public key as it was given.
func (r Recipient) String() string { return r.text }

// ParseRecipients reads public keys, one per text. It skips empty texts, comments
// and duplicates. It fails where Seal would: if none is left, or if age refuses
// to mix their kinds.
func ParseRecipients(texts []string) ([]Recipient, error) {
	var recipients []Recipient
	var keys []string
	for _, text := range texts {
		text = strings.Join(strings.Fields(text), " ")
		if text == "" || strings.HasPrefix(text, "#") {
			continue
		}
		r, err := parseRecipient(text)
		if err != nil {
			return nil, err
		}
		if key := bare(text); !slices.Contains(keys, key) {
			keys = append(keys, key)
			recipients = append(recipients, r)
		}
	}
	if len(recipients) == 0 {
		return nil, noRecipient()
	}
	if err := Seal(io.Discard, nil, recipients); err != nil {
		return nil, recipientProblem(err.Error(),
			"Do not mix post-quantum keys (age1pq1…) with others, which would undo their protection.")
	}
	return recipients, nil
}

// bare is an SSH key without its comment, and any other key unchanged.
func bare(text string) string {
	fields := strings.Fields(text)
	return strings.Join(fields[:min(2, len(fields))], " ")
}

func parseRecipient(text string) (Recipient, error) {
	if strings.HasPrefix(text, "AGE-SECRET-KEY-") || strings.HasPrefix(text, "-----BEGIN") ||
		shares.Are(holdfast.NewSecret(text)) {
		return Recipient{}, recipientProblem("a private key is configured as a recipient",
			"Configure its public key instead, and move the private key to a safe place: "+
				"it does not belong in the configuration.")
	}
	var key age.Recipient
	var err error
	switch {
	case strings.HasPrefix(text, "ssh-"):
		key, err = agessh.ParseRecipient(text)
	case strings.HasPrefix(text, "age1pq1"):
		key, err = age.ParseHybridRecipient(text)
	default:
		key, err = age.ParseX25519Recipient(text)
	}
	if err != nil {
		return Recipient{}, notRecipient(text)
	}
	return Recipient{text, key}, nil
}

// pluginRule is the public key of a plugin of age: age1yubikey1….
var pluginRule = regexp.MustCompile(`^age1([a-z0-9+._-]+)1[a-z0-9]+$`)

// notRecipient says what a text is that is no public key for age. The text
// itself is not repeated: it may be a secret in the wrong place.
func notRecipient(text string) error {
	const kinds = "Give an age public key (age1…) or an SSH one (ssh-ed25519 or ssh-rsa)."
	what := fmt.Sprintf("the recipient that begins with %q ", brief(text[:min(8, len(text))]))
	kind, _, _ := strings.Cut(text, " ")
	switch m := pluginRule.FindStringSubmatch(text); {
	case m != nil && m[1] != "pq":
		return recipientProblem(fmt.Sprintf("%sneeds the age plugin %q, and Holdfast starts no plugins", what, m[1]), kinds)
	case strings.HasPrefix(text, "age1"):
		return recipientProblem(what+"has a typing error: its checksum is wrong", "Copy the public key again, all of it.")
	case strings.HasPrefix(kind, "sk-"):
		return recipientProblem(what+"is a security key, and those sign but do not decrypt", kinds)
	case strings.HasPrefix(kind, "ecdsa-"), kind == "ssh-dss":
		return recipientProblem(what+"is an SSH key of a kind that age does not seal to: "+brief(kind), kinds)
	case strings.HasPrefix(kind, "ssh-"):
		return recipientProblem(what+"is a damaged SSH public key", "Copy the line of the .pub file again, all of it.")
	case strings.ContainsAny(text, "/.") && !strings.Contains(text, " "):
		return recipientProblem(what+"looks like a file's name", "Write the public key itself, not the file that has it.")
	}
	return recipientProblem(what+"is not a public key for age", kinds)
}

func recipientProblem(what, do string) error {
	return &holdfast.Problem{
		Class: holdfast.Usage,
		What:  what,
		Why:   "The identities contain private keys and are never stored unsealed.",
		Do:    do,
	}
}

func noRecipient() error {
	return recipientProblem("there is no recipient to seal the identities to",
		"Create a recovery key with age-keygen, store it away from the node, and configure its public key.")
}

// Seal encrypts a dump to all recipients; any one of them can open it. dst has a
// valid sealed file only after a nil return.
func Seal(dst io.Writer, dump []byte, recipients []Recipient) error {
	if len(recipients) == 0 {
		return noRecipient()
	}
	var keys []age.Recipient
	for _, r := range recipients {
		keys = append(keys, r.key)
	}
	sealed, err := age.Encrypt(dst, keys...)
	if err != nil {
		return fmt.Errorf("seal the identities: %w", err)
	}
	if _, err := sealed.Write(dump); err != nil {
		return fmt.Errorf("seal the identities: %w", err)
	}
	if err := sealed.Close(); err != nil {
		return fmt.Errorf("seal the identities: %w", err)
	}
	return nil
}
