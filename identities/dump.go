package identities

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode"

	"holdfast"
)

// MaxSize limits a dump. A current one has about 2 KB; one of an old release,
// with its whole topology store, has some hundred KB.
const MaxSize = 16 << 20

// maxKeys limits the keys of a dump, and of a mapping in its snapshot. A node
// has three, and one more for each rotation.
const maxKeys = 1000

// Dump is the content of a node's identities dump, without its private keys.
type Dump struct {
	ID             string // "PAR::<identifier>::1220…"
	Version        string // the Splice release that exported it; "" if unknown
	Keys           []Key
	SuperValidator bool // this is the participant's part of an SV's dump

	snapshot       *snapshot // nil if unreadable
	snapshotError  error
	snapshotDigest string
}

// body is a NodeIdentitiesDump, or an SV's dump, or an error.
type body struct {
	ID       string  `json:"id"`
	Keys     []entry `json:"keys"`
	Snapshot string  `json:"authorizedStoreSnapshot"`
	Version  string  `json:"version"`

	Identities *struct {
		Participant json.RawMessage `json:"participant"`
	} `json:"identities"`
	Error json.RawMessage `json:"error"`
}

type entry struct {
	KeyPair string `json:"keyPair"`
	Type    string `json:"type"`
	KeyID   string `json:"keyId"`
	Name    string `json:"name"`
}

// Parse reads a dump. It ignores unknown fields and leaves damaged keys to Check.
// An error means that this is not a dump: a web page, an error body, half a
// download. Of the dump of an SV app it reads the participant's part.
func Parse(data []byte) (*Dump, error) {
	data = bytes.TrimSpace(data)
	switch {
	case len(data) == 0:
		return nil, notDump("it is empty", "Fetch it again. If it is empty again, check the validator app's log.")
	case len(data) > MaxSize:
		return nil, notDump(fmt.Sprintf("it is larger than %d MB", MaxSize>>20), doAddress)
	case data[0] == '<':
		return nil, notDump("it is a web page", doAddress)
	case data[0] != '{':
		return nil, notDump("it is not a JSON object", doAddress)
	}
	var b body
	if err := json.Unmarshal(data, &b); err != nil {
		return nil, notDump(describeJSON(err, len(data)), "Fetch it again: a proxy in between may have cut it.")
	}
	if b.Identities != nil && len(b.Identities.Participant) > 0 {
		dump, err := parseParticipant(b.Identities.Participant)
		if err == nil {
			dump.SuperValidator = true
		}
		return dump, err
	}
	return b.dump()
}

// parseParticipant reads the inner dump of an SV's; it does not nest further.
func parseParticipant(data []byte) (*Dump, error) {
	var b body
	if err := json.Unmarshal(data, &b); err != nil {
		return nil, notDump(describeJSON(err, -1), "Fetch it again.")
	}
	return b.dump()
}

func (b body) dump() (*Dump, error) {
	if b.ID == "" && len(b.Error) > 0 {
		return nil, notDump("the validator app answered with an error: "+brief(string(b.Error)),
			"Find the error in the validator app's log.")
	}
	var missing []string
	for _, field := range []struct {
		name  string
		empty bool
	}{{"id", b.ID == ""}, {"keys", len(b.Keys) == 0}, {"authorizedStoreSnapshot", b.Snapshot == ""}} {
		if field.empty {
			missing = append(missing, field.name)
		}
	}
	if len(missing) > 0 {
		return nil, notDump("it has no "+strings.Join(missing, " and no "), doAddress)
	}
	if len(b.Keys) > maxKeys {
		return nil, notDump(fmt.Sprintf("it has %d keys", len(b.Keys)), doAddress)
	}
	d := &Dump{ID: brief(b.ID), Version: brief(b.Version), snapshotDigest: digest([]byte(b.Snapshot))}
	for _, e := range b.Keys {
		d.Keys = append(d.Keys, e.key())
	}
	raw, err := base64.StdEncoding.DecodeString(b.Snapshot)
	if err != nil {
		d.snapshotError = errors.New("it is not base64")
		return d, nil
	}
	d.snapshot, d.snapshotError = readSnapshot(raw)
	return d, nil
}

func (e entry) key() Key {
	k := Key{Name: brief(e.Name)}
	switch {
	case e.KeyPair != "":
		k.readKeyPair(e.KeyPair)
	case e.KeyID != "":
		const longest = 2000 // an AWS ARN may be that long
		k.KMSKey = line(e.KeyID, longest)
		k.digest = digest([]byte(e.KeyID))
		switch e.Type {
		case Signing, Encryption:
			k.Purpose = e.Type
		default:
			k.Broken = "its type is neither signing nor encryption"
		}
	default:
		k.Broken = "it has neither a key pair nor a KMS key id"
		k.digest = k.Broken
	}
	return k
}

// KMS reports whether keys of the dump are in a key management service: without
// it the dump restores nothing.
func (d *Dump) KMS() bool {
	for _, k := range d.Keys {
		if k.KMSKey != "" {
			return true
		}
	}
	return false
}

// Namespace is the fingerprint of the node's root key, the last part of the
// id; "" if the id has none.
func (d *Dump) Namespace() string {
	if !participantRule.MatchString(d.ID) {
		return ""
	}
	return d.ID[strings.LastIndex(d.ID, "::")+2:]
}

const (
	doAddress = "Check the address: it must be the validator app itself, not the wallet's pages or a login."
	whyDump   = "Without a dump of the keys there is no second recovery route when no set is usable."
)

func notDump(what, do string) error {
	return &holdfast.Problem{
		Class: holdfast.Failed,
		What:  "this is not an identities dump: " + what,
		Why:   whyDump,
		Do:    do,
	}
}

// describeJSON distinguishes a cut download from other content. It does not
// repeat the parser's own message, which may quote values.
func describeJSON(err error, size int) string {
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax) && int(syntax.Offset) >= size && size >= 0:
		return "it ends in the middle"
	case errors.As(err, &syntax):
		return fmt.Sprintf("from byte %d on it is not JSON", syntax.Offset)
	case errors.As(err, &kind):
		return fmt.Sprintf("its field %s has an unexpected type", brief(kind.Field))
	}
	return "it is not JSON"
}

// brief makes a foreign text safe to print: one short line without control
// characters.
func brief(text string) string {
	const limit = 300
	return line(text, limit)
}

func line(text string, limit int) string {
	text = strings.Map(func(r rune) rune {
		if r == unicode.ReplacementChar || !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, text)
	text = strings.TrimSpace(text)
	if runes := []rune(text); len(runes) > limit {
		return string(runes[:limit]) + "…"
	}
	return text
}
