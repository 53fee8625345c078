package trace

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
)

// ErrFormat is returned for a file that holds no traces.
var ErrFormat = errors.New("neither OTLP, Jaeger nor Zipkin JSON")

// Read adds the spans of a file, or of several written one after the other, to
// the set. It may be compressed by gzip. progress, unless nil, is told now and
// then how many spans there are.
func (s *Set) Read(r io.Reader, progress func(spans int)) error {
	in := bufio.NewReaderSize(r, 64<<10)
	if magic, err := in.Peek(2); err == nil && magic[0] == 0x1f && magic[1] == 0x8b {
		z, err := gzip.NewReader(in)
		if err != nil {
			return fmt.Errorf("gzip: %w", err)
		}
		in = bufio.NewReaderSize(z, 64<<10)
	}
	// Broken text in some attribute is no reason to refuse a file.
	d := &decoder{Decoder: jsontext.NewDecoder(in, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)), set: s, progress: progress}
	for n := 0; ; n++ {
		var err error
		switch kind := d.PeekKind(); kind {
		case '{':
			err = d.document()
		case '[':
			err = d.array(d.zipkin)
		default:
			if _, err = d.ReadToken(); errors.Is(err, io.EOF) && n > 0 {
				return nil
			} else if errors.Is(err, io.EOF) {
				return fmt.Errorf("%w: it is empty", ErrFormat)
			} else if err == nil {
				err = ErrFormat
			}
		}
		if err != nil {
			return d.broken(err)
		}
	}
}

// decoder walks through a file without holding more of it than one value.
type decoder struct {
	*jsontext.Decoder
	set      *Set
	progress func(int)
	told     int
}

// broken says where a file is not what it should be.
func (d *decoder) broken(err error) error {
	switch {
	case errors.Is(err, ErrTooManySpans):
		return err
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("ends in the middle, after %d bytes: %w", d.InputOffset(), io.ErrUnexpectedEOF)
	}
	return fmt.Errorf("broken at byte %d: %w", d.InputOffset(), err)
}

// add keeps a span if it can be one, and reports progress every so many.
func (d *decoder) add(sp Span) (kept bool, err error) {
	const every = 10_000
	if d.progress != nil && len(d.set.Spans)-d.told >= every {
		d.told = len(d.set.Spans)
		d.progress(d.told)
	}
	return d.set.add(sp)
}

// document reads an object: OTLP or Jaeger, as its keys say.
func (d *decoder) document() error {
	known := false
	trace := jaegerTrace{first: len(d.set.Spans)}
	err := d.object(func(key []byte) error {
		switch string(key) {
		case "resourceSpans", "resource_spans":
			known = true
			return d.array(d.otlpResource)
		case "data":
			known = true
			return d.array(d.jaegerTrace)
		case "spans", "processes":
			known = true
			return d.jaegerMember(&trace, key)
		}
		return d.SkipValue()
	})
	d.finish(&trace)
	if err == nil && !known {
		err = fmt.Errorf("%w: an object without resourceSpans, data or spans", ErrFormat)
	}
	return err
}

// object reads a whole object, or null; member reads, or skips, the value of each
// key, which is valid until then. A key that is written with escapes is not known
// as what it is.
func (d *decoder) object(member func(key []byte) error) error {
	token, err := d.ReadToken()
	if err != nil || token.Kind() == 'n' {
		return err
	}
	if token.Kind() != '{' {
		return fmt.Errorf("%w: want an object, not %v", ErrFormat, token)
	}
	for d.PeekKind() != '}' {
		key, err := d.ReadValue()
		if err != nil {
			return err
		}
		if err := member(key[1 : len(key)-1]); err != nil {
			return err
		}
	}
	_, err = d.ReadToken()
	return err
}

// array reads a whole array, or null; element reads each of its elements.
func (d *decoder) array(element func() error) error {
	token, err := d.ReadToken()
	if err != nil || token.Kind() == 'n' {
		return err
	}
	if token.Kind() != '[' {
		return fmt.Errorf("%w: want an array, not %v", ErrFormat, token)
	}
	for d.PeekKind() != ']' {
		if err := element(); err != nil {
			return err
		}
	}
	_, err = d.ReadToken()
	return err
}

// scalar reads a string without its quotes, or a number, or what else there is as
// it is written. It is valid until the next read.
func (d *decoder) scalar() ([]byte, error) {
	v, err := d.ReadValue()
	if err != nil || v.Kind() != '"' {
		return v, err
	}
	if bytes.IndexByte(v, '\\') >= 0 {
		return jsontext.AppendUnquote(nil, v)
	}
	return v[1 : len(v)-1], nil
}

func (d *decoder) text(dst *string) error {
	v, err := d.scalar()
	*dst = string(v)
	return err
}

// integer reads a number, which writers of JSON also write as a string, since it
// may be more than a float64 keeps. What is none is 0.
func (d *decoder) integer(dst *int64) error {
	v, err := d.scalar()
	if err != nil {
		return err
	}
	n, err := strconv.ParseInt(string(v), 10, 64)
	if err != nil {
		f, err := strconv.ParseFloat(string(v), 64)
		if err != nil || f > 1<<62 || f < -1<<62 {
			f = 0
		}
		n = int64(f)
	}
	*dst = n
	return nil
}

// id reads an ID.
func (d *decoder) id(dst []byte) error {
	v, err := d.scalar()
	if err == nil {
		parseID(dst, v)
	}
	return err
}

// parseID reads an ID: hexadecimal, right-aligned as a shorter one is, or the
// base64 of writers that take the bytes of Protocol Buffers literally. It leaves
// what is no ID zero.
func parseID(dst, text []byte) {
	clear(dst)
	if len(text) == base64.StdEncoding.EncodedLen(len(dst)) && text[len(text)-1] == '=' {
		var raw [24]byte
		if n, err := base64.StdEncoding.Decode(raw[:], text); err == nil && n == len(dst) {
			copy(dst, raw[:])
		}
		return
	}
	if len(text) > 2*len(dst) {
		return
	}
	var full [32]byte
	digits := full[:2*len(dst)]
	for i := range digits {
		digits[i] = '0'
	}
	copy(digits[len(digits)-len(text):], text)
	if _, err := hex.Decode(dst, digits); err != nil {
		clear(dst)
	}
}
