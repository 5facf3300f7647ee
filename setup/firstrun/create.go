package firstrun

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"holdfast"
	"holdfast/config"
	"holdfast/repository"
	"holdfast/setup"
)

const (
	repositoryPassword = "repository.password"

	neverOverwritten = "A file that exists is never overwritten: it may hold the only copy of a key."
	moveAway         = "Move it away, or write the configuration elsewhere: --config."
)

// known are the secrets that the draft refers to before their files are made.
func (r *run) known() map[string]holdfast.Secret {
	out := map[string]holdfast.Secret{}
	for name, password := range r.passwords {
		out["file:"+name+".password"] = password
	}
	if !r.newPassword.IsEmpty() {
		out["file:"+repositoryPassword] = r.newPassword
	}
	return out
}

// secrets are the files to be made with a secret in each.
func (r *run) secrets() map[string]holdfast.Secret {
	out := map[string]holdfast.Secret{}
	for reference, secret := range r.known() {
		out[filepath.Join(r.dir, strings.TrimPrefix(reference, "file:"))] = secret
	}
	if !r.made.Key.IsEmpty() && r.KeyFile != "" {
		file, _ := filepath.Abs(r.KeyFile)
		out[file] = r.made.Key
	}
	return out
}

// create makes what a first run is there for: secrets into files of their own,
// then the repository, and the configuration last, so that its being there
// means that all of it is. Should one fail, those before it are taken away
// again.
func (r *run) create(ctx context.Context, conf *config.Config, text string) (err error) {
	if err := os.MkdirAll(r.dir, 0o755); err != nil { //nolint:gosec // the directory of a configuration file holds no secrets by itself
		return err
	}
	var made []string
	defer func() {
		if err != nil {
			for _, file := range made {
				err = errors.Join(err, os.Remove(file))
			}
		}
	}()
	for file, secret := range r.secrets() {
		if err := writeSecret(file, secret.Reveal()+"\n"); err != nil {
			return err
		}
		made = append(made, file)
	}
	if r.ShareDir != "" {
		if r.made.ShareFiles, err = r.made.Shared.Write(r.ShareDir); err != nil {
			return err
		}
		made = append(made, r.made.ShareFiles...)
	}
	if r.made.Existing {
		return writeSecret(r.path, text)
	}
	if err := r.createRepository(ctx, conf); err != nil {
		return err
	}
	made = nil // the repository is there: nothing may take its password away
	return writeSecret(r.path, text)
}

func (r *run) createRepository(ctx context.Context, conf *config.Config) error {
	p, err := setup.Open(conf, r.options)
	if err != nil {
		return err
	}
	password, err := p.Password(ctx)
	if err != nil {
		return err
	}
	lock, err := setup.ObjectLock(r.ObjectLock)
	if err != nil {
		return setup.Usage(err)
	}
	options := append(p.RepositoryOptions(), repository.ErrorCorrection(r.ErrorCorrection), repository.Locked(lock))
	return repository.Create(ctx, conf.Repository.Place, password, options...)
}

// writeSecret writes a new file that only its owner can read.
func writeSecret(path, text string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return &holdfast.Problem{
			Class: holdfast.Refused, What: "write " + path, Err: err, Why: neverOverwritten, Do: moveAway,
		}
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Sync(), f.Close())
}

// newPassword makes a password of 160 random bits that can be written down.
func newPassword() holdfast.Secret {
	var b [20]byte
	_, _ = rand.Read(b[:]) // never fails
	text := strings.ToLower(base32.StdEncoding.EncodeToString(b[:]))
	var parts []string
	for part := range slices.Chunk([]byte(text), 4) {
		parts = append(parts, string(part))
	}
	return holdfast.NewSecret(strings.Join(parts, "-"))
}
