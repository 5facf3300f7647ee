package docs_test

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// typed are the commands that hints about a compose node name, and the test that
// types each one and goes on from there.
var typed = map[string]string{
	"DOCKER_HOST=X docker info":                   "TestTheDaemonIsTheOneOfTheDockerCommand",
	"docker cp X:X X.data":                        "TestOverlays",
	"docker inspect X":                            "TestAdviceOnTheDaemonLeadsOn",
	"docker logs X":                               "TestAServerThatDoesNotLetIn",
	"docker network create X":                     "TestAdviceOnTheDaemonLeadsOn",
	"docker network rm X":                         "TestAdviceOnTheDaemonLeadsOn",
	"docker rename X OTHER":                       "TestAdviceOnTheDaemonLeadsOn",
	"docker rm -f X":                              "TestOverlays",
	"docker start X":                              "TestAServerThatDoesNotLetIn",
	"docker stop X":                               "TestAServerThatDoesNotLetIn",
	"docker unpause X":                            "TestAServerThatDoesNotLetIn",
	"docker volume inspect X":                     "TestAdviceOnTheDaemonLeadsOn",
	"holdfast init --service X=X":                 "TestAdviceOnADoubtLeadsOn",
	"holdfast node show":                          "TestAServerThatDoesNotLetIn",
	"holdfast restore latest":                     "TestANodeComesBackWhereNothingOfItIs",
	"holdfast restore X":                          "TestOverlays",
	"holdfast restore rehearse":                   "TestANodeWithMoreInIt",
	"holdfast restore undo":                       "TestAVolumeThatPostgresCannotStartOnIsKept",
	"holdfast restore X --fresh-volume":           "TestPostgresFailsDuringARestore",
	"holdfast check --explain data_outlives_stop": "TestOverlays",
	"docker run --rm --volumes-from X --user 0 --entrypoint find X X X -mindepth 1 -delete": "TestOverlays",
	"docker stop X && docker cp -a X:X X.data && docker cp -a X:X X.wal":                    "TestOverlays",
	"holdfast export X DIR && X": "TestOverlays",
}

// untyped are commands that no test can type, and why.
var untyped = map[string]string{"docker pull X": "there is no registry to pull from"}

var (
	inBackticks = regexp.MustCompile("`([^`]+)`")
	// A word of docker alone names a command, and is none that could be typed.
	isCommand = regexp.MustCompile(`^(docker \S+ |holdfast |DOCKER_HOST=X docker )`)
)

// Every command that a hint about a compose node names is typed by a test.
func TestEveryCommandOfAComposeNodeIsTyped(t *testing.T) {
	there, named := testsOfTheRepository(t), map[string]string{}
	for _, hint := range hints(t) {
		if !strings.Contains(hint.at, "node/compose/") && !strings.Contains(hint.at, "internal/docker/") {
			continue
		}
		for _, m := range inBackticks.FindAllStringSubmatch(hint.text, -1) {
			if command := verb.ReplaceAllString(m[1], "X"); isCommand.MatchString(command) && untyped[command] == "" {
				named[command] = hint.at
			}
		}
	}
	for _, command := range slices.Sorted(maps.Keys(named)) {
		switch name, known := typed[command]; {
		case !known:
			t.Errorf("%s: no test types `%s`", named[command], command)
		case !there[name]:
			t.Errorf("`%s`: there is no %s", command, name)
		}
	}
	for command := range typed {
		if named[command] == "" {
			t.Errorf("no hint names `%s` any more", command)
		}
	}
}
