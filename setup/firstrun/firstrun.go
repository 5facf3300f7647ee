package firstrun

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"holdfast"
	"holdfast/backup"
	"holdfast/config"
	"holdfast/identities"
	"holdfast/internal/libpq"
	"holdfast/node/kube"
	"holdfast/place"
	"holdfast/setup"
)

// Answers are what is known beforehand. What is missing is found out or prompted
// for.
type Answers struct {
	Node            string
	Databases       []string // COMPONENT=CONNECTION; a password may be in those of Ask alone
	Passwords       []string // COMPONENT=REFERENCE, of the databases
	Repository      string   // its directory
	Password        string   // reference to the repository's; empty: one is made
	Access          []string // PART=REFERENCE of what opens the repository's place; none: by the vendor's own chain
	Tools           string   // directory of pg_dump and pg_restore
	ErrorCorrection int      // percent of redundancy
	ObjectLock      string   // MODE:PERIOD of the locks on what is stored; empty: none

	URL          string // of the validator app; "-" for none
	Address      string // to connect to instead of the URL's host
	Auth         string // oidc, unsafe, token
	Issuer       string
	ClientID     string
	ClientSecret string // reference
	Audience     string
	Scope        string
	Token        string // reference
	Users        []string

	Recipients []string // whom the identities are sealed to; empty: a key is made
	Keep       []string
	KeyFile    string // gets the new recovery key
	Shares     int    // of a new recovery key that nobody has whole; 0: it is whole
	Threshold  int    // how many of the shares open together
	ShareDir   string // gets the shares; empty: they are shown
	HideKey    bool   // the recovery key must not be shown, so it needs a file

	Project    string            // of Docker Compose
	Services   map[string]string // by role, where several containers may have it
	Bundle     string            // where the bundle's files are
	DockerHost string

	Kube      bool   // the node runs in Kubernetes
	Context   string // of the kubeconfig
	Namespace string

	NoBackup bool // take no first set
	Back     bool // the node is to come back from a repository that is there; implies NoBackup
	Certain  bool // the operator wants the node that is found here, and that is not there otherwise
}

// Operator answers what nobody else can.
type Operator interface {
	// Ask asks for a value that a flag gives as well. It is never empty.
	Ask(flag, question, fallback string) (string, error)
	// Agree asks for a yes; nil is one.
	Agree(question string) error
}

// Made is what was made.
type Made struct {
	Config     string   `json:"config"`
	Repository string   `json:"repository"`
	Secrets    []string `json:"secret_files"` // new files with a secret each
	Recipients []string `json:"recipients"`
	// Set is the first set of a node that was found, which was taken at once.
	Set   holdfast.SetID `json:"set,omitempty"`
	State holdfast.State `json:"state,omitempty"`

	First        holdfast.Set    `json:"-"` // the whole of that set
	Existing     bool            `json:"-"` // the repository was there
	PasswordFile string          `json:"-"` // of a new repository; "" where its password was given
	Key          holdfast.Secret `json:"-"` // the new recovery key, if one was made
	// Shared is the new recovery key that was made in shares, and ShareFiles are where
	// they are; none where they are to be shown.
	Shared     identities.SharedKey `json:"-"`
	ShareFiles []string             `json:"-"`
	ToRestore  bool                 `json:"-"` // the node is to come back here
	Chart      *Chart               `json:"-"` // how it is backed up from a pod; nil where it is not
}

// run is one first run: the answers, completed on the way.
type run struct {
	Answers
	operator Operator
	options  setup.Options
	path     string // of the configuration
	dir      string
	made     Made

	passwords   map[string]holdfast.Secret // by component: taken out of connection strings, into files
	references  map[string]string          // by component: to the passwords that are somewhere already
	access      map[string]string          // of the repository's place, by part
	newPassword holdfast.Secret            // of the repository
	cluster     *kube.Cluster              // that the node is reached in from outside; nil: it needs none
	// recalled is the set that says what no container does: of a node that is to
	// come back here.
	recalled holdfast.Set
}

// Run sets Holdfast up; the configuration is written to path.
func Run(ctx context.Context, path string, answers Answers, operator Operator, o setup.Options) (Made, error) {
	r := &run{
		Answers: answers, operator: operator, options: o,
		path: path, dir: filepath.Dir(path), passwords: map[string]holdfast.Secret{}, references: map[string]string{},
	}
	r.NoBackup = r.NoBackup || r.Back
	if err := r.possible(); err != nil {
		return Made{}, err
	}
	if err := r.look(ctx); err != nil {
		return Made{}, err
	}
	if err := r.ask(); err != nil {
		return Made{}, err
	}
	r.formerRecipients(ctx)
	r.fromHere()
	if err := r.shareable(); err != nil {
		return Made{}, err
	}
	if r.HideKey && r.URL != "-" && len(r.Recipients) == 0 && r.KeyFile == "" && r.ShareDir == "" {
		return Made{}, usage("--recovery-key-file is missing: JSON output does not show the recovery key that is made")
	}
	text, err := r.draft()
	if err != nil {
		return Made{}, err
	}
	// The draft is parsed as any configuration is, and everything is tried with
	// what came out, so that what was tried is what is written.
	conf, err := config.Parse(path, []byte(text), nil)
	if err != nil {
		return Made{}, err
	}
	if err := r.valid(conf); err != nil {
		return Made{}, err
	}
	if err := r.try(ctx, conf); err != nil {
		return Made{}, err
	}
	if err := r.create(ctx, conf, text); err != nil {
		return Made{}, err
	}
	if err := r.first(ctx, conf); err != nil {
		return Made{}, err
	}
	r.made.Config, r.made.Repository = path, conf.Repository.Place.String()
	if !r.newPassword.IsEmpty() {
		r.made.PasswordFile = filepath.Join(r.dir, repositoryPassword)
	}
	r.made.Secrets, r.made.Recipients = slices.Sorted(maps.Keys(r.secrets())), r.Recipients
	r.made.Secrets = append(r.made.Secrets, r.made.ShareFiles...)
	r.made.Chart, err = r.chart()
	return r.made, err
}

// possible refuses before the first prompt.
func (r *run) possible() error {
	if _, err := os.Stat(r.path); err == nil {
		use := "Use it as it is"
		if r.Back {
			use += ": `holdfast restore latest`"
		}
		return &holdfast.Problem{
			Class: holdfast.Refused, What: r.path + " exists already",
			Why: "Its recovery key and its repository's password may be the only ones there are.",
			Do:  use + ", or write another one: --config OTHER.yaml.",
		}
	}
	if r.Back && (r.Repository == "" || r.Password == "") {
		return usage("--restore: name the repository and its password: --repository PLACE --repository-password REFERENCE")
	}
	if r.ErrorCorrection < 0 || r.ErrorCorrection > 100 {
		return usage("--error-correction: want percent, 0 to 100")
	}
	if _, err := setup.ObjectLock(r.ObjectLock); err != nil {
		return setup.Usage(err)
	}
	switch {
	case !r.Kube && r.Context != "":
		return usage("--context: it names a cluster for --kube")
	case !r.Kube && r.Namespace != "":
		return usage("--namespace: it is one of --kube")
	case r.Kube && r.Project != "":
		return usage("--kube, --project: a node runs in one of them")
	}
	if err := r.readAccess(); err != nil {
		return err
	}
	return r.noPasswords()
}

// shareable refuses shares that no key is made in.
func (r *run) shareable() error {
	switch {
	case r.Shares == 0 && r.Threshold == 0 && r.ShareDir == "":
		return nil
	case r.Shares == 0 || r.Threshold == 0:
		return usage("--recovery-shares, --recovery-threshold: give both, such as 5 and 3")
	case r.KeyFile != "":
		return usage("--recovery-key-file, --recovery-shares: a key in shares is in no file as a whole; " +
			"use --recovery-shares-directory")
	case r.URL == "-":
		return usage("--recovery-shares: without identities no recovery key is made")
	case len(r.Recipients) > 0:
		return usage("--recovery-shares: there are recipients already, so no recovery key is made; " +
			"`holdfast identities new-recovery-key` makes one more")
	case r.HideKey && r.ShareDir == "":
		return usage("--recovery-shares-directory is missing: JSON output does not show the shares that are made")
	}
	return nil
}

// noPasswords refuses a password in an argument, and reads where they are
// instead.
func (r *run) noPasswords() error {
	for _, text := range r.Databases {
		name, dsn, _ := strings.Cut(text, "=")
		info, err := libpq.Parse(dsn)
		if err != nil {
			continue // the draft says what is wrong with it
		}
		r.options.Secrets.Learn(info.Secret())
		if !info.Secret().IsEmpty() {
			return &holdfast.Problem{
				Class: holdfast.Usage,
				What:  "--database " + name + ": the connection string has a password",
				Why:   "Every user of this machine can read the arguments of a command, and the shell remembers them.",
				Do: "Change that password, put the new one into a file of mode 0600, and type: " +
					"`--database-password " + name + "=file:PATH`.",
			}
		}
	}
	for _, text := range r.Passwords {
		name, reference, found := strings.Cut(text, "=")
		if !found || !r.names(name) {
			return usage("--database-password: want COMPONENT=REFERENCE of a --database, such as participant=file:PATH")
		}
		r.references[name] = reference
	}
	return nil
}

// names reports whether a component is one that the answers name.
func (r *run) names(component string) bool {
	if r.Kube && slices.Contains([]string{"participant", "validator"}, component) {
		return true
	}
	return r.given(component)
}

// given reports whether the answers say where a component's database is.
func (r *run) given(component string) bool {
	return slices.ContainsFunc(r.Databases, func(d string) bool { return strings.HasPrefix(d, component+"=") })
}

// found reports whether it is a node that was found as a whole, which is backed up
// at once.
func (r *run) found() bool { return r.Project != "" || r.Kube }

// valid refuses what a draft is wrong in beyond its form.
func (r *run) valid(conf *config.Config) error {
	p, err := setup.Open(conf, r.options)
	if err != nil {
		return err
	}
	return p.Valid()
}

// fromHere makes what was given relative to the working directory mean the
// same in a configuration that lies elsewhere.
func (r *run) fromHere() {
	here, _ := os.Getwd()
	if r.dir == here {
		return
	}
	abs := func(path *string) {
		if *path != "" {
			*path, _ = filepath.Abs(*path)
		}
	}
	absPlace(&r.Repository)
	abs(&r.Tools)
	abs(&r.Bundle)
	r.Keep = slices.Clone(r.Keep)
	for i := range r.Keep {
		absPlace(&r.Keep[i])
	}
	absReference := func(reference *string) {
		if path, ok := strings.CutPrefix(*reference, "file:"); ok && path != "" {
			abs(&path)
			*reference = "file:" + path
		}
	}
	for _, reference := range []*string{&r.Password, &r.ClientSecret, &r.Token} {
		absReference(reference)
	}
	for name, reference := range r.references {
		absReference(&reference)
		r.references[name] = reference
	}
	for part, reference := range r.access {
		if absReference(&reference); part == "ca" || part == "known_hosts" {
			abs(&reference)
		}
		r.access[part] = reference
	}
}

// absPlace makes a place absolute; what is none stays, to be refused with the
// configuration.
func absPlace(text *string) {
	here, _ := os.Getwd()
	if p, err := place.Parse(*text, here); err == nil {
		*text = p.String()
	}
}

// first takes the first set of a node that was found here.
func (r *run) first(ctx context.Context, conf *config.Config) error {
	if !r.found() || r.NoBackup || r.made.ToRestore {
		return nil
	}
	p, err := setup.Open(conf, r.options)
	if err != nil {
		return err
	}
	defer func() { _ = p.Close(ctx) }()
	err = p.Backup(ctx, 0, func(ctx context.Context, job backup.Job) (err error) {
		r.made.First, err = job.Run(ctx)
		return err
	})
	if err != nil {
		return fmt.Errorf("everything is set up, but the first set is not proven: %w", err)
	}
	r.made.Set, r.made.State = r.made.First.ID, r.made.First.State
	return nil
}

// usage makes a mistake on the command line a Usage problem.
func usage(format string, args ...any) error { return setup.Usage(fmt.Errorf(format, args...)) }
