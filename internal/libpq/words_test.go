package libpq

import (
	"os"
	"strings"
	"testing"
	"time"

	"holdfast"
)

// What libpq knows is taken, or refused by name; what others know is named.
func TestWordsOfConnectionStrings(t *testing.T) {
	for _, c := range []struct{ query, refused, do string }{
		{"gssencmode=disable", "", ""},
		{"gssencmode=prefer", "", ""},
		{"gssencmode=require", "gssencmode cannot be used", "sslmode=verify-full"},
		{"keepalives=1&keepalives_idle=30&keepalives_interval=10&keepalives_count=3", "", ""},
		{"tcp_user_timeout=30000", "", ""},
		{"sslmode=disable&sslcompression=0", "", ""},
		{"channel_binding=prefer", "", ""},
		{"ssl_min_protocol_version=TLSv1.2&ssl_max_protocol_version=TLSv1.3", "", ""},
		{"fallback_application_name=x&application_name=y", "", ""},
		{"client_encoding=auto", "", ""},
		{"options=-c%20statement_timeout%3D0", "", ""},
		{"connect_timeout=5", "", ""},
		{"sslnegotiation=postgres&target_session_attrs=read-write", "", ""},
		{"load_balance_hosts=disable", "", ""},
		{"load_balance_hosts=random", "load_balance_hosts cannot be used", "one server"},
		{"sslcrl=/dev/null", "sslcrl cannot be used", "sslrootcert"},
		{"requirepeer=postgres", "requirepeer cannot be used", "directory"},
		{"sslpassword=x", "sslpassword cannot be used", "key file"},
		{"replication=true", "replication cannot be used", "ordinary connection"},
		{"currentSchema=participant", "currentSchema is a parameter of JDBC", "leave it out"},
		{"prepareThreshold=0", "prepareThreshold is a parameter of JDBC", "leave it out"},
		{"loginTimeout=5", "loginTimeout is a parameter of JDBC", "connect_timeout"},
		{"ApplicationName=x", "does not know the parameter ApplicationName", "application_name"},
		{"sslMode=require", "does not know the parameter sslMode", "libpq's is sslmode"},
		{"sslRootCert=/ca", "does not know the parameter sslRootCert", "libpq's is sslrootcert"},
		{"ssl=verify", "ssl is a parameter of JDBC", "sslmode=verify-full"},
		{"sslmode=no-verify", "a value of another library", "node-postgres"},
		{"schema=public", "schema is a parameter of Prisma", "every schema"},
		{"pgbouncer=true", "pgbouncer is a parameter of Prisma", "server itself"},
		{"statement_timeout=0", "statement_timeout is a parameter of the server", "options='-c"},
		{"wibble=1", "does not know the parameter wibble", "options='-c NAME=VALUE'"},
	} {
		_, err := Parse("postgres://u@db/x?" + c.query)
		if c.refused == "" {
			if err != nil {
				t.Errorf("%s: %v", c.query, err)
			}
			continue
		}
		_, do := holdfast.Advice(err)
		if err == nil || holdfast.ClassOf(err) != holdfast.Usage {
			t.Errorf("%s: %v, class %q", c.query, err, holdfast.ClassOf(err))
		} else if !strings.Contains(err.Error(), c.refused) || !strings.Contains(strings.ToLower(do), strings.ToLower(c.do)) {
			t.Errorf("%s:\n%v\n%s", c.query, err, do)
		}
	}
}

// Every word that is taken reaches the library that connects, or is seen to
// here: none becomes a setting of the server.
func TestNoWordBecomesASetting(t *testing.T) {
	for word, k := range keywords {
		value := "1"
		if len(k.only) > 0 {
			value = k.only[0]
		}
		switch word {
		case "service", "servicefile", "options", "password", "sslmode", "sslnegotiation", "sslcertmode", "channel_binding",
			"require_auth", "target_session_attrs", "min_protocol_version", "max_protocol_version", "sslcert", "sslkey", "sslrootcert", "passfile":
			continue // their values are words of their own, or files
		case "ssl_min_protocol_version", "ssl_max_protocol_version":
			value = "TLSv1.2"
		}
		c, err := Parse("host=db user=u dbname=d sslmode=disable " + word + "=" + value)
		if k.use == refused {
			if err == nil {
				t.Errorf("%s is not refused", word)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", word, err)
			continue
		}
		config, err := c.config()
		if err != nil {
			t.Errorf("%s: %v", word, err)
			continue
		}
		if setting, is := config.RuntimeParams[word]; is {
			t.Errorf("%s is sent to the server as a setting, %q", word, setting)
		}
	}
}

func TestKeepalivesAndAddresses(t *testing.T) {
	c, err := Parse("host=a.example,b.example hostaddr=127.0.0.1,127.0.0.2 keepalives_idle=7 keepalives_count=3 sslmode=disable user=u")
	if err != nil {
		t.Fatal(err)
	}
	d, err := c.dialer()
	if err != nil || d.KeepAliveConfig.Idle != 7*time.Second || d.KeepAliveConfig.Count != 3 || !d.KeepAliveConfig.Enable {
		t.Errorf("%+v, %v", d, err)
	}
	config, err := c.config()
	if err != nil {
		t.Fatal(err)
	}
	for host, want := range map[string]string{"a.example": "127.0.0.1", "b.example": "127.0.0.2"} {
		if got, err := config.LookupFunc(t.Context(), host); err != nil || len(got) != 1 || got[0] != want {
			t.Errorf("%s is at %v, %v", host, got, err)
		}
	}
	if _, err := mustParse(t, "host=a,b hostaddr=127.0.0.1 user=u").config(); err == nil {
		t.Error("one address for two hosts")
	}
	if _, err := mustParse(t, "host=a keepalives_idle=soon user=u").config(); err == nil {
		t.Error("keepalives_idle=soon")
	}
}

func mustParse(t *testing.T, dsn string) Conninfo {
	t.Helper()
	c, err := Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// The shell's variables complete the operator's connections, are checked as
// their words are, and are gone from the environment.
func TestVariablesOfTheShell(t *testing.T) {
	for name, value := range map[string]string{
		"PGHOST": "db", "PGPORT": "55432", "PGPASSWORD": "tops3cret", "PGDATA": "/srv", "PGDATESTYLE": "German", "PGOPTIONS": "-c jit=off",
	} {
		t.Setenv(name, value)
	}
	shell := TakeEnvironment()
	c, err := shell.Parse("user=u dbname=d port=1")
	if err != nil {
		t.Fatal(err)
	}
	if c.Get("host") != "db" || c.Get("port") != "1" || c.Secret().Reveal() != "tops3cret" || c.Get("options") != "-c jit=off" {
		t.Errorf("%v", c)
	}
	for _, name := range []string{"PGHOST", "PGPORT", "PGPASSWORD", "PGDATESTYLE", "PGOPTIONS"} {
		if value, there := os.LookupEnv(name); there {
			t.Errorf("%s=%s is still there", name, value)
		}
	}
	if os.Getenv("PGDATA") != "/srv" {
		t.Error("PGDATA is none of libpq's variables")
	}
	if _, err := (Environment{"sslcrl": "/x"}).Parse("host=db"); err == nil || !strings.Contains(err.Error(), "sslcrl") {
		t.Errorf("PGSSLCRL: %v", err)
	}
	left := Without([]string{"HOME=/root", "PGSERVICE=x", "PGTARGETSESSIONATTRS=any", "PATH=/bin"})
	if strings.Join(left, " ") != "HOME=/root PATH=/bin" {
		t.Errorf("%v", left)
	}
}
