package kube_test

import (
	"strings"
	"testing"

	"holdfast"
	"holdfast/node/kube"
)

// installed is what a set says of a node whose two programs somebody keeps.
func installed(participant, app kube.Owner) kube.Description {
	return kube.Description{
		Namespace: "v", Validator: "Deployment validator-app", Participant: "Deployment participant",
		Workloads: []kube.Installed{
			{Name: "Deployment participant", Chart: "splice-participant-0.7.5", Owner: participant},
			{Name: "Deployment validator-app", Chart: "splice-validator-0.7.5-snapshot.1_x", Owner: app},
		},
	}
}

func helmRelease(name string) kube.Owner {
	return kube.Owner{By: kube.Helm, Kind: "release", Namespace: "v", Name: name}
}

// typed is what a renewal has the operator type: at the start, and later.
func typed(d kube.Description, as kube.Renewal, later bool) string {
	programs := []holdfast.Program{{Image: "ghcr.io/x/y/docker/validator-app:0.7.5"}}
	var out []string
	for _, o := range kube.Overlays(d, programs, as) {
		out = append(out, o.Upgrade("prod", "v", later))
	}
	return strings.Join(out, "\n")
}

// Whoever keeps the values of a node, what they have to say is printed, with the
// command that makes it so; and how it is taken away again.
func TestOverlays(t *testing.T) {
	renewed := kube.Renewal{
		Identifier: "acme-20261128", PartyHint: "acme", Conflict: true,
		Databases: map[holdfast.Kind]string{holdfast.Participant: "participant_4_2", holdfast.Validator: "cantonnet_validator_2"},
	}
	const app = `nodeIdentifier: "acme-20261128"
validatorPartyHint: "acme"
persistence:
  databaseName: "cantonnet_validator_2"
participantIdentitiesDumpImport: # for the first start alone
  secretName: participant-bootstrap-dump
  newParticipantIdentifier: "acme-20261128"
migrateValidatorParty: true # for the first start alone
`
	const participant = `persistence:
  databaseName: "participant_4_2"
  enableParticipantDbConflictCheck: false # for the first start alone
`
	const helm = "helm upgrade participant oci://ghcr.io/x/y/helm/splice-participant --version 0.7.5 --namespace v --kube-context prod " +
		"--reset-then-reuse-values --values - <<'END'\n"
	commented := func(text string) string {
		return "#   " + strings.ReplaceAll(strings.TrimSuffix(text, "\n"), "\n", "\n#   ") + "\n"
	}
	below := func(text string) string {
		return "  " + strings.ReplaceAll(strings.TrimSuffix(text, "\n"), "\n", "\n  ") + "\n"
	}
	argo := kube.Owner{By: kube.ArgoCD, Kind: "Application", Name: "validator"}
	flux := kube.Owner{By: kube.Flux, Kind: "HelmRelease", Namespace: "flux-system", Name: "validator"}
	for _, x := range []struct {
		name         string
		of           kube.Description
		as           kube.Renewal
		first, later string
	}{
		{
			"two releases", installed(helmRelease("participant"), helmRelease("validator")), renewed,
			helm + participant + "END\n\n" + "helm upgrade validator oci://ghcr.io/x/y/helm/splice-validator --version " +
				"0.7.5-snapshot.1+x --namespace v --kube-context prod --reset-then-reuse-values --values - <<'END'\n" + app + "END\n",
			helm + "persistence:\n  enableParticipantDbConflictCheck: null\nEND\n\n" + "helm upgrade validator " +
				"oci://ghcr.io/x/y/helm/splice-validator --version 0.7.5-snapshot.1+x --namespace v --kube-context prod " +
				"--reset-then-reuse-values --values - <<'END'\nparticipantIdentitiesDumpImport: null\nmigrateValidatorParty: null\nEND\n",
		},
		{
			"the databases are gone", installed(helmRelease("participant"), helmRelease("validator")),
			kube.Renewal{Identifier: `ac"me: x`},
			"kubectl --context prod --namespace v scale --replicas=1 deployment/participant\n\n" + "helm upgrade validator " +
				"oci://ghcr.io/x/y/helm/splice-validator --version 0.7.5-snapshot.1+x --namespace v --kube-context prod " +
				"--reset-then-reuse-values --values - <<'END'\nnodeIdentifier: \"ac\\\"me: x\"\nparticipantIdentitiesDumpImport: # for the first start alone\n" +
				"  secretName: participant-bootstrap-dump\n  newParticipantIdentifier: \"ac\\\"me: x\"\n" +
				"migrateValidatorParty: true # for the first start alone\nEND\n",
			"",
		},
		{
			"an umbrella chart of Argo CD", installed(argo, argo), renewed,
			"# The values of Deployment participant and Deployment validator-app have to say, which Argo CD's Application validator keeps:\n" +
				commented("splice-participant: # or the alias that it has there\n"+below(participant)+
					"splice-validator: # or the alias that it has there\n"+below(app)) + "argocd app sync validator\n",
			"# Take these lines out of the values of Deployment participant and Deployment validator-app again, which Argo CD's " +
				"Application validator keeps:\n" + commented("splice-participant: # or the alias that it has there\n"+
				"  persistence:\n    enableParticipantDbConflictCheck: false\nsplice-validator: # or the alias that it has there\n"+
				"  participantIdentitiesDumpImport:\n    secretName: participant-bootstrap-dump\n"+
				"    newParticipantIdentifier: \"acme-20261128\"\n  migrateValidatorParty: true\n") + "argocd app sync validator\n",
		},
		{
			"Flux, and a participant that nobody keeps", installed(kube.Owner{}, flux), renewed,
			"# The values of Deployment participant have to say, which nobody keeps:\n" + commented(participant) +
				"kubectl --context prod --namespace v scale --replicas=1 deployment/participant\n\n" +
				"# The values of Deployment validator-app have to say, which Flux's HelmRelease flux-system/validator keeps:\n" +
				commented(app) + "flux reconcile helmrelease validator --namespace flux-system --with-source\n",
			"",
		},
		{
			"a set that does not say it", kube.Description{}, renewed,
			"# The values of splice-participant have to say, which nobody keeps:\n" + commented(participant) +
				"\n# The values of splice-validator have to say, which nobody keeps:\n" + commented(app),
			"",
		},
	} {
		t.Run(x.name, func(t *testing.T) {
			if got := typed(x.of, x.as, false); got != x.first {
				t.Errorf("at the start:\n%s\nwant:\n%s", got, x.first)
			}
			if got := typed(x.of, x.as, true); x.later != "" && got != x.later {
				t.Errorf("later:\n%s\nwant:\n%s", got, x.later)
			}
		})
	}
}

// What Helm itself says of a release counts more than labels of its objects.
func TestAnOverlayOfARecordedRelease(t *testing.T) {
	d := installed(helmRelease("participant"), helmRelease("node"))
	d.Releases = []kube.Release{{Name: "node", Namespace: "v", Chart: "our-validator", Version: "3.1.0", Registry: "oci://ours/helm"}}
	want := "helm upgrade node oci://ours/helm/our-validator --version 3.1.0 --namespace v --kube-context prod "
	if got := typed(d, kube.Renewal{Identifier: "x"}, false); !strings.Contains(got, want) {
		t.Errorf("got %s, want %s", got, want)
	}
}
