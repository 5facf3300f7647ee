package bundle

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/jackc/pgx/v5"

	"holdfast/internal/splicetest"
	"holdfast/internal/splicetest/imitation"
)

// ParticipantDatabase is the participant's database as the flags name it.
func (b *Bundle) ParticipantDatabase() string {
	if b.options.Migration == "" {
		return "participant"
	}
	return "participant-" + b.options.Migration
}

// ValidatorDatabase is the validator app's.
const ValidatorDatabase = "validator"

// DSN is the connection string of a database, from the daemon's host.
func (b *Bundle) DSN(ctx context.Context, database string) (string, error) {
	host, port := b.options.Settings["SPLICE_DB_SERVER"], b.options.Settings["SPLICE_DB_PORT"]
	if host == "" {
		var err error
		if host, err = b.Address(ctx, "postgres-splice"); err != nil {
			return "", err
		}
		port = "5432"
	}
	user := url.UserPassword("cnadmin", "supersafe")
	if password := b.options.Settings["SPLICE_DB_PASSWORD"]; password != "" {
		user = url.UserPassword("cnadmin", password)
	}
	u := url.URL{
		Scheme:   "postgres",
		User:     user,
		Host:     net.JoinHostPort(host, port),
		Path:     "/" + database,
		RawQuery: "sslmode=disable",
	}
	return u.String(), nil
}

// SQL runs statements in a database of the bundle's server and returns the
// first row's first value as text, "" without one.
func (b *Bundle) SQL(ctx context.Context, database, statements string) (string, error) {
	dsn, err := b.DSN(ctx, database)
	if err != nil {
		return "", err
	}
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return "", err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	results, err := conn.PgConn().Exec(ctx, statements).ReadAll()
	if err != nil {
		return "", fmt.Errorf("%s: %w", statements, err)
	}
	for _, r := range results {
		if len(r.Rows) > 0 {
			return string(r.Rows[0][0]), nil
		}
	}
	return "", nil
}

// Identity requests the participant's identity: "" while it has none.
func (b *Bundle) Identity(ctx context.Context) (string, error) {
	address, err := b.Address(ctx, "participant")
	if err != nil {
		return "", err
	}
	return imitation.Identity(ctx, net.JoinHostPort(address, "5002"))
}

// Dump is the validator app's answer to a request for the identities, through
// nginx, as the administrator of a node without authentication.
func (b *Bundle) Dump(ctx context.Context) ([]byte, error) {
	token := splicetest.UnsafeToken(splicetest.LedgerUser, splicetest.DefaultAudience)
	return b.get(ctx, "/api/validator/v0/admin/participant/identities", token)
}

// Ready reports whether nginx and the validator app behind it answer.
func (b *Bundle) Ready(ctx context.Context) error {
	_, err := b.get(ctx, "/api/validator/readyz", "")
	return err
}

// StartLoad makes the participant write that many ledger updates a second and
// the validator app follow.
func (b *Bundle) StartLoad(ctx context.Context, rate int) error {
	address, err := b.Address(ctx, "participant")
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost,
		fmt.Sprintf("http://%s:10013/load?rate=%d", address, rate), nil)
	if err != nil {
		return err
	}
	_, err = answerOf(request)
	return err
}

// StopLoad ends the load and waits until the validator app has caught up: then
// nothing changes in either database.
func (b *Bundle) StopLoad(ctx context.Context) error {
	if err := b.StartLoad(ctx, 0); err != nil {
		return err
	}
	for deadline := time.Now().Add(patience); ; {
		before, ingested, err := b.Progress(ctx)
		if err != nil {
			return err
		}
		time.Sleep(300 * time.Millisecond)
		after, _, err := b.Progress(ctx)
		switch {
		case err != nil:
			return err
		case before == after && ingested == after:
			return nil
		case time.Now().After(deadline):
			return fmt.Errorf("the validator app is at %d, %s after the load, and the participant at %d", ingested,
				patience, after)
		}
	}
}

// Progress is the participant's ledger end and what the validator app has
// ingested.
func (b *Bundle) Progress(ctx context.Context) (ledger, ingested int64, err error) {
	p, err := b.DSN(ctx, b.ParticipantDatabase())
	if err != nil {
		return 0, 0, err
	}
	v, err := b.DSN(ctx, ValidatorDatabase)
	if err != nil {
		return 0, 0, err
	}
	node := splicetest.Attach(splicetest.Place{ParticipantDSN: p, ValidatorDSN: v})
	if ingested, err = node.Ingested(ctx); err != nil { // first: it follows
		return 0, 0, err
	}
	ledger, err = node.LedgerEnd(ctx)
	return ledger, ingested, err
}

// get requests a page of the validator app from nginx.
func (b *Bundle) get(ctx context.Context, path, token string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+b.BindIP+path, nil)
	if err != nil {
		return nil, err
	}
	request.Host = splicetest.ComposeHost
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	return answerOf(request)
}

func answerOf(request *http.Request) ([]byte, error) {
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s: %s", request.URL, response.Status, text)
	}
	return text, nil
}
