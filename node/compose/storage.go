package compose

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"holdfast"
	"holdfast/internal/hocon"
)

// Database is where one program of the node keeps its state, according to its
// configuration.
type Database struct {
	Server, Port, Name, Schema, User string
	Password                         holdfast.Secret
}

// configVariables begin the names of the variables whose values the images
// append to their configuration, in the order of the names (Splice:
// cluster/images/common/entrypoint.sh).
const configVariables = "ADDITIONAL_CONFIG"

// configuration is what the variables of a program add to its image's, with the
// files that they include.
func (c Container) configuration(file func(name string) (string, bool, error)) (*hocon.Config, error) {
	e := c.Env
	var text strings.Builder
	var begins []int // the line before each variable's first
	var names []string
	for _, name := range e.Names() {
		if strings.HasPrefix(name, configVariables) {
			names, begins = append(names, name), append(begins, strings.Count(text.String(), "\n"))
			text.WriteString(e.values[name] + "\n")
		}
	}
	env := func(name string) (string, bool) { value, ok := e.values[name]; return value, ok }
	config, err := hocon.Parse(text.String(), hocon.Outside{Env: env, File: file})
	var wrong *hocon.Error
	if !errors.As(err, &wrong) {
		return config, err
	}
	for i, begin := range slices.Backward(begins) {
		if begin < wrong.Line {
			return nil, fmt.Errorf("%s, line %d: %s", names[i], wrong.Line-begin, wrong.What)
		}
	}
	return nil, err
}

// storage reads one program's part of a configuration: `storage` of the program
// itself, or what the images call _storage, for the first of its kind.
type storage struct {
	config *hocon.Config
	places [][]string
	err    error // of the first value that could not be read
}

func storageOf(config *hocon.Config, kind string) *storage {
	s := &storage{config: config}
	programs, err := config.Keys("canton", kind)
	for _, program := range programs {
		at := []string{"canton", kind, program, "storage", "config"}
		s.places = append(s.places, append(slices.Clone(at), "properties"), at)
	}
	s.places = append(s.places, []string{"_storage", "config", "properties"}, []string{"_storage", "config"})
	s.err = err
	return s
}

// text is the value of a key; "" where there is none.
func (s *storage) text(key string) string {
	for _, place := range s.places {
		found, ok, err := s.config.Text(append(slices.Clone(place), key)...)
		if err != nil {
			s.err = errors.Join(s.err, err)
			return ""
		}
		if ok {
			return found
		}
	}
	return ""
}

// database is what the storage says: by itself, or by a JDBC address.
func (s *storage) database() (Database, error) {
	d := Database{
		Server: s.text("serverName"), Port: s.text("portNumber"), Name: s.text("databaseName"),
		Schema: s.text("currentSchema"), User: s.text("user"),
	}
	password := s.text("password")
	if s.err == nil && (d.Name == "" || d.Server == "") {
		if address := s.text("url"); address != "" {
			at, secret, err := parseJDBC(address)
			s.err = err
			d, password = d.or(at), cmp.Or(password, secret)
		}
	}
	d.Password = holdfast.NewSecret(password)
	return d, s.err
}

// or completes what is not said by another.
func (d Database) or(o Database) Database {
	d.Server, d.Port, d.Name = cmp.Or(d.Server, o.Server), cmp.Or(d.Port, o.Port), cmp.Or(d.Name, o.Name)
	d.Schema, d.User = cmp.Or(d.Schema, o.Schema), cmp.Or(d.User, o.User)
	if d.Password.IsEmpty() {
		d.Password = o.Password
	}
	return d
}

// parseJDBC reads jdbc:postgresql://HOST:PORT/DATABASE?user=...
func parseJDBC(address string) (d Database, password string, err error) {
	rest, ok := strings.CutPrefix(address, "jdbc:")
	at, err := url.Parse(rest)
	if !ok || err != nil || at.Scheme != "postgresql" || strings.Contains(at.Host, ",") {
		// The address may have a password in it, so it is not quoted.
		return d, "", errors.New("url: want jdbc:postgresql://HOST:PORT/DATABASE with one host")
	}
	q := at.Query()
	return Database{
		Server: at.Hostname(), Port: at.Port(), Name: strings.TrimPrefix(at.Path, "/"),
		Schema: q.Get("currentSchema"), User: q.Get("user"),
	}, q.Get("password"), nil
}

// usualPort is Postgres's.
const usualPort = "5432"

// ParticipantDatabase is the database of the participant: of its environment,
// unless its configuration says otherwise.
func (b Bundle) ParticipantDatabase() Database {
	d, _ := b.participantDatabase()
	return d
}

func (b Bundle) participantDatabase() (Database, error) {
	if b.Participant == nil {
		return Database{}, nil
	}
	e, prefix := b.Participant.Env, "CANTON_PARTICIPANT_POSTGRES_"
	given := Database{
		Server:   e.Get(prefix + "SERVER"),
		Port:     e.Get(prefix + "PORT"),
		Name:     e.Get(prefix + "DB"),
		Schema:   e.Get(prefix + "SCHEMA"),
		User:     e.Get(prefix + "USER"),
		Password: e.Secret(prefix + "PASSWORD"),
	}
	return b.Participant.database("participants", given)
}

// ValidatorDatabase is the database of the validator app's configuration.
func (b Bundle) ValidatorDatabase() Database {
	d, _ := b.validatorDatabase()
	return d
}

func (b Bundle) validatorDatabase() (Database, error) {
	if b.Validator == nil {
		return Database{}, nil
	}
	return b.Validator.database("validator-apps", Database{})
}

// database is where the program of a container keeps its state: as its
// configuration says, and as it was given where that does not.
func (c Container) database(kind string, given Database) (Database, error) {
	config, err := c.configuration(c.includedFile)
	if err != nil {
		return Database{}, c.unreadable(err)
	}
	d, err := storageOf(config, kind).database()
	if err != nil {
		return Database{}, c.unreadable(err)
	}
	d = d.or(given)
	d.Port = cmp.Or(d.Port, usualPort)
	if d.Name == "" || d.Server == "" {
		return d, c.unreadable(errors.New("it names no database (databaseName, serverName)"))
	}
	return d, nil
}

// unreadable refuses a configuration that does not say where the data is.
func (c Container) unreadable(err error) error {
	return &holdfast.Problem{
		Class: holdfast.Refused,
		What:  "the configuration of container " + c.Name + " does not say which database it uses",
		Err:   err,
		Why:   "Another database than the node's would be backed up, or replaced.",
		Do: "Write the value out in the container's variables " + configVariables + "*, or in a file of the container " +
			"that they include by its path, start the bundle again (start.sh), and look at the result: `holdfast node show`.",
	}
}
