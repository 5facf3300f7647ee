package compose_test

import (
	"os"
	"testing"

	"holdfast"
	"holdfast/internal/splicetest"
	"holdfast/internal/splicetest/bundle"
	"holdfast/restore"
)

// LocalNet has several nodes in one container each for all participants and
// all validator apps. It is told from a bundle, explained, and one of its
// nodes is captured by what the explanation says. By flag: of all bundles it is
// the largest, and Holdfast's part in it the smallest.
func TestLocalNetIsExplained(t *testing.T) {
	splicetest.OnlyLong(t)
	t.Parallel()
	l := bundle.UpLocalNet(t)
	check(t, l.StartLoad(t.Context(), "app-provider", 50))
	s := &site{dir: t.TempDir(), docker: os.Getenv("HOLDFAST_TEST_DOCKER"), env: []string{"PGPASSWORD=supersafe"}}
	r := s.holdfast(t, 7, "init", "--project", "localnet", "--yes")
	contains(t, r.err, "project localnet is Splice's LocalNet", "several nodes")
	advice := "holdfast init --node app-provider --database participant=postgres://cnadmin@localhost/participant-app-provider" +
		" --database validator=postgres://cnadmin@localhost/validator-app-provider --identities-url http://localhost:3903 --auth unsafe --audience https://canton.network.global"
	contains(t, r.err, advice)
	s.holdfast(t, 0, "init", "--no-input", "--repository", "repository", "--recovery-key-file", "key", "--node", "app-provider",
		"--database", "participant=postgres://cnadmin@localhost/participant-app-provider", "--database", "validator=postgres://cnadmin@localhost/validator-app-provider",
		"--identities-url", "http://localhost:3903", "--auth", "unsafe", "--audience", "https://canton.network.global")
	if set := value[holdfast.Set](t, s, "backup"); set.State != holdfast.Proven {
		t.Errorf("the set is %s", set.State)
	}
	if report := value[restore.Report](t, s, "restore", "rehearse", "latest", "--yes"); len(report.Done) != 2 || report.Swapped {
		t.Errorf("rehearsed: %+v", report)
	}
}
