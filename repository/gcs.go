package repository

import (
	"context"
	"encoding/json"
	"net/http"

	"cloud.google.com/go/auth/credentials"
	"cloud.google.com/go/auth/httptransport"
	"github.com/kopia/kopia/repo/blob"
	"github.com/kopia/kopia/repo/blob/readonly"
	"github.com/kopia/kopia/repo/blob/retrying"
	"google.golang.org/api/option"
	"google.golang.org/api/storage/v1"

	"holdfast"
)

// openGCS opens a bucket of Google Cloud Storage. The credentials are the key of
// a service account, or those that Google's own chain finds: the file of
// GOOGLE_APPLICATION_CREDENTIALS, of an external account too, those of gcloud,
// the service account of the machine. kopia's storage would link half as much
// again as the rest of the program, so this one is ours, on Google's own client
// of the same API.
func openGCS(ctx context.Context, at entry) (blob.Storage, error) {
	st, err := openRawGCS(ctx, at)
	if err != nil {
		return nil, err
	}
	return retrying.NewWrapper(st), nil
}

// openRawGCS opens a bucket in which nothing is tried twice.
func openRawGCS(ctx context.Context, at entry) (blob.Storage, error) {
	client, err := googleClient(ctx, at.access)
	if err != nil {
		return nil, err
	}
	options := []option.ClientOption{option.WithHTTPClient(client)}
	if at.Host != "" {
		options = append(options, option.WithEndpoint(schemeOf(at.Place)+at.Host+"/storage/v1/"))
	}
	service, err := storage.NewService(ctx, options...)
	if err != nil {
		return nil, err
	}
	blobs := gcsBlobs{
		objects: service.Objects,
		bucket:  at.Bucket,
		name:    at.String(),
		prefix:  prefixOf(at.Place),
		asOf:    at.asOf,
	}
	if !at.asOf.IsZero() {
		return readonly.NewWrapper(blobs), nil
	}
	return blobs, nil
}

// googleClient sends requests with the credentials of an access.
func googleClient(ctx context.Context, a Access) (*http.Client, error) {
	c, err := a.read(ctx)
	if err != nil {
		return nil, err
	}
	transport, err := a.transport()
	if err != nil {
		return nil, err
	}
	o := &httptransport.Options{BaseRoundTripper: transport, DisableTelemetry: true}
	scopes := &credentials.DetectOptions{Scopes: []string{storage.DevstorageFullControlScope}}
	if c.key != "" {
		o.Credentials, err = credentials.NewCredentialsFromJSON(credentials.ServiceAccount, []byte(c.key), scopes)
		if err != nil || !isServiceAccount(c.key) {
			return nil, noServiceAccount()
		}
		return httptransport.NewClient(o)
	}
	if o.Credentials, err = credentials.DetectDefault(scopes); err != nil {
		return nil, noneOfGoogle(err)
	}
	return httptransport.NewClient(o)
}

// isServiceAccount reports whether a key is that of a service account. Other
// kinds of credentials may make the program read files and ask servers of their
// choice, so they come from the operator's own environment only.
func isServiceAccount(key string) bool {
	var head struct {
		Type string `json:"type"`
	}
	return json.Unmarshal([]byte(key), &head) == nil && head.Type == "service_account"
}

// noServiceAccount does not repeat what was read: it may hold a secret.
func noServiceAccount() error {
	return &holdfast.Problem{
		Class: holdfast.Usage,
		What:  "repository.access.key is not the key of a service account",
		Why:   "Google writes it as JSON, with the type service_account.",
		Do: "Name the file that Google gave. For an external account set GOOGLE_APPLICATION_CREDENTIALS instead. " +
			"To try again: `holdfast config check --live`.",
	}
}

func noneOfGoogle(err error) error {
	return &holdfast.Problem{
		Class: holdfast.Usage,
		What:  "no credentials for gs",
		Err:   err,
		Why:   "Neither repository.access nor Google's own configuration nor a service account of this machine has any.",
		Do: "Name repository.access.key, or set GOOGLE_APPLICATION_CREDENTIALS. To try again: " +
			"`holdfast config check --live`.",
	}
}
