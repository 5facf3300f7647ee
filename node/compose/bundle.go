package compose

import (
	"cmp"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"holdfast"
)

// Bundle is one validator node as Compose runs it. A missing role is nil: Postgres
// if it runs elsewhere, another one if its container was removed.
type Bundle struct {
	Project     string
	Directory   string   // of the bundle's files, on the daemon's machine
	Files       []string // compose.yaml and the overlays it was started with
	Postgres    *Container
	Participant *Container
	Validator   *Container
	Nginx       *Container
	All         []Container // of the project
	Doubts      []Doubt     // the roles that several containers may have

	services map[string]string // by role: the service or the container that was chosen by hand
	ways     map[string]string // by role: the only way that is tried
	before   map[string]string // by role: the container that had it when the node was looked at before
}

// Find finds the validator nodes among containers, sorted by project.
func Find(containers []Container) []Bundle {
	var out []Bundle
	for _, c := range containers {
		if c.Project == "" || c.oneOff || isReplaced(c.Name) {
			continue
		}
		i := slices.IndexFunc(out, func(b Bundle) bool { return b.Project == c.Project })
		if i < 0 {
			out = append(out, Bundle{Project: c.Project})
			i = len(out) - 1
		}
		out[i].All = append(out[i].All, c)
	}
	for i := range out {
		out[i].cast()
	}
	out = slices.DeleteFunc(out, func(b Bundle) bool { return b.Participant == nil && b.Validator == nil })
	slices.SortFunc(out, func(a, b Bundle) int { return strings.Compare(a.Project, b.Project) })
	return out
}

// answersTo reports whether other containers of the project reach this one by that
// name.
func (c Container) answersTo(name string) bool {
	if c.Service == name || c.Name == name {
		return true
	}
	return slices.ContainsFunc(c.Networks, func(n Network) bool {
		return slices.Contains(n.Aliases, name) || n.Address != "" && n.Address == name
	})
}

// Choose returns the node of a site's project, or the only node if none is named.
func Choose(containers []Container, at Site) (Bundle, error) {
	found := Find(containers)
	if at.Project != "" {
		found = slices.DeleteFunc(found, func(b Bundle) bool { return b.Project != at.Project })
	}
	for i := range found {
		found[i].services, found[i].ways = at.Services, at.Reach
		found[i].cast()
	}
	switch {
	case len(found) == 1:
		return found[0], found[0].complete()
	case len(found) > 1:
		var names []string
		for _, b := range found {
			names = append(names, b.Project)
		}
		return Bundle{}, &Several{holdfast.Problem{
			Class: holdfast.Usage,
			What:  "several validator nodes run here: " + strings.Join(names, ", "),
			Why:   "Each node is backed up separately.",
			Do:    "Choose one: --project " + names[0],
		}}
	}
	return Bundle{}, noNode(containers, at.Project)
}

// NotFound is the error that no node was found among the containers.
type NotFound struct{ holdfast.Problem }

// As lets the Problem in it be found.
func (n *NotFound) As(target any) bool {
	p, ok := target.(**holdfast.Problem)
	if ok {
		*p = &n.Problem
	}
	return ok
}

// Several is the error that several nodes were found.
type Several struct{ holdfast.Problem }

// As lets the Problem in it be found.
func (s *Several) As(target any) bool {
	p, ok := target.(**holdfast.Problem)
	if ok {
		*p = &s.Problem
	}
	return ok
}

// noNode explains that no node was found.
func noNode(containers []Container, project string) error {
	p := holdfast.Problem{
		Class: holdfast.Refused,
		What:  fmt.Sprintf("no validator node among %d containers", len(containers)),
		Why:   "A node is recognised by its participant and its validator app, running or stopped.",
		Do: "Start the bundle once (start.sh), or check whether DOCKER_HOST or the docker context names another daemon. " +
			"Without Docker, name the databases: --database.",
	}
	if project != "" {
		p.What = fmt.Sprintf("no containers of a validator node in project %s", project)
		p.Why = "start.sh creates a node's containers and stop.sh removes them."
	}
	for _, c := range containers {
		if c.Base() == "splice-app" && c.Service == "splice" {
			p.What = "project " + c.Project + " is Splice's LocalNet"
			p.Why = "It runs several nodes of a test network in one container. None of them can be stopped or restored alone."
			p.Do = "To try Holdfast on it, name one node's databases and its validator app, with the password in PGPASSWORD: " +
				"holdfast init --node app-provider" +
				" --database participant=postgres://cnadmin@localhost/participant-app-provider" +
				" --database validator=postgres://cnadmin@localhost/validator-app-provider" +
				" --identities-url http://localhost:3903 --auth unsafe --audience https://canton.network.global"
		}
	}
	return &NotFound{p}
}

// complete refuses a node without a part that Holdfast needs.
func (b Bundle) complete() error {
	var missing []string
	if b.Participant == nil {
		missing = append(missing, "the participant")
	}
	if b.Validator == nil {
		missing = append(missing, "the validator app")
	}
	if b.Postgres == nil && !b.External() {
		missing = append(missing, "Postgres")
	}
	if len(missing) == 0 {
		if len(b.Doubts) > 0 {
			return doubtful(b.Doubts[0])
		}
		if _, err := b.participantDatabase(); err != nil {
			return err
		}
		if _, err := b.validatorDatabase(); err != nil {
			return err
		}
		return b.reachable()
	}
	return &NotFound{holdfast.Problem{
		Class: holdfast.Refused,
		What:  fmt.Sprintf("project %s has no container of %s", b.Project, strings.Join(missing, " nor of ")),
		Why:   "Holdfast reads the node's configuration from its containers.",
		Do:    "Start the bundle once as usual (start.sh). You may stop it again with `docker stop`.",
	}}
}

// reachable refuses a way that was chosen to a server that is in no container.
func (b Bundle) reachable() error {
	if b.ways["postgres"] == "" || !b.External() {
		return nil
	}
	return &holdfast.Problem{
		Class: holdfast.Usage,
		What:  "compose.reach.postgres: the databases are outside of project " + b.Project + ", on " + b.ParticipantDatabase().Server,
		Why:   "No container leads to them, so the way would be ignored.",
		Do:    "Remove `postgres:` below `reach:` in holdfast.yaml.",
	}
}

// role is the container that has a role; nil where none has.
func (b Bundle) role(role string) *Container {
	for _, r := range b.Roles() {
		if r.Role == role {
			return r.Container
		}
	}
	return nil
}

// External reports whether the databases are on a server outside of the project.
func (b Bundle) External() bool {
	server := cmp.Or(b.ParticipantDatabase().Server, b.ValidatorDatabase().Server)
	return b.Postgres == nil && server != "" && server != "postgres-splice"
}

// Splice is the version of the node's images, "" if their tags do not show it.
func (b Bundle) Splice() string {
	for _, c := range []*Container{b.Validator, b.Participant} {
		if c != nil && c.Tag() != "" && c.Tag() != "latest" {
			return c.Tag()
		}
	}
	return ""
}

// Auth is how callers of the validator app authenticate: "none" for the bundle's
// overlay without authentication, else "oidc".
func (b Bundle) Auth() string {
	if b.Validator == nil {
		return ""
	}
	e := b.Validator.Env
	if e.Has("ADDITIONAL_CONFIG_DISABLE_AUTH") || e.Get("SPLICE_APP_VALIDATOR_AUTH_JWKS_URL") == "" {
		return "none"
	}
	return "oidc"
}

var migrationSuffix = regexp.MustCompile(`^participant-([0-9]+)$`)

// Start are the flags of start.sh that the node runs with. The migration id comes
// from the database's name, where start.sh puts it.
func (b Bundle) Start() Start {
	s := Start{Auth: b.Auth(), Overlays: b.overlays()}
	if m := migrationSuffix.FindStringSubmatch(b.ParticipantDatabase().Name); m != nil {
		s.MigrationID = m[1]
	}
	if b.Validator != nil {
		e := b.Validator.Env
		s.PartyHint = e.Get("SPLICE_APP_VALIDATOR_PARTY_HINT")
		s.Identifier = e.Get("SPLICE_APP_VALIDATOR_PARTICIPANT_IDENTIFIER")
		s.Sponsor = e.Get("SPLICE_APP_VALIDATOR_SV_SPONSOR_ADDRESS")
		s.Scan = e.Get("SPLICE_APP_VALIDATOR_SCAN_ADDRESS")
	}
	return s
}

// overlays are the names of the compose files besides compose.yaml.
func (b Bundle) overlays() []string {
	var out []string
	for _, f := range b.Files {
		if name := path.Base(f); name != "compose.yaml" {
			out = append(out, name)
		}
	}
	return out
}

// ValidatorAddress is where the validator app's HTTP API is reached: through
// nginx's published port, or in the app's container. The URL is for the Host
// header.
func (b Bundle) ValidatorAddress() (url, address string) {
	if b.Nginx != nil && b.Nginx.Up() {
		if at := b.Nginx.publishedPorts["80"]; at != "" {
			return "http://wallet.localhost", strings.Replace(at, "0.0.0.0:", "127.0.0.1:", 1)
		}
	}
	return inside, ""
}

// inside is the validator app's URL within its own container.
const inside = "http://validator.localhost:5003"

// replacedMark marks a container that a restore replaced.
const replacedMark = ".before-"

func isReplaced(name string) bool { return strings.Contains(name, replacedMark) }
