package postgres

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"holdfast"
	"holdfast/content"
	"holdfast/step"
)

// globalsSQL writes what a schema dump leaves out: the roles that the
// database's objects name, without passwords, the settings of the database and
// of roles in it, who may connect to it, and its comment, its connection limit
// and the like. One statement a line.
func globalsSQL(ctx context.Context, q querier, d holdfast.Database) (string, error) {
	var b strings.Builder
	b.WriteString("-- Roles that this database's objects belong to or are granted to, without passwords.\n")
	for _, role := range d.Roles {
		ident := pgx.Identifier{role}.Sanitize()
		fmt.Fprintf(&b,
			"DO $do$ BEGIN CREATE ROLE %s NOLOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $do$;\n", ident)
	}
	b.WriteString("-- Settings of the database itself, and of roles in it.\n")
	settings, err := databaseSettings(ctx, q, d)
	if err != nil {
		return "", err
	}
	grants, err := databaseGrants(ctx, q, d)
	if err != nil {
		return "", err
	}
	own, err := databaseProperties(ctx, q, d)
	if err != nil {
		return "", err
	}
	for _, s := range slices.Concat(settings, grants, own) {
		b.WriteString(s + ";\n")
	}
	return b.String(), nil
}

// ofDatabase picks from the globals what concerns the database itself. What is
// granted to missing roles is left out, and foreign lists what no dump writes.
func ofDatabase(text, database string, missing []string) (own []content.Global, foreign []string) {
	own, foreign = content.ParseGlobals(text, database)
	return slices.DeleteFunc(own, func(g content.Global) bool {
		return g.Kind == content.Grant && slices.Contains(missing, g.Role)
	}), foreign
}

// databaseSettings reads what ALTER DATABASE ... SET and ALTER ROLE ... IN
// DATABASE ... SET have set.
func databaseSettings(ctx context.Context, q querier, d holdfast.Database) ([]string, error) {
	rows, err := q.Query(ctx, `SELECT coalesce(r.rolname::text, ''), unnest(s.setconfig) FROM pg_db_role_setting s
		JOIN pg_database d ON d.oid = s.setdatabase LEFT JOIN pg_roles r ON r.oid = s.setrole
		WHERE d.datname = current_database() ORDER BY 1`)
	if err != nil {
		return nil, err
	}
	var out []string
	var role, pair string
	_, err = pgx.ForEachRow(rows, []any{&role, &pair}, func() error {
		name, value, _ := strings.Cut(pair, "=")
		// Settings that hold lists are stored quoted already.
		if !lists[strings.ToLower(name)] {
			value = literal(value)
		}
		whose := "ALTER"
		if role != "" {
			whose = "ALTER ROLE " + pgx.Identifier{role}.Sanitize() + " IN"
		}
		out = append(out, fmt.Sprintf("%s DATABASE %s SET %s TO %s", whose, pgx.Identifier{d.Name}.Sanitize(),
			pgx.Identifier(strings.Split(name, ".")).Sanitize(), value))
		return nil
	})
	return out, err
}

// databaseGrants reads who may do what with the database, unless that is as
// Postgres has it by default.
func databaseGrants(ctx context.Context, q querier, d holdfast.Database) ([]string, error) {
	rows, err := q.Query(ctx,
		`SELECT CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END, a.privilege_type, a.is_grantable
		FROM pg_database d CROSS JOIN LATERAL aclexplode(d.datacl) a
		WHERE d.datname = current_database() AND a.grantee <> d.datdba ORDER BY 1, 2`)
	if err != nil {
		return nil, err
	}
	ident := pgx.Identifier{d.Name}.Sanitize()
	out := []string{"REVOKE ALL ON DATABASE " + ident + " FROM PUBLIC"}
	var grantee, privilege string
	var grantable bool
	if _, err := pgx.ForEachRow(rows, []any{&grantee, &privilege, &grantable}, func() error {
		grant := fmt.Sprintf("GRANT %s ON DATABASE %s TO %s", privilege, ident, grantee)
		if grantable {
			grant += " WITH GRANT OPTION"
		}
		out = append(out, grant)
		return nil
	}); err != nil {
		return nil, err
	}
	var changed bool
	err = q.QueryRow(ctx,
		`SELECT datacl IS NOT NULL AND
			(SELECT array_agg(a::text ORDER BY a::text) FROM unnest(datacl) a) IS DISTINCT FROM
			(SELECT array_agg(a::text ORDER BY a::text) FROM unnest(acldefault('d', datdba)) a)
		FROM pg_database WHERE datname = current_database()`).Scan(&changed)
	if !changed {
		return nil, err
	}
	return out, err
}

// databaseProperties reads what else belongs to a database and to nothing in
// it. A label of a restore is not the operator's comment.
func databaseProperties(ctx context.Context, q querier, d holdfast.Database) ([]string, error) {
	var limit int
	var template, closed bool
	var comment string
	err := q.QueryRow(ctx, `SELECT datconnlimit, datistemplate, NOT datallowconn,
		coalesce(shobj_description(oid, 'pg_database'), '') FROM pg_database WHERE datname = current_database()`).
		Scan(&limit, &template, &closed, &comment)
	if err != nil {
		return nil, err
	}
	ident := pgx.Identifier{d.Name}.Sanitize()
	var out []string
	if own := step.OwnComment(comment); own != "" {
		out = append(out, "COMMENT ON DATABASE "+ident+" IS "+literal(own))
	}
	if template {
		out = append(out, "ALTER DATABASE "+ident+" IS_TEMPLATE true")
	}
	// Whoever applies these in their order is still let in.
	if limit >= 0 {
		out = append(out, fmt.Sprintf("ALTER DATABASE %s CONNECTION LIMIT %d", ident, limit))
	}
	if closed {
		out = append(out, "ALTER DATABASE "+ident+" ALLOW_CONNECTIONS false")
	}
	return out, nil
}

// literal quotes a value for SQL, on one line.
func literal(value string) string {
	quoted := "'" + strings.NewReplacer("'", "''", `\`, `\\`, "\n", `\n`, "\r", `\r`).Replace(value) + "'"
	if strings.Contains(quoted, `\`) {
		return "E" + quoted
	}
	return quoted
}

var lists = map[string]bool{
	"search_path":               true,
	"temp_tablespaces":          true,
	"session_preload_libraries": true,
	"shared_preload_libraries":  true,
	"local_preload_libraries":   true,
	"unix_socket_directories":   true,
}
