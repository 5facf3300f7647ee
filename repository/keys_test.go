package repository_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/kopia/kopia/repo/blob"

	"holdfast"
	"holdfast/internal/splicetest"
	"holdfast/internal/storetest"
	"holdfast/place"
	"holdfast/repository"
)

// Keys come in each of AWS's ways, and a repository stays open while they expire.
func TestKeysOfAWSExpireAndAreRenewed(t *testing.T) {
	s, issuer := storetest.S3Issued(t)
	for _, c := range []struct {
		way     string
		open    func(*testing.T)
		profile string
		life    time.Duration // of keys that are to be replaced two seconds after they were given
	}{
		{"a static profile", issuer.Profile, "static", time.Hour},
		{"a credential process", issuer.Profile, "process", repository.Early + 2*time.Second},
		{"a web identity", issuer.WebIdentity, "", repository.Early + 2*time.Second},
		{"an instance role", issuer.InstanceRole, "", 2 * time.Second}, // those near their end are not replaced early
	} {
		t.Run(c.way, func(t *testing.T) {
			if c.profile == "process" {
				splicetest.OnlyLong(t)
			}
			c.open(t)
			issuer.Expire(c.life)
			at := s.Place
			at.Path = strings.ReplaceAll(c.way, " ", "-")
			if c.profile != "" {
				text := s.Place.String() + "&profile=" + c.profile
				with, err := place.Parse(strings.Replace(text, s.Place.Path+"?", at.Path+"?", 1), "/")
				if err != nil {
					t.Fatal(err)
				}
				at = with
			}
			if err := repository.Create(t.Context(), at, holdfast.NewSecret(password)); err != nil {
				t.Fatal(err)
			}
			r := open(t, at)
			storeRows(t, r, 1, random(1, 1<<20))
			asked := issuer.Asked()
			if c.life < time.Hour {
				time.Sleep(2 * time.Second)
			}
			issuer.Expire(time.Hour)
			storeRows(t, r, 2, random(2, 1<<20))
			if list := sets(t, r, ""); len(list) != 2 {
				t.Errorf("the sets are %v", list)
			}
			if c.profile == "" && issuer.Asked() == asked {
				t.Error("no other keys were asked for")
			}
		})
	}
	t.Run("a profile that is not", func(t *testing.T) {
		issuer.Profile(t)
		at, err := place.Parse(s.Place.String()+"&profile=missing", "/")
		if err != nil {
			t.Fatal(err)
		}
		if _, err = repository.Open(t.Context(), at, holdfast.NewSecret(password)); err == nil ||
			!strings.Contains(err.Error(), "missing") {
			t.Errorf("%v", err)
		}
	})
}

// An external account of Google is one of the operator's environment: its tokens expire
// and are replaced while a repository stays open.
func TestAnExternalAccountOfGoogle(t *testing.T) {
	s, asked := storetest.GCSExternal(t, time.Second)
	created(t, s)
	r := open(t, s.Place)
	storeRows(t, r, 1, random(1, 1<<20))
	before := asked()
	time.Sleep(1100 * time.Millisecond)
	storeRows(t, r, 2, random(2, 1<<20))
	if list := sets(t, r, ""); len(list) != 2 || before == 0 || asked() == before {
		t.Errorf("the sets are %v; %d tokens, then %d", list, before, asked())
	}
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", os.DevNull)
	_, err := repository.Open(t.Context(), s.Place, holdfast.NewSecret(password))
	class(t, err, holdfast.Usage)
}

// The token that belongs to keys goes with each request.
func TestASessionTokenIsSent(t *testing.T) {
	const token = "canary-a-session-token"
	var bare atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Amz-Security-Token") != token {
			bare.Add(1)
		}
		w.WriteHeader(http.StatusForbidden)
	}))
	t.Cleanup(server.Close)
	at, err := place.Parse("s3://bucket/x?region=eu-1&tls=off&endpoint="+server.Listener.Addr().String(), "/")
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_SESSION_TOKEN": token,
	} {
		t.Setenv(name, value)
	}
	_, err = repository.Open(t.Context(), at, holdfast.NewSecret(password))
	if err == nil || !strings.Contains(err.Error(), "refuses access") || strings.Contains(err.Error(), "canary") {
		t.Errorf("%v", err)
	}
	if n := bare.Load(); n > 0 {
		t.Errorf("%d requests had no token", n)
	}
}

// keysNow are whatever keys stand in it.
type keysNow struct {
	aws.Credentials
	err error
}

func (k *keysNow) Retrieve(context.Context) (aws.Credentials, error) { return k.Credentials, k.err }

// A storage is opened again for other keys alone, and used to the end of its own while
// there are no others.
func TestAStorageIsOpenedOncePerKeys(t *testing.T) {
	keys := &keysNow{Credentials: aws.Credentials{AccessKeyID: "a", CanExpire: true, Expires: time.Now().Add(-time.Second)}}
	opened := 0
	st, err := repository.Renewing(t.Context(), keys, func(context.Context, aws.Credentials) (blob.Storage, error) {
		opened++
		return nothingIn{}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	look := func() error { return st.DeleteBlob(t.Context(), "x") }
	if err := errors.Join(look(), look()); err != nil || opened != 1 {
		t.Errorf("the same keys: %v, opened %d times", err, opened)
	}
	none := errors.New("no keys")
	keys.err = none
	if err := look(); err != nil || opened != 1 {
		t.Errorf("no others yet: %v, opened %d times", err, opened)
	}
	keys.err, keys.AccessKeyID, keys.Expires = nil, "b", time.Now().Add(-repository.Early)
	if err := look(); err != nil || opened != 2 {
		t.Errorf("other keys: %v, opened %d times", err, opened)
	}
	keys.err = none
	if err := look(); !errors.Is(err, none) {
		t.Errorf("after their end: %v", err)
	}
}

// nothingIn is an empty storage.
type nothingIn struct{ blob.Storage }

func (nothingIn) DeleteBlob(context.Context, blob.ID) error { return nil }
