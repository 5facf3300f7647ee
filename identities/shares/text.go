package shares

import (
	"bytes"
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"strings"

	"github.com/cloudflare/circl/group"

	"holdfast"
)

// marker begins a share's text. The digit is the version of the format.
const marker = "HOLDFAST-SHARE-1"

const (
	header   = 3  // threshold, total, number
	number   = 32 // of the curve, and a point of it
	checksum = 4
)

// letters are those of RFC 4648: without 0, 1, 8 and 9, which are mixed up with
// others.
var letters = base32.StdEncoding.WithPadding(base32.NoPadding)

// Text is the share as one word that can be stored, and typed from paper: the
// marker, then the three numbers, the value, the commitments and a checksum.
func (s Share) Text() holdfast.Secret {
	data := []byte{byte(s.Threshold), byte(s.Total), byte(s.Number)}
	data = append(data, bytesOf(s.value)...)
	for _, c := range s.commitments {
		data = append(data, bytesOf(c)...)
	}
	return holdfast.NewSecret(marker + letters.EncodeToString(append(data, sumOf(data)...)))
}

func sumOf(data []byte) []byte {
	sum := sha256.Sum256(append([]byte(marker), data...))
	return sum[:checksum]
}

// Are reports whether a text has shares in it.
func Are(text holdfast.Secret) bool {
	return strings.Contains(strings.ToUpper(text.Reveal()), marker)
}

// Parse reads all shares of a text, whatever is written between them, and however
// they were wrapped, quoted or typed.
func Parse(text holdfast.Secret) ([]Share, error) {
	var list []Share
	for i, part := range strings.Split(strings.ToUpper(text.Reveal()), marker) {
		if i == 0 {
			continue // what stands before the first
		}
		s, err := parse(part)
		if err != nil {
			return nil, err
		}
		list = append(list, s)
	}
	return list, nil
}

// parse reads one share. What follows it is not looked at: how long it is, its
// first number says.
func parse(text string) (Share, error) {
	text = strings.Map(typed, text)
	head, err := letters.DecodeString(text[:min(len(text), letters.EncodedLen(header))])
	if err != nil || len(head) < header {
		return Share{}, unreadable("a share is cut short")
	}
	s := Share{Threshold: int(head[0]), Total: int(head[1]), Number: int(head[2])}
	if s.Threshold < 2 || s.Threshold > s.Total || s.Total > Most || s.Number < 1 || s.Number > s.Total {
		return Share{}, unreadable("a share has a typing error at its beginning")
	}
	size := header + number + s.Threshold*number + checksum
	name := fmt.Sprintf("share %d of %d", s.Number, s.Total)
	if len(text) < letters.EncodedLen(size) {
		return Share{}, unreadable(name + " is cut short")
	}
	data, err := letters.DecodeString(text[:letters.EncodedLen(size)])
	if err != nil || !bytes.Equal(sumOf(data[:size-checksum]), data[size-checksum:]) {
		return Share{}, unreadable(name + " has a typing error: its checksum is wrong")
	}
	if err := s.fill(data[header : size-checksum]); err != nil {
		return Share{}, unreadable(name + " is damaged")
	}
	return s, nil
}

// fill reads the value and the commitments.
func (s *Share) fill(data []byte) error {
	s.value = curve.NewScalar()
	if err := s.value.UnmarshalBinary(data[:number]); err != nil {
		return err
	}
	for data = data[number:]; len(data) > 0; data = data[number:] {
		var c group.Element = curve.NewElement()
		if err := c.UnmarshalBinary(data[:number]); err != nil {
			return err
		}
		s.commitments = append(s.commitments, c)
	}
	return nil
}

// typed leaves out what is put between letters, and puts right the digits that
// stand for no letter.
func typed(r rune) rune {
	switch {
	case r >= 'A' && r <= 'Z', r >= '2' && r <= '7':
		return r
	case r == '0':
		return 'O'
	case r == '1':
		return 'I'
	case r == '8':
		return 'B'
	}
	return -1
}

func unreadable(what string) error {
	return problem(what, "Copy it again, all of it, from "+marker+" on. Or give another share instead.")
}
