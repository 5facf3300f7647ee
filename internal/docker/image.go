package docker

import (
	"cmp"
	"context"
	"io"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/distribution/reference"
	"github.com/moby/moby/client"
	"github.com/opencontainers/go-digest"

	"holdfast"
)

// Image is an image. ID and Digest, if known, identify exactly which image the
// name stood for.
type Image struct {
	Name   string // as people name it: "postgres:14"
	ID     string // of the image itself, the same in every daemon
	Digest string // in its registry; "" for an image without one

	// Its settings; known of an image in the daemon.
	User string
	Env  []string
}

// String is the image's name with its digest or ID.
func (i Image) String() string {
	which := cmp.Or(i.Digest, i.ID)
	if which == "" {
		return i.Name
	}
	return i.Name + " (" + which + ")"
}

// exact is the image's name with its digest, which every registry and daemon
// understands; "" without a digest.
func (i Image) exact() string {
	if i.Digest == "" {
		return ""
	}
	named, err := reference.ParseNormalizedNamed(i.Name)
	if err != nil {
		return "" // the image is known by its ID alone
	}
	exact, err := reference.WithDigest(reference.TrimNamed(named), digest.Digest(i.Digest))
	if err != nil {
		return ""
	}
	return reference.FamiliarString(exact)
}

// SplitName takes the name of an image apart. The tag is "" where the image is
// named by its digest or its ID alone.
func SplitName(image string) (name, tag string) {
	parsed, _ := reference.ParseAnyReference(image)
	named, ok := parsed.(reference.Named)
	if !ok {
		return image, ""
	}
	if tagged, ok := named.(reference.Tagged); ok {
		tag = tagged.Tag()
	}
	return reference.FamiliarName(named), tag
}

// digestOf is the digest that an image has under a name, of all that the daemon
// knows of it: an image that was pulled or tagged under several names has one
// of each.
func digestOf(name string, all []string) string {
	want, err := reference.ParseNormalizedNamed(name)
	for _, text := range all {
		has, wrong := reference.ParseNormalizedNamed(text)
		if canonical, ok := has.(reference.Canonical); wrong == nil && ok && (err != nil || has.Name() == want.Name()) {
			return canonical.Digest().String()
		}
	}
	return ""
}

// Has finds an image in the daemon: by ID or digest, or by name if neither is
// known. False means that there is none.
func (e *Engine) Has(ctx context.Context, want Image) (Image, bool, error) {
	references := []string{want.ID, want.exact()}
	if want.Digest == "" {
		references = append(references, want.Name)
	}
	for _, reference := range references {
		if reference == "" {
			continue
		}
		r, err := e.API.ImageInspect(ctx, reference)
		if cerrdefs.IsNotFound(err) {
			continue
		}
		if err != nil {
			return Image{}, false, e.Explain("inspect image "+want.Name, err)
		}
		found := Image{Name: want.Name, ID: r.ID}
		found.Digest = digestOf(want.Name, r.RepoDigests)
		if r.Config != nil {
			found.User, found.Env = r.Config.User, r.Config.Env
		}
		return found, true, nil
	}
	return Image{}, false, nil
}

// PullBegan is the event that an image is fetched from its registry.
type PullBegan struct{ Image Image }

func (e PullBegan) String() string { return "pull image " + e.Image.String() }

// Have finds an image in the daemon, and pulls it if it is missing. Why says what
// needs it.
func (e *Engine) Have(ctx context.Context, want Image, why string) (Image, error) {
	found, ok, err := e.Has(ctx, want)
	if ok || err != nil {
		return found, err
	}
	reference := cmp.Or(want.exact(), want.Name)
	pulled, err := e.API.ImagePull(ctx, reference, client.ImagePullOptions{})
	if err == nil {
		err = pulled.Wait(ctx)
		_, _ = io.Copy(io.Discard, pulled)
		_ = pulled.Close()
	}
	if err == nil {
		if found, ok, err = e.Has(ctx, want); ok || err != nil {
			return found, err
		}
	}
	if ctx.Err() != nil {
		return Image{}, ctx.Err()
	}
	if explained := e.Explain("pull image "+reference, err); holdfast.ClassOf(explained) != holdfast.Failed {
		return Image{}, explained
	}
	return Image{}, &holdfast.Problem{
		Class: holdfast.Failed,
		What:  "cannot pull image " + reference,
		Err:   err,
		Why:   why,
		Do: "Pull it by hand: `docker pull " + reference + "`, after `docker login` if the registry needs it. " +
			"Then try again.",
	}
}
