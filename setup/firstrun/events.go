package firstrun

import (
	"fmt"

	"holdfast"
	"holdfast/observed"
)

// Found says that a node runs here, and what would be made of it.
type Found struct {
	In         string     // what runs it: Docker or Kubernetes
	Lines      [][]string // how it runs: what, and what about it
	Node       string     // what it would be called
	Repository string     // where sets would rest
	Backup     bool       // the first set would be taken at once
}

func (f Found) String() string { return fmt.Sprintf("found node %s in %s", f.Node, f.In) }

// Recalled says that a set has how a node ran that is to come back here.
type Recalled struct {
	Set   holdfast.Set
	Lines [][]string // how it would come back
}

func (r Recalled) String() string {
	return fmt.Sprintf("set %s says how node %s ran", r.Set.ID, r.Set.Node.Name)
}

// NothingFound says why there is no node here.
type NothingFound struct{ Why string }

func (n NothingFound) String() string { return "Docker: " + n.Why }

// DatabaseWorks says what a database turned out to hold.
type DatabaseWorks struct{ observed.Outlook }

func (d DatabaseWorks) String() string { return fmt.Sprintf("%s: %s", d.Component, d.Found) }

// IdentitiesWork says whose identities came.
type IdentitiesWork struct {
	ID   string
	Keys int
}

func (i IdentitiesWork) String() string {
	return fmt.Sprintf("identities of %s, %d keys", i.ID, i.Keys)
}

// DoesNotWork says what does not, of a node that may be broken.
type DoesNotWork struct{ Err error }

func (d DoesNotWork) String() string { return d.Err.Error() }

// BucketRetains warns of a bucket that retains every blob by a rule of its own.
type BucketRetains struct{ By string }

func (b BucketRetains) String() string {
	return fmt.Sprintf("the bucket retains every blob by default (%s): markers of sessions stay as long, "+
		"and kopia's own command cannot write there; remove its default retention, and use --object-lock", b.By)
}

// ComesBack says that the server has none of the node's databases, and that a set
// has all of them.
type ComesBack struct{ Set holdfast.SetID }

func (c ComesBack) String() string {
	return fmt.Sprintf("the server has none of the databases yet; set %s has them", c.Set)
}
