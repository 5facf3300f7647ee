package rds

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	"github.com/aws/aws-sdk-go-v2/service/rds/types"

	"holdfast"
	"holdfast/capture/snapshot"
	"holdfast/content"
)

// Instances are the instances of an account, where a restore makes new ones of
// snapshots. It implements instances.Provider.
type Instances struct{ Account }

// shape is how an instance is set up.
func shape(i types.DBInstance) content.Shape {
	s := content.Shape{
		Class: aws.ToString(i.DBInstanceClass), Storage: aws.ToString(i.StorageType),
		Public: aws.ToBool(i.PubliclyAccessible), MultiAZ: aws.ToBool(i.MultiAZ),
		Protected: aws.ToBool(i.DeletionProtection), CopiesTags: aws.ToBool(i.CopyTagsToSnapshot),
		RoleLogins: aws.ToBool(i.IAMDatabaseAuthenticationEnabled), Retention: int(aws.ToInt32(i.BackupRetentionPeriod)),
		Tags: labelled(i.TagList), Certificate: aws.ToString(i.CACertificateIdentifier),
		Logs: slices.Sorted(slices.Values(i.EnabledCloudwatchLogsExports)),
	}
	if chosen(i) {
		s.IOPS, s.Throughput = int(aws.ToInt32(i.Iops)), int(aws.ToInt32(i.StorageThroughput))
	}
	if i.DBSubnetGroup != nil {
		s.Subnets = aws.ToString(i.DBSubnetGroup.DBSubnetGroupName)
	}
	for _, g := range i.VpcSecurityGroups {
		s.SecurityGroups = append(s.SecurityGroups, aws.ToString(g.VpcSecurityGroupId))
	}
	slices.Sort(s.SecurityGroups)
	if len(i.DBParameterGroups) > 0 {
		s.Parameters = aws.ToString(i.DBParameterGroups[0].DBParameterGroupName)
	}
	if len(i.OptionGroupMemberships) > 0 {
		s.Options = aws.ToString(i.OptionGroupMemberships[0].OptionGroupName)
	}
	if i.Endpoint != nil {
		s.Port = int(aws.ToInt32(i.Endpoint.Port))
	}
	return s
}

// striped is from how many GiB on RDS lets gp3 have more than the type has: Amazon
// RDS User Guide, "General Purpose SSD storage". Below it describes what the type
// has, and refuses to be given it.
const striped = 400

// chosen reports whether somebody chose how fast the storage of an instance is.
func chosen(i types.DBInstance) bool {
	switch aws.ToString(i.StorageType) {
	case "io1", "io2":
		return true
	case "gp3":
		return aws.ToInt32(i.AllocatedStorage) >= striped
	}
	return false
}

// Instances implements instances.Provider.
func (i Instances) Instances(ctx context.Context) ([]snapshot.Server, error) {
	var out []snapshot.Server
	pages := rds.NewDescribeDBInstancesPaginator(i.API, &rds.DescribeDBInstancesInput{})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, i.explain("list the instances", err)
		}
		for _, found := range page.DBInstances {
			out = append(out, i.server(found))
		}
	}
	return out, nil
}

// Snapshot implements instances.Provider.
func (i Instances) Snapshot(ctx context.Context, name string) (snapshot.Snapshot, error) {
	found, err := Instance{i.Account, ""}.Describe(ctx, name)
	if !errors.Is(err, snapshot.ErrNone) {
		return found, err
	}
	if _, err := (Cluster{i.Account, ""}).Describe(ctx, name); err == nil {
		return found, &holdfast.Problem{
			Class: holdfast.Refused, What: fmt.Sprintf("snapshot %s is of a cluster", name),
			Why: "Holdfast does not make clusters of snapshots yet.",
			Do:  "Restore it with the provider's tools: docs/cloud.md.",
		}
	}
	return found, err
}

// Restore implements instances.Provider. One that may yet come to nothing is not
// protected from deletion.
func (i Instances) Restore(
	ctx context.Context, name, from string, s content.Shape, labels map[string]string,
) error {
	in := &rds.RestoreDBInstanceFromDBSnapshotInput{
		DBInstanceIdentifier: &name, DBSnapshotIdentifier: &from, Tags: tagged(labels),
		DBInstanceClass: given(s.Class), DBSubnetGroupName: given(s.Subnets), VpcSecurityGroupIds: s.SecurityGroups,
		DBParameterGroupName: given(s.Parameters), OptionGroupName: given(s.Options), StorageType: given(s.Storage),
		CACertificateIdentifier: given(s.Certificate), EnableCloudwatchLogsExports: s.Logs,
		Iops: number(s.IOPS), StorageThroughput: number(s.Throughput), Port: number(s.Port),
	}
	if s.Class != "" { // the rest of it is known as well
		in.PubliclyAccessible, in.MultiAZ = &s.Public, &s.MultiAZ
		in.CopyTagsToSnapshot, in.EnableIAMDatabaseAuthentication = &s.CopiesTags, &s.RoleLogins
		in.BackupRetentionPeriod = aws.Int32(int32(s.Retention)) //nolint:gosec // days, at most 35
	}
	_, err := i.API.RestoreDBInstanceFromDBSnapshot(ctx, in)
	return i.restored(fmt.Sprintf("make instance %s of snapshot %s", name, from), s, err)
}

func given(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func number(n int) *int32 {
	if n == 0 {
		return nil
	}
	return aws.Int32(int32(n)) //nolint:gosec // RDS gave it as one
}

// Rename implements instances.Provider.
func (i Instances) Rename(ctx context.Context, from, to string) error {
	_, err := i.API.ModifyDBInstance(ctx, &rds.ModifyDBInstanceInput{
		DBInstanceIdentifier: &from, NewDBInstanceIdentifier: &to, ApplyImmediately: aws.Bool(true),
	})
	return i.restored(fmt.Sprintf("rename instance %s to %s", from, to), content.Shape{}, err)
}

// Protect implements instances.Provider.
func (i Instances) Protect(ctx context.Context, name string, on bool) error {
	_, err := i.API.ModifyDBInstance(ctx, &rds.ModifyDBInstanceInput{
		DBInstanceIdentifier: &name, DeletionProtection: &on, ApplyImmediately: aws.Bool(true),
	})
	return i.restored("change the deletion protection of "+name, content.Shape{}, err)
}

// Delete implements instances.Provider.
func (i Instances) Delete(ctx context.Context, name string) error {
	_, err := i.API.DeleteDBInstance(ctx, &rds.DeleteDBInstanceInput{
		DBInstanceIdentifier: &name, SkipFinalSnapshot: aws.Bool(true), DeleteAutomatedBackups: aws.Bool(true),
	})
	if is[*types.DBInstanceNotFoundFault](err) {
		return nil
	}
	return i.restored("delete instance "+name, content.Shape{}, err)
}

// restored gives an error of a restore's calls to people, and turns those that
// package instances asks about into what it asks for.
func (a Account) restored(what string, s content.Shape, err error) error {
	if err == nil {
		return nil
	}
	problem := func(class holdfast.Class, why, do string) error {
		return &holdfast.Problem{
			Class: class, What: fmt.Sprintf("RDS in %s: %s", a.Region, what), Err: short(err), Why: why, Do: do,
		}
	}
	switch {
	case is[*types.DBInstanceAlreadyExistsFault](err):
		return snapshot.ErrExists
	case is[*types.DBInstanceNotFoundFault](err):
		return fmt.Errorf("%w: %w", snapshot.ErrNone, short(err))
	case is[*types.InvalidDBInstanceStateFault](err):
		return fmt.Errorf("%w: %w", snapshot.ErrBusy, short(err))
	case is[*types.DBSnapshotNotFoundFault](err):
		return problem(holdfast.Refused, "The snapshot is gone: somebody deleted it, or the provider did.",
			"Choose another set: `holdfast list --state proven`.")
	case is[*types.InstanceQuotaExceededFault](err), is[*types.StorageQuotaExceededFault](err):
		return problem(holdfast.NoSpace, "A new instance is made next to the old one, and the account may have no more.",
			"Delete instances that nobody needs (`holdfast restore clean` lists those of restores), or have the quota raised.")
	case is[*types.InsufficientDBInstanceCapacityFault](err), strings.Contains(err.Error(), "DBInstanceClass"):
		return problem(holdfast.Refused, fmt.Sprintf("The class %s cannot be had there now.", s.Class),
			"Try again later, or give the old instance another class, which the new one then takes: "+
				"`aws rds modify-db-instance`.")
	case is[*types.DBParameterGroupNotFoundFault](err), is[*types.DBSubnetGroupNotFoundFault](err),
		is[*types.OptionGroupNotFoundFault](err), is[*types.InvalidSubnet](err), is[*types.InvalidVPCNetworkStateFault](err):
		return problem(holdfast.Refused, fmt.Sprintf("The new instance is to have subnet group %s, parameter group %s and "+
			"option group %s, as the old one has.", s.Subnets, s.Parameters, s.Options),
			"Make what is missing again under its name, and run the command again.")
	}
	return a.explain(what, err)
}
