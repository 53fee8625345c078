//go:build linux && amd64

package vm

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"os/exec"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// bzImage wraps a payload as the kernel's build does.
func bzImage(payload []byte) []byte {
	const sectors, offset = 27, 1000
	bz := make([]byte, (sectors+1)*512+offset)
	bz[0x1f1] = sectors
	copy(bz[0x202:], "HdrS")
	binary.LittleEndian.PutUint16(bz[0x206:], 0x20f)
	binary.LittleEndian.PutUint32(bz[0x248:], offset)
	binary.LittleEndian.PutUint32(bz[0x24c:], uint32(len(payload)))
	return append(append(bz, payload...), "what follows the payload"...)
}

func TestDecompressKernel(t *testing.T) {
	elf := append([]byte("\x7fELF"), bytes.Repeat([]byte("kernel "), 10_000)...)
	size := binary.LittleEndian.AppendUint32(nil, uint32(len(elf)))
	pack := map[string]func() []byte{
		"gzip": func() []byte {
			var b bytes.Buffer
			w := gzip.NewWriter(&b)
			w.Write(elf)
			w.Close()
			return b.Bytes() // gzip carries the size itself
		},
		"zstd": func() []byte {
			w, err := zstd.NewWriter(nil)
			if err != nil {
				t.Fatal(err)
			}
			return append(w.EncodeAll(elf, nil), size...)
		},
		"lz4": func() []byte {
			var b bytes.Buffer
			w := lz4.NewWriter(&b)
			if err := w.Apply(lz4.LegacyOption(true)); err != nil {
				t.Fatal(err)
			}
			w.Write(elf)
			w.Close()
			return append(b.Bytes(), size...)
		},
		"xz": func() []byte {
			cmd := exec.Command("xz", "--check=crc32")
			cmd.Stdin = bytes.NewReader(elf)
			out, err := cmd.Output()
			if err != nil {
				t.Fatalf("xz: %v", err)
			}
			return append(out, size...)
		},
	}
	for name, payload := range pack {
		t.Run(name, func(t *testing.T) {
			got, err := decompressKernel(bzImage(payload()))
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, elf) {
				t.Errorf("decompressKernel(%s) = %d bytes, want the %d that were packed", name, len(got), len(elf))
			}
		})
	}
}

func TestDecompressKernelRejects(t *testing.T) {
	truncated := bzImage(bytes.Repeat([]byte{1}, 64))
	tests := map[string][]byte{
		"empty":     nil,
		"an ELF":    append([]byte("\x7fELF"), make([]byte, 1024)...),
		"truncated": truncated[:len(truncated)-64],
	}
	for name, image := range tests {
		if _, err := decompressKernel(image); !errors.Is(err, errNotBzImage) {
			t.Errorf("decompressKernel(%s) = %v, want %v", name, err, errNotBzImage)
		}
	}
	if _, err := decompressKernel(bzImage([]byte("no known magic"))); err == nil {
		t.Error("decompressKernel(unknown compression) = nil, want an error")
	}
}
