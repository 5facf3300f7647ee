package kube

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Release is what Helm has installed.
type Release struct {
	Name      string `json:"name"`
	Namespace string `json:"namespace"`
	Revision  int    `json:"revision"`
	Chart     string `json:"chart"`
	Version   string `json:"version"`     // of the chart
	App       string `json:"app_version"` // of what it installs
	// Registry is where the chart is taken from; "" where that is unknown. Helm
	// does not keep it.
	Registry string `json:"registry,omitempty"`
	// Values are those that were given at the install. They may hold secrets.
	Values json.RawMessage `json:"values,omitempty"`
}

// String is the release for people.
func (r Release) String() string {
	out := r.Name + ", chart " + r.Chart + " " + r.Version
	if r.App != r.Version && r.App != "" {
		out += ", version " + r.App
	}
	return fmt.Sprintf("%s, revision %d", out, r.Revision)
}

// mostOfRelease is how long a release may be, unpacked. What Helm keeps fits into a
// Secret of one megabyte, packed.
const mostOfRelease = 64 << 20

// releases are what Helm has installed in a namespace, as its own Secrets say it:
// a right to list Secrets is a right to read all of them.
func (c *Cluster) releases(ctx context.Context, namespace string) (out []Release, err error) {
	o := metav1.ListOptions{LabelSelector: "owner=helm,status=deployed", FieldSelector: "type=helm.sh/release.v1"}
	list, err := items(ctx, c, c.core, "secrets", namespace, o,
		func(l corev1.SecretList) []corev1.Secret { return l.Items })
	if err != nil {
		return nil, err
	}
	for _, s := range list {
		r, err := readRelease(s.Data["release"])
		if err != nil {
			return nil, fmt.Errorf("read Helm's release in Secret %s: %w", s.Name, err)
		}
		out = append(out, r)
	}
	slices.SortFunc(out, func(a, b Release) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

// readRelease reads what Helm keeps: base64 of gzip of JSON. Old ones are not
// packed.
func readRelease(kept []byte) (Release, error) {
	text, err := base64.StdEncoding.DecodeString(string(kept))
	if err != nil {
		return Release{}, errors.New("it does not hold a release of Helm: no base64")
	}
	if bytes.HasPrefix(text, []byte{0x1f, 0x8b}) {
		packed, err := gzip.NewReader(bytes.NewReader(text))
		if err == nil {
			text, err = io.ReadAll(io.LimitReader(packed, mostOfRelease+1))
		}
		if err == nil && len(text) > mostOfRelease {
			err = errors.New("it is too long")
		}
		if err != nil {
			return Release{}, fmt.Errorf("it does not hold a release of Helm: %w", err)
		}
	}
	var r struct {
		Name      string          `json:"name"`
		Namespace string          `json:"namespace"`
		Version   int             `json:"version"`
		Config    json.RawMessage `json:"config"`
		Chart     struct {
			Metadata struct {
				Name       string `json:"name"`
				Version    string `json:"version"`
				AppVersion string `json:"appVersion"`
			} `json:"metadata"`
		} `json:"chart"`
	}
	if json.Unmarshal(text, &r) != nil || r.Name == "" || r.Chart.Metadata.Name == "" {
		return Release{}, errors.New("it does not hold a release of Helm") // the text may have secrets: no error quotes it
	}
	m := r.Chart.Metadata
	return Release{
		Name: r.Name, Namespace: r.Namespace, Revision: r.Version, Chart: m.Name, Version: m.Version, App: m.AppVersion,
		Values: r.Config,
	}, nil
}

// registryOf is where charts are that stand next to their images, as those of
// Splice do: HOST/PATH/docker/IMAGE and oci://HOST/PATH/helm/CHART.
func registryOf(images []string) string {
	for _, image := range images {
		if base, _, ok := strings.Cut(image, "/docker/"); ok && strings.Contains(base, ".") {
			return "oci://" + base + "/helm"
		}
	}
	return ""
}
