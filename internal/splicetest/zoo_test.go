package splicetest

import (
	"maps"
	"strings"
	"testing"
)

func TestZooLoadsOnEveryVersion(t *testing.T) {
	EachVersion(t, func(t *testing.T, version string) {
		ctx := t.Context()
		s := NewServer(t, version)
		for _, db := range []string{"zoo", "twin"} {
			if err := s.Exec(ctx, "postgres", "create database "+db); err != nil {
				t.Fatal(err)
			}
			if err := Zoo(ctx, s.DSN(db)); err != nil {
				t.Fatal(err)
			}
		}
		types := one[int](t, s.DSN("zoo"),
			`select count(*) from pg_type t where typnamespace = 'pg_catalog'::regnamespace
			and typtype in ('b', 'r', 'm') and typname !~ '^_' and not exists (select from pg_class c where c.relnamespace = 'zoo_types'::regnamespace and c.relname = 'type ' || t.typname)`)
		if types != 0 {
			t.Errorf("%d types of the catalog have no table", types)
		}
		a, err := Fingerprint(ctx, s.DSN("zoo"))
		if err != nil {
			t.Fatal(err)
		}
		b, err := Fingerprint(ctx, s.DSN("twin"))
		if err != nil {
			t.Fatal(err)
		}
		if len(a) < 150 || !maps.Equal(a, b) {
			for name := range a {
				if a[name] != b[name] {
					t.Errorf("%s: %s and %s", name, a[name], b[name])
				}
			}
			t.Errorf("two zoos differ, or %d tables are too few", len(a))
		}
		for name, state := range a {
			if strings.HasPrefix(state, "0 ") && strings.HasPrefix(name, "zoo_types.") {
				t.Errorf("%s is empty", name)
			}
		}
		if err := ZooHard(ctx, s.DSN("zoo")); err != nil {
			t.Error(err)
		}
	})
}
