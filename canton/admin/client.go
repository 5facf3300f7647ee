package admin

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"holdfast"
	"holdfast/observed"
)

// Client queries one participant. Only Address is required.
type Client struct {
	Address string        // host:port, such as localhost:5002
	TLS     bool          // the API speaks TLS; Splice's deployments do not
	CA      []byte        // PEM certificates, trusted in addition to the system's
	Timeout time.Duration // of each request; 10 s if 0

	// Dial connects when the address is not reachable directly; nil: as usual.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// largest is the size limit of an answer: a participant may host hundreds of
// thousands of parties.
const largest = 256 << 20

// Codec encodes the messages of this package. A server that imitates the API uses
// it as well.
type Codec struct{}

// Marshal encodes a message.
func (Codec) Marshal(v any) ([]byte, error) { return Marshal(v), nil }

// Unmarshal decodes a message.
func (Codec) Unmarshal(data []byte, v any) error { return Unmarshal(data, v) }

// Name is that of the codec every gRPC server knows: the bytes are protobuf's.
func (Codec) Name() string { return "proto" }

// Look reads the participant's id, connections, pruning schedule, keys and
// parties. Only a failure to read the id is an error; any other failure is part
// of the view.
func (c Client) Look(ctx context.Context) (observed.Participant, error) {
	conn, err := c.dial()
	if err != nil {
		return observed.Participant{}, err
	}
	defer func() { _ = conn.Close() }()
	q := requests{conn, cmpTimeout(c.Timeout)}
	view, err := c.status(ctx, q)
	if err != nil {
		return view, err
	}
	view.Pruning = holdfast.Observe(q.pruning(ctx))
	view.Keys = holdfast.Observe(q.keys(ctx))
	view.Parties = holdfast.Observe(q.parties(ctx, view))
	return view, nil
}

// Who reads the participant's id, without "PAR::"; "" before it has one.
func (c Client) Who(ctx context.Context) (string, error) {
	conn, err := c.dial()
	if err != nil {
		return "", err
	}
	defer func() { _ = conn.Close() }()
	view, err := c.status(ctx, requests{conn, cmpTimeout(c.Timeout)})
	return view.ID, err
}

// status reads what a participant reports even before it has an identity.
func (c Client) status(ctx context.Context, q requests) (view observed.Participant, err error) {
	var who StatusResponse
	if err := q.call(ctx, MethodStatus, &Empty{}, &who); err != nil {
		return view, c.explain(err)
	}
	switch {
	case who.Status != nil && who.Status.Common != nil:
		s := who.Status
		view = observed.Participant{ID: s.Common.UID, Version: s.Common.Version, Initialized: true, Active: s.Active}
		for _, synchronizer := range s.Connected {
			view.Connected = append(view.Connected, observed.Connection{
				PhysicalID: synchronizer.PhysicalID,
				Healthy:    synchronizer.Health == Healthy,
			})
		}
		return view, nil
	case who.NotInitialized != nil:
		return observed.Participant{Version: who.NotInitialized.Version, Active: who.NotInitialized.Active}, nil
	}
	return view, &holdfast.Problem{
		Class: holdfast.Undetermined,
		What:  "the admin API at " + c.Address + " sent an unknown answer",
		Do:    "Check the address: it must be port 5002 of the participant, not of a sequencer or mediator.",
	}
}

func cmpTimeout(d time.Duration) time.Duration {
	if d <= 0 {
		return 10 * time.Second
	}
	return d
}

func (c Client) dial() (*grpc.ClientConn, error) {
	security := insecure.NewCredentials()
	if c.TLS {
		roots, err := x509.SystemCertPool()
		if err != nil {
			roots = x509.NewCertPool()
		}
		if len(c.CA) > 0 && !roots.AppendCertsFromPEM(c.CA) {
			return nil, &holdfast.Problem{
				Class: holdfast.Usage,
				What:  "the CA file for the admin API contains no PEM certificate",
			}
		}
		security = credentials.NewTLS(&tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12})
	}
	options := []grpc.DialOption{
		grpc.WithTransportCredentials(security),
		grpc.WithDisableServiceConfig(),
		grpc.WithDefaultCallOptions(grpc.ForceCodec(Codec{}), grpc.MaxCallRecvMsgSize(largest)),
	}
	if c.Dial != nil {
		dial := func(ctx context.Context, address string) (net.Conn, error) { return c.Dial(ctx, "tcp", address) }
		options = append(options, grpc.WithContextDialer(dial))
	}
	return grpc.NewClient("passthrough:///"+c.Address, options...)
}

// explain is the error of a participant that did not report its id.
func (c Client) explain(err error) error {
	if errors.Is(err, context.Canceled) {
		return err
	}
	p := &holdfast.Problem{
		Class: holdfast.Unreachable,
		What:  "the participant's admin API at " + c.Address + " did not answer",
		Err:   err,
		Do: "Check that the participant runs and that its port 5002 is reachable from here. " +
			"Compose does not publish this port.",
	}
	switch status.Code(err) {
	case codes.Unimplemented:
		p.Class = holdfast.Undetermined
		p.Do = "Check the address: it must be port 5002 of the participant, not its ledger API, a sequencer or " +
			"a mediator."
	case codes.Unauthenticated, codes.PermissionDenied:
		p.Class = holdfast.WrongKey
		p.Do = "Check for a proxy: Splice's admin API needs no token, but something in between requires one."
	}
	return p
}

// requests are sent over one connection.
type requests struct {
	conn    *grpc.ClientConn
	timeout time.Duration
}

func (q requests) call(ctx context.Context, method string, request, response any) error {
	ctx, cancel := context.WithTimeout(ctx, q.timeout)
	defer cancel()
	err := q.conn.Invoke(ctx, method, request, response)
	if err == nil {
		return nil
	}
	if s, ok := status.FromError(err); ok {
		return &statusError{method[strings.LastIndex(method, "/")+1:], s}
	}
	return err
}

// statusError is an error of gRPC in few words.
type statusError struct {
	method string
	status *status.Status
}

func (a *statusError) Error() string {
	return fmt.Sprintf("%s: %s: %s", a.method, a.status.Code(), a.status.Message())
}

// GRPCStatus lets status.Code read the status.
func (a *statusError) GRPCStatus() *status.Status { return a.status }

func (q requests) pruning(ctx context.Context) (*holdfast.Pruning, error) {
	var r ScheduleResponse
	if err := q.call(ctx, MethodSchedule, &Empty{}, &r); err != nil || r.Schedule == nil {
		return nil, err
	}
	s := r.Schedule.Schedule
	if s == nil {
		return nil, errors.New("the pruning schedule has an unknown form")
	}
	return &holdfast.Pruning{Cron: s.Cron, MaxDuration: s.MaxDuration.Length(), Retention: s.Retention.Length()}, nil
}

func (q requests) keys(ctx context.Context) ([]string, error) {
	var r KeysResponse
	if err := q.call(ctx, MethodKeys, &Empty{}, &r); err != nil {
		return nil, err
	}
	var names []string
	for _, k := range r.Keys {
		if k.Public != nil {
			names = append(names, k.Public.Name)
		}
	}
	slices.Sort(names)
	return names, nil
}

// parties reads, from every connected synchronizer's topology, the parties that
// this participant hosts.
func (q requests) parties(ctx context.Context, view observed.Participant) ([]observed.Party, error) {
	if view.ID == "" {
		return nil, errors.New("the participant has no identity")
	}
	if len(view.Connected) == 0 {
		return nil, errors.New("the participant is connected to no synchronizer, so its parties are unknown")
	}
	found := map[string]observed.Party{}
	for _, c := range view.Connected {
		var r PartiesResponse
		request := &PartiesRequest{Participant: view.ID, Query: &BaseQuery{
			Operation: AddReplace,
			Head:      &Empty{},
			Store:     &StoreID{Synchronizer: &SynchronizerID{ID: logical(c.PhysicalID)}},
		}}
		if err := q.call(ctx, MethodParties, request, &r); err != nil {
			return nil, err
		}
		for _, result := range r.Results {
			p := result.Item
			// The filter is a prefix, so another participant may match.
			if p == nil || !slices.ContainsFunc(p.Participants, func(h HostingParticipant) bool {
				return h.UID == view.ID
			}) {
				continue
			}
			one := observed.Party{
				ID:           p.Party,
				Participants: len(p.Participants),
				External:     p.SigningKeys != nil || namespace(p.Party) != namespace(view.ID),
			}
			if known, twice := found[p.Party]; twice {
				one.Participants = max(one.Participants, known.Participants)
				one.External = one.External || known.External
			}
			found[p.Party] = one
		}
	}
	out := make([]observed.Party, 0, len(found))
	for _, p := range found {
		out = append(out, p)
	}
	slices.SortFunc(out, func(a, b observed.Party) int { return strings.Compare(a.ID, b.ID) })
	return out, nil
}

// logical is the logical id within a physical one, "name::1220...::35-5".
func logical(physical string) string {
	if i := strings.LastIndex(physical, "::"); strings.Count(physical, "::") > 1 {
		return physical[:i]
	}
	return physical
}

func namespace(id string) string {
	_, after, _ := strings.Cut(id, "::")
	return after
}
