package postgres

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"holdfast"
	"holdfast/target"
)

// has reads what the server has of what a capture needs.
func (l Loader) has(ctx context.Context, conn *pgx.Conn, c holdfast.Part) (target.Has, error) {
	h := target.Has{Where: l.Address.Where()}
	var err error
	if h.Server, err = server(ctx, conn); err != nil {
		return h, err
	}
	if err := conn.QueryRow(ctx, `SELECT current_user::text, rolsuper, rolcreatedb, coalesce((SELECT min(g.rolname)::text FROM pg_roles g
			WHERE g.rolname IN ('rds_superuser', 'cloudsqlsuperuser', 'alloydbsuperuser', 'azure_pg_admin') AND pg_has_role(current_user, g.oid, 'USAGE')), '')
		FROM pg_roles WHERE rolname = current_user`).Scan(&h.User, &h.Superuser, &h.CreateDB, &h.Managed); err != nil {
		return h, err
	}
	if h.Superusers, err = values[string](ctx, conn, `SELECT rolname::text FROM pg_roles WHERE rolsuper`); err != nil {
		return h, err
	}
	if h.Limits, err = limits(ctx, conn); err != nil {
		return h, err
	}
	n := c.Database.Needs
	if n == nil {
		return h, nil
	}
	if err := available(ctx, conn, &h, n); err != nil {
		return h, err
	}
	h.Names = names(ctx, conn, n)
	if h.Parameters, err = parameters(ctx, conn, h, n.Settings); err != nil {
		return h, err
	}
	for _, locale := range n.Locales {
		h.Locales = append(h.Locales, tryLocale(ctx, conn, locale, c.Database))
	}
	return h, nil
}

// available reads which extensions can be made, and which libraries are loaded.
func available(ctx context.Context, conn *pgx.Conn, h *target.Has, n *holdfast.Needs) error {
	var names []string
	for _, e := range n.Extensions {
		names = append(names, e.Name)
	}
	rows, err := conn.Query(ctx, `SELECT a.name::text, a.default_version, array_agg(v.version), bool_or(v.version = a.default_version AND (NOT v.superuser OR v.trusted))
		FROM pg_available_extensions a JOIN pg_available_extension_versions v ON v.name = a.name
		WHERE a.name = ANY ($1::text[]) GROUP BY 1, 2`, names)
	if err != nil {
		return err
	}
	h.Extensions = map[string]target.Available{}
	var name string
	var a target.Available
	if _, err := pgx.ForEachRow(rows, []any{&name, &a.Default, &a.Versions, &a.Anybody}, func() error {
		h.Extensions[name] = a
		return nil
	}); err != nil {
		return err
	}
	list, err := values[string](ctx, conn, `SELECT library FROM `+preloaded+` l WHERE library <> ''`)
	if err != nil {
		return err
	}
	var seen bool
	if err := conn.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_settings WHERE name = 'shared_preload_libraries')`).Scan(&seen); err != nil {
		return err
	}
	h.Preloaded = holdfast.Unknown[[]string]("the role may not see it: GRANT pg_read_all_settings")
	if seen {
		h.Preloaded = holdfast.Known(list)
	}
	return nil
}

// names reads which databases the server binds extensions to. Some roles may not
// see it.
func names(ctx context.Context, conn *pgx.Conn, n *holdfast.Needs) map[string]holdfast.Observed[string] {
	out := map[string]holdfast.Observed[string]{}
	for _, e := range n.Extensions {
		if parameter, is := target.Parameters()[e.Name]; is {
			var database string
			err := conn.QueryRow(ctx, `SELECT coalesce(current_setting($1, true), '')`, parameter).Scan(&database)
			out[parameter] = holdfast.Observe(database, err)
		}
	}
	return out
}

// parameters reads which of the parameters there are, and may be set.
func parameters(
	ctx context.Context, conn *pgx.Conn, h target.Has, names []string,
) (map[string]target.Parameter, error) {
	settable := `false`
	if h.Server.Major() >= 15 {
		settable = `has_parameter_privilege(name, 'SET')`
	}
	rows, err := conn.Query(ctx, `SELECT lower(name), $2 OR context IN ('user', 'backend') OR `+settable+` FROM pg_settings
		WHERE lower(name) IN (SELECT lower(w) FROM unnest($1::text[]) w)`, names, h.Superuser)
	if err != nil {
		return nil, err
	}
	out := map[string]target.Parameter{}
	var name string
	var p target.Parameter
	_, err = pgx.ForEachRow(rows, []any{&name, &p.Settable}, func() error {
		out[name] = p
		return nil
	})
	return out, err
}

// tryLocale finds out whether the server can use a locale, and which version its
// rules have, by making a collation of it for the length of a transaction. What
// cannot be found out so is no difference.
func tryLocale(ctx context.Context, conn *pgx.Conn, l holdfast.Locale, d holdfast.Database) target.Locale {
	if l.Provider == "libc" && (l.Collate == "C" || l.Collate == "POSIX") {
		return target.Locale{}
	}
	if l.Collation != "" && !l.Made {
		return ofServer(ctx, conn, l, d)
	}
	sql := fmt.Sprintf("CREATE COLLATION pg_temp.holdfast_tried (provider = %s, locale = %s)", l.Provider, literal(l.Collate))
	if l.Provider == "libc" {
		sql = fmt.Sprintf("CREATE COLLATION pg_temp.holdfast_tried (provider = libc, lc_collate = %s, lc_ctype = %s)",
			literal(l.Collate), literal(l.CType))
	}
	tx, err := conn.Begin(ctx)
	if err != nil {
		return target.Locale{}
	}
	defer func() { _ = tx.Rollback(ctx) }()
	var encoding string
	if err := tx.QueryRow(ctx, `SHOW server_encoding`).Scan(&encoding); err != nil || encoding != d.Encoding {
		return target.Locale{} // the locale is one of another encoding
	}
	var out target.Locale
	if _, err := tx.Exec(ctx, sql); err != nil {
		switch code(err) {
		case "42501", "25006": // right, read only
		default:
			out.Refusal = err.Error()
		}
		return out
	}
	_ = tx.QueryRow(ctx, `SELECT coalesce(pg_collation_actual_version(oid), '') FROM pg_collation
		WHERE collname = 'holdfast_tried'`).Scan(&out.Version)
	return out
}

// ofServer looks for a collation that servers have by themselves.
func ofServer(ctx context.Context, conn *pgx.Conn, l holdfast.Locale, d holdfast.Database) target.Locale {
	var out target.Locale
	name := strings.Trim(strings.TrimPrefix(l.Collation, "pg_catalog."), `"`)
	rows, err := conn.Query(ctx, `SELECT coalesce(pg_collation_actual_version(oid), '') FROM pg_collation
		WHERE collname = $1 AND collnamespace = 'pg_catalog'::regnamespace AND collencoding IN (-1, pg_char_to_encoding($2))`,
		name, d.Encoding)
	if err != nil {
		return out
	}
	versions, err := pgx.CollectRows(rows, pgx.RowTo[string])
	switch {
	case err != nil:
	case len(versions) == 0:
		out.Refusal = "there is no collation " + l.Collation
	default:
		out.Version = versions[0]
	}
	return out
}
