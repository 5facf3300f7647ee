package export

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"holdfast"
	"holdfast/content"
)

// dialect writes SQL for one capture. Statements and rows share the encoding
// of the database they came from. The manifest's names are UTF-8, so in any
// other encoding the characters beyond ASCII are written as Unicode escapes.
type dialect struct{ encoding string }

func dialectOf(c holdfast.Part) dialect { return dialect{c.Database.Encoding} }

// ident quotes a name.
func (d dialect) ident(name string) string { return d.quoted(name, '"') }

// literal quotes a text.
func (d dialect) literal(text string) string { return d.quoted(text, '\'') }

func (d dialect) table(schema, name string) string { return d.ident(schema) + "." + d.ident(name) }

// regclass is the name of a relation as a value.
func (d dialect) regclass(schema, name string) string {
	return d.literal(plain(schema)+"."+plain(name)) + "::pg_catalog.regclass"
}

func plain(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

func (d dialect) quoted(s string, quote rune) string {
	escape := d.encoding != "UTF8" && d.encoding != "SQL_ASCII" &&
		strings.ContainsFunc(s, func(r rune) bool { return r >= utf8.RuneSelf })
	var b strings.Builder
	if escape {
		b.WriteString("U&")
	}
	b.WriteRune(quote)
	for _, r := range s {
		switch {
		case r == 0: // no name and no setting has it
		case r == quote:
			b.WriteRune(quote)
			b.WriteRune(quote)
		case escape && r == '\\':
			b.WriteString(`\\`)
		case escape && r >= utf8.RuneSelf:
			fmt.Fprintf(&b, `\+%06x`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteRune(quote)
	return b.String()
}

// do is an anonymous block.
func (d dialect) do(body string) string { return "DO " + d.literal(body) + ";\n" }

// pins are the settings under which the rows were written, and those that keep
// a server's or a database's own settings from getting in the way.
func (d dialect) pins() string {
	return "SET standard_conforming_strings = on;\n" +
		"SET client_encoding = " + d.literal(d.encoding) + ";\n" +
		`SET datestyle = 'ISO, YMD';
SET intervalstyle = 'postgres';
SET timezone = 'UTC';
SET bytea_output = 'hex';
SET extra_float_digits = 3;
SET lc_monetary = 'C';
SET xmloption = 'content';
SET search_path = '';
SET row_security = off;
SET default_transaction_read_only = off;
SET check_function_bodies = off;
SET client_min_messages = 'warning';
SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
`
}

// check refuses a database that the capture must not or cannot go into.
func (d dialect) check(c holdfast.Part) string {
	return d.do(`DECLARE found text;
BEGIN
  IF current_setting('server_version_num')::integer / 10000 < ` + fmt.Sprint(c.Server.Major()) + ` THEN
    RAISE EXCEPTION 'this server is Postgres %; the dump is of version ` + fmt.Sprint(c.Server.Major()) +
		` and needs that or a later one', current_setting('server_version');
  END IF;
  IF current_setting('server_encoding') <> ` + d.literal(d.encoding) + ` THEN
    RAISE EXCEPTION 'database % has the encoding %; the dump is in %', current_database(), current_setting('server_encoding'), ` + d.literal(d.encoding) + `;
  END IF;
  SELECT what INTO found FROM (
    SELECT 'schema ' || nspname AS what FROM pg_namespace WHERE oid >= 16384 AND nspname !~ '^pg_'
    UNION ALL SELECT 'extension ' || extname FROM pg_extension WHERE oid >= 16384
    UNION ALL SELECT 'relation ' || relname FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace WHERE pg_class.oid >= 16384 AND nspname !~ '^pg_'
    UNION ALL SELECT 'function ' || proname FROM pg_proc JOIN pg_namespace n ON n.oid = pronamespace WHERE pg_proc.oid >= 16384 AND nspname !~ '^pg_'
    UNION ALL SELECT 'type ' || typname FROM pg_type JOIN pg_namespace n ON n.oid = typnamespace WHERE pg_type.oid >= 16384 AND nspname !~ '^pg_'
    UNION ALL SELECT 'event trigger ' || evtname FROM pg_event_trigger
    UNION ALL SELECT 'publication ' || pubname FROM pg_publication
    UNION ALL SELECT 'large object ' || oid FROM pg_largeobject_metadata
  ) AS o LIMIT 1;
  IF found IS NOT NULL THEN
    RAISE EXCEPTION 'database % is not empty: it has %', current_database(), found;
  END IF;
END`)
}

// missingRoles selects the roles that the capture's objects name and that are
// not there, or for which the user may not act.
func (d dialect) missingRoles(c holdfast.Part) string {
	roles := make([]string, len(c.Database.Roles))
	for i, r := range c.Database.Roles {
		roles[i] = d.literal(r)
	}
	return "SELECT quote_ident(w.role) FROM unnest(ARRAY[" + strings.Join(roles,
		", ") + `]::pg_catalog.text[]) AS w(role)
  LEFT JOIN pg_catalog.pg_roles r ON r.rolname = w.role
  WHERE r.oid IS NULL OR NOT pg_catalog.pg_has_role(current_user, r.oid, 'MEMBER') ORDER BY 1`
}

// checkRoles refuses a server on which a role is missing.
func (d dialect) checkRoles(c holdfast.Part) string {
	return d.do(`DECLARE missing text;
BEGIN
  SELECT string_agg(role, ', ') INTO missing FROM (` + d.missingRoles(c) + `) AS m(role);
  IF missing IS NOT NULL THEN
    RAISE EXCEPTION 'roles are missing, or this user may not act for them: %', missing;
  END IF;
END`)
}

// settings applies what ALTER DATABASE had set for the old database to the one
// connected to, whatever its name. A setting that the server or the user does
// not allow is reported and passed over.
func (d dialect) settings(c holdfast.Part, globals string) string {
	var b strings.Builder
	own, _ := content.ParseGlobals(globals, c.Database.Name)
	for _, g := range own {
		if g.Kind != content.Setting || g.Role != "" {
			continue
		}
		setting := plain(g.Setting) + " TO " + g.Value
		b.WriteString(d.do(`BEGIN
  EXECUTE format('ALTER DATABASE %I SET ', current_database()) || ` + d.literal(setting) + `;
EXCEPTION WHEN insufficient_privilege OR undefined_object OR invalid_parameter_value THEN
  RAISE WARNING 'a setting of the database was passed over: %', SQLERRM;
END`))
	}
	return b.String()
}

// copyIn is the statement that reads a table's rows.
func (d dialect) copyIn(t content.Table, format string) string {
	into := d.table(t.Schema, t.Name)
	if len(t.Columns) > 0 {
		columns := make([]string, len(t.Columns))
		for i, c := range t.Columns {
			columns[i] = d.ident(c)
		}
		into += " (" + strings.Join(columns, ", ") + ")"
	}
	if format == content.BinaryFormat {
		return "COPY " + into + " FROM STDIN (FORMAT binary);\n"
	}
	return "COPY " + into + " FROM STDIN;\n"
}

// sequences puts every sequence where it was.
func (d dialect) sequences(rows content.Rows) string {
	var b strings.Builder
	for _, s := range rows.Sequences {
		fmt.Fprintf(&b, "DO %s;\n",
			d.literal(fmt.Sprintf("BEGIN PERFORM pg_catalog.setval(%s, %d, %t); END", d.regclass(s.Schema, s.Name),
				s.Last, s.Called)))
	}
	return b.String()
}

// aside takes the CHECKs out that may look into tables whose rows are not there
// yet, and leaves in a setting of the session what puts them back, the last one
// first, and validates them as the database's own programs find names. Postgres
// does not validate one of a domain that another type is made of: it stays.
func (d dialect) aside(c holdfast.Part, globals string) string {
	path := searchPath(c, globals)
	return d.do(`DECLARE
  held record; stuck text[] := '{}'; put text := ''; valid text := ''; n integer; add text; validate text;
BEGIN
  LOOP
    n := 0;
    FOR held IN SELECT * FROM (` + content.ChecksElsewhere + `) AS c(inherited, owner, name, definition, comment)
        WHERE NOT inherited AND owner || ' ' || name <> ALL (stuck) ORDER BY owner, name LOOP
      add := format('ALTER %s ADD CONSTRAINT %I %s NOT VALID;', held.owner, held.name, held.definition);
      validate := format('ALTER %s VALIDATE CONSTRAINT %I;', held.owner, held.name);
      IF held.owner LIKE 'DOMAIN %' THEN
        BEGIN
          EXECUTE format('ALTER %s DROP CONSTRAINT %I;', held.owner, held.name) || add;
          SET LOCAL search_path TO ` + path + `;
          EXECUTE validate;
          SET LOCAL search_path TO '';
        EXCEPTION WHEN OTHERS THEN
          stuck := stuck || (held.owner || ' ' || held.name);
          CONTINUE;
        END;
      END IF;
      EXECUTE format('ALTER %s DROP CONSTRAINT %I', held.owner, held.name);
      n := n + 1;
      IF held.comment <> '' THEN
        add := add || format('COMMENT ON CONSTRAINT %I ON %s IS %L;', held.name,
          CASE WHEN held.owner LIKE 'DOMAIN %' THEN held.owner ELSE substr(held.owner, 7) END, held.comment);
      END IF;
      put := add || E'\n' || put;
      valid := validate || E'\n' || valid;
    END LOOP;
    EXIT WHEN n = 0;
  END LOOP;
  PERFORM set_config('holdfast.aside', put || ` + plainLiteral("SET search_path TO "+path+";\n") + ` || valid, false);
END`)
}

// putBack says what aside has left.
func (d dialect) putBack() string {
	return d.do("BEGIN EXECUTE current_setting('holdfast.aside'); END")
}

func plainLiteral(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }

// searchPath is that of the database's own programs.
func searchPath(c holdfast.Part, globals string) string {
	path := `"$user", public` // as Postgres has it
	own, _ := content.ParseGlobals(globals, c.Database.Name)
	for _, g := range own {
		if g.Kind == content.Setting && g.Role == "" && g.Setting == "search_path" {
			path = g.Value
		}
	}
	return path
}

// finish fills the materialized views and gathers statistics.
func (d dialect) finish(rows content.Rows) string {
	var b strings.Builder
	for _, v := range rows.Views {
		fmt.Fprintf(&b, "REFRESH MATERIALIZED VIEW %s;\n", d.table(v.Schema, v.Name))
	}
	b.WriteString("ANALYZE;\n")
	return b.String()
}

// count prints each table's rows as rowLines has them.
func (d dialect) count(rows content.Rows) string {
	var b strings.Builder
	for _, t := range rows.Tables {
		fmt.Fprintf(&b, "SELECT pg_catalog.count(*)::pg_catalog.text || ' %s' FROM ONLY %s %s;\n", tableLine(t),
			d.table(t.Schema, t.Name), t.Condition)
	}
	return b.String()
}

// rowLines says how many rows each table has to have.
func rowLines(rows content.Rows) string {
	var b strings.Builder
	for _, t := range rows.Tables {
		fmt.Fprintf(&b, "%d %s\n", t.Rows, tableLine(t))
	}
	return b.String()
}

// tableLine is a table's name on one line, without anything that SQL, a shell
// or a terminal could take for something else: other characters than letters,
// digits, dash and underscore are percent-encoded.
func tableLine(t content.Table) string { return percent(t.Schema) + "." + percent(t.Name) }

func percent(name string) string {
	var b strings.Builder
	for i := range len(name) {
		c := name[i]
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_' {
			b.WriteByte(c)
			continue
		}
		fmt.Fprintf(&b, "%%%02X", c)
	}
	return b.String()
}
