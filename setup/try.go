package setup

import (
	"context"
	"fmt"
	"holdfast"
	"holdfast/databases"
	"holdfast/identities"
	"holdfast/internal/libpq"
	"holdfast/node/compose"
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

// found makes a finding of a trial.
func found(subject, well string, err error) Finding {
	if err == nil {
		return Finding{Subject: subject, Verdict: holdfast.Holds, Found: well}
	}
	why, do := holdfast.Advice(err)
	return Finding{Subject: subject, Verdict: holdfast.Violated, Found: err.Error(), Why: why, Do: do}
}

// Try tries everything, one after the other; what fails keeps nothing else
// from being tried.
func (p Parts) Try(ctx context.Context) []Finding {
	var out []Finding
	if p.Compose != nil {
		n, err := p.ComposeNode(ctx)
		well := ""
		if err == nil {
			well = fmt.Sprintf("project %s, Splice %s", n.Project, n.Splice())
		}
		out = append(out, found("docker", well, err))
		if left, err := compose.BrokenOff(p.journal()); err != nil || left != nil {
			if err == nil {
				err = &holdfast.Problem{What: fmt.Sprintf("a restore of set %s did not come to its end", left.Set),
					Why: "The node's containers may be stopped.", Do: "`holdfast restore --undo --yes` goes back, `holdfast restore --yes` repeats it."}
			}
			out = append(out, found("restore", "", err))
		}
	}
	n, err := p.nodeOrWhyNot(ctx)
	if err != nil {
		return append(out, found("databases", "", err))
	}
	for _, c := range n.Components {
		out = append(out, p.tryDatabase(ctx, c, n.Addresses[c.Name])...)
	}
	return append(out, p.tryIdentities(ctx, n), p.tryRepository(ctx))
}

// tryDatabase tries what a backup needs, and whether this role may restore.
func (p Parts) tryDatabase(ctx context.Context, c holdfast.Component, t libpq.Address) []Finding {
	subject := string(c.Name)
	outlook, err := p.Dumper(t).Look(ctx, c)
	if err != nil {
		return []Finding{found(subject, "", err)}
	}
	return []Finding{found(subject, fmt.Sprintf("%s, %s", outlook.Database, outlook.Found), nil), mayRestore(ctx, subject, t)}
}

func mayRestore(ctx context.Context, subject string, t libpq.Address) Finding {
	subject += ", restore"
	conn, err := t.Connect(ctx, libpq.Options{})
	if err != nil {
		return found(subject, "", err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	var may bool
	var user string
	if err := conn.QueryRow(ctx, `SELECT rolsuper OR rolcreatedb, rolname FROM pg_roles WHERE rolname = current_user`).Scan(&may, &user); err != nil {
		return found(subject, "", err)
	}
	if may {
		return found(subject, "role "+user+" may create databases", nil)
	}
	return Finding{Subject: subject, Verdict: holdfast.CannotTell, Found: "role " + user + " may not create databases",
		Why: "A restore builds beside the old database. Another role may be meant for it.", Do: "ALTER ROLE ... CREATEDB, or restore as the role that may: docs/operate.md, \"The role that restores\"."}
}

// tryIdentities fetches the identities and checks them, as a backup does.
func (p Parts) tryIdentities(ctx context.Context, n databases.Live) Finding {
	const subject = "identities"
	if p.Identities == nil {
		return Finding{Subject: subject, Verdict: holdfast.Violated, Found: "none are fetched", Why: "They hold the node's keys and are the second way back.", Do: "Add identities: to holdfast.yaml."}
	}
	fetch, err := p.ExportIdentities(ctx, 1)
	if err != nil {
		return found(subject, "", err)
	}
	data, err := fetch(ctx)
	if err != nil {
		return found(subject, "", err)
	}
	dump, err := identities.Parse(data)
	if err != nil {
		return found(subject, "", err)
	}
	if err := dump.Check(LiveParticipant(ctx, n)).Err(); err != nil {
		return found(subject, "", err)
	}
	return found(subject, fmt.Sprintf("%s, %s", dump.ID, keys(len(dump.Keys))), nil)
}

func (p Parts) tryRepository(ctx context.Context) Finding {
	var name string
	err := p.WithRepository(ctx, func(r *repository.Repository) error {
		name = r.Name()
		_, _, err := r.Latest(ctx, holdfast.NodeName(p.Config.Node), holdfast.Proven)
		return err
	})
	return found("repository", name, err)
}

func keys(n int) string {
	if n == 1 {
		return "1 key"
	}
	return fmt.Sprintf("%d keys", n)
}

// LiveParticipant is what the participant's database says about itself now; nil
// when it cannot be asked, and the checks that need it then cannot tell.
func LiveParticipant(ctx context.Context, n databases.Live) *identities.Participant {
	for _, c := range n.Components {
		if c.Kind == holdfast.Participant {
			facts, err := n.Facts(ctx, c.Name)
			if err != nil {
				return nil
			}
			return identities.ParticipantOf(facts.Participant)
		}
	}
	return nil
}
