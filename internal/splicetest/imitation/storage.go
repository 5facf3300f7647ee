package imitation

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"holdfast/internal/splicetest"
)

// Storage is where a program keeps its state.
type Storage struct {
	Server, Port, Database, Schema, User, Password string
}

// DSN is its connection string.
func (s Storage) DSN() string {
	u := url.URL{
		Scheme: "postgres",
		User:   url.UserPassword(s.User, s.Password),
		Host:   net.JoinHostPort(s.Server, s.Port),
		Path:   "/" + s.Database,
		RawQuery: url.Values{
			"sslmode":          {"disable"},
			"application_name": {"imitation " + s.Schema},
			"connect_timeout":  {"5"},
		}.Encode(),
	}
	return u.String()
}

// participantStorage reads the environment of the participant's image.
func participantStorage(env func(string) string) Storage {
	of := func(what string) string { return env("CANTON_PARTICIPANT_POSTGRES_" + what) }
	return Storage{
		Server:   of("SERVER"),
		Port:     of("PORT"),
		Database: of("DB"),
		Schema:   of("SCHEMA"),
		User:     of("USER"),
		Password: of("PASSWORD"),
	}
}

var property = regexp.MustCompile(`(?m)^[ \t]*(\w+)[ \t]*=[ \t]*"?([^"\n]*?)"?[ \t]*$`)

// appStorage reads the HOCON text of the validator app's environment, as far as
// the bundle writes it.
func appStorage(hocon string) Storage {
	s := Storage{}
	into := map[string]*string{
		"serverName": &s.Server, "portNumber": &s.Port, "databaseName": &s.Database,
		"currentSchema": &s.Schema, "user": &s.User, "password": &s.Password,
	}
	for _, m := range property.FindAllStringSubmatch(hocon, -1) {
		if field, ok := into[m[1]]; ok {
			*field = m[2]
		}
	}
	return s
}

// reach connects, trying for half a minute: the server may still be starting.
func (s Storage) reach(ctx context.Context) (*pgx.Conn, error) {
	for deadline := time.Now().Add(30 * time.Second); ; {
		conn, err := pgx.Connect(ctx, s.DSN())
		if err == nil {
			return conn, nil
		}
		if time.Now().After(deadline) || ctx.Err() != nil {
			return nil, fmt.Errorf("reach database %s at %s:%s: %w", s.Database, s.Server, s.Port, err)
		}
		pause(ctx, 200*time.Millisecond)
	}
}

// latest is the newest schema version that the programs know, by schema.
var latest = map[string]string{"participant": "5.2", "validator": "073"}

// migrate makes the schema in an empty database and refuses one that it does
// not know, as Flyway does.
func (s Storage) migrate(ctx context.Context, conn *pgx.Conn, create func(context.Context, string) error) error {
	var present bool
	if err := conn.QueryRow(ctx, "select exists (select from pg_namespace where nspname = $1)",
		s.Schema).Scan(&present); err != nil {
		return err
	}
	if !present {
		return create(ctx, s.DSN())
	}
	var version string
	err := conn.QueryRow(ctx,
		"select coalesce(version, '') from "+pgx.Identifier{s.Schema, "flyway_schema_history"}.Sanitize()+
			" where success and version is not null order by installed_rank desc limit 1").Scan(&version)
	if failure := (*pgconn.PgError)(nil); errors.As(err, &failure) && failure.Code == "42P01" ||
		errors.Is(err, pgx.ErrNoRows) {
		return fmt.Errorf("found non-empty schema %q but no schema history table: validate failed", s.Schema)
	} else if err != nil {
		return err
	}
	if version != latest[s.Schema] {
		return fmt.Errorf("schema %q is at version %s and this release knows %s: validate failed", s.Schema, version,
			latest[s.Schema])
	}
	return nil
}

// instance is the number of the advisory lock that the one active instance of
// a program holds in its database.
const instance = 0x5911ce

// hold takes the lock of the active instance, waiting for another to give it
// back, and returns the connection that holds it.
func (s Storage) hold(ctx context.Context, say func(string, ...any)) (*pgx.Conn, error) {
	conn, err := s.reach(ctx)
	if err != nil {
		return nil, err
	}
	for said := false; ; {
		var held bool
		if err := conn.QueryRow(ctx, "select pg_try_advisory_lock($1)", instance).Scan(&held); err != nil {
			return nil, errors.Join(err, conn.Close(context.WithoutCancel(ctx)))
		}
		if held {
			return conn, nil
		}
		if !said {
			say("passive: another instance holds the lock on database %s", s.Database)
			said = true
		}
		if !pause(ctx, 250*time.Millisecond) {
			return nil, errors.Join(ctx.Err(), conn.Close(context.WithoutCancel(ctx)))
		}
	}
}

// watch ends with an error when the connection that holds the lock is gone.
func watch(ctx context.Context, conn *pgx.Conn) error {
	for pause(ctx, 500*time.Millisecond) {
		if err := conn.Ping(ctx); err != nil && ctx.Err() == nil {
			return fmt.Errorf("lost the connection that holds the instance lock: %w", err)
		}
	}
	return ctx.Err()
}

func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// The schemas of package splicetest.
var (
	participantSchema = splicetest.ParticipantSchema
	validatorSchema   = splicetest.ValidatorSchema
)
