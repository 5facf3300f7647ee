package compose

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"

	"holdfast"
	"holdfast/canton"
)

const password = "pa$$ w0rd-of-the-database"

// container is an answer of the daemon as it gives it, of a container of the
// bundle; the text stands for the parts that a case changes.
func inspected(t *testing.T, project, service, image, state string, env map[string]string, labels ...string) Container {
	t.Helper()
	pairs := []string{"PATH=/usr/bin"}
	for k, v := range env {
		pairs = append(pairs, k+"="+v)
	}
	all := map[string]string{}
	if project != "" {
		all = map[string]string{label + "project": project, label + "service": service, label + "oneoff": "False",
			label + "project.working_dir": "/opt/splice-node/docker-compose/validator", label + "project.config_files": "/opt/splice-node/docker-compose/validator/compose.yaml,/opt/splice-node/docker-compose/validator/compose-disable-auth.yaml"}
	}
	for i := 0; i < len(labels); i += 2 {
		all[labels[i]] = labels[i+1]
	}
	name := "/" + service
	if project != "" {
		name = "/" + project + "-" + service + "-1"
	}
	raw, err := json.Marshal(map[string]any{
		"Id": fmt.Sprintf("%064x", len(name)+len(image)), "Name": name, "Image": "sha256:" + strings.Repeat("ab", 32),
		"State":  map[string]any{"Status": state, "Running": state == "running"},
		"Config": map[string]any{"Image": image, "Env": pairs, "Labels": all},
		"HostConfig": map[string]any{"RestartPolicy": map[string]any{"Name": "always"}, "NetworkMode": project + "_splice_validator",
			"PortBindings": map[string]any{"80/tcp": []any{map[string]any{"HostIp": "127.0.0.1", "HostPort": "80"}}}},
		"NetworkSettings": map[string]any{"Networks": map[string]any{project + "_splice_validator": map[string]any{"IPAddress": "172.18.0.3", "Aliases": []string{service}}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	c, err := parseContainer(raw)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// node are the containers of one bundle.
func node(t *testing.T, project, database, server, state string) []Container {
	t.Helper()
	const repo = "ghcr.io/digital-asset/decentralized-canton-sync/docker/"
	return []Container{
		inspected(t, project, "postgres-splice", "postgres:14", state, map[string]string{"POSTGRES_USER": "cnadmin", "POSTGRES_PASSWORD": password, "CREATE_DATABASE_participant": database}),
		inspected(t, project, "participant", repo+"canton-participant:0.6.11", state, map[string]string{
			"CANTON_PARTICIPANT_POSTGRES_SERVER": server, "CANTON_PARTICIPANT_POSTGRES_PORT": "5432", "CANTON_PARTICIPANT_POSTGRES_DB": database,
			"CANTON_PARTICIPANT_POSTGRES_SCHEMA": "participant", "CANTON_PARTICIPANT_POSTGRES_USER": "cnadmin", "CANTON_PARTICIPANT_POSTGRES_PASSWORD": password}),
		inspected(t, project, "validator", repo+"validator-app:0.6.11", state, map[string]string{
			"SPLICE_APP_VALIDATOR_PARTY_HINT": "acme-validator-1", "SPLICE_APP_VALIDATOR_PARTICIPANT_IDENTIFIER": "acme-2", "SPLICE_APP_VALIDATOR_PARTICIPANT_ADDRESS": "participant",
			"SPLICE_APP_VALIDATOR_SV_SPONSOR_ADDRESS": "https://sv.example", "SPLICE_APP_VALIDATOR_SCAN_ADDRESS": "https://scan.example",
			"SPLICE_APP_VALIDATOR_AUTH_JWKS_URL": "", "ADDITIONAL_CONFIG_DISABLE_AUTH": `canton.validator-apps.validator_backend.auth.algorithm = "hs-256-unsafe"`,
			"ADDITIONAL_CONFIG_PERSISTENCE": `
            canton.validator-apps.validator_backend.storage {
              type = postgres
              config {
                dataSourceClass = "org.postgresql.ds.PGSimpleDataSource"
                properties = {
                  databaseName = validator
                  currentSchema = validator
                  serverName = ` + server + `
                  portNumber = 5432
                  user = cnadmin
                  password = ` + password + `
                  tcpKeepAlive = true
                }
              }
            }`}),
		inspected(t, project, "nginx", "nginx:1.27.1", state, nil),
	}
}

func TestNodeIsReadFromItsContainers(t *testing.T) {
	b, err := Choose(node(t, "splice-validator", "participant-4", "postgres-splice", "running"), Site{})
	if err != nil {
		t.Fatal(err)
	}
	start := b.Start()
	for what, pair := range map[string][2]string{
		"project": {b.Project, "splice-validator"}, "directory": {b.Directory, "/opt/splice-node/docker-compose/validator"}, "version": {b.Splice(), "0.6.11"},
		"hint": {start.PartyHint, "acme-validator-1"}, "identifier": {start.Identifier, "acme-2"}, "migration": {start.MigrationID, "4"}, "auth": {start.Auth, "none"},
		"scan": {start.Scan, "https://scan.example"}, "sponsor": {start.Sponsor, "https://sv.example"}, "overlays": {strings.Join(start.Overlays, " "), "compose-disable-auth.yaml"},
		"participant": {b.ParticipantDatabase().Name, "participant-4"}, "validator": {b.ValidatorDatabase().Name, "validator"}, "user": {b.ValidatorDatabase().User, "cnadmin"},
		"password": {b.ValidatorDatabase().Password.Reveal(), password}, "postgres": {b.Postgres.Name, "splice-validator-postgres-splice-1"},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s: got %q, want %q", what, pair[0], pair[1])
		}
	}
	if url, address := b.ValidatorAddress(); url != "http://wallet.localhost" || address != "127.0.0.1:80" {
		t.Errorf("validator app at %s, %s", url, address)
	}
}

func TestNoPasswordIsPrinted(t *testing.T) {
	b, err := Choose(node(t, "splice-validator", "participant-4", "postgres-splice", "running"), Site{})
	if err != nil {
		t.Fatal(err)
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		if text := fmt.Sprintf(verb, b.Participant.Env) + fmt.Sprintf(verb, b.ParticipantDatabase()) + fmt.Sprintf(verb, b.ValidatorDatabase()); strings.Contains(text, password) {
			t.Errorf("%s prints the password: %s", verb, text)
		}
	}
	if text, _ := json.Marshal(b.Start()); strings.Contains(string(text), password) {
		t.Error("the start flags hold the password")
	}
}

func TestDeploymentsThatAreNotTheUsual(t *testing.T) {
	usual := node(t, "splice-validator", "participant-4", "postgres-splice", "running")
	other := node(t, "second", "participant", "postgres-splice", "running")
	local := []Container{inspected(t, "localnet", "splice", "x/splice-app:0.6.11", "running", nil), inspected(t, "localnet", "canton", "x/canton:0.6.11", "running", nil)}
	for _, c := range []struct {
		name       string
		containers []Container
		project    string
		want       string // the project, or
		explained  string // what the refusal says
	}{
		{"another project's name", other, "", "second", ""},
		{"two nodes, one chosen", append(usual, other...), "second", "second", ""},
		{"two nodes, none chosen", append(usual, other...), "", "", "several validator nodes run here: second, splice-validator"},
		{"stopped", node(t, "splice-validator", "participant-4", "postgres-splice", "exited"), "", "splice-validator", ""},
		{"Postgres elsewhere", node(t, "splice-validator", "participant-4", "db.example", "running")[1:], "", "splice-validator", ""},
		{"LocalNet", local, "", "", "project localnet is Splice's LocalNet"},
		{"nothing", nil, "", "", "no validator node among 0 containers"},
		{"another daemon's project", usual, "absent", "", "no containers of a validator node in project absent"},
		{"without the participant", []Container{usual[0], usual[2]}, "", "", "no container of the participant"},
		{"without Postgres", usual[1:], "", "", "no container of Postgres"},
		{"containers that a restore replaced are passed over", append(usual, func() Container {
			c := inspected(t, "splice-validator", "participant", "x/canton-participant:0.6.11", "exited", map[string]string{"CANTON_PARTICIPANT_POSTGRES_DB": "participant-5"})
			c.Name += replacedMark + "20261122T154500Z-1f0c9a3e"
			return c
		}()), "", "splice-validator", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			b, err := Choose(c.containers, Site{Project: c.project})
			if c.explained != "" {
				var p *holdfast.Problem
				if err == nil || !strings.Contains(err.Error(), c.explained) || !errors.As(err, &p) || p.Do == "" {
					t.Fatalf("got %v, want a problem that says %q and what to do", err, c.explained)
				}
				return
			}
			if err != nil || b.Project != c.want || b.ParticipantDatabase().Name == "participant-5" {
				t.Fatalf("got project %q, %v; want %q", b.Project, err, c.want)
			}
		})
	}
	if b := Find(node(t, "splice-validator", "participant-4", "db.example", "running")[1:])[0]; !b.External() {
		t.Error("a server outside of the project is not recognised")
	}
}

func TestDifferencesOfTwoStarts(t *testing.T) {
	then := Find(node(t, "splice-validator", "participant-4", "postgres-splice", "running"))[0]
	if d := differences(then, then); len(d) != 0 {
		t.Errorf("a node differs from itself: %v", d)
	}
	d := differences(Find(node(t, "splice-validator", "participant-5", "postgres-splice", "running"))[0], then)
	for role, want := range map[string]string{"participant": `the database "participant-5", the set's with "participant-4"`, "postgres": `"participant-5"`} {
		if !strings.Contains(d[role], want) {
			t.Errorf("%s: got %q, want %q", role, d[role], want)
		}
	}
	if d["validator"] != "" {
		t.Errorf("the validator app differs: %s", d["validator"])
	}
}

// TestDatabaseOfAConfiguration: what the validator app and the participant read
// is what Holdfast reads.
func TestDatabaseOfAConfiguration(t *testing.T) {
	const at = "canton.validator-apps.validator_backend.storage.config.properties"
	usual := map[string]string{"ADDITIONAL_CONFIG_PERSISTENCE": at + " { databaseName = validator, currentSchema = validator, serverName = db, portNumber = 5432, user = cnadmin, password = pw }"}
	with := func(pairs ...string) map[string]string {
		out := maps.Clone(usual)
		for i := 0; i < len(pairs); i += 2 {
			out[pairs[i]] = pairs[i+1]
		}
		return out
	}
	persistence := func(text string) map[string]string { return with("ADDITIONAL_CONFIG_PERSISTENCE", text) }
	for _, c := range []struct {
		name string
		env  map[string]string
		want string // SERVER:PORT/NAME USER PASSWORD, or
		why  string // of a refusal
	}{
		{"as the bundle has it", usual, "db:5432/validator cnadmin pw", ""},
		{"a password in triple quotes", persistence(at + ` { databaseName = validator, serverName = db, user = u, password = """p"a}s#s""" }`), `db:5432/validator u p"a}s#s`, ""},
		{"a name that is commented out", persistence(at + " {\n databaseName = validator\n # databaseName = old\n // databaseName = older\n serverName = db, user = u, password = p }"), "db:5432/validator u p", ""},
		{"a name that is set again", persistence(at + " { databaseName = first, databaseName = second, serverName = db, user = u, password = p }"), "db:5432/second u p", ""},
		{"a later variable sets it", with("ADDITIONAL_CONFIG_ZZZ", at+".databaseName = later"), "db:5432/later cnadmin pw", ""},
		{"an earlier variable does not", with("ADDITIONAL_CONFIG_AAA", at+".databaseName = earlier"), "db:5432/validator cnadmin pw", ""},
		{"another program's storage", with("ADDITIONAL_CONFIG_ZZZ", "canton.scan-apps.scan.storage.config.properties.databaseName = scan"), "db:5432/validator cnadmin pw", ""},
		{"variables", with("ADDITIONAL_CONFIG_ZZZ", at+".password = ${DB_PASSWORD}", "DB_PASSWORD", `"quoted"`), `db:5432/validator cnadmin "quoted"`, ""},
		{"concatenation", with("ADDITIONAL_CONFIG_ZZZ", at+".databaseName = validator-${MIGRATION}", "MIGRATION", "4"), "db:5432/validator-4 cnadmin pw", ""},
		{"escapes", persistence(at + ` { databaseName: "val \"idator\"", serverName: db, user = cnadmin, password = p }`), `db:5432/val "idator" cnadmin p`, ""},
		{"a separator in a password", persistence(at + " { databaseName = v, serverName = db, user = u, password = a b=c \n }"), "db:5432/v u a b=c", ""},
		{"a key that ends like another", persistence(at + " { databaseName = right\nthedatabaseName = wrong\n serverName = db, user = u, password = p }"), "db:5432/right u p", ""},
		{"what the images call _storage", persistence("_storage.config.properties { databaseName = v, serverName = db, portNumber = 6432, user = u, password = p }"), "db:6432/v u p", ""},
		{"a JDBC address", persistence("canton.validator-apps.a.storage.config { url = \"jdbc:postgresql://db:6000/v?currentSchema=s\", user = u, password = p }"), "db:6000/v u p", ""},
		{"a variable that is not set", with("ADDITIONAL_CONFIG_ZZZ", at+".password = ${DB_PASSWORD}"), "", "${DB_PASSWORD} has no value"},
		{"an inclusion that may change it", with("ADDITIONAL_CONFIG_ZZZ", `include required(file("/app/db.conf"))`), "", `include required(file("/app/db.conf")) is not read`},
		{"an inclusion that may not", with("ADDITIONAL_CONFIG_AAA", `include required(file("/app/db.conf"))`), "db:5432/validator cnadmin pw", ""},
		{"an inclusion of the container", with("ADDITIONAL_CONFIG_ZZZ", at+` { include file("db.conf") }`), "db:5432/included cnadmin pw", ""},
		{"an inclusion that the container does not have", with("ADDITIONAL_CONFIG_ZZZ", at+` { include file("none.conf") }`), "db:5432/validator cnadmin pw", ""},
		{"what is no HOCON", with("ADDITIONAL_CONFIG_ZZZ", "a = 1\nb@c = 1"), "", "ADDITIONAL_CONFIG_ZZZ, line 2: '@' stands outside of quotes"},
		{"several hosts", persistence(`canton.validator-apps.a.storage.config.url = "jdbc:postgresql://a,b:6000/v?password=secret"`), "", "one host"},
		{"no name", persistence(at + ".serverName = db"), "", "it names no database"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := Bundle{Validator: new(inspected(t, "p", "validator", "x", "running", c.env))}
			b.Validator.workdir = "/opt"
			b.Validator.included = []Included{
				{Path: "/opt/db.conf", Content: []byte("databaseName = included")}, {Path: "/opt/none.conf", Missing: true},
			}
			d, err := b.validatorDatabase()
			if c.why != "" {
				var p *holdfast.Problem
				if err == nil || !strings.Contains(err.Error(), c.why) || !errors.As(err, &p) || p.Do == "" || strings.Contains(err.Error(), "secret") {
					t.Fatalf("got %v, want a problem that says %q", err, c.why)
				}
				return
			}
			got := fmt.Sprintf("%s:%s/%s %s %s", d.Server, d.Port, d.Name, d.User, d.Password.Reveal())
			if err != nil || got != c.want {
				t.Errorf("got %s, %v; want %s", got, err, c.want)
			}
		})
	}
	b := Bundle{Participant: new(inspected(t, "p", "participant", "x", "running", map[string]string{
		"CANTON_PARTICIPANT_POSTGRES_DB": "participant-4", "CANTON_PARTICIPANT_POSTGRES_SERVER": "db", "CANTON_PARTICIPANT_POSTGRES_USER": "u",
		"ADDITIONAL_CONFIG_DB": "canton.participants.participant.storage.config.properties.databaseName = other",
	}))}
	if d := b.ParticipantDatabase(); d.Name != "other" || d.Server != "db" || d.User != "u" {
		t.Errorf("the participant's configuration is not read: %+v", d)
	}
}

func TestListsInLabels(t *testing.T) {
	for text, want := range map[string]string{
		"": "[]", "/a/compose.yaml": `["/a/compose.yaml"]`, "/a/x.yaml,/a/y.yaml": `["/a/x.yaml" "/a/y.yaml"]`,
		"/a/b,c.yaml,/a/y.yaml": `["/a/b,c.yaml" "/a/y.yaml"]`,
	} {
		if got := fmt.Sprintf("%q", listed(text)); got != want {
			t.Errorf("%s: got %s, want %s", text, got, want)
		}
	}
}

// TestRolesByEvidence: several containers look like the participant, and the one
// is it that the others reach and that runs.
func TestRolesByEvidence(t *testing.T) {
	usual := func(t *testing.T) []Container {
		return node(t, "splice-validator", "participant-4", "postgres-splice", "running")
	}
	like := func(t *testing.T, of int, service, state string) Container {
		c := usual(t)[of]
		twin := inspected(t, "splice-validator", service, c.Image, state, c.Env.values)
		twin.ID = service
		return twin
	}
	for _, c := range []struct {
		name      string
		add       func(t *testing.T) Container
		services  map[string]string
		want      string // the participant's service
		validator string
		doubt     string // or the refusal
	}{
		{"a console that has exited", func(t *testing.T) Container { return like(t, 1, "zz-console", "exited") }, nil, "participant", "validator", ""},
		{"a console that runs", func(t *testing.T) Container { return like(t, 1, "zz-console", "running") }, nil, "participant", "validator", ""},
		{"one before it in the alphabet", func(t *testing.T) Container { return like(t, 1, "aa-console", "running") }, nil, "participant", "validator", ""},
		{"an app that has exited", func(t *testing.T) Container { return like(t, 2, "zz-app", "exited") }, nil, "participant", "validator", ""},
		{"an app that runs", func(t *testing.T) Container { return like(t, 2, "aa-app", "running") }, nil, "participant", "validator", ""},
		{"the same address, and exited", func(t *testing.T) Container {
			c := like(t, 1, "zz-console", "exited")
			c.Networks[0].Aliases = []string{"participant"}
			return c
		}, nil, "participant", "validator", ""},
		{"the same address, and running", func(t *testing.T) Container {
			c := like(t, 1, "zz-console", "running")
			c.Networks[0].Aliases = []string{"participant"}
			return c
		}, nil, "", "", "several containers may be the participant: splice-validator-participant-1, splice-validator-zz-console-1"},
		{"chosen by hand", func(t *testing.T) Container { return like(t, 1, "other", "exited") }, map[string]string{"participant": "other"}, "other", "validator", ""},
		{"chosen by hand, and not there", func(t *testing.T) Container { return like(t, 1, "other", "exited") }, map[string]string{"participant": "gone"}, "", "", "no container of the participant"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b, err := Choose(append(usual(t), c.add(t)), Site{Services: c.services})
			if c.doubt != "" {
				var p *holdfast.Problem
				if err == nil || !strings.Contains(err.Error(), c.doubt) || !errors.As(err, &p) || p.Do == "" {
					t.Fatalf("got %v, want %q", err, c.doubt)
				}
				return
			}
			if err != nil || b.Participant.Service != c.want || b.Validator.Service != c.validator {
				t.Fatalf("got %v, %v, %v", b.Participant, b.Validator, err)
			}
			if passed := b.PassedOver(); len(passed) != 1 {
				t.Errorf("passed over: %v", passed)
			}
		})
	}
}

// TestADoubtIsSettledByWhoHoldsTheDatabase: of two that answer to one name, the
// one is the participant whose lock is on the database.
func TestADoubtIsSettledByWhoHoldsTheDatabase(t *testing.T) {
	all := node(t, "splice-validator", "participant-4", "postgres-splice", "running")
	twin := all[1]
	twin.ID, twin.Name = "twin", "splice-validator-participant-2" // docker compose up --scale participant=2
	b, err := Choose(append(all, twin), Site{})
	if len(b.Doubts) != 1 || err == nil {
		t.Fatalf("no doubt: %v, %v", b.Doubts, err)
	}
	b.settle([]Holder{
		{Session: canton.Session{Program: holdfast.Validator}, Container: all[2]},
		{Session: canton.Session{Application: "psql"}, Container: all[1]},
		{Session: canton.Session{Program: holdfast.Participant}, Container: twin},
	})
	if err := b.complete(); err != nil || b.Participant.Name != twin.Name {
		t.Errorf("the participant is %v, %v", b.Participant, err)
	}
}
