package splicetest

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// ScanFault is something wrong with one Scan.
type ScanFault string

// The faults of a Scan.
const (
	ScanHealthy     ScanFault = ""
	ScanLimits      ScanFault = "limits"      // 429 to every question
	ScanUnavailable ScanFault = "unavailable" // 503 from a proxy
	ScanLies        ScanFault = "lies"        // says that the serial after the one in use is, and publishes no other
	ScanOld         ScanFault = "old"         // a release that does not know the questions about serials
	ScanLate        ScanFault = "late"        // its clock is an hour behind
)

// Network imitates the Scans and the sequencers of a network's super
// validators: what they publish about its synchronizers. The real Scans answer
// the same questions (Splice: apps/scan/src/main/openapi/scan.yaml).
type Network struct {
	Scans []*Scan

	mu           sync.Mutex
	synchronizer string // logical id
	serial       int
	served       []int // serials with sequencers that run
	upgrade      time.Time
}

// Scan is one super validator's Scan, with its sequencers behind the same
// address.
type Scan struct {
	SV string

	network  *Network
	addr     string
	server   *http.Server
	mu       sync.Mutex
	fault    ScanFault
	requests []string
}

// StartNetwork starts the Scans of so many super validators, whose
// synchronizer is the node's, in its serial.
func (n *Node) StartNetwork(svs int) (*Network, error) {
	network := &Network{synchronizer: n.Synchronizer, serial: 5, served: []int{5}}
	for i := range svs {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, errors.Join(fmt.Errorf("start a Scan: %w", err), network.Close())
		}
		s := &Scan{SV: fmt.Sprintf("Example-SV-%d", i+1), network: network, addr: listener.Addr().String()}
		s.server = &http.Server{Handler: s, ReadHeaderTimeout: 10 * time.Second}
		go func() { _ = s.server.Serve(listener) }()
		network.Scans = append(network.Scans, s)
	}
	return network, nil
}

// URLs are the Scans' addresses.
func (n *Network) URLs() []string {
	var out []string
	for _, s := range n.Scans {
		out = append(out, s.URL())
	}
	return out
}

// URL is the Scan's address, without /api/scan.
func (s *Scan) URL() string { return "http://" + s.addr }

// Upgrade moves the network to the next serial, as a logical synchronizer
// upgrade does; the sequencers of the old one go on for a month.
func (n *Network) Upgrade() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.serial++
	n.served = append(n.served, n.serial)
}

// Announce announces an upgrade.
func (n *Network) Announce(at time.Time) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.upgrade = at
}

// Retire ends the sequencers of every serial but the one in use.
func (n *Network) Retire() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.served = []int{n.serial}
}

// SetFault makes the Scan answer wrongly from now on.
func (s *Scan) SetFault(fault ScanFault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = fault
}

// Requests are the paths of the requests to the Scan.
func (s *Scan) Requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

// Close ends every Scan.
func (n *Network) Close() error {
	var failures []error
	for _, s := range n.Scans {
		failures = append(failures, s.server.Close())
	}
	return errors.Join(failures...)
}

// ServeHTTP answers as a Scan does, and below /sequencer as its sequencers do.
func (s *Scan) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	fault := s.fault
	s.requests = append(s.requests, r.URL.Path)
	s.mu.Unlock()
	if fault == ScanLate {
		w.Header().Set("Date", time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat))
	}
	switch fault {
	case ScanLimits:
		answerError(w, http.StatusTooManyRequests, "Too many requests")
		return
	case ScanUnavailable:
		answer(w, http.StatusServiceUnavailable, "text/html",
			"<html><body><h1>503 Service Temporarily Unavailable</h1></body></html>\n")
		return
	}
	serial, served, upgrade := s.network.state(fault)
	var of int
	if _, err := fmt.Sscanf(r.URL.Path, "/sequencer/%d", &of); err == nil {
		if !slices.Contains(served, of) {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		w.Header().Set("Content-Type", "application/grpc") // as a gRPC server does whom a browser asks
		w.WriteHeader(http.StatusUnsupportedMediaType)
		return
	}
	switch path := strings.TrimPrefix(r.URL.Path, "/api/scan"); {
	case path == "/version":
		answerJSON(w, http.StatusOK, map[string]any{"version": SpliceVersion, "commit_ts": "2026-03-01T08:00:00Z"})
	case path == "/v0/splice-instance-names":
		answerJSON(w, http.StatusOK, map[string]any{
			"network_name": "Splice", "network_favicon_url": "https://example.com/favicon.ico",
			"amulet_name": "Amulet", "amulet_name_acronym": "AMT",
			"name_service_name": "Amulet Name Service", "name_service_name_acronym": "ANS",
		})
	case path == "/v0/dso-sequencers":
		answerJSON(w, http.StatusOK, map[string]any{"domainSequencers": []any{map[string]any{
			"domainId":   s.network.synchronizer,
			"sequencers": s.network.sequencers(served, fault),
		}}})
	case path == "/v0/active-synchronizer-serial" && fault != ScanOld:
		answerJSON(w, http.StatusOK, map[string]any{"serial": serial})
	case path == "/v0/lsu" && fault != ScanOld:
		body := map[string]any{}
		if !upgrade.IsZero() {
			body["lsu"] = map[string]any{
				"topologyFreezeTime":              upgrade.Add(-time.Hour),
				"upgradeTime":                     upgrade,
				"successorPhysicalSynchronizerId": fmt.Sprintf("%s::35-%d", s.network.synchronizer, serial+1),
			}
		}
		answerJSON(w, http.StatusOK, body)
	default:
		notFound(w)
	}
}

// state is what the network is, or what a liar says that it is.
func (n *Network) state(fault ScanFault) (serial int, served []int, upgrade time.Time) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if fault == ScanLies {
		return n.serial + 1, []int{n.serial + 1}, time.Time{}
	}
	return n.serial, slices.Clone(n.served), n.upgrade
}

// sequencers lists those of every super validator for each serial. A release
// that is old knows migration ids instead.
func (n *Network) sequencers(served []int, fault ScanFault) []any {
	out := []any{}
	for _, serial := range served {
		for _, s := range n.Scans {
			one := map[string]any{
				"migrationId":        -1,
				"synchronizerSerial": serial,
				"id":                 fmt.Sprintf("SEQ::%s::1220", s.SV),
				"url":                fmt.Sprintf("%s/sequencer/%d", s.URL(), serial),
				"svName":             s.SV,
				"availableAfter":     "2026-01-01T00:00:00Z",
			}
			if fault == ScanOld {
				delete(one, "synchronizerSerial")
				one["migrationId"] = 4
			}
			out = append(out, one)
		}
	}
	return out
}
