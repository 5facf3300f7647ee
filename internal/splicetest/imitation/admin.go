package imitation

import (
	"cmp"
	"context"

	"github.com/jackc/pgx/v5"

	"holdfast/internal/splicetest"
)

// serveAdmin is the participant's admin API.
func (p *Participant) serveAdmin(ctx context.Context) error {
	if p.Mute {
		<-ctx.Done()
		return ctx.Err()
	}
	return serveMethods(ctx, port(p.Ports.Admin), map[string]method{
		getID: p.getID, participantStatus: p.status, initialise: p.initialise, exportIdentities: p.export,
	})
}

// getID answers initialized (1) and unique_identifier (2).
func (p *Participant) getID(ctx context.Context, _ []byte) ([]byte, error) {
	id, err := p.identity(ctx)
	if err != nil || id == "" {
		return nil, err
	}
	return bytesField(boolField(nil, 1, true), 2, []byte(cmp.Or(p.Claim, id))), nil
}

// The states in which a participant waits to be initialised.
const waitingForIdentity = 1

// status answers status (1), or not_initialized (2).
func (p *Participant) status(ctx context.Context, _ []byte) ([]byte, error) {
	id, err := p.identity(ctx)
	if err != nil {
		return nil, err
	}
	if id == "" {
		waiting := boolField(nil, 1, p.active.Load())
		waiting = intField(waiting, 2, waitingForIdentity)
		return bytesField(nil, 2, bytesField(waiting, 3, []byte(splicetest.SpliceVersion))), nil
	}
	common := bytesField(nil, 1, []byte(cmp.Or(p.Claim, id)))
	common = boolField(common, 4, p.active.Load())
	common = bytesField(common, 7, []byte(splicetest.SpliceVersion))
	body := bytesField(nil, 1, common)
	synchronizers, err := p.synchronizers(ctx)
	if err != nil {
		return nil, err
	}
	for _, s := range synchronizers {
		body = bytesField(body, 2, intField(bytesField(nil, 1, []byte(s)), 2, 1))
	}
	return bytesField(nil, 1, boolField(body, 3, p.active.Load())), nil
}

func (p *Participant) synchronizers(ctx context.Context) (ids []string, err error) {
	err = p.query(ctx, func(conn *pgx.Conn) error {
		rows, err := conn.Query(ctx,
			"select physical_synchronizer_id from participant.par_synchronizer_connection_configs where status = 'A'")
		if err != nil {
			return err
		}
		ids, err = pgx.CollectRows(rows, pgx.RowTo[string])
		return err
	})
	return ids, err
}
