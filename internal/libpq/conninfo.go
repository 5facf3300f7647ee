package libpq

import (
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"holdfast"
)

// Conninfo is a connection string taken apart: libpq's keywords and values,
// without the password. The zero value connects to libpq's defaults.
type Conninfo struct {
	values   map[string]string
	password holdfast.Secret
}

// Parse reads a connection string of either form, "postgres://..." or
// "host=... dbname=...". It refuses words that libpq does not know, or that
// cannot be honoured. Error texts never contain the string, which may carry a
// password.
func Parse(dsn string) (Conninfo, error) { return Environment{}.Parse(dsn) }

// Parse reads a connection string as Parse does; what it does not say, the
// environment's variables do.
func (e Environment) Parse(dsn string) (Conninfo, error) {
	var values map[string]string
	var err error
	if strings.HasPrefix(dsn, "postgres://") || strings.HasPrefix(dsn, "postgresql://") {
		values, err = parseURL(dsn)
	} else {
		values, err = parseKeywords(dsn)
	}
	if err != nil {
		return Conninfo{}, err
	}
	for word, value := range e {
		if _, given := values[word]; !given {
			values[word] = value
		}
	}
	if err := checkWords(values); err != nil {
		return Conninfo{}, err
	}
	c := Conninfo{values: values, password: holdfast.NewSecret(values["password"])}
	delete(c.values, "password")
	return c, nil
}

func sortedKeys(values map[string]string) []string { return slices.Sorted(maps.Keys(values)) }

// parseURL takes the part that names users and hosts apart by itself: libpq
// allows lists of hosts, and percent-encoded directories of sockets.
func parseURL(dsn string) (map[string]string, error) {
	wrong := fmt.Errorf("the connection URL does not parse (characters such as / @ : # in a password have to be percent-encoded)")
	_, rest, _ := strings.Cut(dsn, "://")
	authority, tail := rest, ""
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		authority, tail = rest[:i], rest[i:]
	}
	u, err := url.Parse("postgres://" + tail)
	if err != nil || u.Fragment != "" {
		return nil, wrong
	}
	values := map[string]string{}
	set := func(key, value string) {
		if value != "" {
			values[key] = value
		}
	}
	if i := strings.LastIndex(authority, "@"); i >= 0 {
		user, password, _ := strings.Cut(authority[:i], ":")
		authority = authority[i+1:]
		if user, err = url.PathUnescape(user); err != nil {
			return nil, wrong
		}
		if password, err = url.PathUnescape(password); err != nil {
			return nil, wrong
		}
		set("user", user)
		set("password", password)
	}
	var hosts, ports []string
	for _, hp := range strings.Split(authority, ",") {
		host, port := hp, ""
		if i := strings.LastIndex(hp, ":"); i >= 0 && !strings.HasSuffix(hp, "]") {
			host, port = hp[:i], hp[i+1:]
		}
		host, err = url.PathUnescape(strings.Trim(host, "[]"))
		if err != nil {
			return nil, fmt.Errorf("the host in the connection URL does not parse")
		}
		if strings.Trim(port, "0123456789") != "" {
			return nil, wrong
		}
		hosts, ports = append(hosts, host), append(ports, port)
	}
	set("host", strings.Trim(strings.Join(hosts, ","), ","))
	set("port", strings.Trim(strings.Join(ports, ","), ","))
	set("dbname", strings.TrimPrefix(u.Path, "/"))
	for key, v := range u.Query() {
		if key == "database" {
			key = "dbname"
		}
		if key == "ssl" && v[0] == "true" {
			key, v[0] = "sslmode", "require"
		}
		if !wordRule.MatchString(key) {
			return nil, wrong
		}
		values[key] = v[0]
	}
	return values, nil
}

// wordRule is what a word before an equals sign may look like.
var wordRule = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.]*$`)

func parseKeywords(dsn string) (map[string]string, error) {
	values := map[string]string{}
	rest := strings.TrimSpace(dsn)
	for rest != "" {
		key, after, found := strings.Cut(rest, "=")
		key = strings.TrimSpace(key)
		if !found || !wordRule.MatchString(key) {
			return nil, fmt.Errorf("the connection string is not a list of keyword=value pairs")
		}
		after = strings.TrimLeft(after, " \t\n")
		quoted := strings.HasPrefix(after, "'")
		if quoted {
			after = after[1:]
		}
		var value strings.Builder
		i, closed := 0, false
	scan:
		for ; i < len(after); i++ {
			switch ch := after[i]; {
			case ch == '\\' && i+1 < len(after):
				i++
				value.WriteByte(after[i])
			case quoted && ch == '\'':
				closed = true
				i++
				break scan
			case !quoted && (ch == ' ' || ch == '\t' || ch == '\n'):
				break scan
			default:
				value.WriteByte(ch)
			}
		}
		if quoted && !closed {
			return nil, fmt.Errorf("the connection string has a quote that is not closed, in the value of %s", key)
		}
		values[key] = value.String()
		rest = strings.TrimSpace(after[i:])
	}
	return values, nil
}

// Get returns a keyword's value, "" when it is not there.
func (c Conninfo) Get(key string) string { return c.values[key] }

// With returns a copy in which key has that value.
func (c Conninfo) With(key, value string) Conninfo {
	values := maps.Clone(c.values)
	if values == nil {
		values = map[string]string{}
	}
	values[key] = value
	return Conninfo{values, c.password}
}

// WithPassword returns a copy that authenticates with password.
func (c Conninfo) WithPassword(password holdfast.Secret) Conninfo {
	return Conninfo{maps.Clone(c.values), password}
}

// Database is the database's name; libpq takes the user's name when none is
// given.
func (c Conninfo) Database() string {
	if name := c.values["dbname"]; name != "" {
		return name
	}
	return c.values["user"]
}

// String returns the connection string without the password, keywords sorted:
// fit for messages, for the arguments of a child process and for comparison.
func (c Conninfo) String() string {
	var b strings.Builder
	for _, key := range sortedKeys(c.values) {
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(key + "=" + quote(c.values[key]))
	}
	return b.String()
}

// Where names the server and database for people: "database participant-4 at
// /run/postgresql:5432".
func (c Conninfo) Where() string {
	host, port := c.values["host"], c.values["port"]
	if host == "" {
		host = "the local socket"
	}
	if port != "" {
		port = ":" + port
	}
	return fmt.Sprintf("database %s at %s%s", c.Database(), host, port)
}

// Env returns the variables that a child process needs, in addition to String in
// its arguments.
func (c Conninfo) Env() []string {
	env := []string{"PGAPPNAME=holdfast", "PGCONNECT_TIMEOUT=10"}
	if !c.password.IsEmpty() {
		env = append(env, "PGPASSWORD="+c.password.Reveal())
	}
	return env
}

func quote(value string) string {
	if value != "" && !strings.ContainsAny(value, " \t\n\r\v\f'\\") {
		return value
	}
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(value) + "'"
}

// Secret is the password that the connection string carried, if any.
func (c Conninfo) Secret() holdfast.Secret { return c.password }
