package rdsapi

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"holdfast/internal/splicetest"
)

// Shape is how an instance is set up.
type Shape struct {
	Class, Subnet, Parameters, Security string
	Public                              bool
	Storage, Certificate, Logs          string // logs: names with commas between
	GiB, IOPS, Throughput               int
}

// usual is the shape of the instances that an account begins with, standard
// what RDS takes where a restore says nothing.
var (
	usual = Shape{
		Class: "db.t4g.medium", Subnet: "private", Parameters: "canton", Security: "sg-1",
		Storage: "gp3", GiB: 25, IOPS: 3000, Throughput: 125, Certificate: "rds-ca-ecc384-g1", Logs: "postgresql,upgrade",
	}
	standard = Shape{
		Class: "db.t4g.medium", Subnet: "default", Parameters: "default.postgres15", Security: "sg-default",
		Storage: "gp2", GiB: 25, IOPS: 0, Throughput: 0, Certificate: "rds-ca-rsa2048-g1",
	}
)

// fast is what storage of a type is like whose speed nobody may choose.
func (s Shape) fast() (iops, throughput int) {
	if s.Storage == "gp3" {
		return 3000, 125
	}
	return 0, 0
}

// chosen reports whether RDS lets somebody choose how fast such storage is.
func (s Shape) chosen() bool { return s.Storage == "io1" || s.Storage == "gp3" && s.GiB >= 400 }

// Reshape sets an instance up another way.
func (a *Account) Reshape(id string, change func(*Shape)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	change(&a.instance(id).shape)
}

// Shape is how an instance is set up now.
func (a *Account) Shape(id string) Shape {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.instance(id).shape
}

// Tags are those of an instance.
func (a *Account) Tags(id string) map[string]string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return maps.Clone(a.instance(id).tags)
}

// Tag gives an instance other tags.
func (a *Account) Tag(id string, tags map[string]string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.instance(id).tags = tags
}

// Resource is what an instance is called that is never given again; "" for none of
// that name.
func (a *Account) Resource(id string) string {
	a.mu.Lock()
	defer a.mu.Unlock()
	if i := a.instance(id); i != nil {
		return i.Resource
	}
	return ""
}

// Lose removes an instance without being asked.
func (a *Account) Lose(id string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.instances = slices.DeleteFunc(a.instances, func(i *Instance) bool { return i.ID == id })
}

// Discard removes a snapshot without being asked.
func (a *Account) Discard(id string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.drop(a.find(id))
}

func or(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}

// restore makes a second server of a snapshot, which is there a moment later.
func (a *Account) restore(r *http.Request) (any, *fault) {
	f := r.Form
	s, id := a.find(f.Get("DBSnapshotIdentifier")), f.Get("DBInstanceIdentifier")
	switch {
	case s == nil || s.cluster:
		return nil, missing("DBSnapshotNotFound", f.Get("DBSnapshotIdentifier")+" not found.")
	case s.status != "available":
		return nil, refuse("InvalidDBSnapshotState", "The snapshot is "+s.status+".")
	case a.instance(id) != nil:
		return nil, refuse("DBInstanceAlreadyExists", "DB instance already exists")
	case !identifier.MatchString(id) || len(id) > 63:
		return nil, refuse("InvalidParameterValue", "The parameter DBInstanceIdentifier is not a valid identifier.")
	case a.lies.InstanceQuota > 0 && len(a.instances) >= a.lies.InstanceQuota:
		return nil, refuse("InstanceQuotaExceeded", "DB Instance quota exceeded")
	case f.Get("DBInstanceClass") != "" && slices.Contains(a.lies.NoClass, f.Get("DBInstanceClass")):
		return nil, refuse("InsufficientDBInstanceCapacity", "Cannot create "+f.Get("DBInstanceClass")+" there.")
	}
	shape := standard
	shape.Class = or(f.Get("DBInstanceClass"), shape.Class)
	shape.Subnet = or(f.Get("DBSubnetGroupName"), shape.Subnet)
	shape.Parameters = or(f.Get("DBParameterGroupName"), shape.Parameters)
	shape.Security = or(f.Get("VpcSecurityGroupIds.VpcSecurityGroupId.1"), shape.Security)
	shape.Public = f.Get("PubliclyAccessible") == "true"
	shape.Storage, shape.GiB = or(f.Get("StorageType"), shape.Storage), s.fields.shape.GiB
	shape.Certificate = or(f.Get("CACertificateIdentifier"), shape.Certificate)
	shape.Logs = strings.Join(logs(f), ",")
	shape.IOPS, shape.Throughput = shape.fast()
	for key, value := range map[string]*int{"Iops": &shape.IOPS, "StorageThroughput": &shape.Throughput} {
		switch {
		case !f.Has(key):
		case !shape.chosen():
			return nil, refuse("InvalidParameterCombination", "You can't specify IOPS or storage throughput for engine postgres "+
				"and a storage size less than 400.")
		default:
			*value, _ = strconv.Atoi(f.Get(key))
		}
	}
	i := &Instance{
		ID:       id,
		Resource: fmt.Sprintf("db-%08X", a.next()),
		Engine:   s.fields.Engine,
		Status:   "creating",
		Protect:  f.Get("DeletionProtection") == "true",
		MultiAZ:  f.Get("MultiAZ") == "true",
		tags:     tags(f),
		restored: true,
		shape:    shape,
		password: s.of.password,
	}
	a.instances = append(a.instances, i)
	options := splicetest.Options{Bin: s.of.Server.Version.Bin, TCP: true, Password: i.password}
	data, broken := s.data, a.lies.FailRestores
	if other := a.find(a.lies.RestoreOther); other != nil {
		data = other.data
	}
	if broken {
		a.become(i, "incompatible-restore", func(context.Context) (*splicetest.Server, error) {
			return nil, errors.New("it is to fail")
		})
	} else {
		a.become(i, "failed", func(ctx context.Context) (*splicetest.Server, error) {
			return splicetest.StartFrom(ctx, data, options)
		})
	}
	return struct {
		Instance instanceXML `xml:"DBInstance"`
	}{a.shown(i)}, nil
}

// logs are those that a request has exported.
func logs(f url.Values) (out []string) {
	for n := 1; f.Has(fmt.Sprintf("EnableCloudwatchLogsExports.member.%d", n)); n++ {
		out = append(out, f.Get(fmt.Sprintf("EnableCloudwatchLogsExports.member.%d", n)))
	}
	return out
}

// superuserPassword is that of the role that nobody but the provider has. Whoever
// connects to the server needs the password of its own role.
const superuserPassword = "of-the-provider"

// createInstance makes an empty server, which is there a moment later. Its user is no
// superuser, as RDS's is none.
func (a *Account) createInstance(f url.Values) (any, *fault) {
	id, user := f.Get("DBInstanceIdentifier"), f.Get("MasterUsername")
	gib, _ := strconv.Atoi(f.Get("AllocatedStorage"))
	const least = 20 // of gp3
	switch {
	case a.instance(id) != nil:
		return nil, refuse("DBInstanceAlreadyExists", "DB instance already exists")
	case !identifier.MatchString(id) || len(id) > 63:
		return nil, refuse("InvalidParameterValue", "The parameter DBInstanceIdentifier is not a valid identifier.")
	case a.lies.InstanceQuota > 0 && len(a.instances) >= a.lies.InstanceQuota:
		return nil, refuse("InstanceQuotaExceeded", "DB Instance quota exceeded")
	case slices.Contains(a.lies.NoClass, f.Get("DBInstanceClass")):
		return nil, refuse("InsufficientDBInstanceCapacity", "Cannot create "+f.Get("DBInstanceClass")+" there.")
	case gib < least:
		return nil, refuse("InvalidParameterValue", "Invalid storage size for engine name postgres and storage type gp3.")
	case f.Get("Engine") != "postgres" || user == "" || user == "postgres" || len(f.Get("MasterUserPassword")) < 8:
		return nil, refuse("InvalidParameterValue", "The parameter MasterUsername or MasterUserPassword is not a valid one.")
	}
	major, _, _ := strings.Cut(f.Get("EngineVersion"), ".")
	version, err := splicetest.FindVersion(major)
	if err != nil {
		return nil, refuse("InvalidParameterCombination", "Cannot find version "+f.Get("EngineVersion")+" for postgres")
	}
	shape := standard
	shape.Class, shape.GiB, shape.Storage = f.Get("DBInstanceClass"), gib, or(f.Get("StorageType"), "gp2")
	shape.IOPS, shape.Throughput = shape.fast()
	shape.Subnet = or(f.Get("DBSubnetGroupName"), shape.Subnet)
	shape.Security = or(f.Get("VpcSecurityGroupIds.VpcSecurityGroupId.1"), shape.Security)
	shape.Certificate = or(f.Get("CACertificateIdentifier"), shape.Certificate)
	shape.Public = f.Get("PubliclyAccessible") == "true"
	i := &Instance{
		ID:       id,
		Resource: fmt.Sprintf("db-%08X", a.next()),
		Engine:   "postgres",
		Status:   "creating",
		Protect:  f.Get("DeletionProtection") == "true",
		MultiAZ:  f.Get("MultiAZ") == "true",
		tags:     tags(f),
		restored: true,
		shape:    shape,
		password: superuserPassword,
	}
	a.instances = append(a.instances, i)
	password := f.Get("MasterUserPassword")
	a.become(i, "failed", func(ctx context.Context) (*splicetest.Server, error) {
		server, err := splicetest.Start(ctx, splicetest.Options{Bin: version.Bin, TCP: true, Password: i.password})
		if err == nil {
			err = server.Exec(ctx, "postgres", fmt.Sprintf("CREATE ROLE %s LOGIN CREATEDB CREATEROLE PASSWORD '%s'",
				pgx.Identifier{user}.Sanitize(), strings.ReplaceAll(password, "'", "''")))
		}
		return server, err
	})
	return struct {
		Instance instanceXML `xml:"DBInstance"`
	}{a.shown(i)}, nil
}

// become starts the server of an instance a moment later. Where that fails the
// instance has the other state.
func (a *Account) become(i *Instance, otherwise string, start func(context.Context) (*splicetest.Server, error)) {
	a.wg.Go(func() {
		for a.slow() {
			time.Sleep(10 * time.Millisecond)
		}
		server, err := start(context.Background())
		a.mu.Lock()
		defer a.mu.Unlock()
		if err != nil {
			i.Status = otherwise
			return
		}
		i.Server, i.Status = server, "available"
	})
}

func (a *Account) slow() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.lies.SlowRestores
}

// modify changes the name or the protection of an instance. A new name is there a
// moment later, and the old one is gone by then.
func (a *Account) modify(f url.Values) (any, *fault) {
	i, name := a.instance(f.Get("DBInstanceIdentifier")), f.Get("NewDBInstanceIdentifier")
	switch {
	case i == nil:
		return nil, missing("DBInstanceNotFound", f.Get("DBInstanceIdentifier")+" not found.")
	case i.Status != "available":
		return nil, refuse("InvalidDBInstanceState", "Database instance is not in available state.")
	case name != "" && a.instance(name) != nil:
		return nil, refuse("DBInstanceAlreadyExists", "DB instance already exists")
	case name != "" && (!identifier.MatchString(name) || len(name) > 63):
		return nil, refuse("InvalidParameterValue", "The parameter NewDBInstanceIdentifier is not a valid identifier.")
	case f.Get("ApplyImmediately") != "true":
		return nil, refuse("InvalidParameterCombination", "the stand-in has no maintenance window")
	}
	if f.Has("DeletionProtection") {
		i.Protect = f.Get("DeletionProtection") == "true"
	}
	if name != "" {
		i.Status = "renaming"
		a.wg.Go(func() {
			time.Sleep(30 * time.Millisecond)
			a.cut(i.ID)
			a.mu.Lock()
			defer a.mu.Unlock()
			i.ID, i.Status = name, "available"
		})
	}
	return struct {
		Instance instanceXML `xml:"DBInstance"`
	}{a.shown(i)}, nil
}

// deleteInstance deletes one without a last snapshot, if it is allowed to.
func (a *Account) deleteInstance(f url.Values) (any, *fault) {
	i := a.instance(f.Get("DBInstanceIdentifier"))
	switch {
	case i == nil:
		return nil, missing("DBInstanceNotFound", f.Get("DBInstanceIdentifier")+" not found.")
	case i.Cluster != "":
		return a.deleteMember(i, f)
	case i.Protect:
		return nil, refuse("InvalidParameterCombination", "Cannot delete protected DB Instance")
	case i.Status == "creating":
		return nil, refuse("InvalidDBInstanceState", "Instance is being created.")
	case f.Get("SkipFinalSnapshot") != "true":
		return nil, refuse("InvalidParameterCombination", "FinalDBSnapshotIdentifier is required unless SkipFinalSnapshot is "+
			"specified.")
	}
	a.end(i)
	i.Status = "deleting"
	if a.lies.LoseSnapshots {
		for _, s := range slices.Clone(a.snapshots) {
			if s.of == i {
				a.drop(s)
			}
		}
	}
	return struct {
		Instance instanceXML `xml:"DBInstance"`
	}{a.shown(i)}, nil
}
