package setup

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"holdfast"
	"holdfast/canton"
	"holdfast/config"
	"holdfast/event"
	"holdfast/internal/libpq"
	"holdfast/place"
	"holdfast/record"
	"holdfast/repository"
	"holdfast/secretmanager"
	"holdfast/secrets"
)

// Options are what a program adds to a configuration.
type Options struct {
	Version string         // of the program; sets and reports say it
	Events  event.Listener // hears what the parts do
	// Shell are libpq's variables of the shell, which complete the connections
	// that the operator gives.
	Shell libpq.Environment
	// AsOf is the time as of which the repository is read; zero: as it is.
	AsOf time.Time
	Kind *Kind // of the node, where the program knows one that the configuration does not
	// Known are secrets by their references, which need not be read: of a
	// configuration whose files are still to be made.
	Known map[string]holdfast.Secret
	// Secrets learns every secret that is read, and hides what others repeat of
	// them in whatever is stored. A program prints through it as well; without
	// one Open makes it.
	Secrets *secrets.Known
}

// Parts are what a configuration comes to. Nothing is reached before it is
// needed, so that what one command does without may be broken; and what was
// found once is not looked for again.
type Parts struct {
	Config *config.Config
	Node   holdfast.Node
	Options

	kind     Kind
	readers  secrets.Readers
	managers managers
	once     sync.Once
	opening  *Opening

	mu     sync.Mutex                             // of opened
	opened map[place.Place]*repository.Repository // copies that sets are read from
}

// Open turns a configuration into parts. Close ends what they have opened.
func Open(conf *config.Config, o Options) (*Parts, error) {
	p := &Parts{Config: conf, Node: conf.DomainNode(), Options: o}
	if p.Secrets == nil {
		p.Secrets = new(secrets.Known)
	}
	if o.Kind != nil {
		p.kind = *o.Kind
	} else {
		p.kind = kindOf(p)
	}
	p.managers = managers{
		conf: conf.SecretManagers, cluster: conf.Cluster(), own: p.Secrets.LearnAll(own(conf.Dir())), known: p.Secrets,
		within: p.within(secretmanager.CallTime),
	}
	p.readers = own(conf.Dir())
	maps.Copy(p.readers, p.managers.readers())
	p.readers["container"] = p.kind.Secret
	p.readers = p.Secrets.LearnAll(p.readers)
	for key, reference := range conf.References() {
		if reference != "" && !p.readers.Knows(string(reference)) {
			return nil, config.Wrong(conf.File(), config.NoReference(key))
		}
	}
	return p, nil
}

// Secrets reads the secrets that any configuration may refer to, managers of
// secrets included, as their own environment reaches them. Relative paths begin
// at dir.
func Secrets(dir string, known *secrets.Known) secrets.Readers {
	m := &managers{own: own(dir), known: known, within: secretmanager.CallTime}
	readers := own(dir)
	maps.Copy(readers, m.readers())
	return known.LearnAll(readers)
}

// own are the readers that reach nothing outside of this machine.
func own(dir string) secrets.Readers {
	return secrets.Readers{"file": secrets.File(dir), "env": secrets.Environment, "exec": secrets.Command}
}

// Close ends what the parts have opened.
func (p *Parts) Close(ctx context.Context) error {
	p.once.Do(func() {})
	defer p.managers.close(ctx)
	p.mu.Lock()
	defer p.mu.Unlock()
	var failed []error
	for at, r := range p.opened {
		failed = append(failed, r.Close(ctx))
		delete(p.opened, at)
	}
	if p.opening == nil {
		return errors.Join(failed...)
	}
	r, err := p.opening.wait()
	if err == nil { // or else whoever wanted it has the error
		failed = append(failed, r.Close(ctx))
	}
	return errors.Join(failed...)
}

// Secret reads a secret where it rests; nil without a reference.
func (p *Parts) Secret(r config.Reference) holdfast.SecretFunc {
	if known, ok := p.Known[string(r)]; ok {
		return p.Secrets.LearnFrom(holdfast.Fixed(known))
	}
	return p.readers.Of(string(r))
}

// Repository is the configured repository, open.
func (p *Parts) Repository(ctx context.Context) (*repository.Repository, error) {
	return p.open(ctx).wait()
}

// Password is the repository's.
func (p *Parts) Password(ctx context.Context) (holdfast.Secret, error) {
	return p.Secret(p.Config.Repository.Password)(ctx)
}

// Find is the set of the configured repository that a command is about: an ID,
// its beginning, or "latest", the newest proven one that is not in doubt.
func (p *Parts) Find(ctx context.Context, id string) (holdfast.Set, holdfast.Files, error) {
	r, err := p.Repository(ctx)
	if err != nil {
		return holdfast.Set{}, nil, err
	}
	return p.findIn(ctx, r, id)
}

func (p *Parts) findIn(
	ctx context.Context, r *repository.Repository, id string,
) (holdfast.Set, holdfast.Files, error) {
	if id != "latest" {
		return r.Find(ctx, p.Node.Name, id)
	}
	latest, err := p.latestIn(ctx, r)
	if err != nil {
		return holdfast.Set{}, nil, err
	}
	found, err := r.Load(ctx, latest)
	if err != nil {
		return holdfast.Set{}, nil, err
	}
	return found.Set, found, nil
}

// PassedOver is the event of a proven set that "latest" does not stand for, because
// it is in doubt.
type PassedOver struct {
	Set, Instead holdfast.SetID
	InDoubt      []string // the rows that it may have wrong, and what is wrong with its date
}

func (e PassedOver) String() string {
	return fmt.Sprintf("latest is set %s: set %s is newer and proven, but in doubt (%s). To use that one, name it: %s",
		e.Instead, e.Set, strings.Join(e.InDoubt, "; "), e.Set)
}

// latestIn is the newest proven set of a repository that is not in doubt. Where the
// records of doubt cannot be read it is the newest: the plan of a restore says so.
func (p *Parts) latestIn(ctx context.Context, r *repository.Repository) (repository.Entry, error) {
	entries, err := r.Sets(ctx, p.Node.Name)
	if err != nil {
		return repository.Entry{}, err
	}
	entries = slices.DeleteFunc(entries, func(e repository.Entry) bool { return e.State != holdfast.Proven })
	_ = markDoubts(ctx, r, p.Node.Name, entries)
	latest, passed := record.Latest(entries, func(e repository.Entry) bool { return len(e.InDoubt) > 0 })
	if latest == nil {
		return repository.Entry{}, p.noneProven(r)
	}
	for _, e := range passed {
		p.Events.Report(PassedOver{e.ID, latest.ID, e.InDoubt})
	}
	return *latest, nil
}

func (p *Parts) noneProven(r *repository.Repository) error {
	return &holdfast.Problem{
		Class: holdfast.Refused, What: fmt.Sprintf("node %s has no proven set in %s", p.Node.Name, r.Name()),
		Why: "Without one there is nothing that is known to restore.",
		Do:  "`holdfast backup` takes one; `holdfast list` shows what there is.",
	}
}

// newestProven is the newest proven set, in doubt or not: for its identities, which
// are no rows.
func (p *Parts) newestProven(ctx context.Context) (holdfast.Set, holdfast.Files, error) {
	r, err := p.Repository(ctx)
	if err != nil {
		return holdfast.Set{}, nil, err
	}
	set, files, err := r.Latest(ctx, p.Node.Name, holdfast.Proven)
	if err == nil && set.ID == "" {
		err = p.noneProven(r)
	}
	return set, files, err
}

// Usage makes a mistake on the command line a Usage problem. What an error says
// itself of what to do stays.
func Usage(err error) error {
	p := &holdfast.Problem{
		Class: holdfast.Usage, What: err.Error(),
		Do: "`holdfast help` lists the commands, `holdfast help COMMAND` the flags of one.",
	}
	if cause := new(holdfast.Problem); errors.As(err, &cause) && cause.Do != "" {
		p.Why, p.Do = cause.Why, cause.Do
	}
	return p
}

// readFacts is what both directions read of Canton in a transaction.
func readFacts(ctx context.Context, tx pgx.Tx, kind holdfast.Kind) (holdfast.Facts, error) {
	return canton.Read(ctx, tx, kind)
}
