package imitation

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"holdfast/identities/identitiestest"
	"holdfast/internal/splicetest"
)

// ValidatorApp is one validator app.
type ValidatorApp struct {
	Storage     Storage
	Participant string // host of its participant
	Ports       Ports  // of that participant
	API         int    // port of its own HTTP API
	Metrics     int    // port of its metrics

	PartyHint  string
	Identifier string // that the participant shall have; "" for the party hint
	Import     string // file with a dump that an empty participant becomes; "" for none
	User       string // the ledger API user
	Audience   string
	JWKS       string        // "" for tokens that anybody can make
	Grace      time.Duration // before an empty participant gets an identity of its own
	Log        io.Writer
}

// The places where the overlay of a recovery mounts the dump, and the variable
// by which it says so.
const (
	dumpFile     = "/participant-bootstrapping-dump/identities.json"
	dumpVariable = "ADDITIONAL_CONFIG_SPLICE_APP_VALIDATOR_PARTICIPANT_IDENTITIES_DUMP_IMPORT"
)

// validatorAppOf reads the environment of the image.
func validatorAppOf(given environment, log io.Writer) (*ValidatorApp, error) {
	env := given.get
	config, err := given.configuration()
	if err != nil {
		return nil, err
	}
	of := func(what string) string { return env("SPLICE_APP_VALIDATOR_" + what) }
	a := &ValidatorApp{
		Participant: of("PARTICIPANT_ADDRESS"),
		Ports:       participantPorts,
		API:         5003,
		Metrics:     10013,
		PartyHint:   of("PARTY_HINT"),
		Identifier:  cmp.Or(of("PARTICIPANT_IDENTIFIER"), of("PARTY_HINT")),
		User:        of("LEDGER_API_AUTH_USER_NAME"),
		Audience:    of("AUTH_AUDIENCE"),
		JWKS:        of("AUTH_JWKS_URL"),
		Grace:       5 * time.Second,
		Log:         log,
	}
	if err := a.Storage.overlay(config, "canton", "validator-apps", "validator_backend"); err != nil {
		return nil, err
	}
	if env("ADDITIONAL_CONFIG_DISABLE_AUTH") != "" {
		a.JWKS = ""
	} else if a.JWKS == "" {
		return nil, errors.New("authentication is on and SPLICE_APP_VALIDATOR_AUTH_JWKS_URL names no issuer's keys")
	}
	if env(dumpVariable) != "" {
		file, _, err := config.Text("canton", "validator-apps", "validator_backend", "participant-bootstrapping-dump", "file")
		if err != nil {
			return nil, err
		}
		a.Import = cmp.Or(file, dumpFile)
	}
	if grace := env("IMITATION_GRACE"); grace != "" {
		var err error
		if a.Grace, err = time.ParseDuration(grace); err != nil {
			return nil, fmt.Errorf("IMITATION_GRACE: %w", err)
		}
	}
	if a.PartyHint == "" {
		return nil, errors.New("SPLICE_APP_VALIDATOR_PARTY_HINT is empty")
	}
	return a, nil
}

func (a *ValidatorApp) say(format string, args ...any) {
	fmt.Fprintf(a.Log, "validator %s: "+format+"\n", append([]any{a.PartyHint}, args...)...)
}

// Run is the app until the context ends or something fails.
func (a *ValidatorApp) Run(ctx context.Context) error {
	var node *splicetest.Node
	face, err := splicetest.StartValidatorApp(splicetest.AppOptions{
		Addr: port(a.API), User: cmp.Or(a.User, splicetest.LedgerUser), Audience: a.Audience, JWKS: a.JWKS,
		Users: func(ctx context.Context) ([]string, error) { return node.Users(ctx) },
	})
	if err != nil {
		return err
	}
	defer face.Close()
	face.SetFault(splicetest.Initialising)
	conn, err := a.Storage.reach(ctx)
	if err != nil {
		return err
	}
	if err := errors.Join(a.Storage.migrate(ctx, conn, validatorSchema), conn.Close(ctx)); err != nil {
		return err
	}
	lock, err := a.Storage.hold(ctx, validatorAppLock, a.say)
	if err != nil {
		return err
	}
	defer lock.Close(context.WithoutCancel(ctx))
	id, err := a.awaitParticipant(ctx)
	if err != nil {
		return err
	}
	if node, err = a.open(ctx, id); err != nil {
		return err
	}
	dump, err := call(ctx, a.at(a.Ports.Admin), exportIdentities, nil)
	if err != nil {
		return err
	}
	face.SetDump(dump)
	face.SetParty(node.Party)
	face.SetFault(splicetest.Healthy)
	a.say("ready as %s with participant %s", node.Party, id)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return watch(ctx, lock) })
	group.Go(func() error { return a.ingest(ctx, node) })
	group.Go(func() error { return serveHTTP(ctx, port(a.Metrics), a.metrics(node)) })
	return group.Wait()
}

func (a *ValidatorApp) at(port int) string { return fmt.Sprintf("%s:%d", a.Participant, port) }

// awaitParticipant waits for the participant and returns who it is. One
// without an identity is given one: that of the dump, or after a while a new
// one, without asking anybody.
func (a *ValidatorApp) awaitParticipant(ctx context.Context) (string, error) {
	for {
		id, err := Identity(ctx, a.at(a.Ports.Admin))
		switch {
		case ctx.Err() != nil:
			return "", ctx.Err()
		case err != nil:
			if !pause(ctx, 200*time.Millisecond) {
				return "", ctx.Err()
			}
		case id == "":
			if err := a.initialise(ctx); err != nil {
				return "", fmt.Errorf("initialise the participant: %w", err)
			}
		default:
			if identifier, _, _ := strings.Cut(id, "::"); identifier != a.Identifier {
				return "", fmt.Errorf("node has identity %s, but identifier %s was expected", identifier,
					a.Identifier)
			}
			return id, nil
		}
	}
}

func (a *ValidatorApp) initialise(ctx context.Context) error {
	b := Birth{Identifier: a.Identifier, Party: a.PartyHint, User: cmp.Or(a.User, splicetest.LedgerUser)}
	if a.Import != "" {
		dump, err := os.ReadFile(a.Import)
		if err != nil {
			return err
		}
		b.Dump = dump
		a.say("importing the identities in %s as %s", a.Import, a.Identifier)
	} else {
		a.say("the participant has no identity; making one in %s", a.Grace)
		if !pause(ctx, a.Grace) {
			return ctx.Err()
		}
		b.Seed = make([]byte, 32)
		rand.Read(b.Seed)
	}
	request, err := json.Marshal(b)
	if err != nil {
		return err
	}
	_, err = call(ctx, a.at(a.Ports.Admin), initialise, request)
	return err
}

// open returns the node with the app's stores: those that are there if they
// are this participant's, new ones in an empty database.
func (a *ValidatorApp) open(ctx context.Context, id string) (*splicetest.Node, error) {
	_, namespace, _ := strings.Cut(id, "::")
	node := splicetest.Attach(splicetest.Place{
		ValidatorDSN: a.Storage.DSN(), Identities: identitiestest.Dump{ParticipantID: id},
		Party: a.PartyHint + "::" + namespace, User: a.User,
	})
	conn, err := a.Storage.reach(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	rows, err := conn.Query(ctx,
		"select distinct coalesce(descriptor ->> 'participant', '') from validator.store_descriptors")
	if err != nil {
		return nil, err
	}
	owners, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, err
	}
	for _, owner := range owners {
		if owner != "PAR::"+id {
			return nil, fmt.Errorf("the stores belong to participant %s, and this one is %s",
				strings.TrimPrefix(owner, "PAR::"), id)
		}
	}
	if len(owners) == 0 {
		a.say("new stores for %s", node.Party)
		return node, node.SeedValidator(ctx)
	}
	return node, nil
}

// ingest follows the participant's ledger.
func (a *ValidatorApp) ingest(ctx context.Context, node *splicetest.Node) error {
	for pause(ctx, 100*time.Millisecond) {
		end, err := LedgerEnd(ctx, a.at(a.Ports.Ledger))
		if err != nil { // the participant may be restarting
			continue
		}
		if err := node.Ingest(ctx, end); err != nil && ctx.Err() == nil {
			return fmt.Errorf("ingest: %w", err)
		}
	}
	return ctx.Err()
}

func (a *ValidatorApp) metrics(node *splicetest.Node) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		offset, _ := node.Ingested(r.Context())
		fmt.Fprintf(w,
			"# TYPE splice_store_completed_ingestions counter\nsplice_store_completed_ingestions{store_name=\"DbValidatorStore\"} %d\n", offset)
	})
}
