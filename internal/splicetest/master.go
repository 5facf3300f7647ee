package splicetest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// mastersEnv names a directory for masters: data directories that servers are
// copied from, as making one takes many times as long as copying it. Whoever
// sets it removes the directory. Without it every server is made from scratch.
//
// To Postgres a copy is the same cluster as its master: copies have one system
// identifier, and their databases the same numbers. A test for which that
// matters sets the variable to nothing.
const mastersEnv = "HOLDFAST_TEST_MASTERS"

// master is the path of the master for what is made in that way; "" for none.
func master(kind string, way any) string {
	dir := os.Getenv(mastersEnv)
	if dir == "" {
		return ""
	}
	text, err := json.Marshal(way)
	if err != nil {
		panic(err) // of plain fields
	}
	sum := sha256.Sum256(text)
	return filepath.Join(dir, kind+"-"+hex.EncodeToString(sum[:8]))
}

func there(path string) bool {
	_, err := os.Stat(path)
	return path != "" && err == nil
}

// keep makes a master of what fill puts into a directory. Several processes
// may do so at once: they make the same, and the first one's stays.
func keep(master string, fill func(dir string) error) error {
	draft, err := os.MkdirTemp(filepath.Dir(master), "draft-")
	if err != nil {
		return err
	}
	if err := fill(draft); err != nil {
		return errors.Join(err, os.RemoveAll(draft))
	}
	if err := os.Rename(draft, master); err != nil && !there(master) {
		return errors.Join(err, os.RemoveAll(draft))
	}
	return os.RemoveAll(draft)
}

// data makes the data directory of a new server, or copies it from its master.
func (s *Server) data(ctx context.Context) error {
	if s.options.master != "" {
		return s.copyWhole(s.options.master, s.Data())
	}
	plain := master("server", []string{s.Version.Bin, s.options.Password})
	if there(plain) {
		return s.copyWhole(filepath.Join(plain, "data"), s.Data())
	}
	if err := s.initdb(ctx); err != nil || plain == "" {
		return err
	}
	return keep(plain, func(dir string) error { return s.copyWhole(s.Data(), filepath.Join(dir, "data")) })
}

// copyWhole copies the data directory of a server that does not run.
func (s *Server) copyWhole(from, to string) error {
	return filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		if entry.IsDir() {
			return s.owner.mkdir(filepath.Join(to, name))
		}
		return s.copyFile(path, filepath.Join(to, name))
	})
}

// master is the path of the node's master: one directory per server. Those of
// large nodes would take more room than they save time.
func (n *Node) master(version Version) string {
	if n.options.Bytes > 0 {
		return ""
	}
	way := n.options
	way.Version = version.Bin
	way.Settings, way.TCP, way.TLS = nil, false, false // of the running server alone
	return master("node", way)
}

// servers are the node's servers by the names of their directories in a master.
func (n *Node) servers() map[string]*Server {
	if n.Validator == n.Participant {
		return map[string]*Server{"both": n.Participant}
	}
	return map[string]*Server{"participant": n.Participant, "validator": n.Validator}
}

// keep makes a master of the node, which is stopped meanwhile.
func (n *Node) keep(ctx context.Context, master string) error {
	return keep(master, func(dir string) error {
		for name, s := range n.servers() {
			if err := s.Stop(); err != nil {
				return err
			}
			if err := s.copyWhole(s.Data(), filepath.Join(dir, name)); err != nil {
				return err
			}
			if err := s.Resume(ctx); err != nil {
				return err
			}
		}
		return nil
	})
}
