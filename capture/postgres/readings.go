package postgres

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"time"

	"holdfast"
	"holdfast/content"
)

// readings is what a capture leaves to the next one, in a file of the set: what
// each strip of a table gave, and on what ground it may be taken over. Nothing
// but a later capture reads it.
type readings struct {
	Ground ground         `json:"ground"`
	Tables []tableReading `json:"tables"`
	Schema *schemaReading `json:"schema,omitempty"`
}

// tableReading is what the strips of one table gave.
type tableReading struct {
	Schema string  `json:"schema"`
	Name   string  `json:"name"`
	Epoch  string  `json:"epoch"`
	Strips []strip `json:"strips"`
}

// strip is a range of heap blocks [From, To), or all from From on where To is 0,
// that was read as one. Files of rows consist of strips: with the growth of a
// table a few strips change, and not whole files.
type strip struct {
	From   int64          `json:"from"`
	To     int64          `json:"to,omitempty"`
	File   string         `json:"file"`
	Offset int64          `json:"offset"` // in the file
	Rows   int64          `json:"rows"`
	Bytes  int64          `json:"bytes"`
	Most   int64          `json:"most,omitempty"` // of a row
	Digest content.Digest `json:"digest"`
	Read   time.Time      `json:"read"` // from the database, by the wall clock
}

// sum says what the strip gave, for people.
func (s strip) sum() string { return fmt.Sprintf("%d rows, digest %s", s.Rows, s.Digest) }

// stripBlocks is the length of a strip, 2 MiB. A file's length is a multiple.
const stripBlocks = 256

// earlier is what may be taken over from an earlier set.
type earlier struct {
	holdfast.Earlier
	still   bool     // nothing was written on the server since
	horizon string   // H of the rule, as a transaction number
	logged  string   // position in the write-ahead log: see ground
	log     *summary // nil: summaries of the log are not wanted
	length  int64    // of a strip, in blocks
	strips  map[string]map[int64]strip
	epochs  map[string]string
	schema  schemaReading             // the zero one: pg_dump writes the schema
	due     map[string]map[int64]bool // strips that are to be read again, although nothing in them changed
}

// readEarlier reads what an earlier set left. Nil means that it left nothing that
// may be taken over on the present ground, and that everything is read.
func readEarlier(ctx context.Context, from holdfast.Earlier, now ground, at time.Time, reread time.Duration) *earlier {
	rows, err := content.RowsOf(from.Part)
	if from.Splice == nil || err != nil || rows.Readings == "" {
		return nil
	}
	in, err := from.Files.Open(ctx, rows.Readings)
	if err != nil {
		return nil
	}
	defer func() { _ = in.Close() }()
	var was readings
	if err := json.NewDecoder(in).Decode(&was); err != nil || !now.follows(was.Ground) {
		return nil
	}
	e := &earlier{
		Earlier: from,
		still:   now.still(was.Ground, from.Own),
		horizon: was.Ground.horizon(),
		logged:  was.Ground.Log,
		strips:  map[string]map[int64]strip{},
		epochs:  map[string]string{},
	}
	for _, t := range was.Tables {
		key := tableKey(t.Schema, t.Name)
		e.epochs[key], e.strips[key] = t.Epoch, map[int64]strip{}
		for _, s := range t.Strips {
			e.strips[key][s.From] = s
		}
	}
	if s := was.Schema; s != nil && at.Sub(s.Read) < reread {
		e.schema = *s
	}
	e.due = dueAgain(was, from.Part.Consistent.Wall, at, reread)
	return e
}

// dueAgain chooses the strips that are read again although nothing in them
// changed: those whose reading is the oldest, as many as it takes to come around
// once within reread, and all that are older than that.
func dueAgain(was readings, then, now time.Time, reread time.Duration) map[string]map[int64]bool {
	type place struct {
		table string
		strip
	}
	var all []place
	for _, t := range was.Tables {
		for _, s := range t.Strips {
			all = append(all, place{tableKey(t.Schema, t.Name), s})
		}
	}
	slices.SortStableFunc(all, func(a, b place) int { return cmp.Or(a.Read.Compare(b.Read)) })
	passed := float64(now.Sub(then)) / float64(reread)
	share := int(float64(len(all))*min(max(passed, 0), 1)) + 1
	out := map[string]map[int64]bool{}
	for i, p := range all {
		if i >= share && now.Sub(p.Read) < reread {
			continue
		}
		if out[p.table] == nil {
			out[p.table] = map[int64]bool{}
		}
		out[p.table][p.From] = true
	}
	return out
}

// of is the earlier reading of a strip, if the table is still what it was.
func (e *earlier) of(r relation, s strip) (strip, bool) {
	if e == nil || r.epoch == "" || e.epochs[tableKey(r.schema, r.name)] != r.epoch {
		return strip{}, false
	}
	was, ok := e.strips[tableKey(r.schema, r.name)][s.From]
	return was, ok && was.To == s.To
}

// again says whether a strip is to be read in any case.
func (e *earlier) again(r relation, s strip) bool { return e.due[tableKey(r.schema, r.name)][s.From] }

// write stores the readings in the set.
func (r *run) writeReadings(ctx context.Context) error {
	if !r.ground.holds() {
		return nil
	}
	out := readings{Ground: r.ground}
	if r.schemaRead.holds() {
		out.Schema = &r.schemaRead
	}
	for i, t := range r.tables {
		if t.epoch == "" || len(r.strips[i]) == 0 {
			continue
		}
		reading := tableReading{Schema: t.schema, Name: t.name, Epoch: t.epoch}
		for _, file := range r.strips[i] {
			reading.Strips = append(reading.Strips, file...)
		}
		out.Tables = append(out.Tables, reading)
	}
	name := r.file("readings.json")
	if err := r.put(ctx, name, func(w io.Writer) error { return json.NewEncoder(w).Encode(out) }); err != nil {
		return err
	}
	r.rows.Readings = name
	return nil
}
