package kube_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"holdfast"
	"holdfast/internal/eventtest"
	"holdfast/node/kube"
	"holdfast/step"
)

// newLost is a cluster that has nothing of the node, and what a set has of it.
func newLost(t *testing.T, namespace string) (*small, *kube.Programs, holdfast.Set) {
	t.Helper()
	s, p := newSmall(t)
	o := documented("v")
	s.objects, s.pods, s.replicas = kube.Objects{}, nil, map[string]int{}
	own, err := json.Marshal(kube.Description{
		Namespace: namespace, Validator: "Deployment validator-app", Participant: "Deployment participant",
		Secrets: []kube.SecretName{{Name: "postgres-secrets", Keys: []string{"postgresPassword"}}, {Name: "pull"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	recorded := kept(t, o)
	p.Lost = kube.Lost{
		Record:    func(context.Context) (kube.Kept, error) { return recorded, nil },
		Directory: filepath.Join(t.TempDir(), "files"),
		Answers:   func(context.Context) error { return errors.New("no Service postgres") },
	}
	return s, p, holdfast.Set{Deployment: &holdfast.Deployment{
		Kind: kube.Kind, Machine: "namespace v of the cluster of context old", Own: own, NotKept: []string{"an Ingress"},
	}}
}

// A node that is lost with its namespace is surveyed: what is missing, by name and key,
// and what is typed before its databases are made and after.
func TestALostNode(t *testing.T) {
	s, p, set := newLost(t, "v")
	s.forbids = "GET /pull"
	survey, err := p.Survey(t.Context(), set, time.Now(), step.Log{})
	if err != nil {
		t.Fatal(err)
	}
	var said []string
	for _, b := range survey.Before {
		said = append(said, b.String())
	}
	for _, i := range survey.Install {
		said = append(said, map[bool]string{true: "first ", false: "then "}[i.First]+i.Of+": "+i.Lines)
	}
	said = append(said, survey.Aside...)
	said = append(said, survey.Original.Evidence...)
	text := strings.Join(said, "\n")
	for _, want := range []string{
		"write directory " + p.Lost.Directory, "install namespace v, wait until it is ready",
		"first namespace v: kubectl --context here create namespace v\n",
		"create secret generic postgres-secrets --from-file=postgresPassword=FILE\n",
		"whether Secret pull is there is unknown", "first objects that no release has: ", "first StatefulSet postgres: kubectl ",
		"then Deployment participant: kubectl ", "in no set: an Ingress",
		"the set was taken in namespace v of the cluster of context old, and here is no node in namespace v",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("it does not say %q:\n%s", want, text)
		}
	}
	if survey.Original.Verdict != holdfast.CannotTell || survey.Server == "" {
		t.Errorf("%+v", survey)
	}

	tries := 0
	p.Lost.Answers = func(context.Context) error {
		if tries++; tries < 2 {
			return errors.New("no Service postgres")
		}
		return nil
	}
	heard := &eventtest.Record{}
	if err := p.Do(t.Context(), survey.Before[1], heard.Hear); err != nil || len(eventtest.Of[step.Typing](heard)) != 1 ||
		len(eventtest.Of[step.Waiting](heard)) != 1 {
		t.Errorf("%v %v", err, heard.All())
	}

	s.forbids = ""
	survey, err = p.Survey(t.Context(), set, time.Now(), step.Log{})
	if err != nil || survey.Server != "" || len(survey.Before) != 1 || survey.Install[0].First {
		t.Errorf("where Postgres answers: %v %+v", err, survey)
	}
}

// The files of a lost node are its owner's alone, whole or not there, and are not
// removed when somebody has changed them.
func TestTheFilesOfALostNode(t *testing.T) {
	_, p, set := newLost(t, "v")
	survey, err := p.Survey(t.Context(), set, time.Now(), step.Log{})
	if err != nil {
		t.Fatal(err)
	}
	write, dir := survey.Before[0], p.Lost.Directory
	remove := step.Step{Act: step.Remove, Kind: step.Directory, Name: dir}
	heard := &eventtest.Record{}
	do := func(s step.Step) {
		t.Helper()
		if err := p.Do(t.Context(), s, heard.Hear); err != nil {
			t.Fatal(err)
		}
	}
	there := func() bool { _, err := os.Lstat(dir); return err == nil }
	if err := os.Mkdir(dir+".new", 0o700); err != nil { // a run that was killed
		t.Fatal(err)
	}
	do(write)
	list, err := os.ReadDir(dir)
	if err != nil || len(list) != 6 {
		t.Fatalf("%v %v", err, list)
	}
	for _, e := range list {
		if info, err := e.Info(); err != nil || info.Mode() != 0o600 {
			t.Errorf("%s: %v %v", e.Name(), info.Mode(), err)
		}
	}
	if info, err := os.Lstat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v %v", info.Mode(), err)
	}
	if again, err := p.Survey(t.Context(), set, time.Now(), step.Log{}); err != nil || again.Before[0].Act != step.Install {
		t.Errorf("files that are there are written again: %v %+v", err, again.Before)
	}
	do(remove)
	do(remove)
	if there() {
		t.Error("the files are left")
	}
	do(write)
	if err := os.WriteFile(filepath.Join(dir, "objects.json"), []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if do(remove); !there() || len(eventtest.Of[kube.FilesChanged](heard)) != 1 {
		t.Errorf("changed files are removed: %v", heard.All())
	}
}

// A node that is not lost, or of which nothing is known, is not made again.
func TestWhatIsNoLostNode(t *testing.T) {
	for _, x := range []struct {
		name, namespace string
		change          func(*small, *kube.Programs)
		want            string
	}{
		{"its participant runs", "v", func(s *small, _ *kube.Programs) {
			s.objects.Deployments, s.replicas["participant"] = documented("v").Deployments[:1], 1
		}, "there is no validator app in namespace v of the cluster of context here, but Deployment participant runs"},
		{"another namespace", "w", func(*small, *kube.Programs) {}, "ran in namespace w, and kube.namespace is v"},
		{"a set without a record", "v", func(_ *small, p *kube.Programs) {
			p.Lost.Record = func(ctx context.Context) (kube.Kept, error) { return kube.Recorded(ctx, holdfast.Set{ID: "s"}, nil) }
		}, "set s does not say how its node's namespace was made"},
		{"an undo", "v", func(_ *small, p *kube.Programs) { p.Lost = kube.Lost{} }, "no validator node in namespace v"},
	} {
		t.Run(x.name, func(t *testing.T) {
			s, p, set := newLost(t, x.namespace)
			x.change(s, p)
			if _, err := p.Survey(t.Context(), set, time.Now(), step.Log{}); err == nil || !strings.Contains(err.Error(), x.want) {
				t.Errorf("%v, want %q", err, x.want)
			}
		})
	}
	_, p, _ := newLost(t, "v")
	list := []step.Step{{Act: step.Remove, Kind: step.Directory, Name: "d"}}
	if got, err := p.Surround(t.Context(), list, time.Now()); err != nil || !step.Same(got, list) {
		t.Errorf("the way back: %v %v", got, err)
	}
}
