package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/crypto/ssh"

	"holdfast"
	"holdfast/config"
	"holdfast/daemon"
	"holdfast/identities/identitiestest"
	"holdfast/internal/libpq"
	"holdfast/internal/splicetest"
	"holdfast/internal/splicetest/rdsapi"
	"holdfast/repository"
	"holdfast/sandbox"
	"holdfast/setup"
)

func TestMain(m *testing.M) {
	if sandbox.IsInside() { // a drill in this process has started it again
		main()
	}
	testscript.Main(tests{m}, map[string]func(){"holdfast": func() {
		if os.Getenv(impatientEnv) != "" {
			clock = impatient{clock}
		}
		main()
	}})
}

// impatientEnv has a service of a test look around several times a second, not once
// a minute.
const impatientEnv = "HOLDFAST_TEST_IMPATIENT"

// impatient is a clock that wakes its sleepers early, as every clock may.
type impatient struct{ daemon.Clock }

func (c impatient) Sleep(ctx context.Context, until time.Time) {
	if soon := c.Now().Add(300 * time.Millisecond); until.After(soon) {
		until = soon
	}
	c.Clock.Sleep(ctx, until)
}

type tests struct{ *testing.M }

// Run runs the tests and then ends the node they shared.
func (t tests) Run() int {
	defer shared.close()
	return t.M.Run()
}

// TestScripts runs the scripts of testdata, which read as a manual does. The
// command in them is the real one, in a process of its own; the node it is run
// against has real databases and an imitated validator app. Beside the commands
// that every testscript has:
//
//	node                     make a node; VALIDATOR_DSN, PARTICIPANT_DSN, VALIDATOR_URL, AUDIENCE say where
//	ready [FLAG]...          the same, and set Holdfast up for it, as node "demo"
//	exit CODE COMMAND...     run a command that has to end with that exit code
//	app FAULT                make the validator app answer wrongly; "healthy" ends that, "another node" serves another's dump
//	load start|stop          let the node's programs write and read; only after "node own"
//	sql DATABASE STATEMENT   run SQL in the database validator or participant
//	connect DATABASE         be connected to it, as a program of the node would; "disconnect" ends that
//	lock DATABASE TABLE      lock a table against everybody; "disconnect" ends that
//	busy                     be another run of the same node; "disconnect" ends that
//	json KIND                standard output is exactly one JSON document of that kind
//	golden FILE              and has the shape of the document in testdata/FILE
//	sshkey FILE              make an SSH key, FILE and FILE.pub
//	waitfor DATABASE QUERY   until the query says true
//	hook                     start a web hook; HOOK says where
//	heard PATTERN            until it was sent something: "PATH {title and message}"
//	browse SCRIPT NODE PASSWORD  use the page at http://127.0.0.1:$PORT with a real browser
//	account                  make a node on a stand-in for RDS, with a configuration of it; "account without ACTION" denies one
//	instances NAME...        the account has these instances, and no others
//	answers PATH PATTERN     until http://127.0.0.1:$PORT answers 200 and a text that the pattern matches
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		Condition: func(name string) (bool, error) {
			switch name {
			case "browser":
				return os.Getenv("HOLDFAST_TEST_BROWSER") != "", nil
			case "long":
				return splicetest.Long(), nil
			}
			return false, fmt.Errorf("unknown condition %s", name)
		},
		Setup: func(e *testscript.Env) error {
			e.Setenv("HOME", e.WorkDir)
			port, err := freePort()
			if err != nil {
				return err
			}
			e.Setenv("PORT", port)
			e.Values["bench"] = &bench{}
			b := e.Values["bench"].(*bench)
			e.Defer(b.close)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"node": cmdNode, "ready": cmdReady, "exit": cmdExit, "app": cmdApp, "load": cmdLoad, "sql": cmdSQL, "connect": cmdConnect,
			"disconnect": cmdDisconnect, "busy": cmdBusy, "lock": cmdLock, "json": cmdJSON, "golden": cmdGolden, "sshkey": cmdSSHKey, "waitfor": cmdWaitFor,
			"account":   func(ts *testscript.TestScript, _ bool, args []string) { cmdAccount(t, ts, args) },
			"instances": cmdInstances, "answers": cmdAnswers, "hook": cmdHook, "heard": cmdHeard, "browse": cmdBrowse,
		},
	})
}

// shared is the server that every script has databases on.
var shared sharedNode

type sharedNode struct {
	once sync.Once
	node *splicetest.Node
	err  error
	mu   sync.Mutex
}

const (
	nodePassword         = "of-the-database"
	templateValidator    = "template_validator"
	templateParticipant  = "template_participant"
	serverWide, demoNode = "postgres", "demo"
)

func (s *sharedNode) get() (*splicetest.Node, error) {
	s.once.Do(func() {
		if s.node, s.err = splicetest.StartNode(context.Background(), splicetest.NodeOptions{TCP: true, Password: nodePassword}); s.err != nil {
			return
		}
		s.err = errors.Join(s.clone(splicetest.ValidatorDatabase, templateValidator), s.clone(splicetest.ParticipantDatabase, templateParticipant))
	})
	return s.node, s.err
}

// clone copies a database. Postgres copies one at a time.
func (s *sharedNode) clone(from, to string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.node.Participant.Exec(context.Background(), serverWide,
		fmt.Sprintf("CREATE DATABASE %s TEMPLATE %s OWNER %s", pgx.Identifier{to}.Sanitize(), pgx.Identifier{from}.Sanitize(), splicetest.DatabaseOwner))
}

func (s *sharedNode) close() {
	if s.node != nil {
		_ = s.node.Close()
	}
}

// bench is what one script has: two databases, a validator app, sessions.
type bench struct {
	node      *splicetest.Node
	dsn       map[string]string
	app       *splicetest.ValidatorApp
	sessions  []*pgx.Conn
	stopLoad  func()
	release   func()
	hook      *hook
	account   *rdsapi.Account
	ownServer bool
}

func of(ts *testscript.TestScript) *bench { return ts.Value("bench").(*bench) }

func (b *bench) close() {
	b.disconnect()
	if b.hook != nil {
		b.hook.server.Close()
	}
	if b.stopLoad != nil {
		b.stopLoad()
	}
	if b.app != nil {
		_ = b.app.Close()
	}
}

func (b *bench) disconnect() {
	for _, c := range b.sessions {
		_ = c.Close(context.Background())
	}
	b.sessions = nil
	if b.release != nil {
		b.release()
		b.release = nil
	}
}

// start makes the databases, those of the shared node itself when a script is
// to have its programs running.
func (b *bench) start(name string, itself bool) error {
	node, err := shared.get()
	if err != nil {
		return err
	}
	b.node, b.ownServer = node, itself
	databases := map[string]string{"validator": splicetest.ValidatorDatabase, "participant": splicetest.ParticipantDatabase}
	if !itself {
		databases = map[string]string{"validator": "validator-" + name, "participant": "participant-" + name}
		if err := errors.Join(shared.clone(templateValidator, databases["validator"]), shared.clone(templateParticipant, databases["participant"])); err != nil {
			return err
		}
	}
	b.dsn = map[string]string{"server": node.Participant.DSNAs(splicetest.DatabaseOwner, serverWide)}
	for component, database := range databases {
		b.dsn[component] = node.Participant.DSNAs(splicetest.DatabaseOwner, database)
	}
	b.app, err = node.StartValidatorApp(splicetest.AppOptions{Users: func(context.Context) ([]string, error) { return []string{"administrator"}, nil }})
	return err
}

func (b *bench) env(set func(key, value string)) {
	set("VALIDATOR_DSN", b.dsn["validator"])
	set("PARTICIPANT_DSN", b.dsn["participant"])
	set("SERVER_DSN", b.dsn["server"])
	set("SERVER_DIR", filepath.Dir(b.node.Participant.Socket()))
	set("VALIDATOR_TCP_DSN", b.node.Participant.TCPDSN(databaseOf(b.dsn["validator"])))
	set("PARTICIPANT_TCP_DSN", b.node.Participant.TCPDSN(databaseOf(b.dsn["participant"])))
	for name, dsn := range map[string]string{"VALIDATOR_TCP": "validator", "PARTICIPANT_TCP": "participant"} {
		info, err := libpq.Parse(b.node.Participant.TCPDSN(databaseOf(b.dsn[dsn])))
		if err != nil {
			panic(err)
		}
		set(name, info.String()) // without the password
	}
	set("VALIDATOR_DB", databaseOf(b.dsn["validator"]))
	set("PARTICIPANT_DB", databaseOf(b.dsn["participant"]))
	set("PARTICIPANT_ID", b.node.Identities.ParticipantID)
	set("VALIDATOR_URL", b.app.URL())
	set("AUDIENCE", splicetest.DefaultAudience)
	set("SERVER_PORT", strconv.Itoa(b.node.Participant.Port()))
	set("POSTGRES_BIN", b.node.Participant.Version.Bin)
}

func databaseOf(dsn string) string {
	c, err := pgx.ParseConfig(dsn)
	if err != nil {
		panic(err)
	}
	return c.Database
}

// flags are those of init for the script's node.
func (b *bench) flags() []string {
	return []string{"init", "--node", demoNode, "--repository", "repository", "--recovery-key-file", "recovery.key",
		"--database", "validator=" + b.dsn["validator"], "--database", "participant=" + b.dsn["participant"],
		"--identities-url", b.app.URL(), "--auth", "unsafe", "--audience", splicetest.DefaultAudience}
}

func cmdNode(ts *testscript.TestScript, _ bool, args []string) {
	b := of(ts)
	ts.Check(b.start(ts.Name(), len(args) == 1 && args[0] == "own"))
	b.env(ts.Setenv)
}

func cmdReady(ts *testscript.TestScript, _ bool, args []string) {
	b := of(ts)
	if b.node == nil {
		cmdNode(ts, false, nil)
	}
	ts.Check(ts.Exec("holdfast", append(b.flags(), args...)...))
}

func cmdExit(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	code := 0
	if exit := new(exec.ExitError); errors.As(err, &exit) {
		code = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if code != want {
		ts.Fatalf("exit code %d, want %d", code, want)
	}
}

func cmdApp(ts *testscript.TestScript, _ bool, args []string) {
	app := of(ts).app
	app.SetDump(of(ts).node.Identities.JSON)
	switch fault := strings.Join(args, " "); fault {
	case "healthy":
		app.SetFault(splicetest.Healthy)
	case "another node":
		app.SetFault(splicetest.Healthy)
		app.SetDump(identitiestest.New("somebody-else-1", [32]byte{1}, identitiestest.Options{Version: splicetest.SpliceVersion}).JSON)
	default:
		app.SetFault(splicetest.Fault(fault))
	}
}

func cmdLoad(ts *testscript.TestScript, _ bool, args []string) {
	b := of(ts)
	if args[0] == "stop" {
		b.stopLoad()
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- b.node.Run(ctx, splicetest.Load{Rate: 50, Reconnect: true}) }()
	b.stopLoad = sync.OnceFunc(func() {
		cancel()
		<-ended
	})
}

func (b *bench) conn(ts *testscript.TestScript, database string) *pgx.Conn {
	dsn, ok := b.dsn[database]
	if !ok {
		ts.Fatalf("no database %s", database)
	}
	config, err := pgx.ParseConfig(dsn)
	ts.Check(err)
	config.RuntimeParams["application_name"] = "canton"
	conn, err := pgx.ConnectConfig(context.Background(), config)
	ts.Check(err)
	return conn
}

func cmdSQL(ts *testscript.TestScript, _ bool, args []string) {
	conn := of(ts).conn(ts, args[0])
	defer func() { _ = conn.Close(context.Background()) }()
	for _, statement := range args[1:] {
		results, err := conn.PgConn().Exec(context.Background(), statement).ReadAll()
		ts.Check(err)
		for _, r := range results {
			for _, row := range r.Rows {
				ts.Logf("%s", row)
			}
		}
	}
}

func cmdWaitFor(ts *testscript.TestScript, _ bool, args []string) {
	conn := of(ts).conn(ts, args[0])
	defer func() { _ = conn.Close(context.Background()) }()
	for range 600 {
		var yes bool
		ts.Check(conn.QueryRow(context.Background(), args[1]).Scan(&yes))
		if yes {
			return
		}
		_, err := conn.Exec(context.Background(), "SELECT pg_sleep(0.05)")
		ts.Check(err)
	}
	ts.Fatalf("still not: %s", args[1])
}

func cmdConnect(ts *testscript.TestScript, _ bool, args []string) {
	b := of(ts)
	b.sessions = append(b.sessions, b.conn(ts, args[0]))
}

func cmdDisconnect(ts *testscript.TestScript, _ bool, _ []string) { of(ts).disconnect() }

func cmdBusy(ts *testscript.TestScript, _ bool, _ []string) {
	conf, err := config.Load(ts.MkAbs("holdfast.yaml"), nil)
	ts.Check(err)
	p, err := setup.Open(conf, setup.Options{})
	ts.Check(err)
	node, err := p.Databases(context.Background())
	ts.Check(err)
	_, of(ts).release, err = node.Lock(context.Background(), 0)
	ts.Check(err)
}

func cmdLock(ts *testscript.TestScript, _ bool, args []string) {
	b := of(ts)
	conn := b.conn(ts, args[0])
	b.sessions = append(b.sessions, conn)
	_, err := conn.Exec(context.Background(), "BEGIN; LOCK TABLE "+args[1]+" IN ACCESS EXCLUSIVE MODE")
	ts.Check(err)
}

// document is what every command prints with --output json.
type document struct {
	Schema int             `json:"schema"`
	Kind   string          `json:"kind"`
	Value  json.RawMessage `json:"value"`
}

func oneDocument(text, kind string) error {
	d := json.NewDecoder(strings.NewReader(text))
	var doc document
	if err := d.Decode(&doc); err != nil {
		return fmt.Errorf("not JSON: %w", err)
	}
	if d.More() || !strings.HasSuffix(text, "}\n") || !strings.HasPrefix(text, "{") {
		return errors.New("more than one JSON document")
	}
	if doc.Schema != outputSchema || doc.Kind != kind {
		return fmt.Errorf("schema %d, kind %q; want %d, %q", doc.Schema, doc.Kind, outputSchema, kind)
	}
	return nil
}

func cmdJSON(ts *testscript.TestScript, _ bool, args []string) {
	stream := "stdout"
	if args[0] == "error" {
		stream = "stderr"
	}
	ts.Check(oneDocument(ts.ReadFile(stream), args[0]))
}

func cmdSSHKey(ts *testscript.TestScript, _ bool, args []string) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	ts.Check(err)
	block, err := ssh.MarshalPrivateKey(private, "")
	ts.Check(err)
	key, err := ssh.NewPublicKey(public)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), pem.EncodeToMemory(block), 0o600))
	ts.Check(os.WriteFile(ts.MkAbs(args[0]+".pub"), ssh.MarshalAuthorizedKey(key), 0o600))
	ts.Setenv(strings.ToUpper(filepath.Base(args[0]))+"_PUB", strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key))))
}

// freePort is a port of this machine that nobody has now.
func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer func() { _ = l.Close() }()
	_, port, err := net.SplitHostPort(l.Addr().String())
	return port, err
}

func cmdAnswers(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: answers PATH PATTERN")
	}
	pattern, err := regexp.Compile("(?m)" + args[1])
	ts.Check(err)
	var last string
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if last = get("http://127.0.0.1:" + ts.Getenv("PORT") + args[0]); pattern.MatchString(last) {
			return
		}
	}
	ts.Fatalf("%s does not answer %s but\n%s", args[0], args[1], last)
}

// get is what an address answers with 200; anything else is no answer.
func get(url string) string {
	answer, err := http.Get(url) //nolint:gosec // of this test's own service
	if err != nil {
		return err.Error()
	}
	defer func() { _ = answer.Body.Close() }()
	text, _ := io.ReadAll(answer.Body)
	if answer.StatusCode != http.StatusOK {
		return answer.Status
	}
	return string(text)
}

// hook is a web hook that remembers what it was sent.
type hook struct {
	server *httptest.Server
	mu     sync.Mutex
	got    []string
}

func newHook() *hook {
	h := &hook{}
	h.server = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		text, _ := io.ReadAll(r.Body)
		h.mu.Lock()
		defer h.mu.Unlock()
		h.got = append(h.got, r.URL.Path+" "+string(text))
	}))
	return h
}

// find is the first request that matches.
func (h *hook) find(pattern *regexp.Regexp) (text string, found bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	i := slices.IndexFunc(h.got, pattern.MatchString)
	if i < 0 {
		return strings.Join(h.got, "\n"), false
	}
	return h.got[i], true
}

// count is how many requests match.
func (h *hook) count(pattern *regexp.Regexp) (n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, text := range h.got {
		if pattern.MatchString(text) {
			n++
		}
	}
	return n
}

// waits returns the first request that matches.
func (h *hook) waits(t interface{ Fatalf(string, ...any) }, pattern *regexp.Regexp) string {
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if text, found := h.find(pattern); found {
			return text
		}
	}
	all, _ := h.find(pattern)
	t.Fatalf("the hook was sent\n%s", all)
	return ""
}

func cmdAccount(t *testing.T, ts *testscript.TestScript, args []string) {
	b := of(ts)
	if len(args) == 2 {
		var lies rdsapi.Lies
		if args[0] == "without" {
			lies.Denied = args[1:]
		}
		b.account.Lie(lies)
		return
	}
	node := splicetest.NewNode(t, splicetest.NodeOptions{TCP: true})
	b.account = rdsapi.New(t, rdsapi.Instance{ID: "canton", Server: node.Participant, Protect: true})
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": rdsapi.Key, "AWS_SECRET_ACCESS_KEY": rdsapi.Secret, "AWS_CONFIG_FILE": "/dev/null",
		"AWS_SHARED_CREDENTIALS_FILE": "/dev/null", "AWS_EC2_METADATA_DISABLED": "true",
	} {
		ts.Setenv(name, value)
	}
	text := fmt.Sprintf(`node: demo
databases:
  validator: {connection: '%s', method: rds, rds: {instance: canton}}
  participant: {connection: '%s', method: rds, rds: {instance: canton}}
rds: {region: %s, endpoint: '%s', poll: 10ms, within: 1m, prices: {hours: {db.t4g.medium: 0.065 USD}}}
repository: {path: repository, password: 'file:repository.password'}
`, node.ValidatorDSN(), node.ParticipantDSN(), rdsapi.Region, b.account.URL)
	ts.Check(os.WriteFile(ts.MkAbs("holdfast.yaml"), []byte(text), 0o600))
	ts.Check(os.WriteFile(ts.MkAbs("repository.password"), []byte("of-the-repository\n"), 0o600))
	conf, err := config.Load(ts.MkAbs("holdfast.yaml"), nil)
	ts.Check(err)
	ts.Check(repository.Create(context.Background(), conf.Repository.Place, holdfast.NewSecret("of-the-repository")))
}

func cmdInstances(ts *testscript.TestScript, _ bool, args []string) {
	if got := of(ts).account.Instances(); !slices.Equal(got, args) {
		ts.Fatalf("the instances are %v, want %v", got, args)
	}
}

func cmdHook(ts *testscript.TestScript, _ bool, _ []string) {
	h := newHook()
	of(ts).hook = h
	ts.Setenv("HOOK", h.server.URL)
}

func cmdHeard(ts *testscript.TestScript, _ bool, args []string) {
	pattern, err := regexp.Compile(args[0])
	ts.Check(err)
	of(ts).hook.waits(ts, pattern)
}

// cmdBrowse runs a script of the browser, which must find nothing wrong.
func cmdBrowse(ts *testscript.TestScript, _ bool, args []string) {
	script, err := filepath.Abs("../../web/browser/" + args[0])
	ts.Check(err)
	input, err := json.Marshal(map[string]string{
		"origin": "http://127.0.0.1:" + ts.Getenv("PORT"), "node": args[1], "password": args[2],
	})
	ts.Check(err)
	cmd := exec.Command("node", script) //nolint:noctx // it bounds itself
	cmd.Stdin = bytes.NewReader(input)
	if out, err := cmd.CombinedOutput(); err != nil || len(bytes.TrimSpace(out)) > 0 {
		ts.Fatalf("%s: %v\n%s", args[0], err, out)
	}
}
