package setup

import (
	"reflect"
	"testing"
	"time"

	"holdfast/check"
	"holdfast/config"
)

// Whether gaps in the history matter follows from the rules of retention,
// unless check.history says it outright.
func TestWhatIsDeclaredOfTheHistory(t *testing.T) {
	yes, no := true, false
	const day = 24 * time.Hour
	for _, x := range []struct {
		name string
		conf config.Config
		want check.Declared
	}{
		{"nothing", config.Config{}, check.Declared{}},
		{"rules without history", config.Config{Retention: config.Retention{Weekly: 8}}, check.Declared{NoHistory: true}},
		{"rules with history", config.Config{Retention: config.Retention{Weekly: 8, History: config.Age(30 * day)}}, check.Declared{History: 30 * day}},
		{"history for ever", config.Config{Retention: config.Retention{History: config.Forever}}, check.Declared{}},
		{"said outright", config.Config{Retention: config.Retention{Weekly: 8}, Check: config.Check{History: &yes}}, check.Declared{}},
		{"denied outright", config.Config{Retention: config.Retention{History: config.Forever}, Check: config.Check{History: &no}}, check.Declared{NoHistory: true}},
		{"pruning off", config.Config{Check: config.Check{Pruning: config.NoPruning}}, check.Declared{NoPruning: true}},
		{"pruning", config.Config{Check: config.Check{Pruning: "2d"}}, check.Declared{Pruning: 2 * day}},
	} {
		if got := declared(&x.conf); !reflect.DeepEqual(got, x.want) {
			t.Errorf("%s: %+v, want %+v", x.name, got, x.want)
		}
	}
}
