package contract_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"holdfast/canton/admin"
	"holdfast/internal/splicetest"
	"holdfast/internal/splicetest/imitation"
)

// hosted is a party as the vendor's types write it in JSON.
type hosted struct {
	Context *struct {
		Store struct {
			Synchronizer struct{ ID string }
		}
		Operation            string
		Serial               int
		SignedByFingerprints []string
		TransactionHash      []byte
		ValidFrom, Sequenced time.Time
	}
	Item struct {
		Party        string
		Threshold    int
		Participants []struct{ ParticipantUID, Permission string }
	}
}

// lacks says what a real participant's result has and this one does not.
func (h hosted) lacks(synchronizer string) string {
	permissions := []string{"PARTICIPANT_PERMISSION_SUBMISSION", "PARTICIPANT_PERMISSION_CONFIRMATION"}
	switch c := h.Context; {
	case c == nil:
		return "no context"
	case c.Store.Synchronizer.ID != synchronizer || c.Operation != "TOPOLOGY_CHANGE_OP_ADD_REPLACE" || c.Serial < 1:
		return "it is not in force in that store"
	case len(c.SignedByFingerprints) == 0 || len(c.TransactionHash) == 0 || c.ValidFrom.IsZero() || c.Sequenced.IsZero():
		return "no signers, hash or times"
	}
	if h.Item.Threshold < 1 {
		return "no threshold"
	}
	for _, p := range h.Item.Participants {
		if !slices.Contains(permissions, p.Permission) || !strings.Contains(p.ParticipantUID, "::1220") {
			return "a participant without id or permission"
		}
	}
	return ""
}

// reply is what came of a call of the vendor's client.
type reply[T any] struct {
	Answer  *T
	Code    string
	Message string
}

func TestTheVendorsClientsAskTheImitatedParticipant(t *testing.T) {
	packages(t) // before a server is started for nothing
	node := splicetest.NewNode(t, splicetest.NodeOptions{TCP: true})
	api, err := node.StartAdminAPI(node.ParticipantDSN())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(api.Close)
	api.Host("shared::1220aa", 2, false)
	api.Host("outside::1220bb", 0, true)
	program := runParticipant(t, node)

	var got struct {
		Parties, Elsewhere reply[struct{ Results []hosted }]
		Stores             reply[any]
		End                reply[struct{ Offset string }]
		Pruned             reply[any]
		Unknown            []string
	}
	run(t, "client.mjs", map[string]string{
		"admin": api.Address(), "ledgerAPI": address(program.Ports.Ledger),
		"synchronizer": node.Synchronizer, "participant": node.Identities.ParticipantID,
	}, &got)

	if got.Parties.Answer == nil {
		t.Fatalf("the parties: %s %s", got.Parties.Code, got.Parties.Message)
	}
	hosts := map[string]int{}
	for _, r := range got.Parties.Answer.Results {
		hosts[r.Item.Party] = len(r.Item.Participants)
		if why := r.lacks(node.Synchronizer); why != "" {
			t.Errorf("%s: %s: %+v", r.Item.Party, why, r)
		}
	}
	if hosts[node.Party] != 1 || hosts["shared::1220aa"] != 3 || hosts["outside::1220bb"] != 1 {
		t.Errorf("%v", hosts)
	}
	// Of the fields, theirs are from before external parties had keys of their own.
	if want := []string{"com.digitalasset.canton.protocol.v30.PartyToParticipant 6"}; !slices.Equal(got.Unknown, want) {
		t.Errorf("fields that the vendor's types do not know: %q, want %q", got.Unknown, want)
	}
	end, err := splicetest.LedgerEnd(t.Context(), node.ParticipantDSN())
	if err != nil || got.End.Answer == nil || got.End.Answer.Offset != strconv.FormatInt(end, 10) {
		t.Errorf("the ledger end: %+v, want %d (%v)", got.End, end, err)
	}
	// The JSON API says the same under the same name, in both lines of releases.
	var answers []recorded
	for _, source := range []string{"openapi-3.4.12", "openapi-3.5.1"} {
		answers = append(answers, recorded{
			Source: source, Path: "/v2/state/ledger-end", Status: 200, Body: fmt.Sprintf(`{"offset": %d}`, end),
		})
	}
	if j := judge(t, answers, []string{}); len(j.Faults[0])+len(j.Faults[1]) > 0 {
		t.Errorf("the JSON ledger API: %q", j.Faults)
	}
	for _, refused := range []struct{ what, got, want string }{
		{"another store's parties", got.Elsewhere.Code, "INVALID_ARGUMENT"},
		{"a method that is not imitated", got.Stores.Code, "UNIMPLEMENTED"},
		{"one of the ledger API", got.Pruned.Code, "UNIMPLEMENTED"},
	} {
		if refused.got != refused.want {
			t.Errorf("%s: %q, want %q", refused.what, refused.got, refused.want)
		}
	}
}

// runParticipant runs the imitated participant on the node's database until the
// test ends.
func runParticipant(t *testing.T, node *splicetest.Node) *imitation.Participant {
	t.Helper()
	p := &imitation.Participant{
		Storage: imitation.Storage{
			Server: "127.0.0.1", Port: strconv.Itoa(node.Participant.Port()), Database: splicetest.ParticipantDatabase,
			Schema: "participant", User: splicetest.DatabaseOwner,
		},
		Ports: imitation.Ports{Ledger: freePort(t), Admin: freePort(t), Health: freePort(t), Metrics: freePort(t)},
		Log:   io.Discard,
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
	client := admin.Client{Address: address(p.Ports.Admin), Timeout: time.Second}
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		id, err := client.Who(t.Context())
		if err == nil && id == node.Identities.ParticipantID {
			return p
		}
		if time.Now().After(deadline) {
			t.Fatalf("the participant says it is %q: %v", id, err)
		}
	}
}

func address(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func TestOurClientAsksAParticipantOfTheVendorsTypes(t *testing.T) {
	const us, physical = "alice-validator-1::1220aa", "global-domain::1220bb::35-5"
	context := map[string]any{
		"store":     map[string]any{"synchronizer": map[string]any{"id": "global-domain::1220bb"}},
		"sequenced": "2026-01-01T00:00:00Z", "validFrom": "2026-01-01T00:00:00Z",
		"operation": "TOPOLOGY_CHANGE_OP_ADD_REPLACE", "serial": 3,
		"transactionHash": "EiA=", "signedByFingerprints": []string{"1220aa"},
	}
	party := func(id string, participants ...string) map[string]any {
		var hosts []map[string]any
		for _, p := range participants {
			hosts = append(hosts, map[string]any{"participantUid": p, "permission": "PARTICIPANT_PERMISSION_CONFIRMATION"})
		}
		return map[string]any{"context": context, "item": map[string]any{"party": id, "threshold": 1, "participants": hosts}}
	}
	status := admin.Marshal(&admin.StatusResponse{Status: &admin.Status{
		Common:    &admin.CommonStatus{UID: us, Active: true},
		Connected: []admin.SynchronizerHealth{{PhysicalID: physical, Health: admin.Healthy}},
	}})
	s := start(t, "participant.mjs", map[string]any{
		"answers": map[string][]byte{admin.MethodStatus: status},
		"parties": []any{
			party("alice::1220aa", us), party("shared::1220aa", "bob::1220cc", us),
			party("foreign::1220cc", us), party("elsewhere::1220cc", us+"0"),
		},
	})
	view, err := admin.Client{Address: s.Address}.Look(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	parties, _ := view.Parties.Get()
	var said []string
	for _, p := range parties {
		text := p.ID + " " + strconv.Itoa(p.Participants)
		if p.External {
			text += " external"
		}
		said = append(said, text)
	}
	if want := []string{"alice::1220aa 1", "foreign::1220cc 1 external", "shared::1220aa 2"}; !slices.Equal(said, want) {
		t.Errorf("got %q, want %q (%s)", said, want, view.Parties.Missing())
	}
	var seen struct {
		Requests []json.RawMessage
		Unknown  []string
	}
	if err := s.finish(&seen); err != nil {
		t.Fatal(err)
	}
	const want = `{"baseQuery": {"store": {"synchronizer": {"id": "global-domain::1220bb"}},
		"operation": "TOPOLOGY_CHANGE_OP_ADD_REPLACE", "headState": {}}, "filterParticipant": "` + us + `"}`
	if len(seen.Unknown) > 0 || len(seen.Requests) != 1 || !equalJSON(t, string(seen.Requests[0]), want) {
		t.Errorf("the vendor's types read %s, unknown %v", seen.Requests, seen.Unknown)
	}
}
