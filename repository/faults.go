package repository

import (
	"bytes"
	"context"
	"errors"
	"regexp"
	"slices"

	"github.com/kopia/kopia/repo/blob"
	"github.com/kopia/kopia/repo/format"
	"github.com/kopia/kopia/repo/maintenance"

	"holdfast"
	"holdfast/stored"
)

// maintenanceBlob holds the schedule and history of kopia's maintenance.
const maintenanceBlob = "kopia.maintenance"

// badSession finds, in an error of kopia, the session blob that it could not
// read.
var badSession = regexp.MustCompile(`session(?: blob|:) (s[0-9a-zA-Z_-]+)`)

// Faults checks the blobs that belong to no set: those that open the
// repository, their copies, and the state of maintenance. Of the session blobs
// of running backups it names the first that cannot be read.
func (i *Inspection) Faults(ctx context.Context) ([]stored.Fault, error) {
	faults, err := i.vitalFaults(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := maintenance.GetSchedule(ctx, i.dr); err != nil {
		if err := i.answers(ctx); err != nil {
			return nil, err
		}
		faults = append(faults, stored.Fault{
			Part:   stored.MaintenanceBlob,
			Name:   maintenanceBlob,
			Kind:   stored.Altered,
			Detail: err.Error(),
		})
	}
	if _, err := i.dr.ContentReader().ListActiveSessions(ctx); err != nil {
		m := badSession.FindStringSubmatch(err.Error())
		if m == nil {
			return nil, i.r.location.explain("read", err)
		}
		if err := i.answers(ctx); err != nil {
			return nil, err
		}
		faults = append(faults, stored.Fault{
			Part:   stored.SessionBlob,
			Name:   m[1],
			Kind:   stored.Altered,
			Detail: err.Error(),
		})
	}
	return faults, nil
}

// vitalFaults compares what opens the repository with its copies.
func (i *Inspection) vitalFaults(ctx context.Context) ([]stored.Fault, error) {
	st := i.r.storage()
	a, err := diagnose(ctx, st, i.r.location.outside(), i.r.password)
	if err != nil {
		return nil, i.r.location.explain("read", err)
	}
	switch {
	case a != nil && a.changed:
		return nil, a.problem(i.r.location, nil)
	case a != nil:
		return a.faults, nil // the copies cannot be compared with anything
	}
	copies, err := duplicates(ctx, st, i.r.location.outside())
	if err != nil {
		return nil, i.r.location.explain("read", err)
	}
	var faults []stored.Fault
	for _, id := range vital {
		live, err := readBlob(ctx, st, id)
		if err != nil {
			return nil, i.r.location.explain("read", err)
		}
		faults = append(faults, compare(id, live, copies)...)
		for _, s := range i.r.location.outside() {
			if f, missing := missingIn(s, live); missing && id == format.KopiaRepositoryBlobID {
				faults = append(faults, f)
			}
		}
	}
	return faults, nil
}

// compare returns the faults of one blob and of its copies.
func compare(id blob.ID, live []byte, copies []duplicate) (faults []stored.Fault) {
	good, others := false, 0
	for _, d := range copies {
		switch {
		case d.of != id || d.copyStore != nil && !sameRepository(d.bytes, live) && d.intact():
		case !d.intact():
			faults = append(faults, stored.Fault{Part: stored.CopyBlob, Name: d.String(), Kind: stored.Altered})
		case d.copyStore == nil && bytes.Equal(d.bytes, live):
			good = true
		case d.copyStore == nil:
			others++
			if live == nil {
				faults = append(faults, faultOf(id, nil, &d))
			}
		}
	}
	switch {
	case live == nil || good || len(faults) > 0:
	case others > 0:
		faults = append(faults, stored.Fault{
			Part: stored.CopyBlob,
			Name: "the copy of " + string(id),
			Kind: stored.Outdated,
		})
	default:
		faults = append(faults, stored.Fault{
			Part: stored.CopyBlob,
			Name: "the copy of " + string(id),
			Kind: stored.Missing,
		})
	}
	return faults
}

// MendFaults repairs faults as far as possible, and returns which it repaired.
// Vital blobs are restored from their copies, copies are made again, and blobs
// that maintenance cannot read are renamed. Without its schedule kopia's
// maintenance starts over, more carefully than needed. A session's blob only
// protects its packs from deletion; for a day their age does so too, and our
// full maintenance does not run during a longer run.
func (i *Inspection) MendFaults(ctx context.Context, faults []stored.Fault) ([]stored.Fault, error) {
	var done []stored.Fault
	var copies bool
	for _, f := range faults {
		var err error
		switch f.Part {
		case stored.KeyBlob, stored.SettingsBlob:
			err = i.restoreVital(ctx, &f)
		case stored.CopyBlob:
			if !copies {
				copies, err = true, i.r.renewCopies(ctx)
			}
			f.Mended = err == nil
		default:
			f.Remedy, err = i.renameDamaged(ctx, blob.ID(f.Name))
			f.Mended = err == nil
		}
		if err != nil {
			return done, err
		}
		done = append(done, f)
	}
	return done, nil
}

func (i *Inspection) renameDamaged(ctx context.Context, id blob.ID) (string, error) {
	to, err := renameDamaged(ctx, i.r.location, id)
	return string(to), i.r.location.explain("write to", err)
}

// restoreVital restores one vital blob. Kopia also opens without the settings
// of the storage, so PutBack would not restore them.
func (i *Inspection) restoreVital(ctx context.Context, f *stored.Fault) error {
	put, err := i.r.location.putBack(ctx, i.r.password)
	if err != nil {
		return err
	}
	f.Mended = len(put) > 0
	if f.Part != stored.SettingsBlob || f.Mended {
		return nil
	}
	st := i.r.storage()
	list, err := duplicates(ctx, st, nil)
	for _, d := range list {
		if err == nil && !f.Mended && d.String() == f.Remedy && d.intact() {
			err = st.PutBlob(ctx, d.of, payload{d.bytes}, blob.PutOptions{})
			f.Mended = err == nil
		}
	}
	return i.r.location.explain("write to", err)
}

// renewCopies makes the copies again, in the repository and outside of it.
func (r *Repository) renewCopies(ctx context.Context) error {
	if err := r.keepCopies(ctx); err != nil {
		return err
	}
	live, err := readBlob(ctx, r.storage(), format.KopiaRepositoryBlobID)
	if err != nil {
		return r.location.explain("read", err)
	}
	for _, s := range r.location.outside() {
		if f, missing := missingIn(s, live); missing {
			err = errors.Join(err, &holdfast.Problem{
				Class: holdfast.Failed,
				What:  "write " + f.Name,
				Do:    "Check that the directory exists and is writable.",
			})
		}
	}
	return err
}

// missingIn reports whether a place lacks a copy of kopia.repository. A place
// that cannot be read is not reported: it may be a disk in a safe.
func missingIn(s copyStore, live []byte) (stored.Fault, bool) {
	names, err := s.names()
	name := copyName(format.KopiaRepositoryBlobID, live)
	if err != nil || live == nil || slices.Contains(names, name) {
		return stored.Fault{}, false
	}
	return stored.Fault{Part: stored.CopyBlob, Name: s.where(name), Kind: stored.Missing}, true
}
