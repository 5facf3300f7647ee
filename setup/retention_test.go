package setup

import (
	"testing"
	"time"

	"holdfast/config"
)

// Retention knows how quick the schedule is, or it takes the node's own sets for
// somebody else's.
func TestRetentionKnowsTheSchedule(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{
		"": 4 * time.Hour, "15m": 15 * time.Minute, "*/15 * * * *": 15 * time.Minute, "never": 0,
	} {
		p := Parts{Config: &config.Config{Schedule: config.Schedule{Backup: text}}}
		if got := p.policyOf(config.Retention{Last: 6}).Scheduled; got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
}
