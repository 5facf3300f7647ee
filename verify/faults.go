package verify

import (
	"context"
	"fmt"
	"holdfast/stored"
	"slices"

	"holdfast"
)

// faults looks at what no set consists of, and mends it where that was asked
// for. What could not be looked at is said, and is no reason not to read on.
func (j Job) faults(ctx context.Context, repair bool, report *Report) error {
	faults, err := j.Stock.Faults(ctx)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		report.unsure(err)
		return nil
	}
	if repair && len(faults) > 0 {
		j.Events.Report(FaultRepairBegan{Blobs: len(faults)})
		if faults, err = j.Stock.MendFaults(ctx, faults); err != nil {
			return fmt.Errorf("not everything was mended: %w", err)
		}
	}
	for _, f := range append(j.Mended, faults...) {
		report.add(explainFault(f))
	}
	return nil
}

// unsure notes that something besides the data could not be looked at.
func (r *Report) unsure(err error) {
	const code = "not_looked_at"
	if slices.ContainsFunc(r.Findings, func(f Finding) bool { return f.Code == code }) {
		return
	}
	r.add(Finding{Code: code, Verdict: holdfast.CannotTell, Evidence: err.Error(),
		Consequence: "Whether every set is there, and every blob that the repository is opened and maintained with, is not known.",
		Next:        "Look at the disk or the network behind the repository, then verify again."})
}

// explainFault says what a fault means, and what to do about it.
func explainFault(f stored.Fault) Finding {
	out := Finding{Code: fmt.Sprintf("%s_%s", f.Part, f.Kind), Verdict: holdfast.Violated, Blob: f.Name}
	out.Evidence = fmt.Sprintf(map[stored.DamageKind]string{stored.Missing: "%s is gone", stored.Outdated: "%s is not what it is a copy of any more"}[f.Kind], f.Name)
	if f.Kind == stored.Altered {
		out.Evidence = f.Name + " is damaged"
	}
	out.Consequence = map[stored.FaultyPart]string{
		stored.KeyBlob:         "It has the key of everything: without it the repository cannot be opened again, with any password.",
		stored.SettingsBlob:    "It says how long the storage has to keep blobs from being deleted; damaged, it keeps the repository from being opened.",
		stored.CopyBlob:        "Should the original be lost, there would be no other, and nothing in the repository could be read.",
		stored.MaintenanceBlob: "No maintenance runs, and no space is given back. No set suffers.",
		stored.SessionBlob:     "It says that a run was writing, and is of no use to a set. Maintenance does not come to its end, and gives no space back.",
	}[f.Part]
	out.Next = "`holdfast verify --repair` " + map[stored.FaultyPart]string{
		stored.KeyBlob: "puts it back from its copy.", stored.SettingsBlob: "puts it back from its copy.", stored.CopyBlob: "makes it anew, and so does the next backup.",
		stored.MaintenanceBlob: "sets it aside; the next maintenance begins a new one.", stored.SessionBlob: "sets it aside.",
	}[f.Part]
	switch {
	case f.Mended:
		out.Verdict, out.Consequence, out.Next = holdfast.Holds, mendedAs(f), "Find out what damaged the storage: look at its disk."
	case f.Part == stored.KeyBlob && f.Remedy == "":
		out.Next = "There is no copy that opens it. As long as the program that has it open lives, nothing is lost: take kopia.repository from another copy of the repository now."
	case f.Kind == stored.Outdated:
		// A password that was changed with the kopia command is no damage.
		out.Verdict, out.Consequence = holdfast.CannotTell, "The password was changed, or a byte that means nothing. The copy opens with the password of before."
	}
	return out
}

func mendedAs(f stored.Fault) string {
	switch f.Part {
	case stored.CopyBlob:
		return "It was made anew."
	case stored.KeyBlob, stored.SettingsBlob:
		if f.Remedy == "" {
			return "It was set aside; the repository opens without it, and the storage keeps nothing from being deleted any more."
		}
		return "It was put back, from " + f.Remedy + "."
	}
	return "It was set aside as " + f.Remedy + "."
}
