package kube

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"holdfast"
	"holdfast/event"
	"holdfast/step"
)

// patience is how long a program may take. A participant's image asks for ten
// minutes to end; a validator app takes minutes to be ready.
const patience = 10 * time.Minute

func (p *Programs) deadline() time.Time { return time.Now().Add(cmp.Or(p.Patience, patience)) }

// beat is how often pods are looked at while something of them is waited for.
const beat = 500 * time.Millisecond

// insists is how often a workload is scaled down again that somebody scales up.
const insists = 3

// halt scales a workload to zero, and waits until the pods that it had are gone.
// Whoever scales it back is answered a few times. Those pods that come then are
// left to what closes the databases.
func (p *Programs) halt(ctx context.Context, name string, events event.Listener) error {
	there, err := p.Node.setScale(ctx, name, 0, false)
	if err != nil || !there {
		return err
	}
	had := map[types.UID]bool{}
	deadline := p.deadline()
	for tries := 0; ; {
		s, there, err := p.Node.scale(ctx, name)
		if err != nil || !there {
			return err
		}
		pods, err := p.Node.pods(ctx, s.Status.Selector)
		if err != nil {
			return err
		}
		if s.Spec.Replicas > 0 && tries < insists {
			tries++
			clear(had)
			events.Report(StartedMeanwhile{name})
			if _, err := p.Node.setScale(ctx, name, 0, false); err != nil {
				return err
			}
		}
		if len(had) == 0 {
			for _, pod := range pods {
				had[pod.UID] = true
			}
		}
		left := slices.DeleteFunc(pods, func(pod corev1.Pod) bool { return !had[pod.UID] })
		if len(left) == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			return p.stays(left[0])
		}
		if err := pause(ctx, beat); err != nil {
			return err
		}
	}
}

func (p *Programs) stays(pod corev1.Pod) error {
	return &holdfast.Problem{
		Class: holdfast.Failed, What: "pod " + pod.Name + " does not end",
		Why: "As long as it may run, it may write into the database that is replaced.",
		Do: "See why: `" + p.Node.Cluster.kubectl(p.Node.Namespace) + " describe pod " + pod.Name + "`. If its machine " +
			"is gone for good: `" + p.Node.Cluster.kubectl(p.Node.Namespace) + " delete pod " + pod.Name + " --force`.",
	}
}

// StaysDown is the event of a workload that is not started.
type StaysDown struct{ Workload, Why string }

func (s StaysDown) String() string { return s.Workload + " stays down: " + s.Why }

// wake scales a workload back. A validator app that meets a participant without an
// identity gives it a new one, so it is started only after the participant's
// database has shown one.
func (p *Programs) wake(ctx context.Context, s step.Step, events event.Listener) error {
	switch {
	case s.Expect != "":
		if err := p.expect(ctx, s.Expect); err != nil {
			return err
		}
	case s.Of == "validator":
		if known, err := p.known(ctx); err != nil {
			return err
		} else if !known {
			events.Report(StaysDown{s.Name, "the participant's database has no identity, and it would make a new one"})
			return nil
		}
	}
	there, err := p.Node.setScale(ctx, s.Name, s.Replicas, false)
	if err != nil || !s.Wait {
		return err
	}
	if !there {
		return &holdfast.Problem{
			Class: holdfast.Failed, What: s.Name + " does not exist in " + p.Node.Cluster.Where(p.Node.Namespace),
			Why: "The node cannot serve without it.",
			Do:  "Install it again, scaled to 0; then repeat the restore.",
		}
	}
	if err := p.serves(ctx, s.Name); err != nil || s.Expect == "" || s.Of != "participant" {
		return err
	}
	return p.expect(ctx, s.Expect)
}

// recovery is how long Postgres may take to answer again.
const recovery = time.Minute

// known says whether the participant has an identity that a validator app may be
// started next to. That it cannot be read is an error, and not an answer.
func (p *Programs) known(ctx context.Context) (bool, error) {
	for begun := time.Now(); ; {
		found, err := p.Identity(ctx)
		if err == nil {
			return found != "", nil
		}
		if time.Since(begun) > recovery {
			return false, fmt.Errorf("the participant's identity is unknown, so the validator app is not started: %w", err)
		}
		if stopped := pause(ctx, time.Second); stopped != nil {
			return false, stopped
		}
	}
}

// expect reads the participant's identity from its database: a validator app that
// meets another one, or none, must not start.
func (p *Programs) expect(ctx context.Context, participant string) error {
	found, err := p.Identity(ctx)
	if err != nil {
		return fmt.Errorf("read the participant's identity: %w", err)
	}
	if found == participant {
		return nil
	}
	return &holdfast.Problem{
		Class: holdfast.Refused,
		What: fmt.Sprintf("the participant's database has identity %s, expected is %s",
			cmp.Or(found, "none"), participant),
		Why: "The validator app would give an empty participant a new identity; it is not started.",
		Do:  "Compare CANTON_PARTICIPANT_POSTGRES_DB of its pods with the plan: `holdfast node show`.",
	}
}

// serves waits until a pod of a workload is ready. One whose container ends again
// and again is not waited for.
func (p *Programs) serves(ctx context.Context, name string) error {
	before := map[types.UID]int32{}
	deadline := p.deadline()
	for {
		s, _, err := p.Node.scale(ctx, name)
		if err != nil {
			return err
		}
		pods, err := p.Node.pods(ctx, s.Status.Selector)
		if err != nil {
			return err
		}
		why, hopeless := errors.New("it has no pod yet"), false
		for _, pod := range pods {
			if ready(pod) {
				return nil
			}
			ends := restarts(pod)
			if _, seen := before[pod.UID]; !seen {
				before[pod.UID] = ends
			}
			why, hopeless = unready(pod), ends >= before[pod.UID]+insists
		}
		if hopeless || time.Now().After(deadline) {
			return &holdfast.Problem{
				Class: holdfast.Failed, What: name + " does not get ready", Err: why, Why: "The node cannot serve without it.",
				Do: "See why: `" + p.Node.Cluster.kubectl(p.Node.Namespace) + " logs " + name + " --previous`, `... describe " +
					name + "`.",
			}
		}
		if err := pause(ctx, beat); err != nil {
			return err
		}
	}
}

// restarts is how often containers of a pod have ended.
func restarts(pod corev1.Pod) (out int32) {
	for _, c := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses) {
		out += c.RestartCount
	}
	return out
}

// unready says why a pod does not serve, as far as its status has it.
func unready(pod corev1.Pod) error {
	for _, c := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses) {
		said := ""
		if last := c.LastTerminationState.Terminated; last != nil {
			said = strings.TrimSpace(fmt.Sprintf("it ended with exit code %d %s", last.ExitCode, last.Message))
		}
		if waits := c.State.Waiting; waits != nil && (said != "" || waits.Reason != "PodInitializing") {
			known := slices.DeleteFunc([]string{waits.Reason, waits.Message, said}, func(s string) bool { return s == "" })
			return fmt.Errorf("container %s of pod %s waits: %s", c.Name, pod.Name, strings.Join(known, "; "))
		}
	}
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse {
			return fmt.Errorf("pod %s has no machine: %s", pod.Name, c.Message)
		}
	}
	return fmt.Errorf("pod %s is not ready", pod.Name)
}
