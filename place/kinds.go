package place

import (
	"errors"
	"fmt"
	"slices"
)

// Use is the purpose of a place.
type Use string

// The uses of places.
const (
	Repository Use = "a repository"
	Identities Use = "identities"
)

// kind describes a kind of place.
type kind struct {
	form      string // how one is written
	authority part   // what the host part of its URL is
	container bool   // the path begins with a bucket
	parts     int    // the least that its path has; 0: as many as its use takes
	port      string // of the server, by default
	options   []string
	holds     []Use
	available bool // this program can use it
}

// part is a part of a place.
type part int

const (
	none part = iota
	host
	bucket
	account
)

// The options of places: how one is reached.
const (
	endpoint = "endpoint" // the server of a bucket
	Region   = "region"   // of the bucket
	Profile  = "profile"  // of AWS's shared configuration
	Domain   = "domain"   // of storage accounts, in a cloud of Azure other than the public one
	TLS      = "tls"      // Off: the server speaks plain HTTP

	Namespace = "namespace" // of Vault
)

// Off is the value of an option that turns something off.
const Off = "off"

// kinds are the kinds of places. A kind that is not available yet is refused by
// its name, and can be named as the place of a second copy.
var kinds = map[Scheme]kind{
	File: {form: "/DIRECTORY", holds: []Use{Repository, Identities}, available: true},

	S3: {
		form:      "s3://BUCKET/PREFIX",
		authority: bucket,
		options:   []string{endpoint, Region, Profile, TLS},
		holds:     []Use{Repository},
		available: true,
	},
	GCS: {
		form:      "gs://BUCKET/PREFIX",
		authority: bucket,
		options:   []string{endpoint, TLS},
		holds:     []Use{Repository},
		available: true,
	},
	Azure: {
		form:      "azblob://ACCOUNT/CONTAINER/PREFIX",
		authority: account,
		container: true,
		options:   []string{endpoint, Domain, TLS},
		holds:     []Use{Repository},
		available: true,
	},
	SFTP: {
		form:      "sftp://USER@HOST/PATH",
		authority: host,
		port:      "22",
		holds:     []Use{Repository},
		available: true,
	},
	WebDAV: {
		form:      "webdav://HOST/PATH",
		authority: host,
		port:      "443",
		options:   []string{TLS},
		holds:     []Use{Repository},
		available: true,
	},

	Vault: {
		form:      "vault://HOST/MOUNT/PATH",
		authority: host,
		port:      "8200",
		parts:     2, // MOUNT and PATH
		options:   []string{Namespace, TLS},
		holds:     []Use{Identities},
		available: true,
	},
	AWSSecrets: {
		form:      "awssm://REGION/NAME",
		authority: host,
		options:   []string{Profile},
		holds:     []Use{Identities},
		available: true,
	},
	GoogleSecrets: {
		form:      "gcpsm://PROJECT/NAME",
		authority: account,
		holds:     []Use{Identities},
		available: true,
	},
	AzureVault: {form: "azkv://VAULT/NAME", authority: host, holds: []Use{Identities}, available: true},
	Kubernetes: {form: "kube://NAMESPACE/NAME", authority: bucket, holds: []Use{Identities}, available: true},
}

// Holds returns an error that says what is wanted instead, if no place of that
// kind is for that use.
func (p Place) Holds(use Use) error {
	switch {
	case p.IsZero():
		return errors.New(wantDirectory)
	case !slices.Contains(kinds[p.Scheme].holds, use):
		return fmt.Errorf("%s:// does not hold %s: %s", p.Scheme, use, wantDirectory)
	}
	return nil
}

// Serves is like Holds, but also refuses kinds that this program cannot use
// yet.
func (p Place) Serves(use Use) error {
	if err := p.Holds(use); err != nil {
		return err
	}
	if !kinds[p.Scheme].available {
		return fmt.Errorf("%s:// is not available yet: %s", p.Scheme, wantDirectory)
	}
	return nil
}

// Available are the kinds of places that serve that use, sorted by name.
func Available(use Use) []Scheme {
	var out []Scheme
	for scheme := range kinds {
		if (Place{Scheme: scheme}).Serves(use) == nil {
			out = append(out, scheme)
		}
	}
	slices.Sort(out)
	return out
}

const wantDirectory = "want a directory, such as /var/backups/holdfast"
