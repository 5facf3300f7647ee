package config_test

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"holdfast"
	"holdfast/config"
	"holdfast/place"
)

// least is the shortest configuration there is.
const least = `node: demo
databases:
  participant: host=db dbname=participant-4
repository:
  path: /var/backups/holdfast
  password: file:password
`

// whole has every key there is.
const whole = `# everything
node: demo
databases:
  validator: postgres://cnadmin@db/validator
  participant:
    connection: host=db dbname=participant-4
    password: file:participant.password
  scan-backend:
    connection: postgres://db/scan
    kind: app
    before: [participant]
    after:
      - validator
identities:
  url: http://wallet.localhost
  address: 127.0.0.1:80
  ca: ca.pem
  auth:
    mode: oidc
    issuer: https://idp.example.com
    client_id: backup
    client_secret: env:SECRET
    audience: https://validator.example.com
    resource: r
    scope: s
    basic: true
    users: [a, b]
    token: exec:cat token
  recipients:
    - age1one
  keep: [kept, /mnt/usb]
repository:
  path: repository
  password: file:password
tools: tools
dump:
  lanes: 3
  connections: 8
  wait_limit: 2s
  lock_wait: 5m
retention:
  within: 36h
  last: 6
  hourly: 24
  daily: 14
  weekly: 8
  monthly: 12
  yearly: 3
  history: forever
  faulty: 1w
`

func parse(text string, environ ...string) (*config.Config, error) {
	return config.Parse("/etc/holdfast/holdfast.yaml", []byte(text), environ)
}

func TestEveryKeyArrives(t *testing.T) {
	c, err := parse(whole)
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct {
		what      string
		got, want any
	}{
		{"the short form of a database", c.Databases["validator"].Connection, "postgres://cnadmin@db/validator"},
		{"the long form", c.Databases["participant"], config.Database{
			Connection: "host=db dbname=participant-4",
			Password:   "file:participant.password",
		}},
		{"lists in both styles", c.Databases["scan-backend"], config.Database{
			Connection: "postgres://db/scan",
			Kind:       "app",
			Before:     []string{"participant"},
			After:      []string{"validator"},
		}},
		{"auth", c.Identities.Auth, config.Auth{
			Mode:         "oidc",
			Issuer:       "https://idp.example.com",
			ClientID:     "backup",
			ClientSecret: "env:SECRET",
			Audience:     "https://validator.example.com",
			Resource:     "r",
			Scope:        "s",
			Basic:        true,
			Users:        []string{"a", "b"},
			Token:        "exec:cat token",
		}},
		{"dump", c.Dump, config.Dump{
			Lanes:       3,
			Connections: 8,
			WaitLimit:   config.Duration(2 * time.Second),
			LockWait:    config.Duration(5 * time.Minute),
		}},
		{"retention", c.Retention, config.Retention{
			Within:  config.Age(36 * time.Hour),
			Last:    6,
			Hourly:  24,
			Daily:   14,
			Weekly:  8,
			Monthly: 12,
			Yearly:  3,
			History: config.Forever,
			Faulty:  config.Age(7 * 24 * time.Hour),
		}},
		{"paths are relative to the file",
			[]string{c.Repository.Place.String(), c.Tools, c.Identities.CA, c.Identities.Keep[0].String(),
				c.Identities.Keep[1].String()},
			[]string{"/etc/holdfast/repository", "/etc/holdfast/tools", "/etc/holdfast/ca.pem", "/etc/holdfast/kept",
				"/mnt/usb"}},
		{"kinds follow from names", c.DomainNode().Components, []holdfast.Component{
			{Name: "participant", Kind: holdfast.Participant},
			{
				Name:   "scan-backend",
				Kind:   holdfast.App,
				Before: []holdfast.ComponentName{"participant"},
				After:  []holdfast.ComponentName{"validator"},
			},
			{Name: "validator", Kind: holdfast.Validator},
		}},
	} {
		if !reflect.DeepEqual(x.got, x.want) {
			t.Errorf("%s: got %+v, want %+v", x.what, x.got, x.want)
		}
	}
}

func TestRelativeFileGivesAbsolutePaths(t *testing.T) {
	t.Chdir(t.TempDir())
	c, err := config.Parse("holdfast.yaml", []byte(strings.Replace(least, "/var/backups/holdfast", "repository", 1)),
		nil)
	if err != nil {
		t.Fatal(err)
	}
	wd, _ := os.Getwd()
	if c.Dir() != wd || c.Repository.Place != place.Directory("repository") ||
		c.Repository.Place.Path != filepath.Join(wd, "repository") {
		t.Errorf("directory %s, repository %s, in %s", c.Dir(), c.Repository.Place, wd)
	}
}

// replaced is the whole configuration with one piece changed.
func replaced(old, text string) string {
	if !strings.Contains(whole, old) {
		panic("no " + old)
	}
	return strings.Replace(whole, old, text, 1)
}

func TestMistakesAreNamed(t *testing.T) {
	for _, x := range []struct{ name, text, want string }{
		{"unknown key at the top", replaced("tools: tools", "tool: x"),
			"line 35: unknown key tool; known here are node, databases, compose, kube, identities, repository, copies, " +
				"cache, secret_managers, rds, tools, " +
				"silence_limit, dump, check, retention"},
		{"a copy that keeps nothing", least + "copies:\n  - {path: /mnt/usb, keep: {faulty: 3d}}\n",
			"copies[0].keep: besides faulty it needs a rule that keeps sets"},
		{"a workload without its namespace", least + "kube: {validator: app}\n",
			"kube.validator: say in which namespace: kube.namespace"},
		{"limits of a directory", least + "copies:\n  - {path: /mnt/usb, limits: {upload: 1MiB}}\n",
			"copies[0].limits: a directory has no limits"},
		{"limits of a repository in a directory", replaced("  path: repository", "  path: repository\n  limits: {requests: 5}"),
			"repository.limits: a directory has no limits"},
		{"a limit that takes days", least + "copies:\n  - {path: 'sftp://h/x', limits: {upload: 1KiB}}\n",
			"copies[0].limits: upload: want at least 16KiB a second"},
		{"a limit that takes days to read", least + "copies:\n  - {path: 'sftp://h/x', limits: {download: 1KiB}}\n",
			"copies[0].limits: download: want at least 16KiB a second"},
		{"a limit that is no size", least + "cache: {limit: 5}\n", "cache.limit: want a number of bytes"},
		{"unknown key of a database", replaced("    kind: app", "    sort: app"),
			"line 10: unknown key databases.scan-backend.sort; known here are connection, password, kind, method, " +
				"rds, before, after"},
		{"unknown key of the identities", replaced("  ca: ca.pem", "  cacert: ca.pem"),
			"line 17: unknown key identities.cacert;"},
		{"unknown key of auth", replaced("    scope: s", "    scopes: s"),
			"line 25: unknown key identities.auth.scopes;"},
		{"unknown key of the repository", replaced("  path: repository", "  paths: repository"),
			"line 33: unknown key repository.paths; known here are path, password"},
		{"unknown key of dump", replaced("  lanes: 3", "  lane: 3"), "line 37: unknown key dump.lane;"},
		{"unknown key of retention", replaced("  weekly: 8", "  fortnightly: 8"),
			"line 46: unknown key retention.fortnightly;"},
		{"an age without a unit", replaced("within: 36h", "within: 36"),
			"retention.within: want an age, such as 36h, 14d, 8w or forever"},
		{"an age of another form", replaced("faulty: 1w", "faulty: 1w2d"), "retention.faulty: want an age"},
		{"an age of nothing", replaced("history: forever", "history: 0d"), "retention.history: want an age"},
		{"fewer than none", replaced("last: 6", "last: -1"), "retention.last: want a whole number"},
		{"retention that keeps nothing", least + "retention: {faulty: 3d}\n",
			"retention: besides faulty it needs a rule that keeps sets"},
		{"a key is case-sensitive", replaced("node: demo", "Node: demo"), "line 2: unknown key Node;"},

		{"no node", replaced("node: demo\n", ""), "node: the node needs a name"},
		{"a node of no letters", replaced("node: demo", `node: "a b"`), `"a b" is not usable`},
		{"no databases", "node: demo\nrepository: {path: /x, password: env:P}\n", "databases: name at least one"},
		{"a database without anything", replaced("  validator: postgres://cnadmin@db/validator", "  validator:"),
			"databases.validator.connection:"},
		{"a database without connection", replaced("    connection: postgres://db/scan\n", ""),
			"databases.scan-backend.connection:"},
		{"no repository", "node: demo\ndatabases: {participant: x=y}\n", "repository.path:"},
		{"no password", replaced("  password: file:password\ntools", "tools"), "repository.password: say where"},
		{"no URL", replaced("  url: http://wallet.localhost\n", ""), "identities.url:"},
		{"no recipients", replaced("  recipients:\n    - age1one\n", ""), "identities.recipients:"},
		{"no mode", replaced("    mode: oidc\n", ""), "identities.auth.mode: want one of oidc, unsafe, token"},
		{"oidc without issuer", replaced("    issuer: https://idp.example.com\n", ""),
			"identities.auth.issuer: auth mode oidc needs it"},
		{"oidc without client", replaced("    client_id: backup\n", ""), "identities.auth.client_id:"},
		{"oidc without secret", replaced("    client_secret: env:SECRET\n", ""), "identities.auth.client_secret:"},
		{"unsafe without audience",
			strings.Replace(replaced("mode: oidc", "mode: unsafe"), "    audience: https://validator.example.com\n",
				"", 1), "identities.auth.audience: auth mode unsafe needs it"},
		{"token without token",
			strings.Replace(replaced("mode: oidc", "mode: token"), "    token: exec:cat token\n", "", 1),
			"identities.auth.token: auth mode token needs it"},

		{"a kind nobody knows", replaced("kind: app", "kind: cometbft"),
			"databases.scan-backend.kind: want one of [validator sv scan participant sequencer mediator " +
				"orderer app]"},
		{"a method nobody knows", replaced("kind: app", "method: rsync"),
			"databases.scan-backend.method: want one of [dump physical rds snapshot]"},
		{"a method that is not there yet", replaced("kind: app", "method: physical"),
			"databases.scan-backend.method: this Holdfast cannot capture by physical yet"},
		{"before nobody", replaced("before: [participant]", "before: [partisipant]"),
			"databases.scan-backend.before: there is no database partisipant; there are participant, " +
				"scan-backend, validator"},
		{"after nobody", replaced("      - validator", "      - valid"),
			"databases.scan-backend.after: there is no database valid;"},
		{"a cycle", replaced("      - validator", "      - participant"), "participant"},
		{"two participants", replaced("kind: app", "kind: participant"), "both of kind participant"},
		{"a reserved name", replaced("  scan-backend:", "  identities:"),
			`component name "identities" is not usable`},

		{"a secret in place of a reference", replaced("file:password", "hunter2"),
			"repository.password: want a reference"},
		{"a secret in place of a database's", replaced("file:participant.password", "hunter2"),
			"databases.participant.password: want a reference"},
		{"a secret in place of a client's", replaced("env:SECRET", "hunter2"),
			"identities.auth.client_secret: want a reference"},
		{"a reference to nothing", replaced("env:SECRET", "'env:'"),
			"identities.auth.client_secret: want a reference"},

		{"no duration", replaced("wait_limit: 2s", "wait_limit: 2"),
			"line 39: dump.wait_limit: want a duration, such as 1s or 4h"},
		{"a duration that runs backwards", replaced("lock_wait: 5m", "lock_wait: -5m"),
			"line 40: dump.lock_wait: want a duration"},
		{"no number", replaced("lanes: 3", "lanes: three"), "line 37: dump.lanes: want a whole number"},
		{"a negative number", replaced("lanes: 3", "lanes: -3"), "dump.lanes: want a whole number"},
		{"an octal number", replaced("lanes: 3", "lanes: 010"), "dump.lanes: want a whole number"},
		{"a huge number", replaced("lanes: 3", "lanes: 99999999999999999999"), "dump.lanes: want a whole number"},
		{"neither true nor false", replaced("basic: true", "basic: yes"),
			"line 26: identities.auth.basic: want true or false"},
		{"a list in place of a value", replaced("node: demo", "node: [demo]"), "line 2: node: want one value"},
		{"a value in place of a list", replaced("keep: [kept, /mnt/usb]", "keep: kept"),
			"line 31: identities.keep: want a list"},
		{"a value in place of keys",
			replaced("repository:\n  path: repository\n  password: file:password", "repository: hunter2"),
			"line 32: repository: want keys below it, such as path"},
		{"a list of databases", "node: demo\ndatabases: [hunter2]\n",
			"line 2: databases: want keys below it, such as participant"},
		{"keys in place of a value",
			replaced("  validator: postgres://cnadmin@db/validator", "  validator: {connection: {hunter2: 1}}"),
			"line 4: databases.validator.connection: want one value"},

		{"an empty file", "", "node: the node needs a name"},
		{"nothing but remarks", "# hello\n", "node: the node needs a name"},
		{"not YAML", "node: demo\n\tdatabases:\n", "it is not valid YAML: line 2"},
		{"a text", "hello", "line 1: want keys and their values"},
		{"a list", "- hello", "line 1: want keys and their values"},
		{"binary", "\x00\x01\x02", "it is not valid YAML"},
		{"a key twice", whole + "node: other\n", "line 51: node is there twice; the first is in line 2"},
		{"a database twice", replaced("  participant:\n", "  validator: hunter2\n  participant:\n"),
			"line 5: databases.validator is there twice; the first is in line 4"},
		{"two documents", whole + "---\nnode: other\n", "more than one YAML document"},
		{"a value of a type", replaced("file:password", "!!int hunter2"),
			"repository.password: want a value without a tag"},
		{"an alias of nothing", replaced("file:password", "*hunter2"),
			"a value that begins with * or & has to be quoted"},
		{"keys that are merged", replaced("  participant:\n", "  participant:\n    <<: {connection: x}\n"),
			"line 6: unknown key databases.participant.<<;"},
	} {
		t.Run(x.name, func(t *testing.T) {
			_, err := parse(x.text)
			if err == nil || !strings.Contains(err.Error(), x.want) {
				t.Fatalf("got  %v\nwant %s", err, x.want)
			}
			if holdfast.ClassOf(err) != holdfast.Usage ||
				!strings.HasPrefix(err.Error(), "configuration /etc/holdfast/holdfast.yaml: ") {
				t.Errorf("class %s: %v", holdfast.ClassOf(err), err)
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the secret is in %v", err)
			}
			if strings.ContainsAny(err.Error(), "\n") {
				t.Errorf("more than one line: %q", err)
			}
		})
	}
}

func TestAnAliasStandsForItsValue(t *testing.T) {
	c, err := parse(strings.NewReplacer("password: file:participant.password",
		"password: &p file:participant.password", "password: file:password", "password: *p").Replace(whole))
	if err != nil {
		t.Fatal(err)
	}
	if c.Repository.Password != "file:participant.password" {
		t.Errorf("the repository's password is at %s", c.Repository.Password)
	}
	if got := origin(c, "repository.password"); got.From != "holdfast.yaml:34" {
		t.Errorf("its origin is %+v", got)
	}
}

func origin(c *config.Config, key string) config.Origin {
	all := c.Origins()
	i := slices.IndexFunc(all, func(o config.Origin) bool { return o.Key == key })
	if i < 0 {
		return config.Origin{}
	}
	return all[i]
}

func TestEnvironment(t *testing.T) {
	for _, x := range []struct {
		variable, key, value string
		got                  func(*config.Config) any
		want                 any
	}{
		{"HOLDFAST_NODE=other", "node", "other", func(c *config.Config) any { return c.Node }, "other"},
		{"HOLDFAST_NODE=", "node", "demo", func(c *config.Config) any { return c.Node }, "demo"},
		{"HOLDFAST_REPOSITORY_PATH=/mnt/r", "repository.path", "/mnt/r", func(c *config.Config) any {
			return c.Repository.Place.String()
		}, "/mnt/r"},
		{"HOLDFAST_REPOSITORY_PASSWORD=env:OTHER", "repository.password", "env:OTHER", func(c *config.Config) any {
			return string(c.Repository.Password)
		}, "env:OTHER"},
		{"HOLDFAST_DUMP_LANES=7", "dump.lanes", "7", func(c *config.Config) any { return c.Dump.Lanes }, 7},
		{"HOLDFAST_DUMP_WAIT_LIMIT=10s", "dump.wait_limit", "10s", func(c *config.Config) any {
			return time.Duration(c.Dump.WaitLimit)
		}, 10 * time.Second},
		{"HOLDFAST_IDENTITIES_AUTH_CLIENT_SECRET=env:X", "identities.auth.client_secret", "env:X",
			func(c *config.Config) any {
				return string(c.Identities.Auth.ClientSecret)
			}, "env:X"},
		{"HOLDFAST_IDENTITIES_AUTH_BASIC=false", "identities.auth.basic", "false", func(c *config.Config) any {
			return c.Identities.Auth.Basic
		}, false},
		{"HOLDFAST_IDENTITIES_RECIPIENTS=age1x, age1y", "identities.recipients", "age1x, age1y",
			func(c *config.Config) any {
				return strings.Join(c.Identities.Recipients, "+")
			}, "age1x+age1y"},
		{"HOLDFAST_DATABASES_VALIDATOR=host=x", "databases.validator", "host=x", func(c *config.Config) any {
			return c.Databases["validator"].Connection
		}, "host=x"},
		{"HOLDFAST_DATABASES_PARTICIPANT_CONNECTION=host=x", "databases.participant.connection", "host=x",
			func(c *config.Config) any {
				return c.Databases["participant"].Connection
			}, "host=x"},
		{"HOLDFAST_DATABASES_PARTICIPANT_PASSWORD=env:P", "databases.participant.password", "env:P",
			func(c *config.Config) any {
				return string(c.Databases["participant"].Password)
			}, "env:P"},
		{"HOLDFAST_DATABASES_SCAN_BACKEND_CONNECTION=host=y", "databases.scan-backend.connection", "host=y",
			func(c *config.Config) any {
				return c.Databases["scan-backend"].Connection
			}, "host=y"},
		{"HOLDFAST_DATABASES_SCAN_BACKEND_BEFORE=participant", "databases.scan-backend.before", "participant",
			func(c *config.Config) any {
				return len(c.Databases["scan-backend"].Before)
			}, 1},

		// The text of a variable is its value; YAML in it means nothing.
		{"HOLDFAST_REPOSITORY_PATH=/x\nnode: evil", "repository.path", "/x\nnode: evil", func(c *config.Config) any {
			return c.Node + c.Repository.Place.String()
		}, "demo/x\nnode: evil"},
		{"HOLDFAST_REPOSITORY_PATH=/a: b # c", "repository.path", "/a: b # c", func(c *config.Config) any {
			return c.Repository.Place.String()
		}, "/a: b # c"},
		{"HOLDFAST_TOOLS=/t [x", "tools", "/t [x", func(c *config.Config) any { return c.Tools }, "/t [x"},
		{"HOLDFAST_DATABASES_VALIDATOR=dbname='a: b' user=*x", "databases.validator", "dbname='a: b' user=*x",
			func(c *config.Config) any {
				return c.Databases["validator"].Connection
			}, "dbname='a: b' user=*x"},

		{"HOLDFAST_REPOSITORY_PATH=backups/", "repository.path", "backups/", func(c *config.Config) any {
			return c.Repository.Place
		}, place.Place{
			Scheme: place.File,
			Path:   "/etc/holdfast/backups",
		}},
		{"HOLDFAST_IDENTITIES_KEEP=/mnt/a, kept", "identities.keep", "/mnt/a, kept", func(c *config.Config) any {
			return fmt.Sprint(c.Identities.Keep)
		}, "[/mnt/a /etc/holdfast/kept]"},

		{"HOLDFAST_TEST_ANYTHING=1", "node", "demo", func(c *config.Config) any { return c.Node }, "demo"},
		{"HOLDFAST_CONFIG=/other", "node", "demo", func(c *config.Config) any { return c.Node }, "demo"},
		{"HOLDFAST_OUTPUT=json", "node", "demo", func(c *config.Config) any { return c.Node }, "demo"},
		{"NODE=other", "node", "demo", func(c *config.Config) any { return c.Node }, "demo"},
	} {
		t.Run(x.variable, func(t *testing.T) {
			c, err := parse(whole, x.variable)
			if err != nil {
				t.Fatal(err)
			}
			if got := x.got(c); got != x.want {
				t.Errorf("got %v, want %v", got, x.want)
			}
			o := origin(c, x.key)
			if x.key == "databases.validator" && o.Key == "" {
				o = origin(c, "databases.validator.connection")
			}
			name, value, _ := strings.Cut(x.variable, "=")
			if o.Value != x.value || value == x.value && o.From != name {
				t.Errorf("its origin is %+v", o)
			}
			for _, o := range c.Origins() {
				if strings.HasPrefix(o.Key, x.key+"[") && value == x.value {
					t.Errorf("the old %+v is still there", o)
				}
			}
		})
	}
}

func TestEnvironmentMistakes(t *testing.T) {
	for _, x := range []struct{ variable, want string }{
		{"HOLDFAST_NODES=hunter2", "the environment variable HOLDFAST_NODES names no setting"},
		{"HOLDFAST_DATABASES={evil: hunter2}", "HOLDFAST_DATABASES names no setting"},
		{"HOLDFAST_DATABASES_EVIL=hunter2", "HOLDFAST_DATABASES_EVIL names no setting"},
		{"HOLDFAST_IDENTITIES={url: hunter2}", "HOLDFAST_IDENTITIES names no setting"},
		{"HOLDFAST_IDENTITIES_AUTH={mode: hunter2}", "HOLDFAST_IDENTITIES_AUTH names no setting"},
		{"HOLDFAST_DUMP={lanes: 1}", "HOLDFAST_DUMP names no setting"},
		{"HOLDFAST_FILE=hunter2", "HOLDFAST_FILE names no setting"},
		{"HOLDFAST_DUMP_LANES=hunter2", "HOLDFAST_DUMP_LANES: want a whole number"},
		{"HOLDFAST_DUMP_LOCK_WAIT=hunter2", "HOLDFAST_DUMP_LOCK_WAIT: want a duration"},
		{"HOLDFAST_IDENTITIES_AUTH_BASIC=hunter2", "HOLDFAST_IDENTITIES_AUTH_BASIC: want true or false"},
		{"HOLDFAST_REPOSITORY_PASSWORD=hunter2", "repository.password: want a reference"},
		{"HOLDFAST_REPOSITORY_PATH=vault://h/hunter2/x", "repository.path: vault:// does not hold a repository"},
		{"HOLDFAST_REPOSITORY_PATH=hunter2:x", "HOLDFAST_REPOSITORY_PATH: HOST:PATH names another machine"},
		{"HOLDFAST_IDENTITIES_KEEP=/x,ftp://hunter2", "HOLDFAST_IDENTITIES_KEEP: ftp:// is unknown"},
		{"HOLDFAST_DATABASES_VALIDATOR_BEFORE=nobody", "databases.validator.before: there is no database nobody"},
	} {
		_, err := parse(whole, x.variable)
		if err == nil || !strings.Contains(err.Error(), x.want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: got %v, want %s", x.variable, err, x.want)
		}
	}
	two := least + "dump: {lanes: 1}\n"
	two = strings.Replace(two, "databases:\n", "databases:\n  a-b: x=y\n  a_b: x=z\n", 1)
	_, err := parse(two, "HOLDFAST_DATABASES_A_B_CONNECTION=host=x")
	if want := "HOLDFAST_DATABASES_A_B_CONNECTION could be databases.a-b.connection as well as " +
		"databases.a_b.connection"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("two databases that look alike: %v", err)
	}
}

func TestIdentitiesFromTheEnvironmentAlone(t *testing.T) {
	c, err := parse(least, "HOLDFAST_IDENTITIES_URL=http://v", "HOLDFAST_IDENTITIES_RECIPIENTS=age1x",
		"HOLDFAST_IDENTITIES_AUTH_MODE=token", "HOLDFAST_IDENTITIES_AUTH_TOKEN=env:T")
	if err != nil {
		t.Fatal(err)
	}
	if c.Identities == nil || c.Identities.URL != "http://v" || c.Identities.Auth.Token != "env:T" {
		t.Errorf("got %+v", c.Identities)
	}
	if c, err = parse(least); err != nil || c.Identities != nil {
		t.Errorf("without the variables: %+v, %v", c.Identities, err)
	}
}

func TestOriginsSayWhereValuesStand(t *testing.T) {
	c, err := parse(whole, "HOLDFAST_DUMP_LANES=2")
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]string{
		"node":                            "holdfast.yaml:2",
		"databases.validator.connection":  "holdfast.yaml:4",
		"databases.participant.password":  "holdfast.yaml:7",
		"databases.scan-backend.after[0]": "holdfast.yaml:13",
		"identities.auth.basic":           "holdfast.yaml:26",
		"identities.keep[1]":              "holdfast.yaml:31",
		"repository.password":             "holdfast.yaml:34",
		"dump.lanes":                      "HOLDFAST_DUMP_LANES",
	} {
		if got := origin(c, key); got.From != want {
			t.Errorf("%s comes from %q, want %q", key, got.From, want)
		}
	}
	if !slices.IsSortedFunc(c.Origins(), func(a, b config.Origin) int { return strings.Compare(a.Key, b.Key) }) {
		t.Error("they are not sorted")
	}
	c, err = parse(least)
	if err != nil {
		t.Fatal(err)
	}
	if got := origin(c, "dump.wait_limit"); got.From != "default" || got.Value != "1s" {
		t.Errorf("a default: %+v", got)
	}
}

func TestPasswordsInConnectionStringsAreNotShown(t *testing.T) {
	for _, dsn := range []string{
		"postgres://u:hunter2@db/x", "postgres://u:hunter2@h@db/x", "postgres://u:a/hunter2@db/x",
		"postgres://u:a#hunter2@db/x", "postgres://:hunter2@db/x",
		"postgres://db/x?password=hunter2", "postgres://db/x?sslmode=require&password=hunter2&user=u",
		"postgres://db/x?sslpassword=hunter2",
		"host=db password=hunter2 dbname=x", "host=db password = hunter2", "password='a hunter2' host=db",
		`password='a\' hunter2' host=db`,
		`password=a\ hunter2 host=db`, "password='a hunter2", "password=a&hunter2", "PASSWORD=hunter2",
		"sslpassword=hunter2 host=db",
	} {
		for _, text := range []string{
			strings.Replace(least, "host=db dbname=participant-4", yamlQuote(dsn), 1),
			strings.Replace(least, "host=db dbname=participant-4", "{connection: "+yamlQuote(dsn)+"}", 1),
		} {
			c, err := parse(text)
			if err != nil {
				t.Fatalf("%s: %v", dsn, err)
			}
			if got := origin(c, "databases.participant.connection").Value; strings.Contains(got, "hunter2") ||
				!strings.Contains(got, "[secret]") {
				t.Errorf("%s is shown as %s", dsn, got)
			}
			_, err = parse(text + "bad: " + yamlQuote(dsn))
			if err == nil || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("%s with another mistake: %v", dsn, err)
			}
		}
		c, err := parse(least, "HOLDFAST_DATABASES_PARTICIPANT="+dsn)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range c.Origins() {
			if strings.Contains(o.Value, "hunter2") {
				t.Errorf("%s from the environment is shown as %+v", dsn, o)
			}
		}
	}
	for _, text := range []string{"http://wallet.localhost:8080/path",
		"host=db port=5432 dbname=participant-4 user=u", "postgres://cnadmin@db:5432/x?sslmode=require"} {
		c, err := parse(strings.Replace(least, "host=db dbname=participant-4", yamlQuote(text), 1))
		if err != nil {
			t.Fatal(err)
		}
		if got := origin(c, "databases.participant.connection").Value; got != text {
			t.Errorf("%s, which has no password, is shown as %s", text, got)
		}
	}
	c, err := parse(replaced("http://wallet.localhost", "http://u:hunter2@wallet.localhost"))
	if err != nil {
		t.Fatal(err)
	}
	if got := origin(c, "identities.url").Value; strings.Contains(got, "hunter2") {
		t.Errorf("a URL with a password is shown as %s", got)
	}
}

func yamlQuote(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

func TestLoadSaysWhatIsWrongWithTheFile(t *testing.T) {
	dir := t.TempDir()
	_, err := config.Load(filepath.Join(dir, "none.yaml"), nil)
	if _, do := holdfast.Advice(err); holdfast.ClassOf(err) != holdfast.Usage ||
		!strings.Contains(do, "To write one: `holdfast init`") {
		t.Errorf("a file that is not there: %v; next: %s", err, do)
	}
	_, err = config.Load(dir, nil)
	if _, do := holdfast.Advice(err); holdfast.ClassOf(err) != holdfast.Usage ||
		strings.Contains(do, "To write one") {
		t.Errorf("a directory: %v; next: %s", err, do)
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{whole, least, "", "a: &a [*a]", "databases: &d {x: *d}", "node: !!binary aGk=",
		"? [a]: b", "<<: {}", "identities: ~", "dump: {lanes: 0x1}", "---\n---\n"} {
		f.Add(seed, "HOLDFAST_NODE=x")
	}
	f.Fuzz(func(t *testing.T, text, variable string) {
		c, err := parse(text, variable)
		if err != nil {
			if holdfast.ClassOf(err) != holdfast.Usage {
				t.Errorf("class %s: %v", holdfast.ClassOf(err), err)
			}
			return
		}
		if err := c.DomainNode().Validate(); err != nil {
			t.Errorf("what was accepted is not valid: %v", err)
		}
		if len(c.Origins()) < 3 {
			t.Error("what was accepted has no origins")
		}
	})
}

// A place may be written as a mapping of its parts, under the name of its kind.
func TestPlacesAsMappings(t *testing.T) {
	text := strings.Replace(least, "  path: /var/backups/holdfast\n",
		"  s3: {bucket: sets, prefix: demo, region: eu-central-1}\n", 1) +
		"copies:\n  - sftp:\n      host: vault\n      user: backup\n      path: srv/sets\n    access: {key: 'file:k'}\n"
	c, err := parse(text)
	if err != nil {
		t.Fatal(err)
	}
	if got := c.Repository.Place.String(); got != "s3://sets/demo?region=eu-central-1" {
		t.Errorf("the repository is in %s", got)
	}
	if got := c.Copies[0].Place.String(); got != "sftp://backup@vault/srv/sets" || c.Copies[0].Access.Key == "" {
		t.Errorf("the copy is in %s", got)
	}
	if !slices.ContainsFunc(c.Origins(), func(o config.Origin) bool { return o.Key == "repository.path" && o.Value != "" }) {
		t.Error("the place has no origin")
	}
	for says, with := range map[string]string{
		"it has another place already": "  s3: {bucket: sets}\n  path: /x\n",
		"has another place already":    "  path: /x\n  s3: {bucket: sets}\n",
		"known here are bucket":        "  s3: {bucket: sets, secret: canary}\n",
		"known here are path":          "  s4: {bucket: sets}\n",
		"want its parts below it":      "  s3: s3://sets\n",
		"the address is incomplete":    "  gs: {prefix: demo}\n",
	} {
		_, err := parse(strings.Replace(least, "  path: /var/backups/holdfast\n", with, 1))
		if err == nil || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v", says, err)
		}
	}
}

// A place of copies that the environment names as the repository has the access and
// the rules that it has as a copy, and is a copy no more.
func TestACopyStandsIn(t *testing.T) {
	const text = `node: demo
databases: {participant: host=db dbname=p}
repository: {path: first, password: env:P, access: {id: env:MINE}}
retention: {daily: 7}
copies:
  - third
  - {path: "s3://b/second?region=r", access: {id: env:THEIRS}, limits: {requests: 5}, keep: {last: 3}}
check: {second_copy: "s3://b/second?region=r"}
`
	plain, err := config.Parse("/etc/holdfast.yaml", []byte(text), nil)
	if err != nil || len(plain.Copies) != 2 || !plain.StandsIn().IsZero() {
		t.Fatalf("%+v, %v", plain, err)
	}
	c, err := config.Parse("/etc/holdfast.yaml", []byte(text), []string{
		"HOLDFAST_REPOSITORY_PATH=s3://b/second?region=r", "HOLDFAST_REPOSITORY_LIMITS_REQUESTS=9",
	})
	if err != nil {
		t.Fatal(err)
	}
	if c.StandsIn().String() != "s3://b/second?region=r" || c.Repository.Place != c.StandsIn() {
		t.Errorf("%s stands in for %s", c.StandsIn(), c.Repository.Place)
	}
	if len(c.Copies) != 1 || c.Copies[0].Place.String() != "/etc/third" || !c.Check.SecondCopy.IsZero() {
		t.Errorf("copies: %+v, check %s", c.Copies, c.Check.SecondCopy)
	}
	if c.Repository.Access.ID != "env:THEIRS" || c.Repository.Limits.Requests != 9 || c.Retention != (config.Retention{Last: 3}) {
		t.Errorf("%+v, %+v", c.Repository, c.Retention)
	}
	for _, o := range c.Origins() {
		if strings.HasPrefix(o.Key, "copies[1]") || o.Value == "env:MINE" || o.Key == "retention.daily" {
			t.Errorf("not in force: %+v", o)
		}
	}
	other, err := config.Parse("/etc/holdfast.yaml", []byte(text), []string{"HOLDFAST_REPOSITORY_PATH=fourth"})
	if err != nil || len(other.Copies) != 2 || other.Retention.Daily != 7 || !other.StandsIn().IsZero() {
		t.Errorf("%+v, %v", other, err)
	}
}
