package notice

import (
	"fmt"
	"strings"
	"time"

	"holdfast"
)

// Message is what is sent.
type Message struct {
	Title, Text string
	Resolved    bool // every problem that its target was sent has ended
}

// Compose writes one message of everything that a target is to be sent.
func Compose(node holdfast.NodeName, now time.Time, list []Item) Message {
	var b strings.Builder
	for _, item := range list {
		b.WriteString(item.text(now))
	}
	return Message{Title: title(node, list), Text: strings.TrimSpace(b.String())}
}

// title says how many problems there are, or which one.
func title(node holdfast.NodeName, list []Item) string {
	if len(list) == 1 {
		return fmt.Sprintf("%s: %s: %s", node, list[0].Word, list[0].What)
	}
	counts := map[Word]int{}
	for _, item := range list {
		counts[item.Word]++
	}
	var parts []string
	for _, w := range []Word{Began, Changed, Lasts, Ended} {
		switch n := counts[w]; {
		case n > 1 && w == Began:
			parts = append(parts, fmt.Sprintf("%d %ss", n, w))
		case n > 0:
			parts = append(parts, fmt.Sprintf("%d %s", n, w))
		}
	}
	return fmt.Sprintf("%s: %s", node, strings.Join(parts, ", "))
}

func (i Item) text(now time.Time) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s\n", strings.ToUpper(string(i.Word)), i.What)
	if i.Word == Ended {
		fmt.Fprintf(&b, "  It lasted %s, until %s.\n\n", length(i.Gone.Sub(i.Since)), clock(i.Gone))
		return b.String()
	}
	fmt.Fprintf(&b, "  Since %s, %s ago.\n", clock(i.Since), length(now.Sub(i.Since)))
	if i.Why != "" {
		fmt.Fprintf(&b, "  %s\n", i.Why)
	}
	if i.Do != "" {
		fmt.Fprintf(&b, "  Next: %s\n", i.Do)
	}
	b.WriteString("\n")
	return b.String()
}

func clock(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }

// length is a duration as people say it.
func length(d time.Duration) string {
	switch d = d.Round(time.Minute); {
	case d < time.Minute:
		return "less than a minute"
	case d < time.Hour:
		return fmt.Sprintf("%dm", d/time.Minute)
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh%02dm", d/time.Hour, d%time.Hour/time.Minute)
	}
	return fmt.Sprintf("%dd", d/(24*time.Hour))
}
