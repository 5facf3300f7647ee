package verify

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"holdfast"
	"holdfast/event"
	"holdfast/record"
	"holdfast/size"
	"holdfast/stored"
)

// Stock is an open repository whose index was compared with its storage. No
// data was read yet.
type Stock interface {
	Stock() stored.Stock
	Blobs() []stored.Blob
	// Damages lists all damages found so far, also those found by the calls
	// below.
	Damages() []stored.Damage
	// CorrectsErrors is how much redundancy is stored, in percent; 0 for none.
	CorrectsErrors() int
	// ListDamaged reports whether the list of sets is incomplete.
	ListDamaged() bool
	Holdings(ctx context.Context) ([]stored.Set, error)
	// Open opens a stored file by its object; Done notes that it was read whole.
	Open(ctx context.Context, object string) (io.ReadCloser, error)
	Done(ctx context.Context, object string) error
	// ReadObject, ReadBlobs and ReadRest read stored pieces. An error means that
	// the storage does not answer, or is fn's.
	ReadObject(ctx context.Context, object string) ([]stored.Damage, error)
	ReadBlobs(ctx context.Context, names []string, fn func(stored int64, d *stored.Damage) error) error
	ReadRest(ctx context.Context, fn func(stored int64, d *stored.Damage) error) error
	// Faults checks the blobs that belong to no set, and MendFaults repairs
	// them as far as possible.
	Faults(ctx context.Context) ([]stored.Fault, error)
	MendFaults(ctx context.Context, faults []stored.Fault) ([]stored.Fault, error)
	// Mend repairs damages as far as possible; RecoverSets completes a damaged
	// list.
	Mend(ctx context.Context, damages []stored.Damage) ([]stored.Remedy, error)
	RecoverSets(ctx context.Context) ([]holdfast.SetID, error)
	// Dropped lists the sets that were dropped on purpose. Called after
	// Holdings, it includes every set that was dropped before.
	Dropped(ctx context.Context) ([]holdfast.SetID, error)
	// Disproofs lists the rows that changed unseen, and so which sets are in doubt.
	Disproofs(ctx context.Context) ([]record.Disproof, error)
	Recall(ctx context.Context) record.Verification
	Remember(ctx context.Context, v record.Verification) error
}

// Level says how much is read.
type Level string

// The levels.
const (
	Structure Level = "structure"
	Sample    Level = "sample"
	Data      Level = "data"
)

// Request is what to verify.
type Request struct {
	Level   Level
	Percent float64        // of the stored data, for Sample
	Set     holdfast.SetID // only this one; "" for all
	Rate    int64          // at most so many stored bytes per second; 0 for no limit
	Repair  bool
}

// Job verifies a repository.
type Job struct {
	Stock  Stock
	Mended []stored.Fault // repaired to open the repository
	// Digest counts and digests the rows of a stored file in a table's format.
	Digest func(in io.Reader, format string) (rows int64, digest string, err error)
	Lanes  int // files read at once; 0 means 2
	Now    func() time.Time
	Events event.Listener
}

// Plan is what a verification would read, and what it has read for that.
type Plan struct {
	Level  Level          `json:"level"`
	Set    holdfast.SetID `json:"set,omitempty"`
	Stock  stored.Stock   `json:"stock"`
	Reads  int64          `json:"reads_bytes"` // of the stored data, about
	Blobs  []string       `json:"-"`           // for Sample
	Runs   int            `json:"runs,omitempty"`
	Before float64        `json:"share_read_before"` // of the current round

	looked   int64 // index and manifests, read by now
	request  Request
	memory   record.Verification
	holdings []stored.Set
}

// Plan checks the structure, and says what else Run would read.
func (j Job) Plan(ctx context.Context, r Request) (Plan, error) {
	if r.Level == Sample && (r.Percent <= 0 || r.Percent > 100) {
		return Plan{}, &holdfast.Problem{
			Class: holdfast.Usage,
			What:  fmt.Sprintf("a sample of %v%%: want more than 0 and at most 100", r.Percent),
		}
	}
	p := Plan{Level: r.Level, Set: r.Set, Stock: j.Stock.Stock(), request: r, memory: j.Stock.Recall(ctx)}
	var err error
	if p.holdings, err = j.holdings(ctx, r.Set); err != nil {
		return p, err
	}
	p.looked = p.Stock.Index
	for _, h := range p.holdings {
		for _, f := range h.Files {
			if f.Name == holdfast.ManifestName {
				p.looked += f.Stored
			}
		}
	}
	p.Reads = p.looked
	switch r.Level {
	case Sample:
		var read int64
		p.Blobs, read, p.memory = choose(j.Stock.Blobs(), r.Percent, p.memory, j.Now())
		p.Reads, p.Before = p.Reads+read, p.memory.Share
		p.Runs = int(100/r.Percent + 0.999)
	case Data:
		times := int64(1)
		if j.Stock.CorrectsErrors() > 0 {
			times = 3 // once for the data, and again to see whether it was corrected
		}
		if r.Set == "" {
			for _, b := range j.Stock.Blobs() {
				p.Reads += b.Bytes * times
			}
			break
		}
		for _, f := range distinct(p.holdings) {
			p.Reads += f.stored * times
		}
	}
	return p, nil
}

// storageGone is the finding that the storage stopped answering.
const storageGone = "storage_gone"

func (j Job) holdings(ctx context.Context, only holdfast.SetID) ([]stored.Set, error) {
	list, err := j.Stock.Holdings(ctx)
	if err != nil {
		return nil, err
	}
	if only != "" {
		list = slices.DeleteFunc(list, func(h stored.Set) bool { return h.ID != only })
	}
	return list, nil
}

// Run executes a plan. The report is complete as far as the storage answered.
// The error names the worst finding, if there is one.
func (j Job) Run(ctx context.Context, p Plan) (Report, error) {
	began := j.Now()
	report := Report{
		Level:    p.Level,
		Set:      p.Set,
		At:       began.UTC(),
		Stock:    p.Stock,
		Findings: []Finding{},
		Sets:     []SetVerdict{},
	}
	reader := &reading{
		Job:    j,
		pace:   pace{rate: p.request.Rate, began: began, now: j.Now},
		total:  p.Reads,
		stored: p.looked,
	}
	err := reader.read(ctx, p)
	report.Read = reader.stored
	if ctx.Err() != nil {
		return report, ctx.Err()
	}
	if err != nil {
		report.add(Finding{
			Code:     storageGone,
			Verdict:  holdfast.CannotTell,
			Evidence: err.Error(),
			Consequence: fmt.Sprintf("Of about %s only %s were read. The state of the rest is unknown.",
				size.Of(p.Reads),
				size.Of(reader.stored)),
			Next: "Check the disk or the network of the repository, then run `holdfast verify` again.",
		})
	}
	holdings, walked := p.holdings, error(nil)
	if p.Level != Structure { // damages were found since then
		if holdings, walked = j.holdings(ctx, p.Set); walked != nil {
			holdings = p.holdings
		}
	}
	if err == nil {
		if failed := j.faults(ctx, p.request.Repair, &report); failed != nil {
			return report, failed
		}
	}
	before := holdings
	var remedies []stored.Remedy
	if p.request.Repair && err == nil {
		if remedies, holdings, err = j.repair(ctx, p, &report, holdings); err != nil {
			return report, err
		}
	}
	dropped, unknown := j.Stock.Dropped(ctx)
	if unknown != nil { // then the expected sets are unknown
		p.memory.Sets = nil
		report.unsure(unknown)
	}
	if disproofs, err := j.Stock.Disproofs(ctx); err != nil {
		report.unsure(err)
	} else {
		report.doubtful(holdings, disproofs)
	}
	report.judge(before, holdings, j.Stock.Damages(), remedies, reader.differing, p.memory, dropped)
	j.remember(ctx, p, &report, err == nil)
	report.Took = j.Now().Sub(began)
	j.Events.Report(Ended{Level: p.Level, Set: p.Set, Verdict: report.Verdict, Bytes: report.Read, Took: report.Took})
	return report, report.problem()
}

// repair repairs damages, and returns the sets after that.
func (j Job) repair(
	ctx context.Context, p Plan, report *Report, holdings []stored.Set,
) ([]stored.Remedy, []stored.Set, error) {
	damages := j.Stock.Damages()
	listDamaged := j.Stock.ListDamaged()
	if len(damages) == 0 {
		return nil, holdings, nil
	}
	j.Events.Report(RepairBegan{Pieces: len(damages)})
	remedies, err := j.Stock.Mend(ctx, damages)
	if err != nil {
		return nil, holdings, fmt.Errorf("nothing was repaired: %w", err)
	}
	if listDamaged {
		if report.Recovered, err = j.Stock.RecoverSets(ctx); err != nil {
			return remedies, holdings, err
		}
	}
	holdings, err = j.holdings(ctx, p.Set)
	return remedies, holdings, err
}

// remember records the run. A read-only repository can be verified, too; the
// report says that the run was not recorded.
func (j Job) remember(ctx context.Context, p Plan, report *Report, whole bool) {
	v := p.memory
	v.At, v.Level, v.Verdict, v.Found, v.Damaged, v.Sets = report.At, string(p.Level), report.Verdict, "", nil, nil
	if len(report.Findings) > 0 {
		v.Found = report.Findings[0].Evidence
	}
	for _, s := range report.Sets {
		if s.Verdict == holdfast.Violated {
			v.Damaged = append(v.Damaged, s.ID)
		}
		v.Sets = append(v.Sets, s.ID)
	}
	if p.Set != "" { // one set says nothing of the others
		v.Sets, v.Damaged = p.memory.Sets, p.memory.Damaged
	}
	if p.Level == Sample && whole {
		v = advance(v, p.Blobs, j.Stock.Blobs())
	}
	if p.Level == Data && p.Set == "" && whole {
		v.Since, v.Round, v.Cursor, v.Share = report.At, time.Time{}, "", 0
	}
	report.Share, report.Since = v.Share, v.Since
	if err := j.Stock.Remember(ctx, v); err != nil {
		report.NotRecorded = err.Error()
		var p *holdfast.Problem
		if errors.As(err, &p) {
			report.NotRecorded = p.What
		}
	}
}
