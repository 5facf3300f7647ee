package firstrun

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"holdfast"
	"holdfast/place"
)

// Chart is how the node that was found is backed up from a pod of its cluster, by
// the chart of Holdfast.
type Chart struct {
	Namespace string
	Values    string   // the chart's values
	Secret    string   // that the values name
	Files     []string // KEY=PATH of what is a file here and a key of the Secret there
}

// chartSecret is the Secret that the chart's values name, whose keys are files below
// the directory repository in the pod.
const chartSecret = "holdfast-repository"

// chart is nil where a pod does not reach the repository, or nothing was found in
// Kubernetes.
func (r *run) chart() (*Chart, error) {
	if !r.Kube {
		return nil, nil
	}
	if p, err := place.Parse(r.Repository, r.dir); err != nil {
		return nil, err
	} else if _, local := p.Local(); local {
		return nil, nil
	}
	pod, files := r.inPod()
	config, err := pod.draft()
	if err != nil {
		return nil, err
	}
	return &Chart{Namespace: r.Namespace, Secret: chartSecret, Files: files, Values: fmt.Sprintf(
		"image: {repository: ''} # where you push the image of `make image` to\n"+
			"repository: {secretName: %s}\nconfig: |\n  %s\n",
		chartSecret, strings.ReplaceAll(strings.TrimSpace(config), "\n", "\n  ")),
	}, nil
}

// inPod is the run as it would be in a pod: what is a file here is a key of the
// chart's Secret there, and directories of this machine are left out.
func (r *run) inPod() (*run, []string) {
	pod := *r
	pod.cluster, pod.Tools, pod.Keep = nil, "", nil
	pod.passwords, pod.references = map[string]holdfast.Secret{}, maps.Clone(r.references)
	keys := map[string]string{}
	move := func(reference, key string) string {
		path, ok := strings.CutPrefix(reference, "file:")
		if !ok {
			return reference
		}
		if !filepath.IsAbs(path) {
			path = filepath.Join(r.dir, path)
		}
		keys[key] = path
		return "file:repository/" + key
	}
	password := r.Password
	if password == "" {
		password = "file:" + repositoryPassword
	}
	pod.Password = move(password, "password")
	pod.ClientSecret, pod.Token = move(r.ClientSecret, "client-secret"), move(r.Token, "token")
	for name := range r.passwords {
		pod.references[name] = "file:" + name + ".password"
	}
	for name, reference := range pod.references {
		pod.references[name] = move(reference, name+".password")
	}
	pod.access = map[string]string{}
	for part, reference := range r.access {
		if part == "ca" || part == "known_hosts" {
			pod.access[part] = strings.TrimPrefix(move("file:"+reference, part), "file:")
			continue
		}
		pod.access[part] = move(reference, part)
	}
	for _, keep := range r.Keep {
		if p, err := place.Parse(keep, r.dir); err == nil {
			if _, local := p.Local(); !local {
				pod.Keep = append(pod.Keep, keep)
			}
		}
	}
	var files []string
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		files = append(files, key+"="+keys[key])
	}
	return &pod, files
}
