package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// fixed measures what a set costs of a node in which nothing has changed: the
// processor time of the server and of Holdfast, its sessions and statements. With
// -against it measures another program in turn.
func (b *bench) fixed(ctx context.Context) error {
	programs := []string{b.holdfast}
	if b.against != "" {
		programs = append(programs, b.against)
	}
	var all []repository
	for i, program := range programs {
		r, err := b.wholeNode(ctx, fmt.Sprintf("fixed%d", i), program)
		if err != nil {
			return err
		}
		for range 2 { // the second finds out what it may take over
			if _, err := execute(ctx, r.command("backup")); err != nil {
				return err
			}
		}
		all = append(all, r)
	}
	for i, r := range all {
		of := ""
		if i > 0 {
			of = ", the other program"
		}
		sessions, statements, err := b.counted(ctx, func() error {
			_, err := execute(ctx, r.command("backup"))
			return err
		})
		if err != nil {
			return err
		}
		b.results.add("nothing changed: sessions"+of, nil, float64(len(sessions)))
		b.results.add("nothing changed: statements"+of, nil, float64(statements))
		slices.Sort(sessions)
		b.note("sessions%s: %s", of, strings.Join(sessions, ", "))
	}
	for range b.rounds {
		var took []sample
		for _, r := range all {
			s, err := b.measured(ctx, func(ctx context.Context) (sample, error) { return execute(ctx, r.command("backup")) })
			if err != nil {
				return err
			}
			took = append(took, s)
		}
		b.noteSample("nothing changed", took[0])
		if len(took) > 1 {
			b.noteSample("nothing changed, the other program", took[1])
			compare := func(what string, one, other time.Duration) {
				b.results.add("nothing changed: "+what+", of the other program's", nil, ratio(one, other))
			}
			compare("the server's processor time", took[0].server, took[1].server)
			compare("processor time", took[0].cpu, took[1].cpu)
			compare("time", took[0].wall, took[1].wall)
		}
	}
	for _, r := range all {
		if err := r.remove(); err != nil {
			return err
		}
	}
	return nil
}

// wholeNode sets a program up to back up both databases of the node.
func (b *bench) wholeNode(ctx context.Context, name, program string) (repository, error) {
	other := *b
	other.holdfast = program
	return other.newRepository(ctx, name, b.node.ParticipantDSN(), clientsOf(b),
		"--database", "validator="+b.node.ValidatorDSN())
}

// counted says which sessions the server begins meanwhile, by the names of their
// applications, and how many statements they send.
func (b *bench) counted(ctx context.Context, run func() error) (sessions []string, statements int, err error) {
	all := map[string]string{"on": "all", "off": "none"}
	logging := func(on string) error {
		for _, sql := range []string{
			"ALTER SYSTEM SET log_connections = " + on,
			"ALTER SYSTEM SET log_statement = '" + all[on] + "'",
			"SELECT pg_reload_conf()",
		} {
			if err := b.node.Participant.Exec(ctx, "postgres", sql); err != nil {
				return err
			}
		}
		time.Sleep(time.Second) // until all processes know
		return nil
	}
	if err := logging("on"); err != nil {
		return nil, 0, err
	}
	from := len(b.node.Participant.Log())
	if err := run(); err != nil {
		return nil, 0, err
	}
	for line := range strings.Lines(b.node.Participant.Log()[from:]) {
		if _, rest, ok := strings.Cut(line, "connection authorized:"); ok {
			_, application, _ := strings.Cut(strings.TrimSpace(rest), "application_name=")
			_, database, _ := strings.Cut(rest, "database=")
			database, _, _ = strings.Cut(database, " ")
			sessions = append(sessions, database+": "+application)
		}
		if strings.Contains(line, "LOG:  statement:") || strings.Contains(line, "LOG:  execute ") {
			statements++
		}
	}
	return sessions, statements, logging("off")
}
