package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"
)

// far is the latency of a bucket in another region.
const far = 50 * time.Millisecond

// places measures a first set in a bucket of a local server, and its restore, against
// those in a directory, near and far, and counts the requests of each command.
func (b *bench) places(ctx context.Context) error {
	s, err := b.startBucket(ctx)
	if err != nil {
		return err
	}
	defer s.stop()
	for round := range b.rounds {
		b.note("round %d of places", round+1)
		first, back, err := b.setIn(ctx, "directory", filepath.Join(b.dir, "local", "repository"))
		if err != nil {
			return err
		}
		for _, distance := range []struct {
			name, at string
			most     float64
		}{{"local bucket", s.address, 1 / 0.9}, {"bucket 50 ms away", s.far.Addr().String(), 1 / 0.7}} {
			there, fromThere, err := b.setIn(ctx, distance.name, bucketAt(distance.at, fmt.Sprintf("round%d-%s", round, distance.at)))
			if err != nil {
				return err
			}
			b.results.add("first set in a "+distance.name+" / in a directory", atMost(distance.most), ratio(there.wall, first.wall))
			b.results.add("restore from a "+distance.name+" / from a directory", nil, ratio(fromThere.wall, back.wall))
		}
	}
	return b.requests(ctx, s)
}

// setIn measures a first set in a place, and its restore.
func (b *bench) setIn(ctx context.Context, name, where string) (first, back sample, err error) {
	r, err := b.newRepositoryIn(ctx, "first", where, b.node.ParticipantDSN(), b.node.Participant.Version.Bin)
	if err != nil {
		return first, back, err
	}
	first, err = b.measured(ctx, func(ctx context.Context) (sample, error) {
		s, _, err := r.backup(ctx)
		return s, err
	})
	if err == nil {
		back, err = b.restoredOnce(ctx, r)
	}
	b.noteSample("holdfast, "+name, first)
	b.noteSample("holdfast restore, "+name, back)
	b.results.sample("holdfast, "+name, first)
	b.results.sample("holdfast restore, "+name, back)
	return first, back, errors.Join(err, r.remove(), b.emptied())
}

// emptied removes what a first set has left in its place.
func (b *bench) emptied() error {
	bucket := filepath.Join(b.dir, "buckets", "sets")
	return errors.Join(os.RemoveAll(filepath.Join(b.dir, "local")), os.RemoveAll(bucket), os.MkdirAll(bucket, 0o700))
}

// The public prices of S3 Standard in us-east-1, in USD for a request. Deleting is
// free.
const (
	priceOfWriting = 0.005 / 1000  // PUT, POST and LIST
	priceOfReading = 0.0004 / 1000 // GET and HEAD
)

// requests counts those of each command, of which the first set is over, and what
// those of a year cost: a set and a check every four hours, retention once a day.
func (b *bench) requests(ctx context.Context, s *bucketServer) error {
	r, err := b.newRepositoryIn(ctx, "counted", bucketAt(s.counting.Listener.Addr().String(), "counted"),
		b.node.ParticipantDSN(), b.node.Participant.Version.Bin)
	if err != nil {
		return err
	}
	s.reset()
	if _, _, err := r.backup(ctx); err != nil {
		return err
	}
	counted := map[string]tally{"first set": s.reset()}
	size, err := b.size(ctx)
	if err == nil {
		err = b.node.Grow(ctx, size+int64(float64(size)*b.growth/100))
	}
	if err != nil {
		return err
	}
	for _, c := range []struct {
		name string
		args []string
	}{
		{"next set", []string{"backup"}},
		{"list", []string{"list"}},
		{"check", []string{"check"}},
		{"retention", []string{"retention", "--yes"}},
	} {
		_, err := execute(ctx, r.command(c.args...))
		var exit *exec.ExitError
		if judged := c.name == "check" && errors.As(err, &exit); err != nil && !judged { // nothing was declared
			return err
		}
		counted[c.name] = s.reset()
	}
	for _, name := range []string{"first set", "next set", "list", "check", "retention"} {
		n := counted[name]
		b.note("%-10s %4d written or listed, %4d read, %3d deleted", name, n.written, n.read, n.deleted)
		b.results.add("requests that write or list, "+name, nil, float64(n.written))
		b.results.add("requests that read, "+name, nil, float64(n.read))
	}
	const sets, days = 6 * 365, 365
	year := sets*(counted["next set"].cost()+counted["check"].cost()) + days*counted["retention"].cost()
	b.results.add("requests of a year of four-hourly sets (USD)", nil, year)
	return nil
}

// tally is a number of requests.
type tally struct{ written, read, deleted int }

func (t tally) cost() float64 {
	return float64(t.written)*priceOfWriting + float64(t.read)*priceOfReading
}

// bucketServer is versitygw, and the other ways to it: one that counts requests, and
// one that is as long as to another region. What counts reads requests as a server
// does, so nothing is measured through it.
type bucketServer struct {
	cmd      *exec.Cmd
	address  string
	far      net.Listener
	counting *httptest.Server

	mu  sync.Mutex
	now tally
}

// startBucket starts versitygw with an empty bucket.
func (b *bench) startBucket(ctx context.Context) (*bucketServer, error) {
	program := filepath.Join(os.Getenv("HOLDFAST_TEST_STORES"), "versitygw")
	if _, err := os.Stat(program); err != nil {
		return nil, fmt.Errorf("HOLDFAST_TEST_STORES names no directory with versitygw: %w", err)
	}
	const id, key = "bench", "bench-secret-key"
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": id, "AWS_SECRET_ACCESS_KEY": key, "AWS_EC2_METADATA_DISABLED": "true",
	} {
		if err := os.Setenv(name, value); err != nil {
			return nil, err
		}
	}
	root := filepath.Join(b.dir, "buckets")
	if err := os.MkdirAll(filepath.Join(root, "sets"), 0o700); err != nil {
		return nil, err
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	address := l.Addr().String()
	_ = l.Close()
	s := &bucketServer{address: address, cmd: exec.CommandContext(ctx, program, "--access", id, "--secret", key,
		"--port", address, "--region", "us-east-1", "--quiet", "posix", root)}
	if s.far, err = (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0"); err != nil {
		return nil, err
	}
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	go delay(s.far, address, far)
	forward := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: address})
	forward.Transport = &http.Transport{MaxIdleConnsPerHost: 64}
	s.counting = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.count(r)
		forward.ServeHTTP(w, r)
	}))
	for until := time.Now().Add(time.Minute); time.Now().Before(until); time.Sleep(50 * time.Millisecond) {
		if conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address); err == nil {
			return s, conn.Close()
		}
	}
	s.stop()
	return nil, errors.New("versitygw does not serve")
}

// bucketAt is a place in the bucket of a server.
func bucketAt(address, prefix string) string {
	return fmt.Sprintf("s3://sets/%s?endpoint=%s&region=us-east-1&tls=off", prefix, address)
}

// delay passes connections on to a server. The answer to whatever a client has sent
// comes later by that much; as much as it likes is under way meanwhile.
func delay(l net.Listener, server string, by time.Duration) {
	for {
		client, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer func() { _ = client.Close() }()
			conn, err := net.Dial("tcp", server) //nolint:noctx // of this machine
			if err != nil {
				return
			}
			defer func() { _ = conn.Close() }()
			var asked atomic.Bool
			go func() {
				_ = pass(conn, client, func() { asked.Store(true) })
				_ = conn.Close()
			}()
			_ = pass(client, conn, func() {
				if asked.Swap(false) {
					time.Sleep(by)
				}
			})
		}()
	}
}

// pass copies what comes until the end, and says so before each piece.
func pass(to, from net.Conn, before func()) error {
	buffer := make([]byte, 256<<10)
	for {
		n, err := from.Read(buffer)
		if n > 0 {
			before()
			if _, err := to.Write(buffer[:n]); err != nil {
				return err
			}
		}
		if err != nil {
			return err
		}
	}
}

// count counts a request as S3 charges for it.
func (s *bucketServer) count(r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	lists := r.URL.Query().Has("list-type") || r.URL.Query().Has("versions")
	switch {
	case r.Method == http.MethodDelete:
		s.now.deleted++
	case r.Method == http.MethodGet && !lists, r.Method == http.MethodHead:
		s.now.read++
	default:
		s.now.written++
	}
}

// reset is what was counted since the last time.
func (s *bucketServer) reset() tally {
	s.mu.Lock()
	defer s.mu.Unlock()
	counted := s.now
	s.now = tally{}
	return counted
}

func (s *bucketServer) stop() {
	if s.counting != nil {
		s.counting.Close()
	}
	_ = s.far.Close()
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
}
