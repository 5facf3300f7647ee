package secretmanagertest

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// The keys that the stand-in for AWS knows.
const (
	AWSKey    = "AKIASTANDINSTANDIN00"
	AWSSecret = "standinSecretKeyStandinSecretKeyStandin0"
	AWSRegion = "eu-central-1"
)

// AWS stands for AWS Secrets Manager in one region. It looks at who signed a
// request, and does not verify the signature.
type AWS struct {
	*StandIn

	Scheduled string // a secret that is scheduled for deletion
}

// NewAWS starts one.
func NewAWS(t testing.TB) *AWS {
	a := &AWS{}
	a.StandIn = serve(t, func(*StandIn) http.HandlerFunc { return a.handle })
	return a
}

// awsRequest is what the requests have, together.
type awsRequest struct {
	SecretID string `json:"SecretId"`
	Name     string `json:"Name"`
	Version  string `json:"VersionId"`
	Stage    string `json:"VersionStage"`
	Token    string `json:"ClientRequestToken"`
	Text     string `json:"SecretString"`
}

func (a *AWS) handle(w http.ResponseWriter, r *http.Request) {
	signed := r.Header.Get("Authorization")
	action := strings.TrimPrefix(r.Header.Get("X-Amz-Target"), "secretsmanager.")
	var in awsRequest
	if decode(r, &in) != nil || !strings.HasPrefix(signed, "AWS4-HMAC-SHA256 Credential=") {
		refuse(w, "MissingAuthenticationTokenException", "Missing Authentication Token")
		return
	}
	switch {
	case a.rejected || !strings.Contains(signed, AWSKey+"/"):
		refuse(w, "UnrecognizedClientException", "The security token included in the request is invalid.")
		return
	case !strings.Contains(signed, "/"+AWSRegion+"/secretsmanager/aws4_request"):
		refuse(w, "InvalidSignatureException", "Credential should be scoped to a valid region.")
		return
	case a.denied:
		refuse(w, "AccessDeniedException", "User: arn:aws:iam::1:user/x is not authorized to perform: "+action)
		return
	case in.SecretID == a.Scheduled && a.Scheduled != "":
		refuse(w, "InvalidRequestException",
			"You can't perform this operation on the secret because it was marked for deletion.")
		return
	}
	switch action {
	case "GetSecretValue":
		a.get(w, in)
	case "PutSecretValue":
		a.put(w, in.SecretID, in, a.secrets[in.SecretID] != nil)
	case "CreateSecret":
		if a.secrets[in.Name] != nil {
			refuse(w, "ResourceExistsException", "The operation failed because the secret "+in.Name+" already exists.")
			return
		}
		a.put(w, in.Name, in, true)
	case "ListSecretVersionIds":
		a.list(w, in)
	default:
		a.removals++
		refuse(w, "AccessDeniedException", action)
	}
}

func refuse(w http.ResponseWriter, kind, message string) {
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	reply(w, http.StatusBadRequest, object{"__type": kind, "Message": message})
}

func (a *AWS) get(w http.ResponseWriter, in awsRequest) {
	v, there := a.secrets[in.SecretID].find(in.Version)
	if !there {
		refuse(w, "ResourceNotFoundException", "Secrets Manager can't find the specified secret.")
		return
	}
	out := a.described(in.SecretID, v)
	out["SecretString"] = v.text
	reply(w, http.StatusOK, out)
}

func (a *AWS) put(w http.ResponseWriter, name string, in awsRequest, there bool) {
	const most = 65536
	switch old, again := a.secrets[name].find(in.Token); {
	case !there:
		refuse(w, "ResourceNotFoundException", "Secrets Manager can't find the specified secret.")
		return
	case len(in.Text) > most:
		refuse(w, "ValidationException", "Member must have length less than or equal to 65536")
		return
	case again && in.Token != "" && old.text != in.Text:
		refuse(w, "ResourceExistsException", "You can't use the same client token for another value.")
		return
	case again && in.Token != "":
		reply(w, http.StatusOK, a.described(name, old))
		return
	}
	a.writes++
	reply(w, http.StatusOK, a.described(name, a.add(name, in.Token, in.Text)))
}

func (a *AWS) list(w http.ResponseWriter, in awsRequest) {
	s := a.secrets[in.SecretID]
	if s == nil {
		refuse(w, "ResourceNotFoundException", "Secrets Manager can't find the specified secret.")
		return
	}
	var list []object
	for _, v := range s.versions {
		list = append(list, a.described(in.SecretID, v))
	}
	reply(w, http.StatusOK, object{"Versions": list, "Name": in.SecretID})
}

func (a *AWS) described(name string, v version) object {
	stages := []string{}
	if v.id == a.secrets[name].newest().id {
		stages = append(stages, "AWSCURRENT")
	}
	return object{
		"ARN": "arn:aws:secretsmanager:" + AWSRegion + ":123456789012:secret:" + name + "-AbCdEf", "Name": name,
		"VersionId": v.id, "VersionStages": stages,
		"CreatedDate": float64(v.created.UnixNano()) / float64(time.Second),
	}
}
