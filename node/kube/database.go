package kube

import (
	"cmp"
	"fmt"
	"strings"

	"holdfast"
	"holdfast/canton/storage"
)

// Database is where a program keeps its state, as far as its pod says it.
type Database struct {
	Host, Port, Name, User string
	Password               Value
	// Server is what serves it, for people.
	Server string
}

// Question is what cannot be seen from outside.
type Question struct {
	Of       holdfast.Kind // whose database it is about
	Password bool          // it is about the password alone
	What     string
}

// defaultUser is the one of the images, as long as no variable names another.
const defaultUser = "cnadmin"

// whole is an environment without the configurations that were not read.
type whole struct{ Environment }

// Lookup implements storage.Environment.
func (w whole) Lookup(name string) (string, bool) {
	value, ok := w.Environment.Lookup(name)
	if strings.HasPrefix(name, storage.Variables) && valueOf(value).Text != value {
		return "", ok
	}
	return value, ok
}

// databaseOf is where a program keeps its state: as its configuration says, and as
// it was given where that does not.
func databaseOf(e Environment, kind holdfast.Kind) (found storage.Database, unseen []string) {
	for _, name := range e.Names() {
		if why := e.unknown(name); why != "" && strings.HasPrefix(name, storage.Variables) {
			unseen = append(unseen, why)
		}
	}
	programs := map[holdfast.Kind]string{holdfast.Participant: "participants", holdfast.Validator: "validator-apps"}
	config, err := storage.Configuration(whole{e}, nil)
	if err == nil {
		found, err = storage.Of(config, programs[kind])
	}
	if err != nil {
		unseen = append(unseen, fmt.Sprintf("its configuration does not say it: %v", err))
	}
	if kind == holdfast.Participant {
		found = found.Or(given(e))
	}
	found.Port = cmp.Or(found.Port, storage.Port)
	found.User = cmp.Or(found.User, defaultUser)
	return found, unseen
}

// given is the database that variables of the participant's image name.
func given(e Environment) storage.Database {
	of := func(name string) string {
		value, _ := e.Lookup("CANTON_PARTICIPANT_POSTGRES_" + name)
		return value
	}
	return storage.Database{
		Server: of("SERVER"), Port: of("PORT"), Name: of("DB"), Schema: of("SCHEMA"), User: of("USER"),
		Password: holdfast.NewSecret(of("PASSWORD")),
	}
}

// database is where a program of a validator keeps its state, and what of that
// cannot be seen.
func (o Objects) database(w Workload, e Environment, kind holdfast.Kind) (Database, []Question) {
	said, unseen := databaseOf(e, kind)
	ask := func(what string) { unseen = append(unseen, what) }
	for _, v := range []struct{ what, value string }{
		{"server", said.Server}, {"port", said.Port}, {"name", said.Name}, {"user", said.User},
	} {
		switch value := valueOf(v.value); {
		case v.value == "":
			ask("nothing names its " + v.what + e.perhaps())
		case value.Unseen != "":
			ask("its " + v.what + ": " + value.Unseen)
		case value.Reference != "":
			ask("its " + v.what + " is in " + value.Reference + ", which was not read")
		}
	}
	if len(unseen) > 0 {
		password := valueOf(said.Password.Reveal())
		return Database{Password: password}, []Question{{Of: kind, What: w.String() + ": " + strings.Join(unseen, "; ")}}
	}
	at := o.server(said.Server, w.Namespace)
	d := Database{
		Host: at.host, Port: said.Port, Name: said.Name, User: said.User,
		Password: valueOf(said.Password.Reveal()), Server: o.serves(at),
	}
	if at.unseen != "" {
		return d, []Question{{Of: kind, What: w.String() + ": " + at.unseen}}
	}
	if why := unusable(d.Password); why != "" {
		return d, []Question{{Of: kind, Password: true, What: w.String() + ": " + why + e.perhaps()}}
	}
	return d, nil
}

// perhaps says where variables may come from that no description names.
func (e Environment) perhaps() string {
	if len(e.from) == 0 {
		return ""
	}
	return "; it may be in " + strings.Join(e.from, " or ") + ", whose keys become variables"
}

// unusable says why a password's value is none; "" where it is one.
func unusable(v Value) string {
	switch {
	case v.Unseen != "":
		return "the password: " + v.Unseen
	case strings.HasPrefix(v.Reference, mapScheme):
		return "the password is in a ConfigMap"
	case v.Text == "" && v.Reference == "":
		return "nothing says the password"
	case strings.Contains(v.Text, removed):
		return "the password was in clear in the description of its pod, and is in no set"
	case injected(v.Text):
		return "the password is put in when a pod starts; the description has a reference of a webhook's"
	}
	return ""
}

// injected reports whether a text stands for a secret that a webhook puts into
// pods, such as vault:secret/data/db#password.
func injected(text string) bool {
	for _, prefix := range []string{
		"vault:", ">>vault:", "bao:", "ref+", "op://", "secretsmanager:", "arn:aws:", "gcp:secretmanager:", "azurekeyvault:",
	} {
		if strings.HasPrefix(text, prefix) {
			return true
		}
	}
	return strings.Contains(text, "@azurekeyvault")
}

// serves is what serves a database, for people.
func (o Objects) serves(at server) string {
	name, inside := Named(at.host)
	if !inside {
		return "outside of the cluster"
	}
	of := "Service " + name.Service + " in namespace " + name.Namespace
	if at.service == nil {
		return of
	}
	workloads := behind(*at.service, o.workloads())
	if len(workloads) == 0 {
		return of + ", which no pod listed here serves"
	}
	w := workloads[0]
	if cluster := w.Labels["cnpg.io/cluster"]; cluster != "" {
		of = "CloudNativePG's cluster " + cluster
	} else {
		of = w.String()
	}
	if len(w.claims) > 0 {
		of += ", claim " + strings.Join(w.claims, ", ")
	}
	return of
}
