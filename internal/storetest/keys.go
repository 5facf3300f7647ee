package storetest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"holdfast/repository"
)

// Issuer gives keys of a bucket that expire, in the ways in which AWS gives them.
// The keys are those of a user of the gateway, who is deleted when they expire. They
// have no session token, which the gateway refuses.
type Issuer struct {
	t    testing.TB
	s    Store
	file string // credential_process prints it

	mu    sync.Mutex
	users int
	asked int
	life  time.Duration // of what is given from now on
}

// S3Issued is a bucket of versitygw, and an issuer of keys for it. Each of its ways is
// opened by a method, which closes all others that the environment has.
func S3Issued(t testing.TB) (Store, *Issuer) {
	t.Helper()
	s := s3(t, "--iam-dir", t.TempDir(), "--iam-cache-disable")
	i := &Issuer{t: t, s: s, file: filepath.Join(t.TempDir(), "keys.json"), life: time.Hour}
	i.admin("create-user", "--access", i.user(), "--secret", SecretKey, "--role", "admin")
	return s, i
}

// Expire ends the keys that were given until now. New ones live that long.
func (i *Issuer) Expire(life time.Duration) {
	i.t.Helper()
	i.mu.Lock()
	defer i.mu.Unlock()
	i.admin("delete-user", "--access", i.user())
	i.users++
	i.admin("create-user", "--access", i.user(), "--secret", SecretKey, "--role", "admin")
	i.life = life
	write(i.t, i.file, i.keys())
}

// Asked is how often keys were asked for.
func (i *Issuer) Asked() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.asked
}

func (i *Issuer) user() string { return "issued-" + strconv.Itoa(i.users) }

func (i *Issuer) admin(args ...string) {
	i.t.Helper()
	command := exec.Command(program(i.t, "versitygw"), append([]string{ //nolint:noctx // short
		"admin", "--access", keyID, "--secret", SecretKey, "--endpoint-url", "http://" + i.s.Address,
	}, args...)...)
	if out, err := command.CombinedOutput(); err != nil {
		i.t.Fatalf("%v: %v\n%s", args, err, out)
	}
}

func (i *Issuer) expiration() string { return time.Now().Add(i.life).UTC().Format(time.RFC3339Nano) }

// keys are the keys as the instance's metadata and a credential process write them.
func (i *Issuer) keys() string {
	text, err := json.Marshal(map[string]any{
		"Version": 1, "Code": "Success", "Type": "AWS-HMAC", "LastUpdated": "2026-01-01T00:00:00Z",
		"AccessKeyId": i.user(), "SecretAccessKey": SecretKey, "Expiration": i.expiration(),
	})
	if err != nil {
		i.t.Fatal(err)
	}
	return string(text)
}

// none takes every way to keys from the environment.
func (i *Issuer) none(t *testing.T) {
	t.Helper()
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_SESSION_TOKEN": "", "AWS_PROFILE": "",
		"AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull,
		"AWS_WEB_IDENTITY_TOKEN_FILE": "", "AWS_ROLE_ARN": "",
	} {
		t.Setenv(name, value)
	}
}

// Profile gives the keys by profiles of the shared configuration: `static` has those
// of the bucket's owner, `process` those that a command prints.
func (i *Issuer) Profile(t *testing.T) {
	t.Helper()
	i.none(t)
	write(t, i.file, i.keys())
	config := filepath.Join(t.TempDir(), "config")
	write(t, config, fmt.Sprintf(`[profile static]
region = %s
aws_access_key_id = %s
aws_secret_access_key = %s

[profile process]
region = %s
credential_process = cat %s
`, region, keyID, SecretKey, region, i.file))
	t.Setenv("AWS_CONFIG_FILE", config)
}

// WebIdentity gives the keys by AWS's token service, for the token of a pod.
func (i *Issuer) WebIdentity(t *testing.T) {
	t.Helper()
	i.none(t)
	const ofThePod = "canary-token-of-a-pod"
	tokens := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.FormValue("Action") != "AssumeRoleWithWebIdentity" || r.FormValue("WebIdentityToken") != ofThePod {
			http.Error(w, "<ErrorResponse><Error><Code>InvalidIdentityToken</Code></Error></ErrorResponse>",
				http.StatusBadRequest)
			return
		}
		i.mu.Lock()
		defer i.mu.Unlock()
		i.asked++
		w.Header().Set("Content-Type", "text/xml")
		_, _ = fmt.Fprintf(w, `<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">`+
			`<AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>%s</AccessKeyId>`+
			`<SecretAccessKey>%s</SecretAccessKey><SessionToken></SessionToken><Expiration>%s</Expiration>`+
			`</Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>`,
			i.user(), SecretKey, i.expiration())
	}))
	t.Cleanup(tokens.Close)
	token := filepath.Join(t.TempDir(), "token")
	write(t, token, ofThePod)
	t.Setenv("AWS_WEB_IDENTITY_TOKEN_FILE", token)
	t.Setenv("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/backup")
	t.Setenv("AWS_REGION", region)
	t.Setenv("AWS_ENDPOINT_URL_STS", tokens.URL)
}

// InstanceRole gives the keys by the metadata service of the machine, version 2.
func (i *Issuer) InstanceRole(t *testing.T) {
	t.Helper()
	i.none(t)
	const session = "session"
	metadata := http.NewServeMux()
	metadata.HandleFunc("PUT /latest/api/token", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Aws-Ec2-Metadata-Token-Ttl-Seconds", "300")
		_, _ = w.Write([]byte(session))
	})
	answer := func(text func() string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("X-Aws-Ec2-Metadata-Token") != session {
				http.Error(w, "no session", http.StatusUnauthorized)
				return
			}
			_, _ = w.Write([]byte(text()))
		}
	}
	const roles = "GET /latest/meta-data/iam/security-credentials/"
	metadata.HandleFunc(roles+"{$}", answer(func() string { return "backup" }))
	metadata.HandleFunc(roles+"backup", answer(func() string {
		i.mu.Lock()
		defer i.mu.Unlock()
		i.asked++
		return i.keys()
	}))
	server := httptest.NewServer(metadata)
	t.Cleanup(server.Close)
	t.Setenv("AWS_EC2_METADATA_DISABLED", "")
	t.Setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", server.URL)
}

// GCSExternal is a bucket of fake-gcs-server for an external account: a token of
// another issuer, in a file, is exchanged for one that lives so long. It also returns
// how often one was asked for.
func GCSExternal(t *testing.T, life time.Duration) (Store, func() int) {
	t.Helper()
	const ofTheIssuer = "canary-token-of-an-issuer"
	s := GCS(t)
	s.Access = repository.Access{}
	var asked atomic.Int64
	tokens := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.FormValue("subject_token") != ofTheIssuer {
			http.Error(w, `{"error": "invalid_grant"}`, http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprintf(w, `{"access_token": "%s-%d", "issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
			"token_type": "Bearer", "expires_in": %d}`, SecretKey, asked.Add(1), int(life.Seconds()))
	}))
	t.Cleanup(tokens.Close)
	token, file := filepath.Join(t.TempDir(), "token"), filepath.Join(t.TempDir(), "account.json")
	write(t, token, ofTheIssuer)
	text, err := json.Marshal(map[string]any{
		"type":               "external_account",
		"audience":           "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/backup/providers/demo",
		"subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
		"token_url":          tokens.URL,
		"credential_source":  map[string]string{"file": token},
	})
	if err != nil {
		t.Fatal(err)
	}
	write(t, file, string(text))
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", file)
	return s, func() int { return int(asked.Load()) }
}
