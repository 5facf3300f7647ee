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

// checkOr is check where a variable of one of the node's containers will do as
// well.
func (r Reference) checkOr(key string) error {
	if _, _, ok := r.Container(); ok {
		return nil
	}
	return r.check(key)
}

// Container takes a reference of the form "container:ROLE/VARIABLE" apart: the
// environment of a container of the node, "container:validator/NAME" or
// "container:participant/NAME". It is read when the secret is needed, so that
// the node's own settings stay the only copy.
func (r Reference) Container() (role, variable string, ok bool) {
	rest, is := strings.CutPrefix(string(r), "container:")
	role, variable, ok = strings.Cut(rest, "/")
	return role, variable, is && ok && role != "" && variable != ""
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
			if text, err = output(ctx, rest); err != nil {
				if ctx.Err() != nil {
					return holdfast.Secret{}, context.Cause(ctx)
				}
				return holdfast.Secret{}, r.problem(err)
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

// commandTime is how long a command may take to print a secret.
const commandTime = time.Minute

// output runs a command and returns what it prints. Of a failure it tells what
// the command complained of, never what it printed.
func output(ctx context.Context, command string) ([]byte, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, commandTime, fmt.Errorf("it took longer than %v", commandTime))
	defer cancel()
	var complaint bytes.Buffer
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", command)
	cmd.Stderr = &complaint
	cmd.WaitDelay = time.Second // whatever it has started must not keep us
	text, err := cmd.Output()
	if err == nil {
		return text, nil
	}
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if said := strings.Join(strings.Fields(complaint.String()), " "); said != "" {
		return nil, fmt.Errorf("the command failed: %w: %.200s", err, said)
	}
	return nil, fmt.Errorf("the command failed: %w", err)
}

func (r Reference) problem(err error) error {
	return &holdfast.Problem{Class: holdfast.Usage, What: "read the secret at " + string(r), Err: err,
		Do: "Make it readable for the user Holdfast runs as, or point the configuration elsewhere."}
}
