package rdsapi

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"holdfast/internal/splicetest"
)

// The account's region, and the keys it knows.
const (
	Region = "eu-central-1"
	Key    = "AKIASTANDINSTANDIN00"
	Secret = "standinSecretKeyStandinSecretKeyStandin0"
)

// Instance is a database instance, or a cluster where Cluster is set.
type Instance struct {
	ID       string
	Resource string // made up where it is empty
	Server   *splicetest.Server
	Engine   string // postgres; aurora-postgresql
	Cluster  string // of which it is the writer: snapshots are the cluster's then
	MultiAZ  bool
	Replica  string // of that instance
	Status   string // available
	Deleting bool   // deletion protection is off where false as well as where unset
	Protect  bool   // deletion protection
	Retain   int    // days of automated backups

	tags     map[string]string
	shape    Shape
	restored bool   // or created: its server is ours to close
	password string // of the server's superuser; "": everybody is trusted
}

// Lies are what the account answers or does that a provider must not, or rarely
// does. The zero value is the truth.
type Lies struct {
	ReadyEarly    bool          // a snapshot is available before its content is taken
	Late          time.Duration // so long after the answer
	Stale         string        // the content is that of this older snapshot; the fields say so
	OtherContent  string        // the content is of this instance
	OtherFields   bool          // and the fields say so too
	HideTime      bool          // SnapshotDatabaseTime is empty
	ForgeTime     bool          // SnapshotDatabaseTime is what would be right
	VanishAfter   int           // a snapshot is gone after it was described available so often
	CopiedTimes   bool          // times are those of a copy made long ago
	Skew          time.Duration // the account's clock minus ours
	Quota         int           // manual snapshots; 100 when zero
	QuotaHidden   bool          // the quota shows in CreateDBSnapshot alone
	Maintenance   int           // so often the instance is described in maintenance
	BusyRequests  int           // so many requests for a snapshot find the instance busy although it looks available
	LoseAnswers   map[string]int
	LoseRequests  map[string]int // so many of an action do not arrive
	Denied        []string       // actions that the policy does not allow
	FailSnapshots bool
	FailRestores  bool     // an instance that is made of a snapshot is given up
	SlowRestores  bool     // and is not made before this is no lie any more
	RestoreOther  string   // and has what this snapshot has
	LoseSnapshots bool     // snapshots go with their instance
	InstanceQuota int      // instances
	NoClass       []string // classes that cannot be had
}

// Account is one.
type Account struct {
	URL string

	t         testing.TB
	dir       string
	server    *httptest.Server
	mu        sync.Mutex
	lies      Lies
	instances []*Instance
	clusters  []*cluster
	snapshots []*snapshot
	calls     []Call
	watch     func(Call)
	random    *rand.Rand
	wg        sync.WaitGroup
	number    int
	policy    []string // nil: everything is allowed
	joined    []joined // connections to names
}

// Call is one request that arrived.
type Call struct {
	Action string
	Target string // the snapshot or instance that it would change
}

type snapshot struct {
	id, arn           string
	of                *Instance
	fields            *Instance // which one the fields name
	cluster           bool
	named             *cluster // which the fields name; nil of an instance
	status            string
	percent           int
	tags              map[string]string
	created, database time.Time
	data              string // directory; "" until taken
	described         int
	kind              string // manual, automated
	copyOf            string
}

// New starts an account with instances, and ends it with the test.
func New(t testing.TB, instances ...Instance) *Account {
	t.Helper()
	dir, err := os.MkdirTemp("", "rdsapi-")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil { //nolint // the server's user reads it
		t.Fatal(err)
	}
	a := &Account{t: t, dir: dir, random: rand.New(rand.NewPCG(1, 16))}
	for _, i := range instances {
		if i.Resource == "" {
			i.Resource = "db-" + fmt.Sprintf("%08X", a.next())
		}
		if i.Status == "" {
			i.Status = "available"
		}
		if i.Engine == "" {
			i.Engine = "postgres"
		}
		i.shape = usual
		a.instances = append(a.instances, &i)
	}
	a.server = httptest.NewServer(http.HandlerFunc(a.serve))
	a.URL = a.server.URL
	t.Cleanup(func() {
		a.server.Close()
		a.wg.Wait()
		for _, i := range a.instances {
			if i.restored && i.Server != nil {
				_ = i.Server.Close()
			}
		}
		_ = os.RemoveAll(dir)
	})
	return a
}

func (a *Account) next() int { a.number++; return a.number }

// Lie sets what it lies about from now on.
func (a *Account) Lie(l Lies) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.lies = l
}

// Allow sets the actions that the caller may use; others are denied.
func (a *Account) Allow(actions []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.policy = actions
}

// Watch is called with each request that arrived, before it is answered.
func (a *Account) Watch(fn func(Call)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.watch = fn
}

// Settle waits until nothing is being made or ended.
func (a *Account) Settle() { a.wg.Wait() }

// Calls are the requests that arrived so far.
func (a *Account) Calls() []Call {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.calls)
}

// Snapshots are the names of the snapshots that are there.
func (a *Account) Snapshots() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	var out []string
	for _, s := range a.snapshots {
		out = append(out, s.id)
	}
	return out
}

// Instances are the names of the instances that are there.
func (a *Account) Instances() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	var out []string
	for _, i := range a.instances {
		out = append(out, i.ID)
	}
	return out
}

// Change changes an instance.
func (a *Account) Change(id string, fn func(*Instance)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	fn(a.instance(id))
}

// Strange puts a snapshot there that somebody else made, of an instance as it is.
func (a *Account) Strange(id, of string, tags map[string]string) error {
	a.mu.Lock()
	i := a.instance(of)
	s := &snapshot{id: id, arn: arn("snapshot", id), of: i, fields: i, status: "available", percent: 100, tags: tags,
		created: a.now(), database: time.Now(), kind: "manual", data: filepath.Join(a.dir, "strange-"+id)}
	a.snapshots = append(a.snapshots, s)
	a.mu.Unlock()
	return i.Server.CrashCopy(context.Background(), s.data)
}

// Open starts a server on what a snapshot really has: what nobody but its keeper
// can look at without a restore.
func (a *Account) Open(ctx context.Context, id string) (*splicetest.Server, error) {
	a.mu.Lock()
	s := a.find(id)
	a.mu.Unlock()
	if s == nil || s.data == "" {
		return nil, fmt.Errorf("no snapshot %s with content", id)
	}
	return splicetest.StartFrom(ctx, s.data, splicetest.Options{Bin: s.of.Server.Version.Bin, TCP: true})
}

func (a *Account) now() time.Time { return time.Now().Add(a.lies.Skew).UTC() }

func (a *Account) instance(id string) *Instance {
	for _, i := range a.instances {
		if i.ID == id {
			return i
		}
	}
	return nil
}

func (a *Account) writer(cluster string) *Instance {
	for _, i := range a.instances {
		if i.Cluster == cluster && cluster != "" {
			return i
		}
	}
	return nil
}

func (a *Account) find(id string) *snapshot {
	for _, s := range a.snapshots {
		if s.id == id {
			return s
		}
	}
	return nil
}

// take begins a snapshot, which is ready some time later. The account is locked.
func (a *Account) take(id string, of *Instance, cluster bool, tags map[string]string) *snapshot {
	s := &snapshot{id: id, arn: arn("snapshot", id), of: of, fields: of, cluster: cluster, status: "creating", tags: tags,
		kind: "manual"}
	if cluster {
		now := *a.findCluster(of.Cluster)
		s.arn, s.named = arn("cluster-snapshot", id), &now
	}
	lies := a.lies
	if lies.OtherContent != "" {
		s.of = a.instance(lies.OtherContent)
		if lies.OtherFields {
			s.fields = s.of
		}
	}
	a.snapshots = append(a.snapshots, s)
	const least, spread = 20, 120 // milliseconds
	wait := func() time.Duration { return time.Duration(least+a.random.IntN(spread)) * time.Millisecond }
	before, after := wait(), wait()
	a.wg.Go(func() { a.finish(s, lies, before, after) })
	return s
}

func (a *Account) finish(s *snapshot, lies Lies, before, after time.Duration) {
	change := func(fn func()) { a.mu.Lock(); defer a.mu.Unlock(); fn() }
	ready := func() {
		change(func() {
			s.status, s.percent, s.created = "available", 100, a.now()
			if lies.FailSnapshots {
				s.status, s.percent = "failed", 50
			}
		})
	}
	time.Sleep(before)
	change(func() { s.percent = 40 })
	if lies.ReadyEarly {
		change(func() { s.database = time.Now().Add(lies.Late) }) // it knows what it will have
		ready()
		time.Sleep(lies.Late)
	}
	data := filepath.Join(a.dir, s.id)
	var old *snapshot
	change(func() { old = a.find(lies.Stale) })
	if lies.Stale != "" && old != nil {
		change(func() {
			s.data, s.database = old.data, old.database
			if lies.ForgeTime {
				s.database = time.Now()
			}
		})
	} else {
		err := s.of.Server.CrashCopy(context.Background(), data)
		at := time.Now()
		change(func() {
			s.data = data
			if !lies.ReadyEarly {
				s.database = at
			}
			if lies.ForgeTime && lies.ReadyEarly {
				s.database = s.created
			}
		})
		if err != nil {
			change(func() { s.status = "failed" })
			return
		}
	}
	if !lies.ReadyEarly {
		time.Sleep(after)
		ready()
	}
}

func arn(kind, id string) string {
	return "arn:aws:rds:" + Region + ":123456789012:" + kind + ":" + id
}
