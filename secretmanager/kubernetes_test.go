package secretmanager_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"holdfast"
	"holdfast/secretmanager"
	"holdfast/secretmanager/secretmanagertest"
)

// A kubeconfig gives a token in each of its ways.
func TestUsersOfAKubeconfig(t *testing.T) {
	server := secretmanagertest.NewKubernetes(t)
	known := strings.TrimPrefix(userOf(t, server.Config(t, "")), "token: ")
	dir := t.TempDir()
	write(t, filepath.Join(dir, "token"), known+"\n")
	program := filepath.Join(dir, "get-token")
	write(t, program, "#!/bin/sh\necho \"$KUBERNETES_EXEC_INFO\" | grep -q ExecCredential || exit 3\n"+
		"echo '{\"kind\": \"ExecCredential\", \"status\": {\"token\": \"'$1$MORE'\"}}'\n")
	if err := os.Chmod(program, 0o700); err != nil { //nolint:gosec // it is a program
		t.Fatal(err)
	}
	half := len(known) / 2
	for _, user := range []string{
		"token: " + known,
		"tokenFile: " + filepath.Join(dir, "token"),
		"exec: {apiVersion: client.authentication.k8s.io/v1, command: " + program + ", args: ['" + known[:half] +
			"'], env: [{name: MORE, value: '" + known[half:] + "'}]}",
	} {
		m := kubernetesAt(t, server.Config(t, user), secretmanager.CallTime)
		s := secretmanager.Safe{Manager: m, Name: "holdfast-node-1"}
		if _, _, err := s.Keep(t.Context(), document("a")); err != nil {
			t.Errorf("%.20s: %v", user, err)
		}
	}
	if server.Writes() != 1 {
		t.Errorf("%d writes", server.Writes())
	}
	broken := kubernetesAt(t, server.Config(t, "exec: {command: /bin/false}"), secretmanager.CallTime)
	_, _, err := secretmanager.Safe{Manager: broken, Name: "x"}.Keep(t.Context(), document("a"))
	expect(t, err, holdfast.Usage, "exit status 1", "kubectl auth whoami")
}

func userOf(t *testing.T, config string) string {
	t.Helper()
	text, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	_, user, _ := strings.Cut(string(text), "user: {")
	user, _, _ = strings.Cut(user, "}")
	return user
}

func TestMistakesInAKubeconfig(t *testing.T) {
	t.Setenv("KUBECONFIG", "")
	t.Setenv("HOME", t.TempDir())
	whole := "current-context: here\ncontexts: [{name: here, context: {cluster: c, user: u}}]\n" +
		"clusters: [{name: c, cluster: {server: 'https://h'}}]\nusers: [{name: u, user: {token: hunter2}}]\n"
	for _, x := range []struct{ old, text, want string }{
		{"current-context: here", "current-context: there", `no context "there"`},
		{"server: 'https://h'", "server: 'https://h', insecure-skip-tls-verify: true", "anybody could be the cluster"},
		{"server: 'https://h'", "server: 'https://h', certificate-authority-data: hunter2", "no base64"},
		{"server: 'https://h'", "server: 'https://h', certificate-authority: /none", "no such file"},
		{"token: hunter2", "auth-provider: {name: gcp}", "use exec"},
		{"token: hunter2", "client-certificate-data: aHVudGVyMg==", "do not belong together"},
		{"contexts: [", "contexts: {", "is no kubeconfig"},
	} {
		path := filepath.Join(t.TempDir(), "kubeconfig")
		write(t, path, strings.Replace(whole, x.old, x.text, 1))
		_, err := secretmanager.NewKubernetes(secretmanager.KubernetesOptions{Namespace: "n", Kubeconfig: path})
		expect(t, err, holdfast.Usage, x.want, "secret_managers.kubernetes")
	}
	_, err := secretmanager.NewKubernetes(secretmanager.KubernetesOptions{Namespace: "n"})
	expect(t, err, holdfast.Usage, "no such file", "KUBECONFIG")
}

// A Secret that somebody else made needs the right to read that one.
func TestTheRightToReadASecretOfOthersIsThatOneAlone(t *testing.T) {
	s := secretmanagertest.NewKubernetes(t)
	s.Deny(true)
	_, _, err := kubernetesAt(t, s.Config(t, ""), secretmanager.CallTime).Plain().Read(t.Context(), "postgres-password", "")
	expect(t, err, holdfast.Failed, "permission denied",
		"create role holdfast --verb=get --resource=secrets --resource-name=postgres-password`")
}
