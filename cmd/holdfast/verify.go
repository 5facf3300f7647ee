package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"holdfast"
	"holdfast/setup"
	"holdfast/size"
	"holdfast/stored"
	"holdfast/verify"
)

type verifyFlags struct {
	sample  string
	rate    string
	copy    string
	data    bool
	repair  bool
	rebuild bool
	dryRun  bool
}

func newVerify(a *app) *cobra.Command {
	var f verifyFlags
	c := &cobra.Command{
		Use:   "verify [SET]",
		Short: "Find what is damaged in the repository, and which sets suffer",
		Long: `Compare the repository's index with what is in its storage, and every set's
manifest with its facts and its files. Nothing of the data is read for that;
--sample reads a share of it, another one on each run until everything was
read, and --read-data reads all of it, or all of SET, and digests the rows
again. How much is read is printed first.

--repair mends what can be mended: from error correction, from a copy of the
repository (--copy), or by marking what is lost, so that the next backup stores
it again instead of finding it "already there". Where kopia.repository is gone or
damaged, without which nothing opens, it is put back from its copy.

A repository that is mounted read-only is verified as well; then the run cannot
be remembered and the next sample is the same one.

Exit code 0 means that nothing is wrong, 4 that something is, 5 that the
storage did not answer until the end.`,
		Example: `  # daily: structure and a tenth of the data, not faster than 20 MB a second
  holdfast verify --sample 10% --rate 20MB/s

  # what reading everything would cost
  holdfast verify --read-data --dry-run

  # one set, every row of it
  holdfast verify latest --read-data

  # something was found: mend it; then a backup stores again what is lost
  holdfast verify --read-data --repair`,
		Args: atMost(1, "one set"),
		RunE: func(cmd *cobra.Command, args []string) error {
			a.ifInterrupted = "Nothing was changed; what was found until then is not remembered."
			request, err := f.request(args)
			if err != nil {
				return err
			}
			return a.with(cmd.Context(), func(p *setup.Parts) error {
				if f.rebuild {
					return a.rebuildIndex(cmd.Context(), p)
				}
				return a.verify(cmd.Context(), p, args, request, f)
			})
		},
	}
	c.Flags().StringVar(&f.sample, "sample", "", "read this share of the stored data, such as 5%; the next run reads the next one")
	c.Flags().BoolVar(&f.data, "read-data", false, "read all data of SET, or of the repository, and digest the rows again")
	c.Flags().StringVar(&f.rate, "rate", "", "read no more than this, such as 20MB/s")
	c.Flags().BoolVar(&f.repair, "repair", false, "mend what can be mended and mark what is lost")
	c.Flags().StringVar(&f.copy, "copy", "", "directory with another copy of the repository, to mend from")
	c.Flags().BoolVar(&f.rebuild, "rebuild-index", false, "rebuild the index from the data, when it is damaged or sets have vanished")
	c.Flags().BoolVarP(&f.dryRun, "dry-run", "n", false, "say what would be read")
	return c
}

// request makes the flags a request.
func (f verifyFlags) request(args []string) (verify.Request, error) {
	r := verify.Request{Level: verify.Structure, Repair: f.repair}
	var err error
	switch {
	case f.data && f.sample != "":
		err = errors.New("--sample and --read-data exclude each other")
	case f.data:
		r.Level = verify.Data
	case f.sample != "":
		r.Level = verify.Sample
		if r.Percent, err = strconv.ParseFloat(strings.TrimSuffix(f.sample, "%"), 64); err != nil || r.Percent <= 0 || r.Percent > 100 {
			err = fmt.Errorf("--sample: want a share between 0%% and 100%%, such as 5%%")
		}
		if len(args) > 0 && err == nil {
			err = errors.New("--sample is of the whole repository: a set takes --read-data")
		}
	}
	if err == nil && f.copy != "" && !f.repair {
		err = errors.New("--copy needs --repair")
	}
	if err == nil && f.rate != "" {
		r.Rate, err = verify.ParseRate(f.rate)
	}
	if err != nil {
		return r, usageError(nil, err)
	}
	return r, nil
}

func (a *app) verify(ctx context.Context, p *setup.Parts, args []string, request verify.Request, f verifyFlags) error {
	o := setup.VerifyOptions{Copy: f.copy}
	var err error
	if f.repair && !f.dryRun { // what keeps the repository from being opened comes first
		if o.Mended, err = p.PutBack(ctx); err != nil {
			return err
		}
	}
	if len(args) == 1 {
		set, _, err := p.Find(ctx, args[0])
		if err != nil {
			return err
		}
		request.Set = set.ID
	}
	return p.Verify(ctx, o, func(job verify.Job) error {
		plan, err := job.Plan(ctx, request)
		if err != nil {
			return err
		}
		if f.dryRun {
			return a.result("verify-plan", plan, func() { a.printVerifyPlan(plan) })
		}
		if a.output == "text" {
			a.printVerifyPlan(plan)
		}
		report, err := job.Run(ctx, plan)
		if report.Verdict == "" {
			return err
		}
		if printErr := a.result("verify", report, func() { a.printVerify(report) }); printErr != nil {
			return printErr
		}
		return err
	})
}

func (a *app) rebuildIndex(ctx context.Context, p *setup.Parts) error {
	done, err := p.RebuildIndex(ctx)
	if err != nil {
		return err
	}
	return a.result("rebuilt-index", done, func() {
		for _, name := range done.Renamed {
			a.printf("set aside, unreadable: %s\n", name)
		}
		a.printf("%s known again, from %s\n", count(done.Pieces, "piece"), count(done.Blobs, "blob"))
		for _, name := range done.Unreadable {
			a.printf("could not be read: blob %s: %s\n", name, done.UnreadableWhy)
		}
		a.printf("Now run holdfast verify.\n")
	})
}

func (a *app) printVerifyPlan(p verify.Plan) {
	what := map[verify.Level]string{verify.Structure: "structure", verify.Sample: "structure and a sample of the data", verify.Data: "structure and all data"}[p.Level]
	if p.Set != "" {
		what += " of set " + string(p.Set)
	}
	a.printf("Verify %s: reads about %s of the %s stored in %s.\n", what, size.Of(p.Reads), size.Of(p.Stock.Bytes), count(p.Stock.Blobs, "blob"))
	if p.Level == verify.Sample {
		a.printf("At this share %s read everything once; %.0f%% of this round are read.\n", count(p.Runs, "run"), 100*p.Before)
	}
}

func (a *app) printVerify(r verify.Report) {
	rows := [][]string{{"SET", "NODE", "STATE", "VERIFIED", "SUFFERS"}}
	for _, s := range r.Sets {
		rows = append(rows, []string{string(s.ID), string(s.Node), string(s.State), string(s.Verdict), sufferings(s)})
	}
	a.table(rows)
	for _, f := range r.Findings {
		a.printf("\n%s: %s\n  %s\n  next: %s\n", f.Verdict, short(f.Evidence), f.Consequence, f.Next)
		for _, how := range []stored.RemedyKind{stored.Rewritten, stored.Copied, stored.Marked, stored.Helpless} {
			if n := f.Mended[how]; n > 0 {
				a.printf("  %s: %s\n", map[stored.RemedyKind]string{stored.Rewritten: "written again", stored.Copied: "taken from the copy", stored.Marked: "marked", stored.Helpless: "no remedy"}[how], count(n, "piece"))
			}
		}
		for i, s := range f.Suffers {
			const most = 5
			if i == most {
				a.printf("  and %d more; --output json lists them\n", len(f.Suffers)-most)
				break
			}
			a.printf("  set %s: %s\n", s.Set, parts(s.Parts))
		}
	}
	for _, id := range r.Recovered {
		a.printf("found again: set %s\n", id)
	}
	a.printf("\n%s read in %s: %s\n", size.Of(r.Read), span(r.Took), map[holdfast.Verdict]string{
		holdfast.Holds: "nothing is wrong that this level can see", holdfast.Violated: "something is wrong", holdfast.CannotTell: "cannot tell"}[r.Verdict])
	if r.Level == verify.Sample {
		a.printf("%.0f%% of the stored data are read in this round.\n", 100*r.Share)
	}
	if !r.Since.IsZero() && r.Verdict == holdfast.Holds {
		a.printf("Everything stored before %s has been read since.\n", when(r.Since))
	}
	if r.NotRecorded != "" {
		a.printf("Not remembered: %s. The next sample is the same one.\n", r.NotRecorded)
	}
}

func sufferings(s verify.SetVerdict) string {
	if len(s.Suffers) == 0 {
		return s.Why
	}
	return parts(s.Suffers)
}

// parts lists parts of a set, tables once however many files they have.
func parts(list []verify.Part) string {
	const most = 4
	var out []string
	seen := map[string]bool{}
	for _, p := range list {
		if text := p.String(); !seen[text] {
			seen[text] = true
			out = append(out, text)
		}
	}
	if len(out) > most {
		out = append(out[:most], fmt.Sprintf("%d more", len(out)-most))
	}
	return strings.Join(out, ", ")
}
