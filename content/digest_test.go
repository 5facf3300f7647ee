package content_test

import (
	"encoding/json"
	"math/rand/v2"
	"strings"
	"testing"

	"holdfast/content"
)

func randomDigest(r *rand.Rand) content.Digest {
	return content.Digest{Hi: r.Uint64(), Lo: r.Uint64()}
}

// A table's digest must not depend on the order of its rows, nor on where it
// was cut into segments.
func TestDigestsAddUpInAnyOrderAndGrouping(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		rows := make([]content.Digest, 1+r.IntN(20))
		var want content.Digest
		for i := range rows {
			rows[i] = randomDigest(r)
			want = want.Plus(rows[i])
		}
		r.Shuffle(len(rows), func(i, k int) { rows[i], rows[k] = rows[k], rows[i] })
		cut := r.IntN(len(rows) + 1)
		var left, right content.Digest
		for _, d := range rows[:cut] {
			left = left.Plus(d)
		}
		for _, d := range rows[cut:] {
			right = right.Plus(d)
		}
		if got := right.Plus(left); got != want {
			t.Fatalf("%v in another order and cut at %d adds up to %v", want, cut, got)
		}
	}
}

func TestDigestsCarryAndWrap(t *testing.T) {
	all := ^uint64(0)
	for _, c := range []struct{ a, b, want content.Digest }{
		{content.Digest{}, content.Digest{Hi: 1, Lo: 2}, content.Digest{Hi: 1, Lo: 2}},
		{content.Digest{Lo: all}, content.Digest{Lo: 1}, content.Digest{Hi: 1}},
		{content.Digest{Hi: all, Lo: all}, content.Digest{Lo: 1}, content.Digest{}},
	} {
		if got := c.a.Plus(c.b); got != c.want {
			t.Errorf("%v + %v = %v, want %v", c.a, c.b, got, c.want)
		}
	}
}

func TestADigestThatMissesOrRepeatsARowDiffers(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	a, b := randomDigest(r), randomDigest(r)
	both := a.Plus(b)
	for name, other := range map[string]content.Digest{"without b": a, "a twice": a.Plus(a).Plus(b), "nothing": {}} {
		if other == both {
			t.Errorf("%s has the digest of a and b", name)
		}
	}
}

func FuzzDigestText(f *testing.F) {
	f.Add(content.Digest{Hi: 1, Lo: 0xffeeddccbbaa9988}.String())
	f.Add(strings.Repeat("F", 32))
	f.Add(strings.Repeat(" ", 16) + "1" + strings.Repeat(" ", 15))
	f.Add("0x1122334455667788+0x11223344556")
	f.Add("1122334455667788 x12233445566778")
	f.Fuzz(func(t *testing.T, text string) {
		var d content.Digest
		if err := d.UnmarshalText([]byte(text)); err != nil {
			return
		}
		if d.String() != strings.ToLower(text) {
			t.Errorf("%q was read as %s", text, d)
		}
	})
}

func TestDigestTextRoundTrip(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for range 100 {
		want := randomDigest(r)
		text, _ := json.Marshal(want)
		var got content.Digest
		if err := json.Unmarshal(text, &got); err != nil || got != want {
			t.Fatalf("%s came back as %v, %v", text, got, err)
		}
	}
}
