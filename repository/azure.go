package repository

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	azblob "github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"
	"github.com/kopia/kopia/repo/blob"
	"github.com/kopia/kopia/repo/blob/readonly"

	"holdfast"
	"holdfast/place"
)

// openAzure opens a container of Azure Blob Storage. The credentials are the key
// of the account, a shared access signature, or those that Azure's own chain
// finds: variables, workload identity, the machine's managed identity, az.
// kopia's storage knows no managed identity and no chain, so this one is ours.
func openAzure(ctx context.Context, at entry) (blob.Storage, error) {
	client, err := azureContainer(ctx, at.Place, at.access)
	if err != nil {
		return nil, err
	}
	blobs := azureBlobs{container: client, name: at.String(), prefix: prefixOf(at.Place), asOf: at.asOf}
	if at.asOf.IsZero() {
		return blobs, nil
	}
	return readonly.NewWrapper(blobs), azureKeepsPast(ctx, at, client)
}

// azureContainer is the client of the place's container.
func azureContainer(ctx context.Context, at place.Place, a Access) (*container.Client, error) {
	c, err := a.read(ctx)
	if err != nil {
		return nil, err
	}
	o, err := azureOptions(at, a)
	if err != nil {
		return nil, err
	}
	address := azureAccount(at) + "/" + at.Bucket
	switch {
	case c.key != "" && c.token != "":
		return nil, errors.New("repository.access: azblob needs the account's key or a token, not both")
	case c.token != "":
		return container.NewClientWithNoCredential(address+"?"+strings.TrimPrefix(c.token, "?"), o)
	case c.key != "":
		key, err := azblob.NewSharedKeyCredential(at.Account, c.key)
		if err != nil {
			return nil, errors.New("repository.access.key is not the key of a storage account: it is not base64")
		}
		return container.NewClientWithSharedKeyCredential(address, key, o)
	}
	identity, err := anyOfAzure(ctx)
	if err != nil {
		return nil, err
	}
	return container.NewClient(address, identity, o)
}

// azureLogin reaches Microsoft's login; nil: as Azure's own clients do.
var azureLogin policy.Transporter

// anyOfAzure is the identity that Azure's own chain finds.
func anyOfAzure(ctx context.Context) (azcore.TokenCredential, error) {
	identity, err := azidentity.NewDefaultAzureCredential(&azidentity.DefaultAzureCredentialOptions{
		ClientOptions: azcore.ClientOptions{Transport: azureLogin},
	})
	if err == nil {
		_, err = identity.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{"https://storage.azure.com/.default"}})
	}
	if err == nil {
		return identity, nil
	}
	return nil, &holdfast.Problem{
		Class: holdfast.Usage,
		What:  "no credentials for azblob",
		Err:   err,
		Why:   "Neither repository.access nor Azure's own configuration nor a managed identity of this machine has any.",
		Do: "Name repository.access.key or repository.access.token, or set AZURE_CLIENT_ID. To try again: " +
			"`holdfast config check --live`.",
	}
}

// azureAccount is the address of the storage account: a name below Azure's own,
// or a path of another server.
func azureAccount(at place.Place) string {
	if at.Host != "" {
		return schemeOf(at) + at.Host + "/" + at.Account
	}
	domain := at.Option(place.Domain)
	if domain == "" {
		domain = "blob.core.windows.net"
	}
	return schemeOf(at) + at.Account + "." + domain
}

func azureOptions(at place.Place, a Access) (*container.ClientOptions, error) {
	o := &container.ClientOptions{ClientOptions: azcore.ClientOptions{
		// The deadline of a request ends its repetitions: those of a moment's failure.
		Retry:                           policy.RetryOptions{MaxRetries: 8, RetryDelay: 200 * time.Millisecond},
		Telemetry:                       policy.TelemetryOptions{ApplicationID: hostName},
		InsecureAllowCredentialWithHTTP: at.Option(place.TLS) == place.Off,
	}}
	transport, err := a.transport()
	o.Transport = &http.Client{Transport: transport}
	return o, err
}
