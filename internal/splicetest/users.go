package splicetest

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// Users lists the users whose wallet the validator app's database knows.
func (n *Node) Users(ctx context.Context) ([]string, error) {
	var users []string
	err := withConn(ctx, n.ValidatorDSN(), func(conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, `select distinct user_name from validator.validator_acs_store
			where store_id = 2 and template_id_qualified_name = 'Splice.Wallet.Install:WalletAppInstall' order by 1`)
		if err != nil {
			return err
		}
		users, err = pgx.CollectRows(rows, pgx.RowTo[string])
		return err
	})
	return users, err
}

// Onboard makes a wallet user: known to the participant first, and then to the
// validator app.
func (n *Node) Onboard(ctx context.Context, user string) error {
	party := user + n.Identities.ParticipantID[len(n.options.Hint):]
	err := withConn(ctx, n.ParticipantDSN(), func(conn *pgx.Conn) error {
		return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
			var interned int32
			if err := tx.QueryRow(ctx,
				"insert into participant.lapi_string_interning select max(internal_id) + 1, 'p|' || $1 from participant.lapi_string_interning returning internal_id", party).Scan(&interned); err != nil {
				return err
			}
			if _, err := tx.Exec(ctx,
				`with u as (insert into participant.lapi_users (user_id, primary_party, created_at)
				values ($1, $2, extract(epoch from now())::bigint * 1000000) returning internal_id, created_at)
				insert into participant.lapi_user_rights select internal_id, 2, $3, created_at from u`, user, party,
				interned); err != nil {
				return err
			}
			_, err := tx.Exec(ctx,
				"insert into participant.lapi_party_records (party, resource_version, created_at) values ($1, 0, extract(epoch from now())::bigint * 1000000)", party)
			return err
		})
	})
	if err != nil {
		return fmt.Errorf("onboard %s at the participant: %w", user, err)
	}
	err = withConn(ctx, n.ValidatorDSN(), func(conn *pgx.Conn) error {
		_, err := conn.Exec(ctx,
			`insert into validator.validator_acs_store (store_id, migration_id, contract_id, template_id_package_id, template_id_qualified_name,
			create_arguments, created_event_blob, created_at, assigned_domain, user_party, user_name, validator_party, package_name)
			select store_id, migration_id, '00' || encode(sha256(convert_to('install ' || $1, 'UTF8')), 'hex'), template_id_package_id, template_id_qualified_name,
				create_arguments || jsonb_build_object('endUserName', $1::text, 'endUserParty', $2::text), created_event_blob, extract(epoch from now())::bigint * 1000000, assigned_domain, $2, $1, validator_party, package_name
			from validator.validator_acs_store where store_id = 2 and user_name = 'administrator'`, user, party)
		return err
	})
	if err != nil {
		return fmt.Errorf("onboard %s at the validator app: %w", user, err)
	}
	return nil
}
