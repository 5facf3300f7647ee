package storetest

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha1" //nolint:gosec // Apache reads passwords by it
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/crypto/ssh"

	"holdfast/place"
	"holdfast/repository"
)

// SFTP is a directory behind OpenSSH.
func SFTP(t testing.TB) Store {
	t.Helper()
	return sftp(t, "")
}

// SFTPWithout is one whose server refuses an operation, such as remove.
func SFTPWithout(t testing.TB, operation string) Store {
	t.Helper()
	return sftp(t, " -P "+operation)
}

func sftp(t testing.TB, options string) Store {
	t.Helper()
	dir, address := shared(t), loopback(t)
	who := runner(t)
	key, public := sshKey(t)
	hostKey, hostPublic := sshKey(t)
	write(t, filepath.Join(dir, "host"), hostKey)
	write(t, filepath.Join(dir, "authorized"), public)
	host, port, _ := net.SplitHostPort(address)
	write(t, filepath.Join(dir, "sshd_config"), strings.Join([]string{
		"Port " + port, "ListenAddress " + host, "HostKey " + filepath.Join(dir, "host"),
		"AuthorizedKeysFile " + filepath.Join(dir, "authorized"), "PidFile none", "UsePAM no", "StrictModes no",
		"PasswordAuthentication no", "Subsystem sftp internal-sftp", "ForceCommand internal-sftp" + options, "",
	}, "\n"))
	known := filepath.Join(dir, "known_hosts")
	write(t, known, fmt.Sprintf("[%s]:%s %s", host, port, hostPublic))
	own(t, dir, who)
	program, err := exec.LookPath("/usr/sbin/sshd")
	if err != nil {
		t.Fatal(err)
	}
	s := serveAs(t, who, address, program, "-D", "-e", "-f", filepath.Join(dir, "sshd_config"))
	return Store{
		Kind:   place.SFTP,
		Place:  parsed(t, fmt.Sprintf("sftp://%s@%s%s/sets", who.Username, address, dir)),
		Access: repository.Access{Key: secret(key), KnownHosts: known},
		Server: s,
	}
}

// apacheModules is where Debian has the modules of Apache.
const apacheModules = "/usr/lib/apache2/modules"

// WebDAV is a directory behind Apache's mod_dav, with a password.
func WebDAV(t testing.TB) Store {
	t.Helper()
	return webDAV(t, "Require user backup")
}

// WebDAVWithout is one whose server refuses a method, such as DELETE.
func WebDAVWithout(t testing.TB, method string) Store {
	t.Helper()
	return webDAV(t, "<LimitExcept "+method+">", "Require user backup", "</LimitExcept>",
		"<Limit "+method+">", "Require all denied", "</Limit>")
}

func webDAV(t testing.TB, allowed ...string) Store {
	t.Helper()
	program, err := exec.LookPath("/usr/sbin/apache2")
	if err != nil {
		t.Fatalf("%v: `apt-get install apache2-bin`", err)
	}
	dir, address := shared(t), loopback(t)
	who := runner(t)
	if err := os.Mkdir(filepath.Join(dir, "www"), 0o700); err != nil {
		t.Fatal(err)
	}
	digest := sha1.Sum([]byte(SecretKey)) //nolint:gosec // as Apache reads it
	write(t, filepath.Join(dir, "users"), "backup:{SHA}"+base64.StdEncoding.EncodeToString(digest[:])+"\n")
	lines := []string{
		"ServerName localhost", "Listen " + address, "PidFile pid", "ErrorLog log", "DocumentRoot www",
		"DavLockDB locks", "StartServers 1", "ServerRoot " + dir,
	}
	for _, module := range []string{
		"mpm_event", "authn_core", "authn_file", "authz_core", "authz_user", "auth_basic", "dav", "dav_fs",
	} {
		lines = append(lines, fmt.Sprintf("LoadModule %s_module %s/mod_%[1]s.so", module, apacheModules))
	}
	lines = append(lines, "<Location />", "Dav On", "AuthType Basic", "AuthName sets", "AuthUserFile users")
	lines = append(append(lines, allowed...), "</Location>", "")
	write(t, filepath.Join(dir, "apache.conf"), strings.Join(lines, "\n"))
	own(t, dir, who)
	s := serveAs(t, who, address, program, "-D", "FOREGROUND", "-f", filepath.Join(dir, "apache.conf"))
	return Store{
		Kind:   place.WebDAV,
		Place:  parsed(t, "webdav://backup@"+address+"/sets?tls=off"),
		Access: repository.Access{Secret: secret(SecretKey)},
		Root:   filepath.Join(dir, "www"),
		Server: s,
	}
}

// shared is a temporary directory that another user reaches.
func shared(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "stores-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil { //nolint:gosec // another user's server is in it
		t.Fatal(err)
	}
	return dir
}

// runner is who runs the server: root's would want to change users.
func runner(t testing.TB) *user.User {
	t.Helper()
	who, err := user.Current()
	if err == nil && who.Uid == "0" {
		who, err = user.Lookup("postgres")
	}
	if err != nil {
		t.Fatal(err)
	}
	return who
}

func own(t testing.TB, dir string, who *user.User) {
	t.Helper()
	uid, gid := ids(who)
	if err := filepath.Walk(dir, func(path string, _ os.FileInfo, err error) error {
		if err == nil {
			err = os.Chown(path, uid, gid)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
}

func ids(who *user.User) (uid, gid int) {
	uid, _ = strconv.Atoi(who.Uid)
	gid, _ = strconv.Atoi(who.Gid)
	return uid, gid
}

// serveAs is serve as another user.
func serveAs(t testing.TB, who *user.User, address string, command ...string) *Server {
	t.Helper()
	if os.Geteuid() != 0 {
		return serve(t, nil, address, command...)
	}
	uid, gid := ids(who)
	return serve(t, &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, address, command...) //nolint:gosec // ids
}

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// sshKey makes a key pair as OpenSSH writes it.
func sshKey(t testing.TB) (private, public string) {
	t.Helper()
	pub, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(key, "")
	if err != nil {
		t.Fatal(err)
	}
	line, err := ssh.NewPublicKey(pub)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(block)), string(ssh.MarshalAuthorizedKey(line))
}
