package postgres_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"holdfast"
	"holdfast/capture/postgres"
	"holdfast/internal/splicetest"
)

// extension lays the files of an extension where the server looks for them, and
// returns its name: whoever else tests on this machine has one of another name.
func extension(t testing.TB, s *splicetest.Server, script string) string {
	t.Helper()
	name := fmt.Sprintf("hf_jobs_%d", os.Getpid())
	dir := filepath.Join(one[string](t, s.DSN("postgres"),
		`SELECT setting FROM pg_config() WHERE name = 'SHAREDIR'`), "extension")
	for file, text := range map[string]string{
		name + ".control":  "default_version = '1.0'\nrelocatable = false\n",
		name + "--1.0.sql": script,
	} {
		path := filepath.Join(dir, file)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = os.Remove(path) })
	}
	return name
}

// packaged is a version of Postgres whose directories belong to whoever installed
// the test bed; "" for the default one.
func packaged() string {
	if has("16") {
		return "16"
	}
	return ""
}

// jobs is an extension as pg_cron is one: tables and a sequence are configuration,
// other tables are not. A second table numbers its rows by a sequence that nobody
// declares, and begins with a row.
const jobs = `
	CREATE SEQUENCE hf_jobid;
	CREATE TABLE hf_job (id bigint PRIMARY KEY DEFAULT nextval('hf_jobid'), name text);
	CREATE TABLE hf_owner (id serial PRIMARY KEY, name text);
	CREATE TABLE hf_step (id bigint GENERATED ALWAYS AS IDENTITY, name text);
	CREATE TABLE hf_run (id bigserial, name text);
	INSERT INTO hf_owner (name) VALUES ('made by the extension');
	SELECT pg_extension_config_dump('hf_job', '');
	SELECT pg_extension_config_dump('hf_jobid', '');
	SELECT pg_extension_config_dump('hf_owner', '');
	SELECT pg_extension_config_dump('hf_step', 'WHERE name <> ''own''');
	INSERT INTO hf_step (name) VALUES ('own');`

// The next rows of an extension's configuration get numbers that nobody has, and
// rows that the extension makes again do not stand in the way.
func TestTheConfigurationOfAnExtensionGoesOn(t *testing.T) {
	version := packaged()
	server := splicetest.NewServer(t, version)
	name := extension(t, server, jobs)
	exec1(t, server.DSN("postgres"), `CREATE DATABASE app`)
	exec1(t, server.DSN("app"), `CREATE EXTENSION `+name+`; INSERT INTO hf_job (name) VALUES ('a'), ('b'), ('c'); DELETE FROM hf_job WHERE id = 2;
		INSERT INTO hf_owner (name) VALUES ('later'); INSERT INTO hf_step (name) VALUES ('first'), ('second');
		INSERT INTO hf_run (name) VALUES ('not kept')`)
	c, files := dump(t, version, source{"app", holdfast.App, server.DSN("app")}, postgres.Options{})
	var names []string
	for _, s := range rowsOf(c).Sequences {
		if s.Extension != name {
			t.Errorf("%+v", s)
		}
		names = append(names, s.Name)
	}
	if want := []string{"hf_jobid", "hf_owner_id_seq", "hf_step_id_seq"}; !slices.Equal(names, want) {
		t.Errorf("sequences %v, want %v", names, want)
	}
	e := c.Database.Needs.Extensions
	if len(e) != 1 || e[0].Name != name || e[0].Version != "1.0" || e[0].Schema != "public" || len(e[0].Configuration) != 6 {
		t.Errorf("%+v", e)
	}
	if _, err := load(t, version, server.DSN("postgres"), "back", c, files); err != nil {
		t.Fatal(err)
	}
	for table, want := range map[string]int64{"hf_job": 4, "hf_owner": 3, "hf_step": 4, "hf_run": 1} {
		if id := one[int64](t, server.DSN("back"), `INSERT INTO `+table+` (name) VALUES ('next') RETURNING id::bigint`); id != want {
			t.Errorf("the next row of %s is %d, want %d", table, id, want)
		}
	}
}

// What a server must have is in the manifest.
func TestWhatADatabaseNeedsIsRecorded(t *testing.T) {
	server := splicetest.NewServer(t, "")
	exec1(t, server.DSN("postgres"), `CREATE ROLE app`)
	exec1(t, server.DSN("postgres"), `CREATE DATABASE needy`)
	exec1(t, server.DSN("needy"), `ALTER DATABASE needy SET work_mem = '8MB'; ALTER ROLE app IN DATABASE needy SET "app.note" = 'x';
		CREATE COLLATION plain (provider = libc, locale = 'C');
		CREATE FUNCTION note() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
		CREATE EVENT TRIGGER note ON sql_drop EXECUTE FUNCTION note();
		CREATE FUNCTION sure(int, text) RETURNS boolean LANGUAGE sql LEAKPROOF AS 'SELECT true';
		CREATE PUBLICATION everything FOR ALL TABLES;
		CREATE TABLE t (n int CONSTRAINT young CHECK (n < extract(year from now())))`)
	c, _ := dump(t, "", source{"app", holdfast.App, server.DSN("needy")}, postgres.Options{})
	n := c.Database.Needs
	text, _ := json.Marshal(n)
	want := []string{"event trigger note", "function public.sure(integer, text)", "publication everything", "constraint young on public.t"}
	if got := n.Optional(); !slices.Equal(got, want) {
		t.Errorf("can be left out: %q, want %q", got, want)
	}
	if !slices.Equal(n.Settings, []string{"app.note", "work_mem"}) || len(n.Locales) != 2 || n.Locales[1].Collation != "public.plain" ||
		!n.Locales[1].Made || n.Limits.Block != 8192 {
		t.Errorf("%s", text)
	}
	if strings.Contains(string(text), "8MB") {
		t.Errorf("values of settings do not belong into the manifest: %s", text)
	}
}
