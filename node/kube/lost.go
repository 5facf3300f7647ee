package kube

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"holdfast"
	"holdfast/event"
	"holdfast/internal/durable"
	"holdfast/step"
)

// Lost is what a node is made again of whose namespace is gone, or has nothing of
// it.
type Lost struct {
	// Record is what the set keeps of the namespace. Nil: nothing is made again.
	Record func(context.Context) (Kept, error)
	// Directory gets the files that the operator's commands take.
	Directory string
	// Answers says whether the databases' servers let us in.
	Answers func(context.Context) error
}

// gone reports whether there is no node where it was looked for.
func gone(err error) bool {
	var none *NotFound
	return errors.As(err, &none)
}

// surveyLost says how a node is made again of which the namespace has nothing: files
// are written, what serves the databases is waited for, and the rest is typed when
// the databases are there.
func (p *Programs) surveyLost(ctx context.Context, set holdfast.Set) (out step.Survey, err error) {
	d, err := Describe(set.Deployment)
	if err != nil {
		return out, err
	}
	kept, err := p.Lost.Record(ctx)
	if err != nil {
		return out, err
	}
	if d.Namespace != p.Node.Namespace {
		return out, p.otherNamespace(d)
	}
	o, err := p.Node.Cluster.List(ctx, p.Node.Namespace)
	if err != nil {
		return out, err
	}
	if run := o.running(Validator{}); len(run) > 0 {
		return out, p.lives(run)
	}
	site := Site{Context: p.Node.Cluster.Context, Namespace: p.Node.Namespace, Directory: p.Lost.Directory}
	if p.rebuild, err = Rebuilt(d, kept, site); err != nil {
		return out, err
	}
	if p.first, out.Aside, err = p.missing(ctx, d, o); err != nil {
		return out, err
	}
	if err := p.surveyFiles(&out); err != nil {
		return out, err
	}
	if err := p.surveyServer(ctx, &out); err != nil {
		return out, err
	}
	for _, i := range p.rebuild.Programs {
		out.Install = append(out.Install, step.Part{Of: i.String(), Lines: i.Lines})
	}
	for _, what := range set.Deployment.NotKept {
		out.Aside = append(out.Aside, "in no set: "+what)
	}
	out.Original = step.Original{Verdict: holdfast.CannotTell, Evidence: append([]string{fmt.Sprintf(
		"the set was taken in %s, and here is no node in %s", set.Deployment.Machine, p.where())}, lastSeen(set)...)}
	return out, nil
}

func (p *Programs) where() string { return p.Node.Cluster.Where(p.Node.Namespace) }

// String names what is installed.
func (i Install) String() string {
	return cmp.Or(strings.Join(i.Of, " and "), "objects that no release has")
}

func (p *Programs) otherNamespace(d Description) error {
	return &holdfast.Problem{
		Class: holdfast.Refused,
		What:  fmt.Sprintf("the set's node ran in namespace %s, and kube.namespace is %s", d.Namespace, p.Node.Namespace),
		Why:   "Its values and addresses name the namespace.",
		Do: "Make it again under the same name: `namespace: " + d.Namespace + "` below `kube:`. Or install the charts " +
			"in the other one yourself, scaled to 0; then `holdfast restore`.",
	}
}

func (p *Programs) lives(run []Workload) error {
	var names, scale []string
	for _, w := range run {
		names, scale = append(names, w.String()), append(scale, w.reference())
	}
	return &holdfast.Problem{
		Class: holdfast.Refused,
		What:  "there is no validator app in " + p.where() + ", but " + strings.Join(names, " and ") + " runs, or is to run",
		Why:   "Two participants with the same keys harm each other, and its databases are in use.",
		Do: "If it is a rest of the lost node: `" + p.Node.Cluster.kubectl(p.Node.Namespace) + " scale --replicas=0 " +
			strings.Join(scale, " ") + "`. Then repeat the command.",
	}
}

// missing is what has to be there before the databases are made, and is not.
func (p *Programs) missing(
	ctx context.Context, d Description, o Objects,
) (list []step.Part, aside []string, err error) {
	kubectl := p.Node.Cluster.kubectl
	there, known, err := p.Node.exists(ctx)
	if err != nil {
		return nil, nil, err
	}
	if !there {
		line := kubectl("") + " create namespace " + p.Node.Namespace + "\n"
		if !known {
			line = "# Unless it is there:\n" + line
		}
		list = append(list, step.Part{Of: "namespace " + p.Node.Namespace, Lines: line})
	}
	for _, s := range d.Secrets {
		lacks, err := p.Node.lacks(ctx, s)
		switch {
		case holdfast.ClassOf(err) == holdfast.WrongKey:
			aside = append(aside, "whether Secret "+s.Name+" is there is unknown: the cluster does not allow to look")
		case err != nil:
			return nil, nil, err
		case lacks == "":
		case lacks == s.Name:
			list = append(list, step.Part{Of: "Secret " + s.Name, Lines: s.create(kubectl(p.Node.Namespace))})
		default:
			aside = append(aside, "Secret "+s.Name+" is there, but has no key "+lacks)
		}
	}
	for _, i := range p.rebuild.Servers {
		has := func(name string) bool {
			return slices.ContainsFunc(o.workloads(), func(w Workload) bool { return w.String() == name })
		}
		if len(i.Of) == 0 || !slices.ContainsFunc(i.Of, has) {
			list = append(list, step.Part{Of: i.String(), Lines: i.Lines})
		}
	}
	return list, aside, nil
}

// create is what makes a Secret, whose contents the operator has.
func (s SecretName) create(kubectl string) string {
	if len(s.Keys) == 0 {
		return "# Its kind and its keys are in no set: it is taken as a whole, by a volume or to fetch images.\n" +
			kubectl + " create secret generic " + s.Name + " --from-file=DIRECTORY\n"
	}
	line := kubectl + " create secret generic " + s.Name
	for _, key := range s.Keys {
		line += " --from-file=" + quote(key) + "=FILE"
	}
	return "# FILE has what was there, without a line break at the end.\n" + line + "\n"
}

// exists reports whether the namespace is there, as far as it may be looked at.
func (n Node) exists(ctx context.Context) (there, known bool, err error) {
	err = again(ctx, func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, n.Cluster.within)
		defer cancel()
		var space corev1.Namespace
		err := n.Cluster.core.Get().Resource("namespaces").Name(n.Namespace).Do(ctx).Into(&space)
		switch {
		case err == nil:
			there, known = space.DeletionTimestamp == nil, true
		case apierrors.IsNotFound(err):
			known = true
		case apierrors.IsForbidden(err):
		default:
			return n.Cluster.explain("get namespaces", "", err)
		}
		return nil
	})
	return there, known, err
}

// lacks is what of a Secret is not there: its name, or keys of it; "" for nothing.
func (n Node) lacks(ctx context.Context, s SecretName) (out string, err error) {
	err = again(ctx, func(ctx context.Context) error {
		var found corev1.Secret
		err := n.Cluster.get(ctx, "secrets", n.Namespace, s.Name, &found)
		switch {
		case apierrors.IsNotFound(err):
			out = s.Name
		case err != nil:
			return n.Cluster.explain("get secrets "+s.Name, n.Namespace, err)
		default:
			keys := slices.DeleteFunc(slices.Clone(s.Keys), func(key string) bool { return found.Data[key] != nil })
			out = strings.Join(keys, ", ")
		}
		return nil
	})
	return out, err
}

// surveyFiles adds the step that writes the files. Those that are there stay: the
// operator may have changed them.
func (p *Programs) surveyFiles(out *step.Survey) error {
	dir := p.Lost.Directory
	_, err := os.Lstat(dir)
	switch {
	case err == nil:
		out.Aside = append(out.Aside, dir+" is there already, and is used as it is")
		return nil
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	out.Before = append(out.Before, step.Step{
		Act: step.Write, Kind: step.Directory, Name: dir,
		Why: "values and objects as the set has them, which may hold passwords: " +
			strings.Join(slices.Sorted(maps.Keys(p.rebuild.Files)), ", "),
	})
	return nil
}

// surveyServer adds the step that waits for what serves the databases. Where it
// answers, nothing has to be there before they are made.
func (p *Programs) surveyServer(ctx context.Context, out *step.Survey) error {
	why := p.Lost.Answers(ctx)
	if why != nil && (ctx.Err() != nil || len(p.first) == 0) {
		return why
	}
	for i := range p.first {
		p.first[i].First = why != nil
	}
	if out.Install = slices.Clone(p.first); why == nil {
		return nil
	}
	out.Server = "it is not installed yet"
	out.Before = append(out.Before, step.Step{
		Act: step.Install, Kind: step.Namespace, Name: p.Node.Namespace, Of: "postgres", Wait: true,
		Why: "you type what is printed then, until Postgres answers",
	})
	return nil
}

// typing is how long it is waited for what the operator installs.
const typing = 2 * time.Hour

// installed has the operator install what serves the databases, and waits until it
// answers.
func (p *Programs) installed(ctx context.Context, events event.Listener) error {
	events.Report(step.Typing{Parts: p.first})
	for begun, said := time.Now(), ""; ; {
		why := p.Lost.Answers(ctx)
		if why == nil || ctx.Err() != nil {
			return ctx.Err()
		}
		if time.Since(begun) > max(p.Patience, typing) {
			return &holdfast.Problem{
				Class: holdfast.Failed, What: fmt.Sprintf("Postgres does not answer after %s", max(p.Patience, typing)), Err: why,
				Why: "The databases are made before a chart can make empty ones, and there is no server for them.",
				Do:  "Type the lines that the restore has printed, then run the same command again: it goes on.",
			}
		}
		if said != why.Error() {
			said = why.Error()
			events.Report(step.Waiting{For: "Postgres", Why: said})
		}
		if err := pause(ctx, time.Second); err != nil {
			return err
		}
	}
}

// sums is the name of the file with the checksums of the others, as they were written.
const sums = "SHA256SUMS"

func (r Rebuild) sums() []byte {
	var out bytes.Buffer
	for _, name := range slices.Sorted(maps.Keys(r.Files)) {
		fmt.Fprintf(&out, "%x  %s\n", sha256.Sum256(r.Files[name]), name)
	}
	return out.Bytes()
}

// write writes the files into a directory, all of them or none.
func (r Rebuild) write(dir string) error {
	next := dir + ".new"
	if err := errors.Join(os.RemoveAll(next), os.Mkdir(next, 0o700)); err != nil {
		return err
	}
	files := maps.Clone(r.Files)
	files[sums] = r.sums()
	for name, text := range files {
		if err := durable.Write(filepath.Join(next, name), text, 0o600); err != nil {
			return errors.Join(err, os.RemoveAll(next))
		}
	}
	if err := os.Rename(next, dir); err != nil {
		return errors.Join(err, os.RemoveAll(next))
	}
	return durable.SyncDirectory(filepath.Dir(dir))
}

// FilesChanged is the event of files that are not removed, because somebody has
// changed them.
type FilesChanged struct{ Directory string }

func (f FilesChanged) String() string {
	return f.Directory + " stays, because it was changed. It may hold passwords: remove it when it is of no use"
}

// unwrite removes what write has written, unless somebody has changed it since.
func unwrite(dir string, events event.Listener) error {
	if err := os.RemoveAll(dir + ".new"); err != nil {
		return err
	}
	list, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	r := Rebuild{Files: map[string][]byte{}}
	var written []byte
	for _, e := range list {
		text, failed := os.ReadFile(filepath.Join(dir, e.Name()))
		if err = errors.Join(err, failed); e.Name() == sums {
			written = text
		} else {
			r.Files[e.Name()] = text
		}
	}
	if err != nil || !bytes.Equal(written, r.sums()) {
		events.Report(FilesChanged{dir})
		return nil
	}
	return errors.Join(os.RemoveAll(dir), durable.SyncDirectory(filepath.Dir(dir)))
}

// lastSeen is the last that a set's participant had seen of its synchronizers.
func lastSeen(set holdfast.Set) (out []string) {
	for _, c := range set.Parts() {
		f := c.Facts.Participant
		if f == nil {
			continue
		}
		for _, r := range f.RecordTimes {
			out = append(out, "the last it had seen of the synchronizer was at "+r.At.UTC().Format(time.RFC3339))
		}
	}
	return out
}
