// Package storage reads where a program of Canton's keeps its state: in which
// database, as whom, by what configuration its image appends to its own.
package storage

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

// Variables begin the names of the variables whose values the images
// append to their configuration, in the order of the names (Splice:
// cluster/images/common/entrypoint.sh).
const Variables = "ADDITIONAL_CONFIG"

// Environment is what a program was started with.
type Environment interface {
	Names() []string // sorted
	Lookup(name string) (string, bool)
}

// Configuration is what the variables of a program add to its image's, with the
// files that they include.
func Configuration(
	e Environment, file func(name string) (string, bool, error),
) (*hocon.Config, error) {
	var text strings.Builder
	var begins []int // the line before each variable's first
	var names []string
	for _, name := range e.Names() {
		if strings.HasPrefix(name, Variables) {
			value, _ := e.Lookup(name)
			names, begins = append(names, name), append(begins, strings.Count(text.String(), "\n"))
			text.WriteString(value + "\n")
		}
	}
	config, err := hocon.Parse(text.String(), hocon.Outside{Env: e.Lookup, File: file})
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

// Of is the database of the first program of a kind, such as "participants", as
// far as the configuration says it.
func Of(config *hocon.Config, kind string) (Database, error) {
	return storageOf(config, kind).database()
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
			d, password = d.Or(at), cmp.Or(password, secret)
		}
	}
	d.Password = holdfast.NewSecret(password)
	return d, s.err
}

// Or completes what is not said by another.
func (d Database) Or(o Database) Database {
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

// Port is Postgres's.
const Port = "5432"
