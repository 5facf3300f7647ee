package content

// looksElsewhere selects the CHECKs whose value may depend on more than the row:
// they call what is not immutable, or what somebody wrote in a language in which
// a function can read tables, whatever it says of itself.
const looksElsewhere = `(k.conbin::text LIKE '%{SQLVALUEFUNCTION%' OR EXISTS (
		SELECT FROM regexp_matches(k.conbin::text, ':(?:opfuncid|funcid) (\d+)', 'g') f
		JOIN pg_proc p ON p.oid = f[1]::oid JOIN pg_language l ON l.oid = p.prolang
		WHERE p.provolatile <> 'i' OR l.lanname NOT IN ('internal', 'c')))`

// ChecksElsewhere selects them, as a session without a search path prints them:
// whether it is inherited, what it is on, its name, definition and comment. A
// restore puts them in place behind all rows.
const ChecksElsewhere = `SELECT k.coninhcount > 0,
		CASE WHEN k.contypid <> 0 THEN 'DOMAIN ' || format('%I.%I', tn.nspname, t.typname)
			ELSE 'TABLE ' || format('%I.%I', cn.nspname, c.relname) END,
		k.conname::text, pg_get_constraintdef(k.oid), coalesce(obj_description(k.oid, 'pg_constraint'), '')
	FROM pg_constraint k
	LEFT JOIN pg_class c ON c.oid = k.conrelid LEFT JOIN pg_namespace cn ON cn.oid = c.relnamespace
	LEFT JOIN pg_type t ON t.oid = k.contypid LEFT JOIN pg_namespace tn ON tn.oid = t.typnamespace
	WHERE k.contype = 'c' AND k.convalidated AND (c.relkind IN ('r', 'p') OR k.contypid <> 0)
	AND coalesce(cn.nspname, tn.nspname) <> 'information_schema' AND coalesce(cn.nspname, tn.nspname) !~ '^pg_'
	AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.deptype = 'e'
		AND (d.classid, d.objid) IN (('pg_class'::regclass, k.conrelid), ('pg_type'::regclass, k.contypid)))
	AND ` + looksElsewhere + ` ORDER BY 2, 3`

// DropPolicies drops every row security policy, of extensions' tables too:
// pg_dump writes those that CREATE EXTENSION makes.
const DropPolicies = `DO $$DECLARE p record; BEGIN
	FOR p IN SELECT polname, polrelid::pg_catalog.regclass AS t FROM pg_catalog.pg_policy
			JOIN pg_catalog.pg_class c ON c.oid = polrelid WHERE pg_catalog.pg_has_role(c.relowner, 'USAGE') LOOP
		EXECUTE pg_catalog.format('DROP POLICY %I ON %s', p.polname, p.t);
	END LOOP;
END$$`
