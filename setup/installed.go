package setup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"holdfast"
	"holdfast/config"
	"holdfast/internal/durable"
	"holdfast/systemd"
)

// UnitOptions say how a service is installed.
type UnitOptions struct {
	Files     []string // the configurations, or a directory of them
	User      string   // to run as; the owner of the first configuration when empty
	Directory string   // of units; /etc/systemd/system when empty
	Start     bool     // and start it
}

// UnitFile is a unit, and where it belongs.
type UnitFile struct {
	Path, Text string
}

const (
	unitName      = "holdfast.service"
	timerName     = "holdfast.timer"
	unitDirectory = "/etc/systemd/system"
)

// Unit is the unit of a service of those configurations, each of which has to be
// usable.
func Unit(o UnitOptions, load func(string) (*config.Config, error)) (UnitFile, error) {
	files, err := configurations(o.Files)
	if err != nil {
		return UnitFile{}, err
	}
	program, err := os.Executable()
	if err != nil {
		return UnitFile{}, err
	}
	u := systemd.Unit{Program: program, User: o.User}
	for _, path := range o.Files {
		abs, err := filepath.Abs(path)
		if err != nil {
			return UnitFile{}, err
		}
		u.Arguments = append(u.Arguments, abs)
	}
	for i, path := range files {
		conf, err := load(path)
		if err != nil {
			return UnitFile{}, err
		}
		if i == 0 {
			u.Directory = conf.Dir()
			if u.User == "" {
				u.User = ownerOf(conf.File())
			}
		}
		if conf.Compose != nil && u.User != "root" {
			u.Groups = []string{"docker"}
		}
		u.Writable = append(u.Writable, writable(conf)...)
	}
	slices.Sort(u.Writable)
	u.Writable = slices.Compact(u.Writable)
	dir := o.Directory
	if dir == "" {
		dir = unitDirectory
	}
	return UnitFile{Path: filepath.Join(dir, unitName), Text: u.String()}, nil
}

// writable are the directories of this machine that a service of that
// configuration writes to.
func writable(c *config.Config) (list []string) {
	if dir, local := c.Repository.Place.Local(); local {
		list = append(list, dir)
	}
	for _, second := range c.Copies {
		if dir, local := second.Place.Local(); local {
			list = append(list, dir)
		}
	}
	if c.Identities != nil {
		for _, k := range c.Identities.Keep {
			if dir, local := k.Place.Local(); local {
				list = append(list, dir)
			}
		}
	}
	if c.Drill.Dir != "" {
		list = append(list, c.Drill.Dir)
	}
	return list
}

// ownerOf is the user whose file that is; root when unknown.
func ownerOf(path string) string {
	found, err := os.Stat(path)
	if err != nil {
		return "root"
	}
	stat, ok := found.Sys().(*syscall.Stat_t)
	if !ok {
		return "root"
	}
	id := strconv.Itoa(int(stat.Uid))
	if u, err := user.LookupId(id); err == nil {
		return u.Username
	}
	return id
}

// Install writes the unit and starts the service. A timer of ours, which would
// start it as well, is in the way.
func (u UnitFile) Install(ctx context.Context, start bool) error {
	timer := filepath.Join(filepath.Dir(u.Path), timerName)
	if _, err := os.Stat(timer); err == nil {
		return &holdfast.Problem{
			Class: holdfast.Refused, What: timer + " exists",
			Why: "It would start the service every four hours, next to its own schedule.",
			Do:  "`systemctl disable --now " + timerName + "`, remove the file, then again.",
		}
	}
	err := durable.Write(u.Path, []byte(u.Text), 0o644)
	if errors.Is(err, fs.ErrPermission) {
		return &holdfast.Problem{
			Class: holdfast.Usage, What: "write " + u.Path, Err: err,
			Do: "`sudo holdfast service install`; --dry-run prints the unit.",
		}
	}
	if err != nil || !start {
		return err
	}
	for _, args := range [][]string{{"daemon-reload"}, {"enable", unitName}, {"restart", unitName}} {
		if err := systemctl(ctx, args...); err != nil {
			return err
		}
	}
	return nil
}

func systemctl(ctx context.Context, args ...string) error {
	out, err := exec.CommandContext(ctx, "systemctl", args...).CombinedOutput()
	if err == nil {
		return nil
	}
	return &holdfast.Problem{
		Class: holdfast.Failed, What: "systemctl " + strings.Join(args, " "),
		Err: fmt.Errorf("%w: %s", err, strings.TrimSpace(string(out))),
		Why: "The unit is written, and the service does not run.",
		Do:  "`journalctl -u holdfast -n 50` shows why. Without systemd: `holdfast run`.",
	}
}
