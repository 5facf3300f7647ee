package compose_test

import (
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"holdfast"
	"holdfast/internal/splicetest"
	"holdfast/internal/splicetest/bundle"
	"holdfast/node/compose"
	"holdfast/restore"
)

// A node whose databases are on a provider's server and whose tokens come from
// an issuer: found and captured with one command, no secret copied; lost and
// brought back on that server, with the bundle's own Postgres running beside
// it; and brought back once more after its containers are gone.
func TestANodeWithAnExternalServerAndAnIssuer(t *testing.T) {
	splicetest.OnlyLong(t)
	t.Parallel()
	ctx := t.Context()
	_, settings := bundle.Issuer(t)
	maps.Copy(settings, bundle.ExternalPostgres(t, "participant"))
	s := newSite(t, bundle.Options{Settings: settings, Flags: []string{"-a"}})
	s.work(t)

	set := s.setUp(t)
	was := must(compose.Describe(set.Deployment))(t)
	if set.State != holdfast.Proven || was.Start.Auth != "oidc" || set.Identities == nil {
		t.Fatalf("the first set is %s, of a node with authentication %q, identities %v", set.State, was.Start.Auth, set.Identities)
	}
	text := string(must(os.ReadFile(filepath.Join(s.dir, "holdfast.yaml")))(t))
	contains(t, text, "mode: oidc", "container:validator/SPLICE_APP_VALIDATOR_LEDGER_API_AUTH_CLIENT_SECRET")
	for _, secret := range []string{settings["VALIDATOR_AUTH_CLIENT_SECRET"], settings["SPLICE_DB_PASSWORD"]} {
		if strings.Contains(text, secret) {
			t.Errorf("a secret is in the configuration:\n%s", text)
		}
	}
	contains(t, s.holdfast(t, 0, "node", "show").out, "outside of the project: "+settings["SPLICE_DB_SERVER"], "the network")
	d := damaged{site: s, set: set.ID, identity: must(s.Identity(ctx))(t), whole: must(s.Fingerprints(ctx))(t)}

	check(t, s.Wreck(ctx, bundle.DatabaseDropped))
	plan := value[restore.Plan](t, s, "restore", "latest")
	for _, p := range plan.Steps {
		if p.Of == "postgres" {
			t.Errorf("the bundle's own Postgres is not the node's, and the plan has %+v", p)
		}
	}
	s.holdfast(t, 2, "restore", "latest", "--fresh-volume")
	s.holdfast(t, 0, "restore", "latest", "--yes")
	d.complete(t)

	check(t, s.Down(ctx))
	s.holdfast(t, 0, "restore", "latest", "--yes")
	d.complete(t)
	s.holdfast(t, 0, "restore", "undo", "--yes")
	d.complete(t) // of the second restore; the first one's databases are the same
	if next := value[holdfast.Set](t, s, "backup"); next.State != holdfast.Proven {
		t.Errorf("the next set is %s", next.State)
	}
}
