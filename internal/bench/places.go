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
	"time"
)

// far is the latency of a bucket in another region.
const far = 50 * time.Millisecond

// places measures a first set in a bucket of a local server against one in a
// directory, near and far, and counts the requests of each command.
func (b *bench) places(ctx context.Context) error {
	s, err := b.startBucket(ctx)
	if err != nil {
		return err
	}
	defer s.stop()
	tools := b.node.Participant.Version.Bin
	for round := range b.rounds {
		b.note("round %d of places", round+1)
		local, err := b.newRepository(ctx, "local", b.node.ParticipantDSN(), tools)
		if err != nil {
			return err
		}
		inDirectory, err := b.firstSet(ctx, local, "holdfast, directory")
		if err != nil {
			return err
		}
		for _, distance := range []struct {
			name    string
			latency time.Duration
			most    float64
		}{{"local bucket", 0, 1 / 0.9}, {"bucket 50 ms away", far, 1 / 0.7}} {
			s.latency = 0
			name := fmt.Sprintf("round%d-%d", round, distance.latency)
			r, err := b.newRepositoryIn(ctx, name, s.place(name), b.node.ParticipantDSN(), tools)
			if err != nil {
				return err
			}
			s.latency = distance.latency
			s.reset()
			first, err := b.firstSet(ctx, r, "holdfast, "+distance.name)
			if err != nil {
				return err
			}
			b.results.add("first set in a "+distance.name+" / in a directory", atMost(distance.most),
				ratio(first.wall, inDirectory.wall))
			if distance.latency == 0 {
				s.latency = 0
				if err := b.requests(ctx, s, r); err != nil {
					return err
				}
			}
			if err := r.remove(); err != nil {
				return err
			}
		}
		if err := local.remove(); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) firstSet(ctx context.Context, r repository, name string) (sample, error) {
	first, err := b.measured(ctx, func(ctx context.Context) (sample, error) {
		s, _, err := r.backup(ctx)
		return s, err
	})
	b.noteSample(name, first)
	b.results.sample(name, first)
	return first, err
}

// The public prices of S3 Standard in us-east-1, in USD for a request. Deleting is
// free.
const (
	priceOfWriting = 0.005 / 1000  // PUT, POST and LIST
	priceOfReading = 0.0004 / 1000 // GET and HEAD
)

// requests counts those of each command, of which the first set is over, and what
// those of a year cost: a set and a check every four hours, retention once a day.
func (b *bench) requests(ctx context.Context, s *bucketServer, r repository) error {
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

// bucketServer is versitygw behind something that counts requests and delays them.
type bucketServer struct {
	front   *httptest.Server
	cmd     *exec.Cmd
	latency time.Duration

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
	s := &bucketServer{cmd: exec.CommandContext(ctx, program, "--access", id, "--secret", key, "--port", address,
		"--region", "us-east-1", "--quiet", "posix", root)}
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	forward := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: address})
	forward.Transport = &http.Transport{MaxIdleConnsPerHost: 64}
	s.front = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.count(r)
		time.Sleep(s.latency)
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

func (s *bucketServer) place(prefix string) string {
	return fmt.Sprintf("s3://sets/%s?endpoint=%s&region=us-east-1&tls=off", prefix, s.front.Listener.Addr())
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
	if s.front != nil {
		s.front.Close()
	}
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
}
