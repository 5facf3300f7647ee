package sandbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"holdfast"
	"holdfast/internal/docker"
	"holdfast/internal/memory"
)

// Clean removes the leftovers of killed drills, and lists them: containers of the
// daemon, and directories here. It does not touch what belongs to a running
// drill, wherever that runs.
func (d Daemon) Clean(ctx context.Context) ([]string, error) {
	removed, err := d.sweep(ctx)
	if err != nil {
		return removed, err
	}
	directories, err := Host{Dir: d.Dir, Daemons: []string{d.Engine.Host()}}.Clean(ctx)
	return append(removed, directories...), err
}

// sweepAt sweeps the daemon at an address that a label names; "": none. A label
// never chooses where we connect: the configuration does.
func (h Host) sweepAt(ctx context.Context, address string) ([]string, error) {
	if address == "" {
		return nil, nil
	}
	if !slices.Contains(h.Daemons, address) {
		return nil, errors.New("the configuration does not name the daemon " + address)
	}
	e, err := docker.Connect(address, 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = e.Close() }()
	return Daemon{Engine: e}.sweep(ctx)
}

// sweep removes the daemon's leftover containers.
func (d Daemon) sweep(ctx context.Context) ([]string, error) {
	list, err := d.Engine.API.ContainerList(ctx, client.ContainerListOptions{
		All:     true,
		Filters: client.Filters{}.Add("label", labelKey),
	})
	if err != nil {
		return nil, d.Engine.Explain("list the containers of the Docker daemon at "+d.Engine.Host(), err)
	}
	running := map[string]bool{}
	for _, c := range list.Items {
		running[c.ID] = c.State == container.StateRunning
	}
	var removed []string
	for _, c := range list.Items {
		if !leftover(c, running, time.Now()) {
			continue
		}
		name := c.ID
		if len(c.Names) > 0 {
			name = strings.TrimPrefix(c.Names[0], "/")
		}
		if err := remove(d.Engine, name); err != nil {
			return removed, err
		}
		removed = append(removed, "container "+name)
	}
	return removed, nil
}

// createTimeout is how long a container may exist before it is started.
const createTimeout = time.Minute

// leftover reports whether nobody uses a drill's container any more: its drill is
// dead; or it does not run and is not about to start; or it is a participant
// without its server. The drill of a running server is always attached to it.
func leftover(c container.Summary, running map[string]bool, now time.Time) bool {
	var l label
	if json.Unmarshal([]byte(c.Labels[labelKey]), &l) == nil && l.dead() {
		return true
	}
	if server, ok := c.Labels[serverKey]; ok {
		return !running[server]
	}
	return !running[c.ID] && now.Sub(time.Unix(c.Created, 0)) > createTimeout
}

// Room judges whether that many bytes may be used on the daemon's disk.
func (d Daemon) Room(ctx context.Context, need int64) (holdfast.Finding, error) {
	r, err := d.Engine.API.Info(ctx, client.InfoOptions{})
	if err != nil {
		return holdfast.Finding{}, d.Engine.Explain("read the data directory of the Docker daemon at "+d.Engine.Host(), err)
	}
	where, err := d.disk(ctx, r.Info.DockerRootDir)
	if err != nil {
		return holdfast.Finding{Verdict: holdfast.CannotTell, Evidence: err.Error()}, err
	}
	if where.live, err = d.live(ctx, r.Info.DockerRootDir); err != nil {
		return holdfast.Finding{}, err
	}
	f, err := where.room(need, d.KeepFree, "Give Docker's data a larger disk, free some of it (`docker system df`), "+
		"or run the drill with server programs on another disk: `drill.server: local`.")
	var free int64 // unknown on another machine
	if d.Engine.SameMachine(ctx) {
		free = memory.OfMachine()
	}
	return d.Share.room(f, err, free)
}

// disk is the disk of the daemon's data. It is read directly if the daemon runs
// on this machine and we may, else from within a container.
func (d Daemon) disk(ctx context.Context, root string) (disk, error) {
	at := "Docker's data in " + root
	if d.Engine.SameMachine(ctx) {
		if here, err := diskOf(root); err == nil {
			here.at = at
			return here, nil
		}
	}
	if d.Image.ID == "" {
		return disk{}, &holdfast.Problem{
			Class: holdfast.Undetermined,
			What:  "cannot read the free space of " + at + " from here",
			Why:   "A container has to read it, and its image is not pulled yet.",
			Do: "`docker pull " + d.Image.Name + "`, or run the drill: " +
				"it pulls the image, and refuses if there is not enough space.",
		}
	}
	// Blocks of 1024 bytes: name, size, used, free, share, mount point.
	text, err := d.once(ctx, "reading the free space for a drill", `df -Pk "${PGDATA:-/}" 2>/dev/null || df -Pk /`)
	if err != nil {
		return disk{}, err
	}
	lines := strings.Split(text, " | ")
	fields := strings.Fields(lines[len(lines)-1])
	if len(fields) < 6 {
		return disk{}, fmt.Errorf("the disk of %s: df in a container printed %q", at, text)
	}
	total, errTotal := strconv.ParseInt(fields[1], 10, 64)
	free, errFree := strconv.ParseInt(fields[3], 10, 64)
	if errTotal != nil || errFree != nil {
		return disk{}, fmt.Errorf("the disk of %s: df in a container printed %q", at, text)
	}
	return disk{at: at, free: free << 10, total: total << 10}, nil
}

// live names a live Postgres server with its data on the daemon's disk: in one of
// its containers, or outside of Docker.
func (d Daemon) live(ctx context.Context, root string) (string, error) {
	list, err := d.Engine.API.ContainerList(ctx, client.ContainerListOptions{})
	if err != nil {
		return "", d.Engine.Explain("list the containers of the Docker daemon at "+d.Engine.Host(), err)
	}
	for _, c := range list.Items {
		if _, ours := c.Labels[labelKey]; ours {
			continue
		}
		r, err := d.Engine.API.ContainerInspect(ctx, c.ID, client.ContainerInspectOptions{})
		if cerrdefs.IsNotFound(err) { // removed a moment ago
			continue
		}
		if err != nil {
			return "", d.Engine.Explain("inspect container "+c.ID, err)
		}
		if r.Container.Config != nil && servesFrom(r.Container) {
			return "the live server in container " + strings.TrimPrefix(r.Container.Name, "/"), nil
		}
	}
	if d.Engine.SameMachine(ctx) {
		if at := liveOn(root); at != "" {
			return "the live server in " + at, nil
		}
	}
	return "", nil
}

// servesFrom reports whether a container runs Postgres with its data on the
// daemon's disk: in a volume, or in the container itself.
func servesFrom(c container.InspectResponse) bool {
	data := ""
	for _, pair := range c.Config.Env {
		if value, ok := strings.CutPrefix(pair, "PGDATA="); ok {
			data = path.Clean(value)
		}
	}
	if data == "" {
		return false
	}
	for _, m := range c.Mounts {
		if m.Type != "volume" && (data == m.Destination || strings.HasPrefix(data, m.Destination+"/")) {
			return false // it has its own disk, which is checked separately
		}
	}
	return true
}
