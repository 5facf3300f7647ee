package endtoend

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"holdfast/grace"
	"holdfast/identities"
	"holdfast/internal/splicetest"
	"holdfast/internal/storetest"
	"holdfast/internal/watchdog"
	"holdfast/secrets"
	"holdfast/setup"
)

// quiet is a node with a set of it, each of whose peers can fall silent.
type quiet struct {
	node    *splicetest.Node
	config  string          // that leads to all of them
	bucket  string          // the same, with the repository in a bucket
	address map[peer]string // of each that has one
	workshop
}

// peer is somebody whom a command waits for, as the page of faults names it.
type peer string

const (
	theServer     peer = "Postgres"
	clientProgram peer = "client program"
	validatorApp  peer = "validator app"
	tokenIssuer   peer = "OAuth2 issuer"
	oneScan       peer = "Scan"
	adminAPI      peer = "admin API"
	endpoint      peer = "metrics"
	dockerDaemon  peer = "Docker daemon"
	aBucket       peer = "repository in S3"
)

// called is how a command names a peer that it gives up.
var called = map[peer]*regexp.Regexp{
	theServer:     regexp.MustCompile("does not answer any more|cannot connect to database|stands still"),
	clientProgram: regexp.MustCompile("stands still"),
	validatorApp:  regexp.MustCompile("identities from http://[^ ]+: no answer in time"),
	tokenIssuer:   regexp.MustCompile("(token for client .* from|OpenID discovery at) http://[^ ]+: no answer in time"),
	oneScan:       regexp.MustCompile("http://[^ ]+: no answer within 2s"),
	adminAPI:      regexp.MustCompile("the participant's admin API at [^ ]+ did not answer"),
	endpoint:      regexp.MustCompile("cannot read metrics from http://[^ ]+: no answer within 2s"),
	dockerDaemon:  regexp.MustCompile("the Docker daemon at unix://[^ ]+ does not answer any more"),
	aBucket:       regexp.MustCompile("s3://[^ ]+: the server does not answer"),
}

// advised is what it says that the operator may do. What check says belongs to a
// condition, and what a set lacks is mended otherwise.
var advised = map[peer]*regexp.Regexp{
	theServer:     regexp.MustCompile("Check (the server|host, port)"),
	clientProgram: regexp.MustCompile("whether somebody stopped the program"),
	validatorApp:  regexp.MustCompile("Check firewalls"),
	tokenIssuer:   regexp.MustCompile("Check firewalls"),
	dockerDaemon:  regexp.MustCompile("`docker info`"),
	aBucket:       regexp.MustCompile("Check the server, the network and repository.path"),
}

const lanes = 6 // commands at a time: they wait, mostly

func newQuiet(t *testing.T) quiet {
	t.Helper()
	q := quiet{node: splicetest.NewNode(t, splicetest.NodeOptions{App: true, TCP: true}), workshop: newWorkshop(t)}
	app := splicetest.NewValidatorApp(t, q.node, splicetest.AppOptions{})
	token := newIssuer(t, splicetest.UnsafeToken(q.node.User, splicetest.DefaultAudience))
	network, err := q.node.StartNetwork(3)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = network.Close() })
	api, err := q.node.StartAdminAPI(q.node.ParticipantDSN())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(api.Close)
	series := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprintf(w, "# TYPE splice_store_last_seen_record_time_ms gauge\n"+
			"splice_store_last_seen_record_time_ms %d\n", time.Now().UnixMilli())
	}))
	t.Cleanup(series.Close)
	q.address = map[peer]string{
		theServer:    fmt.Sprintf("127.0.0.1:%d", q.node.Participant.Port()),
		validatorApp: strings.TrimPrefix(app.URL(), "http://"),
		tokenIssuer:  strings.TrimPrefix(token, "http://"),
		oneScan:      strings.TrimPrefix(network.URLs()[0], "http://"),
		adminAPI:     api.Address(),
		endpoint:     strings.TrimPrefix(series.URL, "http://"),
	}
	store := storetest.S3(t)
	q.address[aBucket] = store.Address
	id, err := store.Access.ID(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("AWS_ACCESS_KEY_ID", id.Reveal())
	t.Setenv("AWS_SECRET_ACCESS_KEY", storetest.SecretKey)
	checks := fmt.Sprintf("\ncheck: {scans: [%s], admin: '%s', metrics: ['%s/metrics']}\n",
		strings.Join(network.URLs(), ", "), api.Address(), series.URL)
	q.config = q.prepared(t, "directory", filepath.Join(q.dir, "sets"), app.URL(), token) + checks
	q.bucket = q.prepared(t, "bucket", store.Place.String(), app.URL(), token) + checks
	server := q.node.Participant
	for lane := range lanes { // a node of its own for each, as backups lock their databases
		for _, name := range []string{splicetest.ValidatorDatabase, splicetest.ParticipantDatabase, splicetest.AppDatabase} {
			execute(t, server.DSN("postgres"), fmt.Sprintf("CREATE DATABASE %q TEMPLATE %q", ofLane(name, lane), name))
		}
	}
	return q
}

func ofLane(database string, lane int) string { return fmt.Sprintf("%s_%d", database, lane) }

// newIssuer is one that gives that token to everybody.
func newIssuer(t *testing.T, token string) (url string) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		answer := map[string]any{"access_token": token, "token_type": "Bearer", "expires_in": 3600}
		if strings.Contains(r.URL.Path, "well-known") {
			own := "http://" + r.Host // as which it is reached
			answer = map[string]any{"issuer": own, "token_endpoint": own + "/token"}
		}
		_ = json.NewEncoder(w).Encode(answer)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// prepared is a configuration of the node, of that name, with a set of it in the
// repository.
func (q *quiet) prepared(t *testing.T, name, repository, app, issuer string) string {
	t.Helper()
	dir, server := filepath.Join(q.dir, name), q.node.Participant
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "holdfast.yaml")
	q.does(t, "--config", file, "init", "--no-input", "--node", "demo", "--repository", repository,
		"--recovery-key-file", filepath.Join(dir, "key"), "--identities-url", app, "--auth", "oidc",
		"--issuer", issuer, "--client-id", "holdfast", "--client-secret", "file:"+q.write(t, "client", "a secret"),
		"--audience", splicetest.DefaultAudience,
		"--database", "validator="+server.TCPDSN(splicetest.ValidatorDatabase),
		"--database", "participant="+server.TCPDSN(splicetest.ParticipantDatabase),
		"--database", "app="+server.TCPDSN(splicetest.AppDatabase))
	q.does(t, "--config", file, "backup", "--quiet")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text) + "\ndump: {connections: 6, lanes: 1}\n"
}

func (q *quiet) write(t *testing.T, name, text string) (path string) {
	t.Helper()
	path = filepath.Join(q.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// silence is one command, and the moment at which one of its peers falls silent.
type silence struct {
	peer peer
	at   splicetest.Moment
	args []string
	code int // of a command that gives up
}

// Exit codes.
const (
	failing     = -1 // any but success
	unproven    = 3
	unreachable = 8
)

func (s silence) String() string {
	return fmt.Sprintf("%s %s: %s", s.peer, s.moment(), strings.Join(s.args, " "))
}

// moment says when it falls silent.
func (s silence) moment() string {
	switch {
	case s.at.Asked != "":
		return "at `" + s.at.Asked + "`"
	case s.at.Answered != "":
		return "in its answer at `" + s.at.Answered + "`"
	}
	return "from the beginning"
}

var (
	backing    = []string{"backup", "--quiet"}
	planning   = []string{"restore", "latest", "--component", "app", "--to", ""}
	restoring  = []string{"restore", "latest", "--component", "app", "--to", "", "--yes"}
	rehearsing = []string{"restore", "rehearse", "latest", "--component", "app", "--to", "", "--yes"}
	looking    = []string{"config", "check", "--live"}
	checking   = []string{"check", "--output=json"}
	fetching   = []string{"identities", "fetch"}
	listing    = []string{"list"}
	verifying  = []string{"verify", "latest", "--read-data"}
	thinning   = []string{"retention"}
)

// asked are a command's moments at which the peer falls silent when it is asked
// that; "" for from the beginning.
func asked(peer peer, code int, args []string, moments ...string) []silence {
	var out []silence
	for _, text := range moments {
		out = append(out, silence{peer, splicetest.Moment{Asked: text}, args, code})
	}
	return out
}

// answering is a peer that falls silent in the middle of an answer.
func answering(peer peer, code int, args []string, text string) []silence {
	return []silence{{peer, splicetest.Moment{Answered: text}, args, code}}
}

// matrix is every peer that falls silent, at every stage, under the commands that
// wait for it.
func matrix() []silence {
	const wellKnown, exported = "GET /.well-known", "GET /api/validator/v0/admin/participant/identities"
	return slices.Concat(
		asked(validatorApp, unproven, backing, exported), // which tries six times
		asked(tokenIssuer, unreachable, fetching, "POST /token"),
		asked(theServer, failing, looking, "rolcreatedb"),
		asked(theServer, failing, checking, "clock_timestamp"),
		asked(theServer, unreachable, []string{"backup", "--dry-run"}, "pg_largeobject_metadata"),
		asked(theServer, unreachable, backing, "user", "pg_backend_pid", "pg_try_advisory_lock", "LOCK TABLE",
			"pg_export_snapshot", "COPY ", "set_config('search_path'", "pg_shdepend"),
		asked(theServer, failing, planning, "rolcreatedb"),
		asked(theServer, failing, restoring, "pg_try_advisory_lock", "CREATE DATABASE", "set_config('search_path'",
			"FROM STDIN", "TO STDOUT", "CREATE INDEX", "ANALYZE", "setval", "COMMENT ON", "RENAME TO"),
		asked(theServer, 0, rehearsing, "DROP DATABASE"),
		asked(clientProgram, unreachable, backing, "pg_dump"),
		answering(clientProgram, unreachable, backing, "pg_dump"),
		asked(clientProgram, failing, restoring, "pg_restore"),
		asked(validatorApp, failing, looking, "", exported),
		answering(validatorApp, failing, looking, `"keys"`),
		asked(validatorApp, failing, checking, ""),
		asked(tokenIssuer, failing, looking, "", wellKnown, "POST /token"),
		answering(tokenIssuer, failing, looking, "access_token"),
		asked(tokenIssuer, failing, checking, "POST /token"),
		asked(oneScan, failing, checking, "", "GET /api/scan/v0/dso-sequencers"),
		answering(oneScan, failing, checking, "domainSequencers"),
		asked(adminAPI, failing, checking, "", "PRI * HTTP/2.0"),
		asked(endpoint, failing, checking, "", "GET /metrics"),
		answering(endpoint, failing, checking, "last_seen"),
		asked(dockerDaemon, unreachable, backing, ""),
		asked(dockerDaemon, failing, checking, ""),
		asked(dockerDaemon, failing, []string{"restore", "latest"}, ""),
		asked(aBucket, failing, backing, "", "PUT /sets/holdfast/p", "PUT /sets/holdfast/q"),
		asked(aBucket, failing, listing, "", "GET /sets/holdfast/kopia.repository"),
		asked(aBucket, failing, verifying, "GET /sets/holdfast/p"),
		asked(aBucket, failing, planning, "GET /sets/holdfast/q"),
		asked(aBucket, failing, thinning, "list-type=2"),
		asked(aBucket, failing, checking, ""),
	)
}

// interrupted are those of which a command is told to end while it waits.
func interrupted() []silence {
	return slices.Concat(
		asked(theServer, failing, restoring, "RENAME TO"),
		asked(theServer, failing, backing, "LOCK TABLE", "COPY ", "set_config('search_path'"),
		asked(theServer, failing, restoring, "FROM STDIN", "CREATE INDEX", "set_config('search_path'"),
		asked(theServer, 0, rehearsing, "DROP DATABASE"),
		asked(clientProgram, failing, backing, "pg_dump"),
		asked(clientProgram, failing, restoring, "pg_restore"),
		asked(validatorApp, failing, backing, ""),
		asked(tokenIssuer, failing, fetching, "POST /token"),
		asked(oneScan, failing, checking, ""),
		asked(adminAPI, failing, checking, ""),
		asked(endpoint, failing, checking, ""),
		asked(dockerDaemon, failing, backing, ""),
		asked(aBucket, failing, backing, "PUT /sets/holdfast/p"),
		asked(aBucket, failing, listing, ""),
	)
}

// silencePage is the part of the page of faults about peers that fall silent.
func silencePage() string {
	const head = `
## Peers that fall silent

Each of these peers stops to answer at each of these moments, while its connections stay open. The command gives it up,
names it, says what to check, and leaves no session and no lock behind. Where the moment is printed in bold, the command is
also ended with SIGTERM while it waits, which takes at most 10 s; 30 s in the middle of a rename.

A daemon that falls silent while a program runs in a container is imitated in the package of the Docker Engine. A
directory on a mount whose server is gone is not imitated: there the kernel keeps whoever reads or writes. A command that
waits for it ends after SIGTERM as soon as the kernel lets it, which ` + "`umount --force`" + ` brings about.

| peer | command | falls silent |
|---|---|---|
`
	type row struct{ peer, command string }
	var rows []row
	moments := map[row][]string{}
	told := interrupted()
	for _, s := range slices.Concat(matrix(), told) {
		r := row{string(s.peer), s.command()}
		if !slices.Contains(rows, r) {
			rows = append(rows, r)
		}
		moment := s.moment()
		if slices.ContainsFunc(told, func(t silence) bool { return t.String() == s.String() }) {
			moment = "**" + moment + "**"
		}
		if !slices.Contains(moments[r], moment) {
			moments[r] = append(moments[r], moment)
		}
	}
	slices.SortStableFunc(rows, func(a, b row) int { return strings.Compare(a.peer, b.peer) })
	var page strings.Builder
	page.WriteString(head)
	for _, r := range rows {
		_, _ = fmt.Fprintf(&page, "| %s | `%s` | %s |\n", r.peer, r.command, strings.Join(moments[r], ", "))
	}
	return page.String()
}

// command is the command without what only its output and this test need.
func (s silence) command() string {
	words := slices.DeleteFunc(slices.Clone(s.args), func(word string) bool {
		return word == "--quiet" || word == "--output=json"
	})
	if i := slices.Index(words, ""); i >= 0 {
		words[i] = "app=..."
	}
	return "holdfast " + strings.Join(words, " ")
}

// live reports whether a command waits for the node's own databases, and not for
// the place of a restore.
func (s silence) live() bool { return !slices.Contains(s.args, "") }

// start starts the command with the way to its peer, in a directory of its own,
// and waits until that has fallen silent.
func (q quiet) start(t *testing.T, s silence, n, lane int, limit string) (*exec.Cmd, *bytes.Buffer) {
	t.Helper()
	dir, config := "directory", q.config
	if s.peer == aBucket {
		dir, config = "bucket", q.bucket
	}
	config += "\nsilence_limit: " + limit + "\n"
	if s.args[0] == "backup" { // another node's: what others restore and judge is the set of this one
		config = strings.Replace(config, "node: demo\n", fmt.Sprintf("node: demo-%d\n", n), 1)
	}
	for _, name := range []string{splicetest.ValidatorDatabase, splicetest.ParticipantDatabase, splicetest.AppDatabase} {
		config = strings.ReplaceAll(config, "dbname="+name, "dbname="+ofLane(name, lane))
	}
	port := q.node.Participant.Port()
	var silent <-chan struct{}
	switch s.peer {
	case dockerDaemon:
		line := splicetest.NewSilentSocket(t)
		silent = line.Silent()
		section := "compose: {project: demo, docker_host: 'unix://" + line.Address + "'}\n"
		config = config[:strings.Index(config, "databases:")] + section + config[strings.Index(config, "repository:"):]
	case clientProgram:
		var tools string
		tools, silent = stopped(t, s.at)
		config += "tools: " + tools + "\n"
	case theServer:
		line := splicetest.NewLine(t, q.address[s.peer], s.at)
		silent = line.Silent()
		if !s.live() {
			port = line.Port()
			break
		}
		config = strings.ReplaceAll(config, fmt.Sprintf("port=%d ", port), fmt.Sprintf("port=%d ", line.Port()))
	default:
		line := splicetest.NewLine(t, q.address[s.peer], s.at)
		silent = line.Silent()
		escape := url.QueryEscape // as in the place of a bucket
		config = strings.NewReplacer(q.address[s.peer], line.Address, escape(q.address[s.peer]), escape(line.Address)).
			Replace(config)
	}
	args := append([]string{"--config", q.write(t, filepath.Join(dir, fmt.Sprintf("%d.yaml", n)), config)}, s.args...)
	if i := slices.Index(args, ""); i >= 0 {
		args[i] = fmt.Sprintf("app=host=127.0.0.1 port=%d user=postgres sslmode=disable dbname=app-%d", port, n)
	}
	cmd := exec.Command(q.program, args...) //nolint:noctx // the test signals it itself
	out := &bytes.Buffer{}
	cmd.Dir, cmd.Stdout, cmd.Stderr = t.TempDir(), out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	select {
	case <-silent:
	case <-time.After(time.Minute):
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		t.Fatalf("the moment never came\n%s", out)
	}
	return cmd, out
}

// stopped is a directory of client programs, one of which is stopped: when it
// begins, or after the first bytes of its answer.
func stopped(t *testing.T, at splicetest.Moment) (dir string, silent <-chan struct{}) {
	t.Helper()
	dir = t.TempDir()
	mark := filepath.Join(dir, "stopped")
	for _, name := range []string{"pg_dump", "pg_restore"} {
		real := filepath.Join(os.Getenv("HOLDFAST_TEST_PG_TOOLS"), name)
		script := "exec " + real + ` "$@"`
		switch name {
		case at.Asked:
			script = `case "$*" in *--version*) ;; *) touch ` + mark + `; kill -STOP $$ ;; esac; ` + script
		case at.Answered:
			script = `case "$*" in *--version*) ` + script + ` ;; esac
				` + real + ` "$@" | { head -c 300; touch ` + mark + `; kill -STOP $$; }`
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+script+"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	came := make(chan struct{})
	go func() {
		defer close(came)
		for t.Context().Err() == nil {
			if _, err := os.Stat(mark); err == nil {
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
	}()
	return dir, came
}

// ends waits for the end of a command, for so long.
func ends(t *testing.T, cmd *exec.Cmd, out *bytes.Buffer, within time.Duration) (code int) {
	t.Helper()
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case <-ended:
		return cmd.ProcessState.ExitCode()
	case <-time.After(within):
		_ = cmd.Process.Signal(syscall.SIGQUIT) // it says where it stands
		<-ended
		t.Fatalf("it did not end within %v\n%s", within, out)
		return 0
	}
}

// Whoever falls silent, and whatever a command is at: it gives up and says who
// does not answer, or it ends soon after SIGTERM. Nothing of it is left at the
// databases' server, its lock neither.
func TestWhoeverFallsSilent(t *testing.T) {
	q := newQuiet(t)
	given, told := matrix(), interrupted()
	if splicetest.Long() {
		given, told = slices.Concat(given, told), slices.Concat(told, given)
	} else {
		given, told = oneOfEach(given), oneOfEach(told)
	}
	free := make(chan int, lanes)
	for lane := range lanes {
		free <- lane
	}
	var all sync.WaitGroup
	n := 0
	run := func(name string, list []silence, limit string, test func(*testing.T, *exec.Cmd, *bytes.Buffer, silence)) {
		for _, s := range list {
			n++
			number := n
			lane := <-free // in the order of the list: what takes longest comes first
			all.Go(func() {
				defer func() { free <- lane }()
				t.Run(name+" "+s.String(), func(t *testing.T) {
					cmd, out := q.start(t, s, number, lane, limit)
					test(t, cmd, out, s)
				})
				q.leftAlone(t, s, lane)
			})
		}
	}
	run("told to end", told, "10m", toldToEnd)
	run("given up", given, "2s", givenUp)
	all.Wait()
}

// oneOfEach keeps the first moment of each peer with each command.
func oneOfEach(list []silence) []silence {
	seen := map[string]bool{}
	return slices.DeleteFunc(list, func(s silence) bool {
		pair := fmt.Sprint(s.peer, s.args)
		known := seen[pair]
		seen[pair] = true
		return known
	})
}

// givenUp makes sure that a command gives a silent peer up, and names it.
func givenUp(t *testing.T, cmd *exec.Cmd, out *bytes.Buffer, s silence) {
	t.Helper()
	within := 30 * time.Second
	if s.peer == validatorApp || s.peer == tokenIssuer { // tried again, as an app that starts
		within = 2 * time.Minute
	}
	code := ends(t, cmd, out, within)
	if code != s.code && (s.code != failing || code == 0) {
		t.Errorf("exit code %d", code)
	}
	if !called[s.peer].Match(out.Bytes()) {
		t.Errorf("it does not say %q", called[s.peer])
	}
	if advice := advised[s.peer]; s.args[0] != "check" && s.code != 0 && s.code != unproven && !advice.Match(out.Bytes()) {
		t.Errorf("it does not say %q", advice)
	}
	if t.Failed() {
		t.Logf("it says\n%s", out)
	}
}

// toldToEnd makes sure that a command that waits ends soon after SIGTERM.
func toldToEnd(t *testing.T, cmd *exec.Cmd, out *bytes.Buffer, s silence) {
	t.Helper()
	_ = cmd.Process.Signal(syscall.SIGTERM)
	within := grace.End
	if s.at.Asked == "RENAME TO" {
		within = grace.Swap
	}
	code := ends(t, cmd, out, within+2*time.Second)
	// A rehearsal has proven the set by the time that it drops what it has built.
	if code != 130 && (s.at.Asked != "DROP DATABASE" || code != 0) {
		t.Errorf("exit code %d\n%s", code, out)
	}
}

// leftAlone makes sure that no session of a command is left in its databases.
func (q quiet) leftAlone(t *testing.T, s silence, lane int) {
	t.Helper()
	left := 0
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if left = query[int](t, q.node.Participant.DSN("postgres"), `SELECT count(*) FROM pg_stat_activity
			WHERE application_name LIKE 'holdfast%' AND datname LIKE '%\_' || $1::int`, lane); left == 0 {
			return
		}
	}
	t.Errorf("%s: %d sessions are left", s, left)
}

// The table in docs/operate.md says how long every peer is waited for, as the
// program does.
func TestTheTableOfPeers(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "operate.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "## When somebody does not answer\n")
	section, _, _ = strings.Cut(section, "\n## ")
	minutes := func(d time.Duration) string { return strings.TrimSuffix(d.String(), "0s") }
	for _, row := range []string{
		"| Postgres, to connect | `connect_timeout` of the connection string, else 10 s",
		"| Postgres, in a session: queries, `COPY`, index builds, renames, drops | `silence_limit`, " +
			minutes(watchdog.DefaultLimit),
		"| `pg_dump`, `pg_restore` | `silence_limit`, " + minutes(watchdog.DefaultLimit),
		"| Docker daemon, and what runs in its containers | `silence_limit`, " + minutes(watchdog.DefaultLimit),
		fmt.Sprintf("| validator app | %d s per request", int(identities.RequestTime.Seconds())),
		fmt.Sprintf("| OAuth2 issuer | %d s per request", int(identities.RequestTime.Seconds())),
		fmt.Sprintf("| Scan, admin API, metrics | %d s per request", int(setup.ObserveTime.Seconds())),
		"| command of an `exec:` secret | " + minutes(secrets.CommandTime),
		fmt.Sprintf("| repository outside of the machine | %d s to open, then `silence_limit`, %s", 15,
			minutes(watchdog.DefaultLimit)),
		"| repository in a directory |",
		fmt.Sprintf("ends within %d s;\nwithin %d s", int(grace.End.Seconds()), int(grace.Swap.Seconds())),
	} {
		if !strings.Contains(section, row) {
			t.Errorf("docs/operate.md does not say %q", row)
		}
	}
}
