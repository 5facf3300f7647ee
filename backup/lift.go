package backup

import (
	"context"
	"io"
	"time"

	"holdfast"
)

// justAfter is how much later a lifted set is dated than the set that it was lifted
// from: of the two it is the newer one, because it has what the other refers to.
const justAfter = time.Millisecond

// Carried are the identities and the deployment of a set, for one that is lifted
// from it: what they were then, not what they are now. It implements Identities and
// Deployment.
type Carried struct {
	Set   holdfast.Set
	Files holdfast.Files
}

// Take implements Identities. They were compared with the participant's database
// when the snapshots were taken.
func (c Carried) Take(
	ctx context.Context, _ *holdfast.IdentityFacts, _ holdfast.Files, out holdfast.Sink,
) (func(*holdfast.ParticipantFacts) holdfast.IdentityFacts, error) {
	facts := *c.Set.Identities
	if facts.SealedFile != "" {
		if err := c.carry(ctx, facts.SealedFile, out); err != nil {
			return nil, err
		}
	}
	return func(*holdfast.ParticipantFacts) holdfast.IdentityFacts { return facts }, nil
}

// Record implements Deployment.
func (c Carried) Record(ctx context.Context, out holdfast.Sink) (holdfast.Deployment, error) {
	for _, name := range c.Set.Deployment.Files() {
		if err := c.carry(ctx, name, out); err != nil {
			return holdfast.Deployment{}, err
		}
	}
	return *c.Set.Deployment, nil
}

func (c Carried) carry(ctx context.Context, name string, out holdfast.Sink) error {
	_, err := out.Put(ctx, name, func(w io.Writer) error {
		in, err := c.Files.Open(ctx, name)
		if err != nil {
			return err
		}
		defer func() { _ = in.Close() }()
		_, err = io.Copy(w, in)
		return err
	})
	return err
}
