package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"holdfast"
)

// Config is the whole of holdfast.yaml.
type Config struct {
	Node       string              `yaml:"node"`
	Databases  map[string]Database `yaml:"databases"`
	Identities *Identities         `yaml:"identities"`
	Repository Repository          `yaml:"repository"`
	Tools      string              `yaml:"tools"` // directory of pg_dump and pg_restore; searched for when empty
	Dump       Dump                `yaml:"dump"`

	file    string
	origins []Origin
}

// Database is one component. In the file it may be just the connection string.
type Database struct {
	Connection string    `yaml:"connection"` // postgres://... or host=... dbname=...
	Password   Reference `yaml:"password"`
	Kind       string    `yaml:"kind"`   // validator, participant, app; the name, if it is one of these
	Before     []string  `yaml:"before"` // its capture ends before theirs begin
	After      []string  `yaml:"after"`
}

// UnmarshalYAML takes the short form as well.
func (d *Database) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode {
		return n.Decode(&d.Connection)
	}
	if err := known(n, "connection", "password", "kind", "before", "after"); err != nil {
		return err
	}
	type plain Database
	return n.Decode((*plain)(d))
}

// Identities says how the identities dump is fetched, sealed and kept.
type Identities struct {
	URL        string   `yaml:"url"`     // of the validator app: http://wallet.localhost
	Address    string   `yaml:"address"` // host:port to connect to instead of the URL's host
	CA         string   `yaml:"ca"`      // file with certificates to trust beside the system's
	Auth       Auth     `yaml:"auth"`
	Recipients []string `yaml:"recipients"` // age or SSH public keys
	Keep       []string `yaml:"keep"`       // directories that get a sealed copy each
}

// Auth is one way to a token for the validator app.
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

// Repository is where sets rest.
type Repository struct {
	Path     string    `yaml:"path"`
	Password Reference `yaml:"password"`
}

// Dump tunes dumps; every zero has a good default.
type Dump struct {
	Lanes       int      `yaml:"lanes"`       // tables and ranges read at once
	Connections int      `yaml:"connections"` // the most to open per database
	WaitLimit   Duration `yaml:"wait_limit"`  // how long a session of the node may wait behind a dump
	LockWait    Duration `yaml:"lock_wait"`   // how long to keep trying to lock the tables
}

// Duration is a time such as 1s or 4h.
type Duration time.Duration

// UnmarshalYAML reads what time.ParseDuration does.
func (d *Duration) UnmarshalYAML(n *yaml.Node) error {
	v, err := time.ParseDuration(n.Value)
	if err != nil {
		return fmt.Errorf("line %d: %q is not a duration such as 1s or 4h", n.Line, n.Value)
	}
	*d = Duration(v)
	return nil
}

// MarshalYAML writes the duration as it is read.
func (d Duration) MarshalYAML() (any, error) { return time.Duration(d).String(), nil }

// Load reads the file, applies the environment, and validates the whole.
func Load(path string, environ []string) (*Config, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		p := &holdfast.Problem{Class: holdfast.Usage, What: "read the configuration", Err: err,
			Do: "`holdfast init` writes one; --config or HOLDFAST_CONFIG names another file."}
		return nil, p
	}
	return Parse(path, text, environ)
}

// Parse reads the text of a configuration file.
func Parse(path string, text []byte, environ []string) (*Config, error) {
	c := &Config{file: path}
	fail := func(err error) error {
		return &holdfast.Problem{Class: holdfast.Usage, What: "configuration " + path, Err: err, Do: "Correct the file; `holdfast config show --origin` prints what is in force."}
	}
	var tree yaml.Node
	if err := yaml.Unmarshal(text, &tree); err != nil {
		return nil, fail(err)
	}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	if err := decoder.Decode(c); err != nil && !errors.Is(err, io.EOF) {
		return nil, fail(err)
	}
	c.origins = origins(path, &tree)
	if err := c.environment(environ); err != nil {
		return nil, fail(err)
	}
	if err := c.complete(); err != nil {
		return nil, fail(err)
	}
	return c, nil
}

// known refuses keys that a hand-written decoder would let through.
func known(n *yaml.Node, keys ...string) error {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if !slices.Contains(keys, n.Content[i].Value) {
			return fmt.Errorf("line %d: unknown key %s; known here are %s", n.Content[i].Line, n.Content[i].Value, strings.Join(keys, ", "))
		}
	}
	return nil
}

// complete checks what a decoder cannot, and makes relative paths absolute
// against the file's directory.
func (c *Config) complete() error {
	if c.Node == "" {
		return errors.New("node: the node needs a name")
	}
	if c.Repository.Path == "" {
		return errors.New("repository.path: say where sets rest")
	}
	if len(c.Databases) == 0 {
		return errors.New("databases: name at least one")
	}
	dir := filepath.Dir(c.file)
	abs := func(path *string) {
		if *path != "" && !filepath.IsAbs(*path) {
			*path = filepath.Join(dir, *path)
		}
	}
	abs(&c.Repository.Path)
	abs(&c.Tools)
	refs := map[string]*Reference{"repository.password": &c.Repository.Password}
	if c.Repository.Password == "" {
		return errors.New("repository.password: say where the password is, such as file:/etc/holdfast/password")
	}
	for name, d := range c.Databases {
		if d.Connection == "" {
			return fmt.Errorf("databases.%s.connection: it has no connection string", name)
		}
		if err := d.Password.check("databases." + name + ".password"); err != nil {
			return err
		}
	}
	if i := c.Identities; i != nil {
		abs(&i.CA)
		for k := range i.Keep {
			abs(&i.Keep[k])
		}
		refs["identities.auth.client_secret"], refs["identities.auth.token"] = &i.Auth.ClientSecret, &i.Auth.Token
		if err := i.check(); err != nil {
			return err
		}
	}
	for key, r := range refs {
		if err := r.check(key); err != nil {
			return err
		}
	}
	_, err := c.node()
	return err
}

func (i *Identities) check() error {
	if i.URL == "" {
		return errors.New("identities.url: the validator app's address, such as http://wallet.localhost")
	}
	if len(i.Recipients) == 0 {
		return errors.New("identities.recipients: whom to seal the identities to; `holdfast init` makes a recovery key")
	}
	need := func(mode string, pairs ...string) error {
		for k := 0; k < len(pairs); k += 2 {
			if pairs[k+1] == "" {
				return fmt.Errorf("identities.auth.%s: auth mode %s needs it", pairs[k], mode)
			}
		}
		return nil
	}
	a := i.Auth
	switch a.Mode {
	case "oidc":
		return need("oidc", "issuer", a.Issuer, "client_id", a.ClientID, "client_secret", string(a.ClientSecret))
	case "unsafe":
		return need("unsafe", "audience", a.Audience)
	case "token":
		return need("token", "token", string(a.Token))
	}
	return fmt.Errorf("identities.auth.mode: %q is not one of oidc, unsafe, token", a.Mode)
}

// DomainNode is the node in the domain's words.
func (c *Config) DomainNode() holdfast.Node {
	n, _ := c.node() // Load has checked it
	return n
}

func (c *Config) node() (holdfast.Node, error) {
	n := holdfast.Node{Name: holdfast.NodeName(c.Node)}
	names := make([]string, 0, len(c.Databases))
	for name := range c.Databases {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		d := c.Databases[name]
		kind := holdfast.Kind(d.Kind)
		if kind == "" {
			kind = holdfast.App
			if slices.Contains(holdfast.Kinds, holdfast.Kind(name)) {
				kind = holdfast.Kind(name)
			}
		}
		n.Components = append(n.Components, holdfast.Component{Name: holdfast.ComponentName(name), Kind: kind, Before: componentNames(d.Before), After: componentNames(d.After)})
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
