package compose_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"go.yaml.in/yaml/v3"

	"holdfast"
	conditions "holdfast/check"
	"holdfast/internal/splicetest"
	"holdfast/internal/splicetest/bundle"
)

// habit is a compose-local.yaml as operators write one. $BUNDLE, $OUT and
// $PROJECT stand for the bundle's directory, one outside of it, and the
// project's name; $NET for the first two numbers of addresses that nobody has.
type habit struct {
	name   string
	text   string
	before func(t *testing.T, o *overlaid) // what else there is on the machine, before the first start
	after  func(t *testing.T, o *overlaid) // and after it
	files  []string                        // SERVICE:PATH of files that Compose puts into containers
	lasts  holdfast.Verdict                // whether the data outlives stop.sh; "" for holds
	// blocks makes the empty machine one on which the node cannot be made again; it
	// returns what is said then. What that advises is typed.
	blocks func(t *testing.T, o *overlaid) (says string)
	fixed  string // what a restore with --fresh-volume is refused with; "" where it is not
	fresh  bool   // one with --fresh-volume is tried and taken back, by flag
}

// overlaid is a node with an overlay.
type overlaid struct {
	damaged
	habit
	out string
	net string // "10.123"
}

// overlays are the habits of operators that are tried.
var overlays = []habit{
	{name: "nothing"},
	{
		name: "data-below-the-bundle", fresh: true,
		text:   "services: {postgres-splice: {volumes: ['./pgdata:/var/lib/postgresql/data']}}",
		before: directories("$BUNDLE/pgdata"),
	},
	{
		name: "data-elsewhere", fresh: true,
		text: "services: {postgres-splice: {volumes: ['$OUT/disk/pgdata:/var/lib/postgresql/data']}}", before: directories("$OUT/disk/pgdata"),
	},
	{
		name: "data-in-a-volume-that-is-a-directory", fresh: true, before: directories("$BUNDLE/data"),
		text: "volumes: {postgres-splice: {driver: local, driver_opts: {type: none, o: bind, device: '$BUNDLE/data'}}}",
	},
	{
		name: "data-below-a-mount", fresh: true,
		text: `services: {postgres-splice: {environment: ['PGDATA=/var/lib/postgresql/18/docker'], volumes: !override
  ['pg:/var/lib/postgresql', './postgres-entrypoint.sh:/postgres-entrypoint.sh']}}
volumes: {pg: {}}`,
	},
	{
		name: "data-in-a-directory-below-a-mount", fresh: true, before: directories("$BUNDLE/pg"),
		text: `services: {postgres-splice: {environment: ['PGDATA=/var/lib/postgresql/18/docker'], volumes: !override
  ['./pg:/var/lib/postgresql', './postgres-entrypoint.sh:/postgres-entrypoint.sh']}}`,
	},
	{
		name: "data-in-a-volume-without-a-name", fresh: true, lasts: holdfast.Violated,
		text: "services: {postgres-splice: {volumes: !override ['./postgres-entrypoint.sh:/postgres-entrypoint.sh']}}",
	},
	{
		name: "data-in-the-container", lasts: holdfast.Violated, fixed: "itself, which would have to be replaced: --fresh-volume",
		text: `services: {postgres-splice: {environment: ['PGDATA=/var/lib/postgresql/own'], volumes: !override
  ['./postgres-entrypoint.sh:/postgres-entrypoint.sh']}}`,
	},
	{
		name: "data-in-memory", lasts: holdfast.Violated, fixed: "which would have to be replaced: --fresh-volume",
		text: `services: {postgres-splice: {environment: ['PGDATA=/memory/data'], tmpfs: ['/memory:mode=1777'], volumes: !override
  ['./postgres-entrypoint.sh:/postgres-entrypoint.sh']}}`,
	},
	{
		name: "a-tablespace", fresh: true, before: directories("$BUNDLE/fast"),
		text: "services: {postgres-splice: {volumes: ['./fast:/fast']}}",
		after: func(t *testing.T, o *overlaid) {
			must(o.SQL(t.Context(), "postgres", "create tablespace fast location '/fast'"))(t)
			must(o.SQL(t.Context(), "postgres", "create table orders tablespace fast as select generate_series(1, 100)"))(t)
		},
	},
	{
		name: "a-write-ahead-log-elsewhere", before: directories("$BUNDLE/wal"), fixed: "the write-ahead log",
		text: "services: {postgres-splice: {environment: [POSTGRES_INITDB_WALDIR=/wal], volumes: ['./wal:/wal']}}",
	},
	{
		name: "a-second-server", before: directories("$BUNDLE/other"),
		text: `services: {other: {image: 'postgres:15', environment: [POSTGRES_PASSWORD=other], restart: always,
  volumes: ['./other:/var/lib/postgresql/data'], networks: [splice_validator]}}`,
	},
	{
		name: "addresses",
		text: `networks: {splice_validator: {ipam: {config: [{subnet: $NET.0.0/24, gateway: $NET.0.254, ip_range: $NET.0.128/25}]}}}
services:
  postgres-splice: {networks: {splice_validator: {ipv4_address: $NET.0.10, aliases: [database]}}}
  participant: {networks: {splice_validator: {ipv4_address: $NET.0.11}}, extra_hosts: ['sv:$NET.0.1']}`,
		blocks: func(t *testing.T, o *overlaid) string {
			other := "other-" + o.Project
			must(o.Docker(t.Context(), "network", "create", "--subnet", o.net+".0.0/16", other))(t)
			return "network " + other + " has here"
		},
	},
	{
		name: "IPv6",
		text: `networks: {splice_validator: {enable_ipv6: true, ipam: {config: [{subnet: $NET.1.0/24}, {subnet: 'fd00:$NET6::/64'}]}}}
services: {participant: {networks: {splice_validator: {ipv6_address: 'fd00:$NET6::11'}}}}`,
	},
	{
		name: "options-of-a-network",
		text: `networks: {splice_validator: {attachable: true, labels: {team: nodes}, driver_opts: {com.docker.network.driver.mtu: '1400'}}}`,
	},
	{
		name: "several-networks",
		text: `networks: {inner: {internal: true}, outer: {}}
services:
  postgres-splice: {networks: {splice_validator: {}, inner: {aliases: [db.inner]}}}
  participant: {networks: {splice_validator: {}, inner: {}, outer: {aliases: [participant.outer]}}}`,
	},
	{
		name: "external-parts",
		text: `networks: {corporate: {external: true, name: $PROJECT-corporate}}
volumes: {certificates: {external: true, name: $PROJECT-certificates}}
services: {nginx: {networks: [splice_validator, corporate], volumes: ['certificates:/certificates:ro']}}`,
		before: func(t *testing.T, o *overlaid) {
			must(o.Docker(t.Context(), "network", "create", "--subnet", o.net+".2.0/24", o.Project+"-corporate"))(t)
			must(o.Docker(t.Context(), "volume", "create", o.Project+"-certificates"))(t)
			must(o.Docker(t.Context(), "run", "--rm", "--network", "none", "--user", "0", "-v", o.Project+"-certificates:/c", "--entrypoint", "sh",
				"postgres:15", "-c", "mkdir /c/live; echo key >/c/live/key; chmod 400 /c/live/key; chown -R 33:33 /c; ln -s live/key /c/key"))(t)
		},
		files: []string{"nginx:/certificates/live/key", "nginx:/certificates/key"},
	},
	{
		name: "configs",
		text: `configs:
  site: {content: 'server { listen 80; }'}
  who: {environment: WORDS}
  storage: {content: 'config.properties { databaseName = validator, currentSchema = validator, user = cnadmin, include "password.conf" }'}
  password: {content: 'password = supersafe, serverName = postgres-splice, portNumber = 5432'}
secrets: {token: {environment: WORDS}}
services:
  nginx: {configs: [{source: site, target: /etc/nginx/conf.d/site.conf, mode: 0440, uid: '33', gid: '33'}]}
  participant: {configs: [who], secrets: [token]}
  validator:
    configs: [{source: storage, target: /etc/splice/storage.conf}, {source: password, target: /etc/splice/password.conf}]
    environment:
      - ADDITIONAL_CONFIG_PERSISTENCE=canton.validator-apps.validator_backend.storage { include required(file("/etc/splice/storage.conf")) }`,
		files: []string{"nginx:/etc/nginx/conf.d/site.conf", "participant:/who", "participant:/run/secrets/token", "validator:/etc/splice/password.conf"},
	},
	{
		name: "configs-of-files",
		text: `configs: {site: {file: ./site.conf}}
secrets: {token: {file: ./secret/token}}
services: {nginx: {configs: [site]}, participant: {secrets: [token]}}`,
		before: func(t *testing.T, o *overlaid) {
			o.write(t, "$BUNDLE/site.conf", "server {}", 0o644, 0)
			o.write(t, "$BUNDLE/secret/token", "secret", 0o400, 1001)
		},
		files: []string{"nginx:/site", "participant:/run/secrets/token"},
	},
	{
		name: "a-directory-with-keys",
		text: "services: {validator: {volumes: ['./tls:/tls:ro', '$OUT/logs:/logs']}}",
		before: func(t *testing.T, o *overlaid) {
			o.write(t, "$BUNDLE/tls/archive/key.pem", "key", 0o400, 1001)
			check(t, os.Symlink("archive/key.pem", o.fill("$BUNDLE/tls/key.pem")))
			check(t, os.Chown(o.fill("$BUNDLE/tls/archive"), 1001, 1001))
			check(t, os.Chmod(o.fill("$BUNDLE/tls/archive"), 0o700))
			check(t, os.MkdirAll(o.fill("$OUT/logs"), 0o755))
			check(t, os.Chown(o.fill("$OUT/logs"), 1001, 1001))
		},
		files: []string{"validator:/tls/archive/key.pem", "validator:/tls/key.pem"},
	},
	{
		name:   "a-file-outside-of-the-bundle",
		text:   "services: {nginx: {volumes: ['$OUT/etc/extra.conf:/extra.conf:ro']}}",
		before: func(t *testing.T, o *overlaid) { o.write(t, "$OUT/etc/extra.conf", "server {}", 0o644, 0) },
		files:  []string{"nginx:/extra.conf"},
		blocks: func(t *testing.T, o *overlaid) string { return "mounts " + o.fill("$OUT/etc/extra.conf") },
	},
	{
		name: "limits",
		text: `services:
  participant: {deploy: {resources: {limits: {cpus: '1.5', memory: 3gb, pids: 900}, reservations: {memory: 100mb}}}, oom_score_adj: 200}
  postgres-splice: {shm_size: 256mb, ulimits: {nofile: {soft: 4000, hard: 8000}, memlock: 65536}, cpu_shares: 900, cpuset: '0'}`,
	},
	{
		name: "logs",
		text: "services: {participant: {logging: {driver: json-file, options: {max-size: 10m, max-file: '3', tag: '{{.Name}}'}}}, validator: {logging: {driver: local}}}",
	},
	{
		name: "health-and-labels",
		text: `services: {postgres-splice: {labels: {prometheus.port: '5432', empty: ''}, stop_grace_period: 90s, stop_signal: SIGTERM, init: true,
  healthcheck: {test: [CMD, pg_isready, -U, cnadmin], interval: 3s, timeout: 4s, retries: 30}, annotations: {note: ours}}, chown-domain-upgrade-dump: {healthcheck: {disable: true}}}`,
	},
	{
		name:   "time-zone",
		text:   `services: {postgres-splice: {environment: [TZ=Europe/Zurich, PGTZ=Europe/Zurich], volumes: ['/etc/localtime:/etc/localtime:ro', './timezone:/etc/timezone:ro']}}`,
		before: func(t *testing.T, o *overlaid) { o.write(t, "$BUNDLE/timezone", "Europe/Zurich\n", 0o644, 0) },
		files:  []string{"postgres-splice:/etc/timezone"},
	},
	{
		name: "users",
		text: "services: {nginx: {user: '33:33', group_add: ['1001'], working_dir: /}, wallet-web-ui: {user: nobody, hostname: wallet, domainname: example.com}}",
		before: func(t *testing.T, o *overlaid) {
			o.text = strings.Replace(o.text, "nobody", "'65534'", 1) // the image has no names
		},
	},
	{
		name: "rights",
		text: `services:
  participant: {cap_drop: [ALL], cap_add: [NET_BIND_SERVICE], security_opt: ['no-new-privileges:true'], read_only: true, tmpfs: ['/tmp:size=64m,mode=1777']}
  nginx: {sysctls: {net.core.somaxconn: '1024'}, devices: ['/dev/null:/dev/sink:r'], privileged: false, ipc: private}`,
	},
	{
		name: "names",
		text: `services:
  participant: {dns: [9.9.9.9], dns_search: [example.com], dns_opt: [ndots:0], extra_hosts: ['scan.example.com:203.0.113.9', 'host.docker.internal:host-gateway']}
  validator: {container_name: $PROJECT.app, links: ['participant:ledger']}`,
	},
	{
		name: "restarts",
		text: "services: {participant: {restart: unless-stopped}, validator: {restart: 'on-failure:5'}, ans-web-ui: {restart: 'no'}, wallet-web-ui: {deploy: {replicas: 2}}}",
	},
	{
		name: "sidecars",
		text: `services:
  probe: {image: '${IMAGE_REPO}wallet-web-ui:${IMAGE_TAG}', network_mode: 'service:participant', pid: 'service:participant', ipc: 'service:participant', restart: always}
  reader: {image: '${IMAGE_REPO}wallet-web-ui:${IMAGE_TAG}', volumes_from: ['validator:ro'], network_mode: none, restart: always}
  participant: {ipc: shareable}`,
	},
	{
		name: "published-ports",
		text: "services: {postgres-splice: {ports: ['$BIND:15432:5432'], expose: ['9187']}, participant: {ports: [{target: 5001, published: '15001', host_ip: $BIND, protocol: tcp}]}}",
	},
	{
		name: "mounts-written-long",
		text: `services: {nginx: {volumes: [{type: bind, source: ./sites, target: /sites, read_only: true, bind: {propagation: private}},
  {type: volume, source: cache, target: /cache, volume: {nocopy: true}}, {type: tmpfs, target: /scratch, tmpfs: {size: 1048576, mode: 0o1777}}]}}
volumes: {cache: {labels: {kind: cache}}}`,
		before: func(t *testing.T, o *overlaid) { o.write(t, "$BUNDLE/sites/a.conf", "a", 0o640, 33) },
		files:  []string{"nginx:/sites/a.conf"},
	},
}

// fill replaces the words that stand for places.
func (o *overlaid) fill(text string) string {
	return strings.NewReplacer("$BUNDLE", o.Dir, "$OUT", o.out, "$PROJECT", o.Project, "$BIND", o.BindIP,
		"$NET6", strings.ReplaceAll(o.net, ".", ":"), "$NET", o.net).Replace(text)
}

func (o *overlaid) write(t *testing.T, name, text string, mode fs.FileMode, owner int) {
	t.Helper()
	name = o.fill(name)
	check(t, os.MkdirAll(filepath.Dir(name), 0o755))
	check(t, os.WriteFile(name, []byte(text), mode))
	check(t, os.Chmod(name, mode))
	check(t, os.Chown(name, owner, owner))
}

// directories are some that Postgres keeps data in.
func directories(names ...string) func(*testing.T, *overlaid) {
	return func(t *testing.T, o *overlaid) {
		t.Helper()
		for _, name := range names {
			name = o.fill(name)
			check(t, os.MkdirAll(name, 0o755))
			check(t, os.Chown(name, 999, 999))
			check(t, os.Chmod(name, 0o700))
		}
	}
}

// start starts a node with the overlay.
func (v habit) start(t *testing.T) *overlaid {
	t.Helper()
	s := &site{Bundle: bundle.Unpack(t, bundle.Options{Migration: "4"}), dir: t.TempDir(), docker: os.Getenv("HOLDFAST_TEST_DOCKER")}
	o := &overlaid{habit: v, out: t.TempDir()}
	o.site = s
	number := strings.Split(s.BindIP, ".")
	o.net = "10." + number[1]
	for dir := o.out; dir != filepath.Dir(os.TempDir()) && dir != "/"; dir = filepath.Dir(dir) {
		check(t, os.Chmod(dir, 0o755))
	}
	if o.before != nil {
		o.before(t, o)
	}
	if o.text != "" {
		check(t, os.WriteFile(filepath.Join(o.Dir, "compose-local.yaml"), []byte(o.fill(o.text)), 0o644))
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the validator app: %s\nPostgres: %s", o.Logs(context.Background(), "validator"), o.Logs(context.Background(), "postgres-splice"))
		}
		o.lose(t)
	})
	o.Begin(t)
	if o.after != nil {
		o.after(t, o)
	}
	return o
}

// face is what a project's containers, networks and volumes were made with, by
// what each is and where in it; what every one has of its own is left out.
func (o *overlaid) face(t *testing.T) map[string]string {
	t.Helper()
	ctx := t.Context()
	out := map[string]string{}
	networks, volumes := map[string]bool{}, map[string]bool{}
	for _, id := range strings.Fields(must(o.Docker(ctx, "ps", "-aq", "--no-trunc", "--filter", "label=com.docker.compose.project="+o.Project))(t)) {
		c := described(t, must(o.Docker(ctx, "inspect", id))(t))
		name := "container " + c["Name"].(string)
		o.container(t, out, name, id, c, networks, volumes)
	}
	for n := range networks {
		if n == "none" || n == "host" {
			continue
		}
		d := described(t, must(o.Docker(ctx, "network", "inspect", n))(t))
		for _, field := range []string{"Driver", "EnableIPv6", "Internal", "Attachable", "Options", "Labels"} {
			flatten(out, "network "+n+" "+field, d[field])
		}
		if strings.Contains(o.text, "subnet") || strings.Contains(n, "corporate") {
			flatten(out, "network "+n+" IPAM", d["IPAM"])
		}
	}
	for n := range volumes {
		d := described(t, must(o.Docker(ctx, "volume", "inspect", n))(t))
		for _, field := range []string{"Driver", "Options", "Labels"} {
			flatten(out, "volume "+n+" "+field, d[field])
		}
	}
	for _, f := range o.files {
		service, name, _ := strings.Cut(f, ":")
		to := filepath.Join(t.TempDir(), "file")
		must(o.Docker(ctx, "cp", "-a", "-L", o.containerOf(t, service)+":"+name, to))(t)
		info := must(os.Stat(to))(t)
		out["file "+f] = fmt.Sprintf("%s %v %s", info.Mode(), owner(info), must(os.ReadFile(to))(t))
	}
	return out
}

func (o *overlaid) containerOf(t *testing.T, service string) string {
	t.Helper()
	return strings.Fields(must(o.Docker(t.Context(), "ps", "-aq", "--filter", "label=com.docker.compose.project="+o.Project,
		"--filter", "label=com.docker.compose.service="+service))(t))[0]
}

// container adds the face of one container.
func (o *overlaid) container(
	t *testing.T, out map[string]string, name, id string, c map[string]any, networks, volumes map[string]bool,
) {
	t.Helper()
	config, host := c["Config"].(map[string]any), c["HostConfig"].(map[string]any)
	mode, _ := host["NetworkMode"].(string)
	if h, _ := config["Hostname"].(string); strings.HasPrefix(id, h) || strings.HasPrefix(mode, "container:") {
		delete(config, "Hostname") // of its own, or that of the other
	}
	out[name+" runs"] = fmt.Sprint(c["State"].(map[string]any)["Running"])
	for _, field := range []string{"NetworkMode", "IpcMode", "PidMode"} {
		if mode, _ := host[field].(string); strings.HasPrefix(mode, "container:") {
			host[field] = "that of " + strings.TrimSpace(must(o.Docker(t.Context(), "inspect", "-f", "{{.Name}}", strings.TrimPrefix(mode, "container:")))(t))
		}
	}
	delete(host, "Binds") // mounts are compared as they came out
	delete(host, "Mounts")
	delete(host, "VolumesFrom")
	delete(config, "Volumes")
	flatten(out, name+" Config", config)
	flatten(out, name+" HostConfig", host)
	for _, m := range c["Mounts"].([]any) {
		m := m.(map[string]any)
		if v, _ := m["Name"].(string); v != "" {
			volumes[v] = true
		}
		delete(m, "Mode")
		flatten(out, fmt.Sprintf("%s mount %v", name, m["Destination"]), m)
	}
	for n, at := range c["NetworkSettings"].(map[string]any)["Networks"].(map[string]any) {
		networks[n] = true
		at := at.(map[string]any)
		aliases, _ := at["Aliases"].([]any)
		aliases = slices.DeleteFunc(aliases, func(a any) bool { return strings.HasPrefix(id, a.(string)) })
		slices.SortFunc(aliases, func(a, b any) int { return strings.Compare(a.(string), b.(string)) })
		flatten(out, name+" network "+n+" aliases", aliases)
		flatten(out, name+" network "+n+" links", at["Links"])
		if chosen, _ := at["IPAMConfig"].(map[string]any); len(chosen) > 0 {
			flatten(out, name+" network "+n+" chosen", chosen)
			if chosen["IPv4Address"] != nil {
				flatten(out, name+" network "+n+" address", at["IPAddress"])
			}
		}
	}
}

func described(t *testing.T, text string) map[string]any {
	t.Helper()
	var list []map[string]any
	if err := json.Unmarshal([]byte(text), &list); err != nil || len(list) != 1 {
		t.Fatalf("%v: %s", err, text)
	}
	return list[0]
}

// flatten adds every leaf of a value that says something.
func flatten(out map[string]string, where string, value any) {
	switch v := value.(type) {
	case map[string]any:
		for key, inner := range v {
			flatten(out, where+" "+key, inner)
		}
	case []any:
		for i, inner := range v {
			flatten(out, fmt.Sprintf("%s %d", where, i), inner)
		}
	case nil:
	default:
		out[where] = fmt.Sprint(v)
	}
}

// lose takes all of the node away, and all that stands on the machine for it.
func (o *overlaid) lose(t *testing.T) {
	t.Helper()
	for _, command := range []string{
		"docker ps -aq --filter label=com.docker.compose.project=$PROJECT | xargs -r docker rm -f -v",
		"docker volume ls -q | grep -e ^$PROJECT | xargs -r docker volume rm -f",
		"docker network ls --format '{{.Name}}' | grep -e ^$PROJECT | xargs -r docker network rm",
	} {
		if err := o.sh(o.fill(command)); err != nil {
			t.Error(err)
		}
	}
	if err := errors.Join(os.RemoveAll(o.Dir), os.RemoveAll(o.out)); err != nil {
		t.Error(err)
	}
}

// sh runs a command of the operator's shell.
func (o *overlaid) sh(command string) error {
	cmd := exec.Command("sh", "-c", command)
	cmd.Env = o.Environ()
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", command, err, out)
	}
	return nil
}

func owner(info fs.FileInfo) string {
	s := info.Sys().(*syscall.Stat_t)
	return fmt.Sprintf("%d:%d", s.Uid, s.Gid)
}

// left is all that there is of the node on the machine.
func (o *overlaid) left(t *testing.T) string {
	t.Helper()
	ctx := t.Context()
	out := must(o.Docker(ctx, "ps", "-a", "--format", "container {{.Names}}", "--filter", "label=com.docker.compose.project="+o.Project))(t)
	for _, kind := range []string{"volume", "network"} {
		for _, name := range strings.Fields(must(o.Docker(ctx, kind, "ls", "--format", "{{.Name}}"))(t)) {
			if strings.HasPrefix(name, o.Project) {
				out += kind + " " + name + "\n"
			}
		}
	}
	for _, dir := range []string{o.Dir, o.out} {
		if _, err := os.Lstat(dir); err == nil {
			out += "directory " + dir + "\n"
		}
	}
	return out
}

// equal compares what the node is with what it was.
func (o *overlaid) equal(t *testing.T, face, data map[string]string) {
	t.Helper()
	ctx := t.Context()
	eventually(t, "the node is ready", func() bool { return o.Ready(ctx) == nil })
	if now := must(o.Identity(ctx))(t); now != o.identity {
		t.Errorf("the participant is %s, want %s", now, o.identity)
	}
	if differ := bundle.Differences(data, must(o.Fingerprints(ctx))(t)); len(differ) > 0 {
		t.Errorf("the databases differ: %s", strings.Join(differ, "\n"))
	}
	if differ := bundle.Differences(face, o.face(t)); len(differ) > 0 {
		t.Errorf("the containers are not what they were: %s", strings.Join(differ, "\n"))
	}
}

// together is a habit of all that the named ones have. None of them replaces what
// another one says.
func together(t *testing.T, names ...string) habit {
	t.Helper()
	out, all := habit{name: strings.Join(names, "+")}, map[string]any{}
	var before []func(*testing.T, *overlaid)
	for _, name := range names {
		i := slices.IndexFunc(overlays, func(v habit) bool { return v.name == name })
		if i < 0 || overlays[i].after != nil || overlays[i].lasts != "" || overlays[i].fixed != "" {
			t.Fatalf("there is no overlay %s that goes with others", name)
		}
		v := overlays[i]
		var one map[string]any
		check(t, yaml.Unmarshal([]byte(v.text), &one))
		merge(t, all, one)
		out.files = append(out.files, v.files...)
		if v.before != nil {
			before = append(before, v.before)
		}
		if v.blocks != nil {
			out.blocks = v.blocks
		}
	}
	out.before = func(t *testing.T, o *overlaid) {
		for _, f := range before {
			f(t, o)
		}
	}
	out.text = string(must(yaml.Marshal(all))(t))
	return out
}

// merge adds what one overlay says to what others do.
func merge(t *testing.T, all, one map[string]any) {
	t.Helper()
	for key, value := range one {
		switch is := all[key].(type) {
		case nil:
			all[key] = value
		case map[string]any:
			merge(t, is, value.(map[string]any))
		case []any:
			all[key] = append(is, value.([]any)...)
		default:
			t.Fatalf("two overlays say %s", key)
		}
	}
}

// Whatever an operator's own overlay says, a set of the node is proven, a
// restore in place and its undo keep to it, a restore on an empty machine makes
// it again, and one that goes back leaves nothing there. The short form tries
// several habits on one node; by flag, each is tried by itself.
func TestOverlays(t *testing.T) {
	splicetest.OnlyLong(t)
	check(t, os.Setenv("WORDS", "what Compose puts into a container")) // for every start.sh below
	t.Parallel()
	list := []habit{together(t, "data-below-the-bundle", "configs", "addresses", "sidecars", "a-directory-with-keys")}
	list = append(list, overlays...)
	for _, v := range list {
		t.Run(v.name, func(t *testing.T) { t.Parallel(); v.cycle(t) })
	}
}

func (v habit) cycle(t *testing.T) {
	ctx := t.Context()
	o := v.start(t)
	o.work(t)
	r := o.holdfast(t, 0, "init", "--project", o.Project, "--yes", "--recovery-key-file", "key")
	if o.lasts == holdfast.Violated {
		contains(t, r.out+r.err, "the next stop.sh loses it")
	}
	set := value[holdfast.Set](t, o.site, "show", "latest")
	if set.State != holdfast.Proven || len(set.Deployment.NotRemade) > 0 {
		t.Fatalf("the set is %s, and cannot make again %q", set.State, set.Deployment.NotRemade)
	}
	for _, k := range set.Deployment.Kept {
		if strings.Contains(k.Path, "PG_VERSION") || strings.Contains(k.Path, "/base/") {
			t.Errorf("a server's data is kept as a file: %s", k.Path)
		}
	}
	o.rehearse(t)
	o.set, o.identity = set.ID, must(o.Identity(ctx))(t)
	o.whole = must(o.Fingerprints(ctx))(t)
	face := o.face(t)
	o.outlives(t)

	o.damage(t)
	if o.fixed != "" {
		r := o.holdfast(t, 7, "restore", string(o.set), "--fresh-volume", "--yes")
		contains(t, r.err, o.fixed)
		o.equal(t, face, o.broken)
		o.typesAll(t, r.err)
		o.equal(t, face, o.whole)
		o.damage(t)
	}
	o.holdfast(t, 0, "restore", string(o.set), "--yes")
	o.equal(t, face, o.whole)
	o.holdfast(t, 0, "restore", "undo", "--yes")
	o.equal(t, face, o.broken)
	if o.fresh {
		o.holdfast(t, 0, "restore", string(o.set), "--fresh-volume", "--yes")
		o.equal(t, face, o.whole)
		o.holdfast(t, 0, "restore", "undo", "--yes")
		o.equal(t, face, o.broken)
	}

	o.lose(t)
	if left := o.left(t); left != "" {
		t.Fatalf("there is left:\n%s", left)
	}
	if o.blocks != nil {
		says := o.blocks(t, o)
		r := o.holdfast(t, 7, "restore", string(o.set), "--yes")
		contains(t, r.err, says)
		o.typesAll(t, r.err)
	}
	was := o.left(t) // what was put there by hand
	o.killed(t, "build database participant")
	o.holdfast(t, 0, "restore", "undo", "--yes")
	if left := o.left(t); left != was {
		t.Errorf("a restore that went back has left:\n%s", left)
	}
	o.holdfast(t, 0, "restore", string(o.set), "--yes")
	o.equal(t, face, o.whole)
}

var rehearsing sync.Mutex

// rehearse makes sure that an empty machine is rehearsed, and that nothing of it
// is left. Only the images cannot be found: they are made here.
func (o *overlaid) rehearse(t *testing.T) {
	t.Helper()
	rehearsing.Lock() // two at once would have each other's addresses
	defer rehearsing.Unlock()
	before := o.face(t)
	var report struct {
		Value []struct{ Subject, Verdict, Found string }
	}
	r := o.try(t, "config", "check", "--remake", "--output", "json")
	if err := json.Unmarshal([]byte(r.out), &report); err != nil {
		t.Fatal(err, r.out, r.err)
	}
	made := map[string]string{}
	for _, f := range report.Value {
		made[f.Subject] = f.Verdict
		if f.Verdict != "holds" && !strings.HasPrefix(f.Subject, "image ") {
			t.Errorf("rehearsed: %s: %s: %s", f.Subject, f.Verdict, f.Found)
		}
	}
	if made["containers"] == "" || made["networks"] == "" || made["volumes"] == "" || made["record"] == "" {
		t.Errorf("rehearsed was %v", made)
	}
	for _, kind := range []string{"ps -a", "volume ls", "network ls"} {
		if left := must(o.Docker(t.Context(), append(strings.Fields(kind), "-q", "--filter", "name="+o.Project+"-holdfast")...))(t); left != "" {
			t.Errorf("a rehearsal has left: %s: %s", kind, left)
		}
	}
	if differ := bundle.Differences(before, o.face(t)); len(differ) > 0 {
		t.Errorf("a rehearsal has changed the node: %s", differ)
	}
}

// What an empty machine could not make again is named when the set is taken,
// and the set is not proven.
func TestWhatCannotBeMadeAgainIsNamed(t *testing.T) {
	splicetest.OnlyLong(t)
	t.Parallel()
	v := habit{
		text: `services:
  guest: {image: '${IMAGE_REPO}wallet-web-ui:${IMAGE_TAG}', network_mode: 'container:$PROJECT-host', restart: always}
  nginx: {volumes: ['./many:/many:ro']}`,
		before: func(t *testing.T, o *overlaid) {
			must(o.Docker(t.Context(), "run", "-d", "--name", o.Project+"-host", "--entrypoint", "sleep", "postgres:15", "infinity"))(t)
			t.Cleanup(func() { check(t, o.sh("docker rm -f "+o.Project+"-host")) })
			for i := range 60 {
				o.write(t, fmt.Sprintf("$BUNDLE/many/%d", i), "x", 0o644, 0)
			}
		},
	}
	o := v.start(t)
	o.work(t)
	r := o.try(t, "init", "--project", o.Project, "--yes", "--recovery-key-file", "key")
	if r.exit == 0 || !strings.Contains(r.err, "not proven") {
		t.Errorf("init: exit code %d\n%s%s", r.exit, r.out, r.err)
	}
	sets := value[[]struct{ ID string }](t, o.site, "list") // latest is the newest proven one
	if len(sets) == 0 {
		t.Fatal("init took no set")
	}
	set := value[holdfast.Set](t, o.site, "show", sets[len(sets)-1].ID)
	if set.State != holdfast.Unproven || len(set.Deployment.NotRemade) != 2 {
		t.Errorf("the set is %s, and cannot make again %q", set.State, set.Deployment.NotRemade)
	}
	said := strings.Join(set.Deployment.NotRemade, "\n")
	contains(t, said, "container "+o.Container("guest")+" uses the network of container", "10 more files in "+o.Dir+"/many", "container "+o.Container("nginx")+" mounts it")
}

// outlives makes sure that a check says whether the data outlives stop.sh.
func (o *overlaid) outlives(t *testing.T) {
	t.Helper()
	var report struct {
		Value struct{ Conditions []conditions.Condition }
	}
	r := o.try(t, "check", "--output", "json")
	if err := json.Unmarshal([]byte(r.out), &report); err != nil {
		t.Fatal(err, r.out, r.err)
	}
	want := o.lasts
	if want == "" {
		want = holdfast.Holds
	} else {
		o.types(t, 4, advised(t, o.holdfast(t, 0, "node", "show").out, "holdfast check --explain"))
	}
	for _, c := range report.Value.Conditions {
		if c.Code == conditions.DataOutlivesStop {
			if c.Verdict != want {
				t.Errorf("the data outlives stop.sh: %s, %s; want %s", c.Verdict, c.Evidence, want)
			}
			return
		}
	}
	t.Errorf("no condition says whether the data outlives stop.sh")
}
