package compose

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"holdfast"
	"holdfast/canton"
)

// Doubt is a role that several containers may have.
type Doubt struct {
	Role       string
	Candidates []string // names of containers
}

// Doubtful is the error of a node of which a role is in doubt.
type Doubtful struct {
	holdfast.Problem
	Doubt
}

// As lets the Problem in it be found.
func (d *Doubtful) As(target any) bool {
	p, ok := target.(**holdfast.Problem)
	if ok {
		*p = &d.Problem
	}
	return ok
}

func doubtful(d Doubt) error {
	return &Doubtful{holdfast.Problem{
		Class: holdfast.Usage,
		What:  fmt.Sprintf("several containers may be %s: %s", titles[d.Role], strings.Join(d.Candidates, ", ")),
		Why:   "The wrong one would be stopped by a restore, and the right one would go on writing.",
		Do: fmt.Sprintf("Choose one: `holdfast init --service %s=%s`, or `services:` below `compose:` in holdfast.yaml.",
			d.Role, d.Candidates[0]),
	}, d}
}

// candidates are what a container is recognised by: its variables, not its name,
// because services can be renamed.
var candidates = map[string]func(Container) bool{
	"participant": func(c Container) bool { return c.Env.Has("CANTON_PARTICIPANT_POSTGRES_DB") },
	"validator": func(c Container) bool {
		return c.Env.Has("SPLICE_APP_VALIDATOR_PARTICIPANT_ADDRESS") || c.Env.Has("SPLICE_APP_VALIDATOR_PARTY_HINT")
	},
	"nginx": func(c Container) bool { return c.Base() == "nginx" || c.Service == "nginx" },
}

// cast gives every container its role. Several may look the part: a copy with
// another command, one that has exited, a console. A role is who is reached
// under the address that the others use, and runs.
func (b *Bundle) cast() {
	slices.SortFunc(b.All, func(x, y Container) int { return strings.Compare(x.Name, y.Name) })
	for _, c := range b.All {
		b.Directory = cmp.Or(c.Directory, b.Directory)
		if len(c.Files) > len(b.Files) {
			b.Files = c.Files
		}
	}
	b.Doubts = nil
	b.Validator = b.choose("validator", candidates["validator"], reachedAs("validator"))
	address := "participant"
	if b.Validator != nil {
		address = cmp.Or(b.Validator.Env.Get("SPLICE_APP_VALIDATOR_PARTICIPANT_ADDRESS"), address)
	}
	b.Participant = b.choose("participant", candidates["participant"], reachedAs(address))
	b.Nginx = b.choose("nginx", candidates["nginx"], reachedAs("nginx"))
	server := cmp.Or(b.ParticipantDatabase().Server, b.ValidatorDatabase().Server)
	is := reachedAs(server)
	if server == "" {
		is = func(c Container) bool { return c.Env.Has("POSTGRES_USER") }
	}
	b.Postgres = b.choose("postgres", is)
}

func reachedAs(address string) func(Container) bool {
	return func(c Container) bool { return c.answersTo(address) }
}

// choose finds the container of a role: among those that look the part, the one
// that was chosen by hand or, one sign after the other, those that show it.
func (b *Bundle) choose(role string, looks func(Container) bool, signs ...func(Container) bool) *Container {
	var left []*Container
	for i := range b.All {
		if c := &b.All[i]; looks(*c) || b.services[role] != "" && c.isNamed(b.services[role]) {
			left = append(left, c)
		}
	}
	if name := b.services[role]; name != "" {
		left = slices.DeleteFunc(left, func(c *Container) bool { return !c.isNamed(name) })
	}
	signs = append(signs, Container.Up, func(c Container) bool { return c.State == "running" },
		func(c Container) bool { return c.isNamed(b.before[role]) })
	for _, sign := range signs {
		if shown := slices.DeleteFunc(slices.Clone(left), func(c *Container) bool { return !sign(*c) }); len(shown) > 0 {
			left = shown
		}
	}
	if len(left) == 0 {
		return nil
	}
	if len(left) > 1 && role != "nginx" { // which holds no data
		d := Doubt{Role: role}
		for _, c := range left {
			d.Candidates = append(d.Candidates, c.Name)
		}
		b.Doubts = append(b.Doubts, d)
	}
	return left[0]
}

// isNamed reports whether a container is the one of a service, or has the name.
func (c Container) isNamed(name string) bool { return c.Service == name || c.Name == name }

// PassedOver are containers that look like one of a role and do not have it.
func (b Bundle) PassedOver() []Role {
	var out []Role
	for _, role := range []string{"participant", "validator"} {
		for i := range b.All {
			if c := &b.All[i]; candidates[role](*c) && b.roleOf(c.ID) == "" {
				out = append(out, Role{role, c})
			}
		}
	}
	return out
}

// parts are the images of the bundle's own services.
var parts = []string{
	"canton-participant", "validator-app", "wallet-web-ui", "ans-web-ui", "splice-web-ui", "wallet-gateway", "nginx",
	"busybox",
}

// Unknown names the containers of the project that are no part of the bundle:
// what they are there for, and what they keep, only the operator knows.
func (b Bundle) Unknown() []string {
	var out []string
	for _, c := range b.All {
		if b.roleOf(c.ID) == "" && !slices.Contains(parts, c.Base()) && c.Service != "postgres-splice" {
			out = append(out, fmt.Sprintf("container %s (%s) is no part of the bundle: what it keeps in itself", c.Name, c.Image))
		}
	}
	return out
}

// again casts the containers of the same node as they are now.
func (b Bundle) again(all []Container) Bundle {
	out := Bundle{Project: b.Project, All: all, services: b.services, ways: b.ways, before: map[string]string{}}
	for _, r := range b.Roles() {
		out.before[r.Role] = r.Container.Name
	}
	out.cast()
	return out
}

// settle decides doubts by who holds the databases.
func (b *Bundle) settle(holders []Holder) {
	alive := map[string]string{}
	for _, h := range holders {
		if role := roleOfKind[h.Program]; role != "" && h.Container.Name != "" {
			alive[role] = h.Container.Name
		}
	}
	for _, d := range b.Doubts {
		if name := alive[d.Role]; slices.Contains(d.Candidates, name) {
			b.services = withService(b.services, d.Role, name)
		}
	}
	b.cast()
}

var roleOfKind = map[holdfast.Kind]string{holdfast.Participant: "participant", holdfast.Validator: "validator"}

func withService(services map[string]string, role, name string) map[string]string {
	out := map[string]string{role: name}
	for r, n := range services {
		if r != role {
			out[r] = n
		}
	}
	return out
}

// Holder is somebody who is connected to one of the node's databases, and the
// container that it runs in, as far as its address shows one.
type Holder struct {
	canton.Session
	Container Container
}
