package endtoend

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"testing"
	"time"

	"holdfast"
	"holdfast/capture/postgres"
	"holdfast/databases"
	"holdfast/event"
	"holdfast/identities"
	"holdfast/internal/child"
	"holdfast/internal/libpq"
	"holdfast/place"
	"holdfast/repository"
	"holdfast/restore"
	"holdfast/step"
)

// childEnv makes the test binary play one run of the program, which may then
// be killed.
const childEnv = "HOLDFAST_TEST_CHILD"

// task is what a child process does.
type task struct {
	Do                     string // "lock", "backup" or "restore"
	Participant, Validator string
	App                    string // the validator app's URL
	Repository             string
	Set                    holdfast.SetID
	StorageAt, DatabaseAt  int64    // the call at which to be killed; 0 never
	KillAt                 step.Act // at whose last step a restore is killed; "" never
}

func (e task) parts() (*parts, error) {
	p := &parts{Node: databases.Live{
		Node: holdfast.Node{Name: "demo", Components: []holdfast.Component{
			{Name: "participant", Kind: holdfast.Participant}, {Name: "validator", Kind: holdfast.Validator},
		}},
		Addresses: map[holdfast.ComponentName]libpq.Address{},
	}, Dump: postgres.Options{Lanes: 1, Connections: 6}}
	calls := &counter{at: e.DatabaseAt, kill: true}
	for name, dsn := range map[holdfast.ComponentName]string{"participant": e.Participant, "validator": e.Validator} {
		info, err := libpq.Parse(dsn)
		if err != nil {
			return nil, err
		}
		p.Node.Addresses[name] = libpq.Address{Conninfo: info, Dial: calls.dial}
	}
	var err error
	p.Repository, err = repository.Open(context.Background(), place.Directory(e.Repository),
		holdfast.NewSecret(password),
		faulty(&counter{at: e.StorageAt, kill: true}))
	if err != nil {
		return nil, err
	}
	to, err := identities.ParseRecipients([]string{recipientKey})
	p.Identities = keeper(e.App, to)
	return p, err
}

// runTask runs the task of a child process and reports its end.
func runTask() int {
	var e task
	err := json.Unmarshal([]byte(os.Getenv(childEnv)), &e)
	if err == nil {
		err = e.run(context.Background())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Println("done")
	return 0
}

func (e task) run(ctx context.Context) error {
	p, err := e.parts()
	if err != nil {
		return err
	}
	defer func() { _ = p.Repository.Close(ctx) }()
	switch e.Do {
	case "lock":
		if _, _, err := p.Node.Lock(ctx, 0); err != nil {
			return err
		}
		fmt.Println("locked")
		_, err = io.Copy(io.Discard, os.Stdin)
		return err
	case "backup":
		_, err = p.job().Run(ctx)
		return err
	case "restore":
		set, files, err := p.Repository.Find(ctx, p.Node.Name, string(e.Set))
		if err != nil {
			return err
		}
		plan, err := restore.Make(ctx, p.target(), set, restore.Options{}, time.Now())
		if err != nil {
			return err
		}
		_, err = restore.Apply(ctx, p.target(), plan, set, files, e.kill(plan))
		return err
	}
	return errors.New("nothing to do")
}

// kill ends the process when the last step of KillAt begins.
func (e task) kill(plan restore.Plan) event.Listener {
	last := -1
	for _, s := range plan.Steps {
		if s.Act == e.KillAt {
			last++
		}
	}
	return func(heard event.Event) {
		if began, ok := heard.(step.Began); !ok || began.Step.Act != e.KillAt {
			return
		}
		if last--; last < 0 {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			time.Sleep(time.Minute) // until it arrives
		}
	}
}

func (b *bed) task(do string) task {
	return task{
		Do:          do,
		Participant: b.ParticipantDSN(),
		Validator:   b.ValidatorDSN(),
		App:         b.App.URL(),
		Repository:  b.Dir,
	}
}

func start(t testing.TB, e task) *child.Process {
	t.Helper()
	text, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	return child.Start(t, nil, childEnv+"="+string(text))
}
