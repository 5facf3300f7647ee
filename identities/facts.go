package identities

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"slices"

	"holdfast"
)

// Content is a hash of the node's identity: the id, the keys and the snapshot,
// in any order. Two dumps with equal content restore the same node, whichever
// release wrote them, so an unchanged node needs no new version.
func (d *Dump) Content() string {
	parts := []string{"holdfast identities 1", d.ID}
	var keys []string
	for _, k := range d.Keys {
		keys = append(keys, joined(k.Name, k.Purpose, k.KMSKey, k.essence()))
	}
	slices.Sort(keys) // the order of export is not part of the identity
	parts = append(parts, joined(keys...))
	if d.snapshot == nil {
		parts = append(parts, d.snapshotDigest)
	} else {
		for _, transaction := range d.snapshot.identity {
			parts = append(parts, string(transaction))
		}
	}
	return digest([]byte(joined(parts...)))
}

// essence stands for the key itself. If its fingerprint was recomputed from the
// private key, the fingerprint is enough, in whichever layout the key is written.
func (k Key) essence() string {
	if k.Derived != "" {
		return k.Derived
	}
	return k.digest
}

// Facts are what the manifest of a set records about the dump. The caller adds
// its recipients and where it is stored.
func (d *Dump) Facts(report Report) holdfast.IdentityFacts {
	facts := holdfast.IdentityFacts{ID: d.ID, Version: d.Version, KMS: d.KMS(), Content: d.Content()}
	for _, k := range d.Keys {
		facts.Keys = append(facts.Keys, holdfast.IdentityKey{
			Name: k.Name, Purpose: k.Purpose, Fingerprint: k.Fingerprint(), KMSKey: k.KMSKey,
		})
	}
	for _, f := range report {
		facts.Checks = append(facts.Checks, holdfast.IdentityCheck{
			Code: f.Code, Title: f.Title, Verdict: f.Verdict, Evidence: f.Evidence,
		})
	}
	return facts
}

// joined encodes parts so that no two lists have the same encoding.
func joined(parts ...string) string {
	var out []byte
	for _, p := range parts {
		out = binary.AppendUvarint(out, uint64(len(p)))
		out = append(out, p...)
	}
	return string(out)
}

func digest(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}
