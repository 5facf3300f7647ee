package splicetest

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"strings"

	"github.com/jackc/pgx/v5"

	"holdfast/identities/identitiestest"
)

// The names of a node's databases and of the role that owns them, as the
// validator's compose files choose them.
const (
	ParticipantDatabase = "participant-4"
	ValidatorDatabase   = "validator"
	AppDatabase         = "app"
	DatabaseOwner       = "cnadmin"
)

// SpliceVersion is the release that the node's validator app says it is.
const SpliceVersion = "0.6.11"

// LedgerUser is the ledger API user of a node that does not name its own.
const LedgerUser = "ledger-api-user"

// NodeOptions says which node to make. The zero value is a small one on one
// server of the default version.
type NodeOptions struct {
	Version      string            // major of Postgres; "" for the default
	Bytes        int64             // size of the participant's database; 0 for a few megabytes
	TwoInstances bool              // a server for the participant and one for the validator app
	App          bool              // an application's database as well
	Hint         string            // the node's name within its ids; "" for demo-validator-1
	Seed         [32]byte          // of its keys; nodes with the same hint and seed are the same
	KMS          bool              // its keys rest in a key management service
	User         string            // its ledger API user; "" for LedgerUser
	TCP          bool              // listen on 127.0.0.1 as well
	TLS          bool              // as in Options
	Password     string            // as in Options
	Settings     map[string]string // of the servers
}

// Node is a validator node's databases, filled and consistent: what the
// validator app has ingested does not exceed the participant's ledger end.
type Node struct {
	Identities   identitiestest.Dump
	Party        string  // the validator operator's
	User         string  // the ledger API user: the one whom the validator app lets administrate
	Synchronizer string  // logical id; the connected physical one ends in ::35-5
	Participant  *Server // the server of the participant's database
	Validator    *Server // the server of the validator app's and the application's; may be the same

	options                      NodeOptions
	watch                        watch
	participantDSN, validatorDSN string // of an attached node
}

// StartNode makes a node.
func StartNode(ctx context.Context, options NodeOptions) (*Node, error) {
	n := newNode(options)
	options = n.options
	n.Identities = identitiestest.New(options.Hint, options.Seed, identitiestest.Options{
		KMS:     options.KMS,
		Version: SpliceVersion,
	})
	n.Party = options.Hint + n.Identities.ParticipantID[len(options.Hint):]
	if err := n.start(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("start node %s: %w", options.Hint, err), n.Close())
	}
	return n, nil
}

// newNode is a node without identity and databases.
func newNode(options NodeOptions) *Node {
	options.Hint = cmp.Or(options.Hint, "demo-validator-1")
	options.User = cmp.Or(options.User, LedgerUser)
	synchronizer := sha256.Sum256([]byte("synchronizer"))
	return &Node{
		User:         options.User,
		Synchronizer: "global-domain::1220" + hex.EncodeToString(synchronizer[:]),
		options:      options,
	}
}

func (n *Node) start(ctx context.Context) error {
	version, err := FindVersion(n.options.Version)
	if err != nil {
		return err
	}
	master := n.master(version)
	if there(master) {
		return n.startServers(ctx, version, master)
	}
	if err := n.startServers(ctx, version, ""); err != nil {
		return err
	}
	if err := n.create(ctx, n.Participant, ParticipantDatabase, n.ParticipantDSN(), ParticipantSchema); err != nil {
		return err
	}
	if err := n.create(ctx, n.Validator, ValidatorDatabase, n.ValidatorDSN(), ValidatorSchema); err != nil {
		return err
	}
	if n.options.App {
		if err := n.create(ctx, n.Validator, AppDatabase, n.AppDSN(), AppSchema); err != nil {
			return err
		}
	}
	if err := n.seed(ctx); err != nil {
		return err
	}
	if err := n.Grow(ctx, n.options.Bytes); err != nil || master == "" {
		return err
	}
	return n.keep(ctx, master)
}

// startServers starts the node's servers: copies of the master's, empty ones
// with "".
func (n *Node) startServers(ctx context.Context, version Version, master string) error {
	start := func(name string) (*Server, error) {
		options := Options{
			Bin:      version.Bin,
			TCP:      n.options.TCP,
			TLS:      n.options.TLS,
			Password: n.options.Password,
			Settings: maps.Clone(n.options.Settings),
		}
		if master != "" {
			options.master = filepath.Join(master, name)
		}
		return Start(ctx, options)
	}
	var err error
	if !n.options.TwoInstances {
		n.Participant, err = start("both")
		n.Validator = n.Participant
		return err
	}
	if n.Participant, err = start("participant"); err != nil {
		return err
	}
	n.Validator, err = start("validator")
	return err
}

// create makes a database of the owner's and its schemas.
func (n *Node) create(
	ctx context.Context, s *Server, db, dsn string, schema func(context.Context, string) error,
) error {
	role := fmt.Sprintf("do $$ begin if not exists (select from pg_roles where rolname = '%[1]s') then create role %[1]s superuser login; end if; end $$", DatabaseOwner)
	if n.options.Password != "" {
		role += fmt.Sprintf("; alter role %s password '%s'", DatabaseOwner,
			strings.ReplaceAll(n.options.Password, "'", "''"))
	}
	if err := s.Exec(ctx, "postgres", role); err != nil {
		return err
	}
	if err := s.Exec(ctx, "postgres",
		fmt.Sprintf("create database %s owner %s", pgx.Identifier{db}.Sanitize(), DatabaseOwner)); err != nil {
		return err
	}
	if err := schema(ctx, dsn); err != nil {
		return fmt.Errorf("make the schemas of database %s: %w", db, err)
	}
	return nil
}

// seed writes who the node is, and whom it knows.
func (n *Node) seed(ctx context.Context) error {
	if err := n.seedParticipant(ctx); err != nil {
		return err
	}
	return n.seedValidator(ctx)
}

func (n *Node) seedParticipant(ctx context.Context) error {
	hint, namespace := n.options.Hint, n.Identities.ParticipantID[len(n.options.Hint)+2:]
	_, synchronizer, _ := strings.Cut(n.Synchronizer, "::")
	if err := execute(ctx, n.ParticipantDSN(), fill(participantSeedSQL, "identifier", hint, "namespace", namespace,
		"synchronizer", synchronizer, "party", n.Party, "user", n.User)); err != nil {
		return fmt.Errorf("seed the participant: %w", err)
	}
	if err := withConn(ctx, n.ParticipantDSN(), func(conn *pgx.Conn) error {
		return n.seedKeys(ctx, conn)
	}); err != nil {
		return fmt.Errorf("seed the participant's keys: %w", err)
	}
	return nil
}

func (n *Node) seedValidator(ctx context.Context) error {
	namespace := n.Identities.ParticipantID[len(n.options.Hint)+2:]
	_, synchronizer, _ := strings.Cut(n.Synchronizer, "::")
	if err := execute(ctx, n.ValidatorDSN(), fill(validatorSeedSQL, "party", n.Party, "alice", "alice::"+namespace,
		"participant", n.Identities.ParticipantID, "dso", "DSO::"+synchronizer)); err != nil {
		return fmt.Errorf("seed the validator app: %w", err)
	}
	return nil
}

// seedKeys writes the keys where the participant keeps them: its own, or the
// names of those that a key management service holds.
func (n *Node) seedKeys(ctx context.Context, conn *pgx.Conn) error {
	for _, key := range n.Identities.Keys {
		public := sha256.Sum256([]byte("public " + key.Fingerprint))
		if _, err := conn.Exec(ctx, "insert into participant.common_crypto_public_keys values ($1, $2, $3, $4)",
			key.Fingerprint, key.Purpose, public[:], key.Name); err != nil {
			return err
		}
		var err error
		if n.options.KMS {
			_, err = conn.Exec(ctx, "insert into participant.common_kms_metadata_store values ($1, $2, $3, $4)",
				key.Fingerprint, key.KMSKeyID, key.Purpose, []int32{4, 5})
		} else {
			_, err = conn.Exec(ctx,
				"insert into participant.common_crypto_private_keys (key_id, purpose, data, name) values ($1, $2, $3, $4)",
				key.Fingerprint, key.Purpose, key.Data, key.Name)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Grow appends updates until the participant's database has that many bytes,
// and brings the validator app to two updates behind its ledger end.
func (n *Node) Grow(ctx context.Context, bytes int64) error {
	end, err := Fill(ctx, n.ParticipantDSN(), bytes)
	if err != nil {
		return err
	}
	if end < 100 {
		if err := AppendUpdates(ctx, n.ParticipantDSN(), end, 100); err != nil {
			return err
		}
		end = 100
	}
	return n.ingestTo(ctx, end-2)
}

// ingestTo brings the validator app to an offset.
func (n *Node) ingestTo(ctx context.Context, to int64) error {
	return withConn(ctx, n.ValidatorDSN(), func(conn *pgx.Conn) error {
		from, err := ingested(ctx, conn)
		if err != nil {
			return err
		}
		for from < to {
			next := min(from+20*batch, to)
			if err := ingest(ctx, conn, n.Party, from, next); err != nil {
				return err
			}
			from = next
		}
		return nil
	})
}

// ingested reads how far the validator app's current stores are.
func ingested(ctx context.Context, conn *pgx.Conn) (int64, error) {
	var offset int64
	err := conn.QueryRow(ctx,
		`select coalesce(max(('x' || lpad(right(last_ingested_offset, 16), 16, '0'))::bit(64)::bigint), 0)
		from validator.store_last_ingested_offsets where store_id in (2, 4, 5)`).Scan(&offset)
	return offset, err
}

// Ingested reads the highest offset that a store of the validator app has
// committed.
func (n *Node) Ingested(ctx context.Context) (int64, error) {
	var offset int64
	err := withConn(ctx, n.ValidatorDSN(), func(conn *pgx.Conn) (err error) {
		offset, err = ingested(ctx, conn)
		return err
	})
	return offset, err
}

// LedgerEnd reads the participant's committed ledger end.
func (n *Node) LedgerEnd(ctx context.Context) (int64, error) {
	return LedgerEnd(ctx, n.ParticipantDSN())
}

// ParticipantDSN is the connection string of the participant's database.
func (n *Node) ParticipantDSN() string {
	if n.Participant == nil {
		return n.participantDSN
	}
	return n.Participant.DSNAs(DatabaseOwner, ParticipantDatabase)
}

// ValidatorDSN is the connection string of the validator app's database.
func (n *Node) ValidatorDSN() string {
	if n.Validator == nil {
		return n.validatorDSN
	}
	return n.Validator.DSNAs(DatabaseOwner, ValidatorDatabase)
}

// AppDSN is the connection string of the application's database.
func (n *Node) AppDSN() string { return n.Validator.DSNAs(DatabaseOwner, AppDatabase) }

// Close ends the node's servers and removes what they held.
func (n *Node) Close() error {
	var failures []error
	if n.Validator != nil && n.Validator != n.Participant {
		failures = append(failures, n.Validator.Close())
	}
	if n.Participant != nil {
		failures = append(failures, n.Participant.Close())
	}
	return errors.Join(failures...)
}
