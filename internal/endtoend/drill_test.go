package endtoend

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"holdfast"
	"holdfast/capture/postgres"
	"holdfast/databases"
	"holdfast/drill"
	"holdfast/internal/libpq"
	"holdfast/internal/splicetest"
	"holdfast/sandbox"
)

// sandboxes are sandbox servers below one directory, put together as the
// program does it.
type sandboxes struct{ sandbox.Host }

func newSandboxes(t *testing.T) sandboxes {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	v, err := splicetest.FindVersion("")
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("/tmp", "hfe-")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if left, _ := filepath.Glob(filepath.Join(dir, "*")); len(left) > 0 {
			t.Errorf("drills have left %v", left)
		}
		_ = os.RemoveAll(dir)
	})
	return sandboxes{sandbox.Host{Dir: dir, Programs: v.Bin, Inside: []string{program}, KeepFree: 1}}
}

func (h sandboxes) What() string { return "the server programs of the tests" }

func (h sandboxes) Room(_ context.Context, need int64) (holdfast.Finding, error) {
	return h.Host.Room(need)
}

func (h sandboxes) Open(ctx context.Context, set holdfast.Set) (drill.Place, error) {
	s, err := h.Start(ctx, 0, "set "+string(set.ID))
	if err != nil {
		return nil, err
	}
	p := rehearsed{server: s}
	p.Target = databases.Target{
		Live: databases.Live{Node: set.Node, Addresses: map[holdfast.ComponentName]libpq.Address{}},
		Now:  time.Now,
		Loader: func(_ holdfast.ComponentName, through libpq.Address) databases.Loader {
			return postgres.Loader{Address: through, Facts: readFacts, Options: postgres.LoadOptions{Lanes: 2}}
		}}
	for _, c := range set.Parts() {
		p.Addresses[c.Component] = s.Address.On("drill-" + string(c.Component))
		if err := s.Roles(ctx, append(c.Database.Roles, c.Database.Owner)); err != nil {
			return nil, errors.Join(err, s.Stop())
		}
	}
	return p, nil
}

type rehearsed struct {
	databases.Target
	server *sandbox.Server
}

func (p rehearsed) Isolation() holdfast.Finding { return p.server.Isolation }
func (p rehearsed) Server() string              { return p.server.Version }
func (p rehearsed) Close() error                { return p.server.Stop() }
func (p rehearsed) Ask(ctx context.Context, c holdfast.ComponentName, sql string) (holdfast.Finding, error) {
	return p.server.Ask(ctx, "drill-"+string(c), sql)
}

// rehearse drills a set.
func (p *parts) rehearse(t *testing.T, id holdfast.SetID) (*drill.Report, error) {
	t.Helper()
	set, files := p.find(t, id)
	return rehearse(t, set, files)
}

func rehearse(t *testing.T, set holdfast.Set, files holdfast.Files) (*drill.Report, error) {
	t.Helper()
	j := drill.Job{Host: newSandboxes(t), Now: time.Now, Version: "test", Machine: "test"}
	plan, err := j.Plan(t.Context(), set, nil)
	if err != nil {
		t.Fatal(err)
	}
	return j.Run(t.Context(), plan, set, files)
}
