package rdsapi

import (
	"encoding/xml"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

const namespace = "http://rds.amazonaws.com/doc/2014-10-31/"

type fault struct {
	status        int
	code, message string
}

func refuse(code, message string) *fault { return &fault{http.StatusBadRequest, code, message} }

func missing(code, message string) *fault { return &fault{http.StatusNotFound, code, message} }

type tag struct {
	Key   string `xml:"Key"`
	Value string `xml:"Value"`
}

type endpoint struct {
	Address string `xml:"Address"`
	Port    int    `xml:"Port"`
}

type instanceXML struct {
	ID         string    `xml:"DBInstanceIdentifier"`
	ARN        string    `xml:"DBInstanceArn"`
	Status     string    `xml:"DBInstanceStatus"`
	Resource   string    `xml:"DbiResourceId"`
	Engine     string    `xml:"Engine"`
	Version    string    `xml:"EngineVersion"`
	Class      string    `xml:"DBInstanceClass"`
	Storage    int       `xml:"AllocatedStorage"`
	MultiAZ    bool      `xml:"MultiAZ"`
	Protect    bool      `xml:"DeletionProtection"`
	Retention  int       `xml:"BackupRetentionPeriod"`
	Cluster    string    `xml:"DBClusterIdentifier,omitempty"`
	Replica    string    `xml:"ReadReplicaSourceDBInstanceIdentifier,omitempty"`
	Endpoint   *endpoint `xml:"Endpoint"`
	Tags       []tag     `xml:"TagList>Tag"`
	Subnet     string    `xml:"DBSubnetGroup>DBSubnetGroupName"`
	Parameters string    `xml:"DBParameterGroups>DBParameterGroup>DBParameterGroupName"`
	Public     bool      `xml:"PubliclyAccessible"`
	Security   string    `xml:"VpcSecurityGroups>VpcSecurityGroupMembership>VpcSecurityGroupId"`
	Type       string    `xml:"StorageType"`
	IOPS       int       `xml:"Iops,omitempty"`
	Throughput int       `xml:"StorageThroughput,omitempty"`
	CA         string    `xml:"CACertificateIdentifier"`
	Logs       []string  `xml:"EnabledCloudwatchLogsExports>member"`
}

type snapshotXML struct {
	ID       string `xml:"DBSnapshotIdentifier"`
	ARN      string `xml:"DBSnapshotArn"`
	Instance string `xml:"DBInstanceIdentifier"`
	Resource string `xml:"DbiResourceId"`
	Status   string `xml:"Status"`
	Percent  int    `xml:"PercentProgress"`
	Type     string `xml:"SnapshotType"`
	Engine   string `xml:"Engine"`
	Version  string `xml:"EngineVersion"`
	Created  string `xml:"SnapshotCreateTime,omitempty"`
	Original string `xml:"OriginalSnapshotCreateTime,omitempty"`
	Database string `xml:"SnapshotDatabaseTime,omitempty"`
	CopyOf   string `xml:"SourceDBSnapshotIdentifier,omitempty"`
	Storage  int    `xml:"AllocatedStorage"`
	Tags     []tag  `xml:"TagList>Tag"`
}

type clusterSnapshotXML struct {
	ID       string `xml:"DBClusterSnapshotIdentifier"`
	ARN      string `xml:"DBClusterSnapshotArn"`
	Cluster  string `xml:"DBClusterIdentifier"`
	Resource string `xml:"DbClusterResourceId"`
	Status   string `xml:"Status"`
	Percent  int    `xml:"PercentProgress"`
	Type     string `xml:"SnapshotType"`
	Engine   string `xml:"Engine"`
	Version  string `xml:"EngineVersion"`
	Created  string `xml:"SnapshotCreateTime,omitempty"`
	CopyOf   string `xml:"SourceDBClusterSnapshotArn,omitempty"`
	Mode     string `xml:"EngineMode"`
	Storage  int    `xml:"AllocatedStorage"`
	Tags     []tag  `xml:"TagList>Tag"`
}

type quotaXML struct {
	Name string `xml:"AccountQuotaName"`
	Used int    `xml:"Used"`
	Max  int    `xml:"Max"`
}

// serve answers one request.
func (a *Account) serve(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil || r.Method != http.MethodPost || r.Form.Get("Version") != "2014-10-31" {
		a.answer(w, "", nil, refuse("InvalidParameterValue", "not a request of 2014-10-31"))
		return
	}
	action := r.Form.Get("Action")
	call := Call{Action: action, Target: target(r.Form)}
	a.mu.Lock()
	watch, lost := a.watch, a.lies.LoseRequests[action] > 0
	if lost {
		a.lies.LoseRequests[action]--
	} else {
		a.calls = append(a.calls, call)
	}
	a.mu.Unlock()
	if lost {
		cut(w)
		return
	}
	if watch != nil {
		watch(call)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	result, problem := a.do(action, r)
	if a.lies.LoseAnswers[action] > 0 {
		a.lies.LoseAnswers[action]--
		cut(w)
		return
	}
	a.answer(w, action, result, problem)
}

// cut ends a connection without an answer.
func cut(w http.ResponseWriter) {
	if conn, _, err := w.(http.Hijacker).Hijack(); err == nil {
		_ = conn.Close()
	}
}

func target(form url.Values) string {
	for _, k := range []string{"DBSnapshotIdentifier", "DBClusterSnapshotIdentifier", "DBInstanceIdentifier",
		"DBClusterIdentifier"} {
		if v := form.Get(k); v != "" {
			return v
		}
	}
	return ""
}

func (a *Account) answer(w http.ResponseWriter, action string, result any, problem *fault) {
	w.Header().Set("Content-Type", "text/xml")
	const id = "<ResponseMetadata><RequestId>0e1f</RequestId></ResponseMetadata>"
	if problem != nil {
		w.WriteHeader(problem.status)
		_, _ = fmt.Fprintf(w, `<ErrorResponse xmlns="%s"><Error><Type>Sender</Type><Code>%s</Code><Message>%s</Message></Error>`+
			`<RequestId>0e1f</RequestId></ErrorResponse>`, namespace, problem.code, problem.message)
		return
	}
	var text strings.Builder
	start := xml.StartElement{Name: xml.Name{Local: action + "Result"}}
	if err := xml.NewEncoder(&text).EncodeElement(result, start); err != nil {
		a.t.Errorf("%s: %v", action, err)
	}
	_, _ = fmt.Fprintf(w, `<%[1]sResponse xmlns="%[2]s">%[3]s%[4]s</%[1]sResponse>`, action, namespace, text.String(), id)
}

func (a *Account) do(action string, r *http.Request) (any, *fault) {
	signed := r.Header.Get("Authorization")
	switch {
	case !strings.HasPrefix(signed, "AWS4-HMAC-SHA256 Credential="+Key+"/"):
		return nil, &fault{http.StatusForbidden, "InvalidClientTokenId", "The security token included in the request is invalid."}
	case !strings.Contains(signed, "/"+Region+"/rds/aws4_request"):
		return nil, &fault{http.StatusForbidden, "SignatureDoesNotMatch", "Credential should be scoped to a valid region."}
	case slices.Contains(a.lies.Denied, action), a.policy != nil && !slices.Contains(a.policy, "rds:"+action):
		return nil, &fault{http.StatusForbidden, "AccessDenied", "User: arn:aws:iam::123456789012:user/x is not authorized to " +
			"perform: rds:" + action}
	}
	f := r.Form
	a.sync()
	switch action {
	case "DescribeDBInstances":
		return a.describeInstances(f)
	case "DescribeDBClusters":
		return a.describeClusters(f)
	case "DescribeAccountAttributes":
		return a.attributes(), nil
	case "CreateDBSnapshot":
		return a.createSnapshot(f)
	case "CreateDBClusterSnapshot":
		return a.createClusterSnapshot(f)
	case "DescribeDBSnapshots":
		return a.describeSnapshots(f)
	case "DescribeDBClusterSnapshots":
		return a.describeClusterSnapshots(f)
	case "DeleteDBSnapshot", "DeleteDBClusterSnapshot":
		return a.deleteSnapshot(action, f)
	case "CreateDBInstance":
		if f.Has("DBClusterIdentifier") {
			return a.createMember(f)
		}
		return a.createInstance(f)
	case "RestoreDBClusterFromSnapshot":
		return a.restoreCluster(f)
	case "ModifyDBCluster":
		return a.modifyCluster(f)
	case "DeleteDBCluster":
		return a.deleteCluster(f)
	case "RestoreDBInstanceFromDBSnapshot":
		return a.restore(r)
	case "ModifyDBInstance":
		return a.modify(f)
	case "DeleteDBInstance":
		return a.deleteInstance(f)
	}
	return nil, refuse("InvalidAction", "Could not find operation "+action)
}

func (a *Account) describeInstances(f url.Values) (any, *fault) {
	type result struct {
		Instances []instanceXML `xml:"DBInstances>DBInstance"`
	}
	var out result
	of := "" // the cluster
	if f.Get("Filters.Filter.1.Name") == "db-cluster-id" {
		of = f.Get("Filters.Filter.1.Values.Value.1")
	}
	for _, i := range a.instances {
		if id := f.Get("DBInstanceIdentifier"); (id == "" || id == i.ID) && (of == "" || of == i.Cluster) {
			out.Instances = append(out.Instances, a.shown(i))
		}
	}
	if id := f.Get("DBInstanceIdentifier"); id != "" && len(out.Instances) == 0 {
		return nil, missing("DBInstanceNotFound", "DBInstance "+id+" not found.")
	}
	return out, nil
}

func (a *Account) status(i *Instance) string {
	if a.lies.Maintenance > 0 {
		a.lies.Maintenance--
		return "maintenance"
	}
	return i.Status
}

func (a *Account) shown(i *Instance) instanceXML {
	out := instanceXML{
		ID: i.ID, ARN: arn("db", i.ID), Status: a.status(i), Resource: i.Resource, Engine: i.Engine, Class: i.shape.Class,
		Storage: i.shape.GiB, MultiAZ: i.MultiAZ, Protect: i.Protect, Retention: i.Retain, Cluster: i.Cluster, Replica: i.Replica,
		Tags: list(i.tags), Subnet: i.shape.Subnet, Parameters: i.shape.Parameters, Security: i.shape.Security, Public: i.shape.Public,
		Type: i.shape.Storage, IOPS: i.shape.IOPS, Throughput: i.shape.Throughput, CA: i.shape.Certificate,
		Logs: strings.FieldsFunc(i.shape.Logs, func(r rune) bool { return r == ',' }),
	}
	if i.Server != nil {
		out.Version = i.Server.Version.Major + ".1"
		if i.Status != "creating" {
			out.Endpoint = &endpoint{"127.0.0.1", i.Server.Port()}
		}
	}
	return out
}

func (a *Account) used(cluster bool) int {
	used := 0
	for _, s := range a.snapshots {
		if s.cluster == cluster && s.kind == "manual" {
			used++
		}
	}
	return used
}

func (a *Account) quota() int {
	if a.lies.Quota > 0 {
		return a.lies.Quota
	}
	return 100
}

func (a *Account) attributes() any {
	most := a.quota()
	if a.lies.QuotaHidden {
		most = 100
	}
	return struct {
		Quotas []quotaXML `xml:"AccountQuotas>AccountQuota"`
	}{[]quotaXML{
		{"DBInstances", len(a.instances), 40},
		{"ManualSnapshots", a.used(false), most},
		{"ManualClusterSnapshots", a.used(true), most},
	}}
}

var identifier = regexp.MustCompile(`^[a-zA-Z](-?[a-zA-Z0-9])*$`)

func (a *Account) admit(id, code, state string, of *Instance, cluster bool) *fault {
	const most = 255
	switch {
	case !identifier.MatchString(id) || len(id) > most:
		return refuse("InvalidParameterValue", "The parameter DBSnapshotIdentifier is not a valid identifier.")
	case a.find(id) != nil:
		return refuse(code, "Cannot create the snapshot because one with the identifier "+id+" already exists.")
	case a.used(cluster) >= a.quota():
		return refuse("SnapshotQuotaExceeded", "Cannot create more than "+strconv.Itoa(a.quota())+" manual snapshots")
	case of.Status != "available" || a.lies.BusyRequests > 0:
		a.lies.BusyRequests--
		return refuse(state, of.ID+" is not currently in the available state.")
	}
	return nil
}

func (a *Account) createSnapshot(f url.Values) (any, *fault) {
	of := a.instance(f.Get("DBInstanceIdentifier"))
	if of == nil {
		return nil, missing("DBInstanceNotFound", "DBInstance "+f.Get("DBInstanceIdentifier")+" not found.")
	}
	if of.Cluster != "" {
		return nil, refuse("InvalidParameterValue", "The specified instance is a member of a cluster and a snapshot cannot be "+
			"created directly. Please use the CreateDBClusterSnapshot API instead.")
	}
	id := f.Get("DBSnapshotIdentifier")
	if problem := a.admit(id, "DBSnapshotAlreadyExists", "InvalidDBInstanceState", of, false); problem != nil {
		return nil, problem
	}
	return struct {
		Snapshot snapshotXML `xml:"DBSnapshot"`
	}{a.snapshotXML(a.take(id, of, false, tags(f)))}, nil
}

func (a *Account) createClusterSnapshot(f url.Values) (any, *fault) {
	c, of := a.findCluster(f.Get("DBClusterIdentifier")), a.writer(f.Get("DBClusterIdentifier"))
	if of == nil {
		return nil, missing("DBClusterNotFoundFault", "DBCluster "+f.Get("DBClusterIdentifier")+" not found.")
	}
	id := f.Get("DBClusterSnapshotIdentifier")
	problem := a.admit(id, "DBClusterSnapshotAlreadyExistsFault", "InvalidDBClusterStateFault", of, true)
	if problem == nil && c.status != "available" {
		problem = refuse("InvalidDBClusterStateFault", c.id+" is "+c.status+".")
	}
	if problem != nil {
		return nil, problem
	}
	return struct {
		Snapshot clusterSnapshotXML `xml:"DBClusterSnapshot"`
	}{clusterSnapshot(a.take(id, of, true, tags(f)))}, nil
}

func (a *Account) describeSnapshots(f url.Values) (any, *fault) {
	var out struct {
		Snapshots []snapshotXML `xml:"DBSnapshots>DBSnapshot"`
	}
	id, of := f.Get("DBSnapshotIdentifier"), f.Get("DBInstanceIdentifier")
	for _, s := range a.chosen(id, of, false) {
		out.Snapshots = append(out.Snapshots, a.snapshotXML(s))
	}
	if id != "" && len(out.Snapshots) == 0 {
		return nil, missing("DBSnapshotNotFound", "DBSnapshot "+id+" not found.")
	}
	return out, nil
}

func (a *Account) describeClusterSnapshots(f url.Values) (any, *fault) {
	var out struct {
		Snapshots []clusterSnapshotXML `xml:"DBClusterSnapshots>DBClusterSnapshot"`
	}
	id, of := f.Get("DBClusterSnapshotIdentifier"), f.Get("DBClusterIdentifier")
	for _, s := range a.chosen(id, of, true) {
		out.Snapshots = append(out.Snapshots, clusterSnapshot(s))
	}
	if id != "" && len(out.Snapshots) == 0 {
		return nil, missing("DBClusterSnapshotNotFoundFault", "DBClusterSnapshot "+id+" not found.")
	}
	return out, nil
}

// chosen are the snapshots that a question is about; a liar's vanish meanwhile.
func (a *Account) chosen(id, of string, cluster bool) []*snapshot {
	var out []*snapshot
	for _, s := range slices.Clone(a.snapshots) {
		name := s.of.ID
		if cluster && s.named != nil {
			name = s.named.id
		}
		if s.cluster != cluster || id != "" && s.id != id || of != "" && of != name {
			continue
		}
		if s.status == "available" {
			s.described++
			if a.lies.VanishAfter > 0 && s.described > a.lies.VanishAfter {
				a.drop(s)
				continue
			}
		}
		out = append(out, s)
	}
	return out
}

func (a *Account) drop(s *snapshot) {
	a.snapshots = slices.DeleteFunc(a.snapshots, func(o *snapshot) bool { return o == s })
	shared := slices.ContainsFunc(a.snapshots, func(o *snapshot) bool { return o.data == s.data })
	if s.data != "" && !shared {
		_ = os.RemoveAll(s.data)
	}
}

func (a *Account) deleteSnapshot(action string, f url.Values) (any, *fault) {
	cluster := action == "DeleteDBClusterSnapshot"
	key, code, state := "DBSnapshotIdentifier", "DBSnapshotNotFound", "InvalidDBSnapshotState"
	if cluster {
		key, code, state = "DBClusterSnapshotIdentifier", "DBClusterSnapshotNotFoundFault", "InvalidDBClusterSnapshotStateFault"
	}
	s := a.find(f.Get(key))
	switch {
	case s == nil || s.cluster != cluster:
		return nil, missing(code, f.Get(key)+" not found.")
	case s.status == "creating":
		return nil, refuse(state, "Snapshot is being created.")
	}
	a.drop(s)
	if cluster {
		return struct {
			Snapshot clusterSnapshotXML `xml:"DBClusterSnapshot"`
		}{clusterSnapshot(s)}, nil
	}
	return struct {
		Snapshot snapshotXML `xml:"DBSnapshot"`
	}{a.snapshotXML(s)}, nil
}

func (a *Account) snapshotXML(s *snapshot) snapshotXML {
	out := snapshotXML{
		ID: s.id, ARN: s.arn, Instance: s.fields.ID, Resource: s.fields.Resource, Status: s.status, Percent: s.percent,
		Type: s.kind, Engine: s.fields.Engine, Version: s.fields.Server.Version.Major + ".1", Storage: s.fields.shape.GiB, Tags: list(s.tags),
		Created: stamp(s.created), Original: stamp(s.created), Database: stamp(s.database), CopyOf: s.copyOf,
	}
	if s.status != "available" || a.lies.HideTime {
		out.Database = ""
	}
	if a.lies.CopiedTimes && !s.created.IsZero() {
		out.Created = stamp(s.created.AddDate(0, 0, -1))
	}
	return out
}

func clusterSnapshot(s *snapshot) clusterSnapshotXML {
	return clusterSnapshotXML{
		ID: s.id, ARN: s.arn, Cluster: s.named.id, Resource: s.named.resource, Status: s.status,
		Percent: s.percent, Type: s.kind, Engine: s.named.engine, Version: s.named.shape.Version, Mode: s.named.shape.Mode,
		Created: stamp(s.created), Tags: list(s.tags), Storage: s.fields.shape.GiB,
	}
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02T15:04:05.000Z")
}

func list(tags map[string]string) []tag {
	var out []tag
	for k, v := range tags {
		out = append(out, tag{k, v})
	}
	slices.SortFunc(out, func(a, b tag) int { return strings.Compare(a.Key, b.Key) })
	return out
}

func tags(f url.Values) map[string]string {
	out := map[string]string{}
	for n := 1; f.Has(fmt.Sprintf("Tags.Tag.%d.Key", n)); n++ {
		out[f.Get(fmt.Sprintf("Tags.Tag.%d.Key", n))] = f.Get(fmt.Sprintf("Tags.Tag.%d.Value", n))
	}
	return out
}
