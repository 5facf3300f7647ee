package holdfast_test

import (
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "holdfast"

// pkg is one package of this module as `go list` knows it.
type pkg struct {
	ImportPath string
	Dir        string
	GoFiles    []string
	Imports    []string
}

func (p pkg) name() string { return strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, module), "/") }

func packages(t *testing.T) []pkg {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=ImportPath,Dir,GoFiles,Imports", "./...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var list []pkg
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return list
		} else if err != nil {
			t.Fatal(err)
		}
		list = append(list, p)
	}
}

// below reports whether a path is one of the roots or below one.
func below(path string, roots ...string) bool {
	return slices.ContainsFunc(roots, func(root string) bool {
		return path == root || strings.HasPrefix(path, root+"/")
	})
}

func standard(path string) bool {
	first, _, _ := strings.Cut(path, "/")
	return !strings.Contains(first, ".") && first != module
}

// The packages by what they are for.
var (
	jobs = []string{"backup", "rehearsal", "restore", "export", "verify", "drill", "retention", "schedule", "check", "inspect",
		"reonboard", "notice", "history", "cycle"}
	adapters = []string{"capture", "node", "databases", "sandbox", "identities", "repository", "notify", "metrics",
		"dumpfile", "secrets", "secretmanager", "journal"}
	leaves = []string{"stored", "pgdump", "target", "step", "observed", "record", "loss", "event", "content", "grace",
		"size", "cost"}
	programs = []string{"cmd"}
	helpers  = []string{"internal/splicetest", "internal/eventtest", "internal/bench", "internal/demo",
		"internal/testbed", "internal/endtoend", "internal/child", "internal/storetest", "identities/identitiestest",
		"repository/repositorytest", "secretmanager/secretmanagertest", "web/storybook"}
)

// rule says which imports a group of packages may have. Tests may import what
// they like: they put parts together.
type rule struct {
	who    []string // packages, with what is below them; nil: all
	except []string
	may    func(path string) bool // path without the module's name for our own, whole otherwise
	why    string
}

// vocabulary reports whether a path is a language that jobs and adapters share:
// the standard library, the root, a leaf; and how a small file gets on disk, which
// must not be known in several ways.
func vocabulary(path string) bool {
	name, isOurs := ours(path)
	return standard(path) || isOurs && (name == "" || name == "internal/durable" || slices.Contains(leaves, name))
}

func ours(path string) (string, bool) {
	if path == module {
		return "", true
	}
	return strings.CutPrefix(path, module+"/")
}

func importRules() []rule {
	never := func(own ...string) func(string) bool {
		return func(path string) bool {
			name, isOurs := ours(path)
			return !isOurs || !below(name, own...)
		}
	}
	not := func(paths ...string) func(string) bool {
		return func(path string) bool { return !below(path, paths...) }
	}
	return []rule{
		{[]string{""}, nil, standard,
			"the root is the language everybody speaks; whatever it imported, everybody would import"},
		{[]string{""}, nil,
			not("os", "net", "os/exec", "math/rand", "math/rand/v2", "crypto/rand", "sync", "database/sql"),
			"the root opens nothing, starts nothing and draws no lots: its rules are pure"},
		{leaves, nil, func(path string) bool { return standard(path) || path == module },
			"a leaf is a vocabulary that some packages share: were it to import more, they all would"},
		{slices.Concat(leaves, []string{"manifest"}), nil,
			not("os", "net", "os/exec", "math/rand", "math/rand/v2", "crypto/rand", "sync", "database/sql"),
			"a leaf is values and pure rules, as the root is"},
		{[]string{"manifest"}, nil, func(path string) bool {
			return standard(path) || path == module || path == module+"/content"
		},
			"a manifest is written of sets and of what captures hold; whoever keeps it opens the files"},
		{nil, slices.Concat([]string{"capture", "export", "manifest"}, helpers), never("content"),
			"what a capture holds depends on its method: who takes, restores or exports one knows it, everybody " +
				"else asks the capture"},
		{[]string{"drill"}, nil, func(path string) bool {
			return vocabulary(path) || path == module+"/restore" || below(path, "golang.org/x/sync")
		},
			"a drill is a rehearsed restore, and of the jobs knows that one alone"},
		{[]string{"check/gather"}, nil, func(path string) bool {
			return vocabulary(path) || path == module+"/check" || below(path, "golang.org/x/sync")
		},
			"what is observed is gathered for a check, by functions that are given: adapters meet in setup"},
		{[]string{"web"}, helpers, func(path string) bool {
			name, isOurs := ours(path)
			return !isOurs || vocabulary(path) || name == "docs/schema" || below(name, "check", "history")
		},
			"a page shows the reports of jobs, and is given what it may have done: it knows no adapter"},
		{nil, []string{"web"}, not("github.com/alexedwards"),
			"who may see a page is the page's business"},
		{[]string{"schedule"}, nil, func(path string) bool {
			return standard(path) || below(path, "github.com/robfig/cron")
		},
			"a schedule is arithmetic with times; reading a crontab's five fields is a library's"},
		{[]string{"schedule"}, nil, not("os", "net", "os/exec", "math/rand", "math/rand/v2", "crypto/rand", "sync"),
			"a schedule is arithmetic with times: it waits for nothing and draws no lots"},
		{jobs, []string{"drill", "check/gather", "schedule"}, func(path string) bool {
			return vocabulary(path) || below(path, "golang.org/x/sync")
		},
			"a job declares what it needs and is given it; importing an adapter, or another job, would tie it to " +
				"one way of doing things"},
		{adapters, nil, never(slices.Concat(jobs, []string{"daemon", "web", "operator"})...),
			"an adapter knows the outside world, not what it is used for"},
		{[]string{"capture"}, nil,
			never("node", "databases", "sandbox", "identities", "repository", "secretmanager", "notify", "metrics"),
			"adapters meet in setup alone"},
		{[]string{"capture/snapshot", "capture/instances"}, nil, never("capture/rds"),
			"what is done with a snapshot is the same whoever keeps it"},
		{[]string{"node", "databases", "sandbox"}, nil,
			never("capture", "identities", "repository", "secretmanager", "notify", "metrics"), "adapters meet in setup alone"},
		{[]string{"identities"}, nil,
			never("capture", "node", "databases", "sandbox", "repository", "secretmanager", "notify", "metrics"),
			"adapters meet in setup alone"},
		{[]string{"repository"}, nil, func(path string) bool {
			return path == module+"/internal/scratch" ||
				never("capture", "node", "databases", "sandbox", "identities", "secretmanager", "notify", "metrics", "canton",
					"internal")(path)
		},
			"adapters meet in setup alone"},
		{[]string{"secretmanager"}, helpers, func(path string) bool {
			_, isOurs := ours(path)
			return !isOurs || vocabulary(path)
		},
			"a manager of secrets holds texts under names, whatever they are for"},
		{[]string{"dumpfile"}, nil,
			never("capture", "node", "databases", "sandbox", "identities", "repository", "notify", "metrics",
				"internal"), "adapters meet in setup alone"},
		{[]string{"node"}, nil, never("databases", "sandbox"),
			"a node says where its databases are; what is done with them is the same for every kind"},
		{[]string{"databases"}, nil, never("node", "sandbox"),
			"the databases of a node are the same however it is deployed"},
		{[]string{"journal"}, nil, func(path string) bool {
			return vocabulary(path) ||
				never("capture", "node", "databases", "sandbox", "identities", "repository", "canton", "internal")(path)
		},
			"a journal is a file of steps, whoever does them"},
		{[]string{"sandbox"}, nil, never("node", "databases", "canton"),
			"a sandbox is any Postgres server, and no way in which a node is deployed"},
		{nil, []string{"internal/docker", "node/compose", "sandbox"}, not("github.com/moby/moby"),
			"two adapters speak with the Docker Engine: one about the node's containers, one about those of drills"},
		{nil, []string{"internal/docker"}, not("github.com/docker/cli"),
			"the daemon is found in one place, as the docker command finds it"},
		{nil, slices.Concat([]string{"node/kube"}, helpers), not("k8s.io"),
			"one adapter speaks with a cluster about the node's objects; Secrets are read by the manager of them"},
		{[]string{"canton", "internal/libpq", "internal/docker"}, nil,
			never(slices.Concat(jobs, adapters, []string{"config"})...),
			"what adapters share lies below them"},
		{[]string{"place"}, nil, standard,
			"a place is a value that is parsed, compared and named; whoever opens one brings what that takes"},
		{[]string{"place"}, nil, func(path string) bool {
			return path != "net" && !below(path, "net/http", "os/exec")
		},
			"what two places share is looked up on this machine alone"},
		{nil, []string{"repository", "secretmanager", "capture/rds", "internal/storetest"}, not("github.com/aws",
			"github.com/Azure", "cloud.google.com"),
			"a vendor's way to credentials is used where requests are signed with them"},
		{nil, []string{"identities/shares"}, not("github.com/cloudflare/circl"),
			"a key is split and joined in one place, which calculates nothing itself"},
		{[]string{"metrics"}, nil, func(path string) bool {
			return vocabulary(path) || below(path, "github.com/prometheus/client_golang")
		},
			"metrics are a view of what is known: whoever knows it hands it over"},
		{[]string{"endpoint"}, nil, vocabulary,
			"an endpoint answers requests; what it answers with it is given"},
		{[]string{"systemd"}, nil, standard, "what systemd hears is the same for any service"},
		{nil, []string{"notify"}, not("github.com/nicholas-fedor/shoutrrr"),
			"one package speaks to chats and phones; what is worth saying is decided without it"},
		{[]string{"notify"}, nil, func(path string) bool {
			return vocabulary(path) || below(path, "github.com/nicholas-fedor/shoutrrr")
		},
			"an address gets a title and a text, whatever they are about"},
		{nil, []string{"metrics"}, not("github.com/prometheus/client_golang"),
			"one package speaks to Prometheus; nobody else counts"},
		{nil, []string{"repository", "internal/storetest"}, not("github.com/kopia/kopia", "github.com/minio",
			"github.com/studio-b12", "google.golang.org/api"),
			"there is one repository; kopia and the clients of its places are width that nobody else has to know"},
		{nil, slices.Concat([]string{"canton/admin"}, helpers), not("google.golang.org/grpc"),
			"one package speaks gRPC with Canton, and only knows how to read"},
		{[]string{"canton/admin", "canton/scan", "canton/metrics"}, nil, never("internal"),
			"what a participant, a Scan or an endpoint says is read in one place each"},
		{nil, []string{"config", "secretmanager"}, not("go.yaml.in/yaml", "gopkg.in/yaml.v2", "gopkg.in/yaml.v3", "sigs.k8s.io/yaml"),
			"configuration is parsed once, strictly, in one place; a kubeconfig is kubectl's"},
		{[]string{"config"}, nil, not("os/exec", "net/http"),
			"a configuration is text: to read it starts no programs and reaches nothing"},
		{nil, []string{"setup"}, never("node"),
			"what kind of node it is, setup alone knows; whoever else knew would have to learn the next kind"},
		{nil, slices.Concat(programs, []string{"setup"}), never("config"),
			"adapters own their options and never see the whole configuration: setup alone turns it into parts"},
		{nil, slices.Concat(programs, []string{"setup"}), never("setup"),
			"the parts are put together at the end of the arrows, for a program"},
		{nil, slices.Concat(programs, helpers), never("cmd"),
			"a program is the end of the arrows"},
		{nil, helpers,
			never("internal/splicetest", "internal/eventtest", "internal/bench", "internal/testbed",
				"internal/endtoend", "internal/child", "internal/storetest", "identities/identitiestest",
				"repository/repositorytest", "secretmanager/secretmanagertest"),
			"an imitated node does not belong into the program"},
		{nil, helpers, not("testing"), "nor does the testing library"},
		{nil, []string{"cmd", "eventlog", "internal/demo", "internal/testbed"}, not("log", "log/slog"),
			"libraries return and report what happened; only the edge logs"},
		{[]string{"eventlog"}, nil, func(path string) bool { return standard(path) || path == module+"/event" },
			"a log knows every event by its fields alone, whoever reports it"},
		{nil, slices.Concat(programs, helpers),
			not("flag", "github.com/spf13/cobra", "github.com/spf13/pflag", "github.com/spf13/viper"),
			"libraries take arguments, not flags"},
		{nil, nil,
			not("github.com/spf13/viper", "github.com/sirupsen/logrus", "go.uber.org/zap", "github.com/pkg/errors",
				"github.com/lib/pq"),
			"global configuration, global loggers and second drivers are what we do without"},
	}
}

// exceptions are imports that a rule forbids and that are right all the same.
var exceptions = map[string]string{
	" log/slog": "a Secret has to say how it appears in a structured log",
}

func TestImportDirections(t *testing.T) {
	list := packages(t)
	for _, p := range list {
		for _, r := range importRules() {
			applies := r.who == nil || slices.Contains(r.who, p.name()) || p.name() != "" && below(p.name(), r.who...)
			if !applies || below(p.name(), r.except...) && p.name() != "" {
				continue
			}
			for _, path := range p.Imports {
				if _, excepted := exceptions[p.name()+" "+path]; !excepted && !r.may(path) {
					t.Errorf("%s imports %s: %s", p.ImportPath, path, r.why)
				}
			}
		}
	}
	if len(list) < 10 {
		t.Errorf("only %d packages were looked at", len(list))
	}
}

// The rules are only worth something if they would find a breach.
func TestImportRulesFindBreaches(t *testing.T) {
	for _, breach := range []struct{ in, path string }{
		{"", "github.com/jackc/pgx/v5"},
		{"", "os"},
		{"backup", "holdfast/capture/postgres"},
		{"backup", "holdfast/restore"},
		{"restore", "holdfast/databases"},
		{"drill", "holdfast/databases"},
		{"drill", "holdfast/backup"},
		{"verify", "holdfast/repository"},
		{"web", "holdfast/repository"},
		{"web", "holdfast/setup"},
		{"web", "holdfast/backup"},
		{"history", "holdfast/retention"},
		{"capture/postgres", "holdfast/backup"},
		{"capture/postgres", "holdfast/repository"},
		{"capture/snapshot", "holdfast/capture/rds"},
		{"setup", "github.com/aws/aws-sdk-go-v2/service/rds"},
		{"databases", "holdfast/capture/postgres"},
		{"identities", "holdfast/repository"},
		{"repository", "holdfast/canton"},
		{"export", "github.com/kopia/kopia/repo"},
		{"databases", "github.com/kopia/kopia/fs"},
		{"setup", "google.golang.org/api/storage/v1"},
		{"backup", "go.yaml.in/yaml/v3"},
		{"databases", "holdfast/config"},
		{"config", "os/exec"},
		{"cmd/holdfast", "holdfast/node/compose"},
		{"backup", "holdfast/setup"},
		{"config", "holdfast/setup"},
		{"cmd/holdfast", "holdfast/internal/splicetest"},
		{"identities", "log"},
		{"identities", "github.com/cloudflare/circl/secretsharing"},
		{"config", "log/slog"},
		{"restore", "holdfast/cmd/holdfast"},
		{"config", "github.com/spf13/cobra"},
		{"canton", "holdfast/databases"},
		{"backup", "testing"},
		{"check", "holdfast/canton/scan"},
		{"check/gather", "holdfast/repository"},
		{"databases", "google.golang.org/grpc"},
		{"canton/scan", "holdfast/internal/libpq"},
		{"sandbox", "holdfast/node/compose"},
		{"node/compose", "holdfast/sandbox"},
		{"databases", "holdfast/node/compose"},
		{"journal", "holdfast/restore"},
		{"journal", "holdfast/node/compose"},
		{"node/compose", "holdfast/databases"},
		{"stored", "holdfast/record"},
		{"event", "os"},
		{"eventlog", "holdfast/backup"},
		{"backup", "log/slog"},
		{"databases", "holdfast/repository"},
		{"identities", "github.com/moby/moby/client"},
		{"node/compose", "github.com/docker/cli/cli/config"},
		{"internal/docker", "holdfast/node/compose"},
		{"setup", "k8s.io/client-go/rest"},
		{"node/kube", "holdfast/repository"},
		{"verify", "holdfast/content"},
		{"repository", "holdfast/content"},
		{"manifest", "os"},
		{"manifest", "holdfast/record"},
		{"place", "holdfast"},
		{"place", "github.com/kopia/kopia/repo/blob"},
		{"place", "net/http"},
		{"verify", "holdfast/place"},
		{"canton", "holdfast/dumpfile"},
		{"inspect", "holdfast/dumpfile"},
		{"inspect", "holdfast/canton"},
		{"secretmanager", "holdfast/identities"},
		{"identities", "holdfast/secretmanager"},
		{"backup", "holdfast/secretmanager"},
		{"identities", "github.com/aws/aws-sdk-go-v2/config"},
		{"dumpfile", "holdfast/capture/postgres"},
		{"metrics", "holdfast/check"},
		{"notify", "holdfast/notice"},
		{"notice", "holdfast/notify"},
		{"setup", "github.com/nicholas-fedor/shoutrrr/pkg/router"},
		{"endpoint", "holdfast/metrics"},
		{"backup", "github.com/prometheus/client_golang/prometheus"},
	} {
		found := slices.ContainsFunc(importRules(), func(r rule) bool {
			applies := r.who == nil || slices.Contains(r.who, breach.in) ||
				breach.in != "" && below(breach.in, r.who...)
			return applies && (breach.in == "" || !below(breach.in, r.except...)) && !r.may(breach.path)
		})
		if !found {
			t.Errorf("no rule forbids that %q imports %s", breach.in, breach.path)
		}
	}
}

// Nothing registers itself behind the reader's back: what there is, is built in
// main and passed on.
func TestNothingHappensBeforeMain(t *testing.T) {
	for _, p := range packages(t) {
		for _, name := range p.GoFiles {
			file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, name), nil,
				parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range file.Decls {
				if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" {
					t.Errorf("%s has an init function in %s", p.ImportPath, name)
				}
			}
		}
	}
}
