package repository

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
	"time"

	"holdfast"
	"holdfast/place"
)

// Access is how a place outside of this machine lets us in. What is not given
// is found where other programs find it: the configurations of AWS, Google and
// Azure and the identities of their machines, the keys of ssh.
type Access struct {
	ID         holdfast.SecretFunc // the access key's id of s3; the user of webdav
	Secret     holdfast.SecretFunc // the secret key of s3; the password of sftp and webdav
	Token      holdfast.SecretFunc // the session token of s3; the shared access signature of azblob
	Key        holdfast.SecretFunc // the private key of sftp, a service account's of gs, the account's of azblob
	Authority  string              // a file with the certificates to trust, of s3, gs and azblob
	KnownHosts string              // a file with the host keys of sftp; ~/.ssh/known_hosts when empty
	Silence    time.Duration       // how long the place may leave a request unanswered; 0 for what is usual
}

// within is how long the place may take: what is usual, or less where it may not
// be silent for that long.
func (a Access) within(usual time.Duration) time.Duration {
	if a.Silence > 0 {
		return min(a.Silence, usual)
	}
	return usual
}

// By gives the access to the place of the repository.
func By(a Access) Option { return func(l *location) { l.access = a } }

// revealed are the secrets of an access, read when the place is opened.
type revealed struct{ id, secret, token, key string }

// read reads the secrets. They leave this package only to the storage.
func (a Access) read(ctx context.Context) (c revealed, err error) {
	for _, part := range []struct {
		name string
		from holdfast.SecretFunc
		to   *string
	}{
		{"id", a.ID, &c.id}, {"secret", a.Secret, &c.secret}, {"token", a.Token, &c.token}, {"key", a.Key, &c.key},
	} {
		if part.from == nil {
			continue
		}
		value, err := part.from(ctx)
		if err != nil {
			return revealed{}, fmt.Errorf("repository.access.%s: %w", part.name, err)
		}
		*part.to = value.Reveal()
	}
	return c, nil
}

// transport sends HTTP requests to servers that the access trusts.
func (a Access) transport() (*http.Transport, error) {
	t := http.DefaultTransport.(*http.Transport).Clone() //nolint:forcetypeassert // documented to be one
	trusted, err := a.authority()
	if err != nil || trusted == nil {
		return t, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(trusted) {
		return nil, errors.New("repository.access.ca has no certificate")
	}
	t.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	return t, nil
}

// schemeOf is how the address of a place's server begins.
func schemeOf(at place.Place) string {
	if at.Option(place.TLS) == place.Off {
		return "http://"
	}
	return "https://"
}

// authority reads the certificates to trust.
func (a Access) authority() ([]byte, error) {
	if a.Authority == "" {
		return nil, nil
	}
	return os.ReadFile(a.Authority)
}
