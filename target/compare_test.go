package target_test

import (
	"strings"
	"testing"

	"holdfast"
	"holdfast/target"
)

// Each difference by itself: what is said, what is to be typed, and whether a
// restore could go on all the same.
func TestDifferencesBetweenWhatIsNeededAndWhatThereIs(t *testing.T) {
	audit := holdfast.Extension{Name: "pg_audit", Version: "1.4", Preloaded: true}
	trigger := holdfast.Object{Name: "event trigger note", Owner: "app", Why: "it acts on what everybody does", SuperOwner: true}
	german := holdfast.Locale{Collation: "app.german", Made: true, Provider: "libc", Collate: "de_DE.utf8", Version: "2.36"}
	for _, c := range []struct {
		name   string
		change func(*holdfast.Needs, *target.Has, *target.Choice)
		blocks bool
		what   string // "" for nothing
		do     string
	}{
		{"nothing is missing", func(*holdfast.Needs, *target.Has, *target.Choice) {}, false, "", ""},
		{"a standby", func(_ *holdfast.Needs, h *target.Has, _ *target.Choice) { h.Server.Standby = true }, true, "is a standby", "primary"},
		{"an older server", func(_ *holdfast.Needs, h *target.Has, _ *target.Choice) { h.Server.Number = 140009 }, true, "runs Postgres", "version 15"},
		{"no right to create", func(_ *holdfast.Needs, h *target.Has, _ *target.Choice) { h.Superuser = false }, true, "may not create databases", `ALTER ROLE "me" CREATEDB`},
		{"an extension is missing", func(n *holdfast.Needs, _ *target.Has, _ *target.Choice) {
			n.Extensions = []holdfast.Extension{audit}
		}, true, "extension pg_audit 1.4 is not available at there", "--without 'extension pg_audit'"},
		{"it is left out", func(n *holdfast.Needs, _ *target.Has, o *target.Choice) {
			n.Extensions, o.Without = []holdfast.Extension{audit}, []string{"extension pg_audit"}
		}, false, "", ""},
		{"another version of it", func(n *holdfast.Needs, h *target.Has, _ *target.Choice) {
			n.Extensions = []holdfast.Extension{audit}
			h.Extensions, h.Preloaded = map[string]target.Available{"pg_audit": {Default: "1.6"}}, holdfast.Known([]string{"pg_audit"})
		}, false, "was version 1.4 and will be 1.6", "version 1.4"},
		{"its library is not loaded", func(n *holdfast.Needs, h *target.Has, _ *target.Choice) {
			n.Extensions = []holdfast.Extension{audit}
			h.Extensions, h.Preloaded = map[string]target.Available{"pg_audit": {Default: "1.4"}}, holdfast.Known([]string{"auto_explain"})
		}, false, "shared_preload_libraries", "shared_preload_libraries = 'auto_explain, pg_audit'"},
		{"nobody may see what is loaded", func(n *holdfast.Needs, h *target.Has, _ *target.Choice) {
			n.Extensions, h.Extensions = []holdfast.Extension{audit}, map[string]target.Available{"pg_audit": {Default: "1.4"}}
		}, false, "", ""},
		{"an extension that a superuser makes", func(n *holdfast.Needs, h *target.Has, _ *target.Choice) {
			n.Extensions, h.Extensions = []holdfast.Extension{audit}, map[string]target.Available{"pg_audit": {Default: "1.4"}}
			h.Superuser, h.CreateDB = false, true
		}, true, "made by a superuser, and me is none", "--without 'extension pg_audit'"},
		{"a trusted one", func(n *holdfast.Needs, h *target.Has, _ *target.Choice) {
			n.Extensions, h.Extensions = []holdfast.Extension{audit}, map[string]target.Available{"pg_audit": {Default: "1.4", Anybody: true}}
			h.Superuser, h.CreateDB = false, true
		}, false, "", ""},
		{"an event trigger without a superuser", func(n *holdfast.Needs, h *target.Has, _ *target.Choice) {
			n.Privileged, h.Superuser, h.CreateDB = []holdfast.Object{trigger}, false, true
		}, true, "event trigger note is made by a superuser", "--without 'event trigger note'"},
		{"on a managed service, which may let it pass", func(n *holdfast.Needs, h *target.Has, _ *target.Choice) {
			n.Privileged, h.Superuser, h.CreateDB, h.Managed = []holdfast.Object{trigger}, false, true, "rds_superuser"
		}, false, "event trigger note is made by a superuser", "--without"},
		{"whose owner is no superuser there", func(n *holdfast.Needs, _ *target.Has, _ *target.Choice) {
			n.Privileged = []holdfast.Object{trigger}
		}, true, "belongs to app, which is no superuser", `ALTER ROLE "app" SUPERUSER`},
		{"which will not own it", func(n *holdfast.Needs, _ *target.Has, o *target.Choice) {
			n.Privileged, o.NoOwner = []holdfast.Object{trigger}, true
		}, false, "", ""},
		{"a locale is missing", func(n *holdfast.Needs, h *target.Has, _ *target.Choice) {
			n.Locales, h.Locales = []holdfast.Locale{german}, []target.Locale{{Refusal: "could not create locale"}}
		}, true, "collation app.german, de_DE.utf8 of libc, is missing", "locale-gen de_DE.utf8"},
		{"the database's own is, and another was chosen", func(n *holdfast.Needs, h *target.Has, o *target.Choice) {
			n.Locales, h.Locales = []holdfast.Locale{{Provider: "libc", Collate: "xx"}}, []target.Locale{{Refusal: "could not create locale"}}
			o.Locale = "C"
		}, false, "", ""},
		{"a locale of another version", func(n *holdfast.Needs, h *target.Has, _ *target.Choice) {
			n.Locales, h.Locales = []holdfast.Locale{german}, []target.Locale{{Version: "2.41"}}
		}, false, "version 2.36 in the set and 2.41 at there", "built again"},
		{"a parameter that is unknown", func(n *holdfast.Needs, _ *target.Has, _ *target.Choice) { n.Settings = []string{"Gone"} }, false, "no such parameter", ""},
		{"one that may not be set", func(n *holdfast.Needs, h *target.Has, _ *target.Choice) {
			n.Settings, h.Parameters = []string{"TimeZone"}, map[string]target.Parameter{"timezone": {}}
		}, false, "may not set it", "GRANT SET ON PARAMETER TimeZone"},
		{"one of an extension's or an app's", func(n *holdfast.Needs, _ *target.Has, _ *target.Choice) { n.Settings = []string{"app.note"} }, false, "", ""},
		{"tablespaces", func(n *holdfast.Needs, _ *target.Has, _ *target.Choice) { n.Tablespaces = []string{"fast"} }, false, "what lay in fast", "SET TABLESPACE"},
		{"a row that takes memory", func(n *holdfast.Needs, _ *target.Has, _ *target.Choice) { n.LargestRow = 300 << 20 }, false, "the largest row has 300 MiB", "memory"},
		{"smaller blocks", func(n *holdfast.Needs, _ *target.Has, _ *target.Choice) { n.Limits.Block = 32768 }, true, "block_size is 8192", "--to"},
	} {
		needs := &holdfast.Needs{Limits: holdfast.Limits{Block: 8192}}
		has := target.Has{Where: "there", User: "me", Superuser: true, Server: holdfast.Server{Number: 150018}, Limits: holdfast.Limits{Block: 8192}}
		var o target.Choice
		c.change(needs, &has, &o)
		part := holdfast.Part{
			Captured: holdfast.Captured{Component: "app", Database: holdfast.Database{Needs: needs}},
			Capture:  holdfast.Capture{Server: holdfast.Server{Number: 150001}},
		}
		list := target.Compare(part, has, o)
		switch {
		case c.what == "":
			if len(list) > 0 {
				t.Errorf("%s: %+v", c.name, list)
			}
		case len(list) != 1 || list[0].Blocks != c.blocks || !strings.Contains(list[0].What, c.what) || !strings.Contains(list[0].Do, c.do):
			t.Errorf("%s: %+v", c.name, list)
		}
		if err := target.Refuse(list); (err != nil) != c.blocks || err != nil && holdfast.ClassOf(err) != holdfast.Refused {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// All that blocks is said at once.
func TestEverythingThatBlocksIsSaidAtOnce(t *testing.T) {
	err := target.Refuse([]target.Difference{
		{Blocks: true, What: "a is missing", Do: "Make a."}, {What: "b differs"}, {Blocks: true, What: "c is missing", Do: "Make c."},
		{Blocks: true, What: "a is missing", Do: "Make a."},
	})
	_, do := holdfast.Advice(err)
	if err.Error() != "a is missing; c is missing" || do != "Make a. Make c." {
		t.Errorf("%v: %s", err, do)
	}
}

// The room on a disk has to do for all databases that are built there.
func TestRoomForAllDatabasesOfADisk(t *testing.T) {
	const gib = 1 << 30
	at := func(disk string, free holdfast.Observed[int64], bytes int64) target.Database {
		return target.Database{
			Database: "of " + disk, Disk: target.Disk{Server: "db.example", ID: disk, Free: free},
			Fit: target.Compatibility{DatabaseBytes: bytes},
		}
	}
	three := holdfast.Known[int64](3 * gib)
	list := []target.Database{
		at("one", three, 2*gib), at("two", three, 2*gib), at("one", three, 2*gib), at("three", three, 4*gib),
		at("unknown", holdfast.Unknown[int64]("elsewhere"), 9*gib), at("built", three, 9*gib),
	}
	list[5].Ready = true
	target.Room(list)
	for i, want := range []string{
		"db.example has 3072 MiB free, and databases of one, of one take about 4096 MiB", "",
		"db.example has 3072 MiB free, and databases of one, of one take about 4096 MiB",
		"db.example has 3072 MiB free, and database of three takes about 4096 MiB", "", "",
	} {
		got := ""
		for _, d := range list[i].Fit.Differences {
			got += d.What
		}
		if got != want || target.Refuse(list[i].Fit.Differences) != nil != (want != "") {
			t.Errorf("%s: %q, want %q", list[i].Database, got, want)
		}
	}
}

// A set that does not know what it needs says so, and restores all the same.
func TestASetFromBeforeNeedsWereRecorded(t *testing.T) {
	list := target.Compare(holdfast.Part{}, target.Has{Superuser: true}, target.Choice{})
	if len(list) != 1 || list[0].Blocks || !strings.Contains(list[0].What, "from before it was recorded") {
		t.Errorf("%+v", list)
	}
}

// An extension that is bound to a name is made where a database can have it for
// a moment; else it is said what is in the way.
func TestExtensionsThatAreBoundToAName(t *testing.T) {
	cron := holdfast.Extension{Name: "pg_cron", Version: "1.4"}
	part := holdfast.Part{Captured: holdfast.Captured{Database: holdfast.Database{
		Needs: &holdfast.Needs{Extensions: []holdfast.Extension{cron, {Name: "hstore"}}},
	}}}
	there := map[string]target.Available{"pg_cron": {Default: "1.4"}, "hstore": {}}
	names := func(name holdfast.Observed[string]) target.Has {
		return target.Has{Extensions: there, Names: map[string]holdfast.Observed[string]{"cron.database_name": name}}
	}
	for _, c := range []struct {
		name     string
		has      target.Has
		without  []string
		taken    bool
		blocks   bool
		what, do string // "" for nothing
	}{
		{"the name is free", names(holdfast.Known("orders")), nil, false, false, "the new database has that name while", ""},
		{"it is taken", names(holdfast.Known("orders")), nil, true, true, "the very name orders, and one has it at there",
			`ALTER DATABASE "orders" RENAME TO "orders~before";`},
		{"another database has the extension", names(holdfast.Known("sales")), nil, false, true, "only in database sales",
			"ALTER SYSTEM SET cron.database_name = 'orders';"},
		{"its library is not loaded", names(holdfast.Known("")), nil, false, true, "which is not set at there",
			"shared_preload_libraries = 'pg_cron' and cron.database_name = 'orders'"},
		{"the role may not see the parameter", names(holdfast.Unknown[string]("")), nil, false, false, "while", ""},
		{"it is left out", names(holdfast.Known("sales")), []string{cron.Word()}, true, false, "", ""},
		{"it is not available, which is said elsewhere", target.Has{}, nil, true, false, "", ""},
	} {
		list := target.Naming(target.BoundOf(part, c.has, c.without), "there", "orders", c.taken, "orders~before")
		switch {
		case c.what == "":
			if len(list) > 0 {
				t.Errorf("%s: %+v", c.name, list)
			}
		case len(list) != 1 || list[0].Blocks != c.blocks || !strings.Contains(list[0].What, c.what) ||
			!strings.Contains(list[0].Do, c.do) || c.blocks && !strings.Contains(list[0].Do, "--without 'extension pg_cron'"):
			t.Errorf("%s: %+v", c.name, list)
		}
	}
}
