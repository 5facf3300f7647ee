package repository

import (
	"context"
	"fmt"
	"os"

	"holdfast"
)

// Access is how a place outside of this machine lets us in. What is not given
// is found where other programs find it: the shared configuration of AWS and the
// role of its machines, the keys of ssh.
type Access struct {
	ID         holdfast.SecretFunc // the access key's id of s3; the user of webdav
	Secret     holdfast.SecretFunc // the secret key of s3; the password of sftp and webdav
	Token      holdfast.SecretFunc // the session token of s3
	Key        holdfast.SecretFunc // the private key of sftp
	Authority  string              // a file with the certificates to trust, of s3
	KnownHosts string              // a file with the host keys of sftp; ~/.ssh/known_hosts when empty
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

// authority reads the certificates to trust.
func (a Access) authority() ([]byte, error) {
	if a.Authority == "" {
		return nil, nil
	}
	return os.ReadFile(a.Authority)
}
