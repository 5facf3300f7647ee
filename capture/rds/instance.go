package rds

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	"github.com/aws/aws-sdk-go-v2/service/rds/types"

	"holdfast"
	"holdfast/capture/snapshot"
	"holdfast/content"
)

// Instance is a database instance. It implements snapshot.Keeper and
// snapshot.Shelf.
type Instance struct {
	Account

	ID string
}

// Source is what snapshots are taken of.
type Source interface {
	snapshot.Keeper
	snapshot.Shelf
}

// Find distinguishes instances from clusters: RDS refuses a snapshot of a cluster's
// member, which is the cluster's. A cluster's own name is taken as well.
func (a Account) Find(ctx context.Context, id string) (Source, error) {
	found, err := a.instance(ctx, id)
	switch {
	case err == nil && aws.ToString(found.DBClusterIdentifier) != "":
		return Cluster{a, *found.DBClusterIdentifier}, nil
	case err == nil:
		return Instance{a, id}, nil
	case !is[*types.DBInstanceNotFoundFault](err):
		return nil, a.explain("describe instance "+id, err)
	}
	if _, err := a.cluster(ctx, id); err == nil {
		return Cluster{a, id}, nil
	} else if !is[*types.DBClusterNotFoundFault](err) {
		return nil, a.explain("describe cluster "+id, err)
	}
	return nil, &holdfast.Problem{
		Class: holdfast.Usage,
		What:  fmt.Sprintf("RDS in %s has no instance and no cluster %s", a.Region, id),
		Do:    "Correct databases.NAME.rds.instance in holdfast.yaml, or rds.region.",
	}
}

// Named is the server that a configuration names: the cluster, where it names a
// member of one. What is not there is what it says.
func (a Account) Named(ctx context.Context, id string) (string, error) {
	found, err := a.instance(ctx, id)
	switch of := aws.ToString(found.DBClusterIdentifier); {
	case is[*types.DBInstanceNotFoundFault](err), err == nil && of == "":
		return id, nil
	case err == nil:
		return of, nil
	}
	return id, a.explain("describe instance "+id, err)
}

func (a Account) instance(ctx context.Context, id string) (types.DBInstance, error) {
	out, err := a.API.DescribeDBInstances(ctx, &rds.DescribeDBInstancesInput{DBInstanceIdentifier: &id})
	if err != nil {
		return types.DBInstance{}, err
	}
	if len(out.DBInstances) != 1 {
		return types.DBInstance{}, fmt.Errorf("RDS describes %d instances %s", len(out.DBInstances), id)
	}
	return out.DBInstances[0], nil
}

// Keeper is what a manifest calls the account's RDS.
func (a Account) Keeper() string { return keeper + a.Region }

// Keeps reports whether a capture is a snapshot that RDS keeps, of any region.
func Keeps(c holdfast.Capture) bool {
	r, is := c.Content.(content.Reference)
	return is && strings.HasPrefix(r.Keeper, keeper)
}

const keeper = "rds "

// Available is RDS's word for what can be used.
const Available = "available"

// RDS's times of a snapshot.
const (
	SnapshotDatabaseTime       = "SnapshotDatabaseTime"
	OriginalSnapshotCreateTime = "OriginalSnapshotCreateTime"
	SnapshotCreateTime         = "SnapshotCreateTime"
)

// Server implements snapshot.Keeper.
func (i Instance) Server(ctx context.Context) (snapshot.Server, error) {
	found, err := i.instance(ctx, i.ID)
	if err != nil {
		return snapshot.Server{}, i.explain("describe instance "+i.ID, err)
	}
	return i.server(found), nil
}

// server is an instance as package snapshot sees it.
func (a Account) server(found types.DBInstance) snapshot.Server {
	s := snapshot.Server{
		Keeper: a.Keeper(), Name: aws.ToString(found.DBInstanceIdentifier), Resource: aws.ToString(found.DbiResourceId),
		Kind: "RDS instance", State: aws.ToString(found.DBInstanceStatus), Version: aws.ToString(found.EngineVersion),
		Protected: aws.ToBool(found.DeletionProtection), Labels: labelled(found.TagList), Shape: shape(found),
	}
	s.Takes = s.State == Available
	if e := found.Endpoint; e != nil {
		s.Host, s.Port = aws.ToString(e.Address), int(aws.ToInt32(e.Port))
	}
	if of := aws.ToString(found.ReadReplicaSourceDBInstanceIdentifier); of != "" {
		s.Lags = fmt.Sprintf("%s is a replica of %s, and may be behind it", s.Name, of)
	}
	if !aws.ToBool(found.MultiAZ) {
		s.Pauses = "a snapshot of a Single-AZ instance stops its writes for seconds, sometimes minutes"
	}
	return s
}

// Room implements snapshot.Keeper.
func (i Instance) Room(ctx context.Context) (snapshot.Room, error) {
	return i.quota(ctx, "ManualSnapshots")
}

func (a Account) quota(ctx context.Context, name string) (snapshot.Room, error) {
	out, err := a.API.DescribeAccountAttributes(ctx, &rds.DescribeAccountAttributesInput{})
	if err != nil {
		return snapshot.Room{}, a.explain("read the account's quotas", err)
	}
	for _, q := range out.AccountQuotas {
		if aws.ToString(q.AccountQuotaName) == name {
			return snapshot.Room{Used: int(aws.ToInt64(q.Used)), Most: int(aws.ToInt64(q.Max))}, nil
		}
	}
	return snapshot.Room{}, a.explain("read the account's quotas", fmt.Errorf("there is none named %s", name))
}

func tagged(labels map[string]string) []types.Tag {
	var out []types.Tag
	for k, v := range labels {
		out = append(out, types.Tag{Key: aws.String(k), Value: aws.String(v)})
	}
	slices.SortFunc(out, func(a, b types.Tag) int { return strings.Compare(*a.Key, *b.Key) })
	return out
}

func labelled(tags []types.Tag) map[string]string {
	out := map[string]string{}
	for _, t := range tags {
		out[aws.ToString(t.Key)] = aws.ToString(t.Value)
	}
	return out
}

// Request implements snapshot.Keeper.
func (i Instance) Request(ctx context.Context, name string, labels map[string]string) error {
	_, err := i.API.CreateDBSnapshot(ctx, &rds.CreateDBSnapshotInput{
		DBInstanceIdentifier: &i.ID, DBSnapshotIdentifier: &name, Tags: tagged(labels),
	})
	return i.requested("take snapshot "+name+" of "+i.ID, err)
}

// phase reads RDS's word for where a snapshot stands.
func phase(status string) snapshot.Phase {
	switch status {
	case Available:
		return snapshot.Ready
	case "failed", "deleting", "deleted", "incompatible-restore", "incompatible-parameters":
		return snapshot.Broken
	}
	return snapshot.Pending
}

func ofInstance(s types.DBSnapshot) snapshot.Snapshot {
	out := snapshot.Snapshot{
		Name: aws.ToString(s.DBSnapshotIdentifier), Server: aws.ToString(s.DBInstanceIdentifier),
		Resource: aws.ToString(s.DbiResourceId), State: aws.ToString(s.Status), Percent: int(aws.ToInt32(s.PercentProgress)),
		Labels: labelled(s.TagList), CopyOf: aws.ToString(s.SourceDBSnapshotIdentifier), Version: aws.ToString(s.EngineVersion),
		Bytes: gigabytes(s.AllocatedStorage), Engine: aws.ToString(s.Engine), Runs: 1,
		Times: []snapshot.Time{
			{Field: SnapshotDatabaseTime, Means: snapshot.NewestCommit, At: at(s.SnapshotDatabaseTime)},
			{Field: OriginalSnapshotCreateTime, Means: snapshot.Created, At: at(s.OriginalSnapshotCreateTime)},
			{Field: SnapshotCreateTime, Means: snapshot.Changeable, At: at(s.SnapshotCreateTime)},
		},
	}
	out.Phase = phase(out.State)
	return out
}

func gigabytes(n *int32) int64 { return int64(aws.ToInt32(n)) << 30 }

func at(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return *t
}

// Describe implements snapshot.Keeper.
func (i Instance) Describe(ctx context.Context, name string) (snapshot.Snapshot, error) {
	out, err := i.API.DescribeDBSnapshots(ctx, &rds.DescribeDBSnapshotsInput{DBSnapshotIdentifier: &name})
	switch {
	case is[*types.DBSnapshotNotFoundFault](err), err == nil && len(out.DBSnapshots) == 0:
		return snapshot.Snapshot{}, snapshot.ErrNone
	case err != nil:
		return snapshot.Snapshot{}, i.explain("describe snapshot "+name, err)
	}
	return ofInstance(out.DBSnapshots[0]), nil
}

const manual = "manual" // snapshots that somebody requested

// List implements snapshot.Shelf.
func (i Instance) List(ctx context.Context) ([]snapshot.Snapshot, error) {
	var out []snapshot.Snapshot
	pages := rds.NewDescribeDBSnapshotsPaginator(i.API,
		&rds.DescribeDBSnapshotsInput{DBInstanceIdentifier: given(i.ID), SnapshotType: aws.String(manual)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, i.explain(strings.TrimSuffix("list the snapshots of "+i.ID, " of "), err)
		}
		for _, s := range page.DBSnapshots {
			out = append(out, ofInstance(s))
		}
	}
	return out, nil
}

// Delete implements snapshot.Shelf.
func (i Instance) Delete(ctx context.Context, name string) error {
	_, err := i.API.DeleteDBSnapshot(ctx, &rds.DeleteDBSnapshotInput{DBSnapshotIdentifier: &name})
	if is[*types.DBSnapshotNotFoundFault](err) {
		return nil
	}
	return i.explain("delete snapshot "+name, err)
}
