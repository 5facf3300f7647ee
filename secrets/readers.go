package secrets

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

// File reads files. Relative paths begin at dir.
func File(dir string) Reader {
	return func(_ context.Context, path string) (holdfast.Secret, error) {
		if !filepath.IsAbs(path) {
			path = filepath.Join(dir, path)
		}
		text, err := os.ReadFile(path)
		return holdfast.NewSecret(string(text)), err
	}
}

// Environment reads variables of this process.
func Environment(_ context.Context, name string) (holdfast.Secret, error) {
	value, ok := os.LookupEnv(name)
	if !ok {
		return holdfast.Secret{}, fmt.Errorf("the environment has no variable %s", name)
	}
	return holdfast.NewSecret(value), nil
}

// commandTime is how long a command may take to print a secret.
const commandTime = time.Minute

// Command runs a command by the shell; what it prints is the secret. Of a
// failure it tells what the command complained of, never what it printed.
func Command(ctx context.Context, command string) (holdfast.Secret, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, commandTime, fmt.Errorf("it took longer than %v", commandTime))
	defer cancel()
	var complaint bytes.Buffer
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", command)
	cmd.Stderr = &complaint
	cmd.WaitDelay = time.Second // do not wait for processes that it has started
	text, err := cmd.Output()
	if err == nil {
		return holdfast.NewSecret(string(text)), nil
	}
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if said := strings.Join(strings.Fields(complaint.String()), " "); said != "" {
		return holdfast.Secret{}, fmt.Errorf("the command failed: %w: %.200s", err, said)
	}
	return holdfast.Secret{}, fmt.Errorf("the command failed: %w", err)
}
