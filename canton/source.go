package canton

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"holdfast"
)

// source reads the rows of one schema's tables, each value as the text that
// Postgres prints. There are two sources: a live database, and a dump of one.
// The rows mean the same in both.
type source interface {
	name() string
	has(table string, columns ...string) bool
	each(q query, fn func(row []*string)) error
}

// query reads columns of one table, for all rows or for those whose filter column
// begins with a prefix. Values are nil for NULL, and for an optional column that
// a release lacks.
type query struct {
	table    string
	columns  []string // required: without one of these the table is unknown
	optional []string // these follow the columns in a row
	filter   string   // a column
	prefix   string
	newest   string // a column by which the rows of a live database come, greatest first
	most     int    // so many rows of a live database are enough; 0: all
	decides  bool   // without its rows the facts are unknown; other queries are optional in a broken dump
}

// errUnread is the error of a source that lacks rows of a table.
var errUnread = errors.New("unread")

func (q query) all() []string { return slices.Concat(q.columns, q.optional) }

// known reports whether a source has the table with its required columns.
func (q query) known(s source) bool { return s.has(q.table, q.columns...) }

// What is read of a participant, and of a validator app.
var (
	nodeIDs    = query{table: "common_node_id", columns: []string{"identifier", "namespace"}}
	parameters = query{
		table:    "lapi_parameters",
		columns:  []string{"participant_id", "ledger_end", "participant_pruned_up_to_inclusive"},
		optional: []string{"ledger_end_publication_time"},
		decides:  true,
	}
	participantIDs = query{table: "lapi_parameters", columns: []string{"participant_id"}, decides: true}
	recordTimes    = query{
		table:   "lapi_ledger_end_synchronizer_index",
		columns: []string{"synchronizer_id", "record_time"},
	}
	synchronizers = query{
		table:   "lapi_string_interning",
		columns: []string{"internal_id", "external_string"},
		filter:  "external_string",
		prefix:  "d|",
	}
	connections = query{
		table:   "par_synchronizer_connection_configs",
		columns: []string{"synchronizer_alias", "physical_synchronizer_id", "status"},
	}
	schedules = query{table: "par_pruning_schedules", columns: []string{"cron", "max_duration", "retention"}}
	users     = query{
		table:    "lapi_users",
		columns:  []string{"internal_id", "user_id", "primary_party", "is_deactivated"},
		optional: []string{"created_at"},
	}
	rights      = query{table: "lapi_user_rights", columns: []string{"user_internal_id", "user_right"}}
	privateKeys = query{
		table:   "common_crypto_private_keys",
		columns: []string{"key_id", "name", "purpose", "wrapper_key_id"},
	}
	kmsKeys = query{table: "common_kms_metadata_store", columns: []string{"kms_key_id"}}
	dars    = query{table: "par_dars", columns: []string{"main_package_id", "name", "version"}}
	history = query{table: "flyway_schema_history", columns: []string{"installed_rank", "version", "success"}}

	// What is read of the other nodes of Canton. Earlier releases had the
	// synchronizer's id without its serial, under another name.
	sequencerOf = query{
		table:    "sequencer_synchronizer_configuration",
		columns:  []string{"lock"},
		optional: synchronizerIDs,
		decides:  true,
	}
	mediatorOf = query{
		table:    "mediator_synchronizer_configuration",
		columns:  []string{"lock"},
		optional: synchronizerIDs,
		decides:  true,
	}
	epochs  = query{table: "ord_epochs", columns: []string{"epoch_number"}, most: 1}
	heights = query{
		table:   "seq_block_height",
		columns: []string{"height", "latest_event_ts"},
		newest:  "height",
		most:    mostHeights,
	}
	watermarks = query{table: "sequencer_watermarks", columns: []string{"watermark_ts"}}
	lowerBound = query{table: "sequencer_lower_bound", columns: []string{"ts"}}
	cleanHeads = query{table: "common_head_sequencer_counters", columns: []string{"ts"}}

	synchronizerIDs = []string{"physical_synchronizer_id", "synchronizer_id"}

	descriptors = query{table: "store_descriptors", columns: []string{"id", "descriptor"}, decides: true}
	offsets     = query{
		table:   "store_last_ingested_offsets",
		columns: []string{"store_id", "migration_id", "last_ingested_offset"},
		decides: true,
	}
	wallets = query{
		table:   "validator_acs_store",
		columns: []string{"template_id_qualified_name", "user_name", "migration_id"},
		filter:  "template_id_qualified_name",
		prefix:  "Splice.Wallet.Install:WalletAppInstall",
	}

	queries = []query{
		nodeIDs, parameters, participantIDs, recordTimes, synchronizers, connections, schedules, users, rights,
		privateKeys, kmsKeys, dars, history, sequencerOf, mediatorOf, epochs, heights, watermarks, lowerBound,
		cleanHeads,
		descriptors, offsets, wallets,
	}
)

// mostHeights bounds how far a sequencer's blocks are searched backwards for
// the one from which it would go on, which is among the last few.
const mostHeights = 1000

// database is a source that queries a server, within the given transaction.
type database struct {
	ctx context.Context
	q   Querier
	schema
}

func (d database) name() string { return d.schema.name }

func (d database) each(q query, fn func(row []*string)) error {
	var columns []string
	for _, c := range q.all() {
		if d.has(q.table, c) {
			columns = append(columns, pgx.Identifier{c}.Sanitize()+"::text")
		} else {
			columns = append(columns, "NULL::text")
		}
	}
	sql := "SELECT " + strings.Join(columns, ", ") + " FROM " + d.table(q.table)
	if q.filter != "" {
		sql += fmt.Sprintf(" WHERE left(%s, %d) = '%s'", pgx.Identifier{q.filter}.Sanitize(), len(q.prefix), q.prefix)
	}
	if q.newest != "" {
		sql += fmt.Sprintf(" ORDER BY %s DESC", pgx.Identifier{q.newest}.Sanitize())
	}
	if q.most > 0 {
		sql += fmt.Sprintf(" LIMIT %d", q.most)
	}
	row := make([]*string, len(columns))
	into := make([]any, len(columns))
	for i := range row {
		into[i] = &row[i]
	}
	rows, err := d.q.Query(d.ctx, sql)
	if err == nil {
		_, err = pgx.ForEachRow(rows, into, func() error { fn(row); return nil })
	}
	if err != nil {
		return fmt.Errorf("read facts (%s): %w", sql, err)
	}
	return nil
}

// mostParties bounds what PartiesSince returns.
const mostParties = 1000

// PartiesSince lists the parties that the participant started to host after a
// ledger offset, at most a thousand. A schema that is not a participant's has
// none.
func PartiesSince(ctx context.Context, q Querier, offset int64) ([]string, error) {
	found, s, err := recognise(ctx, q)
	d, ok := s.(database)
	if err != nil || !ok || found.Kind != holdfast.Participant ||
		!d.has("lapi_party_entries", "party", "ledger_offset", "is_local") {
		return nil, err
	}
	rows, err := q.Query(ctx, fmt.Sprintf(`
		SELECT DISTINCT party FROM %s
		WHERE is_local AND party IS NOT NULL AND ledger_offset > %d
		ORDER BY 1 LIMIT %d`,
		d.table("lapi_party_entries"), offset, mostParties))
	if err != nil {
		return nil, fmt.Errorf("read the parties: %w", err)
	}
	out, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("read the parties: %w", err)
	}
	return out, nil
}
