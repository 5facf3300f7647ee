package instances

import (
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"slices"
	"strings"
	"time"

	"holdfast"
	"holdfast/capture/snapshot"
	"holdfast/content"
)

// The labels of an instance that a restore made. They are others than those of
// snapshots, to which a provider may copy them.
const (
	labelNode = "node"
	labelSet  = "set"
	labelFrom = "from"    // the snapshot
	labelOf   = "of"      // the instance whose place it is for, or that it is like
	labelWas  = "instead" // the resource that had that place; none where there was none
	labelAt   = "at"      // when it was requested
	labelTill = "until"   // when a temporary instance may be removed, whoever made it
)

// purpose is what an instance is made for: its labels and its name say so, and the
// provider's policies are bounded by the name.
type purpose struct {
	labels string // how they begin
	names  string
}

// The purposes. A temporary instance is read and removed. No restore goes on with one, and no
// undo sees it.
var (
	toStay    = purpose{"holdfast-restore-", newPrefix}
	temporary = purpose{"holdfast-lift-", liftPrefix}
)

func (p purpose) name(set holdfast.SetID, of string) string {
	return fitted(p.names+strings.ToLower(string(set))+"-", of)
}

// purpose is what the target makes instances for.
func (t Target) purpose() purpose {
	if t.Until.IsZero() {
		return toStay
	}
	return temporary
}

// made is an instance that a restore made.
type made struct {
	snapshot.Server

	set  holdfast.SetID
	from string
	of   string
	was  string
	at   time.Time
	till time.Time // zero of what is to stay
}

// inPlace reports whether it has the name of the one it was made for.
func (m made) inPlace() bool { return m.Name == m.of }

// read reads the labels of an instance. Labels can be copied, by people and by
// providers, so the name has to follow from them.
func (t Target) read(s snapshot.Server) (made, bool) {
	p := t.purpose()
	label := func(name string) string { return s.Labels[p.labels+name] }
	m := made{
		Server: s, set: holdfast.SetID(label(labelSet)), from: label(labelFrom), of: label(labelOf), was: label(labelWas),
	}
	m.at, _ = time.Parse(time.RFC3339, label(labelAt))
	m.till, _ = time.Parse(time.RFC3339, label(labelTill))
	ours := label(labelNode) == string(t.Node) && m.set.Valid() && m.of != "" && m.from != ""
	renamed := p == toStay && m.inPlace()
	return m, ours && (renamed || m.Name == p.name(m.set, m.of))
}

// labels are those of an instance that is made: those that the old one has, and ours.
func (t Target) labels(m made, shape content.Shape) map[string]string {
	p := t.purpose()
	out := map[string]string{}
	for k, v := range shape.Tags {
		ours := strings.HasPrefix(k, toStay.labels) || strings.HasPrefix(k, temporary.labels)
		if !ours && !strings.HasPrefix(k, "aws:") { // nobody may set those
			out[k] = v
		}
	}
	maps.Copy(out, map[string]string{
		p.labels + labelNode: string(t.Node), p.labels + labelSet: string(m.set), p.labels + labelFrom: m.from,
		p.labels + labelOf: m.of, p.labels + labelAt: m.at.UTC().Format(time.RFC3339),
	})
	if m.was != "" {
		out[p.labels+labelWas] = m.was
	}
	if p == temporary {
		out[p.labels+labelTill] = t.Until.UTC().Format(time.RFC3339)
	}
	return out
}

// How the names of what may be deleted begin: the provider's policies are bounded by
// them as well.
const (
	newPrefix  = snapshot.Prefix + "new-"
	liftPrefix = snapshot.Prefix + "lift-"
)

// NewName is what an instance of a set is called that is for another one's place,
// until it has it.
func NewName(set holdfast.SetID, of string) string {
	return toStay.name(set, of)
}

// IsNew reports whether a name may be one of NewName.
func IsNew(name string) bool { return strings.HasPrefix(name, newPrefix) }

// previousName is what an instance is called once another one has its place. The
// resource keeps two of them apart that made way for the same set.
func previousName(set holdfast.SetID, live snapshot.Server) string {
	_, random, _ := strings.Cut(string(set), "-")
	return fitted(snapshot.Prefix+"before-"+random+"-"+digest(live.Resource)+"-", live.Name)
}

// fitted is a name of at most 63 letters that ends in another one, or in what of
// it distinguishes it.
func fitted(head, name string) string {
	const most = 63
	if len(head)+len(name) <= most {
		return head + name
	}
	return head + digest(name)
}

func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])[:8]
}

// all are the instances that restores of the node made.
func (t Target) all(list []snapshot.Server) (out []made) {
	for _, s := range list {
		if m, ours := t.read(s); ours {
			out = append(out, m)
		}
	}
	return out
}

// latest is the instance of a set that was made for the place of another one: of
// two, the one that the other one made way for.
func (t Target) latest(list []snapshot.Server, set holdfast.SetID, of string) (made, bool) {
	mine := slices.DeleteFunc(t.all(list), func(m made) bool { return m.set != set || m.of != of })
	for _, m := range mine {
		if !slices.ContainsFunc(mine, func(o made) bool { return o.was == m.Resource }) {
			return m, true
		}
	}
	return made{}, false
}

func named(list []snapshot.Server, name string) (snapshot.Server, bool) {
	return which(list, func(s snapshot.Server) bool { return s.Name == name })
}

func withResource(list []snapshot.Server, resource string) (snapshot.Server, bool) {
	return which(list, func(s snapshot.Server) bool { return resource != "" && s.Resource == resource })
}

func which(list []snapshot.Server, is func(snapshot.Server) bool) (snapshot.Server, bool) {
	if i := slices.IndexFunc(list, is); i >= 0 {
		return list[i], true
	}
	return snapshot.Server{}, false
}
