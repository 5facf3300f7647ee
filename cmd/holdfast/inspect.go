package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"holdfast"
	"holdfast/dumpfile"
	"holdfast/inspect"
	"holdfast/pgdump"
)

func newInspect(a *app) *cobra.Command {
	var each bool
	c := &cobra.Command{
		Use:   "inspect FILE...",
		Short: "Judge dumps that others made, without restoring them",
		Long: `Read dumps that pg_dump or pg_dumpall made, as SQL or with -Fc, -Fd or -Ft,
compressed with gzip, zstd, xz, bzip2 or lz4 (recognized by content, not by name), and
say what they are worth: is each one all there, whose databases are they, do
they belong to one node, and may the validator app's dump be restored together
with the participant's. FILE is a file, a directory of pg_dump -Fd, or - for
standard input. No server is needed, no configuration, and little memory.

A dump has no clock that could be trusted. That the order holds means that the
two databases do not contradict each other; it is no proof that nothing is
missing. "holdfast backup" takes sets whose order is proven.

With --each every dump is judged by itself: is it all there, with its rows. That
is the question for one dump alone, which has no order, and for the databases of
other programs.

Exit code 0: everything holds; 4: something is violated, a dump is
truncated, or damaged; 5: something is unknown, such as the order of one dump
alone where --each is not given.`,
		Example: `  # last night's pair
  holdfast inspect validator.sql.gz participant.sql.gz

  # one dump that has just been written: is it all there?
  holdfast inspect --each participant.dump

  # a dump of the whole server, from where it is kept, for a program
  ssh vault cat /dumps/all.sql.zst | holdfast inspect - --output json`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usageError(nil, errors.New("want one or more dumps, got none"))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			job := inspect.Job{Read: dumpfile.Reader{Stdin: a.in, Events: newProgress(a).hear}.Read, Each: each}
			report, err := job.Run(cmd.Context(), args)
			if err != nil {
				return err
			}
			if err := a.result("inspection", report, func() { a.printInspection(report) }); err != nil {
				return err
			}
			return verdictError(report)
		},
	}
	c.Flags().BoolVar(&each, "each", false, "judge each dump by itself, not what they are worth together")
	return c
}

// verdictError makes the exit code of what was found; the reasons have been
// printed.
func verdictError(r inspect.Report) error {
	p := &holdfast.Problem{Do: "`holdfast backup` takes sets whose order is proven."}
	switch r.Verdict {
	case holdfast.Violated:
		p.Class, p.What = holdfast.Violation, "these dumps must not be restored as they are"
		p.Why = "Postgres restores such dumps without complaint, and the node's programs start on them."
	case holdfast.CannotTell:
		p.Class, p.What = holdfast.Undetermined, "cannot tell whether these dumps can be restored together"
		if r.Question == inspect.Each {
			p.What = "cannot tell whether these dumps are complete"
		} else if len(r.Pairs) == 0 {
			p.Do = "Give the other half of the pair as well; or ask about each dump by itself, `holdfast inspect --each FILE...`."
		}
	default:
		return nil
	}
	return p
}

func (a *app) printInspection(r inspect.Report) {
	rows := [][]string{{"DUMP", "FORM", "STATE", "DATABASE", "HOLDS", "TABLES", "ROWS", "POSTGRES", "PG_DUMP"}}
	for _, d := range r.Dumps {
		form := strings.Join(append([]string{string(d.Form)}, d.Wrapping...), ", ")
		if len(d.Databases) == 0 {
			rows = append(rows, []string{d.Name, form, string(d.State), "-", "-", "-", "-", "-", "-"})
		}
		for _, db := range d.Databases {
			rows = append(rows, []string{d.Name, form, string(d.State), orDash(db.Name), kindOf(db), fmt.Sprint(len(db.Tables)), fmt.Sprint(db.Rows()),
				orDash(firstWord(db.Postgres)), orDash(firstWord(db.PgDump))})
		}
	}
	a.table(rows)
	for _, d := range r.Dumps {
		for _, f := range d.Faults {
			a.printf("\n%s: %s\n", d.Name, f)
		}
		for _, db := range d.Databases {
			a.printDumped(d, db)
		}
	}
	for _, p := range r.Pairs {
		a.printf("\n%s with %s: %s\n", p.Validator, p.Participant, p.Verdict)
		a.printf("  Order: %s: %s\n", p.Order.Verdict, short(p.Order.Evidence))
		for _, f := range p.Members.Findings {
			a.printf("  One node: %s: %s\n", f.Verdict, short(f.Evidence))
		}
		a.printf("  Whole: %s: %s\n", p.Whole.Verdict, p.Whole.Evidence)
	}
	about := map[inspect.Question]string{inspect.Each: ", of each by itself; nothing is said about order"}[r.Question]
	a.printf("\nVerdict: %s%s\n", r.Verdict, about)
	for _, reason := range r.Reasons {
		a.printf("  %s\n", short(reason))
	}
}

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

func firstWord(text string) string {
	first, _, _ := strings.Cut(text, " ")
	return first
}

func kindOf(db pgdump.Database) string {
	if db.Kind == "" {
		return "unknown"
	}
	return string(db.Kind)
}

// printDumped prints what a dumped database says about itself.
func (a *app) printDumped(d pgdump.File, db pgdump.Database) {
	name := d.Name
	if len(d.Databases) > 1 && db.Name != "" {
		name += " (" + db.Name + ")"
	}
	a.printf("\n%s: %s\n", name, short(db.Found))
	line := func(what, format string, args ...any) {
		a.printf("  %-16s %s\n", what, short(fmt.Sprintf(format, args...)))
	}
	if db.Created != "" {
		line("made", "%s, local time of the machine that made it; nothing vouches for it", db.Created)
	}
	if db.Facts.Migrations != "" {
		line("migrations", "up to %s", db.Facts.Migrations)
	}
	if db.Kind != "" && db.Facts.Unknown != "" {
		line("unknown", "%s", db.Facts.Unknown)
	}
	if len(db.Unread) > 0 && db.Facts.Unknown == "" {
		line("not read", "%s", strings.Join(db.Unread, ", "))
	}
	if p := db.Facts.Participant; p != nil {
		printParticipantFacts(*p, line)
	}
	if v := db.Facts.Validator; v != nil {
		for _, s := range v.Stores {
			left := map[bool]string{true: "", false: ", left behind by a newer version"}[s.Current]
			line("ingested", "%s, by %s version %d, migration %d%s", offsetOf(s), s.Name, s.Version, s.MigrationID, left)
		}
		line("wallet users", "%d", len(v.Users))
	}
}

func offsetOf(s holdfast.Store) string {
	switch {
	case s.Offset != nil:
		return fmt.Sprint(*s.Offset)
	case s.Raw == "":
		return "nothing"
	}
	return fmt.Sprintf("an offset that does not decode (%q)", s.Raw)
}

func printParticipantFacts(p holdfast.ParticipantFacts, line func(what, format string, args ...any)) {
	number := func(n *int64, none string) string {
		if n == nil {
			return none
		}
		return fmt.Sprint(*n)
	}
	line("ledger end", "%s", number(p.LedgerEnd, "none, the ledger is empty"))
	for _, t := range p.RecordTimes {
		line("reaches", "%s on %s", when(t.At), t.Synchronizer)
	}
	line("pruned up to", "%s", number(p.PrunedUpTo, "never pruned"))
	for _, s := range p.Synchronizers {
		state := "not active"
		if s.Active {
			state = "active"
		}
		if serial, ok := s.Serial(); ok {
			state += fmt.Sprintf(", serial %d", serial)
		}
		line("synchronizer", "%s, %s (%s)", s.Alias, orDash(s.PhysicalID), state)
	}
	if p.Pruning != nil {
		line("pruning", "%s, keeping %s", p.Pruning.Cron, span(p.Pruning.Retention))
	}
	line("users", "%d", len(p.Users))
	line("private keys", "%d%s", len(p.Keys), map[bool]string{true: fmt.Sprintf(", and %d in a KMS", len(p.KMSKeys))}[len(p.KMSKeys) > 0])
}
