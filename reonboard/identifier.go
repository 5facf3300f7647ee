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
}

// Ledger is the file that remembers used identifiers.
type Ledger struct{ Path string }

// Read reads the ledger; one that is not there is empty.
func (l Ledger) Read() (list []Used, err error) {
	text, err := os.ReadFile(l.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &list)
	}
	if err != nil {
		return nil, &holdfast.Problem{
			Class: holdfast.Refused, What: "read the ledger of participant identifiers, " + l.Path, Err: err,
			Why: "An identifier that was used before makes a broken node.",
			Do:  "Correct the file: a list of identifier and at.",
		}
	}
	return list, nil
}

// Note adds an identifier.
func (l Ledger) Note(u Used) error {
	list, err := l.Read()
	if err != nil {
		return err
	}
	text, err := json.MarshalIndent(append(list, u), "", " ")
	if err != nil {
		return err
	}
	return durable.Write(l.Path, append(text, '\n'), 0o600)
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
