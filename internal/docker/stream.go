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

// relay copies standard input to a port of the container and the answers to
// standard output, until either side ends. The official Postgres images, Debian's
// and Alpine's, both have bash; busybox has nc.
//
// It waits for the processes that it kills. Postgres is the first process of its
// container and inherits orphans. It takes a killed orphan for a crashed session:
// it would disconnect everybody and recover.
const relay = `if command -v bash >/dev/null 2>&1; then
  exec bash -c 'exec 3<>"/dev/tcp/127.0.0.1/$0" || exit 1
    cat <&3 & reader=$!
    cat <&0 >&3 & writer=$!
    wait -n $reader $writer
    kill $reader $writer 2>/dev/null
    wait $reader $writer' "$1"
elif command -v nc >/dev/null 2>&1; then exec nc 127.0.0.1 "$1"
else echo "the image has neither bash nor nc" >&2; exit 127
fi`

// portOpen exits with 0 if a port of the container accepts connections, or if only
// nc is there to connect.
const portOpen = `command -v bash >/dev/null 2>&1 && exec bash -c 'exec 3<>"/dev/tcp/127.0.0.1/$0"' "$1"
command -v nc >/dev/null 2>&1`

// Dial connects to a port of a container's own loopback, through a program in the
// container. It first checks that the port accepts connections.
func (e *Engine) Dial(ctx context.Context, container, port string) (net.Conn, error) {
	code, err := e.Run(ctx, container, nil, nil, nil, io.Discard, "sh", "-c", portOpen, "sh", port)
	if err == nil && code != 0 {
		err = fmt.Errorf("nothing listens at port %s of container %s, or its image has neither bash nor nc (exit code %d)",
			port, container, code)
	}
	if err != nil {
		return nil, err
	}
	return e.exec(ctx, container, "sh", "-c", relay, "sh", port)
}

// exec opens a two-way stream to a program in a container.
func (e *Engine) exec(ctx context.Context, container string, argv ...string) (net.Conn, error) {
	created, err := e.API.ExecCreate(ctx, container, client.ExecCreateOptions{
		Cmd: argv, AttachStdin: true, AttachStdout: true, AttachStderr: true,
	})
	if err != nil {
		return nil, e.Explain("run "+argv[0]+" in container "+container, err)
	}
	at, err := e.API.ExecAttach(ctx, created.ID, client.ExecAttachOptions{})
	if err != nil {
		return nil, e.Explain("run "+argv[0]+" in container "+container, err)
	}
	return &stream{Conn: at.Conn, from: at.Reader}, nil
}

// stream is a connection through a program in a container. The program's output
// comes in frames with a header of eight bytes (Docker Engine API: "Stream
// format"): the first byte is the kind of output, the last four its length.
type stream struct {
	net.Conn
	from   io.Reader
	left   int  // of the current frame
	kind   byte // of the current frame: 1 standard output, 2 standard error
	stderr []byte
}

const standardError = 2

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
		if s.kind != standardError {
			n, err := s.from.Read(p[:min(len(p), s.left)])
			s.left -= n
			return n, err
		}
		text := make([]byte, s.left)
		n, err := io.ReadFull(s.from, text)
		s.left -= n
		s.stderr = append(s.stderr, text[:n]...)
		if err != nil {
			return 0, err
		}
	}
}

// ended explains a stream that ended because its program failed.
func (s *stream) ended(err error) error {
	if text := strings.TrimSpace(string(s.stderr)); text != "" && errors.Is(err, io.EOF) {
		return &holdfast.Problem{
			Class: holdfast.Unreachable,
			What:  "cannot connect through `docker exec`: " + text,
			Do: "Run Holdfast on the machine that runs Docker, or in a container of the node's network. " +
				"docs/operate.md shows both.",
		}
	}
	return err
}
