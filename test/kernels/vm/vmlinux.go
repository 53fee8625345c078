//go:build linux && amd64

package vm

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"

	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// errNotBzImage is returned for a file that is no x86 boot image.
var errNotBzImage = errors.New("not an x86 bzImage")

// decompressKernel returns the ELF vmlinux inside a bzImage.
//
// The place of the compressed kernel is part of the boot protocol (2.08 and
// later; Documentation/arch/x86/boot.rst), so nothing is searched for.
func decompressKernel(bz []byte) ([]byte, error) {
	const (
		setupSects    = 0x1f1 // byte: 512-byte sectors of real-mode code, less one
		magic         = 0x202 // "HdrS"
		version       = 0x206 // u16
		payloadOffset = 0x248 // u32, from the end of the real-mode code
		payloadLength = 0x24c // u32
		headerEnd     = 0x250
	)
	if len(bz) < headerEnd || string(bz[magic:magic+4]) != "HdrS" {
		return nil, errNotBzImage
	}
	if v := binary.LittleEndian.Uint16(bz[version:]); v < 0x208 {
		return nil, fmt.Errorf("%w: boot protocol %#x, want 0x208 or later", errNotBzImage, v)
	}
	sectors := uint64(bz[setupSects])
	if sectors == 0 {
		sectors = 4 // as the boot protocol says
	}
	start := (sectors+1)*512 + uint64(binary.LittleEndian.Uint32(bz[payloadOffset:]))
	end := start + uint64(binary.LittleEndian.Uint32(bz[payloadLength:]))
	if end > uint64(len(bz)) || end-start < 8 {
		return nil, fmt.Errorf("%w: payload %d..%d of %d bytes", errNotBzImage, start, end, len(bz))
	}
	elf, err := decompress(bz[start:end])
	if err != nil {
		return nil, err
	}
	if !bytes.HasPrefix(elf, []byte("\x7fELF")) {
		return nil, fmt.Errorf("payload is not ELF: starts with % x", elf[:min(4, len(elf))])
	}
	return elf, nil
}

// decompress expands one kernel payload or module by its magic number. Every
// payload but gzip's is followed by its expanded size in 4 bytes, which the
// stream formats take for garbage.
func decompress(p []byte) ([]byte, error) {
	switch {
	case bytes.HasPrefix(p, []byte{0x1f, 0x8b}):
		r, err := gzip.NewReader(bytes.NewReader(p))
		if err != nil {
			return nil, err
		}
		r.Multistream(false)
		return io.ReadAll(r)
	case bytes.HasPrefix(p, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		r, err := zstd.NewReader(bytes.NewReader(p[:len(p)-4]), zstd.WithDecoderMaxWindow(1<<30))
		if err != nil {
			return nil, err
		}
		defer r.Close()
		return io.ReadAll(r)
	case bytes.HasPrefix(p, []byte{0x02, 0x21, 0x4c, 0x18}):
		return io.ReadAll(lz4.NewReader(bytes.NewReader(p[:len(p)-4])))
	case bytes.HasPrefix(p, []byte{0xfd, '7', 'z', 'X', 'Z'}):
		return unxz(p)
	}
	return nil, fmt.Errorf("unknown compression: starts with % x", p[:4])
}

// unxz uses the xz program: the Go module proxy has decoders, but a kernel is
// the only xz file this project ever meets.
func unxz(p []byte) ([]byte, error) {
	cmd := exec.Command("xz", "--decompress", "--stdout", "--single-stream")
	cmd.Stdin = bytes.NewReader(p)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("xz (package xz-utils): %w: %s", err, strings.TrimSpace(stderr.String()))
	}
	return stdout.Bytes(), nil
}
