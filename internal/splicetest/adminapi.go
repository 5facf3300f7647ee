package splicetest

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"holdfast/canton/admin"
)

// AdminAPI imitates a participant's admin API: the methods that read, over
// gRPC, answered from the node's database.
type AdminAPI struct {
	node   *Node
	dsn    string
	server *grpc.Server
	addr   string

	mu      sync.Mutex
	parties []admin.PartyToParticipant // in addition to the local ones
	fault   AdminFault
}

// AdminFault is something wrong with the participant, or its API.
type AdminFault string

// The faults of a participant.
const (
	AdminHealthy       AdminFault = ""
	AdminDisconnected  AdminFault = "disconnected"  // from every synchronizer
	AdminUninitialized AdminFault = "uninitialized" // it has no identity, and is healthy
	AdminOld           AdminFault = "old"           // a release without most of the methods
)

// StartAdminAPI starts one over a participant's database.
func (n *Node) StartAdminAPI(dsn string) (*AdminAPI, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("start an admin API: %w", err)
	}
	a := &AdminAPI{node: n, dsn: dsn, addr: listener.Addr().String()}
	a.server = grpc.NewServer(grpc.ForceServerCodec(admin.Codec{}), grpc.UnknownServiceHandler(a.handle))
	go func() { _ = a.server.Serve(listener) }()
	return a, nil
}

// Address is where it listens.
func (a *AdminAPI) Address() string { return a.addr }

// Close ends it.
func (a *AdminAPI) Close() { a.server.Stop() }

// SetFault makes the participant stand otherwise from now on.
func (a *AdminAPI) SetFault(fault AdminFault) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.fault = fault
}

// Host makes the participant host a party that also so many others host, or
// one that signs for itself.
func (a *AdminAPI) Host(party string, others int, external bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	p := admin.PartyToParticipant{
		Party:        party,
		Threshold:    1,
		Participants: []admin.HostingParticipant{{UID: a.node.Identities.ParticipantID, Permission: 1}},
	}
	for i := range others {
		p.Participants = append(p.Participants, admin.HostingParticipant{
			UID:        fmt.Sprintf("other-%d::1220%064d", i, i),
			Permission: 2,
		})
	}
	if external {
		p.SigningKeys = &admin.SigningKeys{Threshold: 1}
	}
	a.parties = append(a.parties, p)
}

// handle answers every method by its name.
func (a *AdminAPI) handle(_ any, stream grpc.ServerStream) error {
	method, _ := grpc.MethodFromServerStream(stream)
	a.mu.Lock()
	fault := a.fault
	a.mu.Unlock()
	var request admin.PartiesRequest
	into := any(&admin.Empty{})
	if method == admin.MethodParties {
		into = &request
	}
	if err := stream.RecvMsg(into); err != nil {
		return err
	}
	answer, err := a.answer(stream.Context(), method, request, fault)
	if err != nil {
		return err
	}
	return stream.SendMsg(answer)
}

func (a *AdminAPI) answer(
	ctx context.Context, method string, request admin.PartiesRequest, fault AdminFault,
) (any, error) {
	id := a.node.Identities.ParticipantID
	if fault == AdminOld && method != admin.MethodStatus {
		return nil, status.Error(codes.Unimplemented, "Method not found: "+strings.TrimPrefix(method, "/"))
	}
	switch method {
	case admin.MethodStatus:
		if fault == AdminUninitialized {
			return &admin.StatusResponse{NotInitialized: &admin.NotInitialized{
				Active:  true,
				Waiting: 1,
				Version: "3.5.7",
			}}, nil
		}
		s := &admin.Status{Common: &admin.CommonStatus{UID: id, Active: true, Version: "3.5.7"}, Active: true}
		physical, err := a.connected(ctx)
		if err == nil && fault != AdminDisconnected {
			s.Connected = []admin.SynchronizerHealth{{PhysicalID: physical, Health: admin.Healthy}}
		}
		return &admin.StatusResponse{Status: s}, err
	case admin.MethodGetID:
		return &admin.IDResponse{Initialized: fault != AdminUninitialized, UID: id}, nil
	case admin.MethodSchedule:
		return a.schedule(ctx)
	case admin.MethodKeys:
		var r admin.KeysResponse
		for _, k := range a.node.Identities.Keys {
			r.Keys = append(r.Keys, admin.PrivateKeyMetadata{
				Public: &admin.PublicKeyWithName{Name: k.Name},
				KMSKey: k.KMSKeyID,
			})
		}
		return &r, nil
	case admin.MethodParties:
		return a.hosted(ctx, request)
	}
	return nil, status.Error(codes.Unimplemented, "Method not found: "+strings.TrimPrefix(method, "/"))
}

// connected is the physical synchronizer in use.
func (a *AdminAPI) connected(ctx context.Context) (id string, err error) {
	err = withConn(ctx, a.dsn, func(conn *pgx.Conn) error {
		return conn.QueryRow(ctx,
			"select physical_synchronizer_id from participant.par_synchronizer_connection_configs where status = 'A'").Scan(&id)
	})
	return id, err
}

func (a *AdminAPI) schedule(ctx context.Context) (*admin.ScheduleResponse, error) {
	var r admin.ScheduleResponse
	err := withConn(ctx, a.dsn, func(conn *pgx.Conn) error {
		var cron string
		var longest, retention int64
		rows, err := conn.Query(ctx, "select cron, max_duration, retention from participant.par_pruning_schedules")
		if err != nil {
			return err
		}
		_, err = pgx.ForEachRow(rows, []any{&cron, &longest, &retention}, func() error {
			r.Schedule = &admin.ParticipantSchedule{Schedule: &admin.Schedule{
				Cron:        cron,
				MaxDuration: admin.DurationOf(time.Duration(longest) * time.Second),
				Retention:   admin.DurationOf(time.Duration(retention) * time.Second),
			}}
			return nil
		})
		return err
	})
	return &r, err
}

// hosted are the local parties of the database, hosted here alone, and those
// that Host added. Only a question about this participant in a synchronizer's
// store is answered.
func (a *AdminAPI) hosted(ctx context.Context, request admin.PartiesRequest) (*hostings, error) {
	id := a.node.Identities.ParticipantID
	if request.Query == nil || request.Query.Store == nil || request.Query.Store.Synchronizer == nil ||
		request.Query.Store.Synchronizer.ID != a.node.Synchronizer {
		return nil, status.Error(codes.InvalidArgument, "the store of the query is not known")
	}
	var r hostings
	err := withConn(ctx, a.dsn, func(conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, "select party from participant.lapi_party_entries where is_local order by 1")
		if err != nil {
			return err
		}
		parties, err := pgx.CollectRows(rows, pgx.RowTo[string])
		for _, p := range parties {
			r.add(request.Query.Store, admin.PartyToParticipant{
				Party: p, Threshold: 1, Participants: []admin.HostingParticipant{{UID: id, Permission: 1}},
			})
		}
		return err
	})
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, p := range a.parties {
		r.add(request.Query.Store, p)
	}
	// The filter is a prefix: another participant's party comes along.
	r.add(request.Query.Store, admin.PartyToParticipant{
		Party: "elsewhere::1220", Threshold: 1,
		Participants: []admin.HostingParticipant{{UID: id + "0", Permission: 1}, {UID: "x::1220", Permission: 2}},
	})
	return &r, err
}

// hostings answers MethodParties as a participant does: with what is said of
// every topology transaction, which the client passes over.
type hostings struct {
	Results []hosting `pb:"2"`
}

type hosting struct {
	Context *topologyContext          `pb:"1"`
	Item    *admin.PartyToParticipant `pb:"2"`
}

type topologyContext struct {
	Store     *admin.StoreID   `pb:"1"`
	Sequenced *admin.Timestamp `pb:"2"`
	ValidFrom *admin.Timestamp `pb:"3"`
	Operation int32            `pb:"5"`
	Hash      []byte           `pb:"6"` // a multihash, as every hash of Canton's
	Serial    int32            `pb:"7"`
	SignedBy  []string         `pb:"8"`
}

// add adds a party in force, whose namespace's key has signed for it.
func (h *hostings) add(store *admin.StoreID, p admin.PartyToParticipant) {
	hash := sha256.Sum256([]byte(p.Party))
	_, namespace, _ := strings.Cut(p.Party, "::")
	since := &admin.Timestamp{Seconds: 1_760_000_000}
	h.Results = append(h.Results, hosting{Item: &p, Context: &topologyContext{
		Store: store, Sequenced: since, ValidFrom: since, Operation: admin.AddReplace,
		Hash: append([]byte{0x12, 0x20}, hash[:]...), Serial: 1, SignedBy: []string{namespace},
	}})
}

// Metrics imitates the Prometheus endpoints of a participant and a validator
// app in one, answered from the participant's database.
type Metrics struct {
	dsn    string
	addr   string
	server *http.Server
}

// StartMetrics starts the endpoint.
func (n *Node) StartMetrics(dsn string) (*Metrics, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("start metrics: %w", err)
	}
	m := &Metrics{dsn: dsn, addr: listener.Addr().String()}
	m.server = &http.Server{Handler: m, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = m.server.Serve(listener) }()
	return m, nil
}

// URL is the endpoint's address.
func (m *Metrics) URL() string { return "http://" + m.addr + "/metrics" }

// Close ends it.
func (m *Metrics) Close() error { return m.server.Close() }

// ServeHTTP answers in Prometheus's text format.
func (m *Metrics) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var micros int64
	err := withConn(r.Context(), m.dsn, func(conn *pgx.Conn) error {
		return conn.QueryRow(r.Context(),
			"select coalesce(max(ts), 0) from participant.common_head_sequencer_counters").Scan(&micros)
	})
	if err != nil || r.URL.Path != "/metrics" {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	answer(w, http.StatusOK, "text/plain; version=0.0.4; charset=utf-8",
		fmt.Sprintf(`# HELP daml_sequencer_client_handler_last_sequencing_time_micros The sequencing time of the last event
# TYPE daml_sequencer_client_handler_last_sequencing_time_micros gauge
daml_sequencer_client_handler_last_sequencing_time_micros{node="participant"} %d
# TYPE splice_store_last_seen_record_time_ms gauge
splice_store_last_seen_record_time_ms{node_name="validator_backend",store_name="DbValidatorStore",store_party="p",synchronizer_id="s"} %d
splice_store_last_seen_record_time_ms{node_name="validator_backend",store_name="DbUserWalletStore",store_party="q",synchronizer_id="s"} 0
# TYPE jvm_threads gauge
jvm_threads 42
`, micros, micros/1000))
}
