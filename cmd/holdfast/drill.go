package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"filippo.io/age"
	"github.com/spf13/cobra"

	"holdfast"
	"holdfast/drill"
	"holdfast/identities"
	"holdfast/internal/sshsig"
	"holdfast/repository"
	"holdfast/setup"
)

type drillFlags struct {
	keyFile string
	reports string
	locale  string
	server  string
	boot    bool
	dryRun  bool
}

func newDrill(a *app) *cobra.Command {
	var f drillFlags
	c := &cobra.Command{
		Use:   "drill [SET]",
		Short: "Rehearse a restore in a throwaway server and report it",
		Long: `Restore a set into a Postgres server that is made for it, without a network, and
removed afterwards. Every row digest, every sequence, the facts and the order
are compared with the manifest, the sealed identities are looked at, and the
questions under "drill.checks" are asked.

The server is made from the Postgres server programs of this machine, of the
set's major version or a later one, in a network namespace of its own. Where
there are none, or with --server container, it runs in a Docker container
without a network, from the image that the node's own server ran from, or that
"drill.image" names.

With --boot, the participant is then started on the restored database, from the
image that the set recorded or "drill.boot.image" names, in that container's
network, where there is nothing but the loopback. It has to say that it is who
the set says. Nothing else of the node is started.

The result is remembered in the repository: other commands know which sets are
proven to restore and how long that takes. With --report, it is written as
text, JSON and one HTML page, each signed with the repository's key, whose
public part is printed.

SET is an ID, the beginning of one, its last eight digits, or "latest", the
newest proven set, which is also the default.

Exit code 0 means that everything holds, 4 that something does not, 5 that
something could not be told, such as whether a network could be reached.`,
		Example: `  # weekly: rehearse the newest set, file the report
  holdfast drill --report /var/lib/holdfast/drills

  # what it needs
  holdfast drill --dry-run

  # after an upgrade: in containers, and start the participant as well
  holdfast drill --boot

  # open the identities as well
  holdfast drill 20261122T154500Z --identity-key /media/usb/recovery-key.txt`,
		Args: atMost(1, "one set"),
		RunE: func(cmd *cobra.Command, args []string) error {
			a.ifInterrupted = "Nothing was left behind, and nothing is remembered of the drill."
			id := "latest"
			if len(args) == 1 {
				id = args[0]
			}
			return a.drill(cmd.Context(), id, f)
		},
	}
	c.Flags().StringVar(&f.keyFile, "identity-key", "", "file with the recovery key or an SSH private key, to open the identities; - for standard input")
	c.Flags().StringVar(&f.reports, "report", "", "directory to write the signed report to")
	c.Flags().StringVar(&f.locale, "locale", "", "make the databases with this locale instead of the recorded one")
	c.Flags().StringVar(&f.server, "server", "", "local or container (default: local where the server programs are there)")
	c.Flags().BoolVar(&f.boot, "boot", false, "start the participant on the restored database, in a container, and ask it who it is")
	c.Flags().BoolVarP(&f.dryRun, "dry-run", "n", false, "say what is needed and whether it is there")
	return c
}

func (a *app) drill(ctx context.Context, id string, f drillFlags) error {
	return a.withRepository(ctx, func(p *setup.Parts, r *repository.Repository) error {
		set, files, err := p.Find(ctx, id)
		if err != nil {
			return err
		}
		job, err := p.DrillJob(ctx, set, files, setup.DrillOptions{Locale: f.locale, Server: f.server, Boot: f.boot, DryRun: f.dryRun})
		if err != nil {
			return err
		}
		if job.Identities, err = a.identityJudge(f.keyFile); err != nil {
			return err
		}
		past, err := r.Drills(ctx, set.Node.Name)
		if err != nil {
			return err
		}
		plan, err := job.Plan(ctx, set, past)
		if f.dryRun && plan.Room.Evidence != "" {
			if printErr := a.result("drill-plan", plan, func() { a.printDrillPlan(plan) }); printErr != nil {
				return printErr
			}
		}
		if err != nil || f.dryRun {
			return err
		}
		key, keyErr := r.SigningKey(ctx, func() (string, string, error) { return sshsig.NewKey("holdfast@" + string(p.Node.Name)) })
		report, err := job.Run(ctx, plan, set, files)
		if report == nil {
			return err
		}
		if keyErr == nil {
			report.Key = key.Public
		}
		text, jsonErr := report.JSON()
		// What could not be kept is an error beside what the drill found.
		kept := errors.Join(jsonErr, keyErr, r.PutDrill(ctx, report.Remembered(text)))
		if f.reports != "" {
			kept = errors.Join(kept, writeReports(f.reports, report, text, key.Private))
		}
		if printErr := a.result("drill", report, func() {
			a.printf("%s", short(string(report.Text())))
			if f.reports != "" && kept == nil {
				a.printf("\nWritten to %s, as text, JSON and HTML, each with its signature.\n", f.reports)
			}
		}); printErr != nil {
			return printErr
		}
		return errors.Join(err, kept)
	})
}

func (a *app) printDrillPlan(p drill.Plan) {
	a.printf("Set %s of node %s: %s, %s of databases\nThe server is made from %s\n%s\n", p.Set, p.Node, p.State, size(p.Bytes), p.Place, p.Room.Evidence)
	if p.Estimate > 0 {
		a.printf("At the pace of the last drill the restore takes about %s.\n", span(p.Estimate))
	}
}

// writeReports writes the report in each form, with a signature beside it.
func writeReports(dir string, r *drill.Report, text []byte, key holdfast.Secret) error {
	page, err := r.HTML()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return &holdfast.Problem{Class: holdfast.Failed, What: "write the report", Err: err, Do: "Name another directory: --report."}
	}
	stem := filepath.Join(dir, fmt.Sprintf("drill-%s-%s", r.Set, r.At.UTC().Format("20060102T150405Z")))
	for ending, content := range map[string][]byte{".json": text, ".txt": r.Text(), ".html": page} {
		files := map[string][]byte{stem + ending: content}
		if !key.IsEmpty() {
			signature, err := sshsig.Sign(key.Reveal(), "holdfast-drill", content)
			if err != nil {
				return err
			}
			files[stem+ending+".sig"] = []byte(signature)
		}
		for path, content := range files {
			if err := os.WriteFile(path, content, 0o600); err != nil {
				return &holdfast.Problem{Class: holdfast.Failed, What: "write the report", Err: err, Do: "Name another directory: --report."}
			}
		}
	}
	return nil
}

// identityJudge opens the identities with a key and holds them against what the
// set says; nil without a key.
func (a *app) identityJudge(keyFile string) (func(context.Context, io.Reader, holdfast.Set) holdfast.Finding, error) {
	if keyFile == "" {
		return nil, nil
	}
	text, err := a.readFile(strings.TrimPrefix(keyFile, "file:"))
	if err != nil {
		return nil, err
	}
	keys, err := identities.ParseKeys(holdfast.NewSecret(string(text)))
	if err != nil {
		return nil, err
	}
	return func(_ context.Context, sealed io.Reader, set holdfast.Set) holdfast.Finding {
		return judgeIdentities(keys, sealed, set)
	}, nil
}

func judgeIdentities(keys []age.Identity, sealed io.Reader, set holdfast.Set) holdfast.Finding {
	no := func(err error) holdfast.Finding {
		return holdfast.Finding{Verdict: holdfast.Violated, Evidence: err.Error()}
	}
	clear, err := identities.Open(sealed, keys, set.Identities.Recipients)
	if holdfast.ClassOf(err) == holdfast.WrongKey {
		return holdfast.Finding{Verdict: holdfast.CannotTell, Evidence: err.Error()}
	}
	if err != nil {
		return no(err)
	}
	dump, err := identities.Parse(clear)
	if err != nil {
		return no(err)
	}
	if dump.Content() != set.Identities.Content || dump.ID != set.Identities.ID {
		return no(fmt.Errorf("the identities in the set are %s, the manifest says %s", dump.ID, set.Identities.ID))
	}
	if err := dump.Check(nil).Err(); err != nil {
		return no(err)
	}
	return holdfast.Finding{Verdict: holdfast.Holds, Evidence: fmt.Sprintf("the sealed identities open with the key, and are those of %s, with %s", dump.ID, count(len(dump.Keys), "key"))}
}
