package postgres

import (
	"fmt"
	"testing"
)

const postData = `--
-- PostgreSQL database dump
--

\restrict abc

SET statement_timeout = 0;
SELECT pg_catalog.set_config('search_path', '', false);

--
-- TOC entry 4408 (class 2606 OID 17000)
-- Dependencies: 295 295
-- Name: t t_pkey; Type: CONSTRAINT; Schema: participant; Owner: cnadmin
-- Data Pos: 0
--

ALTER TABLE ONLY participant.t
    ADD CONSTRAINT t_pkey PRIMARY KEY (a, b);


--
-- TOC entry 4409 (class 1259 OID 17001)
-- Name: i; Type: INDEX; Schema: participant; Owner: cnadmin
--

CREATE INDEX i ON participant.t USING btree (a);

ALTER TABLE participant.t CLUSTER ON i;


--
-- TOC entry 4410 (class 1259 OID 17002)
-- Name: i ON x; Type: INDEX; Schema: odd ""schema; Owner: cnadmin
--

CREATE UNIQUE INDEX "i ON x" ON "odd ""schema"."a.table" USING gin (a);


-- Completed on 2026-11-22 19:33:11 UTC

--
-- PostgreSQL database dump complete
--

\unrestrict abc

`

func TestEntriesOfAScript(t *testing.T) {
	got := entries(postData)
	if len(got) != 3 ||
		got["4408"] != "ALTER TABLE ONLY participant.t\n    ADD CONSTRAINT t_pkey PRIMARY KEY (a, b);" ||
		got["4409"] != "" ||
		got["4410"] != `CREATE UNIQUE INDEX "i ON x" ON "odd ""schema"."a.table" USING gin (a);` {
		t.Errorf("%q", got)
	}
	if got := entries(postData + postData); got["4408"] != "" {
		t.Errorf("an entry that is there twice: %q", got["4408"])
	}
}

func TestIndexesAreTakenOnlyWhenTheyAreUnderstood(t *testing.T) {
	for statement, want := range map[string]string{
		"ALTER TABLE ONLY s.t\n    ADD CONSTRAINT c PRIMARY KEY (a);":                   `"s"."t" constraint sorted`,
		"ALTER TABLE ONLY s.t\n    ADD CONSTRAINT c EXCLUDE USING gist (a WITH &&);":    `"s"."t" constraint`,
		"ALTER TABLE ONLY s.t\n    ADD CONSTRAINT c UNIQUE (a) DEFERRABLE;":             `"s"."t" constraint sorted`,
		"CREATE INDEX i ON s.t USING btree (lower(a)) WHERE (b = ' USING gin '::text);": `"s"."t" index sorted`,
		`CREATE UNIQUE INDEX "i ON x" ON ONLY "S ""1".t USING hash (a);`:                `"S \"1"."t" index sorted`,
		"CREATE INDEX i ON s.t USING gin (a);":                                          `"s"."t" index`,
		"ALTER TABLE s.t CLUSTER ON i;":                                                 "no",
		"ALTER TABLE ONLY s.t REPLICA IDENTITY USING INDEX i;":                          "no",
		"CREATE INDEX i ON t USING btree (a);":                                          "no",
		"CREATE INDEX i ON s.t USING btree (a)":                                         "no",
		"CREATE TRIGGER i BEFORE INSERT ON s.t FOR EACH ROW EXECUTE FUNCTION s.f();":    "no",
		"": "no",
	} {
		got := "no"
		if x, ok := indexOf(statement); ok {
			if got = x.table + " index"; x.constraint {
				got = x.table + " constraint"
			}
			if x.sorted() {
				got += " sorted"
			}
		}
		if got != want {
			t.Errorf("%s: %s, want %s", statement, got, want)
		}
	}
}

func TestMemoryOfAnIndexBuild(t *testing.T) {
	btree, gin := index{statement: "CREATE INDEX i ON s.t " +
		"USING btree (a);"}, index{statement: "CREATE INDEX i ON s.t USING gin (a);"}
	const mib = 1 << 20
	for _, c := range []struct {
		name    string
		memory  buildMemory
		x       index
		bytes   int64
		workers int
		want    string
	}{
		{"a small table", buildMemory{1 << 30, true}, btree, 10 * mib, 0, "8 MiB"},
		{"a large one, whose runs are merged at once", buildMemory{1 << 30, true}, btree, 100 << 30, 0, "250 MiB"},
		{"no more than there is", buildMemory{64 * mib, true}, btree, 100 << 30, 0, "64 MiB"},
		{"with workers, as much as Postgres asks for each", buildMemory{1 << 30, true}, btree, 10 * mib, 1, "64 MiB"},
		{"where temporary files are limited, all there is", buildMemory{1 << 30, false}, btree, 10 * mib, 0,
			"1024 MiB"},
		{"what is not built by sorting, all there is", buildMemory{1 << 30, true}, gin, 10 * mib, 0, "1024 MiB"},
	} {
		if got := fmt.Sprintf("%d MiB", c.memory.of(c.x, c.bytes, c.workers)/mib); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}
