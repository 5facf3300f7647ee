package sandbox

import (
	"context"
	"encoding/json"
	"fmt"
	"path"
	"strconv"
	"strings"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"holdfast"
	"holdfast/internal/docker"
)

// Clean removes what drills that were killed have left, and says what:
// containers of the daemon, and directories here. What belongs to a drill that
// lives is left alone, wherever it runs.
func (d Daemon) Clean(ctx context.Context) ([]string, error) {
	removed, err := d.sweep(ctx)
	if err != nil {
		return removed, err
	}
	directories, err := Host{Dir: d.Dir}.Clean(ctx)
	return append(removed, directories...), err
}

// sweepAt sweeps the daemon at an address; "" for none.
func sweepAt(ctx context.Context, address string) ([]string, error) {
	if address == "" {
		return nil, nil
	}
	e, err := docker.Connect(address)
	if err != nil {
		return nil, err
	}
	defer func() { _ = e.Close() }()
	return Daemon{Engine: e}.sweep(ctx)
}

// sweep removes the daemon's containers that are left.
func (d Daemon) sweep(ctx context.Context) ([]string, error) {
	list, err := d.Engine.API.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: client.Filters{}.Add("label", labelKey)})
	if err != nil {
		return nil, d.Engine.Explain("list the containers of the Docker daemon at "+d.Engine.Host(), err)
	}
	running := map[string]bool{}
	for _, c := range list.Items {
		running[c.ID] = c.State == container.StateRunning
	}
	var removed []string
	for _, c := range list.Items {
		if !left(c, running, time.Now()) {
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

// birth is how long a container may take from being made to being started.
const birth = time.Minute

// left says that nobody uses a drill's container any more: its drill is known
// to be dead; or it does not run, and is not about to; or it is a participant
// whose server is gone. A server that runs has its drill holding on to it.
func left(c container.Summary, running map[string]bool, now time.Time) bool {
	var l label
	if json.Unmarshal([]byte(c.Labels[labelKey]), &l) == nil && l.dead() {
		return true
	}
	if server, ok := c.Labels[serverKey]; ok {
		return !running[server]
	}
	return !running[c.ID] && now.Sub(time.Unix(c.Created, 0)) > birth
}

// Room says whether that many bytes may be used where the daemon keeps its
// data.
func (d Daemon) Room(ctx context.Context, need int64) (holdfast.Finding, error) {
	r, err := d.Engine.API.Info(ctx, client.InfoOptions{})
	if err != nil {
		return holdfast.Finding{}, d.Engine.Explain("ask the Docker daemon at "+d.Engine.Host()+" where it keeps its data", err)
	}
	where, err := d.disk(ctx, r.Info.DockerRootDir)
	if err != nil {
		return holdfast.Finding{Verdict: holdfast.CannotTell, Evidence: err.Error()}, err
	}
	if where.live, err = d.live(ctx, r.Info.DockerRootDir); err != nil {
		return holdfast.Finding{}, err
	}
	return where.room(need, d.KeepFree, "Give Docker's data a larger disk, free some of it (`docker system df`), or rehearse with server programs on another disk: `drill.server: local`.")
}

// disk is that of the daemon's data: looked at from here where its paths are
// ours and we may, else from within a container.
func (d Daemon) disk(ctx context.Context, root string) (disk, error) {
	at := "Docker's data in " + root
	if d.Engine.SameMachine(ctx) {
		if here, err := diskOf(root); err == nil {
			here.at = at
			return here, nil
		}
	}
	if d.Image.ID == "" {
		return disk{}, &holdfast.Problem{Class: holdfast.Undetermined, What: "the disk of " + at + " cannot be looked at from here",
			Why: "It is looked at from within a container, and the image for that is not there yet.", Do: "`docker pull " + d.Image.Name + "`, or run the drill: it pulls the image, and refuses where there is no room."}
	}
	// Blocks of 1024 bytes: name, size, used, free, share, where.
	text, err := d.once(ctx, "the room for a drill", `df -Pk "${PGDATA:-/}" 2>/dev/null || df -Pk /`)
	if err != nil {
		return disk{}, err
	}
	lines := strings.Split(text, " | ")
	fields := strings.Fields(lines[len(lines)-1])
	if len(fields) < 6 {
		return disk{}, fmt.Errorf("the disk of %s: df in a container says %q", at, text)
	}
	total, errTotal := strconv.ParseInt(fields[1], 10, 64)
	free, errFree := strconv.ParseInt(fields[3], 10, 64)
	if errTotal != nil || errFree != nil {
		return disk{}, fmt.Errorf("the disk of %s: df in a container says %q", at, text)
	}
	return disk{at: at, free: free << 10, total: total << 10}, nil
}

// live names a live Postgres server that keeps its data on the daemon's disk:
// one of its containers, or one that runs beside it.
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

// servesFrom says that a container is one of Postgres, and that its data is
// kept by Docker: in a volume, or in the container itself.
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
			return false // it has a disk of its own, which is looked at as such
		}
	}
	return true
}
