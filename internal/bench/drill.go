package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"holdfast"
	"holdfast/drill"
)

// drills measures a whole rehearsed restore, from its command to the removal of
// the last file, against an ordinary restore of the same set, in pairs: the one
// into a server that is made for it, the other into the server that the set is
// of. Both make all indexes and compare every digest.
func (b *bench) drills(ctx context.Context) error {
	r, err := b.newRepository(ctx, "drills", b.node.ParticipantDSN(), clientsOf(b))
	if err != nil {
		return err
	}
	if err := r.rehearseWith(b.node.Participant.Version.Bin); err != nil {
		return err
	}
	b.note("a set to rehearse")
	if _, _, err := r.backup(ctx); err != nil {
		return err
	}
	restore := func() (sample, error) { return b.restoredOnce(ctx, r) }
	for round := range b.rounds {
		var found drill.Report
		rehearse := func() (sample, error) {
			if err := b.sql(ctx, "CHECKPOINT"); err != nil {
				return sample{}, err
			}
			return b.measured(ctx, func(ctx context.Context) (s sample, err error) {
				s, found, err = r.drill(ctx)
				return s, err
			})
		}
		took, err := b.pair("holdfast drill", "holdfast restore", round, atMost(1.2), rehearse, restore)
		if err != nil {
			return err
		}
		b.note("  %.2f of the restore; of the drill's %v the restore alone took %v",
			ratio(took[0].wall, took[1].wall), found.Took.Round(time.Millisecond),
			found.Restore.Round(time.Millisecond))
		b.results.add("holdfast drill, its restore alone / holdfast restore", nil, ratio(found.Restore, took[1].wall))
	}
	return r.remove()
}

// rehearseWith configures whose server programs a drill uses: those of the
// server that the set is of.
func (r repository) rehearseWith(programs string) error {
	f, err := os.OpenFile(filepath.Join(r.dir, "holdfast.yaml"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(f, "\ndrill:\n  programs: %s\n", programs)
	return errors.Join(err, f.Close())
}

// undetermined is the exit code of a drill that could not tell everything: the
// sets of a benchmark have no identities to look at.
const undetermined = 5

// drill rehearses the newest set, which has to come back equal.
func (r repository) drill(ctx context.Context) (sample, drill.Report, error) {
	s, err := execute(ctx, r.command("drill", "--server", "local", "--output", "json"))
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) && exit.ExitCode() == undetermined {
		err = nil
	}
	var result struct{ Value drill.Report }
	if err != nil {
		return s, result.Value, err
	}
	if err := json.Unmarshal(s.output, &result); err != nil {
		return s, result.Value, err
	}
	for _, f := range result.Value.Findings {
		if f.Verdict != holdfast.Holds && f.Code != "identities" {
			return s, result.Value, fmt.Errorf("the drill says: %s: %s: %s", f.Title, f.Verdict, f.Evidence)
		}
	}
	return s, result.Value, nil
}
