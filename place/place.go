// Package place says where something is stored: a repository, a copy of one,
// the sealed identities. A place is a value, parsed once from the
// configuration; nothing here opens one. Its users know how to use a kind of
// place: the repository has a storage for it, the identities a keeper.
//
//	at, err := place.Parse("/var/backups/holdfast", "/etc/holdfast")
//	if err == nil {
//		err = at.Serves(place.Repository)
//	}
//	if place.Share(at, copied) == place.FileSystem {
//		// one loss takes both
//	}
package place

import (
	"net/url"
	"path/filepath"
	"strings"
)

// Place identifies a place, without credentials: its opener finds those. Two
// equal places are the same; the zero value is no place.
type Place struct {
	Scheme  Scheme
	Account string // whose it is: a user of the server, a storage account, a project
	Host    string // the server, host or host:port; "" for the vendor's own
	Bucket  string // or container, or name space
	Path    string // absolute for a directory; elsewhere without slashes around it
	Options string // how it is reached, encoded as in a URL, sorted by name
}

// Scheme is a kind of place, named as in a URL.
type Scheme string

// The kinds of places for repositories.
const (
	File   Scheme = "file"   // a directory of this machine, mounts from elsewhere included
	S3     Scheme = "s3"     // a bucket of S3, or of what speaks it
	GCS    Scheme = "gs"     // a bucket of Google Cloud Storage
	Azure  Scheme = "azblob" // a container of Azure Blob Storage
	SFTP   Scheme = "sftp"   // a directory of another machine
	WebDAV Scheme = "webdav" // a directory of a WebDAV server
)

// The kinds of places for identities alone: managers of secrets.
const (
	Vault      Scheme = "vault" // HashiCorp Vault, OpenBao
	AWSSecrets Scheme = "awssm" // AWS Secrets Manager

	GoogleSecrets Scheme = "gcpsm" // Google Secret Manager
	AzureVault    Scheme = "azkv"  // Azure Key Vault
	Kubernetes    Scheme = "kube"  // Secrets in a name space of a cluster
)

// Directory is the place of a directory; a relative path is below the working
// directory.
func Directory(path string) Place {
	if abs, err := filepath.Abs(path); err == nil {
		path = abs
	}
	return Place{Scheme: File, Path: path}
}

// Option is how the place is reached, by the name of an option; "" without it.
func (p Place) Option(name string) string {
	values, _ := url.ParseQuery(p.Options) // Parse has encoded them
	return values.Get(name)
}

// IsZero reports whether it is no place.
func (p Place) IsZero() bool { return p == Place{} }

// Local is the path of a local directory; ok is false for other places.
func (p Place) Local() (dir string, ok bool) { return p.Path, p.Scheme == File }

// String is the place as the configuration would write it.
func (p Place) String() string {
	if p.IsZero() {
		return ""
	}
	if p.Scheme == File {
		return p.Path
	}
	u := url.URL{Scheme: string(p.Scheme), Path: p.Path, RawQuery: p.Options}
	switch k := kinds[p.Scheme]; k.authority {
	case bucket:
		u.Host = p.Bucket
		u.RawQuery = withEndpoint(p.Options, p.Host)
	case account:
		u.Host = p.Account
		u.RawQuery = withEndpoint(p.Options, p.Host)
		u.Path = strings.Trim(p.Bucket+"/"+p.Path, "/")
	case host:
		u.Host = p.Host
		if p.Account != "" {
			u.User = url.User(p.Account)
		}
	}
	if u.Path != "" {
		u.Path = "/" + u.Path
	}
	return u.String()
}

// withEndpoint are options with the server that is one of them in a URL.
func withEndpoint(options, server string) string {
	values, _ := url.ParseQuery(options) // Parse has encoded them
	if server != "" {
		values.Set(endpoint, server)
	}
	return values.Encode()
}
