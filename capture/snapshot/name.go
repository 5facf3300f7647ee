package snapshot

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"holdfast"
)

// Prefix is how every name of ours begins: what may be deleted is bounded by it
// in the provider's policies as well.
const Prefix = "holdfast-"

// The labels of a snapshot of ours.
const (
	labelNode   = "holdfast-node"
	labelSet    = "holdfast-set"
	labelServer = "holdfast-server"
)

// Name is the name of a set's snapshot of a server: small letters, digits and
// single hyphens, at most 63, as the strictest provider wants it.
func Name(set holdfast.SetID, server string) string {
	const most, digest = 63, 8
	name := Prefix + strings.ToLower(string(set)) + "-"
	room := most - len(name)
	plain := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' {
			return r
		}
		return -1
	}, strings.ToLower(server))
	for strings.Contains(plain, "--") {
		plain = strings.ReplaceAll(plain, "--", "-")
	}
	plain = strings.Trim(plain, "-")
	if plain != "" && plain == server && len(plain) <= room {
		return name + plain
	}
	// What was cut or left out may be all that distinguishes two servers.
	sum := sha256.Sum256([]byte(server))
	plain = strings.Trim(plain[:min(len(plain), room-digest-1)], "-")
	if plain != "" {
		plain += "-"
	}
	return name + plain + hex.EncodeToString(sum[:])[:digest]
}

// Labels are those of a set's snapshot of a server.
func Labels(node holdfast.NodeName, set holdfast.SetID, server string) map[string]string {
	return map[string]string{labelNode: string(node), labelSet: string(set), labelServer: server}
}

// Owner is the node and the set that a snapshot of ours was made for. Both its
// labels and the name that follows from them have to say so: labels alone can be
// copied, by people and by providers.
func (s Snapshot) Owner() (holdfast.NodeName, holdfast.SetID, bool) {
	node, set, server := holdfast.NodeName(s.Labels[labelNode]), holdfast.SetID(s.Labels[labelSet]), s.Labels[labelServer]
	if node == "" || !set.Valid() || server == "" || s.CopyOf != "" || s.Name != Name(set, server) {
		return "", "", false
	}
	return node, set, true
}
