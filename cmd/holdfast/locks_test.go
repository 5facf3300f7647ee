package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"holdfast"
	"holdfast/internal/splicetest"
	"holdfast/internal/storetest"
)

// An operator locks a new repository in a bucket, lengthens the locks, and tries
// whether they hold.
func TestABucketIsLockedByCommand(t *testing.T) {
	t.Parallel()
	o := newOperator(t, "locks")
	bucket := storetest.S3Locked(t)
	o.reach(bucket)
	o.run(0, append(o.in(bucket), "--object-lock", "compliance:3d")...)
	o.run(0, "backup")

	out, _ := o.run(0, "repository", "check-immutability")
	o.says(out, "delete its version past governance   holds", "stop keeping versions                holds")
	if strings.Contains(out, "violated") {
		t.Errorf("an attack on a lock of compliance:\n%s", out)
	}
	out, _ = o.run(0, "repository", "check-immutability", "--output", "json")
	o.says(out, `"kind": "findings"`)
	out, _ = o.run(0, "repository", "lock", "compliance:4d")
	o.says(out, "compliance", "`holdfast repository check-immutability`")
	_, problem := o.run(7, "repository", "lock", "governance:3d")
	o.says(problem, "--weaken")
	_, problem = o.run(2, "repository", "lock", "compliance:1h")
	o.says(problem, "at least 48 hours")
	o.locked(bucket, 4*24*time.Hour-time.Hour)
	o.run(0, "backup")
	o.locked(bucket, 4*24*time.Hour-time.Hour)
	out, _ = o.run(0, "check", "--only", "locks_withstand_attack,locks_extended")
	o.says(out, "locks_withstand_attack", "locks_extended", "2 hold")
}

// An attacker deletes all that is in a bucket. What it held before is listed, read
// and proven as it was.
func TestABucketIsReadAsItWas(t *testing.T) {
	t.Parallel()
	servers := map[string]func(testing.TB) storetest.Store{"gs": storetest.GCS}
	if splicetest.Long() {
		servers["minio"] = storetest.MinIO // versitygw dates versions as S3 does not
	}
	for name, start := range servers {
		t.Run(name, func(t *testing.T) {
			o := newOperator(t, "past"+name)
			bucket := start(t)
			o.reach(bucket)
			o.run(0, o.in(bucket)...)
			o.run(0, "backup")
			listed, _ := o.run(0, "list")
			time.Sleep(1100 * time.Millisecond) // S3 says when to the second
			before := time.Now().UTC().Format(time.RFC3339Nano)
			time.Sleep(1100 * time.Millisecond)
			storetest.DeleteAll(t, bucket)

			_, problem := o.run(-1, "list")
			o.says(problem, "somebody has deleted it", "`holdfast list --as-of 36h`")
			past, _ := o.run(0, "list", "--as-of", before)
			o.says(past, " proven ")
			if set := "demo"; strings.Count(past, set) != strings.Count(listed, set) {
				t.Errorf("it was\n%s\nand is read as\n%s", listed, past)
			}
			o.run(0, "restore", "rehearse", "latest", "--as-of", before, "--yes")
		})
	}
}

// in are the flags of init for a repository in a bucket.
func (o *operator) in(s storetest.Store) []string {
	flags := o.flags()
	flags[slices.Index(flags, "--repository")+1] = s.Place.String()
	return flags
}

// reach gives the operator's environment what opens a bucket.
func (o *operator) reach(s storetest.Store) {
	o.t.Helper()
	for name, secret := range map[string]holdfast.SecretFunc{
		"AWS_ACCESS_KEY_ID": s.Access.ID, "AWS_SECRET_ACCESS_KEY": s.Access.Secret,
		"GOOGLE_APPLICATION_CREDENTIALS": s.Access.Key,
	} {
		if secret == nil {
			continue
		}
		value, err := secret(o.t.Context())
		if err != nil {
			o.t.Fatal(err)
		}
		text := value.Reveal()
		if name == "GOOGLE_APPLICATION_CREDENTIALS" {
			file := filepath.Join(o.dir, "google.json")
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				o.t.Fatal(err)
			}
			text = file
		}
		o.env = append(o.env, name+"="+text)
	}
}

// says reports what a text lacks.
func (o *operator) says(text string, wants ...string) {
	o.t.Helper()
	for _, want := range wants {
		if !strings.Contains(text, want) {
			o.t.Errorf("%q is missing in:\n%s", want, text)
		}
	}
}

// locked reports blobs of sets whose lock ends before that.
func (o *operator) locked(s storetest.Store, within time.Duration) {
	o.t.Helper()
	all := storetest.LockedUntil(o.t, s)
	for name, until := range all {
		if !(storetest.Version{Name: name}).OfAProcess() && !strings.HasPrefix(name, "_log") &&
			time.Until(until) < within {
			o.t.Errorf("%s is locked until %v", name, until)
		}
	}
	if len(all) == 0 {
		o.t.Error("nothing is stored")
	}
}
