package compose

import (
	"encoding/json"
	"errors"
	"fmt"
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

// ReadUsed reads the ledger of identifiers; one that is not there is empty.
func ReadUsed(path string) (list []Used, err error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &list)
	}
	if err != nil {
		return nil, &holdfast.Problem{Class: holdfast.Refused, What: "read the ledger of participant identifiers, " + path, Err: err,
			Why: "An identifier that was used before makes a broken node.", Do: "Correct the file: a list of identifier and at."}
	}
	return list, nil
}

// NoteUsed adds an identifier to the ledger.
func NoteUsed(path string, u Used) error {
	list, err := ReadUsed(path)
	if err != nil {
		return err
	}
	text, err := json.MarshalIndent(append(list, u), "", " ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(path+".new", append(text, '\n'), 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

var identifierRule = regexp.MustCompile(`^[A-Za-z0-9:_ -]{1,185}$`)

// ChooseIdentifier returns a participant identifier that was never used: the
// wanted one, if it is fit, else one made of the party hint and the day.
func ChooseIdentifier(wanted, hint string, used []string, now time.Time) (string, error) {
	if wanted == "" {
		base := hint + "-" + now.UTC().Format("20060102")
		wanted = base
		for n := 2; slices.Contains(used, wanted); n++ {
			wanted = fmt.Sprintf("%s-%d", base, n)
		}
	}
	if !identifierRule.MatchString(wanted) || strings.Contains(wanted, "::") {
		return "", &holdfast.Problem{Class: holdfast.Usage, What: fmt.Sprintf("participant identifier %q is not usable", wanted),
			Do: "Take letters, digits, dash and underscore, at most 185."}
	}
	if slices.Contains(used, wanted) {
		return "", &holdfast.Problem{Class: holdfast.Refused, What: fmt.Sprintf("participant identifier %s was used before", wanted),
			Why: "A new participant under an old name does not work: the network remembers the old one's keys.", Do: "Choose another, or none: Holdfast makes one."}
	}
	return wanted, nil
}

// StartLine is the command that starts a bundle from an identities dump, with
// the flags that a set recorded and a new identifier; afterwards the node is
// started by the same line without -i.
func StartLine(s holdfast.Start, dump, identifier string) string {
	words := []string{"./start.sh", "-s", quote(s.Sponsor), "-o", `""`, "-p", quote(s.PartyHint)}
	if s.Scan != "" {
		words = append(words, "-c", quote(s.Scan))
	}
	if s.MigrationID != "" {
		words = append(words, "-m", s.MigrationID)
	}
	if s.Auth == "oidc" {
		words = append(words, "-a")
	}
	if dump != "" {
		words = append(words, "-i", quote(dump))
	}
	return strings.Join(append(words, "-P", quote(identifier), "-w"), " ")
}

var harmless = regexp.MustCompile(`^[A-Za-z0-9@%+=:,./_-]+$`)

// quote makes a word of a shell.
func quote(word string) string {
	if harmless.MatchString(word) {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
