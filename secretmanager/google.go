package secretmanager

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"cloud.google.com/go/auth"
	"cloud.google.com/go/auth/credentials"

	"holdfast"
)

// GoogleOptions say how Google Secret Manager is reached. Without a key the
// credentials come by Google's own chain: the file of
// GOOGLE_APPLICATION_CREDENTIALS, of an external account too, those of gcloud,
// the service account of the machine.
type GoogleOptions struct {
	Project  string
	Key      holdfast.SecretFunc // the key of a service account, as JSON; may be nil
	Endpoint string              // of another server that speaks it: https://...
	CA       string
	Within   time.Duration
	Learn    func(holdfast.Secret) holdfast.Secret // hears of tokens; may be nil
}

// Google is the secret manager of one project of Google Cloud.
type Google struct {
	project  string
	endpoint string
	tokens   *auth.Credentials
	learn    func(holdfast.Secret) holdfast.Secret
	caller   caller
}

const googleBytes = 64 << 10

// NewGoogle makes a secret manager of Google. It reads Google's configuration.
func NewGoogle(ctx context.Context, o GoogleOptions) (*Google, error) {
	trust, err := trusting(o.CA)
	if err != nil {
		return nil, &holdfast.Problem{Class: holdfast.Usage, What: "secret_managers.google.ca", Err: err,
			Do: "Correct it in holdfast.yaml, or make the file readable."}
	}
	g := &Google{
		project: o.Project, endpoint: strings.TrimSuffix(or(o.Endpoint, "https://secretmanager.googleapis.com"), "/"),
		learn: o.Learn, caller: newCaller(o.Within, trust),
	}
	g.tokens, err = googleTokens(ctx, o)
	return g, err
}

// googleTokens finds the credentials.
func googleTokens(ctx context.Context, o GoogleOptions) (*auth.Credentials, error) {
	scopes := &credentials.DetectOptions{Scopes: []string{"https://www.googleapis.com/auth/cloud-platform"}}
	if o.Key == nil {
		found, err := credentials.DetectDefault(scopes)
		if err != nil {
			return nil, &holdfast.Problem{
				Class: holdfast.Usage, What: "no credentials for Google Secret Manager", Err: err,
				Why: "Neither secret_managers.google nor Google's own configuration nor this machine has any.",
				Do:  "Set GOOGLE_APPLICATION_CREDENTIALS, or secret_managers.google.key in holdfast.yaml." + retry,
			}
		}
		return found, nil
	}
	key, err := o.Key(ctx)
	if err != nil {
		return nil, err
	}
	// Other kinds of credentials may name files and servers of their own.
	found, err := credentials.NewCredentialsFromJSON(credentials.ServiceAccount, []byte(key.Reveal()), scopes)
	if err != nil {
		return nil, &holdfast.Problem{
			Class: holdfast.Usage, What: "secret_managers.google.key is not the key of a service account",
			Do: "Name the file that Google gave. For an external account set GOOGLE_APPLICATION_CREDENTIALS instead.",
		}
	}
	return found, nil
}

// googleVersion is a version in Google's answers.
type googleVersion struct {
	Name    string    `json:"name"` // projects/P/secrets/S/versions/N
	Created time.Time `json:"createTime"`
	State   string    `json:"state"`
	Payload struct {
		Data     []byte `json:"data"`
		Checksum string `json:"dataCrc32c"`
	} `json:"payload"`
}

func (v googleVersion) version() Version {
	return Version{
		ID:      v.Name[strings.LastIndex(v.Name, "/")+1:],
		Created: v.Created,
		Gone:    v.State == "DESTROYED" || v.State == "DISABLED",
	}
}

// Read implements Manager. A version that is disabled or destroyed has no value.
func (g *Google) Read(ctx context.Context, name, version string) (Version, holdfast.Secret, error) {
	what := "read " + g.Where(name, version)
	path := g.secret(name) + "/versions/" + url.PathEscape(or(version, "latest"))
	var got googleVersion
	err := g.call(ctx, what, http.MethodGet, path+":access", nil, &got)
	if errors.Is(err, errGone) {
		if err := g.call(ctx, what, http.MethodGet, path, nil, &got); err != nil {
			return Version{}, holdfast.Secret{}, err
		}
		return got.version(), holdfast.Secret{}, none(what + ": this version is disabled or destroyed")
	}
	if err != nil {
		return Version{}, holdfast.Secret{}, err
	}
	if sum := got.Payload.Checksum; sum != "" && sum != checksum(got.Payload.Data) {
		return got.version(), holdfast.Secret{}, unreachable(what, errors.New("the value was damaged on its way"))
	}
	return got.version(), holdfast.NewSecret(string(got.Payload.Data)), nil
}

// checksum is CRC-32C as Google writes it.
func checksum(data []byte) string {
	return strconv.FormatUint(uint64(crc32.Checksum(data, crc32.MakeTable(crc32.Castagnoli))), 10)
}

// Write implements Manager. Google compares nothing: after is not looked at.
func (g *Google) Write(ctx context.Context, name string, value Value, _ string) (Version, error) {
	what := "write " + g.Where(name, "")
	text := []byte(value.Text.Reveal())
	body := map[string]any{"payload": map[string]any{"data": text, "dataCrc32c": checksum(text)}}
	var got googleVersion
	err := g.call(ctx, what, http.MethodPost, g.secret(name)+":addVersion", body, &got)
	if isNone(err) {
		made := map[string]any{"replication": map[string]any{"automatic": map[string]any{}}}
		path := "projects/" + url.PathEscape(g.project) + "/secrets?secretId=" + url.QueryEscape(name)
		err = g.call(ctx, what, http.MethodPost, path, made, &json.RawMessage{})
		if err == nil || errors.Is(err, ErrChanged) {
			err = g.call(ctx, what, http.MethodPost, g.secret(name)+":addVersion", body, &got)
		}
	}
	return got.version(), err
}

// Versions implements Manager.
func (g *Google) Versions(ctx context.Context, name string) ([]Version, error) {
	const pages = 20
	what := "list the versions of " + g.Where(name, "")
	path := g.secret(name) + "/versions?pageSize=100"
	next := ""
	var out []Version
	for range pages {
		var got struct {
			Versions []googleVersion `json:"versions"`
			Next     string          `json:"nextPageToken"`
		}
		err := g.call(ctx, what, http.MethodGet, path+next, nil, &got)
		if isNone(err) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		for _, v := range got.Versions {
			out = append(out, v.version())
		}
		if got.Next == "" {
			break
		}
		next = "&pageToken=" + url.QueryEscape(got.Next)
	}
	return out, nil
}

// Limits implements Manager.
func (g *Google) Limits(context.Context, string) (Limits, error) {
	return Limits{Bytes: googleBytes}, nil
}

// Join implements Manager.
func (g *Google) Join(name, own string) string {
	return joined(name, own, func(s string) string { return notGoogle.ReplaceAllString(s, "-") })
}

var notGoogle = regexp.MustCompile(`[^0-9A-Za-z_-]`)

// Close implements Manager: there is nothing to give back.
func (g *Google) Close(context.Context) error { return nil }

// Where implements Manager.
func (g *Google) Where(name, version string) string {
	return where("gcpsm://"+g.project+"/"+name, version)
}

func (g *Google) secret(name string) string {
	return "projects/" + url.PathEscape(g.project) + "/secrets/" + url.PathEscape(name)
}

// errGone says that a version has no value.
var errGone = errors.New("the version is disabled or destroyed")

func (g *Google) call(ctx context.Context, what, method, path string, body, into any) error {
	r := request{method: method, url: g.endpoint + "/v1/" + path, body: body, sign: g.sign}
	return g.caller.fetch(ctx, what, r, into, func(got answer) error { return g.explain(what, path, got) })
}

func (g *Google) sign(ctx context.Context, r *http.Request, _ []byte) error {
	t, err := g.tokens.Token(ctx)
	if err != nil {
		if refused := new(auth.Error); ctx.Err() != nil || errors.As(err, &refused) && refused.Temporary() {
			return err
		}
		return &holdfast.Problem{
			Class: holdfast.WrongKey, What: "Google gives no token for Secret Manager",
			Err: errors.New(firstLine(err)),
			Do:  "Check the credentials: `gcloud auth application-default print-access-token`." + retry,
		}
	}
	if g.learn != nil {
		g.learn(holdfast.NewSecret(t.Value))
	}
	r.Header.Set("Authorization", "Bearer "+t.Value)
	return nil
}

// firstLine is an error without what follows its first line.
func firstLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}

// googleRoles are the roles that give each right.
var googleRoles = map[string]string{
	":access":     "roles/secretmanager.secretAccessor",
	":addVersion": "roles/secretmanager.secretVersionAdder",
	"?secretId=":  "roles/secretmanager.admin, or have the secret made for you",
	"/versions":   "roles/secretmanager.viewer",
}

func (g *Google) explain(what, path string, got answer) error {
	var said struct {
		Error struct {
			Status  string `json:"status"`
			Message string `json:"message"`
		} `json:"error"`
	}
	_ = got.into(&said) // an answer that is no JSON has its status
	message := said.Error.Message
	switch {
	case got.status == http.StatusNotFound:
		return none(what)
	case got.status == http.StatusConflict:
		return ErrChanged
	case said.Error.Status == "FAILED_PRECONDITION" && strings.HasSuffix(path, ":access"):
		return errGone
	case got.status == http.StatusUnauthorized:
		return notAccepted(what, message, "Check the credentials: `gcloud auth application-default print-access-token`.")
	case got.status == http.StatusForbidden:
		role := ""
		for _, part := range []string{":access", ":addVersion", "?secretId=", "/versions"} {
			if role == "" && strings.Contains(path, part) {
				role = googleRoles[part]
			}
		}
		return notAllowed(what, message, fmt.Sprintf("`gcloud projects add-iam-policy-binding %s --member=MEMBER --role=%s`",
			g.project, role))
	}
	return refused(what, got.status, message)
}
