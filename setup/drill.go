package setup

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"time"

	"filippo.io/age"

	"holdfast"
	"holdfast/canton/admin"
	"holdfast/capture/postgres"
	"holdfast/config"
	"holdfast/databases"
	"holdfast/drill"
	"holdfast/internal/docker"
	"holdfast/internal/libpq"
	"holdfast/node/compose"
	"holdfast/record"
	"holdfast/sandbox"
)

// DrillOptions say how a drill differs from the configured one.
type DrillOptions struct {
	Keys   []age.Identity // open the identities; none: they are not looked into
	Locale string         // to make the databases with, instead of the recorded one
	// Without are objects to leave out, by the names that a manifest's needs have.
	Without []string
	Server  string // config.LocalServer, config.ContainerServer; empty: as configured
	Boot    bool   // start the participant on its database
	DryRun  bool   // only say which images are needed
	NoPull  bool   // refuse where an image would have to be fetched
}

// DrillJob is a drill of one set.
func (p *Parts) DrillJob(ctx context.Context, set holdfast.Set, files holdfast.Files, f DrillOptions) (drill.Job, error) {
	if p.refers(set, RestoreOptions{}) {
		job, _, err := p.temporaryDrill(ctx, set, f)
		return job, err
	}
	if err := leaves(f.Without, set, nil); err != nil {
		return drill.Job{}, err
	}
	host, err := p.drillHost(ctx, set, files, f)
	if err != nil {
		return drill.Job{}, err
	}
	return p.drillOn(host, f), nil
}

// drillOn is a drill on a host.
func (p *Parts) drillOn(host drill.Host, f DrillOptions) drill.Job {
	machine, _ := os.Hostname()
	j := drill.Job{
		Host: host, Boot: f.Boot, Checks: map[holdfast.ComponentName][]string{},
		Version: p.Version, Machine: machine, Now: time.Now, Events: p.Events,
	}
	if len(f.Keys) > 0 {
		j.Identities = func(_ context.Context, sealed io.Reader, set holdfast.Set) holdfast.Finding {
			return judgeIdentities(f.Keys, sealed, set)
		}
	}
	for name, list := range p.Config.Drill.Checks {
		j.Checks[holdfast.ComponentName(name)] = list
	}
	return j
}

// drillHost is a host of drills. Its places serve for a single schema as well.
type drillHost interface {
	drill.Host
	place(ctx context.Context, set holdfast.Set) (drillPlace, error)
}

// drillServer is what kind of server a drill wants: local, container, or ""
// for whichever there is.
func drillServer(f DrillOptions, configured string) (string, error) {
	want := cmp.Or(f.Server, configured)
	switch {
	case !slices.Contains([]string{"", config.LocalServer, config.ContainerServer}, want):
		return "", Usage(fmt.Errorf("--server: want %s or %s", config.LocalServer, config.ContainerServer))
	case f.Boot && want == config.LocalServer:
		return "", Usage(errors.New("--boot starts the participant in a container, next to a server in a container: leave --server (or drill.server) local out"))
	case f.Boot:
		return config.ContainerServer, nil
	}
	return want, nil
}

// drillHost chooses where a set is rehearsed: with the server programs of this
// machine, or in a container.
func (p *Parts) drillHost(
	ctx context.Context, set holdfast.Set, files holdfast.Files, f DrillOptions,
) (drillHost, error) {
	want, err := drillServer(f, p.Config.Drill.Server)
	if err != nil {
		return nil, err
	}
	r := rehearsing{tools: p.tools(), options: postgres.LoadOptions{
		Events: p.Events, Locale: f.Locale, Without: f.Without,
	}}
	if want == config.ContainerServer {
		return p.containerHost(ctx, set, files, f, r)
	}
	local, err := p.localHost(ctx, set, r)
	if err == nil || want == config.LocalServer {
		return local, err
	}
	elsewhere, failed := p.containerHost(ctx, set, files, f, r)
	if failed != nil {
		return nil, errors.Join(err, fmt.Errorf("nor can it be rehearsed in a container: %w", failed))
	}
	return elsewhere, nil
}

// localHost rehearses with the server programs of this machine, which have to
// suit the set.
func (p *Parts) localHost(ctx context.Context, set holdfast.Set, r rehearsing) (drillHost, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	d := p.Config.Drill
	h := localHost{
		Host: sandbox.Host{
			Dir: d.Dir, Programs: d.Programs, User: d.User,
			KeepFree: int64(d.KeepFree), Inside: []string{program}, Daemons: p.daemons(), Share: p.drillShare(),
		},
		rehearsing: r,
	}
	h.programs, err = h.Find(ctx, majorOf(set))
	return h, err
}

// drillShare is how much of the machine a drill may take.
func (p *Parts) drillShare() sandbox.Share {
	return sandbox.Share{Memory: int64(p.Config.Drill.Memory), Processors: p.Config.Drill.Processors}
}

// daemons are the addresses of the configured Docker daemon, which may have
// leftovers of drills; none without Docker.
func (p *Parts) daemons() []string {
	engine, err := docker.Connect(p.kind.DockerHost, p.silence())
	if err != nil {
		return nil
	}
	defer func() { _ = engine.Close() }()
	return []string{engine.Host()}
}

// containerHost rehearses in a container. The images have to be there before
// anything else is done; for a dry run it is enough to know which they are.
func (p *Parts) containerHost(
	ctx context.Context, set holdfast.Set, files holdfast.Files, f DrillOptions, r rehearsing,
) (drillHost, error) {
	engine, err := docker.Connect(p.kind.DockerHost, p.silence())
	if err != nil {
		return nil, err
	}
	if _, err := engine.Names(ctx); err != nil {
		return nil, err
	}
	h := containerHost{
		Daemon: sandbox.Daemon{
			Engine: engine, Dir: p.Config.Drill.Dir, KeepFree: int64(p.Config.Drill.KeepFree), Share: p.drillShare(),
		},
		rehearsing: r,
	}
	server := drillImage{"postgres", p.Config.Drill.Image, "drill.image", "A restore is rehearsed in a container of it."}
	if h.Image, err = p.have(ctx, engine, server, set, f); err != nil {
		return nil, err
	}
	if has := sandbox.Major(h.Image); has > 0 && has < majorOf(set) {
		return nil, &holdfast.Problem{Class: holdfast.Usage, What: fmt.Sprintf("%s is Postgres %d, the set is from %d", h.Image.Name, has, majorOf(set)),
			Why: "A dump goes into the same or a newer major version, not into an older one.", Do: fmt.Sprintf("Name another image: drill.image: postgres:%d.", majorOf(set))}
	}
	if !f.Boot {
		return h, nil
	}
	b := p.Config.Drill.Boot
	participant := drillImage{"participant", b.Image, "drill.boot.image", "--boot starts the participant from it."}
	h.participant = sandbox.Participant{Env: b.Env, Memory: int64(b.Memory), Timeout: time.Duration(b.Patience), Who: whoIs}
	if h.participant.Image, err = p.have(ctx, engine, participant, set, f); err != nil {
		return nil, err
	}
	h.participant.Recorded, err = recordedEnv(ctx, set, files)
	return h, err
}

// drillImage is an image that a drill needs: the configured one, or that of a
// role of the set's node.
type drillImage struct{ role, configured, key, why string }

// have has an image there; for a dry run it only says which it would be.
func (p *Parts) have(
	ctx context.Context, engine *docker.Engine, i drillImage, set holdfast.Set, f DrillOptions,
) (docker.Image, error) {
	want, known := recordedImage(set, i.role)
	if i.configured != "" {
		want, known = docker.Image{Name: i.configured}, true
	}
	if !known {
		return want, &holdfast.Problem{Class: holdfast.Usage, What: fmt.Sprintf("the set does not say from which image its node's %s ran", i.role), Why: i.why,
			Do: "Name one in holdfast.yaml: " + i.key + "."}
	}
	found, there, err := engine.Has(ctx, want)
	switch {
	case err != nil || there:
		return found, err
	case f.DryRun:
		return want, nil
	case f.NoPull:
		return want, &holdfast.Problem{
			Class: holdfast.Usage, What: fmt.Sprintf("image %s is not on this machine", want.Name), Why: i.why,
			Do: "docker pull " + want.Name,
		}
	}
	p.Events.Report(docker.PullBegan{Image: want})
	return engine.Have(ctx, want, i.why)
}

// recordedImage is the image that a program of the node ran from when the set
// was taken.
func recordedImage(set holdfast.Set, role string) (docker.Image, bool) {
	was, err := compose.Describe(set.Deployment)
	if err != nil || set.Deployment == nil {
		return docker.Image{}, false
	}
	for _, p := range set.Deployment.Programs {
		if p.Role == role {
			return docker.Image{Name: p.Image, ID: was.ImageID(p.Name), Digest: p.Digest}, true
		}
	}
	return docker.Image{}, false
}

// recordedEnv is what the node's participant was started with; nil where the
// set does not say.
func recordedEnv(ctx context.Context, set holdfast.Set, files holdfast.Files) (map[string]holdfast.Secret, error) {
	if set.Deployment == nil || set.Deployment.Kind != compose.Kind || set.Deployment.OwnFile == "" {
		return nil, nil
	}
	n, _, err := compose.Recorded(ctx, nil, set, files, compose.Site{})
	if err != nil || n == nil || n.Participant == nil {
		return nil, err
	}
	env := map[string]holdfast.Secret{}
	for _, name := range n.Participant.Env.Names() {
		env[name] = n.Participant.Env.Secret(name)
	}
	return env, nil
}

// whoIs asks a participant's admin API through a connection that leads to it.
func whoIs(ctx context.Context, dial func(ctx context.Context, network, address string) (net.Conn, error)) (id, version string, err error) {
	view, err := admin.Client{Address: "participant:5002", Dial: dial}.Look(ctx)
	return view.ID, view.Version, err
}

func majorOf(set holdfast.Set) int {
	major := 0
	for _, c := range set.Parts() {
		major = max(major, c.Server.Major())
	}
	return major
}

// rehearsing makes a sandbox the target of a restore.
type rehearsing struct {
	tools   postgres.Tools
	options postgres.LoadOptions
}

func (r rehearsing) open(ctx context.Context, s *sandbox.Server, set holdfast.Set) (drillPlace, error) {
	var roles []string
	for _, c := range set.Parts() {
		roles = append(append(roles, c.Database.Owner), c.Database.Roles...)
	}
	if err := s.Roles(ctx, roles); err != nil {
		return drillPlace{}, errors.Join(err, s.Stop())
	}
	if err := s.Superusers(ctx, superOwners(set)); err != nil {
		return drillPlace{}, errors.Join(err, s.Stop())
	}
	p := drillPlace{server: s}
	p.Target = databases.Target{Live: databases.Live{Node: set.Node, Addresses: map[holdfast.ComponentName]libpq.Address{}}, Now: time.Now,
		Loader: func(_ holdfast.ComponentName, through libpq.Address) databases.Loader {
			return postgres.Loader{Address: through, Tools: r.tools, Facts: readFacts, Options: r.options}
		}}
	for _, c := range set.Parts() {
		at := s.Address.On(database(c.Component))
		at.Silence = r.tools.Silence
		p.Addresses[c.Component] = at
	}
	return p, nil
}

// superOwners are the roles that have to be superusers for what they own.
func superOwners(set holdfast.Set) []string {
	var out []string
	for _, c := range set.Parts() {
		if c.Database.Needs == nil {
			continue
		}
		for _, o := range c.Database.Needs.Privileged {
			if o.SuperOwner && o.Owner != "" {
				out = append(out, o.Owner)
			}
		}
	}
	return out
}

// localHost rehearses with the server programs of this machine.
type localHost struct {
	sandbox.Host
	rehearsing
	programs string
}

// What implements drill.Host.
func (h localHost) What() string { return "the server programs in " + h.programs }

// Room implements drill.Host.
func (h localHost) Room(_ context.Context, need int64) (holdfast.Finding, error) {
	return h.Host.Room(need)
}

// Open implements drill.Host.
func (h localHost) Open(ctx context.Context, set holdfast.Set) (drill.Place, error) {
	return h.place(ctx, set)
}

func (h localHost) place(ctx context.Context, set holdfast.Set) (drillPlace, error) {
	s, err := h.Start(ctx, majorOf(set), "set "+string(set.ID))
	if err != nil {
		return drillPlace{}, err
	}
	return h.open(ctx, s, set)
}

// containerHost rehearses in containers.
type containerHost struct {
	sandbox.Daemon
	rehearsing
	participant sandbox.Participant
}

// What implements drill.Host.
func (h containerHost) What() string {
	what := "image " + h.Image.String() + ", in a container"
	if h.participant.Who != nil {
		what += "; the participant from image " + h.participant.Image.String()
	}
	return what
}

// Open implements drill.Host.
func (h containerHost) Open(ctx context.Context, set holdfast.Set) (drill.Place, error) {
	p, err := h.place(ctx, set)
	return bootablePlace{p, h.participant}, err
}

func (h containerHost) place(ctx context.Context, set holdfast.Set) (drillPlace, error) {
	s, err := h.Start(ctx, "set "+string(set.ID))
	if err != nil {
		return drillPlace{}, err
	}
	return h.open(ctx, s, set)
}

// database is what a component's database is called in a sandbox,
// where several servers' databases come together.
func database(c holdfast.ComponentName) string { return "drill-" + string(c) }

// drillPlace is a sandbox as the target of a restore.
type drillPlace struct {
	databases.Target
	server *sandbox.Server
}

// Isolation implements drill.Place.
func (p drillPlace) Isolation() holdfast.Finding { return p.server.Isolation }

// Server implements drill.Place.
func (p drillPlace) Server() string { return p.server.Version }

// Ask implements drill.Place.
func (p drillPlace) Ask(ctx context.Context, c holdfast.ComponentName, sql string) (holdfast.Finding, error) {
	return p.server.Ask(ctx, database(c), sql)
}

// Close implements drill.Place.
func (p drillPlace) Close() error { return p.server.Stop() }

// bootablePlace is one where the participant can be started as well.
type bootablePlace struct {
	drillPlace
	participant sandbox.Participant
}

// Boot implements drill.Bootable.
func (p bootablePlace) Boot(ctx context.Context, c holdfast.ComponentName) (record.Boot, error) {
	return p.server.Boot(ctx, database(c), p.participant)
}

var _ drill.Bootable = bootablePlace{}
