package compose

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	cerrdefs "github.com/containerd/errdefs"

	"holdfast"
	"holdfast/canton"
	"holdfast/canton/storage"
	"holdfast/internal/libpq"
	"holdfast/step"
)

// Holders lists who is connected to the node's databases, and to others of the
// same servers: programs of the node, and whoever else.
func (n *Node) Holders(ctx context.Context, others ...string) ([]Holder, error) {
	sessions, err := n.sessions(ctx, others)
	if err != nil || len(sessions) == 0 {
		return nil, err
	}
	containers, err := n.Engine.Containers(ctx)
	if err != nil {
		return nil, err
	}
	var out []Holder
	for _, s := range sessions {
		h := Holder{Session: s}
		for _, c := range containers {
			if slices.ContainsFunc(c.Networks, func(at Network) bool { return at.Address != "" && at.Address == s.From }) {
				h.Container = c
			}
		}
		out = append(out, h)
	}
	return out, nil
}

// Alive says whether the participant's database has one participant alive, and
// the validator app's one validator app: by their locks, and by the containers
// that are connected and were started as one.
func (n *Node) Alive(ctx context.Context) (holdfast.Finding, error) {
	holders, err := n.Holders(ctx)
	if err != nil {
		return holdfast.Finding{}, err
	}
	var all []holdfast.Finding
	for _, of := range []struct {
		kind     holdfast.Kind
		database storage.Database
	}{{holdfast.Participant, n.ParticipantDatabase()}, {holdfast.Validator, n.ValidatorDatabase()}} {
		all = append(all, canton.OneLiving(of.database.Name, of.kind, living(holders, of.database.Name, of.kind)))
	}
	return holdfast.Together(all), nil
}

// living are the programs of a kind among the holders of a database.
func living(holders []Holder, database string, kind holdfast.Kind) (out []canton.Living) {
	for _, h := range holders {
		started := h.Container.Name != "" && candidates[roleOfKind[kind]](h.Container)
		if h.Database == database && (h.Program == kind || started) {
			out = append(out, canton.Living{Name: cmp.Or(h.Container.Name, h.From), Locked: h.Program == kind})
		}
	}
	return out
}

// sessions are those of the databases, on one server or two, without Holdfast's
// own.
func (n *Node) sessions(ctx context.Context, others []string) (out []canton.Session, err error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	asked := map[string]bool{}
	names := append([]string{n.ParticipantDatabase().Name, n.ValidatorDatabase().Name}, others...)
	for _, kind := range []holdfast.Kind{holdfast.Participant, holdfast.Validator} {
		t := n.Target(kind).On("postgres")
		if server := t.Where(); asked[server] || t.Get("host") == "" {
			continue
		} else {
			asked[server] = true
		}
		conn, err := t.Connect(ctx, libpq.Options{})
		if err != nil {
			return nil, err
		}
		found, err := canton.Sessions(ctx, conn, names...)
		_ = conn.Close(context.WithoutCancel(ctx))
		if err != nil {
			return nil, err
		}
		out = append(out, found...)
	}
	return slices.DeleteFunc(out, canton.Session.Ours), nil
}

// settled decides by who holds the databases which containers have the roles
// that nothing else decides.
func (e *Engine) settled(ctx context.Context, b Bundle, err error) (Bundle, error) {
	var doubt *Doubtful
	if e == nil || !errors.As(err, &doubt) {
		return b, err
	}
	holders, failed := NewNode(e, b).Holders(ctx)
	if failed != nil {
		return b, err
	}
	b.settle(holders)
	return b, b.complete()
}

// clients are the containers beside the node's own programs that hold one of the
// databases: a restore stops them, whatever they are. Sessions that no container
// explains cannot be stopped, and a database that is in use cannot be replaced:
// they are refused while the node still runs.
func (p *Programs) clients(ctx context.Context, now Bundle, databases []string) ([]Container, error) {
	if now.Postgres == nil || now.Postgres.State != "running" {
		return nil, nil
	}
	for tries := 4; ; tries-- {
		found, err := p.Node.Holders(ctx, databases...)
		if err != nil {
			return nil, ctx.Err() // a server that does not answer says nothing
		}
		containers, strangers := now.sorted(found)
		if len(strangers) == 0 || tries == 0 {
			return containers, inTheWay(strangers)
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(500 * time.Millisecond): // it may be on its way out
		}
	}
}

// sorted are the containers to be stopped, by name: sessions come in any order.
// The others are sessions in no container, or in that of Postgres itself.
func (b Bundle) sorted(found []Holder) (containers []Container, strangers []Holder) {
	for _, h := range found {
		switch role := b.roleOf(h.Container.ID); {
		case h.Container.ID == "" || role == "postgres":
			strangers = append(strangers, h)
		case role == "participant" || role == "validator":
		case !slices.ContainsFunc(containers, func(c Container) bool { return c.ID == h.Container.ID }):
			containers = append(containers, h.Container)
		}
	}
	slices.SortFunc(containers, func(a, b Container) int { return strings.Compare(a.Name, b.Name) })
	return containers, strangers
}

// stoppedBefore are the containers without a role that interrupted runs have
// stopped, and that are there.
func (s *survey) stoppedBefore(ctx context.Context) ([]Container, error) {
	var out []Container
	for _, e := range s.log.All() {
		if e.Step.Act != step.Stop || e.Step.Of != "" {
			continue
		}
		c, err := s.Node.Engine.inspect(ctx, e.Step.Name)
		if cerrdefs.IsNotFound(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	return out, nil
}

// inTheWay refuses to begin while somebody holds a database who would not be
// stopped.
func inTheWay(strangers []Holder) error {
	if len(strangers) == 0 {
		return nil
	}
	var who, end []string
	for _, h := range strangers {
		who = append(who, fmt.Sprintf("%s by %s", h.Database, h.Session))
		end = append(end, fmt.Sprintf("pg_terminate_backend(%d)", h.PID))
	}
	return &holdfast.Problem{
		Class: holdfast.Refused,
		What:  "databases of the node are in use: " + strings.Join(who, ", "),
		Why:   "A database that is in use cannot be replaced, and no container explains who that is. Nothing was stopped.",
		Do: "Close these sessions, or end them: SELECT " + strings.Join(end, ", ") +
			"; then repeat the command. To rehearse next to the running node: `holdfast restore rehearse`.",
	}
}
