package campaign

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

// samples.seer and the request log of an unfinished campaign are sequences of
// frames behind a file header. All integers are little endian.
//
//	file header, 16 bytes
//	  0  8  magic
//	  8  4  version
//	 12  4  zero
//	frame header, 32 bytes, then the payload
//	  0  4  index: which container the payload belongs to
//	  4  4  count of ticks in it (in the request log: of requests)
//	  8  8  first: start of the first tick, ns (lowest intended time, us)
//	 16  8  last: end of the last tick, ns (highest intended time, us)
//	 24  4  length of the payload, bytes
//	 28  4  CRC32C of the 28 bytes before and of the payload
//
// first and last let a reader skip what lies outside its window without
// decoding it.
const (
	fileHeaderSize  = 16
	frameHeaderSize = 32
	frameVersion    = 1

	// maxPayload bounds what a reader allocates on the word of a header. A
	// chunk of the most ticks of all queues has 8 MB.
	maxPayload = 16 << 20
)

type magic [8]byte

var (
	samplesMagic  = magic([]byte("SEERSAMP"))
	requestsMagic = magic([]byte("SEERREQS"))

	castagnoli = crc32.MakeTable(crc32.Castagnoli)
)

// ErrCorrupt is returned, wrapped with file and offset, for bytes that are not
// what a campaign's file holds there: damaged, or cut off when its writer died.
var ErrCorrupt = errors.New("damaged or cut off")

// frame is one frame. A reader reuses its payload.
type frame struct {
	index, count uint32
	first, last  int64
	payload      []byte

	offset int64 // of its header in the file
}

// size returns the bytes that the frame takes in the file.
func (f *frame) size() int64 { return frameHeaderSize + int64(len(f.payload)) }

func appendFileHeader(dst []byte, m magic) []byte {
	dst = append(dst, m[:]...)
	return binary.LittleEndian.AppendUint64(dst, frameVersion)
}

func appendFrame(dst []byte, f *frame) []byte {
	begin := len(dst)
	dst = binary.LittleEndian.AppendUint32(dst, f.index)
	dst = binary.LittleEndian.AppendUint32(dst, f.count)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(f.first))
	dst = binary.LittleEndian.AppendUint64(dst, uint64(f.last))
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(f.payload)))
	sum := crc32.Update(0, castagnoli, dst[begin:])
	dst = binary.LittleEndian.AppendUint32(dst, crc32.Update(sum, castagnoli, f.payload))
	return append(dst, f.payload...)
}

// frameReader reads frames one after the other, in memory that does not grow
// with the file.
type frameReader struct {
	name   string
	r      *bufio.Reader
	offset int64 // of the next frame
	header [frameHeaderSize]byte
	buf    []byte
}

func newFrameReader(name string, r io.Reader, m magic) (*frameReader, error) {
	fr := &frameReader{name: name, r: bufio.NewReaderSize(r, 256<<10)}
	var h [fileHeaderSize]byte
	if _, err := io.ReadFull(fr.r, h[:]); err != nil {
		return nil, fr.damage("no file header", err)
	}
	if magic(h[:8]) != m {
		return nil, fr.damage(fmt.Sprintf("begins with %q, not %q", h[:8], m[:]), nil)
	}
	if v := binary.LittleEndian.Uint64(h[8:]); v != frameVersion {
		return nil, fmt.Errorf("%s: format %d, this build reads %d: use the matching build", name, v, frameVersion)
	}
	fr.offset = fileHeaderSize
	return fr, nil
}

// seek goes on at the offset of a frame.
func (r *frameReader) seek(f io.ReadSeeker, offset int64) error {
	if _, err := f.Seek(offset, io.SeekStart); err != nil {
		return err
	}
	r.r.Reset(f)
	r.offset = offset
	return nil
}

// damage returns ErrCorrupt with the place; an error of the disk keeps its own
// cause.
func (r *frameReader) damage(what string, err error) error {
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%s at offset %d: %w", r.name, r.offset, err)
	}
	return fmt.Errorf("%s at offset %d: %s: %w", r.name, r.offset, what, ErrCorrupt)
}

// next reads a frame. Its payload is valid until the next call. It returns
// io.EOF after the last one, and an error that wraps ErrCorrupt where the file
// holds none.
func (r *frameReader) next(f *frame) error {
	return r.read(f, func(*frame) bool { return true })
}

// read reads frames until one is wanted, by its header; the payloads of others
// are skipped unchecked.
func (r *frameReader) read(f *frame, want func(*frame) bool) error {
	for {
		h := r.header[:]
		if _, err := io.ReadFull(r.r, h); err == io.EOF {
			return io.EOF
		} else if err != nil {
			return r.damage("ends within a frame's header", err)
		}
		f.offset = r.offset
		f.index = binary.LittleEndian.Uint32(h)
		f.count = binary.LittleEndian.Uint32(h[4:])
		f.first = int64(binary.LittleEndian.Uint64(h[8:]))
		f.last = int64(binary.LittleEndian.Uint64(h[16:]))
		n := int(binary.LittleEndian.Uint32(h[24:]))
		if n > maxPayload {
			return r.damage(fmt.Sprintf("frame of %d bytes", n), nil)
		}
		if !want(f) {
			if _, err := r.r.Discard(n); err != nil {
				return r.damage("ends within a frame", err)
			}
			r.offset += frameHeaderSize + int64(n)
			continue
		}
		if cap(r.buf) < n {
			r.buf = make([]byte, n)
		}
		f.payload = r.buf[:n]
		if _, err := io.ReadFull(r.r, f.payload); err != nil {
			return r.damage("ends within a frame", err)
		}
		sum := crc32.Update(crc32.Update(0, castagnoli, h[:28]), castagnoli, f.payload)
		if sum != binary.LittleEndian.Uint32(h[28:]) {
			return r.damage("checksum differs", nil)
		}
		r.offset += f.size()
		return nil
	}
}
