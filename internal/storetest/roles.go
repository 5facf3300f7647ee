package storetest

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"holdfast/place"
	"holdfast/repository"
)

// Roles are users of a store, each with what its policy allows.
type Roles map[string]repository.Access

// S3Roles is a bucket of versitygw with a user for each policy: a file of
// docs/policies, which would be attached to the user, made part of the bucket's
// own. The gateway enforces actions, resources and prefixes of lists.
func S3Roles(t testing.TB, policies map[string]string) (Store, Roles) {
	t.Helper()
	s := s3(t, "--iam-dir", t.TempDir())
	return s, roles(t, s, policies)
}

// S3LockedRoles is the same with object lock.
func S3LockedRoles(t testing.TB, policies map[string]string) (Store, Roles) {
	t.Helper()
	s := locked(t, s3(t, "--iam-dir", t.TempDir()))
	return s, roles(t, s, policies)
}

// roles makes the users, and the policy of the bucket.
func roles(t testing.TB, s Store, policies map[string]string) Roles {
	t.Helper()
	roles, whole := Roles{}, map[string]any{"Version": "2012-10-17"}
	var statements []any
	for role, file := range policies {
		roles[role] = repository.Access{ID: secret(role), Secret: secret(SecretKey + role)}
		command := exec.Command(program(t, "versitygw"), "admin", //nolint:noctx // short
			"--access", keyID, "--secret", SecretKey,
			"--endpoint-url", "http://"+s.Address, "create-user", "--access", role, "--secret", SecretKey+role,
			"--role", "user")
		if out, err := command.CombinedOutput(); err != nil {
			t.Fatalf("user %s: %v\n%s", role, err, out)
		}
		statements = append(statements, statementsOf(t, s.Place, role, file)...)
	}
	whole["Statement"] = statements
	text, err := json.Marshal(whole)
	if err == nil {
		err = s3Client(t, s).SetBucketPolicy(t.Context(), s.Place.Bucket, string(text))
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return roles
}

// statementsOf are those of a policy file, for one user and one place.
func statementsOf(t testing.TB, at place.Place, user, file string) []any {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	filled := strings.NewReplacer("BUCKET", at.Bucket, "PREFIX", at.Path).Replace(string(text))
	var policy struct{ Statement []map[string]any }
	if err := json.Unmarshal([]byte(filled), &policy); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	var list []any
	for i, s := range policy.Statement {
		s["Sid"] = fmt.Sprintf("%s%d", user, i)
		s["Principal"] = map[string]any{"AWS": []string{user}}
		list = append(list, s)
	}
	return list
}

// s3Client has all rights in the bucket.
func s3Client(t testing.TB, s Store) *minio.Client {
	t.Helper()
	return clientOf(t, s, s.Access)
}

// clientOf has the rights of an access.
func clientOf(t testing.TB, s Store, a repository.Access) *minio.Client {
	t.Helper()
	id, err := a.ID(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	key, err := a.Secret(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	client, err := minio.New(s.Address, &minio.Options{
		Creds:      credentials.NewStaticV4(id.Reveal(), key.Reveal(), ""),
		Region:     region,
		MaxRetries: 1,
	})
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// DeleteFirst deletes the first blob whose name begins so, by an access.
func DeleteFirst(t testing.TB, s Store, a repository.Access, prefix string) error {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel() // it goes on listing until then
	list := s3Client(t, s).ListObjects(ctx, s.Place.Bucket, minio.ListObjectsOptions{
		Prefix:  s.Place.Path + "/" + prefix,
		MaxKeys: 1,
	})
	first, ok := <-list
	if !ok || first.Err != nil {
		t.Fatalf("there is no %s: %v", prefix, first.Err)
	}
	return clientOf(t, s, a).RemoveObject(t.Context(), s.Place.Bucket, first.Key, minio.RemoveObjectOptions{})
}

// Policy is a policy file of this project.
func Policy(name string) string { return filepath.Join("..", "docs", "policies", name) }
