package rdsapi

import (
	"context"
	"net/http"
	"net/url"
	"slices"

	"holdfast/internal/splicetest"
)

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
	}
	i := &Instance{ID: id, Resource: "db-RESTORED" + id, Engine: s.fields.Engine, Status: "creating", tags: tags(f),
		restored: true}
	a.instances = append(a.instances, i)
	options := splicetest.Options{Bin: s.of.Server.Version.Bin, TCP: true}
	data := s.data
	a.wg.Go(func() {
		server, err := splicetest.StartFrom(context.Background(), data, options)
		a.mu.Lock()
		defer a.mu.Unlock()
		if err != nil {
			i.Status = "failed"
			return
		}
		i.Server, i.Status = server, "available"
	})
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
	case i.Protect:
		return nil, refuse("InvalidParameterCombination", "Cannot delete protected DB Instance")
	case i.Status == "creating":
		return nil, refuse("InvalidDBInstanceState", "Instance is being created.")
	case f.Get("SkipFinalSnapshot") != "true":
		return nil, refuse("InvalidParameterCombination", "FinalDBSnapshotIdentifier is required unless SkipFinalSnapshot is "+
			"specified.")
	}
	a.instances = slices.DeleteFunc(a.instances, func(o *Instance) bool { return o == i })
	if i.restored && i.Server != nil {
		server := i.Server
		a.wg.Go(func() { _ = server.Close() })
	}
	i.Status = "deleting"
	return struct {
		Instance instanceXML `xml:"DBInstance"`
	}{a.shown(i)}, nil
}
