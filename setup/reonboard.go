package setup

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"filippo.io/age"

	"holdfast"
	"holdfast/identities"
	"holdfast/node/compose"
	"holdfast/record"
	"holdfast/reonboard"
)

// Reonboard prepares the node to be made again from its identities, which the
// keys open.
func (p *Parts) Reonboard(ctx context.Context, keys []age.Identity) reonboard.Job {
	return reonboard.Job{
		Node: p.Node.Name, Sets: p.everySet,
		Unseal: func(sealed io.Reader, recipients []string) ([]byte, error) {
			return identities.Open(sealed, keys, recipients)
		},
		Way: p.kind.Way, Opened: p.RememberKeyTest, Clear: p.clear(), Remember: p.kind.Clear != nil,
		Ledger: p.ledger(ctx), Now: time.Now,
	}
}

// WatchReonboarding waits until a node that was prepared by Reonboard serves and needs its
// identities no more, and removes them. Say gets what is to be typed when it serves.
// Place names where the identities were.
func (p *Parts) WatchReonboarding(ctx context.Context, say func(string)) (s reonboard.Start, place string, err error) {
	if p.kind.Look == nil {
		return s, "", Usage(errors.New("reonboard watch is for nodes in Kubernetes, with kube.namespace in the " +
			"configuration; of another one: `holdfast reonboard clean`, when it is ready"))
	}
	j := p.Reonboard(ctx, nil)
	s, err = j.Watch(ctx, reonboard.Eyes{Look: p.kind.Look, Events: p.Events, Serves: func(s reonboard.Start) error {
		from, err := p.Source(ctx, string(s.Set))
		if err != nil {
			return err
		}
		way, err := p.kind.Way(from.Set)
		if err == nil {
			say(way.Later("", s))
		}
		return err
	}})
	return s, j.Clear.Place(), err
}

// bundleWay is how a node is started by the bundle's start.sh, with the flags
// that the set recorded of it.
func bundleWay(set holdfast.Set) (reonboard.Way, error) {
	start, directory, err := compose.StartOf(set)
	return reonboard.Way{
		PartyHint: start.PartyHint, Identifier: start.Identifier, Directory: directory,
		First: func(dump string, s reonboard.Start) string { return compose.StartLine(start, dump, s.Identifier) },
		Later: func(_ string, s reonboard.Start) string { return compose.StartLine(start, "", s.Identifier) },
	}, err
}

// clear is where the identities are in clear for the node's first start.
func (p *Parts) clear() reonboard.Clear {
	if p.kind.Clear != nil {
		return p.kind.Clear
	}
	return p.clearFile()
}

func (p *Parts) clearFile() reonboard.ClearFile {
	return reonboard.ClearFile{Path: p.nextToConfig(".identities.clear.json")}
}

// inClear is where the identities are in clear since the node was prepared to be
// made again from them; "" for nowhere.
func (p *Parts) inClear(ctx context.Context) string {
	if p.kind.Clear == nil {
		if file := p.clearFile(); file.IsThere() {
			return file.Path
		}
		return ""
	}
	ctx, cancel := context.WithTimeout(ctx, ObserveTime)
	defer cancel()
	place, err := p.ledger(ctx).InClear()
	if err != nil {
		return ""
	}
	return place
}

// ledger remembers the identifiers that were used.
func (p *Parts) ledger(ctx context.Context) reonboard.Ledger {
	if p.kind.Ledger != nil && syscall.Access(p.Config.Dir(), 2) != nil { // no file can be written
		return p.kind.Ledger(ctx)
	}
	return reonboard.Ledger{Path: p.nextToConfig(".identifiers.json")}
}

// nextToConfig is a file of the node in the configuration's directory.
func (p *Parts) nextToConfig(ending string) string {
	return filepath.Join(p.Config.Dir(), string(p.Node.Name)+ending)
}

// everySet are the sets of every node in the repository, or in the copy that stands
// in for it. A manifest that does
// not read is one without contents.
func (p *Parts) everySet(ctx context.Context) ([]holdfast.Set, error) {
	r, err := p.Repository(ctx)
	if err != nil {
		if r = p.readCopy(); r == nil {
			return nil, err
		}
	}
	list, err := r.Manifests(ctx, "")
	var out []holdfast.Set
	for _, m := range list {
		out = append(out, m.Set)
	}
	return out, err
}

// RememberKeyTest remembers that a key opened the identities of a set.
func (p *Parts) RememberKeyTest(ctx context.Context, set holdfast.Set) error {
	r, err := p.Repository(ctx)
	if err != nil {
		return err
	}
	p.Audit(ctx, record.OpenedIdentities, "of set "+string(set.ID))
	host, _ := os.Hostname()
	return r.PutKeyTest(ctx, record.KeyTest{
		Set: set.ID, Node: set.Node.Name, At: time.Now().UTC(), Content: set.Identities.Content, Host: host,
	})
}
