package compose

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"holdfast/step"
	"io"
	"path"
	"slices"
	"strings"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/moby/moby/client"

	"holdfast"
)

// exchange is what a restore has done with a volume that Postgres could not start
// on, or an undoing with one that a restore had filled.
type exchange struct {
	Data  hold  `json:"data"` // Postgres's own
	Kept  hold  `json:"kept"` // has, or gets, what it held before
	Stage stage `json:"stage"`
	// Copied says that what the stage brings over was copied and proven, so
	// that only taking it away where it was is left.
	Copied bool `json:"copied,omitempty"`
	Spare  hold `json:"spare,omitzero"` // gets what a restore had filled it with
	// Keep says that the spare stays: it was in use for a while.
	Keep bool `json:"keep,omitempty"`
}

// stage is how far the exchange of a volume's content is.
type stage string

const (
	leaving   stage = "leaving"   // what the volume has is on its way to Kept
	left      stage = "left"      // it is there; what the volume has now is the restore's
	clearing  stage = "clearing"  // which is on its way to Spare
	returning stage = "returning" // what was kept is on its way back
	returned  stage = "returned"
)

// brokenStart are exit codes of a Postgres that gave up by itself: it was not
// killed, and the machine did not go down.
func brokenStart(c Container) bool {
	return c.State == "exited" && c.ExitCode > 0 && c.ExitCode < 126
}

// exchange is the one that a journal has noted and that was not taken back.
func (j *Journal) exchange() *exchange {
	if j == nil || j.Aside == nil || j.Aside.Stage == returned {
		return nil
	}
	return j.Aside
}

// unfit says why Postgres cannot start on the data that it has; "" where it
// may. A container that was started wrongly explains itself otherwise.
func (p *Programs) unfit(ctx context.Context, c *Container, startedWrongly bool) string {
	if p.Fresh {
		return "--fresh-volume was given"
	}
	if c == nil {
		return ""
	}
	image, data := c.Env.Get("PG_MAJOR"), p.Node.Engine.version(ctx, *c)
	if image != "" && data != "" && image != data {
		return fmt.Sprintf("it is of Postgres %s, and container %s runs Postgres %s", data, c.Name, image)
	}
	if startedWrongly {
		return ""
	}
	if brokenStart(*c) || c.Restarts >= tries && p.Ready(ctx) != nil {
		return "Postgres does not start on it: " + p.Node.Engine.Complaints(ctx, c.ID)
	}
	return ""
}

// version is the major version of Postgres that made a container's data, "" if
// there is none or it cannot be told.
func (e *Engine) version(ctx context.Context, c Container) string {
	directory := c.Env.Get("PGDATA")
	if directory == "" {
		return ""
	}
	r, err := e.API.CopyFromContainer(ctx, c.ID, client.CopyFromContainerOptions{SourcePath: path.Join(directory, "PG_VERSION")})
	if err != nil {
		return ""
	}
	defer func() { _ = r.Content.Close() }()
	files := tar.NewReader(r.Content)
	if _, err := files.Next(); err != nil {
		return ""
	}
	text, _ := io.ReadAll(io.LimitReader(files, 16))
	major := strings.TrimSpace(string(text))
	if strings.Trim(major, "0123456789.") != "" {
		return "" // it is no version at all; whether Postgres starts will be seen
	}
	return major
}

// planAside says that the volume of Postgres makes room for an empty one, where
// Postgres cannot start on it; nil where it can, or where there is none.
func (p *Programs) planAside(ctx context.Context, now Bundle, other map[string]string, earlier *Journal) (*step.Part, error) {
	if a := earlier.exchange(); a != nil && a.Stage == left {
		return nil, nil // it is on the fresh one already
	} else if a != nil && a.Stage == leaving {
		return &step.Part{Kind: step.VolumePart, Name: a.Data.String(), Act: step.AsidePart, As: a.Kept.String(), Why: "the restore that was broken off had begun it"}, nil
	}
	if p.Node.Postgres == nil {
		if p.Fresh {
			return nil, &holdfast.Problem{Class: holdfast.Usage, What: "--fresh-volume: the databases are on a server outside of the project", Do: "Leave it out; a server that does not start is its provider's to mend."}
		}
		return nil, nil
	}
	c := now.Postgres
	if c == nil {
		c = p.Node.Postgres
	}
	h, there, err := p.Node.Engine.look(ctx, c.data().hold)
	if err != nil || !there {
		return nil, err
	}
	why := p.unfit(ctx, now.Postgres, other["postgres"] != "")
	if why == "" {
		return nil, nil
	}
	return &step.Part{Kind: step.VolumePart, Name: h.String(), Act: step.AsidePart, As: asideName(h, roleBefore, &Journal{Project: p.Node.Project, Set: p.Set, Began: p.began}), Why: why}, nil
}

// putAside keeps what the volume of Postgres has, and leaves the volume empty.
// The container is stopped.
func (p *Programs) putAside(ctx context.Context, part step.Part, tell func(string)) error {
	j, e := p.journal, p.Node.Engine
	if j.exchange() == nil {
		c := p.Node.Postgres
		if now, err := p.current(ctx); err == nil && now.Postgres != nil {
			c = now.Postgres
		}
		h, there, err := e.look(ctx, c.data().hold)
		if err != nil || !there {
			return err
		}
		rename, err := p.canRename(ctx, h)
		if err != nil {
			return err
		}
		kept, err := e.spare(ctx, h, rename, roleBefore, j)
		if err != nil {
			return err
		}
		j.Aside = &exchange{Data: h, Kept: kept, Stage: leaving}
		if err := j.save(); err != nil {
			return err
		}
	}
	if j.Aside.Stage != leaving {
		return nil
	}
	tell(fmt.Sprintf("keep what %s has as %s", part.Name, j.Aside.Kept))
	return p.bring(ctx, j.Aside.Data, j.Aside.Kept, left)
}

// bring carries from one hold to another for the journal's exchange, and notes
// the stage that is reached by it.
func (p *Programs) bring(ctx context.Context, from, to hold, next stage) error {
	a := p.journal.Aside
	err := p.carry(ctx, from, to, from == a.Data, a.Copied, func() error {
		a.Copied = true
		return p.journal.save()
	})
	if err != nil {
		return err
	}
	a.Stage, a.Copied = next, false
	return p.journal.save()
}

// giveBack takes an exchange back from wherever it is: what was kept is the
// volume's again, and what a restore had filled it with is put aside where it
// was in use, and otherwise removed. The containers are stopped.
func (p *Programs) giveBack(ctx context.Context, tell func(string)) error {
	a, e := p.journal.Aside, p.Node.Engine
	if a.Stage == leaving {
		if a.Kept.Path == "" && !a.Copied {
			return p.forget(ctx) // all of it is still where it was
		}
		a.Stage, a.Copied = returning, false // nothing was started meanwhile
		if err := p.journal.save(); err != nil {
			return err
		}
	}
	if a.Stage == left {
		spare, err := e.spare(ctx, a.Data, a.Kept.Path != "", roleUndone, p.journal)
		if err != nil {
			return err
		}
		a.Spare, a.Stage = spare, clearing
		if err := p.journal.save(); err != nil {
			return err
		}
	}
	if a.Stage == clearing {
		if err := p.bring(ctx, a.Data, a.Spare, returning); err != nil {
			return err
		}
	}
	if a.Stage == returning {
		tell(fmt.Sprintf("put back what %s had, from %s", a.Data, a.Kept))
		if err := p.bring(ctx, a.Kept, a.Data, returned); err != nil {
			return err
		}
	}
	return p.forget(ctx)
}

// forget removes the empty volume that had what was kept and, unless it was in
// use, what a restore has filled.
func (p *Programs) forget(ctx context.Context) error {
	a := p.journal.Aside
	gone := []hold{a.Kept}
	if !a.Keep && !a.Spare.Bound {
		gone = append(gone, a.Spare)
	}
	for _, h := range gone {
		if h.Volume == "" {
			continue
		}
		_, err := p.Node.Engine.API.VolumeRemove(ctx, h.Volume, client.VolumeRemoveOptions{})
		if err != nil && !cerrdefs.IsNotFound(err) {
			return p.Node.Engine.Explain("remove volume "+h.Volume, err)
		}
	}
	return nil
}

// Kept is a volume that made room for another of its name.
type Kept struct {
	Name string // what it is called now
	Of   string // whose place it had: a volume, or a directory of the daemon's machine
	Role string // "before": a restore took its place; "undone": a restore had filled it
	Set  holdfast.SetID
	At   time.Time
	// Bytes are how much it takes; -1 where that cannot be told.
	Bytes int64
}

// Kept lists the volumes of a project that were put aside, the newest first.
func (e *Engine) Kept(ctx context.Context, project string) ([]Kept, error) {
	list, err := e.API.VolumeList(ctx, client.VolumeListOptions{Filters: client.Filters{}.Add("label", asideProject+"="+project)})
	if err != nil {
		return nil, e.Explain("list the volumes of the Docker daemon at "+e.Host(), err)
	}
	var out []Kept
	for _, v := range list.Items {
		at, _ := time.Parse(asideTime, v.Labels[asideAt])
		out = append(out, Kept{Name: v.Name, Of: v.Labels[asideOf], Role: v.Labels[asideRole], Set: holdfast.SetID(v.Labels[asideSet]), At: at, Bytes: -1})
	}
	if len(out) > 0 {
		e.measure(ctx, out)
	}
	slices.SortFunc(out, func(a, b Kept) int { return b.At.Compare(a.At) })
	return out, nil
}

// measure asks how much the volumes take.
func (e *Engine) measure(ctx context.Context, list []Kept) {
	used, err := e.API.DiskUsage(ctx, client.DiskUsageOptions{Volumes: true, Verbose: true})
	if err != nil {
		return
	}
	for i := range list {
		for _, v := range used.Volumes.Items {
			if v.Name == list[i].Name && v.UsageData != nil {
				list[i].Bytes = v.UsageData.Size
			}
		}
	}
}

// Forget removes a volume that was put aside, by its name.
func (e *Engine) Forget(ctx context.Context, k Kept) error {
	_, err := e.API.VolumeRemove(ctx, k.Name, client.VolumeRemoveOptions{})
	return e.Explain("remove volume "+k.Name, err)
}

// PutBack gives Postgres the volume back that the newest restore with an empty
// one had put aside; what that restore has filled is put aside in its turn. The
// node then runs again as far as it can: on a volume that Postgres does not
// start on, everything stays down, as nothing could run before either.
func (p *Programs) PutBack(ctx context.Context, k Kept, tell func(string)) (undone string, err error) {
	p.Set = k.Set
	if p.journal, err = begin(p.Path, Journal{Set: k.Set, Project: p.Node.Project, Began: p.Now()}); err != nil {
		return "", err
	}
	if p.Node.Postgres == nil {
		return "", &holdfast.Problem{Class: holdfast.Refused, What: "project " + p.Node.Project + " has no Postgres of its own, and " + k.Name + " was a volume of one",
			Why: "What was kept would be put where nothing uses it.", Do: "Bring the bundle's Postgres back into the project, then undo again; the volume stays until then."}
	}
	data, there, err := p.Node.Engine.look(ctx, p.Node.Postgres.data().hold)
	kept, isKept, keptErr := p.Node.Engine.look(ctx, hold{Volume: k.Name})
	if err = errors.Join(err, keptErr); err != nil {
		return "", err
	}
	if !there || !isKept || data.String() != k.Of {
		return "", &holdfast.Problem{Class: holdfast.Refused, What: fmt.Sprintf("%s does not have the databases of %s any more", k.Of, p.Node.Postgres.Name),
			Why: "What was kept would be put where nothing uses it.", Do: "Compare `docker inspect " + p.Node.Postgres.Name + "` with `docker volume inspect " + k.Name + "`."}
	}
	p.journal.Aside = &exchange{Data: data, Kept: kept, Stage: left, Keep: true}
	if err := p.rest(ctx, tell); err != nil {
		return "", err
	}
	if err := p.giveBack(ctx, tell); err != nil {
		return "", err
	}
	return p.journal.Aside.Spare.String(), p.rise(ctx, tell)
}

// rest stops everything that the volume matters to.
func (p *Programs) rest(ctx context.Context, tell func(string)) error {
	now, err := p.current(ctx)
	if err != nil {
		return err
	}
	for _, role := range []string{"validator", "participant", "postgres"} {
		if c := now.role(role); c != nil {
			if err := p.halt(ctx, *c, role, tell); err != nil {
				return err
			}
		}
	}
	return nil
}

// rise starts the node on the volume that it has got back, if Postgres starts
// on it and its participant is somebody; else only restart policies come back.
func (p *Programs) rise(ctx context.Context, tell func(string)) error {
	err := p.serve(ctx, tell)
	if err == nil {
		participant, asked := p.Identity(ctx)
		if asked == nil && participant != "" {
			return p.Wake(ctx, participant, tell)
		}
		tell("the participant's database has no identity, so nothing is started beside it")
	} else {
		tell(fmt.Sprintf("Postgres does not start on the volume that was put back, as before; everything is left stopped (%v)", err))
	}
	return p.tidy(ctx)
}
