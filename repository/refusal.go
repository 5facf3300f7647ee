package repository

import (
	"errors"
	"net"
	"net/http"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/kopia/kopia/repo/blob"
	"github.com/minio/minio-go/v7"
	"github.com/studio-b12/gowebdav"
	"google.golang.org/api/googleapi"

	"holdfast"
	"holdfast/grace"
)

// refusal explains why a place outside of this machine does not serve; what is
// what was to be done there.
func refusal(what string, err error) error {
	if already := new(holdfast.Problem); errors.As(err, &already) {
		return err // it says itself what to do
	}
	p := &holdfast.Problem{Class: holdfast.Failed, What: what, Err: err}
	var network net.Error
	switch status := statusOf(err); {
	case errors.Is(err, blob.ErrInvalidCredentials) || status == http.StatusUnauthorized:
		p.What += ": it does not accept the credentials"
		p.Do = "Check repository.access, or the vendor's own configuration. To try again: `holdfast config check --live`."
	case status == http.StatusForbidden:
		p.What += ": it refuses access"
		p.Why = "These credentials may not list and read there, or they are wrong."
		p.Do = "Grant what docs/places.md lists for the node. To try again: `holdfast config check --live`."
	case status == http.StatusNotFound:
		p.Class = holdfast.NoRepository
		p.What += ": there is no such bucket"
		p.Do = "Create the bucket, or correct repository.path. To try again: `holdfast config check --live`."
	case errors.As(err, &network) || errors.As(err, new(grace.Late)):
		p.Class = holdfast.Unreachable
		p.What += ": the server does not answer"
		p.Why = "Until it does, no set can be stored or read."
		p.Do = "Check the server, the network and repository.path. To try again: `holdfast config check --live`."
	}
	return p
}

// statusOf is the HTTP status with which a server has refused; 0 where it is
// unknown.
func statusOf(err error) int {
	var s3 minio.ErrorResponse
	var google *googleapi.Error
	var azure *azcore.ResponseError
	var dav gowebdav.StatusError
	switch {
	case errors.As(err, &s3):
		return s3.StatusCode
	case errors.As(err, &google):
		return google.Code
	case errors.As(err, &azure):
		return azure.StatusCode
	case errors.As(err, &dav):
		return dav.Status
	}
	return 0
}
