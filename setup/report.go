package setup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"filippo.io/age"

	"holdfast"
	"holdfast/drill"
	"holdfast/identities"
	"holdfast/internal/durable"
	"holdfast/internal/sshsig"
)

// Drill runs a drill, remembers its report in the repository that it read, and writes it into a directory if
// one is named. Kept is what could not be kept of the report, next to what the
// drill found; without a report there was no drill.
func (p *Parts) Drill(
	ctx context.Context, job drill.Job, plan drill.Plan, from Source, dir string,
) (report *drill.Report, kept, err error) {
	r := from.Repository
	key, keyErr := r.SigningKey(ctx, func() (string, string, error) {
		return sshsig.NewKey("holdfast@" + string(p.Node.Name))
	})
	if report, err = job.Run(ctx, plan, from.Set, from.Files); report == nil {
		return nil, nil, err
	}
	if keyErr == nil {
		report.Key = key.Public
	}
	text, jsonErr := report.JSON()
	text = p.Secrets.HideJSON(text)
	kept = errors.Join(jsonErr, keyErr, r.PutDrill(ctx, report.Remembered(text)))
	if dir != "" {
		kept = errors.Join(kept, p.writeReports(dir, report, text, key.Private))
	}
	return report, kept, err
}

// writeReports writes the report in each form, with a signature next to it.
func (p *Parts) writeReports(dir string, r *drill.Report, text []byte, key holdfast.Secret) error {
	page, err := r.HTML()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return &holdfast.Problem{Class: holdfast.Failed, What: "write the report", Err: err, Do: "Name another directory: --report."}
	}
	stem := filepath.Join(dir, fmt.Sprintf("drill-%s-%s", r.Set, r.At.UTC().Format("20060102T150405Z")))
	for ending, content := range map[string][]byte{".json": text, ".txt": r.Text(), ".html": page} {
		if ending != ".json" {
			content = []byte(p.Secrets.Hide(string(content)))
		}
		files := map[string][]byte{stem + ending: content}
		if !key.IsEmpty() {
			signature, err := sshsig.Sign(key.Reveal(), "holdfast-drill", content)
			if err != nil {
				return err
			}
			files[stem+ending+".sig"] = []byte(signature)
		}
		for path, content := range files {
			if err := durable.Write(path, content, 0o600); err != nil {
				return &holdfast.Problem{Class: holdfast.Failed, What: "write the report", Err: err, Do: "Name another directory: --report."}
			}
		}
	}
	return nil
}

// judgeIdentities opens the identities of a set, and holds them against what the
// set says.
func judgeIdentities(with []age.Identity, sealed io.Reader, set holdfast.Set) holdfast.Finding {
	no := func(err error) holdfast.Finding {
		return holdfast.Finding{Verdict: holdfast.Violated, Evidence: err.Error()}
	}
	clear, err := identities.Open(sealed, with, set.Identities.Recipients)
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
	return holdfast.Finding{Verdict: holdfast.Holds, Evidence: fmt.Sprintf("the sealed identities open with the key, and are those of %s, with %s", dump.ID, keys(len(dump.Keys)))}
}
