package postgres

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/zeebo/xxh3"

	"holdfast/content"
)

// message is one message of the protocol.
func message(kind byte, body []byte) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{kind}, uint32(len(body)+4)), body...)
}

var copyDone = message('c', nil)

// header begins every binary stream; it comes in the message of the first row.
var header = append([]byte(binarySignature), make([]byte, 8)...)

// chunks gives at most n bytes at a time.
type chunks struct {
	in io.Reader
	n  int
}

func (c chunks) Read(p []byte) (int, error) { return c.in.Read(p[:min(len(p), c.n)]) }

// taken are the rows that a wire finds in a stream that arrives like that.
func taken(in io.Reader) ([][]byte, error) {
	var rows [][]byte
	var row []byte
	err := newWire(in).rows(func(p []byte, first, last bool) error {
		if first {
			row = nil
		}
		row = append(row, p...)
		if last {
			rows = append(rows, row)
		}
		return nil
	})
	return rows, err
}

func TestRowsAreWholeWhereverTheNetworkCutsThem(t *testing.T) {
	want := [][]byte{[]byte("first"), {}, []byte("x"), bytes.Repeat([]byte("row "), 40)}
	var in []byte
	for _, row := range want {
		in = append(in, message(copyData, row)...)
	}
	in = append(in, copyDone...)
	same := func(t *testing.T, how string, r io.Reader) {
		got, err := taken(r)
		if err != nil || !slices.EqualFunc(got, want, bytes.Equal) {
			t.Fatalf("%s: %q, %v", how, got, err)
		}
	}
	for at := range len(in) {
		same(t, fmt.Sprintf("cut at byte %d", at), io.MultiReader(bytes.NewReader(in[:at]), bytes.NewReader(in[at:])))
	}
	for n := 1; n <= len(in); n++ {
		same(t, fmt.Sprintf("%d bytes at a time", n), chunks{bytes.NewReader(in), n})
	}
	same(t, "the end with the last bytes", iotest.DataErrReader(bytes.NewReader(in)))
}

func TestRowsLargerThanTheBufferComeInPieces(t *testing.T) {
	for _, size := range []int{wireBuffer - 6, wireBuffer - 5, wireBuffer - 1, wireBuffer, wireBuffer + 1,
		2 * wireBuffer, 5*wireBuffer + 17} {
		want := [][]byte{[]byte("before"), bytes.Repeat([]byte("0123456789abcdef"), size/16+1)[:size],
			[]byte("behind")}
		var in []byte
		for _, row := range want {
			in = append(in, message(copyData, row)...)
		}
		in = append(in, copyDone...)
		for _, n := range []int{7001, wireBuffer - 1, wireBuffer, len(in)} {
			got, err := taken(chunks{bytes.NewReader(in), n})
			if err != nil || !slices.EqualFunc(got, want, bytes.Equal) {
				t.Errorf("a row of %d bytes, %d at a time: %d rows, %v", size, n, len(got), err)
			}
		}
	}
}

func TestAPieceOfARowNeverEndsWithinTheHeader(t *testing.T) {
	in := message(copyData, make([]byte, 2*wireBuffer))
	in = append(in, copyDone...)
	shortest := wireBuffer
	if err := newWire(chunks{bytes.NewReader(in), 3}).rows(func(p []byte, first, _ bool) error {
		if first {
			shortest = len(p)
		}
		return nil
	}); err != nil || shortest < headRoom {
		t.Errorf("the first piece has %d bytes, %v", shortest, err)
	}
}

func TestAStreamThatEndsEarlyIsNotAnEnd(t *testing.T) {
	whole := append(message(copyData, []byte("a row")), copyDone...)
	for at := range len(whole) - 4 { // up to the message behind the row, which the library reads
		if _, err := taken(bytes.NewReader(whole[:at])); !errors.Is(err, io.EOF) &&
			!errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("cut at byte %d: %v", at, err)
		}
	}
	if _, err := taken(bytes.NewReader([]byte{copyData, 0, 0, 0, 3})); err == nil {
		t.Error("a message shorter than its own length was taken")
	}
}

// tallied runs messages of one COPY through a tally.
func tallied(format string, counted int64, messages ...[]byte) (stream, string, error) {
	var out bytes.Buffer
	tl := tally{format: format, out: &out, batch: make([]byte, 0, 64)}
	for _, m := range messages {
		if err := tl.piece(m, true, true); err != nil {
			return stream{}, "", err
		}
	}
	err := tl.finish(counted)
	return tl.stream, out.String(), err
}

func TestTallyCountsDigestsAndPassesOn(t *testing.T) {
	sum := func(rows ...string) (d content.Digest) {
		for _, r := range rows {
			h := xxh3.HashString128(r)
			d = d.Plus(content.Digest{Hi: h.Hi, Lo: h.Lo})
		}
		return d
	}
	trailer := []byte{0xff, 0xff}
	long := strings.Repeat("long ", 100)
	for _, c := range []struct {
		name, format string
		messages     [][]byte
		rows         []string
	}{
		{"text", content.TextFormat, [][]byte{[]byte("a\n"), []byte("b\n"), []byte(long)},
			[]string{"a\n", "b\n", long}},
		{"empty text", content.TextFormat, nil, nil},
		{"text that looks like the end of a binary stream", content.TextFormat, [][]byte{trailer},
			[]string{"\xff\xff"}},
		{"binary", content.BinaryFormat, [][]byte{append(slices.Clone(header), "row"...), []byte("two"), trailer},
			[]string{"row", "two"}},
		{"binary, header alone", content.BinaryFormat, [][]byte{header, []byte("row"), trailer}, []string{"row"}},
		{"empty binary", content.BinaryFormat, [][]byte{append(slices.Clone(header), trailer...)}, nil},
		{"empty binary, header alone", content.BinaryFormat, [][]byte{header, trailer}, nil},
	} {
		got, out, err := tallied(c.format, int64(len(c.rows)), c.messages...)
		if err != nil || got.rows != int64(len(c.rows)) || got.digest != sum(c.rows...) {
			t.Errorf("%s: %+v, %v", c.name, got, err)
		}
		if all := string(bytes.Join(c.messages, nil)); out != all || got.bytes != int64(len(all)) {
			t.Errorf("%s: passed on %q, %d bytes", c.name, out, got.bytes)
		}
	}
}

func TestTallyRefusesWhatIsNotAWholeStream(t *testing.T) {
	trailer := []byte{0xff, 0xff}
	for _, c := range []struct {
		name, format string
		counted      int64
		messages     [][]byte
	}{
		{"no signature", content.BinaryFormat, 1, [][]byte{[]byte("something else altogether"), trailer}},
		{"short header", content.BinaryFormat, 0, [][]byte{header[:15]}},
		{"extension cut short", content.BinaryFormat, 0, [][]byte{append(slices.Clone(header[:18]), 9)}},
		{"no trailer", content.BinaryFormat, 1, [][]byte{append(slices.Clone(header), "row"...)}},
		{"a row behind the trailer", content.BinaryFormat, 1, [][]byte{header, trailer, []byte("row")}},
		{"a row less than the server counted", content.TextFormat, 2, [][]byte{[]byte("a\n")}},
		{"a row more than the server counted", content.BinaryFormat, 0, [][]byte{header, []byte("row"), trailer}},
	} {
		if _, _, err := tallied(c.format, c.counted, c.messages...); err == nil {
			t.Errorf("%s: taken for whole", c.name)
		}
	}
}

func TestDigestDoesNotDependOnPieces(t *testing.T) {
	row := bytes.Repeat([]byte("0123456789"), 1000)
	whole, parts := tally{format: content.TextFormat}, tally{format: content.TextFormat}
	_ = whole.piece(row, true, true)
	_ = parts.piece(row[:100], true, false)
	_ = parts.piece(row[100:9000], false, false)
	_ = parts.piece(row[9000:], false, true)
	if whole.stream != parts.stream {
		t.Errorf("%+v and %+v", whole.stream, parts.stream)
	}
}

// scripted is a connection to a server that plays a script behind the first
// statement; what the script leaves open is closed.
func scripted(t *testing.T, play func(conn net.Conn, server *pgproto3.Backend)) (*pgconn.PgConn, *wire) {
	t.Helper()
	ours, theirs := net.Pipe()
	go func() {
		defer theirs.Close()
		server := pgproto3.NewBackend(theirs, theirs)
		if _, err := server.Receive(); err == nil {
			play(theirs, server)
		}
	}()
	config, err := pgx.ParseConfig("host=nowhere sslmode=disable")
	if err != nil {
		t.Fatal(err)
	}
	var w *wire
	config.BuildFrontend = func(in io.Reader, out io.Writer) *pgproto3.Frontend {
		w = newWire(in)
		return pgproto3.NewFrontend(w, out)
	}
	conn, err := pgconn.Construct(&pgconn.HijackedConn{
		Conn:              ours,
		TxStatus:          'I',
		Config:            &config.Config,
		ParameterStatuses: map[string]string{},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ours.Close() })
	return conn, w
}

// say sends messages of the server's.
func say(server *pgproto3.Backend, messages ...pgproto3.BackendMessage) {
	for _, m := range messages {
		server.Send(m)
	}
	_ = server.Flush()
}

func TestCopyOutReadsPastNoticesAndSettings(t *testing.T) {
	conn, w := scripted(t, func(_ net.Conn, s *pgproto3.Backend) {
		say(s, &pgproto3.NoticeResponse{Severity: "WARNING", Message: "before"}, &pgproto3.CopyOutResponse{},
			&pgproto3.CopyData{Data: []byte("a\n")}, &pgproto3.CopyData{Data: []byte("b\n")},
			&pgproto3.CopyDone{}, &pgproto3.NoticeResponse{
				Severity: "NOTICE",
				Message:  "behind",
			}, &pgproto3.ParameterStatus{Name: "TimeZone", Value: "UTC"},
			&pgproto3.CommandComplete{CommandTag: []byte("COPY 2")}, &pgproto3.ReadyForQuery{TxStatus: 'T'})
	})
	var out bytes.Buffer
	got, err := copyOut(t.Context(), conn, w, "COPY", content.TextFormat, &out)
	if err != nil || got.rows != 2 || out.String() != "a\nb\n" {
		t.Errorf("%+v, %q, %v", got, out.String(), err)
	}
}

func TestCopyOutOfANoticeBetweenRows(t *testing.T) {
	conn, w := scripted(t, func(_ net.Conn, s *pgproto3.Backend) {
		say(s, &pgproto3.CopyOutResponse{}, &pgproto3.CopyData{Data: []byte("a\n")}, &pgproto3.NoticeResponse{
			Severity: "WARNING",
			Message:  "in the middle",
		},
			&pgproto3.CopyData{Data: []byte("b\n")}, &pgproto3.CopyDone{},
			&pgproto3.CommandComplete{CommandTag: []byte("COPY 2")}, &pgproto3.ReadyForQuery{TxStatus: 'T'})
	})
	var out bytes.Buffer
	got, err := copyOut(t.Context(), conn, w, "COPY", content.TextFormat, &out)
	if err != nil || got.rows != 2 || out.String() != "a\nb\n" {
		t.Errorf("%+v, %q, %v", got, out.String(), err)
	}
}

func TestCopyOutFails(t *testing.T) {
	row := &pgproto3.CopyData{Data: []byte("a\n")}
	end := []pgproto3.BackendMessage{&pgproto3.CopyDone{}, &pgproto3.CommandComplete{CommandTag: []byte("COPY 1")},
		&pgproto3.ReadyForQuery{TxStatus: 'T'}}
	broken := &pgproto3.ErrorResponse{Severity: "ERROR", Code: "XX001", Message: "invalid page"}
	full := writerFunc(func([]byte) (int, error) { return 0, errors.New("the store is full") })
	for _, c := range []struct {
		name string
		out  io.Writer
		play func(net.Conn, *pgproto3.Backend)
		want string
	}{
		{"refused at once", io.Discard, func(_ net.Conn, s *pgproto3.Backend) { say(s, broken) }, "invalid page"},
		{"an error in the middle", io.Discard, func(_ net.Conn, s *pgproto3.Backend) {
			say(s, &pgproto3.CopyOutResponse{}, row, broken, &pgproto3.ReadyForQuery{TxStatus: 'E'})
		}, "invalid page"},
		{"the connection ends in the middle of a row", io.Discard, func(c net.Conn, s *pgproto3.Backend) {
			say(s, &pgproto3.CopyOutResponse{}, row)
			_, _ = c.Write(message(copyData, []byte("half a row"))[:9])
		}, "EOF"},
		{"the connection ends behind the rows", io.Discard, func(_ net.Conn, s *pgproto3.Backend) {
			say(s, &pgproto3.CopyOutResponse{}, row, &pgproto3.CopyDone{})
		}, "EOF"},
		{"another count", io.Discard, func(_ net.Conn, s *pgproto3.Backend) {
			say(s, append([]pgproto3.BackendMessage{&pgproto3.CopyOutResponse{}, row, row}, end...)...)
		}, "counted 1 rows, 2 arrived"},
		{"the store fails", full, func(_ net.Conn, s *pgproto3.Backend) {
			say(s, append([]pgproto3.BackendMessage{&pgproto3.CopyOutResponse{}, row}, end...)...)
		}, "the store is full"},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn, w := scripted(t, c.play)
			_, err := copyOut(t.Context(), conn, w, "COPY", content.TextFormat, c.out)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v", err)
			}
			if _, err := conn.Conn().Write([]byte{0}); err == nil {
				t.Error("the connection is still open, in the middle of something")
			}
		})
	}
}

func TestCopyOutEndsWithItsContext(t *testing.T) {
	conn, w := scripted(t, func(c net.Conn, s *pgproto3.Backend) {
		say(s, &pgproto3.CopyOutResponse{}, &pgproto3.CopyData{Data: []byte("a\n")})
		_, _ = c.Read(make([]byte, 1)) // and then nothing more
	})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	began := time.Now()
	if _, err := copyOut(ctx, conn, w, "COPY", content.TextFormat, nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("it took %v", took)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func FuzzWire(f *testing.F) {
	f.Add(append(message(copyData, []byte("row")), copyDone...), uint8(3))
	f.Add([]byte{copyData, 0xff, 0xff, 0xff, 0xff, 1, 2, 3}, uint8(1))
	f.Add([]byte{copyData, 0, 0, 0, 0}, uint8(5))
	f.Add(append(message('N', []byte("notice")), message(copyData, nil)...), uint8(2))
	f.Fuzz(func(t *testing.T, in []byte, n uint8) {
		a, errA := taken(bytes.NewReader(in))
		b, errB := taken(chunks{bytes.NewReader(in), int(n) + 1})
		if !slices.EqualFunc(a, b, bytes.Equal) || (errA == nil) != (errB == nil) {
			t.Errorf("at once %q, %v; in pieces %q, %v", a, errA, b, errB)
		}
		// The library is given the same bytes, and no more than there are.
		w := newWire(chunks{bytes.NewReader(in), int(n) + 1})
		var read []byte
		p := make([]byte, 7)
		for range len(in) + 1 {
			k, err := w.Read(p)
			read = append(read, p[:k]...)
			if err != nil {
				break
			}
		}
		if !bytes.HasPrefix(in, read) {
			t.Errorf("read %q of %q", read, in)
		}
	})
}
