package shares_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"holdfast"
	"holdfast/identities/shares"
)

func TestAnyThresholdOfSharesHasTheSecret(t *testing.T) {
	for _, c := range []struct{ threshold, total int }{{2, 2}, {2, 3}, {3, 4}} {
		secret, list := split(t, c.threshold, c.total)
		for chosen := range 1 << c.total { // every subset
			var some []shares.Share
			for i, s := range list {
				if chosen>>i&1 == 1 {
					some = append(some, reread(t, s))
				}
			}
			got, err := shares.Join(some)
			if len(some) >= c.threshold {
				if err != nil || !bytes.Equal(got, secret) {
					t.Errorf("%d of %d, shares %b: got another secret, %v", c.threshold, c.total, chosen, err)
				}
				continue
			}
			if err == nil || bytes.Equal(got, secret) {
				t.Errorf("%d of %d, shares %b: too few have the secret", c.threshold, c.total, chosen)
			}
		}
	}
}

func TestTooFewSharesSayWhichWouldDo(t *testing.T) {
	_, list := split(t, 3, 5)
	_, err := shares.Join([]shares.Share{list[1], list[1]})
	expect(t, err, "2 more shares are missing", "share 2 of 5", "Give 2 more of the shares 1, 3, 4, 5.")
	_, err = shares.Join([]shares.Share{list[1], list[4]})
	expect(t, err, "one more share is missing", "Give 1 more of the shares 1, 3, 4.")
	_, err = shares.Join(nil)
	expect(t, err, "there are no shares")
}

func TestAWrongShareIsNamed(t *testing.T) {
	_, list := split(t, 2, 3)
	_, other := split(t, 2, 3)
	_, err := shares.Join([]shares.Share{list[0], shares.Forged(list[1]), list[2]})
	expect(t, err, "share 2 of 3 of key "+list[0].Key()+" is damaged or forged")
	_, err = shares.Join([]shares.Share{list[0], other[1]})
	expect(t, err, "not of one key", "share 1 of 3 of key "+list[0].Key(), "share 2 of 3 of key "+other[0].Key())
}

func TestImpossibleThresholdsAreRefused(t *testing.T) {
	for _, c := range []struct{ threshold, total int }{{0, 0}, {1, 1}, {1, 3}, {4, 3}, {-1, 3}, {2, 65}, {300, 300}} {
		_, _, err := shares.New(c.threshold, c.total)
		if err == nil {
			t.Errorf("%d of %d shares were made", c.threshold, c.total)
		}
	}
}

// A share comes back from paper, mail and password managers.
func TestSharesAreReadAsTheyWereKept(t *testing.T) {
	_, list := split(t, 3, 4)
	word := list[2].Text().Reveal()
	for name, text := range map[string]string{
		"plain":      word,
		"lower case": strings.ToLower(word),
		"labelled":   "Holdfast, safe 3: " + word + " (keep this)\nshare three",
		"wrapped":    "> " + word[:40] + "\r\n> " + word[40:90] + "\r\n> " + word[90:] + "\r\n",
		"in groups":  word[:20] + " " + word[20:25] + "-" + word[25:],
		"digits":     word[:16] + strings.NewReplacer("O", "0", "I", "1", "B", "8").Replace(word[16:]),
	} {
		got, err := shares.Parse(holdfast.NewSecret(text))
		if err != nil || len(got) != 1 || got[0].Text().Reveal() != word {
			t.Errorf("%s: got %v, %v", name, got, err)
		}
	}
	both := word + "\n# the next\n" + list[0].Text().Reveal()
	if got, err := shares.Parse(holdfast.NewSecret(both)); err != nil || len(got) != 2 {
		t.Errorf("two in one text: got %v, %v", got, err)
	}
}

func TestNoDamageGoesUnnoticed(t *testing.T) {
	_, list := split(t, 2, 3)
	word := list[1].Text().Reveal()
	begins := strings.Index(word, "1") + 1
	for i := begins; i < len(word); i++ {
		damaged := []byte(word)
		damaged[i] = 'A' + (damaged[i]-'A'+1)%26
		if got, err := shares.Parse(holdfast.NewSecret(string(damaged))); err == nil && got[0].Text().Reveal() != word {
			t.Errorf("letter %d: the damage was not seen", i)
		}
		if _, err := shares.Parse(holdfast.NewSecret(word[:i])); err == nil {
			t.Errorf("cut at letter %d: the damage was not seen", i)
		}
	}
	_, err := shares.Parse(holdfast.NewSecret(word[:len(word)-3]))
	expect(t, err, "share 2 of 3 is cut short")
}

// Shares that were made once are read for ever.
func TestSharesOfTheFirstFormat(t *testing.T) {
	text, err := os.ReadFile("testdata/two-of-three.txt")
	if err != nil {
		t.Fatal(err)
	}
	list, err := shares.Parse(holdfast.NewSecret(string(text)))
	if err != nil || len(list) != 3 {
		t.Fatalf("got %v, %v", list, err)
	}
	const secret = "101f3c9fa3524e21e6f29276cdba9d3c36c216af9a9676359118fcfbe7751408"
	for _, two := range [][]shares.Share{list[:2], list[1:], {list[2], list[0]}} {
		if got, err := shares.Join(two); err != nil || hex.EncodeToString(got) != secret {
			t.Errorf("%v: got %x, %v", two, got, err)
		}
	}
}

func TestAShareDoesNotPrintItsSecret(t *testing.T) {
	_, list := split(t, 2, 2)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		if got, want := fmt.Sprintf(verb, list[0]), "share 1 of 2 of key "+list[0].Key(); got != want {
			t.Errorf("%s prints %q", verb, got)
		}
	}
}

func split(t *testing.T, threshold, total int) ([]byte, []shares.Share) {
	t.Helper()
	secret, list, err := shares.New(threshold, total)
	if err != nil || len(list) != total {
		t.Fatalf("got %d shares, %v", len(list), err)
	}
	return secret, list
}

func reread(t *testing.T, s shares.Share) shares.Share {
	t.Helper()
	list, err := shares.Parse(s.Text())
	if err != nil || len(list) != 1 {
		t.Fatalf("got %v, %v", list, err)
	}
	return list[0]
}

func expect(t *testing.T, err error, parts ...string) {
	t.Helper()
	var p *holdfast.Problem
	if !errors.As(err, &p) || p.Class != holdfast.WrongKey {
		t.Fatalf("got %v", err)
	}
	for _, part := range parts {
		if !strings.Contains(p.What+"\n"+p.Do, part) {
			t.Errorf("%q is not in %q, next %q", part, p.What, p.Do)
		}
	}
}
