package imitation

import (
	"context"
	"fmt"
	"net"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
)

// The methods that are answered, by their full names in Canton 3.5; the last
// two are our own, for what the real ones need a dozen calls for.
const (
	getID             = "/com.digitalasset.canton.topology.admin.v30.IdentityInitializationService/GetId"
	participantStatus = "/com.digitalasset.canton.admin.participant.v30.ParticipantStatusService/ParticipantStatus"
	getLedgerEnd      = "/com.daml.ledger.api.v2.StateService/GetLedgerEnd"
	initialise        = "/splicetest.Imitation/Initialise"
	exportIdentities  = "/splicetest.Imitation/ExportIdentities"
)

// frame is one message, its bytes as they travel.
type frame struct{ bytes []byte }

// plain passes messages through; the few fields we use are written by hand.
type plain struct{}

func (plain) Name() string { return "proto" }

func (plain) Marshal(v any) ([]byte, error) { return v.(*frame).bytes, nil }

func (plain) Unmarshal(data []byte, v any) error {
	v.(*frame).bytes = append([]byte(nil), data...)
	return nil
}

// method answers one request.
type method func(ctx context.Context, request []byte) ([]byte, error)

// serveMethods answers those methods on an address until the context ends.
func serveMethods(ctx context.Context, address string, methods map[string]method) error {
	answer := func(_ any, stream grpc.ServerStream) error {
		name, _ := grpc.MethodFromServerStream(stream)
		m, ok := methods[name]
		if !ok {
			return status.Errorf(codes.Unimplemented, "Method not found: %s", name)
		}
		var request frame
		if err := stream.RecvMsg(&request); err != nil {
			return err
		}
		response, err := m(stream.Context(), request.bytes)
		if err != nil {
			return status.Error(codes.Internal, err.Error())
		}
		return stream.SendMsg(&frame{response})
	}
	return serve(ctx, address,
		grpc.NewServer(grpc.ForceServerCodec(plain{}), grpc.UnknownServiceHandler(answer),
			grpc.MaxRecvMsgSize(64<<20)))
}

// serveHealth says SERVING, whatever the state: a participant without an
// identity does too.
func serveHealth(ctx context.Context, address string) error {
	checks := health.NewServer()
	checks.SetServingStatus("liveness", grpc_health_v1.HealthCheckResponse_SERVING)
	server := grpc.NewServer()
	grpc_health_v1.RegisterHealthServer(server, checks)
	return serve(ctx, address, server)
}

func serve(ctx context.Context, address string, server *grpc.Server) error {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, server.Stop)()
	if err := server.Serve(listener); err != nil && ctx.Err() == nil {
		return fmt.Errorf("serve %s: %w", address, err)
	}
	return ctx.Err()
}

// call calls one method.
func call(ctx context.Context, address, method string, request []byte) ([]byte, error) {
	conn, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.ForceCodec(plain{})))
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	var response frame
	err = conn.Invoke(ctx, method, &frame{request}, &response)
	return response.bytes, err
}

func bytesField(to []byte, number protowire.Number, value []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(to, number, protowire.BytesType), value)
}

func intField(to []byte, number protowire.Number, value uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(to, number, protowire.VarintType), value)
}

func boolField(to []byte, number protowire.Number, value bool) []byte {
	if !value {
		return to
	}
	return intField(to, number, 1)
}

// fields reads the top level of a message: numbers and bytes, the last of each.
func fields(m []byte) (numbers map[protowire.Number]uint64, texts map[protowire.Number]string) {
	numbers, texts = map[protowire.Number]uint64{}, map[protowire.Number]string{}
	for len(m) > 0 {
		number, kind, tag := protowire.ConsumeTag(m)
		length := protowire.ConsumeFieldValue(number, kind, m[max(tag, 0):])
		if tag < 0 || length < 0 {
			return numbers, texts
		}
		switch value := m[tag : tag+length]; kind {
		case protowire.VarintType:
			numbers[number], _ = protowire.ConsumeVarint(value)
		case protowire.BytesType:
			text, _ := protowire.ConsumeBytes(value)
			texts[number] = string(text)
		}
		m = m[tag+length:]
	}
	return numbers, texts
}

// Identity asks a participant's admin API (port 5002) who it is: "" while it
// has no identity, otherwise hint::1220….
func Identity(ctx context.Context, address string) (string, error) {
	response, err := call(ctx, address, getID, nil)
	if err != nil {
		return "", err
	}
	initialised, texts := fields(response)
	if initialised[1] == 0 {
		return "", nil
	}
	return texts[2], nil
}

// LedgerEnd asks a participant's ledger API (port 5001) how far it is.
func LedgerEnd(ctx context.Context, address string) (int64, error) {
	response, err := call(ctx, address, getLedgerEnd, nil)
	if err != nil {
		return 0, err
	}
	numbers, _ := fields(response)
	return int64(numbers[1]), nil
}
