package compose

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/moby/moby/client"

	"holdfast"
	"holdfast/step"
)

// exchange is what a restore has done with a volume that Postgres could not start
// on, or an undoing with one that a restore had filled.
type exchange struct {
	Data  dataDirectory `json:"data"` // Postgres's own
	Kept  dataDirectory `json:"kept"` // has, or gets, what it held before
	Stage stage         `json:"stage"`
	// Copied says that what the stage brings over was copied and proven, so
	// that only taking it away where it was is left.
	Copied bool          `json:"copied,omitempty"`
	Spare  dataDirectory `json:"spare,omitzero"` // gets what a restore had filled it with
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

// startsInVain is whether Docker starts a container again and again, and it
// never serves. How often it was started again says little by itself: Docker
// keeps counting while it serves, and after it was stopped.
func (p *Programs) startsInVain(ctx context.Context, c Container) bool {
	if c.Restarts < tries {
		return false
	}
	for range 10 { // one that runs has just been started, or recovers, or serves
		if c.State != "running" {
			return c.State == "restarting"
		}
		if p.Ready(ctx) == nil {
			return false
		}
		select {
		case <-ctx.Done():
			return false
		case <-time.After(500 * time.Millisecond):
		}
		now, err := p.Node.Engine.inspect(ctx, c.ID)
		if err != nil {
			return false
		}
		c = now
	}
	return false
}

// exchange is the one that was begun and that was not taken back; nil where
// there is none.
func (p *Programs) exchange() (*exchange, error) {
	x, err := p.noted()
	if x != nil && x.Stage == returned {
		x = nil
	}
	return x, err
}

// noted is the last exchange, taken back or not.
func (p *Programs) noted() (*exchange, error) {
	if p.Notes == nil {
		return nil, nil
	}
	var x exchange
	err := p.Notes.ReadNotes(&x)
	if err != nil || x.Stage == "" {
		return nil, err
	}
	return &x, nil
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
	if brokenStart(*c) || p.startsInVain(ctx, *c) {
		return "Postgres does not start on it: " + p.Node.Engine.Complaints(ctx, c.ID)
	}
	return ""
}

// version is the major version of Postgres that made a container's data, "" if
// there is none or it is unknown.
func (e *Engine) version(ctx context.Context, c Container) string {
	directory := c.Env.Get("PGDATA")
	if directory == "" {
		return ""
	}
	text, err := e.read(ctx, c, path.Join(directory, "PG_VERSION"))
	if err != nil {
		return ""
	}
	major := strings.TrimSpace(string(text))
	if strings.Trim(major, "0123456789.") != "" {
		return "" // it is no version at all; whether Postgres starts will be seen
	}
	return major
}

// planKeep says that the volume of Postgres makes room for an empty one, where
// Postgres cannot start on it; nil where it can, or where there is none.
func (p *Programs) planKeep(ctx context.Context, now Bundle, other map[string]string) (*step.Step, error) {
	x, err := p.exchange()
	switch {
	case err != nil:
		return nil, err
	case x != nil && x.Stage == left:
		return nil, nil // it is on the empty one already
	case x != nil && x.Stage == leaving:
		return keepStep(x.Data, x.Kept.String(), "the interrupted restore has begun it"), nil
	case p.Node.Postgres == nil && p.Fresh:
		return nil, &holdfast.Problem{
			Class: holdfast.Usage, What: "--fresh-volume: the databases are on a server outside of the project",
			Do: "Leave it out; a server that does not start is its provider's to mend.",
		}
	case p.Node.Postgres == nil:
		return nil, nil
	}
	c := now.Postgres
	if c == nil {
		c = p.Node.Postgres
	}
	why := p.unfit(ctx, now.Postgres, other["postgres"] != "")
	if at := c.data(); now.Postgres != nil && (at.inside == "" || at.memory) {
		if why = cmp.Or(why, other["postgres"]); why != "" {
			return nil, unmovable(*c, p.Set, why)
		}
		return nil, nil
	}
	h, there, err := p.Node.Engine.look(ctx, c.data().dataDirectory)
	if err != nil || !there || why == "" {
		return nil, err
	}
	if wal := c.newLog(); wal != "" && c.mountOf(wal).inside != c.data().inside {
		return nil, logElsewhere(*c, now.Postgres != nil, wal, p.Set, why)
	}
	return keepStep(h, keptName(h, step.Previous, p.origin(p.Set)), why), nil
}

// lookBeside finds out what the server has that is in no set. Where it does not
// answer, it is as when the set was taken.
func (p *Programs) lookBeside(ctx context.Context) bool {
	if p.Beside == nil {
		return false
	}
	found, err := p.Beside(ctx)
	if err == nil {
		p.beside = found
	}
	return err == nil
}

// aside says what the volume that makes room takes with it.
func (s *survey) aside(ctx context.Context) []string {
	sure := s.lookBeside(ctx)
	var out []string
	for _, what := range s.beside {
		out = append(out, fmt.Sprintf("%s is in no set: it goes aside with %s, and stays in %s", what, s.keep.Name, s.keep.As))
	}
	if !sure {
		out = append(out, fmt.Sprintf("Postgres does not answer: what else %s has that is in no set is as it was when the set was taken",
			s.keep.Name))
	}
	return out
}

// unmovable refuses to replace a container that has its data in itself or in
// memory: nothing could put that back.
func unmovable(c Container, set holdfast.SetID, why string) error {
	where, keep := "container "+c.Name+" itself", fmt.Sprintf("`docker cp %s:%s %s.data`", c.Name, c.pgdata(), c.Name)
	if c.data().memory { // docker cp does not see it, and it is gone once the server stops
		where = "the memory of container " + c.Name
		user := cmp.Or(c.Env.Get("POSTGRES_USER"), "postgres")
		keep = fmt.Sprintf("`docker exec %s pg_dumpall -U %s >%s.sql`", c.Name, user, c.Name)
	}
	return &holdfast.Problem{
		Class: holdfast.Refused,
		What:  fmt.Sprintf("Postgres keeps its data in %s, which would have to be replaced: %s", where, why),
		Why:   "A new container does not have that data, and no undo could bring it back.",
		Do: fmt.Sprintf("Keep it by hand, %s, remove the container, `docker rm -f %s`, then `holdfast restore %s`.",
			keep, c.Name, set),
	}
}

// newLog is where a server that begins on an empty volume would put its
// write-ahead log; "" for its data directory.
func (c Container) newLog() string {
	if wal := c.Env.Get("POSTGRES_INITDB_WALDIR"); wal != "" {
		return path.Clean(wal)
	}
	words := strings.Fields(c.Env.Get("POSTGRES_INITDB_ARGS"))
	for i, word := range words {
		if wal, ok := strings.CutPrefix(word, "--waldir="); ok {
			return path.Clean(wal)
		}
		if (word == "--waldir" || word == "-X") && i+1 < len(words) {
			return path.Clean(words[i+1])
		}
	}
	return ""
}

// logElsewhere refuses an empty volume for a server whose write-ahead log is in
// another place, which would stay: no new server begins on a log that is there.
func logElsewhere(c Container, there bool, wal string, set holdfast.SetID, why string) error {
	p := &holdfast.Problem{
		Class: holdfast.Refused,
		What: fmt.Sprintf("the write-ahead log of container %s is apart from its data, in %s, and its volume would have to make room: %s",
			c.Name, wal, why),
		Why: "A new server does not start while the old log is there, and nothing would put the two back together.",
		Do:  fmt.Sprintf("Keep %s and %s by hand, empty both, and `holdfast restore %s`.", c.pgdata(), wal, set),
	}
	if there {
		p.Do = fmt.Sprintf("Keep both by hand, `docker stop %[1]s && docker cp -a %[1]s:%[2]s %[1]s.data && docker cp -a %[1]s:%[3]s %[1]s.wal`; "+
			"empty them, `docker run --rm --volumes-from %[1]s --user 0 --entrypoint find %[4]s %[2]s %[3]s -mindepth 1 -delete`; "+
			"remove the container, `docker rm -f %[1]s`; then `holdfast restore %[5]s`.", c.Name, c.pgdata(), wal, c.Image, set)
	}
	return p
}

func keepStep(data dataDirectory, as, why string) *step.Step {
	return &step.Step{Act: step.Keep, Kind: step.Volume, Name: data.String(), As: as, Why: why}
}

// keep keeps what the volume of Postgres has, and leaves the volume empty. The
// container is stopped.
func (p *Programs) keep(ctx context.Context, s step.Step) error {
	x, err := p.exchange()
	if err != nil {
		return err
	}
	if x == nil {
		if x, err = p.beginExchange(ctx); err != nil || x == nil {
			return err
		}
	}
	if x.Stage != leaving {
		return nil
	}
	return p.bring(ctx, x, x.Data, x.Kept, left)
}

// beginExchange makes the volume that gets what the one of Postgres has; nil
// where there is none.
func (p *Programs) beginExchange(ctx context.Context) (*exchange, error) {
	e, c := p.Node.Engine, p.Node.Postgres
	if now, err := p.current(ctx); err == nil && now.Postgres != nil {
		c = now.Postgres
	}
	h, there, err := e.look(ctx, c.data().dataDirectory)
	if err != nil || !there {
		return nil, err
	}
	rename, err := p.canRename(ctx, h)
	if err != nil {
		return nil, err
	}
	kept, err := e.spare(ctx, h, rename, step.Previous, p.origin(p.Set))
	if err != nil {
		return nil, err
	}
	x := &exchange{Data: h, Kept: kept, Stage: leaving}
	return x, p.Notes.WriteNotes(x)
}

// bring carries from one volume to another, and notes the stage that is reached
// by it.
func (p *Programs) bring(ctx context.Context, x *exchange, from, to dataDirectory, next stage) error {
	err := p.carry(ctx, from, to, from == x.Data, x.Copied, func() error {
		x.Copied = true
		return p.Notes.WriteNotes(x)
	})
	if err != nil {
		return err
	}
	x.Stage, x.Copied = next, false
	return p.Notes.WriteNotes(x)
}

// putBack gives Postgres the volume back that a restore has kept. What that
// restore has filled is kept in its turn where the step says so, and otherwise
// removed.
func (p *Programs) putBack(ctx context.Context, s step.Step) error {
	x, err := p.noted()
	if err != nil {
		return err
	}
	switch {
	case x != nil && x.Kept.String() == s.From && x.Stage == returned:
		return p.forget(ctx, x)
	case x != nil && x.Kept.String() == s.From:
	case s.If:
		return nil // nothing had been exchanged
	default:
		if x, err = p.claim(ctx, s); err != nil {
			return err
		}
	}
	x.Keep = s.As != ""
	return p.giveBack(ctx, x)
}

// claim takes up the exchange of a restore that is complete.
func (p *Programs) claim(ctx context.Context, s step.Step) (*exchange, error) {
	if p.Node.Postgres == nil {
		return nil, &holdfast.Problem{
			Class: holdfast.Refused,
			What:  "project " + p.Node.Project + " has no Postgres of its own, and " + s.From + " was a volume of one",
			Why:   "What was kept would be put where nothing uses it.",
			Do:    "Bring the bundle's Postgres back into the project, then undo again; the volume stays until then.",
		}
	}
	data, there, err := p.Node.Engine.look(ctx, p.Node.Postgres.data().dataDirectory)
	kept, isKept, keptErr := p.Node.Engine.look(ctx, dataDirectory{Volume: s.From})
	if err = errors.Join(err, keptErr); err != nil {
		return nil, err
	}
	if !there || !isKept || data.String() != s.Name {
		return nil, &holdfast.Problem{
			Class: holdfast.Refused, What: fmt.Sprintf("%s does not have the databases of %s any more", s.Name, p.Node.Postgres.Name),
			Why: "What was kept would be put where nothing uses it.",
			Do:  "Compare `docker inspect " + p.Node.Postgres.Name + "` with `docker volume inspect " + s.From + "`.",
		}
	}
	list, err := p.Leftovers(ctx)
	for _, l := range list {
		if l.Name == s.From {
			p.Set = l.Set
		}
	}
	return &exchange{Data: data, Kept: kept, Stage: left}, err
}

// giveBack takes an exchange back from wherever it is: what was kept is the
// volume's again. The containers are stopped.
func (p *Programs) giveBack(ctx context.Context, x *exchange) error {
	if x.Stage == leaving {
		if x.Kept.Path == "" && !x.Copied { // all of it is still where it was
			x.Stage = returned
			return errors.Join(p.Notes.WriteNotes(x), p.forget(ctx, x))
		}
		x.Stage, x.Copied = returning, false // nothing was started meanwhile
		if err := p.Notes.WriteNotes(x); err != nil {
			return err
		}
	}
	if x.Stage == left {
		spare, err := p.Node.Engine.spare(ctx, x.Data, x.Kept.Path != "", step.Undone, p.origin(p.Set))
		if err != nil {
			return err
		}
		x.Spare, x.Stage = spare, clearing
		if err := p.Notes.WriteNotes(x); err != nil {
			return err
		}
	}
	if x.Stage == clearing {
		if err := p.bring(ctx, x, x.Data, x.Spare, returning); err != nil {
			return err
		}
	}
	if err := p.bring(ctx, x, x.Kept, x.Data, returned); err != nil {
		return err
	}
	return p.forget(ctx, x)
}

// forget removes the empty volume that had what was kept and, unless it was in
// use, what a restore has filled.
func (p *Programs) forget(ctx context.Context, x *exchange) error {
	gone := []dataDirectory{x.Kept}
	if !x.Keep && !x.Spare.Bound {
		gone = append(gone, x.Spare)
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

// Leftovers lists the volumes of the project that restores have left, the
// newest first.
func (p *Programs) Leftovers(ctx context.Context) ([]step.Leftover, error) {
	e := p.Node.Engine
	list, err := e.API.VolumeList(ctx, client.VolumeListOptions{Filters: client.Filters{}.Add("label", labelProject+"="+p.Node.Project)})
	if err != nil {
		return nil, e.Explain("list the volumes of the Docker daemon at "+e.Host(), err)
	}
	var out []step.Leftover
	for _, v := range list.Items {
		at, _ := time.Parse(nameTime, v.Labels[labelAt])
		out = append(out, step.Leftover{
			Label: step.Label{Role: step.Role(v.Labels[labelRole]), Set: holdfast.SetID(v.Labels[labelSet]), At: at},
			Name:  v.Name, Volume: v.Labels[labelOf], Bytes: -1, Beside: besideOf(v.Labels),
		})
	}
	if len(out) > 0 {
		e.measure(ctx, out)
	}
	slices.SortFunc(out, func(a, b step.Leftover) int { return b.At.Compare(a.At) })
	return out, nil
}

// measure asks how much the volumes take.
func (e *Engine) measure(ctx context.Context, list []step.Leftover) {
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

// Remove removes a volume that a restore has left.
func (p *Programs) Remove(ctx context.Context, l step.Leftover) error {
	_, err := p.Node.Engine.API.VolumeRemove(ctx, l.Name, client.VolumeRemoveOptions{})
	return p.Node.Engine.Explain("remove volume "+l.Name, err)
}
