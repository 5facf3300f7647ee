package config_test

import (
	"strings"
	"testing"

	"holdfast/config"
)

// Other machines reach nothing unless the operator says so.
func TestWhereItListens(t *testing.T) {
	const rest = `
node: demo
databases: {validator: postgres:///validator}
repository: {path: /var/backups/holdfast, password: "file:password"}
http: `
	for _, c := range []struct{ http, want string }{
		{`{listen: "127.0.0.1:7433"}`, ""},
		{`{listen: "[::1]:7433"}`, ""},
		{`{listen: "localhost:0"}`, ""},
		{`{listen: "0.0.0.0:7433", allow_remote: true}`, ""},
		{`{listen: ":7433", allow_remote: true}`, ""},
		{`{}`, ""},
		{`{listen: "0.0.0.0:7433"}`, "other machines reach 0.0.0.0:7433; listen on 127.0.0.1:7433, or add"},
		{`{listen: ":7433"}`, "other machines reach :7433"},
		{`{listen: "backup.example:7433"}`, "other machines reach backup.example:7433"},
		{`{listen: "10.0.0.7:7433"}`, "other machines reach"},
		{`{listen: "7433"}`, "http.listen: want host:port, such as 127.0.0.1:7433"},
		{`{listen: "127.0.0.1:http"}`, "http.listen: want a port"},
		{`{listen: "127.0.0.1:70000"}`, "http.listen: want a port"},
		{`{allow_remote: true}`, "http.allow_remote: say where to listen"},
		{`{port: "7433"}`, "unknown key http.port"},
	} {
		_, err := config.Parse("holdfast.yaml", []byte(rest+c.http), nil)
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s: %v", c.http, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: %v, want %q", c.http, err, c.want)
		}
	}
}
