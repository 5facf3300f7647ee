package canton

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"holdfast"
)

// Read reads the facts of a component's database. A schema that is not known
// is not an error: the facts then say what was missing.
func Read(ctx context.Context, q Querier, kind holdfast.Kind) (holdfast.Facts, error) {
	found, s, err := recognise(ctx, q)
	if err != nil {
		return holdfast.Facts{}, err
	}
	facts := holdfast.Facts{Schema: "unknown", Unknown: found.What}
	if kind == holdfast.App {
		facts.Schema, facts.Unknown = "app", ""
		return facts, nil
	}
	if found.Kind != kind {
		return facts, nil
	}
	r := reader{ctx, q, s}
	facts.Schema, facts.Unknown = string(kind), ""
	if facts.Migrations, err = r.migrations(); err != nil {
		return facts, err
	}
	if kind == holdfast.Participant {
		facts.Participant, err = r.participant()
		if err == nil && facts.Participant == nil {
			facts.Schema, facts.Unknown = "unknown", "lapi_parameters has no row, or not the columns that are known"
		}
	} else {
		facts.Validator, err = r.validator()
	}
	return facts, err
}

// reader reads one schema's facts.
type reader struct {
	ctx context.Context
	q   Querier
	schema
}

// each runs a query and calls fn after scanning each row into into.
func (r reader) each(sql string, into []any, fn func()) error {
	rows, err := r.q.Query(r.ctx, sql)
	if err == nil {
		_, err = pgx.ForEachRow(rows, into, func() error { fn(); return nil })
	}
	if err != nil {
		return fmt.Errorf("read facts (%s): %w", strings.Join(strings.Fields(sql), " "), err)
	}
	return nil
}

// migrations is the newest version in Flyway's history: the schema's version.
func (r reader) migrations() (string, error) {
	if !r.has("flyway_schema_history", "version", "installed_rank", "success") {
		return "", nil
	}
	var version, out string
	err := r.each(`SELECT coalesce(version, '') FROM `+r.table("flyway_schema_history")+
		` WHERE success AND version IS NOT NULL ORDER BY installed_rank DESC LIMIT 1`, []any{&version}, func() { out = version })
	return out, err
}

func micros(us int64) time.Time { return time.UnixMicro(us).UTC() }

func (r reader) participant() (*holdfast.ParticipantFacts, error) {
	var p *holdfast.ParticipantFacts
	var id string
	var end, pruned, published *int64
	// Without the pruned offset half of the order's proof is missing, so a
	// schema that lacks it is not one that is known.
	if !r.has("lapi_parameters", "participant_pruned_up_to_inclusive") {
		return nil, nil
	}
	when := "NULL::bigint"
	if r.has("lapi_parameters", "ledger_end_publication_time") {
		when = "ledger_end_publication_time"
	}
	err := r.each(`SELECT participant_id, ledger_end, participant_pruned_up_to_inclusive, `+when+` FROM `+r.table("lapi_parameters"), []any{&id, &end, &pruned, &published}, func() {
		p = &holdfast.ParticipantFacts{ParticipantID: id, LedgerEnd: end, PrunedUpTo: pruned}
		if published != nil && *published > 0 {
			at := micros(*published)
			p.Published = &at
		}
	})
	if err != nil || p == nil {
		return nil, err
	}
	for _, read := range []func(*holdfast.ParticipantFacts) error{r.recordTimes, r.synchronizers, r.pruning, r.users, r.keys, r.kmsKeys, r.dars} {
		if err := read(p); err != nil {
			return nil, err
		}
	}
	return p, nil
}

func (r reader) recordTimes(p *holdfast.ParticipantFacts) error {
	if !r.has("lapi_ledger_end_synchronizer_index", "synchronizer_id", "record_time") || !r.has("lapi_string_interning", "internal_id", "external_string") {
		return nil
	}
	var name string
	var at int64
	return r.each(`SELECT substr(s.external_string, 3), x.record_time FROM `+r.table("lapi_ledger_end_synchronizer_index")+` x
		JOIN `+r.table("lapi_string_interning")+` s ON s.internal_id = x.synchronizer_id
		WHERE left(s.external_string, 2) = 'd|' AND x.record_time IS NOT NULL ORDER BY 1`, []any{&name, &at}, func() {
		p.RecordTimes = append(p.RecordTimes, holdfast.RecordTime{Synchronizer: name, At: micros(at)})
	})
}

func (r reader) synchronizers(p *holdfast.ParticipantFacts) error {
	if !r.has("par_synchronizer_connection_configs", "synchronizer_alias", "status", "physical_synchronizer_id") {
		return nil
	}
	var s holdfast.Synchronizer
	return r.each(`SELECT synchronizer_alias, coalesce(physical_synchronizer_id, ''), status = 'A' FROM `+
		r.table("par_synchronizer_connection_configs")+` ORDER BY 1, 2`, []any{&s.Alias, &s.PhysicalID, &s.Active}, func() {
		p.Synchronizers = append(p.Synchronizers, s)
	})
}

func (r reader) pruning(p *holdfast.ParticipantFacts) error {
	if !r.has("par_pruning_schedules", "cron", "max_duration", "retention") {
		return nil
	}
	var cron string
	var longest, retention int64 // seconds
	return r.each(`SELECT cron, max_duration, retention FROM `+r.table("par_pruning_schedules"), []any{&cron, &longest, &retention}, func() {
		p.Pruning = &holdfast.Pruning{Cron: cron, MaxDuration: time.Duration(longest) * time.Second, Retention: time.Duration(retention) * time.Second}
	})
}

func (r reader) users(p *holdfast.ParticipantFacts) error {
	if !r.has("lapi_users", "internal_id", "user_id", "primary_party", "is_deactivated") || !r.has("lapi_user_rights", "user_internal_id", "user_right") {
		return nil
	}
	var id, party string
	var gone bool
	var rights []int32
	var made *int64
	created := "NULL::bigint"
	if r.has("lapi_users", "created_at") {
		created = "u.created_at"
	}
	return r.each(`SELECT u.user_id, coalesce(u.primary_party, ''), coalesce(u.is_deactivated, false),
		coalesce((SELECT array_agg(DISTINCT r.user_right::int ORDER BY r.user_right::int) FROM `+r.table("lapi_user_rights")+` r WHERE r.user_internal_id = u.internal_id), '{}'), `+created+`
		FROM `+r.table("lapi_users")+` u ORDER BY 1`, []any{&id, &party, &gone, &rights, &made}, func() {
		u := holdfast.User{ID: id, PrimaryParty: party, Deactivated: gone}
		if made != nil {
			at := micros(*made)
			u.Created = &at
		}
		for _, right := range rights {
			u.Rights = append(u.Rights, int(right))
		}
		p.Users = append(p.Users, u)
	})
}

func (r reader) keys(p *holdfast.ParticipantFacts) error {
	if !r.has("common_crypto_private_keys", "key_id", "name", "purpose", "wrapper_key_id") {
		return nil
	}
	var k holdfast.Key
	return r.each(`SELECT key_id, coalesce(name, ''), purpose::int, wrapper_key_id IS NOT NULL FROM `+
		r.table("common_crypto_private_keys")+` ORDER BY 1`, []any{&k.Fingerprint, &k.Name, &k.Purpose, &k.Wrapped}, func() {
		p.Keys = append(p.Keys, k)
	})
}

func (r reader) kmsKeys(p *holdfast.ParticipantFacts) error {
	if !r.has("common_kms_metadata_store", "kms_key_id") {
		return nil
	}
	var id string
	return r.each(`SELECT kms_key_id FROM `+r.table("common_kms_metadata_store")+` ORDER BY 1`, []any{&id}, func() {
		p.KMSKeys = append(p.KMSKeys, id)
	})
}

func (r reader) dars(p *holdfast.ParticipantFacts) error {
	if !r.has("par_dars", "main_package_id", "name", "version") {
		return nil
	}
	var d holdfast.Dar
	return r.each(`SELECT main_package_id, name, version FROM `+r.table("par_dars")+` ORDER BY 1`, []any{&d.ID, &d.Name, &d.Version}, func() {
		p.Dars = append(p.Dars, d)
	})
}

// mostParties bounds what PartiesSince returns.
const mostParties = 1000

// PartiesSince lists the parties that the participant came to host after a
// ledger offset, at most a thousand of them. A schema that is not a
// participant's has none.
func PartiesSince(ctx context.Context, q Querier, offset int64) ([]string, error) {
	found, s, err := recognise(ctx, q)
	if err != nil || found.Kind != holdfast.Participant || !s.has("lapi_party_entries", "party", "ledger_offset", "is_local") {
		return nil, err
	}
	var party string
	var out []string
	err = reader{ctx, q, s}.each(fmt.Sprintf(`SELECT DISTINCT party FROM %s WHERE is_local AND party IS NOT NULL AND ledger_offset > %d ORDER BY 1 LIMIT %d`,
		s.table("lapi_party_entries"), offset, mostParties), []any{&party}, func() { out = append(out, party) })
	return out, err
}

func (r reader) validator() (*holdfast.ValidatorFacts, error) {
	v := &holdfast.ValidatorFacts{}
	var s holdfast.Store
	var raw *string
	var migration int64
	var version string
	// A store that gets a new version gets a new row and ingests again; the row
	// of the old version stays for ever. What else is in the descriptor says
	// which store it is.
	err := r.each(`SELECT coalesce(d.descriptor->>'name', ''), coalesce(d.descriptor->>'version', ''), coalesce(d.descriptor->>'party', ''),
		coalesce(d.descriptor->>'participant', ''), o.migration_id, o.last_ingested_offset,
		d.id = max(d.id) OVER (PARTITION BY d.descriptor - 'version' - 'userVersion', o.migration_id)
		FROM `+r.table("store_last_ingested_offsets")+` o JOIN `+r.table("store_descriptors")+` d ON d.id = o.store_id ORDER BY d.id, o.migration_id`,
		[]any{&s.Name, &version, &s.Party, &s.Participant, &migration, &raw, &s.Current}, func() {
			store := s
			store.MigrationID = migration
			store.Version, _ = strconv.Atoi(version)
			if raw != nil {
				store.Raw = *raw
				if n, ok := holdfast.DecodeOffset(*raw); ok {
					store.Offset = &n
				}
			}
			v.Stores = append(v.Stores, store)
			v.MigrationID = max(v.MigrationID, store.MigrationID)
		})
	if err != nil || !r.has("validator_acs_store", "user_name", "template_id_qualified_name", "migration_id") {
		return v, err
	}
	var user string
	err = r.each(fmt.Sprintf(`SELECT DISTINCT user_name FROM %s WHERE template_id_qualified_name = 'Splice.Wallet.Install:WalletAppInstall'
		AND migration_id = %d AND user_name IS NOT NULL ORDER BY 1`, r.table("validator_acs_store"), v.MigrationID), []any{&user}, func() { v.Users = append(v.Users, user) })
	return v, err
}
