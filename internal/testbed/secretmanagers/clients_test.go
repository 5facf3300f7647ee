//go:build ignore

// Package releasecheck has the vendors' own clients speak to our stand-ins: what
// they write we read, and they read what we write. internal/testbed/secretmanagers.sh
// runs it, in a module of its own.
package releasecheck

import (
	"context"
	"errors"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"testing"

	"cloud.google.com/go/auth/credentials"
	google "cloud.google.com/go/secretmanager/apiv1"
	"cloud.google.com/go/secretmanager/apiv1/secretmanagerpb"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets"
	"github.com/aws/aws-sdk-go-v2/aws"
	awscredentials "github.com/aws/aws-sdk-go-v2/credentials"
	aws_sm "github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	vault "github.com/hashicorp/vault/api"
	openbao "github.com/openbao/openbao/api/v2"
	"google.golang.org/api/option"

	"holdfast"
	"holdfast/secretmanager"
	"holdfast/secretmanager/secretmanagertest"
)

const (
	theirs = `{"password":"theirs"}`
	ours   = `{"password":"ours"}`
)

func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// exchange writes a version behind theirs, and reads theirs.
func exchange(t *testing.T, m secretmanager.Manager, name string) secretmanager.Version {
	t.Helper()
	v, text, err := m.Read(t.Context(), name, "")
	if err != nil || text.Reveal() != theirs {
		t.Fatalf("theirs is %q, %v", text.Reveal(), err)
	}
	written, err := m.Write(t.Context(), name, secretmanager.Value{Text: holdfast.NewSecret(ours), Digest: "ours"}, v.ID)
	if err != nil {
		t.Fatal(err)
	}
	list, err := m.Versions(t.Context(), name)
	if err != nil || len(list) != 2 {
		t.Fatalf("versions %+v, %v", list, err)
	}
	return written
}

func TestClientOfVault(t *testing.T) {
	s := secretmanagertest.NewVault(t)
	conf := vault.DefaultConfig()
	conf.Address = s.URL
	c := must[*vault.Client](t)(vault.NewClient(conf))
	c.SetToken(secretmanagertest.VaultToken)
	kv := c.KVv2("secret")
	must[*vault.KVSecret](t)(kv.Put(t.Context(), "app", map[string]any{"password": "theirs"}, vault.WithCheckAndSet(0)))
	if _, err := kv.Put(t.Context(), "app", map[string]any{}, vault.WithCheckAndSet(0)); err == nil {
		t.Error("check-and-set lets a second writer pass")
	}
	m := must[*secretmanager.Vault](t)(secretmanager.NewVault(secretmanager.VaultOptions{
		Address: s.URL, Login: secretmanager.Login{Token: holdfast.Fixed(holdfast.NewSecret(secretmanagertest.VaultToken))},
	}))
	exchange(t, m, "secret/app")
	if got := must[*vault.KVSecret](t)(kv.Get(t.Context(), "app")); got.Data["password"] != "ours" ||
		got.VersionMetadata.Version != 2 {
		t.Errorf("they read %+v", got)
	}
	if got := must[[]vault.KVVersionMetadata](t)(kv.GetVersionsAsList(t.Context(), "app")); len(got) != 2 {
		t.Errorf("they list %+v", got)
	}
	if _, err := kv.Get(t.Context(), "none"); !errors.Is(err, vault.ErrSecretNotFound) {
		t.Errorf("a secret that is not there: %v", err)
	}
}

func TestClientOfOpenBao(t *testing.T) {
	s := secretmanagertest.NewVault(t)
	conf := openbao.DefaultConfig()
	conf.Address = s.URL
	c := must[*openbao.Client](t)(openbao.NewClient(conf))
	c.SetToken(secretmanagertest.VaultToken)
	kv := c.KVv2("secret")
	must[*openbao.KVSecret](t)(kv.Put(t.Context(), "app", map[string]any{"password": "theirs"}))
	m := must[*secretmanager.Vault](t)(secretmanager.NewVault(secretmanager.VaultOptions{
		Address: s.URL, Login: secretmanager.Login{Token: holdfast.Fixed(holdfast.NewSecret(secretmanagertest.VaultToken))},
	}))
	exchange(t, m, "secret/app")
	if got := must[*openbao.KVSecret](t)(kv.Get(t.Context(), "app")); got.Data["password"] != "ours" {
		t.Errorf("they read %+v", got)
	}
}

func TestClientOfAWS(t *testing.T) {
	s := secretmanagertest.NewAWS(t)
	t.Setenv("AWS_ACCESS_KEY_ID", secretmanagertest.AWSKey)
	t.Setenv("AWS_SECRET_ACCESS_KEY", secretmanagertest.AWSSecret)
	c := aws_sm.New(aws_sm.Options{
		Region: secretmanagertest.AWSRegion, BaseEndpoint: aws.String(s.URL),
		Credentials: awscredentials.NewStaticCredentialsProvider(secretmanagertest.AWSKey, secretmanagertest.AWSSecret, ""),
	})
	must[*aws_sm.CreateSecretOutput](t)(c.CreateSecret(t.Context(), &aws_sm.CreateSecretInput{
		Name: aws.String("app"), SecretString: aws.String(theirs),
	}))
	m := must[*secretmanager.AWS](t)(secretmanager.NewAWS(t.Context(), secretmanager.AWSOptions{
		Region: secretmanagertest.AWSRegion, Endpoint: s.URL,
	}))
	written := exchange(t, m, "app")
	got := must[*aws_sm.GetSecretValueOutput](t)(c.GetSecretValue(t.Context(), &aws_sm.GetSecretValueInput{
		SecretId: aws.String("app"),
	}))
	if aws.ToString(got.SecretString) != ours || aws.ToString(got.VersionId) != written.ID || got.CreatedDate == nil {
		t.Errorf("they read %+v", got)
	}
	_, err := c.GetSecretValue(t.Context(), &aws_sm.GetSecretValueInput{SecretId: aws.String("none")})
	if !errors.As(err, new(*types.ResourceNotFoundException)) {
		t.Errorf("a secret that is not there: %v", err)
	}
}

func TestClientOfGoogle(t *testing.T) {
	s := secretmanagertest.NewGoogle(t)
	key := s.Key(t)
	found, err := credentials.NewCredentialsFromJSON(credentials.ServiceAccount, []byte(key), &credentials.DetectOptions{
		Scopes: []string{"https://www.googleapis.com/auth/cloud-platform"},
	})
	if err != nil {
		t.Fatal(err)
	}
	c := must[*google.Client](t)(google.NewRESTClient(t.Context(), option.WithEndpoint(s.URL), option.WithAuthCredentials(found)))
	project := "projects/" + secretmanagertest.GoogleProject
	must[*secretmanagerpb.Secret](t)(c.CreateSecret(t.Context(), &secretmanagerpb.CreateSecretRequest{
		Parent: project, SecretId: "app", Secret: &secretmanagerpb.Secret{},
	}))
	must[*secretmanagerpb.SecretVersion](t)(c.AddSecretVersion(t.Context(), &secretmanagerpb.AddSecretVersionRequest{
		Parent: project + "/secrets/app", Payload: &secretmanagerpb.SecretPayload{Data: []byte(theirs)},
	}))
	m := must[*secretmanager.Google](t)(secretmanager.NewGoogle(t.Context(), secretmanager.GoogleOptions{
		Project: secretmanagertest.GoogleProject, Endpoint: s.URL, Key: holdfast.Fixed(holdfast.NewSecret(key)),
	}))
	exchange(t, m, "app")
	got := must[*secretmanagerpb.AccessSecretVersionResponse](t)(c.AccessSecretVersion(t.Context(),
		&secretmanagerpb.AccessSecretVersionRequest{Name: project + "/secrets/app/versions/latest"}))
	if string(got.Payload.Data) != ours {
		t.Errorf("they read %s", got.Payload.Data)
	}
}

func TestClientOfAzure(t *testing.T) {
	s := secretmanagertest.NewAzure(t)
	identity := must[*azidentity.DefaultAzureCredential](t)(azidentity.NewDefaultAzureCredential(nil))
	// Azure's client sends its token by TLS only, and the stand-in has none.
	front := httptest.NewTLSServer(httputil.NewSingleHostReverseProxy(must[*url.URL](t)(url.Parse(s.URL))))
	t.Cleanup(front.Close)
	c := must[*azsecrets.Client](t)(azsecrets.NewClient(front.URL, identity, &azsecrets.ClientOptions{
		ClientOptions: policy.ClientOptions{Transport: front.Client()}, DisableChallengeResourceVerification: true,
	}))
	must[azsecrets.SetSecretResponse](t)(c.SetSecret(t.Context(), "app", azsecrets.SetSecretParameters{
		Value: aws.String(theirs),
	}, nil))
	m := must[*secretmanager.Azure](t)(secretmanager.NewAzure(secretmanager.AzureOptions{Vault: "standin", Endpoint: s.URL}))
	exchange(t, m, "app")
	got := must[azsecrets.GetSecretResponse](t)(c.GetSecret(context.Background(), "app", "", nil))
	if *got.Value != ours {
		t.Errorf("they read %s", *got.Value)
	}
}
