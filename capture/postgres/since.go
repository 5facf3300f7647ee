package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"holdfast"
	"holdfast/observed"
)

// Since counts, table by table, the rows that a capture of the database does not
// have as they are: rows made or changed since, and perhaps some of transactions
// that ended while it was taken. It reads no values, keeps no lock for longer than
// a range of blocks takes, and is behind nobody's lock for longer than a second. An
// error says why nothing can be counted.
func (d Dumper) Since(ctx context.Context, was *holdfast.Ground) ([]observed.Growth, error) {
	d.Options = d.Options.complete()
	r := &run{Dumper: d, application: "holdfast check"}
	defer r.close()
	if err := r.open(ctx); err != nil {
		return nil, err
	}
	now, _, err := groundOf(ctx, r.ctl, r.server)
	switch {
	case err != nil:
		return nil, err
	case was == nil:
		return nil, errors.New("the set does not say which transactions it has")
	case !now.follows(ground{Instance: was.Instance, Horizon: was.Horizon, Next: was.Next}):
		return nil, errors.New("the server was started again since the set was taken, or is a standby")
	case now.Next == was.Next && was.Horizon == was.Next:
		return []observed.Growth{}, nil
	}
	if r.tables, err = tables(ctx, r.ctl); err != nil {
		return nil, err
	}
	if err := execute(ctx, r.ctl, fmt.Sprintf("SET lock_timeout = %d", d.Options.WaitLimit.Milliseconds())); err != nil {
		return nil, err
	}
	horizon := ground{Horizon: was.Horizon}.horizon()
	out := []observed.Growth{}
	for _, t := range r.tables {
		if !t.counted {
			continue
		}
		rows, err := r.young(ctx, t, horizon)
		if vanished(err) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("table %s: %w", t.ident(), err)
		}
		if rows > 0 {
			out = append(out, observed.Growth{Table: t.ident(), Rows: rows})
		}
	}
	return out, nil
}

// young counts the rows of a table that are not below the horizon, a range of
// blocks after another.
func (r *run) young(ctx context.Context, t relation, horizon string) (rows int64, err error) {
	const blocks = 16 << 10 // 128 MiB
	for _, u := range cut(0, t, blocks) {
		var n int64
		if err := r.ctl.QueryRow(ctx, fmt.Sprintf("SELECT count(*) FROM ONLY %s%s", t.ident(),
			above(u.where(""), horizon)), pgx.QueryExecModeSimpleProtocol).Scan(&n); err != nil {
			return 0, err
		}
		rows += n
	}
	return rows, nil
}

// above adds the choice of young rows to a WHERE.
func above(where, horizon string) string {
	young := fmt.Sprintf("age(xmin) <= age('%s'::xid)", horizon)
	if where == "" {
		return " WHERE " + young
	}
	return where + " AND " + young
}
