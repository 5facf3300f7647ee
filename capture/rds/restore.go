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

// Servers are the instances and clusters of an account, where a restore makes new ones
// of snapshots. It implements instances.Provider.
type Servers struct{ Account }

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
	s.SecurityGroups = groups(i.VpcSecurityGroups)
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

// Servers implements instances.Provider.
func (s Servers) Servers(ctx context.Context) ([]snapshot.Server, error) {
	var out []snapshot.Server
	members := map[string][]types.DBInstance{}
	pages := rds.NewDescribeDBInstancesPaginator(s.API, &rds.DescribeDBInstancesInput{})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, s.explain("list the instances", err)
		}
		for _, found := range page.DBInstances {
			if of := aws.ToString(found.DBClusterIdentifier); of != "" {
				members[of] = append(members[of], found)
			} else {
				out = append(out, s.server(found))
			}
		}
	}
	clusters := rds.NewDescribeDBClustersPaginator(s.API, &rds.DescribeDBClustersInput{})
	for clusters.HasMorePages() {
		page, err := clusters.NextPage(ctx)
		if err != nil {
			return nil, s.explain("list the clusters", err)
		}
		for _, found := range page.DBClusters {
			if engine := aws.ToString(found.Engine); engine == aurora || engine == multiAZ {
				out = append(out, s.served(found, writerFirst(found, members[aws.ToString(found.DBClusterIdentifier)])))
			}
		}
	}
	return out, nil
}

// Snapshot implements instances.Provider.
func (s Servers) Snapshot(ctx context.Context, name string) (snapshot.Snapshot, error) {
	found, err := Instance{s.Account, ""}.Describe(ctx, name)
	if errors.Is(err, snapshot.ErrNone) {
		return Cluster{s.Account, ""}.Describe(ctx, name)
	}
	return found, err
}

// Restore implements instances.Provider. One that may yet come to nothing is not
// protected from deletion.
func (s Servers) Restore(
	ctx context.Context, name string, from snapshot.Snapshot, o content.Shape, labels map[string]string,
) error {
	if from.Cluster {
		return s.restoreCluster(ctx, name, from, o, labels)
	}
	in := &rds.RestoreDBInstanceFromDBSnapshotInput{
		DBInstanceIdentifier: &name, DBSnapshotIdentifier: &from.Name, Tags: tagged(labels),
		DBInstanceClass: given(o.Class), DBSubnetGroupName: given(o.Subnets), VpcSecurityGroupIds: o.SecurityGroups,
		DBParameterGroupName: given(o.Parameters), OptionGroupName: given(o.Options), StorageType: given(o.Storage),
		CACertificateIdentifier: given(o.Certificate), EnableCloudwatchLogsExports: o.Logs,
		Iops: number(o.IOPS), StorageThroughput: number(o.Throughput), Port: number(o.Port),
	}
	if o.Class != "" { // the rest of it is known as well
		in.PubliclyAccessible, in.MultiAZ = &o.Public, &o.MultiAZ
		in.CopyTagsToSnapshot, in.EnableIAMDatabaseAuthentication = &o.CopiesTags, &o.RoleLogins
		in.BackupRetentionPeriod = aws.Int32(int32(o.Retention)) //nolint:gosec // days, at most 35
	}
	_, err := s.API.RestoreDBInstanceFromDBSnapshot(ctx, in)
	return s.restored(fmt.Sprintf("make instance %s of snapshot %s", name, from.Name), o, err)
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

// Rename implements instances.Provider. The members of a cluster keep their names.
func (s Servers) Rename(ctx context.Context, of snapshot.Server, to string) (err error) {
	if of.Cluster {
		_, err = s.API.ModifyDBCluster(ctx, &rds.ModifyDBClusterInput{
			DBClusterIdentifier: &of.Name, NewDBClusterIdentifier: &to, ApplyImmediately: aws.Bool(true),
		})
	} else {
		_, err = s.API.ModifyDBInstance(ctx, &rds.ModifyDBInstanceInput{
			DBInstanceIdentifier: &of.Name, NewDBInstanceIdentifier: &to, ApplyImmediately: aws.Bool(true),
		})
	}
	return s.restored(fmt.Sprintf("rename %s to %s", of, to), content.Shape{}, err)
}

// Protect implements instances.Provider.
func (s Servers) Protect(ctx context.Context, of snapshot.Server, on bool) (err error) {
	if of.Cluster {
		_, err = s.API.ModifyDBCluster(ctx, &rds.ModifyDBClusterInput{
			DBClusterIdentifier: &of.Name, DeletionProtection: &on, ApplyImmediately: aws.Bool(true),
		})
	} else {
		_, err = s.API.ModifyDBInstance(ctx, &rds.ModifyDBInstanceInput{
			DBInstanceIdentifier: &of.Name, DeletionProtection: &on, ApplyImmediately: aws.Bool(true),
		})
	}
	return s.restored(fmt.Sprintf("change the deletion protection of %s", of), content.Shape{}, err)
}

// Delete implements instances.Provider.
func (s Servers) Delete(ctx context.Context, of snapshot.Server) error {
	if of.Cluster {
		return s.deleteCluster(ctx, of.Name)
	}
	_, err := s.API.DeleteDBInstance(ctx, &rds.DeleteDBInstanceInput{
		DBInstanceIdentifier: &of.Name, SkipFinalSnapshot: aws.Bool(true), DeleteAutomatedBackups: aws.Bool(true),
	})
	if is[*types.DBInstanceNotFoundFault](err) {
		return nil
	}
	return s.restored("delete "+of.String(), content.Shape{}, err)
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
	case is[*types.DBInstanceAlreadyExistsFault](err), is[*types.DBClusterAlreadyExistsFault](err):
		return snapshot.ErrExists
	case is[*types.DBInstanceNotFoundFault](err), is[*types.DBClusterNotFoundFault](err):
		return fmt.Errorf("%w: %w", snapshot.ErrNone, short(err))
	case is[*types.InvalidDBInstanceStateFault](err), is[*types.InvalidDBClusterStateFault](err):
		return fmt.Errorf("%w: %w", snapshot.ErrBusy, short(err))
	case is[*types.DBSnapshotNotFoundFault](err), is[*types.DBClusterSnapshotNotFoundFault](err):
		return problem(holdfast.Refused, "The snapshot is gone: somebody deleted it, or the provider did.",
			"Choose another set: `holdfast list --state proven`.")
	case is[*types.InstanceQuotaExceededFault](err), is[*types.StorageQuotaExceededFault](err),
		is[*types.DBClusterQuotaExceededFault](err):
		return problem(holdfast.NoSpace, "A new one is made next to the old one, and the account may have no more.",
			"Delete what nobody needs (`holdfast restore clean` lists what restores made), or have the quota raised.")
	case is[*types.InsufficientDBInstanceCapacityFault](err), is[*types.InsufficientDBClusterCapacityFault](err),
		is[*types.InsufficientStorageClusterCapacityFault](err), strings.Contains(err.Error(), "DBInstanceClass"):
		return problem(holdfast.Refused, fmt.Sprintf("The class %s cannot be had there now.", s.Class),
			"Try again later, or give the old instance another class, which the new one then takes: "+
				"`aws rds modify-db-instance`.")
	case is[*types.DBParameterGroupNotFoundFault](err), is[*types.DBClusterParameterGroupNotFoundFault](err),
		is[*types.DBSubnetGroupNotFoundFault](err), is[*types.OptionGroupNotFoundFault](err), is[*types.InvalidSubnet](err),
		is[*types.InvalidVPCNetworkStateFault](err):
		of := "option group " + s.Options
		if s.Cluster != nil {
			of = "cluster parameter group " + s.Cluster.Parameters
		}
		return problem(holdfast.Refused, fmt.Sprintf("The new %s is to have subnet group %s, parameter group %s and "+
			"%s, as the old one has.", snapshot.What(s.Cluster != nil), s.Subnets, s.Parameters, of),
			"Make what is missing again under its name, and run the command again.")
	}
	return a.explain(what, err)
}
