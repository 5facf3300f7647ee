package splicetest

import (
	"os"
	"testing"
)

// What is copied from a master begins as the master did, whatever was done to
// the one that the master was made of, or to another copy.
func TestCopiesOfAMasterAreApart(t *testing.T) {
	masters := t.TempDir()
	t.Setenv(mastersEnv, masters)
	count := func() int {
		list, err := os.ReadDir(masters)
		if err != nil {
			t.Fatal(err)
		}
		return len(list)
	}
	for range 3 {
		s := NewServer(t, "")
		if err := s.Exec(t.Context(), "postgres", "create table mine ()"); err != nil {
			t.Error(err)
		}
	}
	if made := count(); made != 1 {
		t.Errorf("%d masters were made for three servers", made)
	}
	for _, options := range []NodeOptions{{App: true}, {TwoInstances: true}} {
		before := count()
		var first *Node
		for range 3 {
			n := NewNode(t, options)
			if err := n.Participant.Exec(t.Context(), ParticipantDatabase, "create table mine ()"); err != nil {
				t.Error(err)
			}
			end, err := n.LedgerEnd(t.Context())
			if err != nil || end < 100 {
				t.Errorf("ledger end %d, %v", end, err)
			}
			if offset, err := n.Ingested(t.Context()); err != nil || offset != end-2 {
				t.Errorf("ledger end %d, ingested %d, %v", end, offset, err)
			}
			if first == nil {
				first = n
				continue
			}
			a, err := Fingerprint(t.Context(), first.ValidatorDSN())
			if err != nil {
				t.Fatal(err)
			}
			b, err := Fingerprint(t.Context(), n.ValidatorDSN())
			if err != nil {
				t.Fatal(err)
			}
			for name, print := range a {
				if b[name] != print {
					t.Errorf("%s: %s in the first node, %s in a copy", name, print, b[name])
				}
			}
		}
		if made := count() - before; made != 1 {
			t.Errorf("%d masters were made for three nodes", made)
		}
	}
}
