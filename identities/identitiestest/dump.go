package identitiestest

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
)

// Options shape a dump. The zero value is a current one with keys of its own.
type Options struct {
	KMS       bool   // the keys rest in a key management service; the dump names them
	OldLayout bool   // as before Canton 3.5: public keys next to the private ones, prefixed names, raw bytes
	Version   string // the exporting release; "" leaves the field out
	Rotations int    // how often the signing key was replaced; old keys stay
	Fault     Fault  // what is wrong with the dump, if anything
}

// Fault is one thing wrong with a dump.
type Fault string

// The faults. A dump has at most one.
const (
	WrongNamespace   Fault = "wrong namespace"    // the id names a namespace whose key is not there
	WrongMember      Fault = "wrong member"       // a sequencer's id
	NoDelegation     Fault = "no delegation"      // the snapshot lacks the NamespaceDelegation
	NoRoot           Fault = "no root"            // the namespace delegates to another key, and not to its own
	NoOwnerMapping   Fault = "no owner mapping"   // the snapshot lacks the OwnerToKeyMapping
	TwoOwnerMappings Fault = "two owner mappings" // two of them are in force
	MissingKey       Fault = "missing key"        // the mapping lists a key that keys does not have
	SwappedKey       Fault = "swapped key"        // an entry holds another private key than it says
	BrokenKey        Fault = "broken key"         // an entry is not base64
	BrokenSnapshot   Fault = "broken snapshot"    // the snapshot is cut in the middle
	FutureKeys       Fault = "future keys"        // v31 messages with ML-DSA-65 signing keys
)

// Dump is a node's identities and what its participant's database knows.
type Dump struct {
	JSON          []byte
	ParticipantID string // hint::1220…, as in common_node_id and lapi_parameters
	Keys          []Key
}

// Key is one row of common_crypto_private_keys, or of
// common_kms_metadata_store.
type Key struct {
	Fingerprint string
	Name        string
	Purpose     int16  // 0 signing, 1 encryption
	Data        []byte // the versioned private key message; the public one in a KMS node
	KMSKeyID    string // with Options.KMS alone
}

// New makes the dump of the node with that party hint and seed.
func New(hint string, seed [32]byte, opts Options) Dump {
	namespace := opts.key(seed, "namespace", nsUse())
	keys := []keyPair{namespace, opts.key(seed, "signing", signUse())}
	for n := range opts.Rotations {
		keys = append(keys, opts.key(seed, fmt.Sprintf("signing-%d", n+2), signUse()))
	}
	signing := keys[len(keys)-1]
	encryption := opts.key(seed, "encryption", nil)
	keys = append(keys, encryption)

	ns := namespace.fingerprint
	if opts.Fault == WrongNamespace {
		ns = opts.key(seed, "somebody else's namespace", nsUse()).fingerprint
	}
	uid := hint + "::" + ns
	member := "PAR::" + uid
	if opts.Fault == WrongMember {
		member = "SEQ::" + uid
	}

	var items [][]byte
	switch opts.Fault {
	case NoDelegation:
	case NoRoot:
		items = append(items, transaction(1, 1, namespaceDelegation(namespace.fingerprint, signing)))
	default:
		items = append(items, transaction(1, 1, namespaceDelegation(namespace.fingerprint, namespace)))
	}
	for n := range opts.Rotations {
		serial := uint64(n + 1) //nolint:gosec // a small count
		items = append(items, superseded(transaction(1, serial, ownerToKeyMapping(member, keys[n+1], encryption))))
	}
	if opts.Fault != NoOwnerMapping {
		serial := uint64(opts.Rotations + 1) //nolint:gosec // a small count
		items = append(items, transaction(1, serial, ownerToKeyMapping(member, signing, encryption)))
	}
	if opts.Fault == TwoOwnerMappings {
		serial := uint64(opts.Rotations + 2) //nolint:gosec // a small count
		items = append(items, transaction(1, serial, ownerToKeyMapping(member, encryption)))
	}
	snapshot := storedTransactions(items)
	if opts.Fault == BrokenSnapshot {
		snapshot = snapshot[:len(snapshot)/2]
	}

	if opts.Fault == MissingKey {
		keys = slices.DeleteFunc(keys, func(k keyPair) bool { return k.name == signing.name })
	}
	out := Dump{ParticipantID: uid}
	var entries []map[string]string
	for _, k := range keys {
		entries = append(entries, opts.entry(hint, k))
		out.Keys = append(out.Keys, opts.row(hint, k))
	}
	if opts.Fault == SwappedKey {
		other := opts.key(seed, "swapped", signUse())
		other.name, other.fingerprint = signing.name, signing.fingerprint
		entries[len(entries)-2] = opts.entry(hint, other)
	}
	if opts.Fault == BrokenKey {
		entries[0]["keyPair"] = "%%% not base64 %%%"
	}
	body := map[string]any{
		"id":                      member,
		"keys":                    entries,
		"authorizedStoreSnapshot": base64.StdEncoding.EncodeToString(snapshot),
	}
	if opts.Version != "" {
		body["version"] = opts.Version
	}
	out.JSON = encode(body)
	return out
}

// SuperValidator wraps the dump of a participant as an SV app answers it, with
// the identities of a sequencer and a mediator as well.
func SuperValidator(participant Dump) []byte {
	other := func(prefix string) json.RawMessage {
		var fields map[string]any
		if err := json.Unmarshal(participant.JSON, &fields); err != nil {
			panic(err) // New made it
		}
		fields["id"] = prefix + "::" + participant.ParticipantID
		return encode(fields)
	}
	return encode(map[string]any{"identities": map[string]any{
		"sv_party_id": "sv::1220", "dso_party_id": "DSO::1220", "domain_alias": "global", "domain_id": "global-domain::1220",
		"participant": json.RawMessage(participant.JSON),
		"sequencer":   other("SEQ"),
		"mediator":    other("MED"),
	}})
}

func (o Options) entry(hint string, k keyPair) map[string]string {
	if o.KMS {
		kind := "signing"
		if k.purpose == 1 {
			kind = "encryption"
		}
		return map[string]string{"type": kind, "keyId": k.kmsID(), "name": o.nameOf(hint, k)}
	}
	return map[string]string{"keyPair": base64.StdEncoding.EncodeToString(k.pairMessage(o)), "name": o.nameOf(hint, k)}
}

func (o Options) row(hint string, k keyPair) Key {
	row := Key{
		Fingerprint: k.fingerprint,
		Name:        o.nameOf(hint, k),
		Purpose:     k.purpose,
		Data:        versioned(k.privateMessage(), o.wrapper()),
	}
	if o.KMS {
		row.Data, row.KMSKeyID = versioned(k.publicMessage(), o.wrapper()), k.kmsID()
	}
	return row
}

func (o Options) nameOf(hint string, k keyPair) string {
	if o.OldLayout {
		return hint + "-" + k.name
	}
	return k.name
}

// kmsID has the shape of a GCP resource name.
func (k keyPair) kmsID() string {
	sum := sha256.Sum256([]byte(k.fingerprint))
	return fmt.Sprintf("projects/p/locations/l/keyRings/r/cryptoKeys/%s-%x/cryptoKeyVersions/1", k.name, sum[:4])
}

func encode(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err) // maps of strings always encode
	}
	return text
}
