package firstrun

import (
	"context"
	"os"
	"strings"

	"holdfast"
	"holdfast/config"
	"holdfast/repository"
	"holdfast/setup"
)

// try makes sure that everything can be created, connects to everything, and
// says what it found.
func (r *run) try(ctx context.Context, conf *config.Config) error {
	o := r.options
	o.Known = r.known()
	p, err := setup.Open(conf, o)
	if err != nil {
		return err
	}
	defer func() { _ = p.Close(ctx) }()
	if err := r.free(ctx, p); err != nil || r.made.ToRestore {
		return err
	}
	err = r.connect(ctx, p)
	if err != nil && ctx.Err() == nil && r.made.Existing && r.NoBackup && r.Project != "" {
		// It is to come back from the repository that is there, and may be broken.
		r.options.Events.Report(DoesNotWork{err})
		return nil
	}
	if err != nil && ctx.Err() == nil && r.made.Existing && r.Project == "" {
		return r.comesBack(ctx, p, err)
	}
	return err
}

// comesBack takes a machine whose server has none of the databases, and a
// repository with a proven set of the node, for one on which the node is to come
// back. Otherwise it returns what did not work.
func (r *run) comesBack(ctx context.Context, p *setup.Parts, why error) error {
	store, err := p.Repository(ctx)
	if err != nil {
		return err
	}
	set, _, err := store.Latest(ctx, p.Node.Name, holdfast.Proven)
	if err != nil || set.ID == "" {
		return why
	}
	live, err := p.Databases(ctx)
	if err != nil {
		return why
	}
	if absent, err := live.Absent(ctx); err != nil || !absent {
		return why
	}
	r.made.ToRestore = true
	r.options.Events.Report(ComesBack{set.ID})
	return nil
}

// connect tries every database and the validator app.
func (r *run) connect(ctx context.Context, p *setup.Parts) error {
	outlooks, err := p.Look(ctx)
	if err != nil {
		return err
	}
	for _, o := range outlooks {
		r.options.Events.Report(DatabaseWorks{o})
	}
	if p.Config.Identities == nil {
		return nil
	}
	live, err := p.Databases(ctx)
	if err != nil {
		return err
	}
	fetched, err := p.FetchIdentities(ctx, live)
	if err != nil {
		return err
	}
	if err := fetched.Report.Err(); err != nil {
		return err
	}
	r.options.Events.Report(IdentitiesWork{ID: fetched.ID, Keys: len(fetched.Keys)})
	if !r.made.Existing || !r.found() || r.NoBackup {
		return nil
	}
	return r.another(ctx, p, strings.TrimPrefix(fetched.ID, "PAR::"))
}

// mayStore tries the rights that a new repository needs, and warns of a bucket
// with a rule of its own.
func (r *run) mayStore(ctx context.Context, p *setup.Parts) error {
	lock, err := setup.ObjectLock(r.ObjectLock)
	if err != nil {
		return setup.Usage(err)
	}
	if err := p.TryRights(ctx, lock); err != nil {
		return err
	}
	by, err := repository.RetainedByDefault(ctx, p.Config.Repository.Place, p.RepositoryOptions()...)
	if err == nil && by != "" {
		r.options.Events.Report(BucketRetains{by})
	}
	return err
}

// free makes sure that what is to be created is not there yet. A repository
// that is there is taken when its password is given, as that of several nodes.
func (r *run) free(ctx context.Context, p *setup.Parts) error {
	for path := range r.secrets() {
		if _, err := os.Lstat(path); err == nil {
			return &holdfast.Problem{
				Class: holdfast.Refused, What: path + " exists already",
				Why: neverOverwritten, Do: moveAway,
			}
		}
	}
	at := p.Config.Repository.Place
	vacant, err := repository.Vacant(ctx, at, p.RepositoryOptions()...)
	switch {
	case vacant && r.Back:
		return &holdfast.Problem{
			Class: holdfast.Refused, What: "there is no repository in " + at.String(),
			Why: "The node cannot come back from it.",
			Do:  "Look whether the place is mounted and spelled as on the lost machine: a bucket has a prefix too.",
		}
	case vacant:
		return r.mayStore(ctx, p)
	case holdfast.ClassOf(err) == holdfast.Refused:
		return err
	case err != nil:
		return &holdfast.Problem{
			Class: holdfast.Refused, What: "look at --repository", Err: err,
			Do: "Name another directory, or run as a user that may write there.",
		}
	case r.Password == "":
		return &holdfast.Problem{
			Class: holdfast.Refused, What: at.String() + " is not empty",
			Why: "If it is a repository, a new one over it would make the sets in it unreadable.",
			Do: "Name another directory; or use the repository that is there: " +
				"--repository-password with a reference to its password.",
		}
	}
	if _, err := p.Repository(ctx); err != nil {
		return err
	}
	r.made.Existing = true
	return nil
}
