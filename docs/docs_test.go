package docs_test

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"go.yaml.in/yaml/v3"

	"holdfast/config"
	"holdfast/internal/splicetest"
)

// The first word of a fenced block says what happens to it here:
//
//	sh       run, in the page's order, in one directory, with set -eu
//	sql      run as the superuser in the databases that db= names
//	yaml     parsed as a configuration, on top of a minimal one
//	json     parsed
//	console  a transcript; it is not run, but its commands have to exist
//	text     nothing
//
// Words after it: exit=N, the exit code that an sh block has to end with;
// untested=WHY, a reason of the list below for which a block is not run.
var untested = map[string]string{
	"install":   "it builds from a checkout or installs packages on the machine",
	"systemd":   "it needs an init system",
	"cron":      "it is a line of a crontab",
	"node":      "it stops or starts the programs of a node, which are imitated here",
	"kopia":     "it needs the kopia command, which is not a dependency",
	"oidc":      "it needs an account at an identity provider",
	"elsewhere": "it names hosts that do not exist here",
	"docker":    "it needs Docker and a node's image; the tests in internal/endtoend/compose run it against both",
	"container": "it needs Docker and a bundle; the tests in packaging run it against both",
	"cluster":   "it needs a cluster with a node, or kubectl",
	"namespace": "it needs a cluster; TestALostNamespace in internal/endtoend types these very lines",
	"chart":     "it needs helm and an API server; the tests in packaging/helm run it against both",
	"account":   "it needs an account at a provider; the tests in setup do the same against a stand-in",
	"make":      "make demo and make test are run by continuous integration, this test among them",
}

// page is one whose commands are run.
type page struct {
	file      string
	options   splicetest.NodeOptions
	variables func(*site) []string
	prepare   func(*testing.T, *site) // what the page takes as given
}

// pages are the pages whose commands are run, and what they are run against.
var pages = []page{
	{file: "README.md", variables: func(s *site) []string { return nil }},
	{file: "docs/operate.md", variables: asRole("holdfast", "holdfast_restore")},
	{file: "docs/verify.md", variables: func(s *site) []string { return nil }, prepare: func(t *testing.T, s *site) {
		t.Helper()
		s.init(t)
		s.holdfast(t, 0, "backup")
	}},
	{file: "docs/drill.md", variables: func(s *site) []string { return nil }, prepare: func(t *testing.T, s *site) {
		t.Helper()
		s.init(t)
		s.holdfast(t, 0, "backup")
	}},
	{file: "docs/places.md", variables: func(s *site) []string { return nil }, prepare: func(t *testing.T, s *site) {
		t.Helper()
		s.init(t)
		s.holdfast(t, 0, "backup")
	}},
	{file: "docs/restore.md", variables: func(s *site) []string {
		return []string{
			"VALIDATOR_ELSEWHERE=" + s.other.DSN(splicetest.ValidatorDatabase), "PARTICIPANT_ELSEWHERE=" + s.other.DSN(splicetest.ParticipantDatabase),
			"SERVER_ELSEWHERE=" + s.other.DSN("postgres"),
		}
	}, prepare: func(t *testing.T, s *site) {
		t.Helper()
		s.init(t)
		s.holdfast(t, 0, "backup")
	}},
}

// asRole makes the page's variables connect as roles that the page creates.
func asRole(backup, restore string) func(*site) []string {
	return func(s *site) []string {
		return []string{
			"VALIDATOR_DSN=" + s.node.Validator.DSNAs(backup, splicetest.ValidatorDatabase),
			"PARTICIPANT_DSN=" + s.node.Participant.DSNAs(backup, splicetest.ParticipantDatabase),
			"VALIDATOR_RESTORE_DSN=" + s.node.Validator.DSNAs(restore, splicetest.ValidatorDatabase),
			"PARTICIPANT_RESTORE_DSN=" + s.node.Participant.DSNAs(restore, splicetest.ParticipantDatabase),
			"TOKEN=" + splicetest.UnsafeToken(splicetest.LedgerUser, splicetest.DefaultAudience),
		}
	}
}

// block is one fenced block of a page.
type block struct {
	line    int
	indent  string // of the fence, within a list
	kind    string
	options map[string]string
	text    string
}

func (b block) String() string { return fmt.Sprintf("line %d (%s)", b.line, b.kind) }

// blocks reads the fenced blocks of a page.
func blocks(t *testing.T, file string) []block {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", file))
	if err != nil {
		t.Fatal(err)
	}
	var out []block
	var open *block
	for i, line := range strings.Split(string(text), "\n") {
		fence := strings.TrimLeft(line, " ")
		switch {
		case !strings.HasPrefix(fence, "```"):
			if open != nil {
				open.text += strings.TrimPrefix(line, open.indent) + "\n"
			}
		case open == nil:
			words := strings.Fields(strings.TrimPrefix(fence, "```"))
			open = &block{line: i + 1, indent: line[:len(line)-len(fence)], options: map[string]string{}}
			for k, w := range words {
				if k == 0 {
					open.kind = w
					continue
				}
				key, value, _ := strings.Cut(w, "=")
				open.options[key] = value
			}
		default:
			out = append(out, *open)
			open = nil
		}
	}
	if open != nil {
		t.Fatalf("%s: the block of line %d is not closed", file, open.line)
	}
	return out
}

// markdown lists every page of the documentation.
func markdown(t *testing.T) []string {
	t.Helper()
	files := []string{"README.md", "CHANGELOG.md"}
	for _, pattern := range []string{"docs/*.md", "docs/decisions/*.md"} {
		found, err := filepath.Glob(filepath.Join("..", pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range found {
			files = append(files, strings.TrimPrefix(f, "../"))
		}
	}
	return files
}

// Every command of the pages runs, in their order, against a node.
func TestCommandsOfTheDocumentationRun(t *testing.T) {
	for _, p := range pages {
		t.Run(p.file, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, p.options)
			s.other = splicetest.NewServer(t, "")
			s.env = append(s.env, p.variables(s)...)
			if p.prepare != nil {
				p.prepare(t, s)
			}
			for _, b := range blocks(t, p.file) {
				if why := b.options["untested"]; why != "" {
					if untested[why] == "" {
						t.Fatalf("%s: %s is not a reason; there are %v", b, why, slices.Sorted(maps.Keys(untested)))
					}
					continue
				}
				switch b.kind {
				case "sh":
					s.sh(t, b)
				case "sql":
					s.sql(t, b)
				}
			}
		})
	}
}

// sh runs a block of commands.
func (s *site) sh(t *testing.T, b block) {
	t.Helper()
	want, _ := strconv.Atoi(cmp.Or(b.options["exit"], "0"))
	r, err := s.run(t.Context(), "/bin/sh", "-euc", b.text)
	if err != nil {
		t.Fatal(err)
	}
	if r.exit != want {
		t.Fatalf("%s: exit code %d, want %d\n%s\n--- printed\n%s%s", b, r.exit, want, b.text, r.stdout, r.stderr)
	}
	t.Logf("%s\n%s%s", b, r.stdout, r.stderr)
}

// sql runs a block of statements as the superuser.
func (s *site) sql(t *testing.T, b block) {
	t.Helper()
	databases := map[string]string{
		"postgres": s.node.Participant.DSN("postgres"), "participant": s.node.Participant.DSN(splicetest.ParticipantDatabase),
		"validator": s.node.Validator.DSN(splicetest.ValidatorDatabase),
	}
	for _, name := range strings.Split(b.options["db"], ",") {
		dsn, ok := databases[name]
		if !ok {
			t.Fatalf("%s: db=%s is none of the node's", b, name)
		}
		if err := statements(t.Context(), dsn, b.text); err != nil {
			t.Fatalf("%s, in database %s: %v\n%s", b, name, err, b.text)
		}
	}
}

func statements(ctx context.Context, dsn, text string) error {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	_, err = conn.PgConn().Exec(ctx, text).ReadAll()
	return err
}

// minimal is what a page's configuration is put on top of when it shows a part.
const minimal = `
node: my-validator
databases: {validator: 'postgres://db/validator', participant: 'postgres://db/participant'}
identities: {url: 'http://wallet.localhost', auth: {mode: unsafe, audience: 'https://validator.example.com'}, recipients: [age1example]}
repository: {path: /var/backups/holdfast, password: 'file:/etc/holdfast/repository.password'}
`

// Every configuration of the pages is one that Holdfast takes.
func TestConfigurationsOfTheDocumentationParse(t *testing.T) {
	for _, file := range markdown(t) {
		for _, b := range blocks(t, file) {
			if b.kind != "yaml" {
				continue
			}
			whole, part := map[string]any{}, map[string]any{}
			if err := yaml.Unmarshal([]byte(minimal), &whole); err != nil {
				t.Fatal(err)
			}
			if err := yaml.Unmarshal([]byte(b.text), &part); err != nil {
				t.Fatalf("%s: %s: %v", file, b, err)
			}
			text := []byte(b.text)
			if part["node"] == nil { // only a part of one
				maps.Copy(whole, part)
				var err error
				if text, err = yaml.Marshal(whole); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := config.Parse("/etc/holdfast/holdfast.yaml", text, nil); err != nil {
				t.Errorf("%s: %s: %v", file, b, err)
			}
		}
	}
}

var (
	span      = regexp.MustCompile("`([^`\n]+)`")
	flag      = regexp.MustCompile(`(^|[\s\[])(--[a-z][a-z-]*)`)
	variable  = regexp.MustCompile(`HOLDFAST_[A-Z_]+[A-Z]`)
	installed = regexp.MustCompile(`/bin/(holdfast .*)`)
	named     = regexp.MustCompile(`^databases\.[a-z]+\.`)
	link      = regexp.MustCompile(`\]\(([^)\s]+)\)`)
)

// Commands, flags, keys and variables that the pages name exist.
func TestNamesInTheDocumentationExist(t *testing.T) {
	help := helpTexts(t)
	keys := configKeys(reflect.TypeFor[config.Config](), "")
	for _, file := range markdown(t) {
		text, err := os.ReadFile(filepath.Join("..", file))
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range commandLines(t, file, string(text)) {
			if err := known(help, line); err != nil {
				t.Errorf("%s: %q: %v", file, line, err)
			}
		}
		for _, m := range span.FindAllStringSubmatch(string(text), -1) {
			word := named.ReplaceAllString(strings.TrimSuffix(m[1], ":"), "databases.")
			if top, _, _ := strings.Cut(word, "."); strings.Contains(word, ".") && slices.Contains(keys, top) &&
				regexp.MustCompile(`^[a-z_.]+$`).MatchString(word) && !slices.Contains(keys, word) && !strings.HasSuffix(word, ".age") {
				t.Errorf("%s: there is no setting %s", file, word)
			}
			if strings.HasPrefix(word, "--") {
				if name := flag.FindStringSubmatch(word); name != nil && !slices.ContainsFunc(slices.Collect(maps.Values(help)), func(h string) bool { return strings.Contains(h, name[2]) }) && !foreign[name[2]] {
					t.Errorf("%s: no command has the flag %s", file, name[2])
				}
			}
		}
		for _, name := range variable.FindAllString(string(text), -1) {
			if strings.HasPrefix(name, "HOLDFAST_TEST_") {
				continue
			}
			if _, err := config.Parse("/etc/holdfast.yaml", []byte(minimal), []string{name + "=x"}); err != nil && strings.Contains(err.Error(), "names no setting") {
				t.Errorf("%s: %v", file, err)
			}
		}
	}
}

// foreign are flags of other programs that the pages name.
var foreign = map[string]bool{}

// commandLines are the command lines of holdfast in a page: in blocks, in
// transcripts and in the text.
func commandLines(t *testing.T, file, text string) []string {
	var out []string
	add := func(line string) {
		line = strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(line), "$ "))
		for _, part := range regexp.MustCompile(`[|;]|&&`).Split(line, -1) {
			part = strings.TrimSpace(part)
			if part == "holdfast" || strings.HasPrefix(part, "holdfast ") {
				out = append(out, part)
			}
		}
	}
	for _, b := range blocks(t, file) {
		if b.kind == "sh" || b.kind == "console" {
			for _, line := range strings.Split(strings.ReplaceAll(b.text, "\\\n", " "), "\n") {
				add(line)
			}
		}
		for _, m := range installed.FindAllStringSubmatch(b.text, -1) {
			add(strings.Split(m[1], " >")[0]) // in units and crontabs
		}
	}
	for _, m := range span.FindAllStringSubmatch(text, -1) {
		add(m[1])
	}
	return out
}

// known checks the command and the flags of one line.
func known(help map[string]string, line string) error {
	words := strings.Fields(line)[1:]
	command, n := "", 0
	for ; n < len(words); n++ {
		longer := strings.TrimSpace(command + " " + words[n])
		if _, ok := help[longer]; !ok {
			break
		}
		command = longer
	}
	only := strings.Contains(help[command], "holdfast "+command+" [flags]\n") && strings.Contains(help[command], "holdfast "+command+" [command]\n")
	if (command == "" || only) && n < len(words) && !strings.HasPrefix(words[n], "-") && words[n] != strings.ToUpper(words[n]) {
		return fmt.Errorf("there is no command %s %s", command, words[n])
	}
	for _, m := range flag.FindAllStringSubmatch(strings.Join(words[n:], " "), -1) {
		if !strings.Contains(help[command], m[2]+" ") && !strings.Contains(help[command], m[2]+"\n") {
			return fmt.Errorf("holdfast %s has no flag %s", command, m[2])
		}
	}
	return nil
}

// commandOf is a line of a help that lists a command. Behind the longest name,
// which may have dashes, there is one blank only.
var commandOf = regexp.MustCompile(`^  ([a-z]+) {2,}\S|^  ([a-z]+)\s*$|^  ([a-z]+(?:-[a-z]+)+) +\S`)

// helpTexts is the help of every command, by its words.
func helpTexts(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	var walk func(words []string)
	walk = func(words []string) {
		s := &site{dir: t.TempDir(), env: []string{"PATH=" + os.Getenv("PATH")}}
		text := s.holdfast(t, 0, append(slices.Clone(words), "--help")...).stdout
		out[strings.Join(words, " ")] = text
		for _, line := range strings.Split(text, "\n") {
			m := commandOf.FindStringSubmatch(line)
			if m == nil || len(words) > 1 {
				continue
			}
			name := m[1] + m[2] + m[3]
			if name != "help" && name != "holdfast" && !slices.Contains(words, name) && !strings.HasPrefix(line, "  holdfast") {
				walk(append(slices.Clone(words), name))
			}
		}
	}
	walk(nil)
	return out
}

// configKeys lists the keys of the configuration: "repository", "repository.path".
func configKeys(typ reflect.Type, path string) []string {
	for typ.Kind() == reflect.Pointer {
		typ = typ.Elem()
	}
	switch typ.Kind() {
	case reflect.Map:
		return configKeys(typ.Elem(), path)
	case reflect.Struct:
	default:
		return nil
	}
	var keys []string
	for _, f := range reflect.VisibleFields(typ) {
		if tag := f.Tag.Get("yaml"); tag != "" {
			key := strings.TrimPrefix(path+"."+tag, ".")
			keys = append(append(keys, key), configKeys(f.Type, key)...)
		}
	}
	return keys
}

// Every link within the documentation leads to a file, and to a heading of it.
func TestLinksOfTheDocumentationResolve(t *testing.T) {
	for _, file := range markdown(t) {
		text, err := os.ReadFile(filepath.Join("..", file))
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range link.FindAllStringSubmatch(string(text), -1) {
			if strings.Contains(m[1], "://") || strings.HasPrefix(m[1], "mailto:") {
				continue
			}
			name, anchor, _ := strings.Cut(m[1], "#")
			target := filepath.Join("..", file)
			if name != "" {
				target = filepath.Join("..", filepath.Dir(file), name)
			}
			content, err := os.ReadFile(target)
			if info, statErr := os.Stat(target); statErr != nil || err != nil && !info.IsDir() {
				t.Errorf("%s: the link %s leads nowhere", file, m[1])
				continue
			}
			if anchor != "" && !slices.Contains(headings(string(content)), anchor) {
				t.Errorf("%s: the link %s: there is no such heading", file, m[1])
			}
		}
	}
}

// headings are the anchors of a page, as GitHub makes them.
func headings(text string) []string {
	var out []string
	for _, line := range strings.Split(text, "\n") {
		if strings.HasPrefix(line, "#") {
			title := strings.ToLower(strings.TrimSpace(strings.TrimLeft(line, "#")))
			title = regexp.MustCompile(`[^\p{L}\p{N} _-]`).ReplaceAllString(title, "")
			out = append(out, strings.ReplaceAll(title, " ", "-"))
		}
	}
	return out
}

// Every block has a kind that means something here.
func TestBlocksOfTheDocumentationAreOfAKnownKind(t *testing.T) {
	kinds := []string{"sh", "sql", "yaml", "json", "console", "text"}
	for _, file := range markdown(t) {
		runs := slices.ContainsFunc(pages, func(p page) bool { return p.file == file })
		for _, b := range blocks(t, file) {
			switch {
			case !slices.Contains(kinds, b.kind):
				t.Errorf("%s: %s: want one of %v", file, b, kinds)
			case (b.kind == "sh" || b.kind == "sql") && !runs && b.options["untested"] == "":
				t.Errorf("%s: %s: the commands of this page are not run; give a reason", file, b)
			}
		}
	}
}

// Every policy is one to apply: it is linked where the roles are explained, and
// can be read.
func TestPoliciesAreWhole(t *testing.T) {
	var pages []byte
	for _, name := range []string{"places.md", "cloud.md"} {
		page, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		pages = append(pages, page...)
	}
	files, err := filepath.Glob("policies/*")
	if err != nil || len(files) == 0 {
		t.Fatalf("there are no policies: %v", err)
	}
	for _, file := range files {
		if !strings.Contains(string(pages), "]("+file+")") {
			t.Errorf("neither places.md nor cloud.md has a link to %s", file)
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if filepath.Ext(file) == ".json" && !json.Valid(text) {
			t.Errorf("%s is no JSON", file)
		}
	}
}
