package verify

import (
	"context"
	"fmt"
	"slices"

	"holdfast"
	"holdfast/stored"
)

// faults checks the blobs that belong to no set, and repairs them on request. A
// failed check is reported, and does not stop the verification.
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
			return fmt.Errorf("not everything was repaired: %w", err)
		}
	}
	for _, f := range append(j.Mended, faults...) {
		report.add(explainFault(f))
	}
	return nil
}

// unsure reports a failed check of something other than the data.
func (r *Report) unsure(err error) {
	const code = "not_looked_at"
	if slices.ContainsFunc(r.Findings, func(f Finding) bool { return f.Code == code }) {
		return
	}
	r.add(Finding{
		Code:        code,
		Verdict:     holdfast.CannotTell,
		Evidence:    err.Error(),
		Consequence: "Whether all sets exist, and the blobs that open and maintain the repository, is unknown.",
		Next:        "Check the disk or the network of the repository, then run `holdfast verify` again.",
	})
}

// explainFault says what a fault means, and what to do next.
func explainFault(f stored.Fault) Finding {
	out := Finding{Code: fmt.Sprintf("%s_%s", f.Part, f.Kind), Verdict: holdfast.Violated, Blob: f.Name}
	out.Evidence = fmt.Sprintf(map[stored.DamageKind]string{
		stored.Missing:  "%s is missing",
		stored.Outdated: "%s is outdated: its original has changed",
	}[f.Kind], f.Name)
	if f.Kind == stored.Altered {
		out.Evidence = f.Name + " is damaged"
	}
	out.Consequence = map[stored.FaultyPart]string{
		stored.KeyBlob: "It holds the key of all data: without it no password opens the repository.",
		stored.SettingsBlob: "It holds the settings of the storage. The repository does not open while it " +
			"is damaged.",
		stored.CopyBlob: "If the original is lost, no copy is left, and nothing in the repository " +
			"can be read.",
		stored.MaintenanceBlob: "No maintenance runs, and no space is freed. All sets are intact.",
		stored.SessionBlob: "It marks that a run was writing. Maintenance fails, and frees no space. All sets " +
			"are intact.",
	}[f.Part]
	out.Next = "`holdfast verify --repair` " + map[stored.FaultyPart]string{
		stored.KeyBlob:         "restores it from its copy.",
		stored.SettingsBlob:    "restores it from its copy.",
		stored.CopyBlob:        "makes it again, and so does the next backup.",
		stored.MaintenanceBlob: "renames it; the next maintenance begins a new one.",
		stored.SessionBlob:     "renames it.",
	}[f.Part]
	switch {
	case f.Mended:
		out.Verdict, out.Consequence, out.Next = holdfast.Holds, mendedAs(f), "Find out what damaged the storage: "+
			"check its disk."
	case f.Part == stored.KeyBlob && f.Remedy == "":
		out.Next = "No copy opens it. Copy kopia.repository from another copy of the repository now, while a " +
			"running program still has this one open."
	case f.Kind == stored.Outdated:
		// A password changed with the kopia command is not damage.
		out.Verdict, out.Consequence = holdfast.CannotTell, "The password was changed, or a meaningless byte. The "+
			"copy opens with the previous password."
	}
	return out
}

func mendedAs(f stored.Fault) string {
	switch f.Part {
	case stored.CopyBlob:
		return "It was made again."
	case stored.KeyBlob, stored.SettingsBlob:
		if f.Remedy == "" {
			return "It was renamed. The repository opens without it, but the storage no longer protects blobs " +
				"from deletion."
		}
		return "It was restored from " + f.Remedy + "."
	}
	return "It was renamed to " + f.Remedy + "."
}
