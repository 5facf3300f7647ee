package docker

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/moby/moby/client"

	"holdfast"
)

// relay passes standard input to a port of the container and what comes back
// to standard output, until either side ends. The official Postgres images,
// Debian's and Alpine's, both have bash; busybox has nc.
//
// It waits for what it has killed. Postgres is the first process of its
// container, to which orphans fall, and takes any child that did not end well
// for a session that crashed: it would throw everybody out and recover.
const relay = `if command -v bash >/dev/null 2>&1; then
  exec bash -c 'exec 3<>"/dev/tcp/127.0.0.1/$0" || exit 1
    cat <&3 & reader=$!
    cat <&0 >&3 & writer=$!
    wait -n $reader $writer
    kill $reader $writer 2>/dev/null
    wait $reader $writer' "$1"
elif command -v nc >/dev/null 2>&1; then exec nc 127.0.0.1 "$1"
else echo "neither bash nor nc is in the image" >&2; exit 127
fi`

// Dial connects to a port of a container's own loopback, through a program that
// runs in the container, and makes sure that somebody is at the other end: a
// program that could not connect ends at once.
func (e *Engine) Dial(ctx context.Context, container, port string) (net.Conn, error) {
	if code, err := e.Run(ctx, container, nil, nil, nil, io.Discard, "sh", "-c", `command -v bash >/dev/null 2>&1 && exec bash -c 'exec 3<>"/dev/tcp/127.0.0.1/$0"' "$1"; command -v nc >/dev/null 2>&1`, "sh", port); err != nil || code != 0 {
		if err == nil {
			err = fmt.Errorf("nothing listens at port %s of container %s, or its image has neither bash nor nc (exit code %d)", port, container, code)
		}
		return nil, err
	}
	return e.exec(ctx, container, "sh", "-c", relay, "sh", port)
}

// exec opens a two-way stream to a program in a container.
func (e *Engine) exec(ctx context.Context, container string, argv ...string) (net.Conn, error) {
	made, err := e.API.ExecCreate(ctx, container, client.ExecCreateOptions{Cmd: argv, AttachStdin: true, AttachStdout: true, AttachStderr: true})
	if err != nil {
		return nil, e.Explain("run "+argv[0]+" in container "+container, err)
	}
	at, err := e.API.ExecAttach(ctx, made.ID, client.ExecAttachOptions{})
	if err != nil {
		return nil, e.Explain("run "+argv[0]+" in container "+container, err)
	}
	return &stream{Conn: at.Conn, from: at.Reader}, nil
}

// stream is a connection through a program that runs in a container. What the
// program prints comes in frames of eight bytes of head (Docker Engine API:
// "Stream format"): the first says which output, the last four how long.
type stream struct {
	net.Conn
	from  io.Reader
	left  int    // of the current frame
	kind  byte   // of the current frame: 1 output, 2 complaints
	grief []byte // what it complained of
}

const complaintOutput = 2

func (s *stream) Read(p []byte) (int, error) {
	for {
		if s.left == 0 {
			var head [8]byte
			if _, err := io.ReadFull(s.from, head[:]); err != nil {
				return 0, s.ended(err)
			}
			s.kind, s.left = head[0], int(binary.BigEndian.Uint32(head[4:]))
			continue
		}
		if s.kind != complaintOutput {
			n, err := s.from.Read(p[:min(len(p), s.left)])
			s.left -= n
			return n, err
		}
		text := make([]byte, s.left)
		n, err := io.ReadFull(s.from, text)
		s.left -= n
		s.grief = append(s.grief, text[:n]...)
		if err != nil {
			return 0, err
		}
	}
}

// ended explains a stream that ended because the program could not work.
func (s *stream) ended(err error) error {
	if said := strings.TrimSpace(string(s.grief)); said != "" && errors.Is(err, io.EOF) {
		return &holdfast.Problem{Class: holdfast.Unreachable, What: "connect through `docker exec`: " + said,
			Do: "Run Holdfast on the machine that runs Docker, or in a container of the node's network; docs/operate.md shows both."}
	}
	return err
}
