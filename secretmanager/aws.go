package secretmanager

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/smithy-go/logging"

	"holdfast"
)

// AWSOptions say how AWS Secrets Manager is reached. Credentials, and what is
// empty, come by AWS's own chain: variables, shared configuration and profiles,
// web identity, the role of the machine.
type AWSOptions struct {
	Region   string
	Profile  string
	Endpoint string // of another server that speaks it: https://...
	CA       string // file with certificates to trust, in addition to the system's
	Within   time.Duration
}

// AWS is the secrets manager of one region of AWS. Names are those of secrets, or
// their ARNs.
type AWS struct {
	options  AWSOptions
	endpoint string
	region   string
	keys     aws.CredentialsProvider
	signer   *v4.Signer
	caller   caller
}

// AWS takes values up to awsBytes, and drops the oldest versions beyond
// awsVersions.
const (
	awsBytes    = 65536
	awsVersions = 100
)

// NewAWS makes a secrets manager of AWS. It reads AWS's configuration.
func NewAWS(ctx context.Context, o AWSOptions) (*AWS, error) {
	options := []func(*awsconfig.LoadOptions) error{awsconfig.WithLogger(logging.Nop{})} // a library is silent
	if o.Profile != "" {
		options = append(options, awsconfig.WithSharedConfigProfile(o.Profile))
	}
	found, err := awsconfig.LoadDefaultConfig(ctx, options...)
	region := or(o.Region, found.Region)
	if err == nil && region == "" {
		err = fmt.Errorf("no region is known")
	}
	if err != nil {
		return nil, &holdfast.Problem{
			Class: holdfast.Usage, What: "AWS Secrets Manager", Err: err,
			Do: "Write secret_managers.aws.region in holdfast.yaml, or set AWS_REGION or AWS_PROFILE.",
		}
	}
	trust, err := trusting(o.CA)
	if err != nil {
		return nil, &holdfast.Problem{Class: holdfast.Usage, What: "secret_managers.aws.ca", Err: err,
			Do: "Correct it in holdfast.yaml, or make the file readable."}
	}
	endpoint := or(o.Endpoint, os.Getenv("AWS_ENDPOINT_URL_SECRETS_MANAGER"), aws.ToString(found.BaseEndpoint))
	if endpoint == "" {
		endpoint = "https://secretsmanager." + region + ".amazonaws.com"
		if strings.HasPrefix(region, "cn-") {
			endpoint += ".cn"
		}
	}
	return &AWS{
		options: o, endpoint: strings.TrimSuffix(endpoint, "/") + "/", region: region,
		keys: found.Credentials, signer: v4.NewSigner(), caller: newCaller(o.Within, trust),
	}, nil
}

// awsVersion is a version of a secret in AWS's answers. Times are seconds.
type awsVersion struct {
	ID      string   `json:"VersionId"`
	Created float64  `json:"CreatedDate"`
	Stages  []string `json:"VersionStages"`
}

func (v awsVersion) version() Version {
	const milli = 1000
	out := Version{ID: v.ID}
	if v.Created > 0 {
		out.Created = time.UnixMilli(int64(v.Created * milli)).UTC()
	}
	return out
}

// Read implements Manager.
func (a *AWS) Read(ctx context.Context, name, version string) (Version, holdfast.Secret, error) {
	what := "read " + a.Where(name, version)
	body := map[string]string{"SecretId": name}
	if version != "" {
		body["VersionId"] = version
	}
	var got struct {
		awsVersion

		Text   string `json:"SecretString"`
		Binary []byte `json:"SecretBinary"`
	}
	if err := a.call(ctx, what, "GetSecretValue", name, body, &got); err != nil {
		return Version{}, holdfast.Secret{}, err
	}
	return got.version(), holdfast.NewSecret(or(got.Text, string(got.Binary))), nil
}

// Write implements Manager. The version's ID is made of the content and of the
// version before it, so that the same write twice is one.
func (a *AWS) Write(ctx context.Context, name string, value Value, after string) (Version, error) {
	what := "write " + a.Where(name, "")
	sum := sha256.Sum256([]byte(value.Digest + "\n" + after))
	body := map[string]string{
		"SecretId":           name,
		"SecretString":       value.Text.Reveal(),
		"ClientRequestToken": hex.EncodeToString(sum[:]),
	}
	var got awsVersion
	err := a.call(ctx, what, "PutSecretValue", name, body, &got)
	if after == "" && isNone(err) { // a secret that others made has no value yet, and is not made again
		delete(body, "SecretId")
		body["Name"], body["Description"] = name, "Written by Holdfast, which deletes nothing."
		err = a.call(ctx, what, "CreateSecret", name, body, &got)
	}
	return got.version(), err
}

// Versions implements Manager.
func (a *AWS) Versions(ctx context.Context, name string) ([]Version, error) {
	const page, pages = 100, 20
	what := "list the versions of " + a.Where(name, "")
	body := map[string]any{"SecretId": name, "IncludeDeprecated": true, "MaxResults": page}
	var all []awsVersion
	for range pages {
		var got struct {
			Versions []awsVersion `json:"Versions"`
			Next     string       `json:"NextToken"`
		}
		err := a.call(ctx, what, "ListSecretVersionIds", name, body, &got)
		if isNone(err) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		all = append(all, got.Versions...)
		if got.Next == "" {
			break
		}
		body["NextToken"] = got.Next
	}
	slices.SortStableFunc(all, func(a, b awsVersion) int {
		current := func(v awsVersion) int {
			if slices.Contains(v.Stages, "AWSCURRENT") {
				return 1
			}
			return 0
		}
		if c := current(b) - current(a); c != 0 {
			return c
		}
		return b.version().Created.Compare(a.version().Created)
	})
	var out []Version
	for _, v := range all {
		out = append(out, v.version())
	}
	return out, nil
}

// Limits implements Manager.
func (a *AWS) Limits(context.Context, string) (Limits, error) {
	return Limits{Bytes: awsBytes, Versions: awsVersions}, nil
}

// Join implements Manager.
func (a *AWS) Join(name, own string) string { return name + "/" + own }

// Close implements Manager: there is nothing to give back.
func (a *AWS) Close(context.Context) error { return nil }

// Where implements Manager.
func (a *AWS) Where(name, version string) string {
	return where("awssm://"+a.region+"/"+name, version)
}

func where(name, version string) string {
	if version != "" {
		return name + " version " + version
	}
	return name
}

// call makes a signed call.
func (a *AWS) call(ctx context.Context, what, action, name string, body, into any) error {
	got, err := a.caller.do(ctx, request{
		method: http.MethodPost, url: a.endpoint, body: body, sign: a.sign,
		header: http.Header{
			"Content-Type": {"application/x-amz-json-1.1"},
			"X-Amz-Target": {"secretsmanager." + action},
		},
	})
	if err != nil {
		return unreachable(what, err)
	}
	if got.ok() {
		if err := got.into(into); err != nil {
			return unreachable(what, err)
		}
		return nil
	}
	return a.explain(what, action, name, got)
}

func (a *AWS) sign(ctx context.Context, r *http.Request, body []byte) error {
	keys, err := a.keys.Retrieve(ctx)
	if err != nil {
		return &holdfast.Problem{
			Class: holdfast.Usage, What: "no credentials for AWS Secrets Manager", Err: err,
			Why: "Neither AWS's own configuration nor a role of this machine has any.",
			Do:  "Set AWS_PROFILE, or secret_managers.aws.profile in holdfast.yaml." + retry,
		}
	}
	sum := sha256.Sum256(body)
	return a.signer.SignHTTP(ctx, keys, r, hex.EncodeToString(sum[:]), "secretsmanager", a.region, time.Now())
}

// explain says what an answer means.
func (a *AWS) explain(what, action, name string, got answer) error {
	var said struct {
		Type    string `json:"__type"`
		Message string `json:"message"`
		Other   string `json:"Message"`
	}
	_ = got.into(&said) // an answer that is no JSON has its status
	kind := said.Type[strings.LastIndex(said.Type, "#")+1:]
	message := or(said.Message, said.Other)
	switch kind {
	case "ResourceNotFoundException":
		return none(what)
	case "ResourceExistsException":
		return ErrChanged
	case "AccessDeniedException":
		return notAllowed(what, "", fmt.Sprintf(`{"Effect": "Allow", "Action": "secretsmanager:%s", `+
			`"Resource": "arn:aws:secretsmanager:%s:*:secret:%s-*"}`, action, a.region, name))
	case "UnrecognizedClientException", "InvalidSignatureException", "ExpiredTokenException",
		"IncompleteSignature", "InvalidClientTokenId", "MissingAuthenticationTokenException":
		do := "Check AWS's own configuration: `aws sts get-caller-identity`."
		if strings.Contains(message, "expired") && kind == "InvalidSignatureException" {
			do = "Correct this machine's clock: AWS takes signatures of the last five minutes."
		}
		return notAccepted(what, kind, do)
	case "InvalidRequestException":
		if strings.Contains(message, "deletion") || strings.Contains(message, "deleted") {
			return &holdfast.Problem{
				Class: holdfast.Refused, What: what + ": the secret is scheduled for deletion",
				Why: "AWS gives the name free only when the waiting time is over.",
				Do:  "`aws secretsmanager restore-secret --secret-id " + name + "`, or choose another name.",
			}
		}
	}
	return refused(what, got.status, strings.TrimSpace(kind+" "+message))
}
