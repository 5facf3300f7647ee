package splicetest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/jackc/pgx/v5"
)

// Standby makes a hot standby of a running server, which streams from it: a
// base backup taken while the server goes on, without any client program.
func (s *Server) Standby(ctx context.Context) (*Server, error) {
	options := s.options
	options.Dir = ""
	options.Bin = s.Version.Bin
	replica, err := prepare(options)
	if err != nil {
		return nil, fmt.Errorf("make a standby: %w", err)
	}
	replica.CAFile = s.CAFile
	if err := s.copyTo(ctx, replica); err != nil {
		return nil, errors.Join(fmt.Errorf("make a standby: %w", err), replica.Close())
	}
	if err := replica.Resume(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("start a standby: %w", err), replica.Close())
	}
	return replica, nil
}

// copyTo copies the data directory between the start and the stop of a backup
// in one session, and configures the copy to follow it.
func (s *Server) copyTo(ctx context.Context, replica *Server) error {
	begin, end := "pg_backup_start('standby', true)", "pg_backup_stop(false)"
	if s.Version.Major == "14" {
		begin, end = "pg_start_backup('standby', true, false)", "pg_stop_backup(false, false)"
	}
	return withConn(ctx, s.DSN("postgres"), func(conn *pgx.Conn) error {
		// The slot keeps the log that the standby needs first.
		slot := strings.ReplaceAll(filepath.Base(replica.Dir), "-", "_")
		if _, err := conn.Exec(ctx, "select pg_create_physical_replication_slot($1, true)", slot); err != nil {
			return err
		}
		if _, err := conn.Exec(ctx, "select "+begin); err != nil {
			return err
		}
		if err := replica.copyData(s.Data()); err != nil {
			return err
		}
		var label string
		if err := conn.QueryRow(ctx, "select labelfile from "+end).Scan(&label); err != nil {
			return err
		}
		follow := fmt.Sprintf("\nprimary_conninfo = 'host=%s port=%d user=%s'\nprimary_slot_name = '%s'\n",
			s.Socket(), s.port, superuser, slot)
		auto := filepath.Join(replica.Data(), "postgresql.auto.conf")
		old, err := os.ReadFile(auto)
		if err != nil {
			return err
		}
		return errors.Join(
			replica.owner.write(filepath.Join(replica.Data(), "backup_label"), []byte(label)),
			replica.owner.write(auto, append(old, follow...)),
			replica.owner.write(filepath.Join(replica.Data(), "standby.signal"), nil),
		)
	})
}

// copyData copies another server's data directory but what belongs to its
// running processes. Files may change and vanish meanwhile; the log that the
// standby replays makes up for that.
func (s *Server) copyData(from string) error {
	return filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return ignoreMissing(err)
		}
		name, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		to := filepath.Join(s.Data(), name)
		switch {
		case entry.IsDir():
			if err := s.owner.mkdir(to); err != nil {
				return err
			}
			if name == "pg_replslot" || name == "pg_dynshmem" || name == "pg_stat_tmp" {
				return filepath.SkipDir
			}
			return nil
		case filepath.Dir(name) == "pg_wal" || name == "postmaster.pid" || name == "postmaster.opts" ||
			!entry.Type().IsRegular():
			return nil
		}
		return ignoreMissing(s.copyFile(path, to))
	})
}

func (s *Server) copyFile(from, to string) error {
	source, err := os.Open(from)
	if err != nil {
		return err
	}
	defer source.Close()
	target, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	if _, err := io.Copy(target, source); err != nil {
		return errors.Join(err, target.Close())
	}
	if err := target.Close(); err != nil {
		return err
	}
	return s.owner.give(to)
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// Promote makes a standby a server of its own, and waits until it is.
func (s *Server) Promote(ctx context.Context) error {
	return withConn(ctx, s.DSN("postgres"), func(conn *pgx.Conn) error {
		var done bool
		if err := conn.QueryRow(ctx, "select pg_promote(true, 60)").Scan(&done); err != nil {
			return err
		}
		if !done {
			return fmt.Errorf("the standby in %s is not promoted after a minute", s.Dir)
		}
		return nil
	})
}
