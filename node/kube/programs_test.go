package kube_test

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"holdfast"
	"holdfast/event"
	"holdfast/node/kube"
	"holdfast/step"
)

// small is a cluster of what a restore uses: objects that are listed, scales, and
// pods that follow them at once. TestARestoreInACluster has the real API server.
type small struct {
	t *testing.T

	mu       sync.Mutex
	objects  kube.Objects
	replicas map[string]int
	pods     []corev1.Pod
	made     int             // pods so far
	did      []string        // scales that were set
	forbids  string          // what is not allowed: a method and the end of a path
	fails    int             // requests that are not answered
	stays    bool            // pods do not end
	back     int             // how often somebody scales up what was scaled to zero
	status   corev1.PodPhase // of pods that are made; ready if ""
	ends     int32           // how often a container of theirs has ended, more with each look
	journals map[string]string
}

const participantID = "acme::1220"

func newSmall(t *testing.T) (*small, *kube.Programs) {
	t.Helper()
	s := &small{t: t, objects: documented("v"), replicas: map[string]int{}}
	for i := range s.objects.Deployments {
		d := &s.objects.Deployments[i]
		d.UID = types.UID("uid-of-" + d.Name)
		s.replicas[d.Name] = 1
		s.make(d.Name)
	}
	server := httptest.NewTLSServer(http.HandlerFunc(s.serve))
	t.Cleanup(server.Close)
	dir := t.TempDir()
	authority := filepath.Join(dir, "ca")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	config := fmt.Sprintf("apiVersion: v1\nkind: Config\ncurrent-context: here\n"+
		"clusters: [{name: c, cluster: {server: '%s', certificate-authority: '%s'}}]\nusers: [{name: u, user: {token: x}}]\n"+
		"contexts: [{name: here, context: {cluster: c, user: u, namespace: v}}]\n", server.URL, authority)
	for path, text := range map[string]string{authority: string(text), filepath.Join(dir, "config"): config} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c, err := kube.Connect(kube.Options{Kubeconfig: filepath.Join(dir, "config"), Within: 10 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	return s, &kube.Programs{
		Node: kube.Node{Cluster: c, Namespace: "v"}, Patience: 10 * time.Second,
		Identity: func(context.Context) (string, error) { return participantID, nil },
	}
}

func (s *small) make(name string) {
	s.made++
	p := corev1.Pod{ObjectMeta: metav1.ObjectMeta{
		Name: fmt.Sprintf("%s-%d", name, s.made), Namespace: "v", UID: types.UID(fmt.Sprint(s.made)), Labels: map[string]string{"app": name},
		OwnerReferences: []metav1.OwnerReference{{Kind: "ReplicaSet", Name: name + "-5d", Controller: new(true)}},
	}}
	if p.Status.Phase = s.status; s.status == "" {
		p.Status.Phase = corev1.PodRunning
		p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
	}
	s.pods = append(s.pods, p)
}

// scale is what a controller makes of a workload's scale: here, at once.
func (s *small) scale(name string, replicas int) {
	s.did = append(s.did, fmt.Sprintf("%s %d", name, replicas))
	if replicas == 0 && s.back > 0 {
		s.back--
		defer s.scale(name, 1)
	}
	s.replicas[name] = replicas
	there := 0
	s.pods = slices.DeleteFunc(s.pods, func(p corev1.Pod) bool {
		if p.Labels["app"] != name {
			return false
		}
		there++
		return there > replicas && !s.stays
	})
	for ; there < replicas; there++ {
		s.make(name)
	}
}

func (s *small) serve(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fails > 0 {
		s.fails--
		panic(http.ErrAbortHandler)
	}
	w.Header().Set("Content-Type", "application/json")
	if method, path, _ := strings.Cut(s.forbids, " "); s.forbids != "" && method == r.Method && strings.HasSuffix(r.URL.Path, path) {
		w.WriteHeader(http.StatusForbidden)
		_, _ = io.WriteString(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Forbidden","code":403}`)
		return
	}
	var answer any
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	switch last := parts[len(parts)-1]; last {
	case "deployments":
		list := slices.Clone(s.objects.Deployments)
		for i := range list {
			list[i].Spec.Replicas = new(int32(s.replicas[list[i].Name])) //nolint:gosec // a few
		}
		answer = map[string]any{"kind": "DeploymentList", "apiVersion": "apps/v1", "items": list}
	case "statefulsets":
		answer = map[string]any{"kind": "StatefulSetList", "apiVersion": "apps/v1", "items": s.objects.StatefulSets}
	case "services":
		answer = map[string]any{"kind": "ServiceList", "apiVersion": "v1", "items": s.objects.Services}
	case "pods":
		answer = map[string]any{"kind": "PodList", "apiVersion": "v1", "items": s.selected(r.URL.Query().Get("labelSelector"))}
	case "scale":
		name := parts[len(parts)-2]
		if _, there := s.replicas[name]; !there {
			w.WriteHeader(http.StatusNotFound)
			_, _ = io.WriteString(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"NotFound","code":404}`)
			return
		}
		if r.Method == http.MethodPatch {
			var patch struct{ Spec struct{ Replicas int } }
			if err := json.NewDecoder(r.Body).Decode(&patch); err != nil {
				s.t.Error(err)
			}
			if r.URL.Query().Get("dryRun") == "" {
				s.scale(name, patch.Spec.Replicas)
			}
		}
		answer = map[string]any{
			"kind": "Scale", "apiVersion": "autoscaling/v1",
			"spec": map[string]int{"replicas": s.replicas[name]}, "status": map[string]any{"selector": "app=" + name},
		}
	case "configmaps", kube.JournalMap:
		answer = s.journal(w, r)
	default: // a Secret or a ConfigMap
		w.WriteHeader(http.StatusNotFound)
		answer = metav1.Status{TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Reason: metav1.StatusReasonNotFound, Code: http.StatusNotFound}
	}
	if err := json.NewEncoder(w).Encode(answer); err != nil {
		s.t.Error(err)
	}
}

// journal is the ConfigMap of journals.
func (s *small) journal(w http.ResponseWriter, r *http.Request) any {
	if r.Method == http.MethodPost && s.journals == nil {
		s.journals = map[string]string{}
	}
	if s.journals == nil {
		w.WriteHeader(http.StatusNotFound)
		return metav1.Status{TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Reason: metav1.StatusReasonNotFound, Code: http.StatusNotFound}
	}
	if r.Method == http.MethodPatch {
		var patch struct{ Data map[string]*string }
		if err := json.NewDecoder(r.Body).Decode(&patch); err != nil {
			s.t.Error(err)
		}
		for key, text := range patch.Data {
			if delete(s.journals, key); text != nil {
				s.journals[key] = *text
			}
		}
	}
	return corev1.ConfigMap{TypeMeta: metav1.TypeMeta{Kind: "ConfigMap", APIVersion: "v1"}, Data: s.journals}
}

// A journal is kept in the cluster, next to that of another node.
func TestAJournalInTheCluster(t *testing.T) {
	s, p := newSmall(t)
	is := func(key, want string) {
		t.Helper()
		if text, err := p.Node.Kept(t.Context(), key); err != nil || string(text) != want {
			t.Errorf("%s: %q, %v", key, text, err)
		}
	}
	is("a.json", "")
	if err := p.Node.Keep(t.Context(), "a.json", nil); err != nil || s.journals != nil {
		t.Errorf("%v, %v", err, s.journals)
	}
	for key, text := range map[string]string{"a.json": "{}", "b.json": "[]"} {
		s.fails = 1 // an answer is lost
		if err := p.Node.Keep(t.Context(), key, []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	is("a.json", "{}")
	if err := p.Node.Keep(t.Context(), "a.json", nil); err != nil {
		t.Fatal(err)
	}
	is("a.json", "")
	is("b.json", "[]")
	s.forbids = "PATCH /" + kube.JournalMap
	err := p.Node.Keep(t.Context(), "a.json", []byte("{}"))
	if _, do := holdfast.Advice(err); holdfast.ClassOf(err) != holdfast.WrongKey || !strings.Contains(do, "role-restore.yaml") {
		t.Errorf("%v\n%s", err, do)
	}
}

func (s *small) selected(selector string) []corev1.Pod {
	out := []corev1.Pod{}
	s.ends++
	for _, p := range s.pods {
		if selector != "" && selector != "app="+p.Labels["app"] {
			continue
		}
		if s.status != "" {
			p.Status.ContainerStatuses = []corev1.ContainerStatus{{
				Name: "main", RestartCount: s.ends,
				State:                corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff"}},
				LastTerminationState: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 3, Message: "no such host"}},
			}}
		}
		out = append(out, p)
	}
	return out
}

// seen are the events of a step.
type seen struct{ all []string }

func (s *seen) listen(e event.Event) { s.all = append(s.all, e.String()) }

func said(steps []step.Step) (out []string) {
	for _, s := range steps {
		out = append(out, s.String())
	}
	return out
}

// setOf is a set of the namespace as it is.
func setOf(t *testing.T, p *kube.Programs) holdfast.Set {
	t.Helper()
	_, v, err := p.Node.Find(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	own, err := json.Marshal(kube.Description{Namespace: "v", Workloads: []kube.Installed{
		{Name: v.App.String(), UID: "uid-of-" + v.App.Name}, {Name: v.Participant.String(), UID: "uid-of-" + v.Participant.Name},
	}})
	if err != nil {
		t.Fatal(err)
	}
	return holdfast.Set{
		Deployment: &holdfast.Deployment{Kind: kube.Kind, Machine: "namespace v", Own: own},
		Captures: []holdfast.Capture{{Components: []holdfast.Captured{{
			Component: "participant", Kind: holdfast.Participant,
			Facts: holdfast.Facts{Participant: &holdfast.ParticipantFacts{ParticipantID: participantID}},
		}}}},
	}
}

const (
	stopApp          = "stop workload deployment/validator-app, scale from 1 to 0"
	stopParticipant  = "stop workload deployment/participant, scale from 1 to 0"
	startParticipant = "start workload deployment/participant, scale from 0 to 1"
	startApp         = "start workload deployment/validator-app, scale from 0 to 1"
	expecting        = ", expecting participant " + participantID + ", wait until it is ready"
)

// What a restore does with the workloads, and with nothing else: both are scaled to
// zero, the app first, and back, the participant first.
func TestStepsOfWorkloads(t *testing.T) {
	s, p := newSmall(t)
	set := setOf(t, p)
	got, err := p.Survey(t.Context(), set, time.Now(), step.Log{})
	if err != nil {
		t.Fatal(err)
	}
	if before := []string{stopApp, stopParticipant}; !slices.Equal(said(got.Before), before) {
		t.Errorf("before: %q", said(got.Before))
	}
	if after := []string{startParticipant + expecting, startApp + expecting}; !slices.Equal(said(got.After), after) {
		t.Errorf("after: %q", said(got.After))
	}
	if got.Original.Verdict != holdfast.Holds || len(got.Aside) > 0 || len(s.did) > 0 {
		t.Errorf("%+v, %q, did %q", got.Original, got.Aside, s.did)
	}
	for _, o := range slices.Concat(got.Before, got.After) {
		if err := p.Do(t.Context(), o, nil); err != nil {
			t.Fatal(err)
		}
	}
	if want := []string{"validator-app 0", "participant 0", "participant 1", "validator-app 1"}; !slices.Equal(s.did, want) {
		t.Errorf("scaled %q", s.did)
	}
}

// Replicas are those before the first run, or what a chart has where nobody knows.
func TestReplicasAreRemembered(t *testing.T) {
	s, p := newSmall(t)
	set := setOf(t, p)
	s.scale("participant", 0)
	s.scale("validator-app", 0)
	log := step.Log{Entries: []step.Entry{{
		Step: step.Step{Act: step.Stop, Kind: step.Workload, Name: "deployment/participant", Replicas: 3}, Mark: step.Done,
	}}}
	got, err := p.Survey(t.Context(), set, time.Now(), log)
	want := []string{strings.Replace(startParticipant, "to 1", "to 3", 1) + expecting, startApp + expecting}
	if err != nil || len(got.Before) > 0 || !slices.Equal(said(got.After), want) {
		t.Errorf("%v, %q, %q", err, said(got.Before), said(got.After))
	}
}

// The original is the one that is stopped if its objects are the very same.
func TestAnotherNamespaceMayHaveTheOriginal(t *testing.T) {
	s, p := newSmall(t)
	set := setOf(t, p)
	s.objects.Deployments[0].UID = "of another cluster"
	for _, old := range []holdfast.Set{set, {}} {
		got, err := p.Survey(t.Context(), old, time.Now(), step.Log{})
		if err != nil || got.Original.Verdict != holdfast.CannotTell || len(got.Original.Evidence) == 0 {
			t.Errorf("%v, %+v", err, got.Original)
		}
	}
}

// Who keeps a workload as it is may scale it back: the plan names him, and how he is
// paused.
func TestThePlanNamesWhoScalesBack(t *testing.T) {
	s, p := newSmall(t)
	s.objects.Deployments[0].Labels["helm.toolkit.fluxcd.io/name"] = "node"
	s.objects.Deployments[0].Labels["helm.toolkit.fluxcd.io/namespace"] = "flux-system"
	s.objects.Deployments[1].Annotations = map[string]string{"argocd.argoproj.io/tracking-id": "canton:apps/Deployment:v/x"}
	got, err := p.Survey(t.Context(), setOf(t, p), time.Now(), step.Log{})
	text := strings.Join(got.Aside, "\n")
	if err != nil || len(got.Aside) != 2 {
		t.Fatalf("%v, %s", err, text)
	}
	for _, want := range []string{"flux suspend helmrelease node --namespace flux-system", "kubectl annotate application canton argocd"} {
		if !strings.Contains(text, want) {
			t.Errorf("it does not name %q:\n%s", want, text)
		}
	}
}

// What may not be scaled is found out while everything runs.
func TestWithoutTheRightToScale(t *testing.T) {
	for _, forbids := range []string{"GET /scale", "PATCH /scale"} {
		s, p := newSmall(t)
		set := setOf(t, p)
		s.forbids = forbids
		_, err := p.Survey(t.Context(), set, time.Now(), step.Log{})
		_, do := holdfast.Advice(err)
		verb := strings.ToLower(strings.Fields(forbids)[0])
		if holdfast.ClassOf(err) != holdfast.WrongKey || !strings.Contains(do, "Give the right to "+verb+" deployments/scale") ||
			!strings.Contains(do, "role-restore.yaml") || len(s.did) > 0 {
			t.Errorf("%v\n%s", err, do)
		}
	}
}

// Somebody who scales up again is answered a few times. Then he may: the databases
// are closed.
func TestScaledUpMeanwhile(t *testing.T) {
	stop := step.Step{Act: step.Stop, Kind: step.Workload, Name: "deployment/participant", Of: "participant", Replicas: 1}
	for back, want := range map[int]int{1: 0, 100: 1} {
		s, p := newSmall(t)
		s.back = back
		var got seen
		if err := p.Do(t.Context(), stop, got.listen); err != nil {
			t.Fatal(err)
		}
		if s.replicas["participant"] != want || len(got.all) == 0 || len(s.did) > 10 {
			t.Errorf("%d times: %d replicas, %q, did %q", back, s.replicas["participant"], got.all, s.did)
		}
		for _, pod := range s.pods { // those that it had are gone in any case
			if strings.HasPrefix(pod.Name, "participant") && pod.UID == "1" {
				t.Errorf("pod %s is there", pod.Name)
			}
		}
	}
	s, p := newSmall(t)
	log := step.Log{Entries: []step.Entry{{Step: stop, Mark: step.Done}}}
	var got seen
	if err := p.Quiet(t.Context(), log, got.listen); err != nil || s.replicas["participant"] != 0 || s.replicas["validator-app"] != 1 || len(got.all) != 1 {
		t.Errorf("%v, %v, %q", err, s.replicas, got.all)
	}
	log.Entries = append(log.Entries, step.Entry{Step: step.Step{Act: step.Start, Kind: step.Workload, Name: stop.Name}, Mark: step.Begun})
	s.scale("participant", 1)
	if err := p.Quiet(t.Context(), log, got.listen); err != nil || s.replicas["participant"] != 1 {
		t.Errorf("what was started again is stopped: %v, %v", err, s.replicas)
	}
}

// A pod that does not end, and programs that do not get ready, are said with what
// is seen of them.
func TestPodsThatDoNotDoAsTheyShould(t *testing.T) {
	s, p := newSmall(t)
	s.stays, p.Patience = true, time.Second
	err := p.Do(t.Context(), step.Step{Act: step.Stop, Kind: step.Workload, Name: "deployment/participant"}, nil)
	if err == nil || !strings.Contains(err.Error(), "does not end") {
		t.Error(err)
	}
	start := step.Step{Act: step.Start, Kind: step.Workload, Name: "deployment/participant", Of: "participant", Replicas: 1, Wait: true}
	s, p = newSmall(t)
	s.scale("participant", 0)
	s.status = corev1.PodPending
	p.Patience = time.Minute
	begun := time.Now()
	err = p.Do(t.Context(), start, nil)
	if err == nil || !strings.Contains(err.Error(), "CrashLoopBackOff; it ended with exit code 3 no such host") || time.Since(begun) > 20*time.Second {
		t.Errorf("%v after %s", err, time.Since(begun))
	}
	start.Name = "deployment/gone"
	if err = p.Do(t.Context(), start, nil); err == nil || !strings.Contains(err.Error(), "does not exist") {
		t.Error(err)
	}
	stop := start
	stop.Act = step.Stop
	if err = p.Do(t.Context(), stop, nil); err != nil {
		t.Error(err)
	}
}

// Nothing starts on a database of another participant, and no app next to one
// without an identity.
func TestIdentitiesBeforeAStart(t *testing.T) {
	for _, role := range []string{"participant", "validator"} {
		s, p := newSmall(t)
		name := map[string]string{"participant": "participant", "validator": "validator-app"}[role]
		s.scale(name, 0)
		s.did = nil
		start := step.Step{Act: step.Start, Kind: step.Workload, Name: "deployment/" + name, Of: role, Replicas: 1, Wait: true, Expect: "other::1220"}
		if err := p.Do(t.Context(), start, nil); holdfast.ClassOf(err) != holdfast.Refused || len(s.did) > 0 {
			t.Errorf("%s: %v, did %q", role, err, s.did)
		}
		start.Expect = ""
		p.Identity = func(context.Context) (string, error) { return "", nil }
		var got seen
		err := p.Do(t.Context(), start, got.listen)
		if started := len(s.did) > 0; err != nil || started != (role == "participant") || started == (len(got.all) > 0) {
			t.Errorf("%s without an identity: %v, did %q, said %q", role, err, s.did, got.all)
		}
	}
}

// An API server that does not answer for a moment does not end a restore.
func TestAnAPIServerThatIsAway(t *testing.T) {
	s, p := newSmall(t)
	s.fails = 2
	err := p.Do(t.Context(), step.Step{Act: step.Stop, Kind: step.Workload, Name: "deployment/participant"}, nil)
	if err != nil || s.replicas["participant"] != 0 {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	s.fails = 1000
	time.AfterFunc(time.Second, cancel)
	if err := p.Do(ctx, step.Step{Act: step.Stop, Kind: step.Workload, Name: "deployment/participant"}, nil); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// A way back stops what is in its way, and starts each program once its database is
// open; what has nothing to undo is not touched.
func TestAWayBackAroundWorkloads(t *testing.T) {
	server := func(act step.Act, of string, names ...string) step.Step {
		s := step.Step{Act: act, Kind: step.Server, Name: "p", Of: of}
		for _, name := range names {
			s.Moves = append(s.Moves, step.Move{From: name, To: name})
		}
		return s
	}
	shut, swap := server(step.Close, "", "p", "v"), server(step.Rename, "", "p", "v")
	openP, openV := server(step.Open, "participant", "p"), server(step.Open, "validator", "v")
	work := func(act step.Act, role, name string) step.Step {
		return step.Step{Act: act, Kind: step.Workload, Name: "deployment/" + name, Of: role, Replicas: 1}
	}
	const ready = ", wait until it is ready"
	for _, x := range []struct {
		name string
		up   bool
		back []step.Step
		want []string
	}{
		{"of a restore that was complete", true, []step.Step{shut, swap, openP, openV}, []string{
			stopApp, stopParticipant, shut.String(), swap.String(), openP.String(), startParticipant + ready, openV.String(), startApp + ready}},
		{"scaled to 0 by hand", false, []step.Step{shut, swap, openP, openV}, []string{
			shut.String(), swap.String(), openP.String(), openV.String()}},
		{"interrupted", false, []step.Step{swap, server(step.Open, "", "p", "v"), work(step.Start, "participant", "participant"),
			work(step.Start, "validator", "validator-app")}, []string{
			swap.String(), "open p, v", startParticipant, startApp}},
		{"interrupted, and scaled up since", true, []step.Step{swap, server(step.Open, "", "p", "v"),
			work(step.Start, "participant", "participant"), work(step.Start, "validator", "validator-app")}, []string{
			stopApp, stopParticipant, swap.String(), "open p, v", startParticipant, startApp}},
		{"nothing but a stop of what is down", false, []step.Step{work(step.Stop, "participant", "participant")}, nil},
	} {
		s, p := newSmall(t)
		if !x.up {
			s.scale("participant", 0)
			s.scale("validator-app", 0)
		}
		got, err := p.Surround(t.Context(), x.back, time.Now())
		if err != nil || !slices.Equal(said(got), x.want) {
			t.Errorf("%s: %v\ngot  %q\nwant %q", x.name, err, said(got), x.want)
		}
	}
}
