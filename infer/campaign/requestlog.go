package campaign

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"os"
)

// While a campaign runs, its requests are appended to requests.log as they
// end: a Parquet file cannot be appended to, and what was written of it before
// its writer died cannot be read. Writer.Finish turns the log into
// requests.parquet, in order of the intended time, and removes it.
//
// A frame's payload: the count of names, each with its length in bytes; then
// for each request the intended time less the one before, the sent time less
// the intended one, the latency, and the numbers of the names of type, service
// and status. Integers are varints, signed where they can be negative.
const (
	logFrameRequests = 2048
	logFrameUS       = 1_000_000 // a frame covers at most so much intended time
)

// logEncoder collects requests for a frame.
type logEncoder struct {
	names   []string
	numbers map[string]uint64
	body    []byte
	count   uint32
	first   int64
	last    int64
	before  int64
}

func (e *logEncoder) reset() {
	clear(e.numbers)
	*e = logEncoder{names: e.names[:0], numbers: e.numbers, body: e.body[:0]}
}

func (e *logEncoder) full() bool {
	return e.count >= logFrameRequests || e.count > 0 && e.last-e.first > logFrameUS
}

func (e *logEncoder) add(r *Request) {
	if e.count == 0 {
		e.first, e.last = r.IntendedUS, r.IntendedUS
	}
	e.first, e.last = min(e.first, r.IntendedUS), max(e.last, r.IntendedUS)
	e.body = binary.AppendVarint(e.body, r.IntendedUS-e.before)
	e.body = binary.AppendVarint(e.body, r.SentUS-r.IntendedUS)
	e.body = binary.AppendVarint(e.body, r.LatencyUS)
	for _, name := range [...]string{r.Type, r.Service, r.Status} {
		n, ok := e.numbers[name]
		if !ok {
			if e.numbers == nil {
				e.numbers = make(map[string]uint64)
			}
			n = uint64(len(e.names))
			e.numbers[name] = n
			e.names = append(e.names, name)
		}
		e.body = binary.AppendUvarint(e.body, n)
	}
	e.before = r.IntendedUS
	e.count++
}

func (e *logEncoder) frame() *frame {
	payload := binary.AppendUvarint(nil, uint64(len(e.names)))
	for _, name := range e.names {
		payload = binary.AppendUvarint(payload, uint64(len(name)))
		payload = append(payload, name...)
	}
	return &frame{count: e.count, first: e.first, last: e.last, payload: append(payload, e.body...)}
}

// decodeRequests appends the requests of a frame to dst. Names are shared
// through intern.
func decodeRequests(dst []Request, f *frame, intern map[string]string) ([]Request, error) {
	r := payloadReader{buf: f.payload}
	var names []string
	for n := r.uvarint(); n > 0 && !r.bad; n-- {
		b := r.bytes(r.uvarint())
		name, ok := intern[string(b)]
		if !ok {
			name = string(b)
			intern[name] = name
		}
		names = append(names, name)
	}
	name := func() string {
		n := r.uvarint()
		if n >= uint64(len(names)) {
			r.bad = true
			return ""
		}
		return names[n]
	}
	before := int64(0)
	for range f.count {
		q := Request{IntendedUS: before + r.varint()}
		q.SentUS = q.IntendedUS + r.varint()
		q.LatencyUS = r.varint()
		q.Type, q.Service, q.Status = name(), name(), name()
		if r.bad {
			return dst, ErrCorrupt
		}
		before = q.IntendedUS
		dst = append(dst, q)
	}
	if r.bad || len(r.buf) != 0 {
		return dst, ErrCorrupt
	}
	return dst, nil
}

// payloadReader takes fields off the front of a payload and remembers that it
// ran out.
type payloadReader struct {
	buf []byte
	bad bool
}

func (r *payloadReader) uvarint() uint64 {
	v, n := binary.Uvarint(r.buf)
	if !r.advance(n) {
		return 0
	}
	return v
}

func (r *payloadReader) varint() int64 {
	v, n := binary.Varint(r.buf)
	if !r.advance(n) {
		return 0
	}
	return v
}

// advance passes a varint of n bytes; n <= 0 says that there was none.
func (r *payloadReader) advance(n int) bool {
	if n <= 0 {
		r.bad, r.buf = true, nil
		return false
	}
	r.buf = r.buf[n:]
	return true
}

func (r *payloadReader) bytes(n uint64) []byte {
	if n > uint64(len(r.buf)) {
		r.bad, r.buf = true, nil
		return nil
	}
	b := r.buf[:n]
	r.buf = r.buf[n:]
	return b
}

// readLog iterates over a request log in order of the intended time. It reads
// the headers first, to learn up to which time each part of the file can still
// add requests, so that memory holds only those that ended out of order.
func readLog(path string) iter.Seq2[Request, error] {
	return func(yield func(Request, error) bool) {
		if err := sortLog(path, yield); err != nil {
			yield(Request{}, err)
		}
	}
}

func sortLog(path string, yield func(Request, error) bool) error {
	bounds, err := logBounds(path)
	if err != nil {
		return err
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	fr, err := newFrameReader(path, f, requestsMagic)
	if err != nil {
		return err
	}
	var fm frame
	var batch []Request
	pending := minHeap[loggedRequest]{less: (*loggedRequest).before}
	ended := 0
	intern := make(map[string]string)
	for i := range bounds {
		if err := fr.next(&fm); err != nil {
			return err
		}
		if batch, err = decodeRequests(batch[:0], &fm, intern); err != nil {
			return fmt.Errorf("%s at offset %d: %w", path, fm.offset, err)
		}
		for _, r := range batch {
			pending.push(loggedRequest{r, ended})
			ended++
		}
		bound := int64(math.MaxInt64)
		if i+1 < len(bounds) {
			bound = bounds[i+1]
		}
		for pending.len() > 0 && pending.least().IntendedUS < bound {
			if !yield(pending.pop().Request, nil) {
				return nil
			}
		}
	}
	return nil
}

// loggedRequest is a request and its place in the log: requests meant for one
// moment stay in the order in which they ended.
type loggedRequest struct {
	Request
	ended int
}

func (r *loggedRequest) before(s *loggedRequest) bool {
	return r.IntendedUS < s.IntendedUS || r.IntendedUS == s.IntendedUS && r.ended < s.ended
}

// logBounds returns for each whole frame the lowest intended time in it and all
// after it. A frame cut off at the end is none.
func logBounds(path string) ([]int64, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	fr, err := newFrameReader(path, f, requestsMagic)
	if err != nil {
		return nil, err
	}
	var bounds []int64
	for {
		var fm frame
		err := fr.next(&fm)
		if errors.Is(err, io.EOF) || errors.Is(err, ErrCorrupt) {
			break
		}
		if err != nil {
			return nil, err
		}
		bounds = append(bounds, fm.first)
	}
	for i := len(bounds) - 2; i >= 0; i-- {
		bounds[i] = min(bounds[i], bounds[i+1])
	}
	return bounds, nil
}
