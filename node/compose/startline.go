package compose

import (
	"cmp"
	"regexp"
	"strings"

	"holdfast"
)

// StartLine is the command that starts a bundle from an identities dump, with
// the flags that a set recorded and a new identifier; afterwards the node is
// started by the same line without -i.
func StartLine(s Start, dump, identifier string) string {
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

// StartOf are the flags that the set's node was started with, and the bundle's
// directory. Of a node that was given by connection strings, and of one of another
// kind, the validator's party says the party hint; what else has to be filled in is in capitals.
func StartOf(set holdfast.Set) (start Start, directory string, err error) {
	if set.Deployment != nil && set.Deployment.Kind == Kind {
		was, err := Describe(set.Deployment)
		return was.Start, was.Directory, err
	}
	return Start{PartyHint: cmp.Or(PartyHint(set), "PARTY_HINT"), Sponsor: "SPONSOR_SV_URL"}, "", nil
}

// PartyHint is the name that a node's party was given, as the validator app's
// database of a set has it; "" where it does not.
func PartyHint(set holdfast.Set) (hint string) {
	for _, c := range set.Parts() {
		f := c.Facts.Validator
		if f == nil {
			continue
		}
		for _, store := range f.Stores {
			if name, _, found := strings.Cut(store.Party, "::"); found && store.Name == "DbValidatorStore" {
				hint = name
			}
		}
	}
	return hint
}
