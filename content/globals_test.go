package content

import (
	"slices"
	"strings"
	"testing"
)

// What a dump writes is read back, for a database of another name.
func TestGlobalsOfADump(t *testing.T) {
	globals, foreign := ParseGlobals(`-- Roles that this database's objects belong to; or are granted to.
DO $do$ BEGIN CREATE ROLE "app ""reader" NOLOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $do$;
ALTER DATABASE "old; db" SET "search_path" TO "$user", public, "a;b";
ALTER DATABASE "old; db" SET "my"."x" TO E'a\\b\nc'';';
ALTER DATABASE "old; db" SET "work_mem" TO 'several
lines; of it';
ALTER ROLE "app reader" IN DATABASE "old; db" SET "work_mem" TO '7MB';
REVOKE ALL ON DATABASE "old; db" FROM PUBLIC;
GRANT CONNECT ON DATABASE "old; db" TO "app reader" WITH GRANT OPTION;
GRANT TEMPORARY ON DATABASE "old; db" TO reader;
GRANT CREATE ON DATABASE "old; db" TO PUBLIC;
COMMENT ON DATABASE "old; db" IS 'it''s; ours';
ALTER DATABASE "old; db" IS_TEMPLATE true;
ALTER DATABASE "old; db" CONNECTION LIMIT 3;
ALTER DATABASE "old; db" ALLOW_CONNECTIONS false;
`, "old; db")
	if len(foreign) > 0 || len(globals) != 12 {
		t.Fatalf("%d globals, foreign %q", len(globals), foreign)
	}
	if g := globals[0]; g.On(`new"1`) != `ALTER DATABASE "new""1" SET "search_path" TO "$user" , public , "a;b"` ||
		g.Setting != "search_path" || g.Value != `"$user", public, "a;b"` {
		t.Errorf("%+v: %s", g, g.On(`new"1`))
	}
	if g := globals[5]; g.Kind != Grant || g.Role != "app reader" {
		t.Errorf("%+v", g)
	}
	if g := globals[7]; g.Role != "" || g.Kind != Grant {
		t.Errorf("%+v", g)
	}
}

// Whatever else stands in the file of a set that somebody changed is foreign.
func TestGlobalsOfAnAttacker(t *testing.T) {
	for _, sql := range []string{
		`ALTER ROLE postgres SUPERUSER`,
		`ALTER ROLE evil SUPERUSER; COMMENT ON DATABASE "db" IS 'x'`,
		`COMMENT ON DATABASE "db" IS 'x'; DROP DATABASE live`,
		`COMMENT ON DATABASE "db" IS 'x'` + "\n" + `DROP DATABASE live`,
		`ALTER DATABASE "db" SET a TO 'x' ; ALTER SYSTEM SET a TO 'y'`,
		`ALTER DATABASE "db" SET a TO 'x\'' ; DROP DATABASE live; --'`,
		`ALTER DATABASE "db" SET a TO E'x\''; DROP DATABASE live; --'`,
		`ALTER DATABASE "db" SET a TO 'x' RESET ALL`,
		`ALTER DATABASE "db" OWNER TO evil`,
		`ALTER DATABASE "db" RENAME TO live`,
		`ALTER DATABASE "live" SET a TO 'x'`,
		`ALTER DATABASE db.live SET a TO 'x'`,
		`GRANT CONNECT ON DATABASE "db", "live" TO PUBLIC`,
		`GRANT evil TO postgres`,
		`GRANT ALL ON DATABASE "db" TO evil`,
		`GRANT pg_execute_server_program TO evil /* ON DATABASE "db" TO */`,
		`ALTER ROLE evil IN DATABASE "live" SET a TO 'x'`,
		`COMMENT ON DATABASE "db" IS 'x' || pg_read_file('/etc/passwd')`,
		`ALTER DATABASE "db" SET a TO (SELECT 1)`,
		`DO $do$ BEGIN CREATE ROLE x SUPERUSER; EXCEPTION WHEN duplicate_object THEN NULL; END $do$`,
		`DO $do$ BEGIN CREATE ROLE x NOLOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END; DROP DATABASE live $do$`,
		`DO $do$ BEGIN EXECUTE 'DROP DATABASE live'; END $do$`,
		`COPY (SELECT) TO PROGRAM 'id'`,
		`COMMENT ON DATABASE "db" IS 'never ended`,
		"COMMENT ON DATABASE \"db\" IS 'x\x00'",
		`SET ROLE evil`,
	} {
		globals, foreign := ParseGlobals(sql, "db")
		if len(foreign) == 0 {
			t.Errorf("%s: nothing foreign, %d globals", sql, len(globals))
		}
		for _, g := range globals {
			if s := statements(g.On("db")); len(s) != 1 || strings.Contains(g.On("db"), "live") {
				t.Errorf("%s: executes %s", sql, g.On("db"))
			}
		}
	}
}

// Whatever a file says, a global is one statement about its own database.
func FuzzGlobals(f *testing.F) {
	f.Add(`ALTER DATABASE "db" SET "a"."b" TO E'x\'', "y"; GRANT CONNECT ON DATABASE db TO PUBLIC`)
	f.Add(`COMMENT ON DATABASE "db" IS 'x';--` + "\n" + `ALTER ROLE r IN DATABASE db SET a TO -1`)
	f.Fuzz(func(t *testing.T, sql string) {
		globals, _ := ParseGlobals(sql, "db")
		for _, g := range globals {
			again, foreign := ParseGlobals(g.On("other"), "other")
			if len(again) != 1 || len(foreign) > 0 || again[0].Kind != g.Kind ||
				!slices.Contains([]GlobalKind{Setting, Grant, Revoke, Comment, Property}, g.Kind) {
				t.Errorf("%q: %q is read as %+v, %q", sql, g.On("other"), again, foreign)
			}
		}
	})
}
