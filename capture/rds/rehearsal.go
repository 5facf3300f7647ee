package rds

import (
	"context"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	"github.com/aws/aws-sdk-go-v2/service/rds/types"

	"holdfast"
	"holdfast/capture/instances"
	"holdfast/capture/snapshot"
	"holdfast/content"
)

// Create implements instances.Account. The instance is open to nobody but its
// security groups, is in one zone, and has no backups of its own.
func (s Servers) Create(ctx context.Context, name string, n instances.New, labels map[string]string) error {
	in := &rds.CreateDBInstanceInput{
		DBInstanceIdentifier:    &name,
		DBInstanceClass:         &n.Class,
		Engine:                  aws.String("postgres"),
		EngineVersion:           given(n.Version),
		AllocatedStorage:        number(n.GB),
		StorageType:             aws.String("gp3"),
		Tags:                    tagged(labels),
		DBSubnetGroupName:       given(n.Subnets),
		VpcSecurityGroupIds:     n.SecurityGroups,
		CACertificateIdentifier: given(n.Certificate),
		MasterUsername:          &n.User,
		MasterUserPassword:      aws.String(n.Password.Reveal()),
		PubliclyAccessible:      aws.Bool(false),
		MultiAZ:                 aws.Bool(false),
		DeletionProtection:      aws.Bool(false),
		BackupRetentionPeriod:   aws.Int32(0),
		AutoMinorVersionUpgrade: aws.Bool(false),
		CopyTagsToSnapshot:      aws.Bool(false),
	}
	_, err := s.API.CreateDBInstance(ctx, in)
	what := "make instance " + name
	otherwise := func(why, do string) error {
		return &holdfast.Problem{
			Class: holdfast.Refused, What: fmt.Sprintf("RDS in %s: %s", s.Region, what), Err: short(err), Why: why, Do: do,
		}
	}
	switch {
	case err != nil && strings.Contains(err.Error(), "Cannot find version"):
		return otherwise("RDS makes no new instance of Postgres "+n.Version+".", "Name a version that it makes: --postgres.")
	case is[*types.InsufficientDBInstanceCapacityFault](err), err != nil && strings.Contains(err.Error(), "DBInstanceClass"):
		return otherwise("The class "+n.Class+" cannot be had there now.", "Name another one: --class.")
	}
	return s.restored(what, content.Shape{Subnets: n.Subnets}, err)
}

// Snapshots implements instances.Account.
func (s Servers) Snapshots(ctx context.Context) ([]snapshot.Snapshot, error) {
	return Instance{s.Account, ""}.List(ctx)
}

// DeleteSnapshot implements instances.Account.
func (s Servers) DeleteSnapshot(ctx context.Context, name string) error {
	_, err := s.API.DeleteDBSnapshot(ctx, &rds.DeleteDBSnapshotInput{DBSnapshotIdentifier: &name})
	switch {
	case is[*types.DBSnapshotNotFoundFault](err):
		return nil
	case is[*types.InvalidDBSnapshotStateFault](err):
		return fmt.Errorf("%w: %w", snapshot.ErrBusy, short(err))
	}
	return s.explain("delete snapshot "+name, err)
}

var _ instances.Account = Servers{}
