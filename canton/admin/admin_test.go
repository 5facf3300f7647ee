package admin_test

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"holdfast"
	"holdfast/canton/admin"
	"holdfast/internal/splicetest"
	"holdfast/observed"
)

func TestWhatAParticipantSays(t *testing.T) {
	node := splicetest.NewNode(t, splicetest.NodeOptions{})
	api, err := node.StartAdminAPI(node.ParticipantDSN())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(api.Close)
	client := admin.Client{Address: api.Address()}
	look := func() observed.Participant {
		t.Helper()
		view, err := client.Look(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return view
	}
	api.Host("shared::"+strings.SplitN(node.Party, "::", 2)[1], 2, false)
	api.Host("outside::1220aa", 0, true)

	view := look()
	pruning, _ := view.Pruning.Get()
	keys, _ := view.Keys.Get()
	if view.ID != node.Identities.ParticipantID || !view.Initialized || view.Version == "" ||
		len(view.Connected) != 1 || !view.Connected[0].Healthy ||
		pruning == nil || pruning.Retention != 48*time.Hour || len(keys) != len(node.Identities.Keys) {
		t.Errorf("%+v", view)
	}
	parties, ok := view.Parties.Get()
	hosts := map[string]observed.Party{}
	for _, p := range parties {
		hosts[strings.SplitN(p.ID, "::", 2)[0]] = p
	}
	if !ok || len(parties) != 4 || hosts["shared"].Participants != 3 || hosts["shared"].External ||
		!hosts["outside"].External || hosts["alice"].External {
		t.Errorf("%+v, %s", parties, view.Parties.Missing())
	}

	api.SetFault(splicetest.AdminUninitialized)
	if view := look(); view.Initialized || view.ID != "" || view.Parties.Missing() == "" {
		t.Errorf("a participant without an identity: %+v", view)
	}
	api.SetFault(splicetest.AdminOld)
	if view := look(); !view.Initialized || !strings.Contains(view.Pruning.Missing(), "Unimplemented") {
		t.Errorf("an old release: %+v", view)
	}
	api.SetFault(splicetest.AdminDisconnected)
	if view := look(); len(view.Connected) != 0 || !strings.Contains(view.Parties.Missing(), "no synchronizer") {
		t.Errorf("a participant that is not connected: %+v", view)
	}
	if _, err := (admin.Client{
		Address: "127.0.0.1:1",
		Timeout: time.Second,
	}).Look(t.Context()); holdfast.ClassOf(err) != holdfast.Unreachable {
		t.Errorf("nobody there: %v", err)
	}
}

func TestMessagesSurviveTheWire(t *testing.T) {
	want := admin.StatusResponse{Status: &admin.Status{
		Common: &admin.CommonStatus{
			UID:     "p::1220",
			Uptime:  admin.DurationOf(90 * time.Second),
			Active:  true,
			Version: "3.5.7",
		},
		Connected: []admin.SynchronizerHealth{{PhysicalID: "s::1220::35-5", Health: admin.Healthy}, {}},
		Active:    true,
	}}
	var got admin.StatusResponse
	if err := admin.Unmarshal(admin.Marshal(&want), &got); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v", got, err)
	}
	if d := got.Status.Common.Uptime.Length(); d != 90*time.Second {
		t.Errorf("uptime %v", d)
	}
	// Fields that are not known are skipped: a connected synchronizer has more
	// than its id's.
	var id admin.SynchronizerID
	if err := admin.Unmarshal(admin.Marshal(&admin.ConnectedSynchronizer{
		Alias:      "global",
		PhysicalID: "x",
		Healthy:    true,
	}), &id); err != nil || id.ID != "global" {
		t.Errorf("%+v, %v", id, err)
	}
}

func FuzzUnmarshal(f *testing.F) {
	f.Add(admin.Marshal(&admin.PartiesResponse{Results: []admin.PartyResult{{Item: &admin.PartyToParticipant{Party: "p"}}}}))
	f.Add([]byte{0x0a, 0xff})
	f.Fuzz(func(_ *testing.T, data []byte) {
		for _, into := range []any{&admin.StatusResponse{}, &admin.PartiesResponse{}, &admin.ScheduleResponse{},
			&admin.KeysResponse{}} {
			_ = admin.Unmarshal(data, into)
		}
	})
}
