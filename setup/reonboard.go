package setup

import (
	"context"
	"io"
	"os"
	"path/filepath"
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
func (p *Parts) Reonboard(keys []age.Identity) reonboard.Job {
	return reonboard.Job{
		Sets: p.everySet,
		Unseal: func(sealed io.Reader, recipients []string) ([]byte, error) {
			return identities.Open(sealed, keys, recipients)
		},
		Way: p.kind.Way, Opened: p.RememberKeyTest, Clear: p.ClearFile(),
		Ledger: reonboard.Ledger{Path: p.nextToConfig(".identifiers.json")}, Now: time.Now,
	}
}

// bundleWay is how a node is started by the bundle's start.sh, with the flags
// that the set recorded of it.
func bundleWay(set holdfast.Set) (reonboard.Way, error) {
	start, directory, err := compose.StartOf(set)
	return reonboard.Way{
		PartyHint: start.PartyHint, Identifier: start.Identifier, Directory: directory,
		Line: func(dump, identifier string) string { return compose.StartLine(start, dump, identifier) },
	}, err
}

// ClearFile is where the identities are in clear for the node's first start.
func (p *Parts) ClearFile() reonboard.ClearFile {
	return reonboard.ClearFile{Path: p.nextToConfig(".identities.clear.json")}
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
