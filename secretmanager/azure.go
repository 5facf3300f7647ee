package secretmanager

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"holdfast"
)

// AzureOptions say how a key vault of Azure is reached. Credentials come by
// Azure's own chain: variables, workload identity, the machine's managed
// identity, az.
type AzureOptions struct {
	Vault    string // its name, or its host name: NAME.vault.azure.cn
	Endpoint string // of another server that speaks it: https://...
	CA       string
	Within   time.Duration
	Learn    func(holdfast.Secret) holdfast.Secret // hears of tokens; may be nil
}

// Azure is a key vault of Azure.
type Azure struct {
	vault    string
	endpoint string
	scope    string
	tokens   azcore.TokenCredential
	learn    func(holdfast.Secret) holdfast.Secret
	caller   caller
}

// Azure takes texts up to azureBytes. A vault whose secret has more than
// azureVersions versions cannot be backed up by Azure's own means.
const (
	azureBytes    = 25000
	azureVersions = 500
	azureDomain   = "vault.azure.net"
)

// NewAzure makes a key vault. It reads Azure's configuration.
func NewAzure(o AzureOptions) (*Azure, error) {
	trust, err := trusting(o.CA)
	if err != nil {
		return nil, &holdfast.Problem{Class: holdfast.Usage, What: "secret_managers.azure.ca", Err: err,
			Do: "Correct it in holdfast.yaml, or make the file readable."}
	}
	tokens, err := azidentity.NewDefaultAzureCredential(nil)
	if err != nil {
		return nil, noneOfAzure(err)
	}
	name, domain, whole := strings.Cut(o.Vault, ".")
	if !whole {
		domain = azureDomain
	}
	return &Azure{
		vault: o.Vault, endpoint: strings.TrimSuffix(or(o.Endpoint, "https://"+name+"."+domain), "/"),
		scope: "https://" + domain + "/.default", tokens: tokens, learn: o.Learn, caller: newCaller(o.Within, trust),
	}, nil
}

func noneOfAzure(err error) error {
	return &holdfast.Problem{
		Class: holdfast.Usage, What: "no credentials for Azure Key Vault", Err: errors.New(firstLine(err)),
		Why: "Neither Azure's own configuration nor a managed identity of this machine has any.",
		Do:  "Set AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET, or `az login`." + retry,
	}
}

// azureVersion is a version in Azure's answers. Times are seconds.
type azureVersion struct {
	ID         string `json:"id"` // https://V.vault.azure.net/secrets/NAME/VERSION
	Value      string `json:"value"`
	Attributes struct {
		Enabled *bool `json:"enabled"`
		Created int64 `json:"created"`
	} `json:"attributes"`
}

func (v azureVersion) version() Version {
	return Version{
		ID:      v.ID[strings.LastIndex(v.ID, "/")+1:],
		Created: time.Unix(v.Attributes.Created, 0).UTC(),
		Gone:    v.Attributes.Enabled != nil && !*v.Attributes.Enabled,
	}
}

// Read implements Manager.
func (a *Azure) Read(ctx context.Context, name, version string) (Version, holdfast.Secret, error) {
	var got azureVersion
	what := "read " + a.Where(name, version)
	err := a.call(ctx, what, http.MethodGet, a.secret(name, version), nil, &got, "Secret: Get")
	if err != nil {
		return Version{}, holdfast.Secret{}, err
	}
	return got.version(), holdfast.NewSecret(got.Value), nil
}

// Write implements Manager. Azure compares nothing: after is not looked at.
func (a *Azure) Write(ctx context.Context, name string, value Value, _ string) (Version, error) {
	body := map[string]any{"value": value.Text.Reveal(), "contentType": "application/json"}
	var got azureVersion
	what := "write " + a.Where(name, "")
	err := a.call(ctx, what, http.MethodPut, a.secret(name, ""), body, &got, "Secret: Set")
	return got.version(), err
}

// Versions implements Manager.
func (a *Azure) Versions(ctx context.Context, name string) ([]Version, error) {
	const pages = 40
	what := "list the versions of " + a.Where(name, "")
	next := a.secret(name, "versions")
	var out []Version
	for range pages {
		var got struct {
			Value []azureVersion `json:"value"`
			Next  string         `json:"nextLink"`
		}
		if err := a.call(ctx, what, http.MethodGet, next, nil, &got, "Secret: List"); err != nil {
			if isNone(err) {
				return nil, nil
			}
			return nil, err
		}
		for _, v := range got.Value {
			out = append(out, v.version())
		}
		if !strings.HasPrefix(got.Next, a.endpoint+"/") { // a token goes to this server alone
			break
		}
		next = got.Next
	}
	slices.SortStableFunc(out, func(a, b Version) int { return b.Created.Compare(a.Created) })
	return out, nil
}

// Limits implements Manager.
func (a *Azure) Limits(context.Context, string) (Limits, error) {
	return Limits{Bytes: azureBytes, Versions: azureVersions}, nil
}

// Join implements Manager. Azure takes upper case for lower case.
func (a *Azure) Join(name, own string) string {
	return joined(name, own, func(s string) string { return notAzure.ReplaceAllString(strings.ToLower(s), "-") })
}

var notAzure = regexp.MustCompile(`[^0-9a-z-]`)

// Close implements Manager: there is nothing to give back.
func (a *Azure) Close(context.Context) error { return nil }

// Where implements Manager.
func (a *Azure) Where(name, version string) string {
	return where("azkv://"+a.vault+"/"+name, version)
}

// secret is the address of a secret, of a version, or of the list of versions.
func (a *Azure) secret(name, version string) string {
	address := a.endpoint + "/secrets/" + url.PathEscape(name)
	if version != "" {
		address += "/" + url.PathEscape(version)
	}
	return address + "?api-version=7.4"
}

func (a *Azure) call(ctx context.Context, what, method, address string, body, into any, right string) error {
	r := request{method: method, url: address, body: body, sign: a.sign}
	return a.caller.fetch(ctx, what, r, into, func(got answer) error { return a.explain(what, got, right) })
}

func (a *Azure) sign(ctx context.Context, r *http.Request, _ []byte) error {
	t, err := a.tokens.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{a.scope}})
	if err != nil {
		if ctx.Err() != nil {
			return err
		}
		return noneOfAzure(err)
	}
	if a.learn != nil {
		a.learn(holdfast.NewSecret(t.Token))
	}
	r.Header.Set("Authorization", "Bearer "+t.Token)
	return nil
}

func (a *Azure) explain(what string, got answer, right string) error {
	var said struct {
		Error struct {
			Code    string `json:"code"`
			Message string `json:"message"`
			Inner   struct {
				Code string `json:"code"`
			} `json:"innererror"`
		} `json:"error"`
	}
	_ = json.Unmarshal(got.body, &said) // an answer that is no JSON has its status
	message := said.Error.Message
	switch code := or(said.Error.Inner.Code, said.Error.Code); {
	case got.status == http.StatusNotFound:
		return none(what)
	case code == "SecretDisabled":
		return none(what + ": this version is disabled")
	case got.status == http.StatusUnauthorized:
		return notAccepted(what, message, "Check the credentials: `az account get-access-token`.")
	case code == "ForbiddenByFirewall":
		return refused(what, got.status, "the vault's firewall does not let this machine in")
	case got.status == http.StatusForbidden:
		role := "Key Vault Secrets User"
		if right == "Secret: Set" {
			role = "Key Vault Secrets Officer"
		}
		return notAllowed(what, "", fmt.Sprintf("`az role assignment create --assignee CLIENT --role %q --scope VAULT`, "+
			"or the access policy %q", role, right))
	case code == "ObjectIsDeletedButRecoverable":
		return &holdfast.Problem{
			Class: holdfast.Refused, What: what + ": the secret was deleted and can be recovered",
			Why: "Azure gives the name free only when the waiting time is over.",
			Do:  "`az keyvault secret recover --vault-name " + a.vault + " --name NAME`, or choose another name.",
		}
	}
	return refused(what, got.status, strings.TrimSpace(said.Error.Code+" "+message))
}
