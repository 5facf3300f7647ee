package repository

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/kopia/kopia/repo/blob"
	"github.com/pkg/sftp"
	"github.com/studio-b12/gowebdav"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"holdfast/place"
)

// files is a directory of another machine by single requests.
type files interface {
	list() ([]string, error)
	write(name string, text []byte) error // under its name, whatever has it
	rename(from, to string) error         // in place of what is called so
	read(name string) ([]byte, error)
	remove(name string) error
	close() error
}

// rawFiles are the blobs of a directory of another machine by single requests that
// nothing repeats: for finding out what may be done there, not for storing sets. As
// kopia does, it writes each under another name, and renames it.
type rawFiles struct {
	blob.DefaultProviderImplementation

	files
}

// fileOf is how kopia calls the file of a blob.
func fileOf(id blob.ID) string { return string(id) + ".f" }

// GetBlob implements blob.Reader, for whole blobs.
func (s rawFiles) GetBlob(_ context.Context, id blob.ID, _, _ int64, out blob.OutputBuffer) error {
	text, err := s.read(fileOf(id))
	if err != nil {
		return err
	}
	_, err = out.Write(text)
	return err
}

// GetMetadata implements blob.Reader. Nothing of it is known.
func (s rawFiles) GetMetadata(_ context.Context, id blob.ID) (blob.Metadata, error) {
	return blob.Metadata{BlobID: id}, nil
}

// ListBlobs implements blob.Reader.
func (s rawFiles) ListBlobs(_ context.Context, prefix blob.ID, each func(blob.Metadata) error) error {
	names, err := s.list()
	for _, name := range names {
		if id, is := strings.CutSuffix(name, ".f"); is && strings.HasPrefix(id, string(prefix)) && err == nil {
			err = each(blob.Metadata{BlobID: blob.ID(id)})
		}
	}
	return err
}

// PutBlob implements blob.Storage.
func (s rawFiles) PutBlob(_ context.Context, id blob.ID, data blob.Bytes, _ blob.PutOptions) error {
	var text bytes.Buffer
	if _, err := data.WriteTo(&text); err != nil {
		return err
	}
	temporary := fileOf(id) + ".new"
	if err := s.write(temporary, text.Bytes()); err != nil {
		return err
	}
	err := s.rename(temporary, fileOf(id))
	if err != nil {
		_ = s.remove(temporary)
	}
	return err
}

// DeleteBlob implements blob.Storage.
func (s rawFiles) DeleteBlob(_ context.Context, id blob.ID) error { return s.remove(fileOf(id)) }

// ConnectionInfo implements blob.Reader. It names no credentials.
func (s rawFiles) ConnectionInfo() blob.ConnectionInfo { return blob.ConnectionInfo{Type: handedOver} }

// DisplayName implements blob.Reader.
func (s rawFiles) DisplayName() string { return "files" }

// Close implements blob.Storage.
func (s rawFiles) Close(context.Context) error { return s.close() }

// sftpFiles are those of a directory behind SFTP.
type sftpFiles struct {
	*sftp.Client

	conn *ssh.Client
	dir  string
	made bool // it is a substitute
}

// openRawSFTP opens a directory, or its substitute.
func openRawSFTP(ctx context.Context, at entry) (blob.Storage, error) {
	config, err := sshConfig(ctx, at)
	if err != nil {
		return nil, err
	}
	address := at.Host
	if _, _, err := net.SplitHostPort(address); err != nil {
		address = net.JoinHostPort(address, "22")
	}
	conn, err := ssh.Dial("tcp", address, config)
	if err != nil {
		return nil, err
	}
	client, err := sftp.NewClient(conn)
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	s := sftpFiles{Client: client, conn: conn, dir: "/" + at.Path}
	if missing := func(dir string) bool {
		_, err := client.Stat(dir)
		return errors.Is(err, fs.ErrNotExist)
	}; missing(s.dir) {
		s.dir, s.made = substitute(s.dir, missing), true
		if err := s.failed("mkdir", "", client.Mkdir(s.dir)); err != nil {
			return nil, errors.Join(err, client.Close(), conn.Close())
		}
	}
	return abandoning{rawFiles{files: s}}, nil
}

// substitute is a directory of a probe's own, which is removed again, in place of one
// that does not exist: in what exists above it, where that would be made.
func substitute(dir string, missing func(dir string) bool) string {
	for dir = path.Dir(dir); dir != "/" && missing(dir); {
		dir = path.Dir(dir)
	}
	return path.Join(dir, string(probeName()))
}

// sshConfig is how a machine is entered whose own key is known.
func sshConfig(ctx context.Context, at entry) (*ssh.ClientConfig, error) {
	c, err := at.access.read(ctx)
	if err != nil {
		return nil, err
	}
	home, _ := os.UserHomeDir()
	known, err := knownhosts.New(cmp.Or(at.access.KnownHosts, filepath.Join(home, ".ssh", "known_hosts")))
	if err != nil {
		return nil, err
	}
	config := &ssh.ClientConfig{User: at.Account, HostKeyCallback: known}
	if c.secret != "" {
		config.Auth = []ssh.AuthMethod{ssh.Password(c.secret)}
		return config, nil
	}
	if c.key == "" {
		file, err := ownKey()
		if err != nil {
			return nil, err
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		c.key = string(text)
	}
	key, err := ssh.ParsePrivateKey([]byte(c.key))
	if err != nil {
		return nil, errors.New("repository.access.key is not a private key of SSH without a passphrase")
	}
	config.Auth = []ssh.AuthMethod{ssh.PublicKeys(key)}
	return config, nil
}

// failed names the operation that the server has refused.
func (s sftpFiles) failed(operation, name string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s %s: %w", operation, path.Join(s.dir, name), err)
}

func (s sftpFiles) list() (names []string, err error) {
	found, err := s.ReadDir(s.dir)
	for _, f := range found {
		names = append(names, f.Name())
	}
	return names, s.failed("readdir", "", err)
}

func (s sftpFiles) write(name string, text []byte) error {
	f, err := s.OpenFile(path.Join(s.dir, name), os.O_CREATE|os.O_WRONLY|os.O_EXCL)
	if err != nil {
		return s.failed("open", name, err)
	}
	_, err = f.Write(text)
	return s.failed("write", name, errors.Join(err, f.Close()))
}

func (s sftpFiles) rename(from, to string) error {
	return s.failed("posix-rename", to, s.PosixRename(path.Join(s.dir, from), path.Join(s.dir, to)))
}

func (s sftpFiles) read(name string) ([]byte, error) {
	f, err := s.Open(path.Join(s.dir, name))
	if err != nil {
		return nil, s.failed("open", name, err)
	}
	defer func() { _ = f.Close() }()
	text, err := io.ReadAll(f)
	return text, s.failed("read", name, err)
}

func (s sftpFiles) remove(name string) error {
	return s.failed("remove", name, s.Remove(path.Join(s.dir, name)))
}

func (s sftpFiles) close() error {
	var err error
	if s.made {
		err = s.failed("rmdir", "", s.RemoveDirectory(s.dir))
	}
	return errors.Join(err, s.Client.Close(), s.conn.Close())
}

// davFiles are those of a directory behind WebDAV.
type davFiles struct {
	*gowebdav.Client

	dir  string
	made bool // it is a substitute
}

// openRawWebDAV opens a directory, or its substitute.
func openRawWebDAV(ctx context.Context, at entry) (blob.Storage, error) {
	c, err := at.access.read(ctx)
	if err != nil {
		return nil, err
	}
	client := davClient(at.Place, c)
	s := davFiles{Client: client, dir: "/" + at.Path}
	if missing := func(dir string) bool {
		_, err := client.Stat(dir)
		return gowebdav.IsErrNotFound(err)
	}; missing(s.dir) {
		s.dir, s.made = substitute(s.dir, missing), true
		if err := client.Mkdir(s.dir, directoryMode); err != nil {
			return nil, err
		}
	}
	return abandoning{rawFiles{files: s}}, nil
}

// davServer is the address of a WebDAV server.
func davServer(at place.Place) string { return schemeOf(at) + at.Host }

// davUser is whose password it is: the place names him, or else the access.
func davUser(at place.Place, c revealed) string { return cmp.Or(at.Account, c.id) }

// davClient sends requests to a WebDAV server.
func davClient(at place.Place, c revealed) *gowebdav.Client {
	return gowebdav.NewClient(davServer(at), davUser(at, c), c.secret)
}

func (s davFiles) list() (names []string, err error) {
	found, err := s.ReadDir(s.dir + "/")
	for _, f := range found {
		names = append(names, f.Name())
	}
	return names, err
}

func (s davFiles) write(name string, text []byte) error {
	return s.Write(path.Join(s.dir, name), text, fileMode)
}

func (s davFiles) rename(from, to string) error {
	return s.Rename(path.Join(s.dir, from), path.Join(s.dir, to), true)
}

func (s davFiles) read(name string) ([]byte, error) { return s.Read(path.Join(s.dir, name)) }

func (s davFiles) remove(name string) error { return s.Remove(path.Join(s.dir, name)) }

func (s davFiles) close() error {
	if s.made {
		return s.Remove(s.dir)
	}
	return nil
}
