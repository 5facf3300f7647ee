package compose

import (
	"testing"
)

func TestStartLine(t *testing.T) {
	s := Start{PartyHint: "acme-validator-1", Identifier: "acme-validator-1", MigrationID: "4", Auth: "oidc", Sponsor: "https://sv.example", Scan: "https://scan.example"}
	want := `./start.sh -s https://sv.example -o "" -p acme-validator-1 -c https://scan.example -m 4 -a -i '/etc/hold fast/x.json' -P acme-2 -w`
	if got := StartLine(s, "/etc/hold fast/x.json", "acme-2"); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
