package holdfast

import (
	"cmp"
	"slices"
)

// Offsets are how far an app of Splice was behind its participant when the two
// were captured, at least: both offsets that the proof of their order compares.
type Offsets struct {
	First     ComponentName `json:"first"`
	Then      ComponentName `json:"then"`
	Ingested  int64         `json:"ingested"`   // by the app
	LedgerEnd int64         `json:"ledger_end"` // of the participant
}

// Ahead is by how many offsets the participant is ahead, negative when it is
// behind.
func (o Offsets) Ahead() int64 { return o.LedgerEnd - o.Ingested }

// Offsets are those of the set's edges whose two sides both say how far they
// are.
func (s Set) Offsets() []Offsets {
	out := []Offsets{}
	for _, e := range s.Node.Edges() {
		first, _ := s.Part(e.First)
		then, _ := s.Part(e.Then)
		app, p := first.Facts.stores(), then.span().earliest.Participant
		if app == nil || p == nil || p.LedgerEnd == nil {
			continue
		}
		if newest, known := app.newest(p.ParticipantID); known {
			out = append(out, Offsets{First: e.First, Then: e.Then, Ingested: newest, LedgerEnd: *p.LedgerEnd})
		}
	}
	return out
}

// newest is the highest offset that a store of that participant has.
func (f SpliceFacts) newest(participant string) (offset int64, known bool) {
	for _, s := range f.Stores {
		if s.MigrationID == f.MigrationID && s.Participant == "PAR::"+participant && s.Offset != nil {
			offset, known = max(offset, *s.Offset), true
		}
	}
	return offset, known
}

// StoredTable is a table of a capture, with all its files together.
type StoredTable struct {
	Name  string `json:"name"`
	Rows  int64  `json:"rows"`
	Bytes int64  `json:"bytes"`
}

// Tables are the tables of a capture, the largest first.
func (c Capture) Tables() []StoredTable {
	byName := map[string]int{}
	out := []StoredTable{}
	for _, f := range c.Files() {
		if f.Table == "" {
			continue
		}
		i, seen := byName[f.Table]
		if !seen {
			i = len(out)
			byName[f.Table] = i
			out = append(out, StoredTable{Name: f.Table})
		}
		out[i].Rows += f.Rows
		out[i].Bytes += f.Bytes
	}
	slices.SortFunc(out, func(a, b StoredTable) int {
		return cmp.Or(cmp.Compare(b.Bytes, a.Bytes), cmp.Compare(a.Name, b.Name))
	})
	return out
}
