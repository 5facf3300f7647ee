package imitation

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"holdfast/identities/identitiestest"
	"holdfast/internal/splicetest"
)

// Ports are where a participant listens.
type Ports struct{ Ledger, Admin, Health, Metrics int }

// The ports of the participant's image.
var participantPorts = Ports{Ledger: 5001, Admin: 5002, Health: 5061, Metrics: 10013}

// Participant is one participant.
type Participant struct {
	Storage Storage
	Ports   Ports
	Rate    float64   // ledger updates a second from the start
	Claim   string    // who it says it is, whoever it is; "" for the truth
	Mute    bool      // its admin API does not answer
	Log     io.Writer // one line for each thing that happens

	active  atomic.Bool
	mu      sync.Mutex
	rate    float64
	changed chan struct{} // closed when the rate changes or an identity appears
}

// participantOf reads the environment of the image.
func participantOf(given environment, log io.Writer) (*Participant, error) {
	env := given.get
	config, err := given.configuration()
	if err != nil {
		return nil, err
	}
	storage := participantStorage(env)
	if err := storage.overlay(config, "canton", "participants", "participant"); err != nil {
		return nil, err
	}
	rate, _ := strconv.ParseFloat(env("IMITATION_RATE"), 64)
	return &Participant{
		Storage: storage,
		Ports:   participantPorts,
		Rate:    rate,
		Claim:   env("IMITATION_CLAIM"),
		Mute:    env("IMITATION_MUTE") != "",
		Log:     log,
	}, nil
}

func (p *Participant) say(format string, args ...any) {
	fmt.Fprintf(p.Log, "participant %s: "+format+"\n", append([]any{p.Storage.Database}, args...)...)
}

// Run is the participant until the context ends or something fails.
func (p *Participant) Run(ctx context.Context) error {
	p.rate, p.changed = p.Rate, make(chan struct{})
	conn, err := p.Storage.reach(ctx)
	if err != nil {
		return err
	}
	err = errors.Join(p.Storage.migrate(ctx, conn, participantSchema), conn.Close(ctx))
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return serveHealth(ctx, port(p.Ports.Health)) })
	group.Go(func() error { return p.serveAdmin(ctx) })
	group.Go(func() error {
		return serveMethods(ctx, port(p.Ports.Ledger), map[string]method{getLedgerEnd: p.ledgerEnd})
	})
	group.Go(func() error { return p.serveMetrics(ctx) })
	group.Go(func() error {
		lock, err := p.Storage.hold(ctx, participantLock, p.say)
		if err != nil {
			return err
		}
		defer lock.Close(context.WithoutCancel(ctx))
		p.active.Store(true)
		id, err := p.identity(ctx)
		if err != nil {
			return err
		}
		p.say("active, identity %q", id)
		work, ctx := errgroup.WithContext(ctx)
		work.Go(func() error { return watch(ctx, lock) })
		work.Go(func() error { return p.write(ctx) })
		return work.Wait() // before the lock is given back
	})
	return group.Wait()
}

func port(n int) string { return net.JoinHostPort("", strconv.Itoa(n)) }

// identity reads who the participant is, "" for nobody yet. A ledger that
// belongs to another participant is refused.
func (p *Participant) identity(ctx context.Context) (string, error) {
	var node, ledger string
	err := p.query(ctx, func(conn *pgx.Conn) error {
		return conn.QueryRow(ctx,
			`select coalesce((select identifier || '::' || namespace from participant.common_node_id), ''),
			coalesce((select participant_id from participant.lapi_parameters), '')`).Scan(&node, &ledger)
	})
	if err == nil && node != "" && ledger != "" && node != ledger {
		err = fmt.Errorf("the ledger belongs to participant %s, and this one is %s", ledger, node)
	}
	return node, err
}

func (p *Participant) query(ctx context.Context, use func(*pgx.Conn) error) error {
	conn, err := pgx.Connect(ctx, p.Storage.DSN())
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	return use(conn)
}

func (p *Participant) ledgerEnd(ctx context.Context, _ []byte) ([]byte, error) {
	end, err := splicetest.LedgerEnd(ctx, p.Storage.DSN())
	if errors.Is(err, pgx.ErrNoRows) { // no ledger yet
		end, err = 0, nil
	}
	return intField(nil, 1, uint64(end)), err
}

// write appends ledger updates at the rate of the moment, once there is an
// identity.
func (p *Participant) write(ctx context.Context) error {
	for ctx.Err() == nil {
		p.mu.Lock()
		rate, changed := p.rate, p.changed
		p.mu.Unlock()
		id, err := p.identity(ctx)
		if err != nil {
			return err
		}
		if id == "" || rate <= 0 {
			select {
			case <-changed:
			case <-ctx.Done():
			}
			continue
		}
		node := splicetest.Attach(splicetest.Place{
			ParticipantDSN: p.Storage.DSN(),
			Identities:     identitiestest.Dump{ParticipantID: id},
		})
		step, stop := context.WithCancel(ctx)
		go func() {
			select {
			case <-changed:
			case <-step.Done():
			}
			stop()
		}()
		err = node.WriteLedger(step, splicetest.Load{Rate: rate})
		ended := step.Err() != nil
		stop()
		if err != nil && !ended {
			return fmt.Errorf("write the ledger: %w", err)
		}
	}
	return ctx.Err()
}

// set changes the rate; a negative one leaves it.
func (p *Participant) set(rate float64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if rate >= 0 {
		p.rate = rate
	}
	close(p.changed)
	p.changed = make(chan struct{})
}

// serveMetrics answers what is measured, and takes a rate.
func (p *Participant) serveMetrics(ctx context.Context) error {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, r *http.Request) {
		end, _ := splicetest.LedgerEnd(r.Context(), p.Storage.DSN())
		fmt.Fprintf(w,
			"# TYPE daml_participant_api_indexer_ledger_end gauge\ndaml_participant_api_indexer_ledger_end %d\n", end)
	})
	mux.HandleFunc("POST /load", func(w http.ResponseWriter, r *http.Request) {
		rate, err := strconv.ParseFloat(r.FormValue("rate"), 64)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		p.set(max(rate, 0))
	})
	return serveHTTP(ctx, port(p.Ports.Metrics), mux)
}

func serveHTTP(ctx context.Context, address string, handler http.Handler) error {
	server := &http.Server{Addr: address, Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	defer context.AfterFunc(ctx, func() { _ = server.Close() })()
	if err := server.ListenAndServe(); ctx.Err() == nil {
		return err
	}
	return ctx.Err()
}

// Birth is what a participant without identity is given: a dump to become, or
// the seed of keys of its own.
type Birth struct {
	Identifier string // of the new participant
	Party      string // party hint of the operator
	User       string // ledger API user
	Seed       []byte // of new keys; nil with a dump
	Dump       []byte // to take keys and namespace from
}

// initialise gives the participant an identity, once.
func (p *Participant) initialise(ctx context.Context, request []byte) ([]byte, error) {
	var b Birth
	if err := json.Unmarshal(request, &b); err != nil {
		return nil, err
	}
	if id, err := p.identity(ctx); err != nil || id != "" {
		return nil, errors.Join(err, fmt.Errorf("the participant is %q already", id))
	}
	dump, err := b.dump()
	if err != nil {
		return nil, err
	}
	_, namespace, _ := strings.Cut(dump.ParticipantID, "::")
	node := splicetest.Attach(splicetest.Place{
		ParticipantDSN: p.Storage.DSN(), Identities: dump, Party: b.Party + "::" + namespace, User: b.User,
	})
	if err := node.SeedParticipant(ctx); err != nil {
		return nil, err
	}
	if err := p.keepSnapshot(ctx, dump); err != nil {
		return nil, err
	}
	p.say("has become %s", dump.ParticipantID)
	p.set(-1)
	return nil, nil
}

func (b Birth) dump() (identitiestest.Dump, error) {
	if b.Dump == nil {
		var seed [32]byte
		copy(seed[:], b.Seed)
		return identitiestest.New(b.Identifier, seed, identitiestest.Options{}), nil
	}
	old, err := identitiestest.Read(b.Dump)
	if err != nil {
		return old, err
	}
	return old.As(b.Identifier)
}

// keepSnapshot stores the topology snapshot whole, in the authorised store.
func (p *Participant) keepSnapshot(ctx context.Context, dump identitiestest.Dump) error {
	snapshot, err := dump.Snapshot()
	if err != nil {
		return err
	}
	identifier, namespace, _ := strings.Cut(dump.ParticipantID, "::")
	return p.query(ctx, func(conn *pgx.Conn) error {
		_, err := conn.Exec(ctx,
			`insert into participant.common_topology_transactions (store_id, sequenced, transaction_type, namespace, identifier,
			mapping_key_hash, serial_counter, valid_from, operation, instance, tx_hash, is_proposal, representative_protocol_version, hash_of_signatures)
			values ('Authorized', 1760000000000000, 4, $1, $2, md5('authorised'), 1, 1760000000000000, 2, $3, md5('authorised tx'), false, 35, md5('authorised signatures'))`,
			namespace, identifier, snapshot)
		return err
	})
}

// export is the identities dump, from what the database keeps.
func (p *Participant) export(ctx context.Context, _ []byte) ([]byte, error) {
	id, err := p.identity(ctx)
	if err != nil || id == "" {
		return nil, errors.Join(err, errors.New("the participant has no identity to export"))
	}
	var keys []identitiestest.Key
	var snapshot []byte
	err = p.query(ctx, func(conn *pgx.Conn) error {
		rows, err := conn.Query(ctx,
			"select key_id, coalesce(name, ''), purpose, data from participant.common_crypto_private_keys order by name desc, key_id")
		if err != nil {
			return err
		}
		keys, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (k identitiestest.Key, err error) {
			return k, row.Scan(&k.Fingerprint, &k.Name, &k.Purpose, &k.Data)
		})
		if err != nil {
			return err
		}
		return conn.QueryRow(ctx,
			"select instance from participant.common_topology_transactions where store_id = 'Authorized'").Scan(&snapshot)
	})
	if err != nil {
		return nil, fmt.Errorf("export the identities of %s: %w", id, err)
	}
	return identitiestest.Kept(id, keys, snapshot, splicetest.SpliceVersion).JSON, nil
}
