package rds

import (
	"context"
	"fmt"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	"github.com/aws/aws-sdk-go-v2/service/rds/types"

	"holdfast/capture/snapshot"
	"holdfast/content"
)

// Cluster is an Aurora cluster or a Multi-AZ cluster. It implements
// snapshot.Keeper and snapshot.Shelf.
type Cluster struct {
	Account

	ID string
}

// The engines of clusters that run Postgres. RDS lists clusters of other databases as
// well.
const (
	aurora  = "aurora-postgresql" // one volume, which all members have
	multiAZ = "postgres"          // three instances, which RDS makes and deletes with the cluster
)

func (a Account) cluster(ctx context.Context, id string) (types.DBCluster, error) {
	out, err := a.API.DescribeDBClusters(ctx, &rds.DescribeDBClustersInput{DBClusterIdentifier: &id})
	if err != nil {
		return types.DBCluster{}, err
	}
	if len(out.DBClusters) != 1 {
		return types.DBCluster{}, fmt.Errorf("RDS describes %d clusters %s", len(out.DBClusters), id)
	}
	return out.DBClusters[0], nil
}

// Server implements snapshot.Keeper.
func (c Cluster) Server(ctx context.Context) (snapshot.Server, error) {
	found, members, err := c.look(ctx)
	if err != nil {
		return snapshot.Server{}, c.explain("describe cluster "+c.ID, err)
	}
	return c.clusterServer(found, members), nil
}

// clusterServer is a cluster as package snapshot sees it.
func (a Account) clusterServer(found types.DBCluster, members []types.DBInstance) snapshot.Server {
	s := snapshot.Server{
		Keeper: a.Keeper(), Name: aws.ToString(found.DBClusterIdentifier), Resource: aws.ToString(found.DbClusterResourceId),
		Kind: "Aurora cluster", Cluster: true, State: aws.ToString(found.Status), Version: aws.ToString(found.EngineVersion),
		Host: aws.ToString(found.Endpoint), Port: int(aws.ToInt32(found.Port)),
		Protected: aws.ToBool(found.DeletionProtection), Labels: labelled(found.TagList),
		Shape: clusterShape(found, members),
	}
	s.Takes, s.Members = s.State == Available, s.Shape.Cluster.Members
	if aws.ToString(found.Engine) == multiAZ {
		s.Kind = "RDS Multi-AZ cluster"
		s.Lags = fmt.Sprintf("%s is a Multi-AZ cluster: its snapshot may be a reader's, which may be behind, and RDS does "+
			"not say how far it reaches", s.Name)
	}
	return s
}

// writerFirst are the members of a cluster, the one that writes before the others.
func writerFirst(of types.DBCluster, members []types.DBInstance) []types.DBInstance {
	writes := func(i types.DBInstance) int {
		if slices.ContainsFunc(of.DBClusterMembers, func(m types.DBClusterMember) bool {
			return aws.ToBool(m.IsClusterWriter) && aws.ToString(m.DBInstanceIdentifier) == aws.ToString(i.DBInstanceIdentifier)
		}) {
			return 0
		}
		return 1
	}
	slices.SortStableFunc(members, func(a, b types.DBInstance) int { return writes(a) - writes(b) })
	return members
}

// served is a cluster that a restore looks at: it is there for whoever connects once
// its writer is.
func (a Account) served(found types.DBCluster, members []types.DBInstance) snapshot.Server {
	s := a.clusterServer(found, members)
	if !s.Takes || aws.ToString(found.EngineMode) == "serverless" { // of the first kind, which has no members
		return s
	}
	alive := slices.DeleteFunc(slices.Clone(members), func(i types.DBInstance) bool {
		return aws.ToString(i.DBInstanceStatus) == deleting
	})
	switch {
	case len(alive) > 0 && aws.ToString(alive[0].DBInstanceStatus) != Available:
		s.Takes, s.State = false, aws.ToString(alive[0].DBInstanceStatus)
	case len(alive) == 0:
		s.Takes, s.Bare = false, len(members) == 0
	}
	return s
}

const deleting = "deleting"

// clusterShape is how a cluster is set up. What its members have is the writer's.
func clusterShape(c types.DBCluster, members []types.DBInstance) content.Shape {
	s := content.Shape{
		Class: aws.ToString(c.DBClusterInstanceClass), Storage: aws.ToString(c.StorageType), IOPS: int(aws.ToInt32(c.Iops)),
		Subnets: aws.ToString(c.DBSubnetGroup), Public: aws.ToBool(c.PubliclyAccessible),
		Protected: aws.ToBool(c.DeletionProtection), CopiesTags: aws.ToBool(c.CopyTagsToSnapshot),
		RoleLogins: aws.ToBool(c.IAMDatabaseAuthenticationEnabled), Retention: int(aws.ToInt32(c.BackupRetentionPeriod)),
		Tags: labelled(c.TagList), Logs: slices.Sorted(slices.Values(c.EnabledCloudwatchLogsExports)),
		Port: int(aws.ToInt32(c.Port)), SecurityGroups: groups(c.VpcSecurityGroups),
		Cluster: &content.Cluster{
			Parameters: aws.ToString(c.DBClusterParameterGroup), Backups: aws.ToString(c.PreferredBackupWindow),
			Network: aws.ToString(c.NetworkType), Support: aws.ToString(c.EngineLifecycleSupport),
		},
	}
	if v := c.ServerlessV2ScalingConfiguration; v != nil {
		s.Cluster.Serverless = &content.Capacity{
			Min: aws.ToFloat64(v.MinCapacity), Max: aws.ToFloat64(v.MaxCapacity), Pause: int(aws.ToInt32(v.SecondsUntilAutoPause)),
		}
	}
	for _, m := range members {
		s.Cluster.Members = append(s.Cluster.Members, aws.ToString(m.DBInstanceIdentifier))
	}
	if len(members) > 0 {
		w := shape(members[0])
		s.Parameters, s.Certificate = w.Parameters, w.Certificate
		if aws.ToString(c.Engine) == aurora {
			s.Class, s.Public = w.Class, w.Public
		}
	}
	return s
}

func groups(list []types.VpcSecurityGroupMembership) (out []string) {
	for _, g := range list {
		out = append(out, aws.ToString(g.VpcSecurityGroupId))
	}
	slices.Sort(out)
	return out
}

// Room implements snapshot.Keeper.
func (c Cluster) Room(ctx context.Context) (snapshot.Room, error) {
	return c.quota(ctx, "ManualClusterSnapshots")
}

// Request implements snapshot.Keeper.
func (c Cluster) Request(ctx context.Context, name string, labels map[string]string) error {
	_, err := c.API.CreateDBClusterSnapshot(ctx, &rds.CreateDBClusterSnapshotInput{
		DBClusterIdentifier: &c.ID, DBClusterSnapshotIdentifier: &name, Tags: tagged(labels),
	})
	return c.requested("take snapshot "+name+" of "+c.ID, err)
}

func ofCluster(s types.DBClusterSnapshot) snapshot.Snapshot {
	out := snapshot.Snapshot{
		Name: aws.ToString(s.DBClusterSnapshotIdentifier), Server: aws.ToString(s.DBClusterIdentifier),
		Resource: aws.ToString(s.DbClusterResourceId), State: aws.ToString(s.Status),
		Percent: int(aws.ToInt32(s.PercentProgress)), Labels: labelled(s.TagList),
		CopyOf: aws.ToString(s.SourceDBClusterSnapshotArn), Version: aws.ToString(s.EngineVersion),
		Bytes: gigabytes(s.AllocatedStorage), Cluster: true, Runs: 1,
		Engine: aws.ToString(s.Engine), Mode: aws.ToString(s.EngineMode), Grows: aws.ToString(s.Engine) == aurora,
		Times: []snapshot.Time{
			{Field: SnapshotCreateTime, Means: snapshot.Changeable, At: at(s.SnapshotCreateTime)},
		},
	}
	if out.Engine == multiAZ {
		out.Runs = 3
	}
	out.Phase = phase(out.State)
	return out
}

// Describe implements snapshot.Keeper.
func (c Cluster) Describe(ctx context.Context, name string) (snapshot.Snapshot, error) {
	out, err := c.API.DescribeDBClusterSnapshots(ctx, &rds.DescribeDBClusterSnapshotsInput{DBClusterSnapshotIdentifier: &name})
	switch {
	case is[*types.DBClusterSnapshotNotFoundFault](err), err == nil && len(out.DBClusterSnapshots) == 0:
		return snapshot.Snapshot{}, snapshot.ErrNone
	case err != nil:
		return snapshot.Snapshot{}, c.explain("describe snapshot "+name, err)
	}
	return ofCluster(out.DBClusterSnapshots[0]), nil
}

// List implements snapshot.Shelf.
func (c Cluster) List(ctx context.Context) ([]snapshot.Snapshot, error) {
	var out []snapshot.Snapshot
	pages := rds.NewDescribeDBClusterSnapshotsPaginator(c.API,
		&rds.DescribeDBClusterSnapshotsInput{DBClusterIdentifier: &c.ID, SnapshotType: aws.String(manual)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, c.explain("list the snapshots of "+c.ID, err)
		}
		for _, s := range page.DBClusterSnapshots {
			out = append(out, ofCluster(s))
		}
	}
	return out, nil
}

// Delete implements snapshot.Shelf.
func (c Cluster) Delete(ctx context.Context, name string) error {
	_, err := c.API.DeleteDBClusterSnapshot(ctx, &rds.DeleteDBClusterSnapshotInput{DBClusterSnapshotIdentifier: &name})
	if is[*types.DBClusterSnapshotNotFoundFault](err) {
		return nil
	}
	return c.explain("delete snapshot "+name, err)
}

// restoreCluster requests a cluster. What RDS would choose by itself, such as the
// newest version, is given as the snapshot has it.
func (s Servers) restoreCluster(
	ctx context.Context, name string, from snapshot.Snapshot, o content.Shape, labels map[string]string,
) error {
	in := &rds.RestoreDBClusterFromSnapshotInput{
		DBClusterIdentifier: &name, SnapshotIdentifier: &from.Name, Tags: tagged(labels),
		Engine: &from.Engine, EngineVersion: given(from.Version), EngineMode: given(from.Mode),
		DBSubnetGroupName: given(o.Subnets), VpcSecurityGroupIds: o.SecurityGroups, Port: number(o.Port),
		EnableCloudwatchLogsExports: o.Logs, StorageType: given(o.Storage),
		CopyTagsToSnapshot: &o.CopiesTags, EnableIAMDatabaseAuthentication: &o.RoleLogins,
		BackupRetentionPeriod: number(max(o.Retention, 1)), DeletionProtection: aws.Bool(false),
	}
	if c := o.Cluster; c != nil {
		in.DBClusterParameterGroupName, in.PreferredBackupWindow = given(c.Parameters), given(c.Backups)
		in.EngineLifecycleSupport = given(c.Support)
		if from.Engine == aurora {
			in.NetworkType = given(c.Network)
		}
		if v := c.Serverless; v != nil {
			in.ServerlessV2ScalingConfiguration = &types.ServerlessV2ScalingConfiguration{
				MinCapacity: &v.Min, MaxCapacity: &v.Max, SecondsUntilAutoPause: number(v.Pause),
			}
		}
	}
	if from.Engine == multiAZ { // its instances are made with it
		in.DBClusterInstanceClass, in.Iops, in.PubliclyAccessible = given(o.Class), number(o.IOPS), &o.Public
	}
	_, err := s.API.RestoreDBClusterFromSnapshot(ctx, in)
	return s.restored(fmt.Sprintf("make cluster %s of snapshot %s", name, from.Name), o, err)
}

// Populate implements instances.Provider.
func (s Servers) Populate(
	ctx context.Context, of snapshot.Server, name string, o content.Shape, labels map[string]string,
) error {
	_, err := s.API.CreateDBInstance(ctx, &rds.CreateDBInstanceInput{
		DBInstanceIdentifier: &name, DBClusterIdentifier: &of.Name, Engine: aws.String(aurora), Tags: tagged(labels),
		DBInstanceClass: given(o.Class), DBParameterGroupName: given(o.Parameters),
		CACertificateIdentifier: given(o.Certificate), PubliclyAccessible: &o.Public,
	})
	return s.restored(fmt.Sprintf("make member %s of cluster %s", name, of.Name), o, err)
}

// deleteCluster deletes the members of an Aurora cluster and, once they are going,
// the cluster: RDS refuses it before that. Those of a Multi-AZ cluster go with it.
func (s Servers) deleteCluster(ctx context.Context, id string) error {
	found, members, err := Cluster{s.Account, id}.look(ctx)
	if is[*types.DBClusterNotFoundFault](err) {
		return nil
	}
	if err != nil {
		return s.explain("describe cluster "+id, err)
	}
	for _, m := range members {
		name := aws.ToString(m.DBInstanceIdentifier)
		if aws.ToString(found.Engine) != aurora || aws.ToString(m.DBInstanceStatus) == deleting {
			continue
		}
		_, failed := s.API.DeleteDBInstance(ctx, &rds.DeleteDBInstanceInput{
			DBInstanceIdentifier: &name, SkipFinalSnapshot: aws.Bool(true),
		})
		if failed != nil && !is[*types.DBInstanceNotFoundFault](failed) {
			return s.restored("delete member "+name+" of cluster "+id, content.Shape{}, failed)
		}
		err = snapshot.ErrBusy
	}
	if err != nil {
		return err
	}
	_, err = s.API.DeleteDBCluster(ctx, &rds.DeleteDBClusterInput{
		DBClusterIdentifier: &id, SkipFinalSnapshot: aws.Bool(true), DeleteAutomatedBackups: aws.Bool(true),
	})
	if is[*types.DBClusterNotFoundFault](err) {
		return nil
	}
	return s.restored("delete cluster "+id, content.Shape{}, err)
}

// look describes a cluster and its members, the one that writes before the others.
func (c Cluster) look(ctx context.Context) (types.DBCluster, []types.DBInstance, error) {
	found, err := c.cluster(ctx, c.ID)
	if err != nil {
		return found, nil, err
	}
	var members []types.DBInstance
	pages := rds.NewDescribeDBInstancesPaginator(c.API, &rds.DescribeDBInstancesInput{
		Filters: []types.Filter{{Name: aws.String("db-cluster-id"), Values: []string{c.ID}}},
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return found, nil, err
		}
		members = append(members, page.DBInstances...)
	}
	return found, writerFirst(found, members), nil
}
