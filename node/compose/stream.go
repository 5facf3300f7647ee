package compose

import (
	"encoding/binary"
	"io"
	"net"
	"strings"

	"holdfast"
)

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
	if said := strings.TrimSpace(string(s.grief)); said != "" && err == io.EOF {
		return &holdfast.Problem{Class: holdfast.Unreachable, What: "reach Postgres through `docker exec`: " + said,
			Do: "Run Holdfast on the machine that runs Docker, or in a container of the node's network; docs/operate.md shows both."}
	}
	return err
}
