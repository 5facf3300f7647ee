package main

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"holdfast"
	"holdfast/config"
	"holdfast/place"
	"holdfast/repository"
	"holdfast/setup"
)

type initFlags struct {
	node       string
	databases  []string
	repository string
	password   string
	tools      string
	url        string
	address    string
	mode       string
	issuer     string
	clientID   string
	secret     string
	audience   string
	token      string
	recipients []string
	keep       []string
	keyFile    string
	noInput    bool
	correction int

	project    string
	bundle     string
	dockerHost string
	scope      string
	users      []string
	yes        bool
	noBackup   bool
}

func newInit(a *app) *cobra.Command {
	var f initFlags
	c := &cobra.Command{
		Use:   "init",
		Short: "Write the configuration, try every connection, create the repository",
		Long: `Set Holdfast up for a node: try every connection and say what each database
holds, fetch the identities once, make the keys, create the repository, and
write a commented configuration. What is not given by flags is asked for.
Nothing is created before everything has been tried.

On a machine that runs the Splice validator's compose bundle, nothing has to be
given: the node is found through the Docker Engine, and after one confirmation
Holdfast is set up and takes the first set.

On a machine that has nothing of the node yet, name the repository that is there
and its password: everything else is read from the newest set, and the next
command is "holdfast restore".

The recovery key, which opens the sealed identities, is shown once and stored
nowhere; only its public part goes into the configuration.`,
		Example: `  # asks for what it needs
  holdfast init

  # a compose validator on this machine, from a script
  holdfast init --yes --recovery-key-file /root/holdfast.key

  # a new machine, on which the node is to come back
  holdfast init --repository /mnt/holdfast --repository-password file:/root/password

  # a compose validator without authentication
  holdfast init --node my-validator --repository /var/backups/holdfast \
    --database validator=postgres://cnadmin@db/validator --database participant=postgres://cnadmin@db/participant-4 \
    --identities-url http://wallet.localhost --auth unsafe --audience https://validator.example.com`,
		Args: exactly(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error { return a.init(cmd.Context(), f) },
	}
	fl := c.Flags()
	fl.StringVar(&f.node, "node", "", "the node's name in the repository")
	fl.StringArrayVar(&f.databases, "database", nil, "COMPONENT=CONNECTION; the components validator and participant are known by name, others are apps'; repeatable")
	fl.StringVar(&f.repository, "repository", "", "directory for the repository")
	fl.StringVar(&f.password, "repository-password", "", "reference to an existing password (file:, env:, exec:); without it one is made")
	fl.StringVar(&f.tools, "tools", "", "directory of pg_dump and pg_restore")
	fl.StringVar(&f.url, "identities-url", "", "address of the validator app, such as http://wallet.localhost; - for none")
	fl.StringVar(&f.address, "identities-address", "", "host:port to connect to instead of the URL's host")
	fl.StringVar(&f.mode, "auth", "", "how to get a token: oidc, unsafe, token")
	fl.StringVar(&f.issuer, "issuer", "", "oidc: the issuer, or its discovery document's URL")
	fl.StringVar(&f.clientID, "client-id", "", "oidc: the validator app's client id")
	fl.StringVar(&f.secret, "client-secret", "", "oidc: reference to the client secret (file:, env:, exec:)")
	fl.StringVar(&f.audience, "audience", "", "the validator app's audience")
	fl.StringVar(&f.token, "token", "", "token: reference to the token (file:, env:, exec:)")
	fl.StringArrayVar(&f.recipients, "recipient", nil, "age or SSH public key to seal the identities to; without any a recovery key is made; repeatable")
	fl.StringArrayVar(&f.keep, "keep", nil, "directory that gets a sealed copy of the identities, and of what opens the repository; repeatable")
	fl.StringVar(&f.keyFile, "recovery-key-file", "", "write the new recovery key into this file instead of showing it; it must not exist")
	fl.IntVar(&f.correction, "error-correction", 0, "store this much redundancy beside the data, in percent (1 to 100), so that flipped bits can be put right")
	fl.StringVar(&f.project, "project", "", "compose project of the node, where several run here")
	fl.StringVar(&f.bundle, "bundle", "", "where the bundle's files are, if a restore is to find them elsewhere than they were")
	fl.StringVar(&f.dockerHost, "docker-host", "", "the Docker daemon, if not the one that the docker command finds")
	fl.BoolVar(&f.yes, "yes", false, "set up the compose node that is found here without asking")
	fl.BoolVar(&f.noBackup, "no-backup", false, "do not take the first set of a compose node")
	fl.BoolVar(&f.noInput, "no-input", false, "never ask; fail where something is missing")
	return c
}

// draft is what init has gathered and will write.
type draft struct {
	initFlags
	Dir         string
	Passwords   map[string]holdfast.Secret // by component: taken out of connection strings, into files
	NewPassword holdfast.Secret            // of the repository
	NewKey      holdfast.Secret
	Existing    bool // the repository is there already, and its password opens it
	// recalled is the set that told what no container does: of a node that is to
	// come back here.
	recalled holdfast.Set
}

func (a *app) init(ctx context.Context, f initFlags) error {
	path, err := filepath.Abs(a.configPath)
	if err != nil {
		return err
	}
	if _, err := os.Stat(path); err == nil {
		return &holdfast.Problem{Class: holdfast.Refused, What: path + " exists already",
			Why: "Its recovery key and its repository's password may be the only ones there are.",
			Do:  "Use it as it is, or write another one: --config OTHER.yaml."}
	}
	if f.correction < 0 || f.correction > 100 {
		return usageError(nil, errors.New("--error-correction: want percent, 0 to 100"))
	}
	s := &draft{initFlags: f, Dir: filepath.Dir(path), Passwords: map[string]holdfast.Secret{}}
	if err := a.look(ctx, s); err != nil {
		return err
	}
	if err := a.ask(s); err != nil {
		return err
	}
	s.fromHere()
	if a.output == "json" && s.url != "-" && len(s.recipients) == 0 && s.keyFile == "" {
		return usageError(nil, errors.New("--recovery-key-file is missing: JSON output does not show the recovery key that is made"))
	}
	text, err := s.text()
	if err != nil {
		return err
	}
	// The draft is parsed as any configuration is, and everything is tried with
	// what came out, so that what was tried is what is written.
	conf, err := config.Parse(path, []byte(text), nil)
	if err == nil {
		err = setup.Parts{Config: conf, Shell: a.shell}.Valid()
	}
	if err != nil {
		return err
	}
	a.ifInterrupted = "Nothing was created, or the configuration is there and all that belongs to it."
	if err := a.try(ctx, s, conf); err != nil {
		return err
	}
	if err := s.create(ctx, conf, path, text); err != nil {
		return err
	}
	first, err := a.first(ctx, s)
	if err != nil {
		return err
	}
	made := setupMade{Set: first.ID, State: first.State, Config: path, Repository: conf.Repository.Place.String(), Secrets: atLeast(slices.Sorted(maps.Keys(s.secrets()))), Recipients: atLeast(s.recipients)}
	return a.result("setup", made, func() {
		if first.ID != "" {
			a.printSet(first)
		}
		a.printSetup(s, conf, path)
	})
}

// setupMade is what init says it made.
type setupMade struct {
	Config     string   `json:"config"`
	Repository string   `json:"repository"`
	Secrets    []string `json:"secret_files"` // new files with a secret each
	Recipients []string `json:"recipients"`
	// Set is the first set of a compose node, which was taken at once.
	Set   holdfast.SetID `json:"set,omitempty"`
	State holdfast.State `json:"state,omitempty"`
}

// fromHere makes what was given relative to the working directory mean the
// same in a configuration that lies elsewhere.
func (s *draft) fromHere() {
	if s.Dir == mustGetwd() {
		return
	}
	abs := func(path *string) {
		if *path != "" {
			*path, _ = filepath.Abs(*path)
		}
	}
	abs(&s.tools)
	abs(&s.bundle)
	absPlace(&s.repository)
	s.keep = slices.Clone(s.keep)
	for i := range s.keep {
		absPlace(&s.keep[i])
	}
	for _, reference := range []*string{&s.password, &s.secret, &s.token} {
		if path, ok := strings.CutPrefix(*reference, "file:"); ok && path != "" {
			abs(&path)
			*reference = "file:" + path
		}
	}
}

// absPlace makes a place absolute; what is none stays, to be refused with the
// configuration.
func absPlace(text *string) {
	if p, err := place.Parse(*text, mustGetwd()); err == nil {
		*text = p.String()
	}
}

// secrets are the files to be made with a secret in each.
func (s *draft) secrets() map[string]holdfast.Secret {
	out := map[string]holdfast.Secret{}
	for name, password := range s.Passwords {
		out[filepath.Join(s.Dir, name+".password")] = password
	}
	if !s.NewPassword.IsEmpty() {
		out[filepath.Join(s.Dir, repositoryPassword)] = s.NewPassword
	}
	if !s.NewKey.IsEmpty() && s.keyFile != "" {
		file, _ := filepath.Abs(s.keyFile)
		out[file] = s.NewKey
	}
	return out
}

// try connects to everything and says what it found.
func (a *app) try(ctx context.Context, s *draft, conf *config.Config) error {
	if err := s.free(ctx, conf); err != nil || s.recalled.ID != "" {
		return err
	}
	err := a.connect(ctx, s, conf)
	if err != nil && ctx.Err() == nil && s.Existing && s.noBackup && s.project != "" {
		// It is to come back from the repository that is there, and may be broken.
		_, _ = fmt.Fprintf(a.err, "??  %s\n", lines(err.Error()))
		return nil
	}
	return err
}

func (a *app) connect(ctx context.Context, s *draft, conf *config.Config) error {
	p := a.parts(conf)
	n, err := p.Live(ctx)
	if err != nil {
		return err
	}
	for name, t := range n.Addresses {
		if password, ok := s.Passwords[string(name)]; ok {
			t.Password = holdfast.Fixed(password)
			n.Addresses[name] = t
		}
	}
	if err := n.Check(ctx); err != nil {
		return err
	}
	for _, c := range n.Components {
		outlook, err := p.Dumper(n.Addresses[c.Name]).Look(ctx, c)
		if err != nil {
			return err
		}
		_, _ = fmt.Fprintf(a.err, "ok  %s: %s, Postgres %s, %d tables, %s\n", c.Name, short(outlook.Found), strings.Fields(outlook.Postgres)[0], len(outlook.Tables), size(outlook.Bytes))
	}
	if conf.Identities == nil {
		return nil
	}
	fetch, err := p.ExportIdentities(ctx, 0)
	if err != nil {
		return err
	}
	_, dump, report, err := fetchIdentities(ctx, fetch, n)
	if err != nil {
		return err
	}
	if err := report.Err(); err != nil {
		return err
	}
	_, _ = fmt.Fprintf(a.err, "ok  identities: %s, %s\n", short(dump.ID), count(len(dump.Keys), "key"))
	if !s.Existing || s.project == "" || s.noBackup {
		return nil
	}
	return a.another(ctx, s, conf, strings.TrimPrefix(dump.ID, "PAR::"))
}

// free makes sure that what is to be created is not there yet. A repository
// that is there is taken when its password is given, as that of several nodes.
func (s *draft) free(ctx context.Context, conf *config.Config) error {
	for path := range s.secrets() {
		if _, err := os.Lstat(path); err == nil {
			return &holdfast.Problem{Class: holdfast.Refused, What: path + " exists already",
				Why: "A file that exists is never overwritten: it may hold the only copy of a key.", Do: "Move it away, or write the configuration elsewhere: --config."}
		}
	}
	vacant, err := repository.Vacant(conf.Repository.Place)
	switch {
	case vacant:
		return nil
	case err != nil:
		return &holdfast.Problem{Class: holdfast.Refused, What: "look at --repository", Err: err, Do: "Name another directory, or run as a user that may write there."}
	case s.password == "":
		return &holdfast.Problem{Class: holdfast.Refused, What: conf.Repository.Place.String() + " is not empty",
			Why: "If it is a repository, a new one over it would make the sets in it unreadable.",
			Do:  "Name another directory; or use the repository that is there: --repository-password with a reference to its password."}
	}
	password, err := conf.Repository.Password.Secret(s.Dir)(ctx)
	if err != nil {
		return err
	}
	r, err := repository.Open(ctx, conf.Repository.Place, password, setup.Copies(conf))
	if err != nil {
		return err
	}
	s.Existing = true
	return r.Close(ctx)
}

// create makes what init is there for: secrets into files of their own, then
// the repository, and the configuration last, so that its being there means
// that all of it is. Should one fail, those before it are taken away again.
func (s *draft) create(ctx context.Context, conf *config.Config, path, text string) (err error) {
	if err := os.MkdirAll(s.Dir, 0o755); err != nil { //nolint:gosec // the directory of a configuration file holds no secrets by itself
		return err
	}
	var made []string
	defer func() {
		if err != nil {
			for _, file := range made {
				err = errors.Join(err, os.Remove(file))
			}
		}
	}()
	for file, secret := range s.secrets() {
		if err := writeSecret(file, secret.Reveal()+"\n"); err != nil {
			return err
		}
		made = append(made, file)
	}
	if s.Existing {
		return writeSecret(path, text)
	}
	password, err := conf.Repository.Password.Secret(s.Dir)(ctx)
	if err != nil {
		return err
	}
	correction := repository.ErrorCorrection(s.correction)
	if err := repository.Create(ctx, conf.Repository.Place, password, setup.Copies(conf), correction); err != nil {
		return err
	}
	made = nil // the repository is there: nothing may take its password away
	return writeSecret(path, text)
}

const repositoryPassword = "repository.password"

// writeSecret writes a new file that only its owner can read.
func writeSecret(path, text string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return &holdfast.Problem{Class: holdfast.Refused, What: "write " + path, Err: err,
			Why: "A file that exists is never overwritten: it may hold the only copy of a key.", Do: "Move it away, or write the configuration elsewhere: --config."}
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Sync(), f.Close())
}

func (a *app) printSetup(s *draft, conf *config.Config, path string) {
	if s.Existing {
		a.printf("\nWrote %s. It uses the repository that was there: %s.\n", path, conf.Repository.Place)
	} else {
		a.printf("\nWrote %s and created the repository %s.\n", path, conf.Repository.Place)
	}
	if !s.NewPassword.IsEmpty() {
		a.printf("\nThe repository's password is in %s.\nWithout it no set can be read: keep a copy away from this machine.\n", filepath.Join(s.Dir, repositoryPassword))
	}
	switch {
	case s.NewKey.IsEmpty():
	case s.keyFile != "":
		a.printf("\nThe recovery key, which opens the identities, is in %s.\nMove it away from this machine: here it protects nothing.\n", s.keyFile)
	default:
		a.printf("\nThe recovery key opens the identities. It is shown this once and stored nowhere.\nWrite it down and keep it away from this machine:\n\n  %s\n", s.NewKey.Reveal())
	}
	command := "holdfast backup"
	if s.recalled.ID != "" {
		command = "holdfast restore latest"
	}
	if filepath.Base(path) != "holdfast.yaml" || filepath.Dir(path) != mustGetwd() {
		command += " --config " + path
	}
	a.printf("\nNext: %s\n", command)
}

func mustGetwd() string {
	dir, _ := os.Getwd()
	return dir
}

// newPassword makes a password of 160 random bits that can be written down.
func newPassword() holdfast.Secret {
	var b [20]byte
	_, _ = rand.Read(b[:]) // never fails
	text := strings.ToLower(base32.StdEncoding.EncodeToString(b[:]))
	var parts []string
	for part := range slices.Chunk([]byte(text), 4) {
		parts = append(parts, string(part))
	}
	return holdfast.NewSecret(strings.Join(parts, "-"))
}
