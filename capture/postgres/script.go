package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"syscall"
	"time"
)

// Script writes one section of a schema dump, "pre-data" or "post-data", to w
// as SQL for psql, as pg_restore prints it. schema is the file that a Dumper
// calls schema.dump, of a server of that major version. With owners, the
// script also says whom its objects belong to and are granted to. No server is
// asked.
func (t Tools) Script(ctx context.Context, major int, schema io.Reader, section string, owners bool, w io.Writer) error {
	path, err := t.find(ctx, "pg_restore", major)
	if err != nil {
		return err
	}
	args := []string{"--section=" + section, "--no-tablespaces", "--file=-"}
	if !owners {
		args = append(args, "--no-owner", "--no-privileges")
	}
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Stdin, cmd.Stdout = schema, w
	complaint := &tail{most: 4 << 10}
	cmd.Stderr = complaint
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		var exit *exec.ExitError
		if errors.As(err, &exit) && complaint.String() != "" {
			return fmt.Errorf("pg_restore of the schema's %s: %s", section, complaint)
		}
		return fmt.Errorf("pg_restore of the schema's %s: %w", section, err)
	}
	return nil
}
