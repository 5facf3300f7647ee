package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"holdfast"
	"holdfast/config"
	"holdfast/databases"
	"holdfast/identities"
	"holdfast/internal/libpq"
	"holdfast/node/compose"
	"holdfast/repository"
)

// finding is what one trial of the configuration showed.
type finding struct {
	Subject string           `json:"subject"`
	Verdict holdfast.Verdict `json:"verdict"`
	Found   string           `json:"found"`
	Why     string           `json:"why,omitempty"`
	Do      string           `json:"do,omitempty"`
}

func newConfigCheck(a *app) *cobra.Command {
	var live bool
	c := &cobra.Command{
		Use:   "check",
		Short: "Check the configuration; with --live, try everything in it",
		Long: `Read the configuration and say what is wrong with it. With --live, connect to
everything that it names: the Docker daemon, every database with the rights that
a backup and a restore need, the validator app, the repository. Each finding
comes with its fix. Nothing is changed.`,
		Example: `  # is it well written
  holdfast config check

  # does everything in it work
  holdfast config check --live`,
		Args: exactly(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			conf, err := a.load()
			if err != nil {
				return err
			}
			found := []finding{{Subject: "configuration", Verdict: holdfast.Holds, Found: fmt.Sprintf("node %s, %s", conf.Node, count(len(conf.DomainNode().Components), "database"))}}
			if live {
				found = append(found, a.live(cmd.Context(), wiring{conf, newProgress(a)})...)
			}
			if err := a.result("findings", found, func() { a.printFindings(found) }); err != nil {
				return err
			}
			return judge(found)
		},
	}
	c.Flags().BoolVar(&live, "live", false, "try every connection and right")
	return c
}

// judge is the exit of a check: violated before cannot tell.
func judge(found []finding) error {
	var worst error
	for _, f := range found {
		switch f.Verdict {
		case holdfast.Violated:
			return &holdfast.Problem{Class: holdfast.Violation, What: f.Subject + ": " + f.Found, Why: f.Why, Do: f.Do}
		case holdfast.CannotTell:
			worst = &holdfast.Problem{Class: holdfast.Undetermined, What: f.Subject + ": " + f.Found, Why: f.Why, Do: f.Do}
		}
	}
	return worst
}

// found makes a finding of a trial.
func found(subject, well string, err error) finding {
	if err == nil {
		return finding{Subject: subject, Verdict: holdfast.Holds, Found: well}
	}
	why, do := holdfast.Advice(err)
	return finding{Subject: subject, Verdict: holdfast.Violated, Found: err.Error(), Why: why, Do: do}
}

// live tries everything, one after the other; what fails keeps nothing else
// from being tried.
func (a *app) live(ctx context.Context, w wiring) []finding {
	var out []finding
	if w.Compose != nil {
		n, err := w.compose(ctx)
		well := ""
		if err == nil {
			well = fmt.Sprintf("project %s, Splice %s", n.Project, n.Splice())
		}
		out = append(out, found("docker", well, err))
		if left, err := compose.BrokenOff(w.journal()); err != nil || left != nil {
			if err == nil {
				err = &holdfast.Problem{What: fmt.Sprintf("a restore of set %s did not come to its end", left.Set),
					Why: "The node's containers may be stopped.", Do: "`holdfast restore --undo --yes` goes back, `holdfast restore --yes` repeats it."}
			}
			out = append(out, found("restore", "", err))
		}
	}
	n, err := w.nodeOrWhyNot(ctx)
	if err != nil {
		return append(out, found("databases", "", err))
	}
	for _, c := range n.Components {
		out = append(out, w.tryDatabase(ctx, c, n.Addresses[c.Name])...)
	}
	return append(out, w.tryIdentities(ctx, n), a.tryRepository(ctx, w))
}

// tryDatabase tries what a backup needs, and whether this role may restore.
func (w wiring) tryDatabase(ctx context.Context, c holdfast.Component, t libpq.Address) []finding {
	subject := string(c.Name)
	outlook, err := w.dumper(t).Look(ctx, c)
	if err != nil {
		return []finding{found(subject, "", err)}
	}
	return []finding{found(subject, fmt.Sprintf("%s, %s", outlook.Database, outlook.Found), nil), mayRestore(ctx, subject, t)}
}

func mayRestore(ctx context.Context, subject string, t libpq.Address) finding {
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
	return finding{Subject: subject, Verdict: holdfast.CannotTell, Found: "role " + user + " may not create databases",
		Why: "A restore builds beside the old database. Another role may be meant for it.", Do: "ALTER ROLE ... CREATEDB, or restore as the role that may: docs/operate.md, \"The role that restores\"."}
}

// tryIdentities fetches the identities and checks them, as a backup does.
func (w wiring) tryIdentities(ctx context.Context, n databases.Live) finding {
	const subject = "identities"
	if w.Identities == nil {
		return finding{Subject: subject, Verdict: holdfast.Violated, Found: "none are fetched", Why: "They hold the node's keys and are the second way back.", Do: "Add identities: to holdfast.yaml."}
	}
	f, err := w.fetcher(ctx)
	if err != nil {
		return found(subject, "", err)
	}
	f.Attempts = 1
	data, err := f.Fetch(ctx)
	if err != nil {
		return found(subject, "", err)
	}
	dump, err := identities.Parse(data)
	if err != nil {
		return found(subject, "", err)
	}
	if err := dump.Check(liveParticipant(ctx, n)).Err(); err != nil {
		return found(subject, "", err)
	}
	return found(subject, fmt.Sprintf("%s, %s", dump.ID, count(len(dump.Keys), "key")), nil)
}

func (a *app) tryRepository(ctx context.Context, w wiring) finding {
	var name string
	err := a.withRepository(ctx, func(_ *config.Config, r *repository.Repository) error {
		name = r.Name()
		_, _, err := r.Latest(ctx, holdfast.NodeName(w.Config.Node), holdfast.Proven)
		return err
	})
	return found("repository", name, err)
}

func (a *app) printFindings(list []finding) {
	rows := [][]string{{"SUBJECT", "VERDICT", "FOUND"}}
	for _, f := range list {
		rows = append(rows, []string{f.Subject, string(f.Verdict), lines(f.Found)})
	}
	a.table(rows)
	for _, f := range list {
		if f.Verdict != holdfast.Holds && f.Do != "" {
			a.printf("\n%s: %s\n  next: %s\n", f.Subject, f.Why, f.Do)
		}
	}
}
