package repository

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"

	"github.com/kopia/kopia/repo/blob"
	"github.com/kopia/kopia/repo/blob/sftp"
	"github.com/kopia/kopia/repo/blob/webdav"
	"github.com/studio-b12/gowebdav"
)

// openSFTP opens a directory of another machine. The key of that machine has to
// be known: the first connection is not the time to learn it.
func openSFTP(ctx context.Context, at entry) (blob.Storage, error) {
	c, err := at.access.read(ctx)
	if err != nil {
		return nil, err
	}
	host, port := at.Host, 22
	if h, p, err := net.SplitHostPort(at.Host); err == nil {
		host = h
		if port, err = strconv.Atoi(p); err != nil {
			return nil, fmt.Errorf("port %q: %w", p, err)
		}
	}
	o := &sftp.Options{
		Path:           "/" + at.Path,
		Host:           host,
		Port:           port,
		Username:       at.Account,
		Password:       c.secret,
		KeyData:        c.key,
		KnownHostsFile: at.access.KnownHosts,
		Options:        spread,
	}
	if c.secret == "" && c.key == "" {
		if o.Keyfile, err = ownKey(); err != nil {
			return nil, err
		}
	}
	st, err := sftp.New(ctx, o, at.create)
	if err != nil {
		return nil, err
	}
	return abandoning{st}, nil
}

// ownKey is the private key that ssh would use.
func ownKey() (string, error) {
	home, err := os.UserHomeDir()
	for _, name := range []string{"id_ed25519", "id_ecdsa", "id_rsa"} {
		file := filepath.Join(home, ".ssh", name)
		if _, failed := os.Stat(file); err == nil && failed == nil {
			return file, nil
		}
	}
	return "", errors.New("no key for sftp: name repository.access.key, such as file:/etc/holdfast/id_ed25519")
}

// openWebDAV opens a directory of a WebDAV server. Its files appear under their
// names at once and whole only where the server does that, so each is written
// under another name first.
func openWebDAV(ctx context.Context, at entry) (blob.Storage, error) {
	c, err := at.access.read(ctx)
	if err != nil {
		return nil, err
	}
	client := davClient(at.Place, c)
	_, err = client.Stat("/" + at.Path)
	if gowebdav.IsErrNotFound(err) && at.create {
		err = client.MkdirAll("/"+at.Path, directoryMode)
	}
	if err != nil {
		return nil, err
	}
	st, err := webdav.New(ctx, &webdav.Options{
		URL:      davServer(at.Place) + "/" + at.Path,
		Username: davUser(at.Place, c),
		Password: c.secret,
		Options:  spread,
	}, at.create)
	if err != nil {
		return nil, err
	}
	return abandoning{st}, nil
}
