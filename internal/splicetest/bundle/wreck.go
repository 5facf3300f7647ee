package bundle

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"holdfast/identities/identitiestest"
	"holdfast/internal/splicetest"
)

// Wreck is a way in which a node is lost.
type Wreck string

// The ways. Each leaves the bundle as an operator would find it.
const (
	DatabaseDropped Wreck = "database dropped"     // the participant's; its container restarts for ever
	VolumeGone      Wreck = "volume gone"          // stop.sh, and the database's volume removed; nothing runs
	WrongMigration  Wreck = "wrong -m"             // started with another migration id: an empty participant database, and a new identity in it
	TablesTruncated Wreck = "tables truncated"     // every table of the participant but its schema's history; then the app made a new identity
	IdentitySwapped Wreck = "identity swapped"     // the participant's database is another node's
	HalfTableLost   Wreck = "half of a table lost" // every second contract activation; everything stays green
)

// Wrecks are all of them.
var Wrecks = []Wreck{DatabaseDropped, VolumeGone, WrongMigration, TablesTruncated, IdentitySwapped, HalfTableLost}

// Wreck loses the node in that way.
func (b *Bundle) Wreck(ctx context.Context, how Wreck) error {
	wreck := map[Wreck]func(context.Context) error{
		DatabaseDropped: b.dropDatabase, VolumeGone: b.loseVolume, WrongMigration: b.startWithWrongMigration,
		TablesTruncated: b.truncateTables, IdentitySwapped: b.swapIdentity, HalfTableLost: b.loseHalfATable,
	}[how]
	if wreck == nil {
		return fmt.Errorf("no wreck %q", how)
	}
	if err := wreck(ctx); err != nil {
		return fmt.Errorf("wreck %s: %s: %w", b.Project, how, err)
	}
	return nil
}

func (b *Bundle) quoted() string { return pgx.Identifier{b.ParticipantDatabase()}.Sanitize() }

func (b *Bundle) dropDatabase(ctx context.Context) error {
	_, err := b.SQL(ctx, "postgres", "drop database "+b.quoted()+" with (force)")
	return err
}

func (b *Bundle) loseVolume(ctx context.Context) error {
	if err := b.Down(ctx); err != nil {
		return err
	}
	_, err := b.Docker(ctx, "volume", "rm", b.Volume("postgres-splice"))
	return err
}

// startWithWrongMigration passes -k as well: since 0.6.8 the database's
// entrypoint refuses without it, before that nothing did.
func (b *Bundle) startWithWrongMigration(ctx context.Context) error {
	if err := b.Down(ctx); err != nil {
		return err
	}
	flags := slices.DeleteFunc(b.Flags("-m", "77", "-k"), func(f string) bool { return f == "-w" })
	if err := b.Script(ctx, "start.sh", flags...); err != nil {
		return err
	}
	return b.awaitNewIdentity(ctx)
}

// tables are those of a schema, partitions included, but for Flyway's.
const tables = `select c.oid, n.nspname, c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace
	where c.relkind = 'r' and n.nspname not in ('pg_catalog', 'information_schema') order by 2, 3`

func (b *Bundle) truncateTables(ctx context.Context) error {
	before, err := b.Identity(ctx)
	if err != nil {
		return err
	}
	if err := b.Halt(ctx, "validator", "participant"); err != nil {
		return err
	}
	if _, err := b.SQL(ctx, b.ParticipantDatabase(),
		`do $$ begin execute (select 'truncate ' || string_agg(format('participant.%I', tablename), ', ') || ' cascade'
		from pg_tables where schemaname = 'participant' and tablename <> 'flyway_schema_history'); end $$`); err != nil {
		return err
	}
	if _, err := b.Docker(ctx, "start", b.Container("participant"), b.Container("validator")); err != nil {
		return err
	}
	return b.awaitNewIdentity(ctx, before)
}

// swapIdentity puts another node's participant into the place of ours.
func (b *Bundle) swapIdentity(ctx context.Context) error {
	if err := b.Halt(ctx, "validator", "participant"); err != nil {
		return err
	}
	if err := b.dropDatabase(ctx); err != nil {
		return err
	}
	if _, err := b.SQL(ctx, "postgres", "create database "+b.quoted()); err != nil {
		return err
	}
	dsn, err := b.DSN(ctx, b.ParticipantDatabase())
	if err != nil {
		return err
	}
	if err := splicetest.ParticipantSchema(ctx, dsn); err != nil {
		return err
	}
	other := identitiestest.New("somebody-else-1", [32]byte{'s', 'w', 'a', 'p'}, identitiestest.Options{})
	node := splicetest.Attach(splicetest.Place{ParticipantDSN: dsn, Identities: other, Party: other.ParticipantID})
	if err := node.SeedParticipant(ctx); err != nil {
		return err
	}
	if err := splicetest.AppendUpdates(ctx, dsn, 0, 100); err != nil {
		return err
	}
	_, err = b.Docker(ctx, "start", b.Container("participant"), b.Container("validator"))
	return err
}

func (b *Bundle) loseHalfATable(ctx context.Context) error {
	gone, err := b.SQL(ctx, b.ParticipantDatabase(),
		"delete from participant.lapi_events_activate_contract where event_offset % 2 = 0; select count(*) from participant.lapi_events_activate_contract")
	if err == nil && gone == "0" {
		err = errors.New("there was nothing to lose; the ledger needs some updates")
	}
	return err
}

// Ruin writes over the files of the database's volume, as a disk does that
// fails: Postgres was stopped, and cannot start on what is left.
func (b *Bundle) Ruin(ctx context.Context) error {
	if err := b.Halt(ctx, "validator", "participant", "postgres-splice"); err != nil {
		return err
	}
	if _, err := b.inVolume(ctx, b.Volume("postgres-splice"),
		`for f in global/pg_control pg_xact/* base/*/1259; do head -c 8192 /dev/urandom >"$f"; done`); err != nil {
		return err
	}
	if _, err := b.Docker(ctx, "start", b.Container("postgres-splice")); err != nil {
		return err
	}
	for deadline := time.Now().Add(patience); ; time.Sleep(100 * time.Millisecond) {
		count, err := b.Docker(ctx, "inspect", "-f", "{{.RestartCount}}", b.Container("postgres-splice"))
		if err != nil || strings.TrimSpace(count) >= "3" {
			return err
		}
		if time.Now().After(deadline) {
			return errors.New("the server started on a volume that was written over")
		}
	}
}

// VolumeDigest is a digest of the files of a volume, byte for byte, with owners
// and rights; what a start that fails leaves behind is passed over.
func (b *Bundle) VolumeDigest(ctx context.Context, volume string) (string, error) {
	return b.inVolume(ctx, volume, `[ -d base ]
		tar --sort=name --numeric-owner --mtime=@0 --exclude=./postmaster.pid --exclude=./postmaster.opts -cf /tmp/all . || [ $? = 1 ] # something was made and removed meanwhile
		sha256sum /tmp/all`)
}

// inVolume runs a script as root in the root of a volume.
func (b *Bundle) inVolume(ctx context.Context, volume, script string) (string, error) {
	out, err := b.Docker(ctx, "run", "--rm", "--network", "none", "--user", "0", "-v", volume+":/data", "-w", "/data",
		"--entrypoint", "sh",
		"postgres:"+cmp.Or(b.options.Postgres, "15"), "-euc", script)
	return strings.TrimSpace(out), err
}

// awaitNewIdentity waits until the participant has an identity other than
// those.
func (b *Bundle) awaitNewIdentity(ctx context.Context, known ...string) error {
	deadline := time.Now().Add(patience)
	for {
		id, err := b.Identity(ctx)
		if err == nil && id != "" && !slices.Contains(known, id) {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("after %s the participant's identity is %q: %w", patience, id, err)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// Fingerprints describes the content of databases: for every table its rows and
// their digest, for every sequence where it is, by database.schema.name. The
// order of rows does not matter. Without names it is of both databases.
func (b *Bundle) Fingerprints(ctx context.Context, databases ...string) (map[string]string, error) {
	if len(databases) == 0 {
		databases = []string{b.ParticipantDatabase(), ValidatorDatabase}
	}
	all := map[string]string{}
	for _, database := range databases {
		dsn, err := b.DSN(ctx, database)
		if err != nil {
			return nil, err
		}
		if err := fingerprint(ctx, dsn, database, all); err != nil {
			return nil, fmt.Errorf("fingerprint %s: %w", database, err)
		}
	}
	return all, nil
}

func fingerprint(ctx context.Context, dsn, database string, into map[string]string) error {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	rows, err := conn.Query(ctx, tables)
	if err != nil {
		return err
	}
	names, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (id pgx.Identifier, err error) {
		id = make(pgx.Identifier, 2)
		return id, row.Scan(nil, &id[0], &id[1])
	})
	if err != nil {
		return err
	}
	for _, name := range names {
		var digest string
		if err := conn.QueryRow(ctx,
			"select count(*) || ' rows ' || coalesce(sum(('x' || left(md5(t::text), 15))::bit(60)::bigint), 0) from "+
				name.Sanitize()+" t").Scan(&digest); err != nil {
			return err
		}
		into[database+"."+strings.Join(name, ".")] = digest
	}
	rows, err = conn.Query(ctx,
		"select schemaname, sequencename, coalesce(last_value::text, 'unused') from pg_sequences")
	if err != nil {
		return err
	}
	var schema, sequence, value string
	_, err = pgx.ForEachRow(rows, []any{&schema, &sequence, &value}, func() error {
		into[database+"."+schema+"."+sequence] = value
		return nil
	})
	return err
}

// Differences names what two fingerprints do not have in common, at most ten.
func Differences(a, b map[string]string) []string {
	var out []string
	for name, value := range a {
		if b[name] != value {
			out = append(out, fmt.Sprintf("%s: %s, %s", name, value, b[name]))
		}
	}
	for name, value := range b {
		if _, ok := a[name]; !ok {
			out = append(out, fmt.Sprintf("%s: nothing, %s", name, value))
		}
	}
	slices.Sort(out)
	return out[:min(len(out), 10)]
}
