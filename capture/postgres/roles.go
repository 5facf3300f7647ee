package postgres

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"holdfast"
	"holdfast/target"
)

// roles looks at the roles that the capture names, and at whether its objects
// can belong to whom they did, unless that is not wanted. Roles themselves are not part of a capture: they belong to the server,
// with passwords and memberships that no database has.
func (l Loader) roles(ctx context.Context, conn *pgx.Conn, c holdfast.Part, p *target.Compatibility) error {
	// To give an object to a role takes the right to become it, which since
	// Postgres 16 is more than to be its member.
	right := "MEMBER"
	if p.Server.Major() >= 16 {
		right = "SET"
	}
	owners := c.Database.OwnersWithout(p.Without)
	if owners == nil {
		owners = c.Database.Roles // a set that does not tell the two apart
	}
	rows, err := conn.Query(ctx,
		`SELECT w.role, r.oid IS NULL FROM unnest($1::text[]) AS w(role) LEFT JOIN pg_roles r ON r.rolname = w.role
		WHERE r.oid IS NULL OR w.role = ANY ($2) AND NOT pg_has_role(current_user, r.oid, $3) ORDER BY 1`,
		c.Database.Roles, owners, right)
	if err != nil {
		return err
	}
	var role string
	var absent bool
	var toMake, toGet []string
	if _, err := pgx.ForEachRow(rows, []any{&role, &absent}, func() error {
		ident := pgx.Identifier{role}.Sanitize()
		if absent {
			p.MissingRoles = append(p.MissingRoles, role)
		}
		if !slices.Contains(owners, role) {
			return nil
		}
		p.UnfitOwners = append(p.UnfitOwners, role)
		if absent {
			toMake = append(toMake, "CREATE ROLE "+ident+" LOGIN")
		} else {
			toGet = append(toGet, "GRANT "+ident+" TO "+pgx.Identifier{conn.Config().User}.Sanitize())
		}
		return nil
	}); err != nil {
		return err
	}
	p.KeepOwners = !l.Options.NoOwner
	if p.KeepOwners && len(p.UnfitOwners) > 0 {
		p.Differences = append(p.Differences, l.missingRights(c, toMake, toGet))
		return nil
	}
	var policies []target.Difference
	p.LostGrants, policies = lostGrants(c, p.MissingRoles, l.Address.Where())
	p.Differences = append(p.Differences, policies...)
	return nil
}

// missingRights says what to type.
func (l Loader) missingRights(c holdfast.Part, toMake, toGet []string) target.Difference {
	p := target.Difference{
		Blocks: true,
		Why: "Its programs connect as that role and expect their tables to be its own. Roles belong to a server, " +
			"not to a set.",
	}
	where := l.Address.Where()
	switch {
	case len(toMake) > 0:
		p.What = fmt.Sprintf("the owner of %s is missing at %s", c.Component, where)
	default:
		p.What = fmt.Sprintf("the user of %s may not act for the owner of %s", where, c.Component)
	}
	p.Do = strings.Join(append(toMake, toGet...),
		"; ") + "; as a superuser there, or restore with --no-owner: everything then belongs to the connecting user."
	return p
}

// lostGrants says what is granted to roles that are not there. A row security policy
// for such a role cannot be made, and without it others would see what they
// must not, or nothing at all.
func lostGrants(c holdfast.Part, missing []string, where string) ([]holdfast.Grant, []target.Difference) {
	var out []holdfast.Grant
	var policies []target.Difference
	for _, g := range c.Database.Grants {
		if !slices.Contains(missing, g.Role) {
			continue
		}
		for _, object := range g.On {
			if strings.HasPrefix(object, "policy ") {
				policies = append(policies, target.Difference{
					Blocks: true,
					What: fmt.Sprintf("the row security %s of %s names role %s, which is missing at %s", object,
						c.Component, g.Role, where),
					Why: "A table without one of its policies shows its rows to the wrong roles.",
					Do:  "CREATE ROLE " + pgx.Identifier{g.Role}.Sanitize() + " there, then restore again.",
				})
			}
		}
		out = append(out, g)
	}
	if c.Database.Owners == nil { // which does not say what is granted either
		for _, role := range missing {
			out = append(out, holdfast.Grant{Role: role})
		}
	}
	return out, policies
}

// picksGrants says whether pg_restore must not grant by itself: it would end at
// the first role that is missing, and at what only a superuser may grant, and it
// keeps to itself what the server only warned about.
func (b *build) picksGrants() bool {
	return !b.super || !b.fit.KeepOwners || len(b.fit.MissingRoles) > 0
}

// grants grants what the capture had granted, except to roles that are missing.
// What the role of the restore may not grant is left out and reported.
func (b *build) grants(ctx context.Context, desk desk, schema string) error {
	if !b.picksGrants() {
		return nil
	}
	major := max(b.fit.Server.Major(), b.capture.Server.Major())
	var list, script bytes.Buffer
	if err := b.Tools.read(ctx, major, nil, &list, "the schema's list", "--list", schema); err != nil {
		return err
	}
	entries, err := desk.put(ctx, "schema.grants", strings.NewReader(grantEntries(leaveOutOfAll(list.String(), b.fit.Without))))
	if err != nil {
		return err
	}
	if err := b.Tools.read(ctx, major, nil, &script, "the schema's grants", "--use-list="+entries, "--file=-",
		schema); err != nil {
		return err
	}
	var warned error
	conn, err := b.connectWith(ctx, func(n *pgconn.Notice) {
		if n.Code == notGranted || n.Code == notRevoked {
			warned = (*pgconn.PgError)(n)
		}
	})
	if err != nil {
		return err
	}
	defer closeConn(conn)
	for _, statement := range granting(script.String(), b.fit, b.super) {
		warned = nil
		_, err := conn.Exec(ctx, statement)
		switch err = cmp.Or(err, warned); code(err) {
		case notAllowed, notGranted, notRevoked:
			b.Options.Events.Report(GrantLeftOut{b.capture.Component, statement, err})
			continue
		}
		granted := stop{kind: "ACL", Obstacle: holdfast.Obstacle{Object: "grant", Definition: statement}}
		if err := b.tried(err, granted); err != nil {
			return fmt.Errorf("grant (%s): %w", statement, err)
		}
	}
	return nil
}

// What the server says of a GRANT or REVOKE that does less than it says: an error
// to a role that has no right at all, a warning to one that may not pass its own on.
const (
	notAllowed = "42501"
	notRevoked = "01006"
	notGranted = "01007"
)

// grantEntries picks the grants from pg_restore's list of a dump's entries.
func grantEntries(list string) string {
	var out strings.Builder
	for _, line := range strings.SplitAfter(list, "\n") {
		fields := strings.Fields(line)
		if len(fields) > 4 && !strings.HasPrefix(line, ";") &&
			(fields[3] == "ACL" || fields[3] == "DEFAULT" && fields[4] == "ACL") {
			out.WriteString(line)
		}
	}
	return out.String()
}

// granting picks the statements of a script of grants that can be said: not
// those for roles that are missing. What others than the owner had granted is
// granted in his name only by a superuser, else in the owner's.
func granting(script string, fit target.Compatibility, super bool) []string {
	var out []string
	inName := false // of a grantor
	for _, s := range statements(script) {
		switch {
		case strings.HasPrefix(s, "SET SESSION AUTHORIZATION "):
			if inName = super &&
				!slices.Contains(fit.MissingRoles,
					unquote(strings.TrimPrefix(s, "SET SESSION AUTHORIZATION "))); inName {
				out = append(out, s)
			}
		case strings.HasPrefix(s, "RESET SESSION AUTHORIZATION"):
			if inName {
				out = append(out, s)
			}
			inName = false
		case strings.HasPrefix(s, "ALTER DEFAULT PRIVILEGES FOR ROLE "):
			// They are of what that role will make.
			role := unquote(strings.TrimPrefix(s, "ALTER DEFAULT PRIVILEGES FOR ROLE "))
			if !slices.Contains(fit.UnfitOwners, role) && !slices.Contains(fit.MissingRoles, grantee(s)) {
				out = append(out, s)
			}
		case strings.HasPrefix(s, "GRANT "), strings.HasPrefix(s, "REVOKE "):
			if !slices.Contains(fit.MissingRoles, grantee(s)) {
				out = append(out, s)
			}
		}
	}
	return out
}

// grantee is the role that a GRANT or REVOKE names last.
func grantee(statement string) string {
	masked := unquoted(statement)
	at := 0
	for _, word := range []string{" TO ", " FROM "} {
		if i := strings.LastIndex(masked, word); i >= 0 {
			at = max(at, i+len(word))
		}
	}
	return unquote(statement[at:])
}

// unquote reads the identifier that text begins with.
func unquote(text string) string {
	name, _ := identifier(text)
	return name
}

// identifier reads the identifier that text begins with, and returns what is
// behind it.
func identifier(text string) (name, rest string) {
	if !strings.HasPrefix(text, `"`) {
		end := strings.IndexAny(text, " .;\n")
		if end < 0 {
			end = len(text)
		}
		return text[:end], text[end:]
	}
	var b strings.Builder
	for rest = text; strings.HasPrefix(rest, `"`); {
		var part string
		part, rest, _ = strings.Cut(rest[1:], `"`)
		b.WriteString(part)
		if strings.HasPrefix(rest, `"`) {
			b.WriteByte('"')
		}
	}
	return b.String(), rest
}

// unquoted is text with everything between double quotes made blank, at the
// same length.
func unquoted(text string) string {
	out := []byte(text)
	inside := false
	for i, c := range out {
		if c == '"' {
			inside = !inside
		} else if inside {
			out[i] = '_'
		}
	}
	return string(out)
}

// statements cuts a script of pg_restore's into statements that hold no
// strings, as grants do, and drops its comments.
func statements(script string) []string {
	var out []string
	var now strings.Builder
	for _, line := range strings.Split(script, "\n") {
		if now.Len() == 0 && (line == "" || strings.HasPrefix(line, "--")) {
			continue
		}
		if now.Len() > 0 {
			now.WriteByte('\n')
		}
		now.WriteString(line)
		if s := now.String(); strings.HasSuffix(unquoted(s), ";") {
			out = append(out, strings.TrimSuffix(s, ";"))
			now.Reset()
		}
	}
	return out
}
