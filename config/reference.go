package config

import (
	"fmt"
	"maps"
	"regexp"
	"strings"
)

// Reference says where a secret is: "file:PATH", "env:NAME", "exec:COMMAND", or a
// place in a manager of secrets, such as "vault:MOUNT/PATH#FIELD".
// It is not a secret itself. The reader of its scheme reads it.
type Reference string

var referenceForm = regexp.MustCompile(`(?s)^[a-z][a-z0-9]*:.+$`)

func (r Reference) check(key string) error {
	inContainer := strings.HasPrefix(string(r), "container:")
	if form := r.malformed(); form != "" {
		return fmt.Errorf("%s: want %s; never the secret itself", key, form)
	}
	if r == "" || referenceForm.MatchString(string(r)) && !inContainer {
		return nil
	}
	return NoReference(key)
}

// checkOr is like check, but also accepts a variable of one of the node's
// containers.
func (r Reference) checkOr(key string) error {
	if _, _, ok := r.Container(); ok {
		return nil
	}
	return r.check(key)
}

// NoReference is the error for a setting that is not a reference. Its value may
// be a secret, so it is not shown.
func NoReference(key string) error {
	return fmt.Errorf("%s: want a reference, file:PATH, env:NAME, exec:COMMAND, %s; "+
		"never the secret itself", key, forms())
}

// Container parses a reference of the form "container:ROLE/VARIABLE": the
// environment of a container of the node, "container:validator/NAME" or
// "container:participant/NAME". It is read when the secret is needed, so that
// the node's own settings stay the only copy.
func (r Reference) Container() (role, variable string, ok bool) {
	rest, is := strings.CutPrefix(string(r), "container:")
	role, variable, ok = strings.Cut(rest, "/")
	return role, variable, is && ok && role != "" && variable != ""
}

// References are those of the configuration, by their keys.
func (c *Config) References() map[string]Reference {
	out := c.stored()
	for name, d := range c.Databases {
		out["databases."+name+".password"] = d.Password
	}
	maps.Copy(out, c.SecretManagers.references())
	maps.Copy(out, c.Notices.references())
	maps.Copy(out, c.Page.references())
	if c.Identities != nil {
		out["identities.auth.client_secret"] = c.Identities.Auth.ClientSecret
		out["identities.auth.token"] = c.Identities.Auth.Token
	}
	return out
}

// stored are the references of the repository and of its copies.
func (c *Config) stored() map[string]Reference {
	out := map[string]Reference{"repository.password": c.Repository.Password}
	add := func(key string, a Access) {
		for name, reference := range map[string]Reference{
			"id": a.ID, "secret": a.Secret, "token": a.Token, "key": a.Key,
		} {
			out[key+".access."+name] = reference
		}
	}
	add("repository", c.Repository.Access)
	for i, second := range c.Copies {
		add(fmt.Sprintf("copies[%d]", i), second.Access)
	}
	return out
}

// absolute makes the paths of an access absolute.
func (a *Access) absolute(abs func(*string)) {
	abs(&a.CA)
	abs(&a.KnownHosts)
}
