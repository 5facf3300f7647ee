package content

import (
	"encoding/json"
	"fmt"
	"time"

	"holdfast"
)

// decoders is the table of contents: what a capture of each method holds.
var decoders = map[holdfast.Method]func([]byte) (holdfast.Content, error){
	holdfast.Dump:     decode[Rows],
	holdfast.Physical: decode[ServerFiles],
	holdfast.Snapshot: decode[Reference],
}

func decode[T holdfast.Content](text []byte) (holdfast.Content, error) {
	var v T
	err := json.Unmarshal(text, &v)
	return v, err
}

// Decode reads what a manifest has of a capture's content.
func Decode(m holdfast.Method, text []byte) (holdfast.Content, error) {
	read, ok := decoders[m]
	if !ok {
		return nil, &holdfast.Problem{
			Class: holdfast.Undetermined,
			What:  fmt.Sprintf("a capture by method %q, which this Holdfast does not know", m),
			Do:    "Use the Holdfast version that wrote it, or a later one.",
		}
	}
	return read(text)
}

// ServerFiles are the files of a whole server, as a physical capture has them.
type ServerFiles struct {
	Names []string `json:"files"` // within the set
}

// Files lists them.
func (f ServerFiles) Files() []holdfast.File {
	out := make([]holdfast.File, len(f.Names))
	for i, name := range f.Names {
		out[i].Name = name
	}
	return out
}

// Elsewhere is nobody: the files are in the set.
func (ServerFiles) Elsewhere() string { return "" }

// Counts are unknown: nobody has looked into the files.
func (ServerFiles) Counts() (tables int, rows int64) { return 0, 0 }

// Reference names a snapshot that is kept elsewhere.
type Reference struct {
	Keeper  string    `json:"keeper"` // who keeps it: a platform and an account of it
	ID      string    `json:"id"`     // what the keeper calls it
	Expires time.Time `json:"expires,omitzero"`
	// Source is what it is a snapshot of, as the keeper calls it; Resource is the
	// keeper's name for that which is never given again.
	Source   string     `json:"source,omitempty"`
	Resource string     `json:"resource,omitempty"`
	Evidence []Evidence `json:"evidence,omitempty"`
	// Shape is how the instance or the cluster was set up; nil in sets of before it was
	// recorded.
	Shape *Shape `json:"shape,omitempty"`
}

// Shape is how an instance or a cluster is set up at its provider: what a new one, made of its
// snapshot, has to be given to take its place. What is empty is the provider's to
// choose.
type Shape struct {
	Class          string            `json:"class,omitempty"`
	Subnets        string            `json:"subnet_group,omitempty"`
	SecurityGroups []string          `json:"security_groups,omitempty"`
	Parameters     string            `json:"parameter_group,omitempty"`
	Options        string            `json:"option_group,omitempty"`
	Storage        string            `json:"storage_type,omitempty"`
	IOPS           int               `json:"iops,omitempty"`       // where they are bought, and not those of the type
	Throughput     int               `json:"throughput,omitempty"` // MiB/s, the same
	Certificate    string            `json:"ca_certificate,omitempty"`
	Logs           []string          `json:"log_exports,omitempty"`
	Port           int               `json:"port,omitempty"`
	Public         bool              `json:"public,omitempty"`
	MultiAZ        bool              `json:"multi_az,omitempty"`
	Protected      bool              `json:"deletion_protection,omitempty"`
	CopiesTags     bool              `json:"copies_tags,omitempty"` // to its snapshots
	RoleLogins     bool              `json:"role_logins,omitempty"` // of the provider's own roles
	Retention      int               `json:"retention_days,omitempty"`
	Tags           map[string]string `json:"tags,omitempty"`
	// Cluster is what a cluster has besides; nil of an instance. Class, Parameters,
	// Certificate and, of Aurora, Public are those of its writer.
	Cluster *Cluster `json:"cluster,omitempty"`
}

// IsCluster reports whether it is how a cluster is set up.
func (s *Shape) IsCluster() bool { return s != nil && s.Cluster != nil }

// Cluster is how a cluster is set up, besides what an instance has as well.
type Cluster struct {
	Members    []string  `json:"members,omitempty"` // their names, the writer's first
	Parameters string    `json:"parameter_group,omitempty"`
	Backups    string    `json:"backup_window,omitempty"` // of its own backups: "04:00-04:30"
	Network    string    `json:"network_type,omitempty"`
	Support    string    `json:"lifecycle_support,omitempty"` // of versions that are old, which costs
	Serverless *Capacity `json:"serverless,omitempty"`
}

// Capacity is between what a serverless cluster scales, in units of the provider.
type Capacity struct {
	Min   float64 `json:"min"`
	Max   float64 `json:"max"`
	Pause int     `json:"pause_after_seconds,omitempty"` // of idleness; 0: it does not pause
}

// Evidence is one observation on a snapshot that nobody reads, named as what it
// is: a keeper's word is none of our own.
type Evidence struct {
	From Witness   `json:"from"`
	What string    `json:"what"`
	At   time.Time `json:"at,omitzero"` // by that witness's clock
}

// Witness is who says something of a snapshot.
type Witness string

// The witnesses.
const (
	OurClock     Witness = "our clock"
	LiveDatabase Witness = "the live database"
	KeepersWord  Witness = "the keeper's word"
)

// Files lists none: nothing of it is in the set.
func (Reference) Files() []holdfast.File { return nil }

// Elsewhere names the snapshot and its keeper.
func (r Reference) Elsewhere() string { return "snapshot " + r.ID + ", kept by " + r.Keeper }

// Counts are unknown: nobody has looked into it.
func (Reference) Counts() (tables int, rows int64) { return 0, 0 }
