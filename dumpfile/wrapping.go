package dumpfile

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
	"github.com/ulikunitz/xz"
)

// mostWindow limits the memory for decompressing a file: the default limit of
// zstd, and twice what xz -9 needs.
const mostWindow = 128 << 20

// wrapping is a compression, recognised by the first bytes of a file.
type wrapping struct {
	name    string
	checked bool // it has checksums of its content
	open    func(r io.Reader) (io.Reader, func(), error)
	program []string // reads standard input, and is faster than open; nil: none
}

// The programs that are fast enough to be worth a process (docs/decisions/015).
// Each has the same memory limit as the decoder in Go.
var (
	zstdProgram = []string{"zstd", "--decompress", "--stdout", "--quiet", "--memory=128MB"}
	xzProgram   = []string{"xz", "--decompress", "--stdout", "--quiet", "--threads=1", "--memlimit-decompress=160MiB"}
)

// wrappingOf recognises a compression by the first bytes of a file, never by its
// name; nil for none.
func wrappingOf(head []byte) *wrapping {
	has := func(magic string) bool { return bytes.HasPrefix(head, []byte(magic)) }
	switch {
	case has("\x1f\x8b"):
		return &wrapping{"gzip", true, openGzip, nil}
	case has("\x28\xb5\x2f\xfd"):
		return &wrapping{"zstd", len(head) > 4 && head[4]&0x04 != 0, openZstd, zstdProgram}
	case len(head) > 4 && head[0]&0xf0 == 0x50 && has(string(head[0])+"\x2a\x4d\x18"):
		// A skippable frame comes first, as pzstd writes it.
		return &wrapping{"zstd", false, openZstd, zstdProgram}
	case has("\xfd7zXZ\x00"):
		return &wrapping{"xz", len(head) > 7 && head[7] != 0, openXz, xzProgram}
	case isBzip2(head):
		return &wrapping{"bzip2", true, openBzip2, nil}
	case has("\x04\x22\x4d\x18"):
		return &wrapping{"lz4", len(head) > 4 && head[4]&0x04 != 0, openLZ4, nil}
	}
	return nil
}

// begin opens a stream. One that ends within its first bytes is truncated.
func (w *wrapping) begin(r io.Reader) (io.Reader, func(), error) {
	plain, done, err := w.open(r)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return plain, done, err
}

// isBzip2 recognises bzip2 by its header and the magic number of the first block
// or of the end.
func isBzip2(head []byte) bool {
	if len(head) < 10 || !bytes.HasPrefix(head, []byte("BZh")) {
		return false
	}
	magic := head[4:10]
	return bytes.Equal(magic, []byte("1AY&SY")) || bytes.Equal(magic, []byte("\x17\x72\x45\x38\x50\x90"))
}

func openBzip2(r io.Reader) (io.Reader, func(), error) { return bzip2.NewReader(r), func() {}, nil }

func openGzip(r io.Reader) (io.Reader, func(), error) {
	z, err := gzip.NewReader(r)
	return z, func() {}, err
}

func openZstd(r io.Reader) (io.Reader, func(), error) {
	z, err := zstd.NewReader(r, zstd.WithDecoderMaxWindow(mostWindow), zstd.WithDecoderConcurrency(0))
	if err != nil {
		return nil, nil, err
	}
	return z, z.Close, nil
}

func openLZ4(r io.Reader) (io.Reader, func(), error) { return lz4.NewReader(r), func() {}, nil }

func openXz(r io.Reader) (io.Reader, func(), error) {
	b := bufio.NewReaderSize(r, 1<<16)
	if head, _ := b.Peek(24); len(head) == 24 {
		if n := xzDictionary(head[12:]); n > mostWindow {
			return nil, nil, fmt.Errorf("its dictionary needs %d MiB of memory", n>>20)
		}
	}
	z, err := xz.NewReader(b)
	return z, func() {}, err
}

// xzDictionary reads the size of the dictionary from a block's header (xz file
// format, 3.1 and 5.3.1): flags without sizes, then the LZMA2 filter with one
// byte of properties.
func xzDictionary(header []byte) int64 {
	at := 2
	for _, flag := range []byte{0x40, 0x80} { // sizes, as variable-length numbers
		if header[1]&flag == 0 {
			continue
		}
		for at < len(header) && header[at]&0x80 != 0 {
			at++
		}
		at++
	}
	if at+2 >= len(header) || header[at] != 0x21 || header[at+1] != 1 || header[at+2] > 40 {
		return 0
	}
	bits := header[at+2]
	return int64(2|bits&1) << (bits/2 + 11)
}

// foreign lists contents that are recognised by their first bytes, but cannot be
// judged.
var foreign = []struct{ magic, what string }{
	{"age-encryption.org/", "it is encrypted with age: decrypt it, `age -d FILE | holdfast inspect -`"},
	{"-----BEGIN AGE ENCRYPTED FILE", "it is encrypted with age: decrypt it, `age -d FILE | holdfast inspect -`"},
	{"-----BEGIN PGP MESSAGE", "it is encrypted with PGP: decrypt it, `gpg -d FILE | holdfast inspect -`"},
	{"Salted__", "it is encrypted with openssl: decrypt it and give the result to `holdfast inspect -`"},
	{"PK\x03\x04", "it is a zip archive: unpack it, `unzip -p FILE | holdfast inspect -`"},
	{"7z\xbc\xaf\x27\x1c", "it is a 7z archive: unpack it first"},
	{"\xff\xfe", "it is UTF-16 text, as PowerShell writes a redirected dump: psql cannot read it"},
	{"\xfe\xff", "it is UTF-16 text: psql cannot read it"},
	{"<!DOCTYPE", "it is an HTML page"},
	{"<html", "it is an HTML page"},
	{"{", "it is JSON"},
}

func foreignOf(head []byte) string {
	for _, f := range foreign {
		if bytes.HasPrefix(head, []byte(f.magic)) {
			return f.what
		}
	}
	return ""
}

// endsEarly reports whether the error is of a truncated stream, not of a damaged
// one.
func endsEarly(err error) bool { return errors.Is(err, io.ErrUnexpectedEOF) }
