package shares

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/cloudflare/circl/group"
	"github.com/cloudflare/circl/secretsharing"

	"holdfast"
)

// curve is the group that secrets are numbers of: of prime order, and with
// arithmetic that takes the same time for every secret.
var curve = group.Ristretto255

// Most is the largest number of shares.
const Most = 64

// Share is one person's part of a secret.
type Share struct {
	Number    int // 1 to Total
	Total     int
	Threshold int // how many of them have the secret together

	value       group.Scalar
	commitments []group.Element
}

// String names the share without its secret.
func (s Share) String() string {
	return fmt.Sprintf("share %d of %d of key %s", s.Number, s.Total, s.Key())
}

// GoString is String, for %#v.
func (s Share) GoString() string { return s.String() }

// Key names what was split, the same for all its shares.
func (s Share) Key() string {
	sum := sha256.New()
	for _, c := range s.commitments {
		sum.Write(bytesOf(c))
	}
	const enough = 4 // to tell the keys of one operator apart
	return hex.EncodeToString(sum.Sum(nil)[:enough])
}

// New makes a random secret and splits it.
func New(threshold, total int) (secret []byte, list []Share, err error) {
	if threshold < 2 || threshold > total || total > Most {
		return nil, nil, &holdfast.Problem{
			Class: holdfast.Usage,
			What:  fmt.Sprintf("%d of %d shares is no way to split a key", threshold, total),
			Why:   "One share alone would be the key itself, and no more can be needed than there are.",
			Do:    fmt.Sprintf("Choose at most %d shares, and a threshold of two up to their number.", Most),
		}
	}
	key := curve.RandomNonZeroScalar(rand.Reader)
	// The library counts the shares that are not enough.
	split := secretsharing.New(rand.Reader, uint(threshold-1), key)
	commitments := split.CommitSecret()
	for i, s := range split.Share(uint(total)) {
		list = append(list, Share{
			Number: i + 1, Total: total, Threshold: threshold, value: s.Value, commitments: commitments,
		})
	}
	return bytesOf(key), list, nil
}

// Join is the secret that shares were split from. A share that is given twice
// counts once. It fails with the names of those that are wrong or missing.
func Join(list []Share) ([]byte, error) {
	for _, s := range list {
		if !s.genuine() {
			return nil, problem(s.String()+" is damaged or forged: it does not match its commitments",
				"Leave it out, and give another share instead.")
		}
	}
	if err := sameKey(list); err != nil {
		return nil, err
	}
	var distinct []Share
	for _, s := range list {
		if !slices.ContainsFunc(distinct, func(o Share) bool { return o.Number == s.Number }) {
			distinct = append(distinct, s)
		}
	}
	if err := enough(distinct); err != nil {
		return nil, err
	}
	var parts []secretsharing.Share
	for _, s := range distinct {
		parts = append(parts, s.part())
	}
	key, err := secretsharing.Recover(uint(distinct[0].Threshold-1), parts)
	if err != nil {
		return nil, fmt.Errorf("join the shares: %w", err)
	}
	return bytesOf(key), nil
}

// genuine reports whether a share is one of those that its commitments were made
// with.
func (s Share) genuine() bool {
	return secretsharing.Verify(uint(s.Threshold-1), s.part(), s.commitments)
}

func (s Share) part() secretsharing.Share {
	return secretsharing.Share{ID: curve.NewScalar().SetUint64(uint64(s.Number)), Value: s.value}
}

// sameKey refuses shares of several keys. Which of them is the wrong one is for
// people to say: the names say which belong together.
func sameKey(list []Share) error {
	for _, s := range list {
		if s.Key() != list[0].Key() {
			return problem(fmt.Sprintf("the shares are not of one key: %s", names(list)),
				"Give only shares with the same name of the key.")
		}
	}
	return nil
}

func enough(list []Share) error {
	if len(list) == 0 {
		return problem("there are no shares", "Give the files of the shares.")
	}
	missing := list[0].Threshold - len(list)
	if missing <= 0 {
		return nil
	}
	var others []string
	for n := range list[0].Total {
		if !slices.ContainsFunc(list, func(s Share) bool { return s.Number == n+1 }) {
			others = append(others, fmt.Sprint(n+1))
		}
	}
	count := fmt.Sprintf("%d more shares are missing", missing)
	if missing == 1 {
		count = "one more share is missing"
	}
	return problem(fmt.Sprintf("%s: %d are needed, and there is only %s", count, list[0].Threshold, names(list)),
		fmt.Sprintf("Give %d more of the shares %s.", missing, strings.Join(others, ", ")))
}

func names(list []Share) string {
	var out []string
	for _, s := range list {
		out = append(out, s.String())
	}
	return strings.Join(out, ", ")
}

func problem(what, do string) error {
	return &holdfast.Problem{
		Class: holdfast.WrongKey,
		What:  what,
		Why:   "A recovery key that was split opens nothing until enough of its shares are together.",
		Do:    do,
	}
}

// bytesOf is a number or a point of the curve, always 32 bytes.
func bytesOf(v interface{ MarshalBinary() ([]byte, error) }) []byte {
	data, err := v.MarshalBinary()
	if err != nil {
		panic(fmt.Sprintf("a point of %v has no bytes: %v", curve, err)) // it has no other result
	}
	return data
}
