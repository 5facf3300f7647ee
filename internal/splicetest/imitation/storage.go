package imitation

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"holdfast/internal/hocon"
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

// environment are the variables of a program.
type environment map[string]string

func environmentOf(pairs []string) environment {
	e := environment{}
	for _, pair := range pairs {
		name, value, _ := strings.Cut(pair, "=")
		e[name] = value
	}
	return e
}

func (e environment) get(name string) string { return e[name] }

// configuration is what the images' entrypoint makes of the variables: one text
// of all those that begin with ADDITIONAL_CONFIG, in the order of their names.
func (e environment) configuration() (*hocon.Config, error) {
	var text strings.Builder
	for _, name := range slices.Sorted(maps.Keys(e)) {
		if strings.HasPrefix(name, "ADDITIONAL_CONFIG") {
			text.WriteString(e[name] + "\n")
		}
	}
	return hocon.Parse(text.String(), hocon.Outside{
		Env: func(name string) (string, bool) { value, ok := e[name]; return value, ok },
		File: func(name string) (string, bool, error) {
			text, err := os.ReadFile(name)
			if errors.Is(err, fs.ErrNotExist) {
				return "", false, nil
			}
			return string(text), err == nil, err
		},
	})
}

// overlay puts over a storage what the configuration says of it.
func (s *Storage) overlay(config *hocon.Config, program ...string) error {
	for key, field := range map[string]*string{
		"serverName": &s.Server, "portNumber": &s.Port, "databaseName": &s.Database,
		"currentSchema": &s.Schema, "user": &s.User, "password": &s.Password,
	} {
		path := append(slices.Clone(program), "storage", "config", "properties", key)
		value, ok, err := config.Text(path...)
		if err != nil {
			return fmt.Errorf("the configuration does not resolve: %w", err)
		}
		if ok {
			*field = value
		}
	}
	return nil
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

// The counters of the advisory locks by which a program is the one active
// instance on its database (Canton: DbLockCounters.scala, Splice:
// SpliceDbLockCounters.scala).
const (
	participantLock  = 1
	validatorAppLock = 100
)

// lock is the number of a lock on the database: bit 29, 21 bits of a digest of
// the database's configured name, and the counter less one (Canton:
// DbLock.scala).
func (s Storage) lock(counter int) int64 {
	sum := sha256.Sum256([]byte(s.Database))
	return 1<<29 | int64(binary.BigEndian.Uint32(sum[:4])&0x1fffff)<<8 | int64(counter-1)
}

// hold takes the lock of the active instance, waiting for another to give it
// back, and returns the connection that holds it.
func (s Storage) hold(ctx context.Context, counter int, say func(string, ...any)) (*pgx.Conn, error) {
	conn, err := s.reach(ctx)
	if err != nil {
		return nil, err
	}
	for said := false; ; {
		var held bool
		if err := conn.QueryRow(ctx, "select pg_try_advisory_lock($1)", s.lock(counter)).Scan(&held); err != nil {
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
