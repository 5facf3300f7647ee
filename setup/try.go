package setup

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"holdfast"
	"holdfast/backup"
	"holdfast/databases"
	"holdfast/identities"
	"holdfast/internal/libpq"
	"holdfast/place"
	"holdfast/repository"
)

// Finding is what one trial of the configuration showed.
type Finding struct {
	Subject string           `json:"subject"`
	Verdict holdfast.Verdict `json:"verdict"`
	Found   string           `json:"found"`
	Why     string           `json:"why,omitempty"`
	Do      string           `json:"do,omitempty"`
}

// Found makes a finding of a trial.
func Found(subject, well string, err error) Finding {
	if err == nil {
		return Finding{Subject: subject, Verdict: holdfast.Holds, Found: well}
	}
	why, do := holdfast.Advice(err)
	return Finding{Subject: subject, Verdict: holdfast.Violated, Found: err.Error(), Why: why, Do: do}
}

// Try tries everything, one after the other; what fails keeps nothing else
// from being tried.
func (p *Parts) Try(ctx context.Context) []Finding {
	var out []Finding
	if p.kind.Try != nil {
		out = p.kind.Try(ctx)
	}
	n, err := p.databasesOrWhyNot(ctx)
	if err != nil {
		return append(out, Found("databases", "", err))
	}
	out = append(out, Found("restores", "none was interrupted", cmp.Or(p.Interrupted(), p.whole(ctx, n))))
	taken, err := p.sources(ctx, n)
	if err != nil {
		out = append(out, Found("provider", "", err))
	}
	for _, c := range n.Components {
		if source, ok := taken.of[c.Name]; ok {
			out = append(out, tryDatabase(ctx, c, source, n.Addresses[c.Name])...)
		}
	}
	out = append(out, p.tryProvider(ctx)...)
	out = append(out, p.tryIdentities(ctx, n))
	out = append(out, p.tryManagers(ctx)...)
	return append(out, p.tryPlaces(ctx)...)
}

// Remake rehearses on this machine, without data, whether the node would come
// back on an empty one.
func (p *Parts) Remake(ctx context.Context) []Finding {
	if p.kind.Remake == nil {
		return []Finding{{
			Subject: "remake", Verdict: holdfast.CannotTell, Found: "the configuration names databases, and no node that could be made again",
			Why: "How the node's programs run is not in the sets.",
			Do:  "Keep what starts them, such as Helm values, with the repository.",
		}}
	}
	return p.kind.Remake(ctx)
}

// tryDatabase tries what a backup needs, and whether this role may restore.
func tryDatabase(ctx context.Context, c holdfast.Component, source backup.Source, t libpq.Address) []Finding {
	subject := string(c.Name)
	outlook, err := source.Look(ctx, c)
	if err != nil {
		return []Finding{Found(subject, "", err)}
	}
	return []Finding{Found(subject, fmt.Sprintf("%s, %s", outlook.Database, outlook.Found), nil), mayRestore(ctx, subject, t)}
}

func mayRestore(ctx context.Context, subject string, t libpq.Address) Finding {
	subject += ", restore"
	conn, err := t.Connect(ctx, libpq.Options{})
	if err != nil {
		return Found(subject, "", err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	var may bool
	var user string
	if err := conn.QueryRow(ctx, `SELECT rolsuper OR rolcreatedb, rolname FROM pg_roles WHERE rolname = current_user`).Scan(&may, &user); err != nil {
		return Found(subject, "", err)
	}
	if may {
		return Found(subject, "role "+user+" may create databases", nil)
	}
	return Finding{Subject: subject, Verdict: holdfast.CannotTell, Found: "role " + user + " may not create databases",
		Why: "A restore builds next to the old database. Another role may be meant for it.",
		Do: fmt.Sprintf("As a superuser: ALTER ROLE %s CREATEDB; or restore as the role that may: "+
			"docs/operate.md, \"The role that restores\".", pgx.Identifier{user}.Sanitize())}
}

// tryIdentities fetches the identities and checks them, as a backup does.
func (p *Parts) tryIdentities(ctx context.Context, n databases.Live) Finding {
	const subject = "identities"
	if p.Config.Identities == nil {
		return Finding{Subject: subject, Verdict: holdfast.Violated, Found: "none are configured", Why: "They hold the node's keys and are the second way back.", Do: "Add identities: to holdfast.yaml."}
	}
	fetched, err := p.fetchIdentities(ctx, 1, func() *identities.Participant { return LiveParticipant(ctx, n) })
	if err == nil {
		err = fetched.Report.Err()
	}
	if err != nil {
		return Found(subject, "", err)
	}
	return Found(subject, fmt.Sprintf("%s, %s", fetched.ID, keys(len(fetched.Keys))), nil)
}

// tryPlaces tries the rights in the places of the repository and of its copies,
// and opens the repository where they are there.
func (p *Parts) tryPlaces(ctx context.Context) []Finding {
	options := append(p.RepositoryOptions(), repository.Locked(p.lockThere(ctx)))
	out := rights(ctx, "repository", p.Config.Repository.Place, options...)
	if !slices.ContainsFunc(out, func(f Finding) bool { return f.Verdict == holdfast.Violated }) {
		out = append(out, p.tryRepository(ctx))
	}
	for i, second := range p.Config.Copies {
		subject := fmt.Sprintf("copies[%d]", i)
		options, err := p.copyOptions(second)
		if err != nil {
			out = append(out, Found(subject, "", err))
			continue
		}
		out = append(out, rights(ctx, subject, second.Place, options...)...)
	}
	return out
}

// lockThere is how the repository locks, as far as it opens.
func (p *Parts) lockThere(ctx context.Context) repository.ObjectLock {
	if _, local := p.Config.Repository.Place.Local(); local {
		return repository.ObjectLock{}
	}
	r, err := p.Repository(ctx)
	if err != nil {
		return repository.ObjectLock{} // why it does not open is found by its own trial
	}
	return r.Rule()
}

// rights are the findings of what a node does in a place outside of this
// machine; none for a directory.
func rights(ctx context.Context, subject string, at place.Place, options ...repository.Option) []Finding {
	tried, err := repository.Probe(ctx, at, options...)
	if err != nil {
		return []Finding{Found(subject, "", err)}
	}
	var out []Finding
	var may []string
	for _, t := range tried {
		if t.Err != nil {
			out = append(out, Found(subject+", rights", "", t.Err))
		}
		may = append(may, string(t.Right))
	}
	if len(out) == 0 && len(tried) > 0 {
		out = append(out, Found(subject+", rights", "may "+strings.Join(may, ", "), nil))
	}
	return out
}

// tryManagers reads what is newest in each manager of secrets that keeps the
// identities. Nothing is written: an empty one is as good as any.
func (p *Parts) tryManagers(ctx context.Context) []Finding {
	var out []Finding
	if p.Config.Identities == nil {
		return nil
	}
	for _, k := range p.Config.Identities.Keep {
		if _, local := k.Place.Local(); local {
			continue
		}
		_, versions, _, err := p.newestAt(ctx, k, "")
		out = append(out, Found(k.String(), versionsOf(versions), err))
	}
	return out
}

// TryRights returns what is wrong with the rights in the repository's place, those
// to lock there included if it is to lock.
func (p *Parts) TryRights(ctx context.Context, lock repository.ObjectLock) error {
	options := append(p.RepositoryOptions(), repository.Locked(lock))
	tried, err := repository.Probe(ctx, p.Config.Repository.Place, options...)
	for _, t := range tried {
		err = cmp.Or(err, t.Err)
	}
	return err
}

func (p *Parts) tryRepository(ctx context.Context) Finding {
	r, err := p.Repository(ctx)
	if err != nil {
		return Found("repository", "", err)
	}
	_, _, err = r.Latest(ctx, p.Node.Name, holdfast.Proven)
	return Found("repository", r.Name(), err)
}

func versionsOf(n int) string {
	if n == 1 {
		return "1 version of the identities"
	}
	return fmt.Sprintf("%d versions of the identities", n)
}

func keys(n int) string {
	if n == 1 {
		return "1 key"
	}
	return fmt.Sprintf("%d keys", n)
}
