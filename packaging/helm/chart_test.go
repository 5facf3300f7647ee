// Package helm_test renders the chart of Holdfast and installs it: by helm itself,
// and against a real API server.
package helm_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/yaml"

	"holdfast/config"
)

var update = flag.Bool("update", false, "write what is rendered as what is expected")

// install is one way to install the chart: values, and a configuration.
type install struct {
	values string // testdata/VALUES.yaml, on top of least.yaml
	config string // testdata/CONFIG.yaml; none when empty
}

var installs = []install{
	{"daemon", "given"},
	{"cronjob", "given"},
	{"idle", ""},
	{"secrets", "found"},
	{"discover", "found"},
	{"values", "found"},
	{"restore", "given"},
	{"everything", "found"},
}

// kubernetes is the version to render for; helm's own depends on how it was built.
const kubernetes = "1.37.2"

func (i install) arguments() []string {
	args := []string{
		"--kube-version", kubernetes, "--values", "testdata/least.yaml", "--values", "testdata/" + i.values + ".yaml",
	}
	if i.config != "" {
		args = append(args, "--set-file", "config=testdata/"+i.config+".yaml")
	}
	return args
}

// program is helm. Without it the test is skipped, unless HOLDFAST_TEST_ALL asks
// for every test.
func program(t *testing.T) string {
	t.Helper()
	path := os.Getenv("HOLDFAST_TEST_HELM")
	if path == "" {
		const missing = `needs helm: eval "$(internal/testbed/helm.sh)"`
		if os.Getenv("HOLDFAST_TEST_ALL") != "" {
			t.Fatal(missing)
		}
		t.Skip(missing)
	}
	return path
}

// helm runs helm and returns what it printed, an error's text too.
func helm(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := exec.Command(program(t), args...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	home := t.TempDir()
	cmd.Env = append(os.Environ(), "HELM_CACHE_HOME="+home, "HELM_CONFIG_HOME="+home, "HELM_DATA_HOME="+home)
	if err := cmd.Run(); err != nil {
		return stdout.String(), fmt.Errorf("helm %s: %w\n%s", strings.Join(args, " "), err, stderr.String())
	}
	return stdout.String(), nil
}

func mustHelm(t *testing.T, args ...string) string {
	t.Helper()
	out, err := helm(t, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// render renders an installation as release holdfast.
func render(t *testing.T, i install) string {
	t.Helper()
	return renderAs(t, "holdfast", i)
}

func renderAs(t *testing.T, release string, i install, more ...string) string {
	t.Helper()
	return mustHelm(t, slices.Concat([]string{"template", release, "holdfast", "--namespace", "validator"}, i.arguments(), more)...)
}

// object is one object of what is rendered.
type object struct {
	Kind     string
	Metadata metav1.ObjectMeta
	JSON     json.RawMessage `json:"-"`
}

func (o object) String() string { return o.Kind + " " + o.Metadata.Name }

// as reads the whole object.
func (o object) as(t *testing.T, into any) {
	t.Helper()
	if err := json.Unmarshal(o.JSON, into); err != nil {
		t.Fatalf("%s: %v", o, err)
	}
}

func objects(t *testing.T, rendered string) (all []object) {
	t.Helper()
	for _, text := range strings.Split("\n"+rendered, "\n---\n") {
		raw, err := yaml.ToJSON([]byte(text))
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		o := object{JSON: raw}
		if err := json.Unmarshal(raw, &o); err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		if o.Kind != "" {
			all = append(all, o)
		}
	}
	return all
}

// pods are the templates of all pods of an installation, by the objects' names.
func pods(t *testing.T, all []object) map[string]corev1.PodTemplateSpec {
	t.Helper()
	found := map[string]corev1.PodTemplateSpec{}
	for _, o := range all {
		switch o.Kind {
		case "Deployment":
			var d appsv1.Deployment
			o.as(t, &d)
			found[o.String()] = d.Spec.Template
		case "CronJob":
			var c batchv1.CronJob
			o.as(t, &c)
			found[o.String()] = c.Spec.JobTemplate.Spec.Template
		case "Pod":
			var p corev1.Pod
			o.as(t, &p)
			found[o.String()] = corev1.PodTemplateSpec{ObjectMeta: p.ObjectMeta, Spec: p.Spec}
		}
	}
	return found
}

// helm finds nothing to say, and what is rendered is as it was looked at.
func TestTheChartIsRendered(t *testing.T) {
	t.Parallel()
	for _, i := range installs {
		t.Run(i.values, func(t *testing.T) {
			t.Parallel()
			said := mustHelm(t, append([]string{"lint", "--strict", "--quiet", "holdfast"}, i.arguments()...)...)
			if strings.Contains(said, "WARNING") || strings.Contains(said, "ERROR") {
				t.Error(said)
			}
			got := render(t, i)
			golden := filepath.Join("testdata", i.values+".golden.yaml")
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil || got != string(want) {
				t.Errorf("not what is in %s (%v); to look at the difference: go test ./packaging/helm -update; git diff\n%s",
					golden, err, got)
			}
		})
	}
}

// The schema takes the chart's own values, and no value that it does not know.
func TestWrongValuesAreRefused(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ set, says string }{
		{"replicas=2", "replicas"},
		{"image.repositroy=x", "repositroy"},
		{"mode=job", "'daemon', 'cronjob', 'idle'"},
		{"image.digest=1234", "/image/digest"},
		{"image.pullPolicy=Sometimes", "/image/pullPolicy"},
		{"config.node=x", "/config"},
		{"secrets=postgres", "/secrets"},
		{"secrets={Postgres}", "/secrets/0"},
		{"secrets={a,a}", "/secrets"},
		{"env[0].value=x", "name"},
		{"cronjob.backup.everyHours=6", "/cronjob/backup/everyHours"},
		{"cronjob.backup.everyHours=0", "/cronjob/backup/everyHours"},
		{"cronjob.check.everyHours=5", "/cronjob/check/everyHours"},
		{"cronjob.verify.minute=60", "/cronjob/verify/minute"},
		{"rbac.admin=true", "admin"},
		{"rbac.discover=yes", "/rbac/discover"},
		{"networkPolicy.store.ports={https}", "/networkPolicy/store/ports"},
		{"networkPolicy.from[0].host=x", "host"},
		{"cache.size=512MB", "/cache/size"},
		{"drills.size=20GB", "/drills/size"},
		{"drills.memory=1Gi", "/drills/memory"},
		{"serviceMonitor.interval=often", "/serviceMonitor/interval"},
		{"prometheusRule.labels.release=1", "/prometheusRule/labels/release"},
		{"dashboard.labels.folder=1", "/dashboard/labels/folder"},
		{"resources.memory=1Gi", "memory"},
	} {
		refused(t, c.says, "--set", c.set)
	}
}

// refused renders a daemon with more arguments, which must be refused by these
// words.
func refused(t *testing.T, says string, more ...string) {
	t.Helper()
	args := []string{"template", "holdfast", "holdfast", "--kube-version", kubernetes, "--values", "testdata/least.yaml"}
	if !slices.ContainsFunc(more, func(a string) bool { return strings.HasPrefix(a, "config") }) {
		args = append(args, "--set-file", "config=testdata/given.yaml")
	}
	_, err := helm(t, append(args, more...)...)
	if err == nil || !strings.Contains(err.Error(), says) {
		t.Errorf("%v: want a refusal that has %q, not %v", more, says, err)
	}
}

// What the values cannot mean together is refused with what to do.
func TestWhatDoesNotGoTogetherIsRefused(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ set, says string }{
		{"image.repository=", "make image"},
		{"repository.secretName=", "kubectl create secret generic"},
		{"config=", "--set-file config=holdfast.yaml"},
		{"config=node: [", "config: it is no YAML"},
		{"config=schedule: {drill: 7d}", "drills.size"},
		{"config=kube: {context: production}", "kube.kubeconfig: they are for machines outside"},
		{"config=page: {open: true}", "page.users or page.oidc"},
		{"mode=cronjob,serviceMonitor.enabled=true", "only mode daemon has metrics"},
		{"mode=idle,prometheusRule.enabled=true", "in mode idle nothing is backed up"},
		{"mode=cronjob,dashboard.enabled=true", "which only mode daemon has"},
	} {
		set := []string{"--set", c.set}
		if text, ok := strings.CutPrefix(c.set, "config="); ok {
			set = []string{"--set-json", fmt.Sprintf("config=%q", text)}
		}
		refused(t, c.says, set...)
	}
	refused(t, "drill.dir: leave it out", "--set", "drills.size=1Gi", "--set-json", `config="drill: {dir: /x}"`)
}

// The program takes the configuration that its pod gets, file and environment.
func TestTheProgramTakesTheConfiguration(t *testing.T) {
	t.Parallel()
	for _, i := range installs {
		if i.config == "" {
			continue
		}
		all := objects(t, render(t, i))
		given, err := os.ReadFile("testdata/" + i.config + ".yaml")
		if err != nil {
			t.Fatal(err)
		}
		var m corev1.ConfigMap
		all[slices.IndexFunc(all, func(o object) bool { return o.Kind == "ConfigMap" })].as(t, &m)
		if text := m.Data["holdfast.yaml"]; text != string(given) {
			t.Errorf("%s: the configuration is not what was given:\n%s", i.values, text)
		}
		for name, pod := range pods(t, all) {
			var environ []string
			for _, v := range pod.Spec.Containers[0].Env {
				environ = append(environ, v.Name+"="+v.Value)
			}
			c, err := config.Parse("/etc/holdfast/holdfast.yaml", []byte(m.Data["holdfast.yaml"]), environ)
			if err != nil {
				t.Errorf("%s: %s: %v", i.values, name, err)
				continue
			}
			if c.HTTP.Listen != ":7433" {
				t.Errorf("%s: %s: it would listen at %q", i.values, name, c.HTTP.Listen)
			}
		}
	}
}

// Every file that the configuration names is one that the pod has.
func TestFilesOfTheConfigurationAreMounted(t *testing.T) {
	t.Parallel()
	file := regexp.MustCompile(`file:([a-z][^"\s]*)`)
	for _, i := range installs {
		if i.config == "" {
			continue
		}
		all := objects(t, render(t, i))
		text, err := os.ReadFile("testdata/" + i.config + ".yaml")
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range file.FindAllStringSubmatch(string(text), -1) {
			if i.config == "given" && i.values != "daemon" && i.values != "cronjob" {
				continue // of Secrets that these values do not mount
			}
			for name, pod := range pods(t, all) {
				if !slices.ContainsFunc(pod.Spec.Containers[0].VolumeMounts, func(v corev1.VolumeMount) bool {
					return v.MountPath == filepath.Dir("/etc/holdfast/"+m[1])
				}) {
					t.Errorf("%s: %s does not mount %s", i.values, name, m[1])
				}
			}
		}
	}
}

// A Job is tried a second time after the exit codes that the manual gives to
// scripts for that, after an unknown failure and an interruption. No other.
func TestExitCodesThatNeedAPersonEndAJob(t *testing.T) {
	t.Parallel()
	manual, err := os.ReadFile("../../docs/operate.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(manual), "A script can retry after codes 6 and 8. The others need a person.") {
		t.Fatal("docs/operate.md says something else about codes to retry after")
	}
	_, table, _ := strings.Cut(string(manual), "## Exit codes")
	table, _, _ = strings.Cut(table, "\n## ")
	var want []int32
	for _, m := range regexp.MustCompile(`(?m)^\| (\d+) \|`).FindAllStringSubmatch(table, -1) {
		code, _ := strconv.ParseInt(m[1], 10, 32)
		if !slices.Contains([]int64{0, 1, 6, 8, 130}, code) {
			want = append(want, int32(code))
		}
	}
	for _, o := range objects(t, render(t, installs[1])) {
		if o.Kind != "CronJob" {
			continue
		}
		var c batchv1.CronJob
		o.as(t, &c)
		job := c.Spec.JobTemplate.Spec
		got := job.PodFailurePolicy.Rules[1].OnExitCodes.Values
		if !slices.Equal(got, want) || len(want) < 5 {
			t.Errorf("%s fails at once after %v, want %v", o, got, want)
		}
		if *c.Spec.StartingDeadlineSeconds*2 != *job.ActiveDeadlineSeconds {
			t.Errorf("%s may start %d s late, and take %d s", o, *c.Spec.StartingDeadlineSeconds, *job.ActiveDeadlineSeconds)
		}
	}
}

// The chart's alerts are those of packaging/prometheus; what to type next is a
// command for a cluster.
func TestAlertsAreThoseOfEveryHoldfast(t *testing.T) {
	t.Parallel()
	const source = "../prometheus/holdfast.rules.yml"
	want, err := os.ReadFile(source)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile("holdfast/files/holdfast.rules.yml"); err != nil || !bytes.Equal(got, want) {
		t.Errorf("the chart has other alerts (%v): cp packaging/prometheus/holdfast.rules.yml packaging/helm/holdfast/files/", err)
	}
	groups := func(text []byte) (rules []map[string]any) {
		var file struct {
			Groups []struct{ Rules []map[string]any }
		}
		raw, err := yaml.ToJSON(text)
		if err == nil {
			err = json.Unmarshal(raw, &file)
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, g := range file.Groups {
			rules = append(rules, g.Rules...)
		}
		return rules
	}
	shipped, rendered := groups(want), groups(alerts(t, install{"everything", "found"}))
	if len(shipped) != len(rendered) {
		t.Fatalf("%d rules, want %d", len(rendered), len(shipped))
	}
	for k, rule := range rendered {
		if notes, ok := rule["annotations"].(map[string]any); ok {
			next := fmt.Sprint(notes["next"])
			if !strings.HasPrefix(next, "kubectl --namespace validator ") && next != "chronyc tracking" {
				t.Errorf("%s: next is %q", rule["alert"], next)
			}
			shipped[k]["annotations"].(map[string]any)["next"] = notes["next"] //nolint:forcetypeassert // it is as the other
		}
		got, _ := json.Marshal(rule)
		was, _ := json.Marshal(shipped[k])
		if !bytes.Equal(got, was) {
			t.Errorf("the rule is %s, want %s", got, was)
		}
	}
}

// The chart's dashboard is that of packaging/prometheus, where Grafana looks for it.
func TestTheDashboardIsThatOfEveryHoldfast(t *testing.T) {
	t.Parallel()
	const source = "../prometheus/holdfast.dashboard.json"
	want, err := os.ReadFile(source)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range objects(t, renderAs(t, "holdfast", install{"daemon", "given"}, "--set", "dashboard.enabled=true")) {
		var m corev1.ConfigMap
		if o.Kind == "ConfigMap" {
			o.as(t, &m)
		}
		if got := m.Data["holdfast.dashboard.json"]; got != "" {
			if strings.TrimSpace(got) != strings.TrimSpace(string(want)) {
				t.Errorf("the chart has another dashboard: cp %s holdfast/files/", source)
			}
			if m.Labels["grafana_dashboard"] != "1" {
				t.Errorf("no sidecar looks for a dashboard with labels %v", m.Labels)
			}
			return
		}
	}
	t.Error("there is no dashboard")
}

// alerts is the file of rules that an installation's PrometheusRule makes.
func alerts(t *testing.T, i install) []byte {
	t.Helper()
	for _, o := range objects(t, render(t, i)) {
		if o.Kind == "PrometheusRule" {
			var rule struct{ Spec json.RawMessage }
			o.as(t, &rule)
			return rule.Spec
		}
	}
	t.Fatal("there is no PrometheusRule")
	return nil
}

// promtool takes the alerts of both modes.
func TestAlertsAreTaken(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("promtool"); err != nil {
		if os.Getenv("HOLDFAST_TEST_ALL") != "" {
			t.Fatalf("%v; internal/testbed/alarms.sh installs it", err)
		}
		t.Skip("needs promtool")
	}
	for _, i := range []install{{"everything", "found"}, {"cronjob", "given"}} {
		file := filepath.Join(t.TempDir(), "rules.json")
		if err := os.WriteFile(file, alerts(t, i), 0o600); err != nil {
			t.Fatal(err)
		}
		if said, err := exec.Command("promtool", "check", "rules", file).CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", i.values, err, said)
		}
	}
}

// Rights in a pod are those of whoever works from outside, without the connections
// that a pod makes itself, and without Secrets by name, which are a tier of their own.
func TestTiersAreTheShippedRoles(t *testing.T) {
	t.Parallel()
	for tier, file := range map[string]string{"discover": "role.yaml", "values": "role-values.yaml"} {
		text, err := os.ReadFile("../kubernetes/" + file)
		if err != nil {
			t.Fatal(err)
		}
		var want, got rbacv1.Role
		objects(t, string(text))[0].as(t, &want)
		want.Rules = slices.DeleteFunc(want.Rules, func(r rbacv1.PolicyRule) bool {
			return len(r.ResourceNames) > 0 || slices.Contains(r.Resources, "pods/portforward")
		})
		for _, o := range objects(t, render(t, install{tier, "found"})) {
			if o.Kind == "Role" {
				o.as(t, &got)
			}
		}
		if fmt.Sprint(got.Rules) != fmt.Sprint(want.Rules) || len(want.Rules) == 0 {
			t.Errorf("files/%s.yaml gives %v, packaging/kubernetes/%s %v", tier, got.Rules, file, want.Rules)
		}
	}
}

// A dump with given connections needs no right, and no token is in its pod.
func TestGivenConnectionsNeedNoRight(t *testing.T) {
	t.Parallel()
	for _, i := range []install{{"daemon", "given"}, {"cronjob", "given"}} {
		all := objects(t, render(t, i))
		for _, o := range all {
			if strings.Contains(o.Kind, "Role") {
				t.Errorf("%s: there is %s", i.values, o)
			}
		}
		for name, pod := range pods(t, all) {
			if *pod.Spec.AutomountServiceAccountToken {
				t.Errorf("%s: %s has a token", i.values, name)
			}
		}
	}
}
