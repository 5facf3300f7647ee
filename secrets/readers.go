package secrets

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
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

// CommandTime is how long a command may take to print a secret.
const CommandTime = time.Minute

// Command runs a command by the shell; what it prints is the secret. Of a
// failure it gives the exit status alone: a command that complains may repeat
// the secret, or one of its own, in what it says.
func Command(ctx context.Context, command string) (holdfast.Secret, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, CommandTime, fmt.Errorf("it took longer than %v", CommandTime))
	defer cancel()
	var complaint counter
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
	err = fmt.Errorf("the command failed: %w", err)
	if complaint == 0 {
		return holdfast.Secret{}, err
	}
	return holdfast.Secret{}, &holdfast.Problem{
		Class: holdfast.Usage,
		What:  "read the secret at exec:" + command,
		Err:   fmt.Errorf("%w, and wrote %d bytes to its error output", err, complaint),
		Why:   "What a command complains of may repeat a secret, so it is not shown.",
		Do:    "Run the command by hand as the user who runs Holdfast, and read what it says.",
	}
}

// counter counts what is written to it.
type counter int

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}

// Exposed reports whether every user of this machine can read a file, and its
// mode. A file below a directory that is closed to them is not exposed.
func Exposed(path string) (mode fs.FileMode, yes bool) {
	const read, enter = 0o004, 0o001
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm()&read == 0 {
		return 0, false
	}
	for dir := filepath.Dir(path); ; dir = filepath.Dir(dir) {
		if above, err := os.Stat(dir); err != nil || above.Mode().Perm()&enter == 0 {
			return 0, false
		}
		if dir == filepath.Dir(dir) {
			return info.Mode().Perm(), true
		}
	}
}
