package kube_test

import (
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"holdfast"
	"holdfast/node/kube"
)

// A node is only made again where its programs are stopped, and nobody starts them.
func TestTheOldNodeIsStopped(t *testing.T) {
	s, p := newSmall(t)
	s.objects.Deployments[0].Annotations = map[string]string{"argocd.argoproj.io/tracking-id": "canton:apps/Deployment:v/x"}
	refused := func(when string, want ...string) {
		t.Helper()
		err := p.Node.Stopped(t.Context())
		if holdfast.ClassOf(err) != holdfast.Refused {
			t.Errorf("%s: %v", when, err)
			return
		}
		_, do := holdfast.Advice(err)
		for _, w := range want {
			if !strings.Contains(err.Error()+do, w) {
				t.Errorf("%s: it does not say %q: %v\n%s", when, w, err, do)
			}
		}
	}
	refused("both run", "Deployment participant and Deployment validator-app",
		"`kubectl --context here --namespace v scale --replicas=0 deployment/participant deployment/validator-app`",
		"kubectl annotate application canton argocd")
	s.scale("validator-app", 0)
	refused("one runs", "lives: Deployment participant of")
	s.stays = true
	s.scale("participant", 0)
	refused("a pod does not end", "lives: Deployment participant of")
	s.stays, s.pods = false, nil
	if err := p.Node.Stopped(t.Context()); err != nil {
		t.Errorf("both are stopped: %v", err)
	}
	s.scale("participant", 1)
	s.objects.Deployments = slices.Delete(s.objects.Deployments, 1, 2) // the app was uninstalled
	refused("without its app", "lives: Deployment participant of")
	s.objects.Deployments, s.pods = nil, nil
	if err := p.Node.Stopped(t.Context()); err != nil {
		t.Errorf("nothing is there: %v", err)
	}
}

// What a renewed node is started with, and whether it serves, is seen from outside.
func TestARenewedNode(t *testing.T) {
	s, p := newSmall(t)
	as := kube.Renewal{
		Identifier: "acme-2",
		Databases:  map[holdfast.Kind]string{holdfast.Participant: "participant_4_2", holdfast.Validator: "validator_2"},
	}
	look := func() kube.Renewed {
		t.Helper()
		got, err := p.Node.Renewed(t.Context(), as)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	env(s.objects, 1, text("SPLICE_APP_VALIDATOR_PARTICIPANT_IDENTIFIER", "acme"))
	want := []string{
		"Deployment participant is started with database participant_4, not participant_4_2",
		"Deployment validator-app is started with database cantonnet_validator, not validator_2",
		"Deployment validator-app is started with identifier acme, not acme-2",
	}
	if got := look(); !slices.Equal(got.Other, want) || got.Waits != "" || len(got.Takers) > 0 {
		t.Errorf("with its old values: %+v", got)
	}
	env(s.objects, 0, text("CANTON_PARTICIPANT_POSTGRES_DB", "participant_4_2"))
	env(s.objects, 1, text("SPLICE_APP_VALIDATOR_PARTICIPANT_IDENTIFIER", "acme-2"),
		text("ADDITIONAL_CONFIG_PERSISTENCE", persistence("postgres", "validator_2")))
	s.objects.Deployments[1].Spec.Template.Spec.Volumes = []corev1.Volume{{Name: "x", VolumeSource: corev1.VolumeSource{
		Secret: &corev1.SecretVolumeSource{SecretName: kube.BootstrapSecret},
	}}}
	if got := look(); len(got.Other) > 0 || !slices.Equal(got.Takers, []string{"Deployment validator-app"}) {
		t.Errorf("with its new values: %+v", got)
	}
	s.scale("participant", 0)
	if got := look(); got.Waits != "Deployment participant has no pod yet" {
		t.Errorf("without a pod: %q", got.Waits)
	}
	s.status = corev1.PodPending
	s.scale("participant", 1)
	if got := look(); !strings.Contains(got.Waits, "CrashLoopBackOff; no such host") && !strings.Contains(got.Waits, "CrashLoopBackOff; it ended") {
		t.Errorf("with a pod that does not start: %q", got.Waits)
	}
	s.objects.Deployments = nil
	s.pods = nil
	if got := look(); len(got.Other) != 1 || !strings.HasPrefix(got.Other[0], "there is no validator node in namespace v") {
		t.Errorf("uninstalled: %+v", got)
	}
}
