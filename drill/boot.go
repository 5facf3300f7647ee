package drill

import (
	"context"
	"fmt"
	"slices"

	"holdfast"
	"holdfast/record"
)

// boot starts the participant on what was restored. That it did not come to
// that is said as well. An error means that the drill was interrupted.
func (j Job) boot(ctx context.Context, place Place, set holdfast.Set, r *Report) error {
	cannot := func(why string) error {
		r.say(boots, holdfast.Finding{
			Verdict:  holdfast.CannotTell,
			Evidence: "the participant was not started: " + why,
		})
		return nil
	}
	parts := set.Parts()
	i := slices.IndexFunc(parts, func(c holdfast.Part) bool { return c.Kind == holdfast.Participant })
	if i < 0 {
		return cannot("the set has none")
	}
	if !r.found(restored, holdfast.Holds) {
		return cannot("there is no restored database that it could be started on")
	}
	where, ok := place.(Bootable)
	if !ok {
		return cannot("it can only be started where the rehearsal is in a container")
	}
	j.Events.Report(ParticipantStarting{parts[i].Component})
	said, err := where.Boot(ctx, parts[i].Component)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	r.Boot = &said
	r.say(boots, booted(said, err, parts[i].Facts.Participant))
	return nil
}

// booted judges what a participant said that was started on a restored
// database.
func booted(said record.Boot, err error, captured *holdfast.ParticipantFacts) holdfast.Finding {
	image := said.Image
	if said.Digest != "" {
		image += " (" + said.Digest + ")"
	}
	switch {
	case holdfast.ClassOf(err) == holdfast.Violation:
		return holdfast.Finding{Verdict: holdfast.Violated, Evidence: image + ": " + err.Error()}
	case err != nil:
		return holdfast.Finding{Verdict: holdfast.CannotTell, Evidence: image + ": " + err.Error()}
	case captured == nil || captured.ParticipantID == "":
		return holdfast.Finding{
			Verdict: holdfast.CannotTell,
			Evidence: fmt.Sprintf("%s says that it is %s; the set does not say who it should be", image,
				said.Participant),
		}
	case said.Participant == "":
		return holdfast.Finding{
			Verdict:  holdfast.Violated,
			Evidence: fmt.Sprintf("%s says that it has no identity; the set's is %s", image, captured.ParticipantID),
		}
	case said.Participant != captured.ParticipantID:
		return holdfast.Finding{
			Verdict: holdfast.Violated,
			Evidence: fmt.Sprintf("%s says that it is %s; the set's is %s", image, said.Participant,
				captured.ParticipantID),
		}
	}
	f := holdfast.Finding{
		Verdict: holdfast.Holds,
		Evidence: fmt.Sprintf("%s, started with nothing but its loopback, says after %s that it is %s", image,
			round(said.Took), said.Participant),
	}
	if said.Version != "" {
		f.Evidence += ", version " + said.Version
	}
	return f
}
