package libpq

import (
	"maps"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"holdfast"
)

func TestParse(t *testing.T) {
	type words = map[string]string
	for _, c := range []struct {
		dsn      string
		want     words
		password string
	}{
		{"", words{}, ""},
		{"host=db dbname=participant", words{"host": "db", "dbname": "participant"}, ""},
		{"  host = db   port= 5433 ", words{"host": "db", "port": "5433"}, ""},
		{`dbname='with space' user='it\'s' password='a\\b c'`, words{"dbname": "with space", "user": "it's"}, `a\b c`},
		{`user=a\ b password=p\'q`, words{"user": "a b"}, "p'q"},
		{"host='' dbname=x", words{"host": "", "dbname": "x"}, ""},
		{"host=a\n\tport=1", words{"host": "a", "port": "1"}, ""},
		{"postgres://", words{}, ""},
		{"postgresql://cnadmin@db:5433/participant-4", words{"user": "cnadmin", "host": "db", "port": "5433", "dbname": "participant-4"}, ""},
		{"postgres://u:p%40%2Fss@db/x?sslmode=verify-full&sslrootcert=%2Fca.pem", words{"user": "u", "host": "db", "dbname": "x", "sslmode": "verify-full", "sslrootcert": "/ca.pem"}, "p@/ss"},
		{"postgres://u@/x?host=/run/postgresql", words{"user": "u", "dbname": "x", "host": "/run/postgresql"}, ""},
		{"postgres://%2Frun%2Fpostgresql/x", words{"host": "/run/postgresql", "dbname": "x"}, ""},
		{"postgres://[::1]:5433/x", words{"host": "::1", "port": "5433", "dbname": "x"}, ""},
		{"postgres://a:1,b:2/x", words{"host": "a,b", "port": "1,2", "dbname": "x"}, ""},
		{"postgres://db/x?ssl=true", words{"host": "db", "dbname": "x", "sslmode": "require"}, ""},
		{"postgres://db/x?password=secret", words{"host": "db", "dbname": "x"}, "secret"},
	} {
		got, err := Parse(c.dsn)
		if err != nil {
			t.Errorf("%q: %v", c.dsn, err)
			continue
		}
		if !maps.Equal(got.values, c.want) || got.password.Reveal() != c.password {
			t.Errorf("%q: %v, password %q", c.dsn, got.values, got.password.Reveal())
		}
		again, err := Parse(got.String())
		if err != nil || !maps.Equal(again.values, got.values) {
			t.Errorf("%q: written as %q and read as %v, %v", c.dsn, got.String(), again.values, err)
		}
	}
}

func TestParseRefusesWithoutRepeatingWhatItWasGiven(t *testing.T) {
	for _, dsn := range []string{
		"tops3cret", "host=db tops3cret", "password='tops3cret", "=tops3cret", "a b=tops3cret", "postgres://u:tops3cret@host:port:more/x%zz", "postgres://u:tops3cret#@%zz/x",
	} {
		if c, err := Parse(dsn); err == nil {
			t.Errorf("%q was taken for %v", dsn, c)
		} else if strings.Contains(err.Error(), "tops3cret") {
			t.Errorf("the message repeats the string: %v", err)
		}
	}
}

func TestThePasswordIsInTheEnvironmentAlone(t *testing.T) {
	c, err := Parse("host=db user=u password=tops3cret")
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{c.String(), c.Where(), c.Get("password")} {
		if strings.Contains(text, "tops3cret") {
			t.Error(text)
		}
	}
	if !strings.Contains(strings.Join(c.Env(), "\n"), "PGPASSWORD=tops3cret") {
		t.Error("a child process is not given the password")
	}
	if c = c.WithPassword(holdfast.NewSecret("rotated")); !strings.Contains(strings.Join(c.Env(), "\n"), "PGPASSWORD=rotated") {
		t.Error("a child process is not given the new password")
	}
}

func TestWithLeavesTheOriginalAlone(t *testing.T) {
	a, _ := Parse("host=db dbname=one")
	b := a.With("dbname", "two")
	if a.Database() != "one" || b.Database() != "two" || (Conninfo{}).With("user", "u").Database() != "u" {
		t.Errorf("%v %v", a, b)
	}
	if got := a.Where(); got != "database one at db" {
		t.Error(got)
	}
}

// FuzzParse: what is parsed can be written and parsed again, and the library
// that connects reads it the same way.
func FuzzParse(f *testing.F) {
	for _, dsn := range []string{"host=db dbname='a b'", "postgres://u:p@h:1/d?sslmode=disable", `user='\'' x=\ `, "a=", "=", "postgres://[::1]/", "host='", "dbname='\n'"} {
		f.Add(dsn)
	}
	f.Fuzz(func(t *testing.T, dsn string) {
		c, err := Parse(dsn)
		if err != nil {
			return
		}
		again, err := Parse(c.String())
		if err != nil || !maps.Equal(c.values, again.values) {
			t.Fatalf("%q: %v, written %q: %v, %v", dsn, c.values, c.String(), again.values, err)
		}
		config, err := pgconn.ParseConfig(c.With("sslmode", "disable").String())
		if err == nil && c.Get("user") != "" && c.Get("service") == "" && config.User != c.Get("user") {
			t.Errorf("%q: user %q, for the library %q", dsn, c.Get("user"), config.User)
		}
	})
}
