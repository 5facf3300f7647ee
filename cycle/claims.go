package cycle

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"holdfast"
)

// Claim is what the provider's documentation says, or what Holdfast relies on
// besides, and what was seen of it.
type Claim struct {
	Claim   string           `json:"claim"`
	Seen    string           `json:"seen"`
	Verdict holdfast.Verdict `json:"verdict"`
}

// Seen is what a cycle has seen. What is zero was not reached.
type Seen struct {
	Created time.Time     // the instance was requested, by our clock
	Lifted  time.Duration // how long the temporary instance was there, at most

	// The snapshot.
	Name             string
	Requested, Ready time.Time // by our clock
	States           []string  // what the provider called it, in order
	Percent          int       // of it, when it was ready
	Labels, Wanted   map[string]string
	Resource, Of     string    // of the snapshot, and of the instance
	Version, Runs    string    // of Postgres: the snapshot's, and the instance's
	DatabaseTime     time.Time // the provider's fields
	OriginalTime     time.Time
	CreateTime       time.Time
	Described        bool
	Again            string // what a second request for the same name was answered; "" when none was made
	AgainExists      bool
	RoomBefore       int // manual snapshots of the account
	RoomAfter        int

	// What was written meanwhile.
	Clock  time.Duration // the server's clock minus ours
	Writes []Write       // every update, in order
	Read   bool          // the databases were read before the request and after the answer
	Before int64         // the newest offset before the request
	After  int64         // and after the snapshot was ready
	WasID  string        // the system identifier of the server

	// What came back.
	Offset       int64 // of the content
	SystemID     string
	Wants, Has   string // how the temporary instance was to be set up, and how it was
	Rows         int64
	CompareError string
	Compared     bool
	Ended        bool // the instance is gone
	Outlived     bool // its snapshot is not
}

// Write is an update: when it was committed, by the server's clock, and how long that
// took.
type Write struct {
	Offset int64
	At     time.Time
	Took   time.Duration
}

// slack is what times are compared with: fields with whole seconds, and the comparison
// of two clocks.
const slack = 2 * time.Second

// Claims compares what was seen with what is claimed.
func (s Seen) Claims() []Claim {
	var out []Claim
	add := func(known bool, claim string, holds bool, seen string, args ...any) {
		c := Claim{Claim: claim, Verdict: holdfast.CannotTell, Seen: "not reached"}
		if known {
			c.Seen, c.Verdict = fmt.Sprintf(seen, args...), holdfast.Violated
			if holds {
				c.Verdict = holdfast.Holds
			}
		}
		out = append(out, c)
	}
	ready := s.Described && !s.Ready.IsZero()
	add(s.Described, "the snapshot has the name and the tags that were requested", maps.Equal(s.Labels, s.Wanted),
		"%s, %s", s.Name, tags(s.Labels))
	add(ready, "its status becomes available, and then it is whole",
		s.Percent == 100 && slices.Contains(s.States, "available"),
		"%s; %d %%", strings.Join(s.States, ", "), s.Percent)
	add(s.Described, "DbiResourceId is the instance's", s.Resource == s.Of, "%s, and %s", s.Resource, s.Of)
	add(s.Described, "EngineVersion is the instance's", s.Version == s.Runs, "%s, and %s", s.Version, s.Runs)
	first, last, known := s.around()
	add(s.Described && known, "SnapshotDatabaseTime is that of the newest transaction in the snapshot",
		within(s.DatabaseTime, first, last), "%s; offset %d was committed at %s, the next one at %s", stamp(s.DatabaseTime),
		s.Offset, stamp(first), stamp(last))
	add(ready, "OriginalSnapshotCreateTime is between the request and the answer that it is available",
		within(s.OriginalTime, s.there(s.Requested), s.there(s.Ready)), "%s; requested at %s, available at %s",
		stamp(s.OriginalTime), stamp(s.there(s.Requested)), stamp(s.there(s.Ready)))
	add(s.Described, "SnapshotCreateTime is the same, as it is no copy", s.CreateTime.Equal(s.OriginalTime),
		"%s, and %s", stamp(s.CreateTime), stamp(s.OriginalTime))
	add(s.Again != "", "a second request for the same name is refused: DBSnapshotAlreadyExists",
		s.AgainExists, "%s", s.Again)
	add(s.RoomAfter > 0, "DescribeAccountAttributes counts it: ManualSnapshots", s.RoomAfter > s.RoomBefore,
		"%d before, %d after", s.RoomBefore, s.RoomAfter)
	add(s.Read, "pg_control_system() says to an ordinary role which server it is",
		s.WasID != "", "%s", or(s.WasID, "nothing"))
	add(s.Offset > 0, "the content is of a moment between the request and the answer that it is available",
		s.Before <= s.Offset && s.Offset <= s.After,
		"offset %d; %d before the request, %d after the answer", s.Offset, s.Before, s.After)
	add(s.SystemID != "" && s.WasID != "", "an instance of the snapshot has the system identifier of the server",
		s.SystemID == s.WasID, "%s, and %s", s.SystemID, s.WasID)
	add(s.Has != "", "it is set up as was requested", s.Has == s.Wants, "%s", s.Has)
	add(s.Compared, "every row that was committed before that moment came back, and no other",
		s.CompareError == "", "%s", s.compared())
	add(s.Ended, "a manual snapshot outlives its instance", s.Outlived, "%s", map[bool]string{
		true: "it is there after the instance is gone", false: "it is gone with the instance"}[s.Outlived])
	longest := s.longest()
	add(len(s.Writes) > 0, "a Single-AZ instance stops writing for minutes at most", longest < 5*time.Minute,
		"the longest write took %v, of %d", longest.Round(time.Millisecond), len(s.Writes))
	return out
}

func (s Seen) compared() string {
	if s.CompareError != "" {
		return s.CompareError
	}
	return fmt.Sprintf("%d rows are equal to what was written", s.Rows)
}

// there is a time of ours by the server's clock.
func (s Seen) there(at time.Time) time.Time {
	if at.IsZero() {
		return at
	}
	return at.Add(s.Clock)
}

// around is when the newest update in the content was committed, and when the next
// one was, by the server's clock.
func (s Seen) around() (first, last time.Time, known bool) {
	last = s.there(s.Ready)
	for _, w := range s.Writes {
		switch w.Offset {
		case s.Offset:
			first = w.At
		case s.Offset + 1:
			last = w.At
		}
	}
	return first, last, !first.IsZero() && s.Offset > 0
}

func within(at, first, last time.Time) bool {
	return !at.Before(first.Add(-slack)) && !at.After(last.Add(slack))
}

func (s Seen) longest() (d time.Duration) {
	for _, w := range s.Writes {
		d = max(d, w.Took)
	}
	return d
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return "nothing"
	}
	return t.UTC().Format("15:04:05.000Z")
}

func or(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}

func tags(m map[string]string) string {
	var out []string
	for _, k := range slices.Sorted(maps.Keys(m)) {
		out = append(out, k+"="+m[k])
	}
	return strings.Join(out, " ")
}
