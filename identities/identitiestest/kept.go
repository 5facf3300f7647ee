package identitiestest

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
)

// Kept makes the dump of a node from what its participant's database keeps:
// its id (hint::1220…), its keys and its topology snapshot.
func Kept(participantID string, keys []Key, snapshot []byte, version string) Dump {
	var entries []map[string]string
	for _, k := range keys {
		pair := bytesField(nil, protowire.Number(1+k.Purpose), bytesField(nil, 2, inner(k.Data)))
		entries = append(entries, map[string]string{
			"name":    k.Name,
			"keyPair": base64.StdEncoding.EncodeToString(versioned(pair, currentWrapper)),
		})
	}
	body := map[string]any{
		"id": "PAR::" + participantID, "keys": entries,
		"authorizedStoreSnapshot": base64.StdEncoding.EncodeToString(snapshot),
	}
	if version != "" {
		body["version"] = version
	}
	return Dump{JSON: encode(body), ParticipantID: participantID, Keys: keys}
}

// Read is the dump of a participant with keys of its own, as the importer
// takes it apart.
func Read(text []byte) (Dump, error) {
	var body struct {
		ID   string
		Keys []struct{ Name, KeyPair string }
	}
	if err := json.Unmarshal(text, &body); err != nil {
		return Dump{}, fmt.Errorf("read a dump: %w", err)
	}
	id, ok := strings.CutPrefix(body.ID, "PAR::")
	if !ok {
		return Dump{}, fmt.Errorf("read a dump: %q is no participant", body.ID)
	}
	d := Dump{JSON: text, ParticipantID: id}
	for _, k := range body.Keys {
		wrapped, err := base64.StdEncoding.DecodeString(k.KeyPair)
		if err != nil {
			return Dump{}, fmt.Errorf("read key %s: %w", k.Name, err)
		}
		pair, key := inner(wrapped), Key{Name: k.Name}
		if field(pair, 1) == nil {
			key.Purpose = 1
		}
		private := field(field(pair, protowire.Number(1+key.Purpose)), 2)
		if private == nil {
			return Dump{}, fmt.Errorf("read key %s: there is no private key in it", k.Name)
		}
		key.Fingerprint, key.Data = string(field(private, 1)), versioned(private, currentWrapper)
		d.Keys = append(d.Keys, key)
	}
	if len(d.Keys) == 0 {
		return Dump{}, errors.New("read a dump: it has no keys")
	}
	return d, nil
}

// Snapshot is the topology snapshot in the dump.
func (d Dump) Snapshot() ([]byte, error) {
	var body struct{ AuthorizedStoreSnapshot []byte }
	err := json.Unmarshal(d.JSON, &body)
	return body.AuthorizedStoreSnapshot, err
}

// As is the dump of the node under a new identifier: the keys and the namespace
// stay, the owner's mapping names the new member.
func (d Dump) As(identifier string) (Dump, error) {
	snapshot, err := d.Snapshot()
	if err != nil {
		return Dump{}, err
	}
	_, namespace, _ := strings.Cut(d.ParticipantID, "::")
	moved := identifier + "::" + namespace
	// data, items, transaction, data, transaction, data, mapping, owner to key, member
	member := []protowire.Number{1, 1, 3, 1, 1, 1, 3, 4, 1}
	snapshot = edit(snapshot, member, func(old []byte) []byte {
		if string(old) == "PAR::"+d.ParticipantID {
			return []byte("PAR::" + moved)
		}
		return old
	})
	return Kept(moved, d.Keys, snapshot, ""), nil
}

// inner is the message in a versioned one.
func inner(wrapped []byte) []byte { return field(wrapped, 1) }

// field is the first field of that number that has bytes, nil without one.
func field(m []byte, number protowire.Number) (found []byte) {
	edit(m, []protowire.Number{number}, func(value []byte) []byte {
		if found == nil {
			found = value
		}
		return value
	})
	return found
}

// edit replaces every value at a path of fields; what cannot be read stays.
func edit(m []byte, path []protowire.Number, change func([]byte) []byte) []byte {
	var out []byte
	for rest := m; len(rest) > 0; {
		number, kind, length := protowire.ConsumeField(rest)
		if length < 0 {
			return append(out, rest...)
		}
		whole := rest[:length]
		rest = rest[length:]
		if number != path[0] || kind != protowire.BytesType {
			out = append(out, whole...)
			continue
		}
		_, _, tag := protowire.ConsumeTag(whole)
		value, _ := protowire.ConsumeBytes(whole[tag:])
		if len(path) > 1 {
			value = edit(value, path[1:], change)
		} else {
			value = change(value)
		}
		out = bytesField(out, number, value)
	}
	return out
}
