package config

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"time"

	"holdfast"
	"holdfast/place"
)

// Config is the whole of holdfast.yaml.
type Config struct {
	Node       string              `yaml:"node"`
	Databases  map[string]Database `yaml:"databases"`
	Compose    *Compose            `yaml:"compose"`
	Kube       *Kube               `yaml:"kube"` // where the node runs, if in Kubernetes
	Identities *Identities         `yaml:"identities"`
	Repository Repository          `yaml:"repository"`
	Copies     []Copy              `yaml:"copies"`
	Cache      Cache               `yaml:"cache"`
	// SecretManagers say how the managers are reached that references and
	// identities.keep name.
	SecretManagers SecretManagers `yaml:"secret_managers"`
	RDS            RDS            `yaml:"rds"`
	Tools          string         `yaml:"tools"` // directory of pg_dump and pg_restore; searched for when empty
	// SilenceLimit is how long a server, daemon or program may send nothing before
	// it is given up; 2m when zero.
	SilenceLimit Duration `yaml:"silence_limit"`

	Dump      Dump      `yaml:"dump"`
	Check     Check     `yaml:"check"`
	Retention Retention `yaml:"retention"`
	Drill     Drill     `yaml:"drill"`
	Schedule  Schedule  `yaml:"schedule"`
	HTTP      HTTP      `yaml:"http"`
	Notices   Notices   `yaml:"notices"`
	Page      Page      `yaml:"page"`

	file     string
	origins  []Origin
	standsIn place.Place
}

// Database is one component. In the file it may be just the connection string.
type Database struct {
	Connection string      `yaml:"connection"` // postgres://... or host=... dbname=...
	Password   Reference   `yaml:"password"`
	Kind       string      `yaml:"kind"`   // one of holdfast.Kinds; the name, if it is one of these; else app
	Method     string      `yaml:"method"` // how it is captured; dump when empty
	RDS        RDSDatabase `yaml:"rds"`
	Before     []string    `yaml:"before"` // its capture ends before theirs begin
	After      []string    `yaml:"after"`
}

// Compose says that the node is a validator in Docker Compose: its containers
// lead to its databases. Other databases may be named in addition.
type Compose struct {
	Project    string `yaml:"project"`     // splice-validator by default
	DockerHost string `yaml:"docker_host"` // the daemon; that of the docker command when empty
	Directory  string `yaml:"directory"`   // of the bundle's files, for new containers; as before when empty
	// Services are those of roles that several may have: participant, validator,
	// postgres. The name of a container does as well.
	Services map[string]string `yaml:"services"`
	// Reach is the only way to a role that is tried: address, name or exec. Those
	// of roles without one are tried one after the other.
	Reach map[string]string `yaml:"reach"`
}

// Identities says how the identities dump is fetched, sealed and stored.
type Identities struct {
	URL        string   `yaml:"url"`     // of the validator app: http://wallet.localhost
	File       string   `yaml:"file"`    // a dump on this machine, where the validator app exports none
	Address    string   `yaml:"address"` // host:port to connect to instead of the URL's host
	CA         string   `yaml:"ca"`      // file with certificates to trust, in addition to the system's
	Auth       Auth     `yaml:"auth"`
	Recipients []string `yaml:"recipients"` // age or SSH public keys
	Keep       []Keep   `yaml:"keep"`       // places that get a copy each
}

// Auth is one way to get a token for the validator app.
type Auth struct {
	Mode         string    `yaml:"mode"`   // oidc, unsafe, token
	Issuer       string    `yaml:"issuer"` // or the URL of its discovery document
	ClientID     string    `yaml:"client_id"`
	ClientSecret Reference `yaml:"client_secret"`
	Audience     string    `yaml:"audience"`
	Resource     string    `yaml:"resource"`
	Scope        string    `yaml:"scope"`
	Basic        bool      `yaml:"basic"` // client id and secret as HTTP basic authentication
	Users        []string  `yaml:"users"` // unsafe: in the order to try
	Token        Reference `yaml:"token"` // token: where it is
}

// Repository is where sets are stored.
type Repository struct {
	Place    place.Place `yaml:"path"`
	Password Reference   `yaml:"password"`
	Access   Access      `yaml:"access"`
	Limits   Limits      `yaml:"limits"`
	Price    string      `yaml:"price"` // of the storage, a GiB and month: 0.023 USD
}

// Access is how a place outside of this machine lets us in. Without it the
// usual ways are taken: the configurations of AWS, Google and Azure and the
// identities of their machines, the keys of ssh.
type Access struct {
	ID         Reference `yaml:"id"`          // the access key's id of s3; the user of webdav
	Secret     Reference `yaml:"secret"`      // the secret key of s3; the password of sftp and webdav
	Token      Reference `yaml:"token"`       // the session token of s3; the shared access signature of azblob
	Key        Reference `yaml:"key"`         // private key of sftp, a service account's of gs, the account's of azblob
	CA         string    `yaml:"ca"`          // file with the certificates to trust, of s3, gs and azblob
	KnownHosts string    `yaml:"known_hosts"` // file with the host keys of sftp
}

// Copy is a second copy of the repository, which gets every proven set. In the
// file it may be just the place.
type Copy struct {
	Place  place.Place `yaml:"path"`
	Access Access      `yaml:"access"`
	Limits Limits      `yaml:"limits"`
	Lock   Lock        `yaml:"lock"` // of what is sent there; as the repository locks when empty
	Keep   Retention   `yaml:"keep"` // which sets the copy keeps; by the rules of retention when empty
}

// Limits are the most that a place outside of this machine is sent and asked in a
// second, on average; zeros for no limit.
type Limits struct {
	Upload   Size `yaml:"upload"`
	Download Size `yaml:"download"`
	Requests int  `yaml:"requests"`
}

// check refuses what would take days, and limits of a directory, which has none.
func (l Limits) check(of place.Place) error {
	const least = 16 << 10
	_, local := of.Local()
	switch {
	case l == Limits{}:
		return nil
	case local:
		return errors.New("a directory has no limits: leave them out")
	case l.Upload != 0 && l.Upload < least:
		return errors.New("upload: want at least 16KiB a second")
	case l.Download != 0 && l.Download < least:
		return errors.New("download: want at least 16KiB a second")
	}
	return nil
}

// Cache is where metadata of places outside of this machine is kept, so that it is
// not read from there again.
type Cache struct {
	Use       *bool  `yaml:"use"`       // false: none is kept
	Directory string `yaml:"directory"` // that of systemd's service or of the user, when empty
	Limit     Size   `yaml:"limit"`     // of all that is in it; CacheLimit when 0
}

// CacheLimit is the size of a cache without a limit of its own.
const CacheLimit = Size(512 << 20)

// Lock is how what is stored is locked against deletion: MODE:PERIOD, such as
// compliance:30d.
type Lock string

// Parse reads it; zeros for none.
func (l Lock) Parse() (mode string, period time.Duration, err error) {
	if l == "" {
		return "", 0, nil
	}
	mode, text, _ := strings.Cut(string(l), ":")
	age, ok := age(text)
	if !ok || age == Forever || !slices.Contains([]string{"compliance", "governance"}, mode) {
		return "", 0, errors.New("want MODE:PERIOD, such as compliance:30d or governance:4w")
	}
	return mode, time.Duration(age), nil
}

// Dump tunes dumps; every zero has a good default.
type Dump struct {
	Lanes       int      `yaml:"lanes"`       // tables and ranges read at once
	Connections int      `yaml:"connections"` // the most to open per database
	WaitLimit   Duration `yaml:"wait_limit"`  // how long a session of the node may wait behind a dump
	LockWait    Duration `yaml:"lock_wait"`   // how long to keep trying to lock the tables
	TakeOver    *bool    `yaml:"take_over"`   // rows that did not change since the last set are not read again; true
	Reread      Age      `yaml:"reread"`      // how old a reading may become that is taken over
	// Postgres's summaries of its write-ahead log say which ranges nobody wrote, from
	// version 17 on; each backup then asks for a checkpoint.
	Summaries bool `yaml:"wal_summaries"`
}

// Retention says which sets are kept; without it all sets are kept.
// docs/operate.md has the rules.
type Retention struct {
	Within  Age `yaml:"within"` // all sets this close to the newest
	Last    int `yaml:"last"`
	Hourly  int `yaml:"hourly"`
	Daily   int `yaml:"daily"`
	Weekly  int `yaml:"weekly"`
	Monthly int `yaml:"monthly"`
	Yearly  int `yaml:"yearly"`
	History Age `yaml:"history"` // how far back the ledger's history is wanted without a gap
	Faulty  Age `yaml:"faulty"`  // sets that are no backup
}

// check refuses what would keep nothing of its own.
func (r Retention) check() error {
	if r.Faulty != 0 && r == (Retention{Faulty: r.Faulty}) {
		return errors.New("besides faulty it needs a rule that keeps sets, such as within: 7d or daily: 14")
	}
	return nil
}

// Size is a number of bytes such as 512MiB or 20GiB.
type Size int64

// Duration is a time such as 1s or 4h.
type Duration time.Duration

// Age is a time such as 36h, 14d, 8w or forever.
type Age time.Duration

// Forever is an infinite age.
const Forever = Age(math.MaxInt64)

// Load reads the file, applies the environment, and validates the whole.
func Load(path string, environ []string) (*Config, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		p := &holdfast.Problem{Class: holdfast.Usage, What: "read the configuration", Err: err,
			Do: "To write one: `holdfast init`. To use another file: --config FILE or HOLDFAST_CONFIG."}
		if !errors.Is(err, fs.ErrNotExist) {
			p.Do = "Run Holdfast as the user who ran `holdfast init`, or use another file: --config FILE."
		}
		return nil, p
	}
	return Parse(path, text, environ)
}

// Parse reads the text of a configuration file.
func Parse(path string, text []byte, environ []string) (*Config, error) {
	c := &Config{file: path}
	if abs, err := filepath.Abs(path); err == nil {
		c.file = abs
	}
	if err := c.parse(text, environ); err != nil {
		return nil, Wrong(path, err)
	}
	return c, nil
}

// Wrong is the problem of a configuration that is not as it should be.
func Wrong(path string, err error) error {
	return &holdfast.Problem{
		Class: holdfast.Usage, What: "configuration " + path, Err: err,
		Do: "Correct the file. For a commented example: `holdfast init --config OTHER.yaml`.",
	}
}

func (c *Config) parse(text []byte, environ []string) error {
	tree, err := document(text)
	if err != nil {
		return err
	}
	d := decoder{
		dir:  c.Dir(),
		from: func(line int) string { return fmt.Sprintf("%s:%d", filepath.Base(c.file), line) },
	}
	if err := d.put("", tree, reflect.ValueOf(c).Elem()); err != nil {
		return err
	}
	c.origins = d.origins
	c.standIn(environ)
	if err := c.environment(environ); err != nil {
		return err
	}
	return c.complete()
}

// complete checks what a decoder cannot check, and makes paths absolute,
// relative to the file's directory.
func (c *Config) complete() error {
	if c.Node == "" {
		return errors.New("node: the node needs a name")
	}
	if c.Repository.Place.IsZero() {
		return errors.New("repository.path: say where to store sets")
	}
	if err := c.checkPlaces(); err != nil {
		return err
	}
	if len(c.Databases) == 0 && c.Compose == nil {
		return errors.New("databases: name at least one, or a compose project: compose.project")
	}
	if c.Compose != nil && c.Kube != nil {
		return errors.New("compose, kube: a node runs in one of them; remove the other")
	}
	if c.Compose != nil {
		if err := c.checkCompose(); err != nil {
			return err
		}
	}
	dir := filepath.Dir(c.file)
	abs := func(path *string) {
		if *path != "" && !filepath.IsAbs(*path) {
			*path = filepath.Join(dir, *path)
		}
	}
	if c.Compose != nil {
		abs(&c.Compose.Directory)
	}
	if c.Kube != nil {
		if c.Kube.Validator != "" && c.Kube.Namespace == "" {
			return errors.New("kube.validator: say in which namespace: kube.namespace")
		}
		abs(&c.Kube.Kubeconfig)
	}
	abs(&c.Tools)
	abs(&c.Cache.Directory)
	abs(&c.Drill.Dir)
	abs(&c.Drill.Programs)
	if err := c.Drill.check(c.known()); err != nil {
		return err
	}
	if c.Repository.Password == "" {
		return errors.New("repository.password: say where the password is, such as file:/etc/holdfast/password")
	}
	c.Repository.Access.absolute(abs)
	c.SecretManagers.absolute(abs)
	abs(&c.RDS.CA)
	if err := errors.Join(c.SecretManagers.check(), c.RDS.check()); err != nil {
		return err
	}
	for i := range c.Copies {
		c.Copies[i].Access.absolute(abs)
	}
	for key, reference := range c.stored() {
		if err := reference.check(key); err != nil {
			return err
		}
	}
	for _, name := range c.names() {
		if err := c.checkDatabase("databases."+name, c.Databases[name]); err != nil {
			return err
		}
	}
	if i := c.Identities; i != nil {
		abs(&i.CA)
		abs(&i.File)
		if err := i.check(); err != nil {
			return err
		}
	}
	abs(&c.Check.RestoreSpace)
	if err := c.Check.check(); err != nil {
		return err
	}
	if c.Compose == nil && c.Identities != nil {
		for _, r := range []Reference{c.Identities.Auth.ClientSecret, c.Identities.Auth.Token} {
			if _, _, ok := r.Container(); ok {
				return fmt.Errorf("%s: this needs compose.project, to find the container", r)
			}
		}
	}
	if _, err := c.Schedule.When(); err != nil {
		return err
	}
	if err := c.HTTP.check(); err != nil {
		return err
	}
	if err := c.checkNotices(); err != nil {
		return err
	}
	if err := c.checkPage(); err != nil {
		return err
	}
	if _, _, err := c.Repository.StoragePrice(); err != nil {
		return err
	}
	if _, err := c.Prices(); err != nil {
		return err
	}
	if err := c.Retention.check(); err != nil {
		return fmt.Errorf("retention: %w", err)
	}
	for i, second := range c.Copies {
		if err := second.Keep.check(); err != nil {
			return fmt.Errorf("copies[%d].keep: %w", i, err)
		}
	}
	_, err := c.node()
	return err
}

// checkPlaces checks that each place can hold its content. The place of a
// second copy may be of a kind that this program cannot read yet.
func (c *Config) checkPlaces() error {
	if err := c.Repository.Place.Serves(place.Repository); err != nil {
		return fmt.Errorf("repository.path: %w", err)
	}
	if err := c.Repository.Limits.check(c.Repository.Place); err != nil {
		return fmt.Errorf("repository.limits: %w", err)
	}
	if c.Identities != nil {
		for i, k := range c.Identities.Keep {
			if err := k.check(); err != nil {
				return fmt.Errorf("identities.keep[%d]: %w", i, err)
			}
		}
	}
	for i, second := range c.Copies {
		if second.Place.IsZero() {
			return fmt.Errorf("copies[%d]: it has no place", i)
		}
		if err := second.Place.Serves(place.Repository); err != nil {
			return fmt.Errorf("copies[%d]: %w", i, err)
		}
		if place.Share(second.Place, c.Repository.Place) == place.Itself {
			return fmt.Errorf("copies[%d]: it is the repository itself", i)
		}
		if err := second.Limits.check(second.Place); err != nil {
			return fmt.Errorf("copies[%d].limits: %w", i, err)
		}
		if _, _, err := second.Lock.Parse(); err != nil {
			return fmt.Errorf("copies[%d].lock: %w", i, err)
		}
	}
	if second := c.Check.SecondCopy; !second.IsZero() {
		if err := second.Holds(place.Repository); err != nil {
			return fmt.Errorf("check.second_copy: %w", err)
		}
	}
	return nil
}

// known are the names that before: and after: may name.
func (c *Config) known() []string {
	names := c.names()
	if c.Compose != nil {
		names = append(names, string(holdfast.Participant), string(holdfast.Validator))
	}
	slices.Sort(names)
	return names
}

// names are the databases' names, sorted.
func (c *Config) names() []string { return slices.Sorted(maps.Keys(c.Databases)) }

// checkCompose makes sure that the node's own databases are named once.
func (c *Config) checkCompose() error {
	if c.Compose.Project == "" {
		return errors.New("compose.project: the name of the node's compose project, such as splice-validator")
	}
	roles := []string{"participant", "validator", "postgres"}
	for role, name := range c.Compose.Services {
		if !slices.Contains(roles, role) || name == "" {
			return fmt.Errorf("compose.services.%s: want the service of participant, validator or postgres", role)
		}
	}
	for role, way := range c.Compose.Reach {
		if !slices.Contains(roles, role) || !slices.Contains([]string{"address", "name", "exec"}, way) {
			return fmt.Errorf("compose.reach.%s: %s: want address, name or exec for participant, validator or postgres",
				role, way)
		}
	}
	for _, kind := range []holdfast.Kind{holdfast.Participant, holdfast.Validator} {
		for name, d := range c.Databases {
			if name == string(kind) || d.Kind == string(kind) {
				return fmt.Errorf("databases.%s: compose.project includes the %s's database already", name, kind)
			}
		}
	}
	return nil
}

func (c *Config) checkDatabase(key string, d Database) error {
	if d.Connection == "" {
		return fmt.Errorf("%s.connection: it has no connection string, such as postgres://host/database", key)
	}
	if err := d.Password.check(key + ".password"); err != nil {
		return err
	}
	if d.Kind != "" && !slices.Contains(holdfast.Kinds(), holdfast.Kind(d.Kind)) {
		return fmt.Errorf("%s.kind: want one of %v", key, holdfast.Kinds())
	}
	if err := errors.Join(checkMethod(key, d.Method), d.checkRDS(key)); err != nil {
		return err
	}
	for _, list := range []struct {
		key   string
		names []string
	}{{"before", d.Before}, {"after", d.After}} {
		for _, name := range list.names {
			if !slices.Contains(c.known(), name) {
				return fmt.Errorf("%s.%s: there is no database %s; there are %s", key, list.key, name,
					strings.Join(c.known(), ", "))
			}
		}
	}
	return nil
}

// methods is the table of the ways to capture: those that may be named, and
// whether this program has them.
var methods = []struct {
	name      holdfast.Method
	available bool
}{
	{holdfast.Dump, true},
	{holdfast.Physical, false},
	{MethodRDS, true},
	{holdfast.Snapshot, false},
}

// checkMethod takes the methods that this program has. Those that it only
// knows are named, so that nobody looks for a mistake of spelling.
func checkMethod(key, method string) error {
	if method == "" {
		return nil
	}
	var known []holdfast.Method
	for _, m := range methods {
		switch {
		case string(m.name) != method:
			known = append(known, m.name)
		case m.available:
			return nil
		default:
			return fmt.Errorf("%s.method: this Holdfast cannot capture by %s yet; leave it out, or write %s", key,
				method, holdfast.Dump)
		}
	}
	return fmt.Errorf("%s.method: want one of %v", key, known)
}

func (i *Identities) check() error {
	if i.URL == "" && i.File == "" {
		return errors.New("identities.url: the validator app's address, such as http://wallet.localhost")
	}
	if len(i.Recipients) == 0 {
		return errors.New("identities.recipients: name the recovery keys; to make one: `holdfast init`")
	}
	need := func(mode string, pairs ...string) error {
		for k := 0; k < len(pairs); k += 2 {
			if pairs[k+1] == "" {
				return fmt.Errorf("identities.auth.%s: auth mode %s needs it", pairs[k], mode)
			}
		}
		return nil
	}
	if i.URL == "" {
		return nil // the file needs no token
	}
	a := i.Auth
	if err := errors.Join(a.ClientSecret.checkOr("identities.auth.client_secret"),
		a.Token.checkOr("identities.auth.token")); err != nil {
		return err
	}
	switch a.Mode {
	case "oidc":
		return need("oidc", "issuer", a.Issuer, "client_id", a.ClientID, "client_secret", string(a.ClientSecret))
	case "unsafe":
		return need("unsafe", "audience", a.Audience)
	case "token":
		return need("token", "token", string(a.Token))
	}
	return errors.New("identities.auth.mode: want one of oidc, unsafe, token")
}

// DomainNode is the node as a domain value.
func (c *Config) DomainNode() holdfast.Node {
	n, _ := c.node() // Load has checked it
	return n
}

func (c *Config) node() (holdfast.Node, error) {
	n := holdfast.Node{Name: holdfast.NodeName(c.Node)}
	if c.Compose != nil {
		n.Components = []holdfast.Component{
			{Name: "participant", Kind: holdfast.Participant},
			{Name: "validator", Kind: holdfast.Validator},
		}
	}
	for _, name := range c.names() {
		d := c.Databases[name]
		kind := holdfast.Kind(d.Kind)
		if kind == "" {
			kind = holdfast.App
			if slices.Contains(holdfast.Kinds(), holdfast.Kind(name)) {
				kind = holdfast.Kind(name)
			}
		}
		n.Components = append(n.Components, holdfast.Component{
			Name:   holdfast.ComponentName(name),
			Kind:   kind,
			Before: componentNames(d.Before),
			After:  componentNames(d.After),
		})
	}
	return n, n.Validate()
}

func componentNames(names []string) []holdfast.ComponentName {
	var out []holdfast.ComponentName
	for _, n := range names {
		out = append(out, holdfast.ComponentName(n))
	}
	return out
}
