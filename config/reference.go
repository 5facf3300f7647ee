package config

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"holdfast"
)

// Reference says where a secret is: "file:PATH", "env:NAME" or "exec:COMMAND".
// It is not a secret itself. A command is run by the shell, with a minute's
// time, and what it prints is the secret, without the last line's end.
type Reference string

func (r Reference) check(key string) error {
	if r == "" {
		return nil
	}
	kind, rest, found := strings.Cut(string(r), ":")
	if !found || rest == "" || kind != "file" && kind != "env" && kind != "exec" {
		return fmt.Errorf("%s: want a reference, file:PATH, env:NAME or exec:COMMAND; a secret itself does not belong into this file", key)
	}
	return nil
}

// Secret reads the secret behind the reference; paths are relative to dir. A
// nil function stands for no reference.
func (r Reference) Secret(dir string) holdfast.SecretFunc {
	if r == "" {
		return nil
	}
	kind, rest, _ := strings.Cut(string(r), ":")
	return func(ctx context.Context) (holdfast.Secret, error) {
		var text []byte
		var err error
		switch kind {
		case "env":
			value, ok := os.LookupEnv(rest)
			if !ok {
				return holdfast.Secret{}, r.problem(fmt.Errorf("the environment has no variable %s", rest))
			}
			text = []byte(value)
		case "exec":
			ctx, cancel := context.WithTimeout(ctx, time.Minute)
			defer cancel()
			var complaint bytes.Buffer
			cmd := exec.CommandContext(ctx, "/bin/sh", "-c", rest)
			cmd.Stderr = &complaint
			if text, err = cmd.Output(); err != nil {
				return holdfast.Secret{}, r.problem(fmt.Errorf("the command failed: %w: %.200s", err, complaint.String()))
			}
		default:
			if !filepath.IsAbs(rest) {
				rest = filepath.Join(dir, rest)
			}
			if text, err = os.ReadFile(rest); err != nil {
				return holdfast.Secret{}, r.problem(err)
			}
		}
		secret := strings.TrimSuffix(strings.TrimSuffix(string(text), "\n"), "\r")
		if secret == "" {
			return holdfast.Secret{}, r.problem(fmt.Errorf("it is empty"))
		}
		return holdfast.NewSecret(secret), nil
	}
}

func (r Reference) problem(err error) error {
	return &holdfast.Problem{Class: holdfast.Usage, What: "read the secret at " + string(r), Err: err,
		Do: "Make it readable for the user Holdfast runs as, or point the configuration elsewhere."}
}
