package rdsapi

import (
	"context"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"holdfast/internal/splicetest"
)

// The engines of clusters.
const (
	Aurora  = "aurora-postgresql"
	MultiAZ = "postgres"
)

// cluster is one. Its members are the instances that name it.
type cluster struct {
	id, resource, engine, status string
	protect                      bool
	tags                         map[string]string
	shape                        ClusterShape
	made                         bool      // of a snapshot, and not with the account
	from                         *snapshot // what it has, where it was made of one
	instead                      *snapshot // what it has by a lie
}

// ClusterShape is how a cluster is set up.
type ClusterShape struct {
	Class, Subnet, Parameters, Security, Storage, Logs string
	Window, Network, Support, Version, Mode, Key       string
	Public, RoleLogins, CopiesTags                     bool
	IOPS, Retain, Pause                                int
	Min, Max                                           float64
}

// usualCluster is the shape of the clusters that an account begins with.
func usualCluster(engine, version string) ClusterShape {
	s := ClusterShape{
		Subnet: "private", Parameters: "canton-cluster", Security: "sg-1", Storage: "aurora-iopt1", Logs: "postgresql",
		Window: "03:00-03:30", Network: "IPV4", Support: "open-source-rds-extended-support-disabled", Version: version,
		Mode: "provisioned", Key: "key-1", RoleLogins: true, CopiesTags: true, Retain: 7, Max: 16, Pause: 600,
	}
	if engine == MultiAZ {
		s.Class, s.Storage, s.IOPS, s.Max, s.Pause, s.Network = "db.m5d.large", "io1", 12000, 0, 0, ""
	}
	return s
}

// sync has a cluster for each instance that was said to be of one.
func (a *Account) sync() {
	a.clusters = slices.DeleteFunc(a.clusters, func(c *cluster) bool { return !c.made && a.writer(c.id) == nil })
	for _, i := range a.instances {
		if i.Cluster == "" {
			continue
		}
		c := a.findCluster(i.Cluster)
		if c == nil {
			c = &cluster{
				id: i.Cluster, resource: "cluster-" + i.Resource, status: "available", protect: i.Protect, tags: i.tags,
				shape: usualCluster(i.Engine, ""),
			}
			if i.Server != nil {
				c.shape.Version = i.Server.Version.Major + ".1"
			}
			a.clusters = append(a.clusters, c)
		}
		if !c.made {
			c.engine = i.Engine
		}
	}
}

func (a *Account) findCluster(id string) *cluster {
	for _, c := range a.clusters {
		if c.id == id {
			return c
		}
	}
	return nil
}

func (a *Account) members(id string) (out []*Instance) {
	for _, i := range a.instances {
		if i.Cluster == id {
			out = append(out, i)
		}
	}
	return out
}

// Clusters are the names of the clusters that are there.
func (a *Account) Clusters() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.sync()
	var out []string
	for _, c := range a.clusters {
		out = append(out, c.id)
	}
	return out
}

// ClusterResource is what a cluster is called that is never given again.
func (a *Account) ClusterResource(id string) string {
	a.mu.Lock()
	defer a.mu.Unlock()
	if c := a.findCluster(id); c != nil {
		return c.resource
	}
	return ""
}

// ClusterShape is how a cluster is set up now.
func (a *Account) ClusterShape(id string) ClusterShape {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.findCluster(id).shape
}

// ClusterTags are those of a cluster.
func (a *Account) ClusterTags(id string) map[string]string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return maps.Clone(a.findCluster(id).tags)
}

// Writer is the member of a cluster that writes; "" for none.
func (a *Account) Writer(id string) string {
	a.mu.Lock()
	defer a.mu.Unlock()
	if i := a.writer(id); i != nil {
		return i.ID
	}
	return ""
}

// ProtectCluster has a cluster be protected from deletion, or not.
func (a *Account) ProtectCluster(id string, on bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.findCluster(id).protect = on
}

// LoseCluster removes a cluster with its members without being asked.
func (a *Account) LoseCluster(id string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.remove(a.findCluster(id))
}

// remove removes a cluster and its members.
func (a *Account) remove(c *cluster) {
	for _, i := range a.members(c.id) {
		a.end(i)
	}
	a.clusters = slices.DeleteFunc(a.clusters, func(o *cluster) bool { return o == c })
}

// end removes an instance, and ends its server if that is ours.
func (a *Account) end(i *Instance) {
	a.instances = slices.DeleteFunc(a.instances, func(o *Instance) bool { return o == i })
	if i.restored && i.Server != nil {
		server := i.Server
		a.wg.Go(func() { _ = server.Close() })
	}
}

type memberXML struct {
	ID     string `xml:"DBInstanceIdentifier"`
	Writes bool   `xml:"IsClusterWriter"`
}

type capacityXML struct {
	Min   float64 `xml:"MinCapacity"`
	Max   float64 `xml:"MaxCapacity"`
	Pause int     `xml:"SecondsUntilAutoPause,omitempty"`
}

type clusterXML struct {
	ID         string       `xml:"DBClusterIdentifier"`
	ARN        string       `xml:"DBClusterArn"`
	Status     string       `xml:"Status"`
	Resource   string       `xml:"DbClusterResourceId"`
	Engine     string       `xml:"Engine"`
	Version    string       `xml:"EngineVersion"`
	Mode       string       `xml:"EngineMode"`
	Endpoint   string       `xml:"Endpoint"`
	Port       int          `xml:"Port"`
	Protect    bool         `xml:"DeletionProtection"`
	Retention  int          `xml:"BackupRetentionPeriod"`
	Tags       []tag        `xml:"TagList>Tag"`
	Members    []memberXML  `xml:"DBClusterMembers>DBClusterMember"`
	Class      string       `xml:"DBClusterInstanceClass,omitempty"`
	Subnet     string       `xml:"DBSubnetGroup"`
	Parameters string       `xml:"DBClusterParameterGroup"`
	Security   string       `xml:"VpcSecurityGroups>VpcSecurityGroupMembership>VpcSecurityGroupId"`
	Storage    string       `xml:"StorageType,omitempty"`
	IOPS       int          `xml:"Iops,omitempty"`
	Logs       []string     `xml:"EnabledCloudwatchLogsExports>member"`
	Window     string       `xml:"PreferredBackupWindow"`
	Network    string       `xml:"NetworkType,omitempty"`
	Support    string       `xml:"EngineLifecycleSupport"`
	Key        string       `xml:"KmsKeyId"`
	Public     bool         `xml:"PubliclyAccessible"`
	RoleLogins bool         `xml:"IAMDatabaseAuthenticationEnabled"`
	CopiesTags bool         `xml:"CopyTagsToSnapshot"`
	Serverless *capacityXML `xml:"ServerlessV2ScalingConfiguration"`
}

func (a *Account) shownCluster(c *cluster) clusterXML {
	s := c.shape
	out := clusterXML{
		ID: c.id, ARN: arn("cluster", c.id), Status: c.status, Resource: c.resource, Engine: c.engine, Version: s.Version,
		Mode: s.Mode, Protect: c.protect, Retention: s.Retain, Tags: list(c.tags), Class: s.Class, Subnet: s.Subnet,
		Parameters: s.Parameters, Security: s.Security, Storage: s.Storage, IOPS: s.IOPS, Logs: strings.Fields(s.Logs),
		Window: s.Window, Network: s.Network, Support: s.Support, Key: s.Key, Public: s.Public, RoleLogins: s.RoleLogins,
		CopiesTags: s.CopiesTags, Endpoint: "127.0.0.1",
	}
	if s.Max > 0 {
		out.Serverless = &capacityXML{s.Min, s.Max, s.Pause}
	}
	for n, i := range a.members(c.id) {
		out.Members = append(out.Members, memberXML{i.ID, n == 0})
		if n == 0 && i.Server != nil {
			out.Port = i.Server.Port()
			out.Status = a.status(&Instance{Status: c.status})
		}
	}
	return out
}

func (a *Account) describeClusters(f url.Values) (any, *fault) {
	type result struct {
		Clusters []clusterXML `xml:"DBClusters>DBCluster"`
	}
	var out result
	for _, c := range a.clusters {
		if id := f.Get("DBClusterIdentifier"); id == "" || id == c.id {
			out.Clusters = append(out.Clusters, a.shownCluster(c))
		}
	}
	if id := f.Get("DBClusterIdentifier"); id != "" && len(out.Clusters) == 0 {
		return nil, missing("DBClusterNotFoundFault", "DBCluster "+id+" not found.")
	}
	return out, nil
}

type clusterResult struct {
	Cluster clusterXML `xml:"DBCluster"`
}

// admitCluster is why no cluster is made of a snapshot.
func (a *Account) admitCluster(s *snapshot, f url.Values) *fault {
	id, engine := f.Get("DBClusterIdentifier"), f.Get("Engine")
	class := f.Get("DBClusterInstanceClass")
	switch {
	case s == nil || !s.cluster:
		return missing("DBClusterSnapshotNotFoundFault", f.Get("SnapshotIdentifier")+" not found.")
	case s.status != "available":
		return refuse("InvalidDBClusterSnapshotStateFault", "The snapshot is "+s.status+".")
	case a.findCluster(id) != nil:
		return refuse("DBClusterAlreadyExistsFault", "DB Cluster already exists")
	case !identifier.MatchString(id) || len(id) > 63:
		return refuse("InvalidParameterValue", "The parameter DBClusterIdentifier is not a valid identifier.")
	case engine != s.named.engine:
		return refuse("InvalidParameterCombination", "The engine "+engine+" is not compatible with the snapshot's.")
	case engine == Aurora && (class != "" || f.Has("Iops") || f.Has("PubliclyAccessible")):
		return refuse("InvalidParameterCombination", "A parameter is of Multi-AZ DB clusters only.")
	case engine == MultiAZ && (class == "" || !f.Has("StorageType") || !f.Has("Iops") || f.Has("NetworkType")):
		return refuse("InvalidParameterCombination", "A Multi-AZ DB cluster needs a class, a storage type and Iops.")
	case engine == MultiAZ && slices.Contains(a.lies.NoClass, class):
		return refuse("InsufficientDBClusterCapacityFault", "Cannot create "+class+" there.")
	case engine == MultiAZ && a.lies.InstanceQuota > 0 && len(a.instances)+2 >= a.lies.InstanceQuota:
		return refuse("InstanceQuotaExceeded", "DB Instance quota exceeded")
	case f.Get("BackupRetentionPeriod") == "0":
		return refuse("InvalidParameterValue", "A cluster keeps backups for a day at least.")
	}
	return nil
}

// restoreCluster makes a cluster of a snapshot, which is there a moment later: a
// Multi-AZ one with its members, an Aurora one without any.
func (a *Account) restoreCluster(f url.Values) (any, *fault) {
	s := a.find(f.Get("SnapshotIdentifier"))
	if problem := a.admitCluster(s, f); problem != nil {
		return nil, problem
	}
	number := func(key string) int { n, _ := strconv.Atoi(f.Get(key)); return n }
	float := func(key string) float64 { n, _ := strconv.ParseFloat(f.Get(key), 64); return n }
	const serverless = "ServerlessV2ScalingConfiguration."
	c := &cluster{
		id: f.Get("DBClusterIdentifier"), resource: fmt.Sprintf("cluster-%08X", a.next()), engine: f.Get("Engine"),
		status: "creating", protect: f.Get("DeletionProtection") == "true", tags: tags(f), made: true, from: s,
		instead: a.find(a.lies.RestoreOther),
		shape: ClusterShape{
			Class: f.Get("DBClusterInstanceClass"), Subnet: or(f.Get("DBSubnetGroupName"), "default"),
			Parameters: or(f.Get("DBClusterParameterGroupName"), "default."+f.Get("Engine")),
			Security:   or(f.Get("VpcSecurityGroupIds.VpcSecurityGroupId.1"), "sg-default"),
			Storage:    f.Get("StorageType"), Window: or(f.Get("PreferredBackupWindow"), "22:00-22:30"),
			Network: f.Get("NetworkType"), Support: or(f.Get("EngineLifecycleSupport"), "open-source-rds-extended-support"),
			Version: or(f.Get("EngineVersion"), "99.9"), Mode: or(f.Get("EngineMode"), "provisioned"),
			Key: or(f.Get("KmsKeyId"), s.named.shape.Key), Public: f.Get("PubliclyAccessible") == "true",
			RoleLogins: f.Get("EnableIAMDatabaseAuthentication") == "true", CopiesTags: f.Get("CopyTagsToSnapshot") == "true",
			IOPS: number("Iops"), Retain: number("BackupRetentionPeriod"), Pause: number(serverless + "SecondsUntilAutoPause"),
			Min: float(serverless + "MinCapacity"), Max: float(serverless + "MaxCapacity"),
			Logs: strings.Join(logs(f), " "),
		},
	}
	a.clusters = append(a.clusters, c)
	broken, members := a.lies.FailRestores, 0
	if c.engine == MultiAZ {
		members = 3
	}
	for n := range members {
		shape := standard
		shape.Class = c.shape.Class
		a.instances = append(a.instances, &Instance{
			ID: fmt.Sprintf("%s-instance-%d", c.id, n+1), Resource: fmt.Sprintf("db-%08X", a.next()), Engine: c.engine,
			Cluster: c.id, Status: "creating", restored: n == 0, shape: shape, password: s.of.password,
		})
	}
	a.wg.Go(func() { a.clusterBecomes(c, broken) })
	return clusterResult{a.shownCluster(c)}, nil
}

// clusterBecomes has a cluster be there, with those of its members that came with it.
func (a *Account) clusterBecomes(c *cluster, broken bool) {
	time.Sleep(10 * time.Millisecond)
	for a.slow() {
		time.Sleep(10 * time.Millisecond)
	}
	a.mu.Lock()
	with := a.members(c.id)
	a.mu.Unlock()
	var server *splicetest.Server
	var err error
	if len(with) > 0 && !broken {
		server, err = a.opened(c)(context.Background())
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case broken:
		c.status = "inaccessible-encryption-credentials"
	case err != nil:
		c.status = "failed"
	default:
		c.status = "available"
	}
	for _, i := range with {
		i.Server, i.Status = server, c.status
	}
}

// opened starts a server on what a cluster has.
func (a *Account) opened(c *cluster) func(context.Context) (*splicetest.Server, error) {
	data := c.from.data
	if c.instead != nil {
		data = c.instead.data
	}
	options := splicetest.Options{Bin: c.from.of.Server.Version.Bin, TCP: true, Password: c.from.of.password}
	return func(ctx context.Context) (*splicetest.Server, error) { return splicetest.StartFrom(ctx, data, options) }
}

// createMember makes the first member of an Aurora cluster that was made of a snapshot.
func (a *Account) createMember(f url.Values) (any, *fault) {
	id, c := f.Get("DBInstanceIdentifier"), a.findCluster(f.Get("DBClusterIdentifier"))
	class := f.Get("DBInstanceClass")
	of := func(key string) bool { return f.Has(key) }
	switch {
	case c == nil:
		return nil, missing("DBClusterNotFoundFault", "DBCluster "+f.Get("DBClusterIdentifier")+" not found.")
	case a.instance(id) != nil:
		return nil, refuse("DBInstanceAlreadyExists", "DB instance already exists")
	case c.engine != Aurora || f.Get("Engine") != Aurora:
		return nil, refuse("InvalidParameterCombination", "The engine is not that of an Aurora cluster.")
	case c.status != "available":
		return nil, refuse("InvalidDBClusterStateFault", "The cluster is "+c.status+".")
	case !identifier.MatchString(id) || len(id) > 63 || class == "":
		return nil, refuse("InvalidParameterValue", "The parameter DBInstanceIdentifier or DBInstanceClass is not valid.")
	case slices.ContainsFunc([]string{"AllocatedStorage", "MasterUsername", "MasterUserPassword", "BackupRetentionPeriod",
		"DeletionProtection", "EngineVersion", "VpcSecurityGroupIds.VpcSecurityGroupId.1", "StorageType"}, of):
		return nil, refuse("InvalidParameterCombination", "A parameter is managed by the DB cluster.")
	case a.lies.InstanceQuota > 0 && len(a.instances) >= a.lies.InstanceQuota:
		return nil, refuse("InstanceQuotaExceeded", "DB Instance quota exceeded")
	case slices.Contains(a.lies.NoClass, class):
		return nil, refuse("InsufficientDBInstanceCapacity", "Cannot create "+class+" there.")
	case c.from == nil || len(a.members(c.id)) > 0:
		return nil, refuse("InvalidParameterCombination", "the stand-in makes no second member")
	}
	shape := standard
	shape.Class, shape.Parameters = class, or(f.Get("DBParameterGroupName"), shape.Parameters)
	shape.Certificate = or(f.Get("CACertificateIdentifier"), shape.Certificate)
	shape.Public = f.Get("PubliclyAccessible") == "true"
	i := &Instance{
		ID: id, Resource: fmt.Sprintf("db-%08X", a.next()), Engine: Aurora, Cluster: c.id, Status: "creating", tags: tags(f),
		restored: true, shape: shape, password: c.from.of.password,
	}
	a.instances = append(a.instances, i)
	a.become(i, "failed", a.opened(c))
	return struct {
		Instance instanceXML `xml:"DBInstance"`
	}{a.shown(i)}, nil
}

// modifyCluster changes the name or the protection of a cluster. Its members keep their
// names.
func (a *Account) modifyCluster(f url.Values) (any, *fault) {
	c, name := a.findCluster(f.Get("DBClusterIdentifier")), f.Get("NewDBClusterIdentifier")
	switch {
	case c == nil:
		return nil, missing("DBClusterNotFoundFault", "DBCluster "+f.Get("DBClusterIdentifier")+" not found.")
	case c.status != "available":
		return nil, refuse("InvalidDBClusterStateFault", "DB cluster is not in available state.")
	case name != "" && a.findCluster(name) != nil:
		return nil, refuse("DBClusterAlreadyExistsFault", "DB Cluster already exists")
	case name != "" && (!identifier.MatchString(name) || len(name) > 63):
		return nil, refuse("InvalidParameterValue", "The parameter NewDBClusterIdentifier is not a valid identifier.")
	case f.Get("ApplyImmediately") != "true":
		return nil, refuse("InvalidParameterCombination", "the stand-in has no maintenance window")
	}
	if f.Has("DeletionProtection") {
		c.protect = f.Get("DeletionProtection") == "true"
	}
	if name != "" {
		c.status, c.made = "renaming", true
		a.wg.Go(func() {
			time.Sleep(30 * time.Millisecond)
			a.cut(c.id)
			a.mu.Lock()
			defer a.mu.Unlock()
			for _, i := range a.members(c.id) {
				i.Cluster = name
			}
			c.id, c.status = name, "available"
		})
	}
	return clusterResult{a.shownCluster(c)}, nil
}

// deleteMember deletes an instance of an Aurora cluster, which is gone a moment later.
func (a *Account) deleteMember(i *Instance, f url.Values) (any, *fault) {
	switch c := a.findCluster(i.Cluster); {
	case c.engine != Aurora:
		return nil, refuse("InvalidParameterCombination", "An instance of a Multi-AZ DB cluster is deleted with the cluster.")
	case i.Status == "creating" || i.Status == "deleting":
		return nil, refuse("InvalidDBInstanceState", "Instance "+i.ID+" is "+i.Status+".")
	case f.Has("FinalDBSnapshotIdentifier") || f.Has("DeleteAutomatedBackups"):
		return nil, refuse("InvalidParameterCombination", "A parameter is managed by the DB cluster.")
	}
	i.Status = "deleting"
	a.wg.Go(func() {
		time.Sleep(30 * time.Millisecond)
		a.mu.Lock()
		defer a.mu.Unlock()
		a.end(i)
	})
	return struct {
		Instance instanceXML `xml:"DBInstance"`
	}{a.shown(i)}, nil
}

// deleteCluster deletes one without a last snapshot, if it is allowed to.
func (a *Account) deleteCluster(f url.Values) (any, *fault) {
	c := a.findCluster(f.Get("DBClusterIdentifier"))
	switch {
	case c == nil:
		return nil, missing("DBClusterNotFoundFault", "DBCluster "+f.Get("DBClusterIdentifier")+" not found.")
	case c.protect:
		return nil, refuse("InvalidParameterCombination", "Cannot delete protected Cluster, please disable deletion protection")
	case c.status == "creating" || c.status == "renaming" || c.status == "deleting":
		return nil, refuse("InvalidDBClusterStateFault", "Cluster is "+c.status+".")
	case c.engine == Aurora && slices.ContainsFunc(a.members(c.id), func(i *Instance) bool { return i.Status != "deleting" }):
		return nil, refuse("InvalidDBClusterStateFault", "Cluster cannot be deleted, it still contains DB instances in "+
			"non-deleting state.")
	case f.Get("SkipFinalSnapshot") != "true":
		return nil, refuse("InvalidParameterCombination", "FinalDBSnapshotIdentifier is required unless SkipFinalSnapshot is "+
			"specified.")
	}
	c.status = "deleting"
	a.wg.Go(func() {
		time.Sleep(30 * time.Millisecond)
		a.mu.Lock()
		defer a.mu.Unlock()
		a.remove(c)
	})
	return clusterResult{a.shownCluster(c)}, nil
}
