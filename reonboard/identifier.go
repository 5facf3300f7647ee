package reonboard

import (
	"encoding/json"
	"errors"
	"fmt"
	"holdfast/internal/durable"
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"holdfast"
)

// Used is a participant identifier that a node has had, or was to get: it must
// never be used again on its network (Splice: validator_disaster_recovery).
type Used struct {
	Identifier string    `json:"identifier"`
	At         time.Time `json:"at"`
	// Clear is where the identities are in clear for it, until they are removed. Of a
	// file nobody has to remember it.
	Clear string `json:"clear,omitempty"`
}

// Ledger remembers used identifiers, in a file or elsewhere.
type Ledger struct {
	Path string // of the file; of another place its name, for people
	// Load and Store keep its text elsewhere; Load returns nil where there is none.
	Load  func() ([]byte, error)
	Store func([]byte) error
}

// Read reads the ledger; one that is not there is empty.
func (l Ledger) Read() (list []Used, err error) {
	load := l.Load
	if load == nil {
		load = func() ([]byte, error) { return os.ReadFile(l.Path) }
	}
	text, err := load()
	if errors.Is(err, fs.ErrNotExist) || err == nil && text == nil {
		return nil, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &list)
	}
	if err != nil && holdfast.ClassOf(err) == holdfast.Failed {
		return nil, &holdfast.Problem{
			Class: holdfast.Refused, What: "read the ledger of participant identifiers, " + l.Path, Err: err,
			Why: "An identifier that was used before makes a broken node.",
			Do:  "Correct the file: a list of identifier and at.",
		}
	}
	return list, err
}

// Note adds an identifier, unless it is there.
func (l Ledger) Note(u Used) error {
	list, err := l.Read()
	if err != nil {
		return err
	}
	if slices.ContainsFunc(list, func(known Used) bool { return known.Identifier == u.Identifier }) {
		return nil
	}
	return l.write(append(list, u))
}

// InClear is where the identities are in clear still; "" for nowhere.
func (l Ledger) InClear() (string, error) {
	list, err := l.Read()
	for _, u := range list {
		if u.Clear != "" {
			return u.Clear, err
		}
	}
	return "", err
}

// Removed notes that the identities are in clear nowhere any more.
func (l Ledger) Removed() error {
	list, err := l.Read()
	changed := false
	for i := range list {
		changed = changed || list[i].Clear != ""
		list[i].Clear = ""
	}
	if err != nil || !changed {
		return err
	}
	return l.write(list)
}

func (l Ledger) write(list []Used) error {
	text, err := json.MarshalIndent(list, "", " ")
	if err != nil {
		return err
	}
	text = append(text, '\n')
	if l.Store != nil {
		return l.Store(text)
	}
	return durable.Write(l.Path, text, 0o600)
}

var identifierRule = regexp.MustCompile(`^[A-Za-z0-9:_ -]+$`)

// longest is how many letters an identifier may have. It is no part of the rule
// above: a count in a pattern is unrolled whenever a program starts.
const longest = 185

// choose returns a participant identifier that was never used: the wanted one,
// if it is fit, else one made of the party hint and the day.
func choose(wanted, hint string, used []string, now time.Time) (string, error) {
	if wanted == "" {
		base := hint + "-" + now.UTC().Format("20060102")
		wanted = base
		for n := 2; slices.Contains(used, wanted); n++ {
			wanted = fmt.Sprintf("%s-%d", base, n)
		}
	}
	if len(wanted) > longest || !identifierRule.MatchString(wanted) || strings.Contains(wanted, "::") {
		return "", &holdfast.Problem{
			Class: holdfast.Usage, What: fmt.Sprintf("participant identifier %q is not usable", wanted),
			Do: "Take letters, digits, dash and underscore, at most 185.",
		}
	}
	if slices.Contains(used, wanted) {
		return "", &holdfast.Problem{
			Class: holdfast.Refused, What: fmt.Sprintf("participant identifier %s was used before", wanted),
			Why: "A new participant under an old name does not work: the network remembers the old one's keys.",
			Do:  "Choose another, or none: Holdfast makes one.",
		}
	}
	return wanted, nil
}
