// Package storetest has places outside of this machine for tests: real servers
// on loopback, each with a place and what lets us in, ended with its test.
//
//	storetest.Each(t, func(t *testing.T, s storetest.Store) {
//		r, err := repository.Open(ctx, s.Place, password, repository.By(s.Access))
//	})
//
// The suite of package repository runs in a directory, in the long form on every
// server of Lasting, and on those that HOLDFAST_TEST_PLACES names:
//
//	HOLDFAST_TEST_PLACES=minio,openssh go test -tags testing ./repository
//
// HOLDFAST_TEST_STORES names the directory with their programs, which
// internal/testbed/stores.sh makes.
package storetest

import (
	"encoding/base64"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"holdfast"
	"holdfast/internal/splicetest"
	"holdfast/place"
	"holdfast/repository"
)

// Store is a server with an empty place in it.
type Store struct {
	Kind   place.Scheme
	Place  place.Place
	Access repository.Access
	Wrong  *repository.Access // one that the server refuses; nil: it takes any
	Root   string             // the directory that a server of WebDAV shows
	*Server
}

// Kind is a kind of server, by its name.
type Kind struct {
	Name  string
	Start func(testing.TB) Store
}

// Kinds are one server for each kind of place.
var Kinds = []Kind{{"s3", S3}, {"gs", GCS}, {"azblob", Azure}, {"sftp", SFTP}, {"webdav", WebDAV}}

// Lasting are servers that keep what they have confirmed when they are killed: all
// there are.
var Lasting = []Kind{
	{"versitygw", S3}, {"minio", MinIO}, {"fake-gcs-server", GCSFiles}, {"azurite", Azure}, {"openssh", SFTP},
	{"apache", WebDAV},
}

// Chosen are the servers on which the suite of a repository runs beside a directory:
// those of Lasting that HOLDFAST_TEST_PLACES names, with commas between them, or all of
// them by "all" and in the long form; none otherwise.
func Chosen() []Kind {
	named := os.Getenv("HOLDFAST_TEST_PLACES")
	if named == "all" || named == "" && splicetest.Long() {
		return Lasting
	}
	var list []Kind
	for _, kind := range Lasting {
		if slices.Contains(strings.Split(named, ","), kind.Name) {
			list = append(list, kind)
		}
	}
	return list
}

// Each runs a test once in each kind of place.
func Each(t *testing.T, test func(t *testing.T, s Store)) {
	t.Helper()
	for _, kind := range Kinds {
		t.Run(kind.Name, func(t *testing.T) { test(t, kind.Start(t)) })
	}
}

// Server is a process that serves on loopback.
type Server struct {
	Address string // host:port

	command []string
	env     []string // besides ours
	user    *syscall.Credential
	slow    bool // it writes down late what it has confirmed, unless it is asked to end
	cmd     *exec.Cmd
	log     *os.File
}

// Start starts it again, on the same address, after Stop.
func (s *Server) Start(t testing.TB) {
	t.Helper()
	s.cmd = exec.Command(s.command[0], s.command[1:]...) //nolint:noctx // ended by Stop
	s.cmd.Stdout, s.cmd.Stderr = s.log, s.log
	s.cmd.Env = append(os.Environ(), s.env...)
	s.cmd.Dir = "/" // another user may not enter ours
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.user}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for until := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		conn, err := net.DialTimeout("tcp", s.Address, time.Second)
		if err == nil {
			_ = conn.Close()
			return
		}
		if time.Now().After(until) {
			text, _ := os.ReadFile(s.log.Name())
			t.Fatalf("%s does not serve: %v\n%s", s.command[0], err, text)
		}
	}
}

// Stop kills it with the processes that it has started, as a power cut would.
func (s *Server) Stop() {
	if s.cmd == nil {
		return
	}
	last := syscall.SIGKILL
	if s.slow {
		last = syscall.SIGTERM
	}
	for _, pid := range append(below(s.cmd.Process.Pid), s.cmd.Process.Pid) {
		_ = syscall.Kill(pid, last)
	}
	_ = s.cmd.Wait()
	s.cmd = nil
}

// below are the processes that a process has started, and those that they have.
func below(pid int) (all []int) {
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, file := range files {
		text, _ := os.ReadFile(file)
		for _, field := range strings.Fields(string(text)) {
			if child, err := strconv.Atoi(field); err == nil {
				all = append(append(all, child), below(child)...)
			}
		}
	}
	return all
}

// Pause stops it from answering, until Resume. It returns when the server has stopped:
// on a busy machine one of its threads may still answer for a while.
func (s *Server) Pause() {
	_ = s.cmd.Process.Signal(syscall.SIGSTOP)
	for began := time.Now(); !stopped(s.cmd.Process.Pid) && time.Since(began) < 30*time.Second; {
		time.Sleep(5 * time.Millisecond)
	}
}

// stopped reports whether every thread of a process has.
func stopped(pid int) bool {
	threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
	for _, thread := range threads {
		text, err := os.ReadFile(thread)
		if err == nil && !strings.Contains(string(text), "\nState:\tT (stopped)") {
			return false
		}
	}
	return true
}

// Resume lets it answer again.
func (s *Server) Resume() { _ = s.cmd.Process.Signal(syscall.SIGCONT) }

// serve starts a program, and ends it with the test.
func serve(t testing.TB, as *syscall.Credential, address string, command ...string) *Server {
	t.Helper()
	return started(t, &Server{Address: address, command: command, user: as})
}

// serveWith is serve with variables of the environment.
func serveWith(t testing.TB, env []string, address string, command ...string) *Server {
	t.Helper()
	return started(t, &Server{Address: address, command: command, env: env})
}

func started(t testing.TB, s *Server) *Server {
	t.Helper()
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	s.log = log
	s.Start(t)
	t.Cleanup(func() {
		s.Stop()
		_ = log.Close()
	})
	return s
}

// program is one of the test bed's. Without it the test is skipped, unless
// HOLDFAST_TEST_ALL asks for every test.
func program(t testing.TB, name string) string {
	t.Helper()
	path := filepath.Join(os.Getenv("HOLDFAST_TEST_STORES"), name)
	if _, err := os.Stat(path); err != nil || os.Getenv("HOLDFAST_TEST_STORES") == "" {
		if os.Getenv("HOLDFAST_TEST_ALL") != "" {
			t.Fatalf("HOLDFAST_TEST_STORES names no directory with %s", name)
		}
		t.Skipf("HOLDFAST_TEST_STORES names no directory with %s", name)
	}
	return path
}

// loopback is an address that nobody listens on.
func loopback(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

// parsed reads a place.
func parsed(t testing.TB, text string) place.Place {
	t.Helper()
	at, err := place.Parse(text, "/")
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// secret is one that is known.
func secret(text string) holdfast.SecretFunc { return holdfast.Fixed(holdfast.NewSecret(text)) }

// The keys of the S3 servers.
const (
	keyID     = "holdfasttest"
	SecretKey = "canary-a-secret-key" // SecretKey opens the S3 servers: it must appear nowhere
)

// Keys are the keys of the S3 servers, for another process.
func Keys() string { return keyID + ":" + SecretKey }

// wrongKey opens nothing.
const wrongKey = "canary-not-the-key"

// Secrets are what must stand in no file and no message: the keys as the
// configuration and as the servers have them.
func Secrets() []string {
	return []string{SecretKey, base64.StdEncoding.EncodeToString([]byte(SecretKey)), wrongKey}
}

// S3 is a bucket of versitygw, a gateway from S3 to a directory.
func S3(t testing.TB) Store { return s3(t) }

// region is that of the S3 servers.
const region = "us-east-1"

// s3 starts versitygw with further options.
func s3(t testing.TB, options ...string) Store {
	t.Helper()
	root, versions, address := t.TempDir(), t.TempDir(), loopback(t)
	if err := os.Mkdir(filepath.Join(root, "sets"), 0o700); err != nil { // a bucket
		t.Fatal(err)
	}
	command := []string{program(t, "versitygw"), "--access", keyID, "--secret", SecretKey, "--port", address,
		"--region", region}
	s := serve(t, nil, address, slices.Concat(command, options, []string{"posix", "--versioning-dir", versions, root})...)
	return Store{
		Kind:   place.S3,
		Place:  parsed(t, fmt.Sprintf("s3://sets/holdfast?endpoint=%s&region=%s&tls=off", address, region)),
		Access: repository.Access{ID: secret(keyID), Secret: secret(SecretKey)},
		Wrong:  &repository.Access{ID: secret(keyID), Secret: secret(wrongKey)},
		Server: s,
	}
}
