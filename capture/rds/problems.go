package rds

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/rds/types"
	"github.com/aws/smithy-go"

	"holdfast"
	"holdfast/capture/instances"
	"holdfast/capture/snapshot"
)

// explain gives an error of the client to people, with what to do about it.
func (a Account) explain(what string, err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, context.Canceled) {
		return err
	}
	p := &holdfast.Problem{
		Class: holdfast.Failed, What: fmt.Sprintf("RDS in %s: %s", a.Region, what), Err: short(err),
		Why: "Without this answer nothing is known of the snapshots there.",
		Do:  "Look at the instance's events in AWS's console. To try again: `holdfast config check --live`.",
	}
	var said smithy.APIError
	var answer *awshttp.ResponseError
	switch {
	case is[*types.SnapshotQuotaExceededFault](err):
		p.Class = holdfast.NoSpace
		p.Why = "The account has as many manual snapshots as it may have. No set was taken."
		p.Do = "Keep fewer sets: `holdfast retention`; or delete snapshots of others, or raise the provider's quota."
	case is[*types.KMSKeyNotAccessibleFault](err):
		p.Class = holdfast.Refused
		p.Why = "The instance is encrypted with a key that this role cannot use, or that is disabled."
		p.Do = "Allow kms:DescribeKey and kms:CreateGrant on that key, or enable it."
	case errors.As(err, &said) && (said.ErrorCode() == "AccessDenied" || said.ErrorCode() == "AccessDeniedException" ||
		said.ErrorCode() == "UnauthorizedOperation"):
		p.Class = holdfast.WrongKey
		p.Why = "The role that Holdfast has in AWS lacks a right."
		p.Do = "Compare its policy with docs/policies/rds-*.json."
		if right := lacking(said.ErrorMessage()); right != "" {
			p.Do = fmt.Sprintf("Allow it %s: compare its policy with %s.", right, policyOf(right, what))
		}
	case errors.As(err, &answer) && answer.HTTPStatusCode() == http.StatusForbidden:
		p.Class = holdfast.WrongKey
		p.Why = "AWS does not accept the credentials, or the clock of this machine is wrong."
		p.Do = "Look at `aws sts get-caller-identity` as the user who runs Holdfast."
	case !errors.As(err, &said):
		p.Class = holdfast.Unreachable
		p.Why = "AWS gave no answer, or no credentials were found for it."
		p.Do = "Check the network, AWS_REGION, and the credentials of the user who runs Holdfast."
	}
	return p
}

// lacking is the right that AWS says is lacking: "rds:ModifyDBInstance". "" where
// it does not say.
func lacking(message string) string {
	_, after, _ := strings.Cut(message, "not authorized to perform: ")
	right, _, _ := strings.Cut(after, " ")
	return strings.Trim(right, ".")
}

// policyOf is the file that has a right, for what is being done.
func policyOf(right, what string) string {
	name := "rds-backup.json"
	if strings.Contains(what, instances.RehearsalPrefix) {
		return "docs/policies/rds-rehearse.json"
	}
	switch strings.TrimPrefix(right, "rds:") {
	case "DescribeDBClusters": // every role has to look at them
		return "the one of docs/policies that it was made of"
	case "RestoreDBInstanceFromDBSnapshot", "ModifyDBInstance", "DeleteDBInstance", "CreateDBInstance",
		"RestoreDBClusterFromSnapshot", "ModifyDBCluster", "DeleteDBCluster":
		name = "rds-restore.json"
		if strings.Contains(what, snapshot.Prefix+"lift-") { // a temporary instance
			name = "rds-lift.json"
		}
	case "DeleteDBSnapshot", "DeleteDBClusterSnapshot":
		name = "rds-retention.json"
	}
	return "docs/policies/" + name
}

// short is what the service said, without what the client says of its tries.
func short(err error) error {
	var said smithy.APIError
	if errors.As(err, &said) {
		return fmt.Errorf("%s: %s", said.ErrorCode(), said.ErrorMessage())
	}
	return err
}

func is[T error](err error) bool {
	var want T
	return errors.As(err, &want)
}

// requested turns what a request for a snapshot was answered into what package
// snapshot asks about.
func (a Account) requested(what string, err error) error {
	switch {
	case is[*types.DBSnapshotAlreadyExistsFault](err), is[*types.DBClusterSnapshotAlreadyExistsFault](err):
		return snapshot.ErrExists
	case is[*types.InvalidDBInstanceStateFault](err), is[*types.InvalidDBClusterStateFault](err):
		return fmt.Errorf("%w: %w", snapshot.ErrBusy, short(err))
	}
	return a.explain(what, err)
}
