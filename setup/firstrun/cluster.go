package firstrun

import (
	"cmp"
	"context"
	"errors"
	"path/filepath"
	"slices"

	"holdfast"
	"holdfast/internal/libpq"
	"holdfast/node/kube"
)

// lookInCluster finds the node in Kubernetes, prompts for what cannot be seen from
// outside, shows the node, and asks once whether to set it up.
func (r *run) lookInCluster(ctx context.Context) error {
	options := kube.Options{Context: r.Context}
	cluster, err := kube.Connect(options)
	if err != nil {
		return err
	}
	if !options.InPod() {
		r.cluster = cluster
	}
	var recorded lostNode
	var unread error
	if r.Back {
		recorded, unread = r.lost(ctx)
		or(&r.Namespace, recorded.about.Namespace)
	}
	v, err := r.findIn(ctx, cluster)
	var none *kube.NotFound
	switch {
	case !errors.As(err, &none):
	case unread != nil:
		return unread
	case recorded.set.ID != "":
		return r.recallInCluster(recorded)
	}
	if err != nil {
		return err
	}
	r.Namespace = v.App.Namespace
	r.fillFromCluster(v)
	r.options.Events.Report(Found{
		In: "Kubernetes", Lines: v.Lines(), Node: r.Node, Repository: r.Repository, Backup: !r.NoBackup,
	})
	if err := r.askUnseen(v); err != nil {
		return err
	}
	return r.agree("Set it up")
}

// lostNode is what the newest set of a repository says of a node in Kubernetes.
type lostNode struct {
	set   holdfast.Set
	about kube.Description
	kept  kube.Kept
}

// lost reads what the repository says of the node that is to come back; nothing where
// it has no set of one in Kubernetes.
func (r *run) lost(ctx context.Context) (n lostNode, err error) {
	store, err := r.store(ctx)
	if err != nil {
		return n, err
	}
	defer func() { _ = store.Close(ctx) }()
	if n.set, err = newestOf(ctx, store, kube.Kind, holdfast.NodeName(r.Node)); err != nil || n.set.ID == "" {
		return n, err
	}
	if n.about, err = kube.Describe(n.set.Deployment); err != nil {
		return n, err
	}
	_, files, err := store.Find(ctx, n.set.Node.Name, string(n.set.ID))
	if err != nil {
		return n, err
	}
	n.kept, err = kube.Recorded(ctx, n.set, files)
	return n, err
}

// recallInCluster takes from a set what nothing in the cluster says any more.
func (r *run) recallInCluster(n lostNode) error {
	again, err := kube.Rebuilt(n.about, n.kept, kube.Site{})
	if err != nil {
		return err
	}
	r.takeSet(n.set)
	r.fillFromCluster(again.Node)
	r.options.Events.Report(Recalled{
		Set: n.set, Lines: append([][]string{{"Splice", cmp.Or(n.set.Deployment.Splice, "cannot tell")}}, n.about.Lines()...),
	})
	if err := r.askUnseen(again.Node); err != nil {
		return err
	}
	return r.agree("Write it")
}

// findIn finds the node in the namespace that is named, or else wherever it may be
// looked for.
func (r *run) findIn(ctx context.Context, cluster *kube.Cluster) (kube.Validator, error) {
	namespace := r.Namespace
	objects, err := cluster.List(ctx, namespace)
	if namespace == "" && holdfast.ClassOf(err) == holdfast.WrongKey {
		namespace = cluster.Namespace
		objects, err = cluster.List(ctx, namespace)
	}
	if err != nil {
		return kube.Validator{}, err
	}
	return kube.Choose(kube.Find(objects), r.Services["validator"], cluster.Where(namespace))
}

// fillFromCluster takes from a node what was not given.
func (r *run) fillFromCluster(v kube.Validator) {
	or(&r.Node, cmp.Or(v.PartyHint(), v.App.Namespace))
	or(&r.Repository, filepath.Join(r.dir, "repository"))
	for _, kind := range []holdfast.Kind{holdfast.Validator, holdfast.Participant} {
		r.fillDatabase(v, kind)
	}
	if r.URL != "" {
		return
	}
	r.URL = v.URL
	or(&r.Audience, v.Audience())
	or(&r.Scope, v.Credentials("SCOPE").Text)
	if v.WithoutAuth() {
		or(&r.Auth, "unsafe")
		or(&r.Audience, "https://validator.example.com")
		if user := v.Credentials("USER_NAME").Text; user != "" && len(r.Users) == 0 {
			r.Users = []string{user}
		}
		return
	}
	or(&r.Auth, "oidc")
	or(&r.Issuer, v.Credentials("URL").Text)
	or(&r.ClientID, v.Credentials("CLIENT_ID").Text)
	or(&r.ClientSecret, v.Credentials("CLIENT_SECRET").Reference)
}

// fillDatabase takes a database, and where its password is. A password that the
// pod's description has in clear goes into a file.
func (r *run) fillDatabase(v kube.Validator, kind holdfast.Kind) {
	d, name := v.Databases[kind], string(kind)
	about := func(q kube.Question) bool { return q.Of == kind && !q.Password }
	if !r.given(name) && !slices.ContainsFunc(v.Questions, about) {
		var info libpq.Conninfo
		info = info.With("host", d.Host).With("port", d.Port).With("dbname", d.Name).With("user", d.User)
		r.Databases = append(r.Databases, name+"="+info.String())
	}
	if r.references[name] != "" || r.asksPassword(v, kind) {
		return
	}
	if d.Password.Reference != "" {
		r.references[name] = d.Password.Reference
	} else if d.Password.Text != "" {
		r.passwords[name] = r.options.Secrets.Learn(holdfast.NewSecret(d.Password.Text))
	}
}

func (r *run) asksPassword(v kube.Validator, kind holdfast.Kind) bool {
	return slices.ContainsFunc(v.Questions, func(q kube.Question) bool { return q.Of == kind && q.Password })
}

// askUnseen prompts for what cannot be seen from outside, unless it was given.
func (r *run) askUnseen(v kube.Validator) error {
	for _, q := range v.Questions {
		name := string(q.Of)
		switch {
		case q.Password && r.references[name] == "":
			const want = "Where it is (kube:NAMESPACE/NAME#KEY, file:PATH, vault:MOUNT/PATH#FIELD)"
			reference, err := r.operator.Ask("--database-password "+name+"=...", q.What+". "+want, "")
			if err != nil {
				return err
			}
			r.references[name] = reference
		case !q.Password && !r.given(name):
			want := "Connection string of the " + name + "'s database"
			dsn, err := r.operator.Ask("--database "+name+"=...", q.What+". "+want, "")
			if err != nil {
				return err
			}
			r.Databases = append(r.Databases, name+"="+dsn)
		}
	}
	return nil
}
