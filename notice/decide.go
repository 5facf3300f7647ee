package notice

import (
	"maps"
	"slices"
	"time"
)

// Policy says how patient notices are.
type Policy struct {
	Patience time.Duration // that a trouble lasts before it is announced, and is over before that is
	Repeat   time.Duration // between notices of a trouble that lasts
	// Digest is when the next summary is due after a time; nil for none.
	Digest func(after time.Time) time.Time
}

// The defaults of a policy.
const (
	Patience = 10 * time.Minute
	Repeat   = 24 * time.Hour
)

func (p Policy) orDefaults() Policy {
	if p.Patience <= 0 {
		p.Patience = Patience
	}
	if p.Repeat <= 0 {
		p.Repeat = Repeat
	}
	return p
}

// Trouble is a cause that was bad, from when to when.
type Trouble struct {
	Sight
	Since   time.Time
	Changed time.Time // when its kind became what it is
	Gone    time.Time // when it was good again; zero while it lasts
}

// Memory is what is remembered between two looks. It may be lost: what lasts is
// then announced once more.
type Memory struct {
	Troubles map[string]Trouble             `json:"troubles"`
	Sent     map[string]map[string]Delivery `json:"sent"`   // by target, by trouble
	Digests  map[string]time.Time           `json:"digest"` // by target
}

// Delivery is what a target was sent of a trouble, and when.
type Delivery struct {
	At   time.Time `json:"at"`
	Kind string    `json:"kind"`
}

// skew is how far a time of the memory may be in the future: beyond, a clock was
// set back.
const skew = time.Minute

// See takes in what is seen now.
func (m *Memory) See(now time.Time, list []Sight) {
	seen := map[string]Sight{}
	for _, s := range roots(list) {
		seen[s.key()] = s
	}
	if m.Troubles == nil {
		m.Troubles = map[string]Trouble{}
	}
	for key, t := range m.Troubles {
		s, listed := seen[key]
		if !listed {
			delete(m.Troubles, key)
			continue
		}
		m.Troubles[key] = t.seen(now, s)
	}
	for key, s := range seen {
		if _, known := m.Troubles[key]; !known && s.State == Bad {
			m.Troubles[key] = Trouble{Sight: s, Since: now, Changed: now}
		}
	}
}

// seen is the trouble after another look.
func (t Trouble) seen(now time.Time, s Sight) Trouble {
	for _, at := range []*time.Time{&t.Since, &t.Changed, &t.Gone} {
		if at.After(now.Add(skew)) {
			*at = now
		}
	}
	switch s.State {
	case Good:
		if t.Gone.IsZero() {
			t.Gone = now
		}
	case Bad:
		if s.Kind != t.Kind {
			t.Changed = now
		}
		t.Sight, t.Gone = s, time.Time{}
	}
	return t
}

// Word is what a notice says of a trouble.
type Word string

// The words.
const (
	Began   Word = "problem"
	Changed Word = "changed"
	Lasts   Word = "still"
	Ended   Word = "recovered"
)

// Item is a trouble that a target is to hear of.
type Item struct {
	Word
	Trouble
	key string
}

// Decide lists what that target is to be sent now, the oldest first.
func (m *Memory) Decide(now time.Time, target string, p Policy) (list []Item) {
	p = p.orDefaults()
	for _, key := range slices.Sorted(maps.Keys(m.Troubles)) {
		t := m.Troubles[key]
		if t.Cause == targetCause(target) { // it cannot hear that it cannot be reached
			continue
		}
		if word := m.word(now, p, t, target, key); word != "" {
			list = append(list, Item{word, t, key})
		}
	}
	slices.SortStableFunc(list, func(a, b Item) int { return a.Since.Compare(b.Since) })
	return list
}

// word is what that target is to hear of a trouble now; "" for nothing.
func (m *Memory) word(now time.Time, p Policy, t Trouble, target, key string) Word {
	sent, known := m.Sent[target][key]
	lasted := func(since time.Time) bool { return now.Sub(since) >= p.Patience }
	switch {
	case !t.Gone.IsZero() && known && lasted(t.Gone):
		return Ended
	case !t.Gone.IsZero():
		return ""
	case !known && lasted(t.Since):
		return Began
	case known && sent.Kind != t.Kind && lasted(t.Changed):
		return Changed
	case known && (now.Sub(sent.At) >= p.Repeat || sent.At.After(now.Add(p.Repeat))):
		return Lasts
	}
	return ""
}

// resolved reports whether the list ends every problem that the target was sent.
func (m *Memory) resolved(target string, list []Item) bool {
	ended := 0
	for _, item := range list {
		if item.Word == Ended {
			ended++
		}
	}
	return ended == len(list) && ended == len(m.Sent[target])
}

// Deliver notes what the target was sent.
func (m *Memory) Deliver(now time.Time, target string, list []Item) {
	if m.Sent == nil {
		m.Sent = map[string]map[string]Delivery{}
	}
	if m.Sent[target] == nil {
		m.Sent[target] = map[string]Delivery{}
	}
	for _, item := range list {
		if item.Word == Ended {
			delete(m.Sent[target], item.key)
		} else {
			m.Sent[target][item.key] = Delivery{At: now, Kind: item.Kind}
		}
	}
}

// Forget forgets troubles that are over and that no target has to hear the end
// of, and targets that there are no more.
func (m *Memory) Forget(now time.Time, targets map[string]Policy) {
	for name := range m.Sent {
		if _, configured := targets[name]; !configured {
			delete(m.Sent, name)
			delete(m.Digests, name)
			continue
		}
		for key := range m.Sent[name] {
			if _, there := m.Troubles[key]; !there {
				delete(m.Sent[name], key)
			}
		}
	}
	for key, t := range m.Troubles {
		over := !t.Gone.IsZero()
		for name, p := range targets {
			_, waits := m.Sent[name][key]
			over = over && !waits && now.Sub(t.Gone) >= p.orDefaults().Patience
		}
		if over {
			delete(m.Troubles, key)
		}
	}
}

// DigestDue reports whether a summary is due for the target, and since when it
// has to say. The first is due at its first time after the service began.
func (m *Memory) DigestDue(now time.Time, target string, p Policy) (since time.Time, due bool) {
	if p.Digest == nil {
		return since, false
	}
	last, known := m.Digests[target]
	if !known || last.After(now.Add(skew)) {
		m.Digested(now, target)
		return since, false
	}
	at := p.Digest(last)
	return last, !at.IsZero() && !at.After(now)
}

// Digested notes that the target got its summary.
func (m *Memory) Digested(now time.Time, target string) {
	if m.Digests == nil {
		m.Digests = map[string]time.Time{}
	}
	m.Digests[target] = now
}

func targetCause(target string) string { return "target/" + target }
