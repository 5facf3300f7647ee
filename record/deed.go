package record

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"time"

	"holdfast"
)

// Act is what somebody did that an audit asks for.
type Act string

// The acts.
const (
	Restored         Act = "restored"
	Undone           Act = "took a restore back"
	OpenedIdentities Act = "opened identities"
	DroppedSets      Act = "dropped sets"
	ChangedPolicy    Act = "changed the policy"
	ChangedPassword  Act = "changed the password"
	PinnedSet        Act = "pinned a set"
	UnpinnedSet      Act = "unpinned a set"
	LoggedIn         Act = "logged in"
	LoginRefused     Act = "was refused a login"
	Requested        Act = "requested"
)

// Deed is one entry of the audit trail, which is stored in the repository. Each
// entry has the digest of the one before it: to change or remove one, all later
// ones have to be made again.
type Deed struct {
	At       time.Time         `json:"at"`
	Node     holdfast.NodeName `json:"node"`
	By       string            `json:"by"` // user@host, or a name "on the page"
	Act      Act               `json:"act"`
	What     string            `json:"what"`
	Holdfast string            `json:"holdfast"` // version of the program
	Previous string            `json:"previous"` // digest of the entry before; "" in the first
}

// Digest is the SHA-256 of the entry, in hex.
func (d Deed) Digest() string {
	d.At = d.At.UTC()
	text, err := json.Marshal(d)
	if err != nil { // a struct of texts and a time
		return ""
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// Trail is the audit trail, in its order.
type Trail struct {
	Deeds []Deed `json:"deeds"`
	// Head is the digest of the newest entry. Whoever wrote it down elsewhere
	// notices when the end of the trail was removed or all of it made again.
	Head string `json:"head"`
	// Broken are the entries whose predecessor is missing or was changed, and those
	// that share one.
	Broken []string `json:"broken"`
}

// TrailOf puts entries into the order of their chain, and looks whether it is
// whole.
func TrailOf(list []Deed) Trail {
	list = slices.Clone(list)
	slices.SortStableFunc(list, func(a, b Deed) int { return a.At.Compare(b.At) })
	next := map[string][]Deed{} // by the digest of the entry before
	for _, d := range list {
		next[d.Previous] = append(next[d.Previous], d)
	}
	t := Trail{Deeds: []Deed{}, Broken: []string{}}
	placed := map[string]bool{}
	var follow func(previous string)
	follow = func(previous string) {
		for i, d := range next[previous] {
			digest := d.Digest()
			if placed[digest] {
				continue
			}
			if i > 0 {
				t.Broken = append(t.Broken, broken(d, "follows the same entry as another one"))
			}
			placed[digest] = true
			t.Deeds, t.Head = append(t.Deeds, d), digest
			follow(digest)
		}
	}
	follow("")
	for _, d := range list {
		if !placed[d.Digest()] {
			t.Broken = append(t.Broken, broken(d, "follows an entry that is missing or was changed"))
			placed[d.Digest()] = true
			t.Deeds, t.Head = append(t.Deeds, d), d.Digest()
			follow(d.Digest())
		}
	}
	return t
}

func broken(d Deed, how string) string {
	return d.At.UTC().Format(time.RFC3339) + " " + string(d.Act) + ": " + how
}
