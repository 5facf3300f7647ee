package setup

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"filippo.io/age"

	"holdfast"
	"holdfast/config"
	"holdfast/identities"
)

// IdentityPlace is a place of identities.keep as it is now.
type IdentityPlace struct {
	Place    string           `json:"place"`
	InClear  bool             `json:"in_clear"`
	Newest   string           `json:"newest,omitempty"` // the file, or the version of a secret
	Written  *time.Time       `json:"written,omitempty"`
	Versions int              `json:"versions"`
	Live     holdfast.Verdict `json:"live"` // holds: they are the running node's, whole
	Found    string           `json:"found"`
	ReadBack *time.Time       `json:"read_back,omitempty"` // when they were last read
	Do       string           `json:"do,omitempty"`
}

const fetchThem = "`holdfast identities fetch` writes them."

// IdentityPlaces looks at each place of identities.keep: what is newest there,
// whether that is the running node's, and whether it can be read.
func (p *Parts) IdentityPlaces(ctx context.Context, now time.Time) ([]IdentityPlace, error) {
	out := []IdentityPlace{}
	kept, err := p.IdentitiesBackup(ctx)
	if err != nil {
		return nil, err
	}
	fetched, unknown := p.fetchIdentities(ctx, 1, func() *identities.Participant { return nil })
	for _, k := range p.Config.Identities.Keep {
		want := ""
		if unknown == nil {
			want = identities.FileName(fetched.ID, fetched.Content(), kept.Recipients)
			if k.InClear() {
				want = identities.ClearName(fetched.ID, fetched.Content())
			}
		}
		at := p.lookAt(ctx, k, want, now)
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if at.Live == holdfast.CannotTell && at.Found == "" {
			at.Found = fmt.Sprintf("the running node's identities are unknown: %v", unknown)
		}
		if at.ReadBack == nil {
			at.ReadBack = p.lastKept(ctx, k)
		}
		out = append(out, at)
	}
	return out, nil
}

// lookAt looks at one place; want is the name that the running node's identities
// have there, "" if that is unknown.
func (p *Parts) lookAt(ctx context.Context, k config.Keep, want string, now time.Time) IdentityPlace {
	at := IdentityPlace{Place: k.Place.String(), InClear: k.InClear(), Live: holdfast.CannotTell}
	newest, versions, content, err := p.newestAt(ctx, k, want)
	at.Versions, at.Newest = versions, newest.Where
	if !newest.Written.IsZero() {
		at.Written = &newest.Written
	}
	if err == nil && versions > 0 && !k.InClear() {
		err = identities.Whole(content)
	}
	switch {
	case err != nil:
		at.Found = err.Error()
		_, at.Do = holdfast.Advice(err)
		if holdfast.ClassOf(err) == holdfast.Violation {
			at.Live = holdfast.Violated
		}
		return at
	case versions == 0:
		at.Live, at.Found, at.Do = holdfast.Violated, "there are none", fetchThem
		return at
	}
	at.ReadBack = &now
	switch {
	case want == "":
	case newest.Name == want:
		at.Live, at.Found = holdfast.Holds, "the running node's"
	case identities.SameContent(newest.Name, want):
		at.Live, at.Found, at.Do = holdfast.Violated, "the running node's, sealed to other recipients", fetchThem
	default:
		at.Live, at.Found, at.Do = holdfast.Violated, "others than the running node's", fetchThem
	}
	return at
}

// newestAt reads what is newest in a place: the wanted one, where a directory has
// it next to others.
func (p *Parts) newestAt(
	ctx context.Context, k config.Keep, want string,
) (newest identities.Kept, versions int, content []byte, err error) {
	keeper := p.keeper(k)
	list, err := keeper.List(ctx)
	if err != nil || len(list) == 0 {
		return newest, 0, nil, err
	}
	newest = list[0]
	if i := slices.IndexFunc(list, func(k identities.Kept) bool { return k.Name == want }); i > 0 {
		newest = list[i]
	}
	content, err = keeper.Read(ctx, newest)
	return newest, len(list), content, err
}

// lastKept is when the newest proven set was taken, if its identities were kept
// in a place, and read there; nil otherwise.
func (p *Parts) lastKept(ctx context.Context, k config.Keep) *time.Time {
	set, _, err := p.newestProven(ctx)
	if err != nil || set.Identities == nil {
		return nil
	}
	where := p.where(ctx, k)
	if where == "" || !slices.ContainsFunc(set.Identities.Kept, func(kept string) bool {
		return strings.HasPrefix(kept, where)
	}) {
		return nil
	}
	return &set.Began.Wall
}

// where is how the names of all files or versions of a place begin; "" where that
// is unknown.
func (p *Parts) where(ctx context.Context, k config.Keep) string {
	if dir, local := k.Place.Local(); local {
		return dir
	}
	opened, err := safe{p, k}.open(ctx)
	if err != nil {
		return ""
	}
	return opened.Manager.Where(opened.Name, "")
}

// TestRecoveryKey tries whether a key opens the identities of the newest proven
// set, and those of every place. What it opens is judged and forgotten.
func (p *Parts) TestRecoveryKey(ctx context.Context, keys []age.Identity) []Finding {
	out := []Finding{p.testKeyOfSet(ctx, keys)}
	if p.Config.Identities == nil {
		return out
	}
	for _, k := range p.Config.Identities.Keep {
		subject := k.String()
		newest, versions, content, err := p.newestAt(ctx, k, "")
		switch {
		case err != nil:
			out = append(out, Found(subject, "", err))
		case versions == 0:
			out = append(out, Finding{
				Subject: subject, Verdict: holdfast.Violated, Found: "there are none",
				Why: "This place brings nothing back.", Do: fetchThem,
			})
		case k.InClear():
			_, err := identities.Parse(content)
			out = append(out, Found(subject, newest.Where+" is in clear: it needs no key", err))
		default:
			out = append(out, Found(subject, newest.Where+" opens",
				opensWith(content, keys, p.Config.Identities.Recipients)))
		}
	}
	return out
}

func (p *Parts) testKeyOfSet(ctx context.Context, keys []age.Identity) Finding {
	const subject = "newest proven set"
	set, files, err := p.newestProven(ctx)
	if err != nil {
		return Found(subject, "", err)
	}
	if set.Identities == nil {
		return Finding{
			Subject: subject, Verdict: holdfast.Violated, Found: fmt.Sprintf("set %s has no identities", set.ID),
			Why: "It comes back from its databases alone.", Do: "Add identities: to holdfast.yaml.",
		}
	}
	in, err := files.Open(ctx, set.Identities.SealedFile)
	if err != nil {
		return Found(subject, "", err)
	}
	defer func() { _ = in.Close() }()
	content, err := io.ReadAll(in)
	if err == nil {
		err = opensWith(content, keys, set.Identities.Recipients)
	}
	if err == nil {
		err = p.RememberKeyTest(ctx, set)
	}
	return Found(subject, fmt.Sprintf("the identities of set %s open", set.ID), err)
}

// opensWith reports why a key does not open sealed identities, or what is wrong
// with them.
func opensWith(content []byte, keys []age.Identity, recipients []string) error {
	clear, err := identities.Open(bytes.NewReader(content), keys, recipients)
	if err == nil {
		_, err = identities.Parse(clear)
	}
	return err
}
