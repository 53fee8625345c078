package baseline

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"

	"seer/infer/model"
)

// A baseline's file is one line, then JSON, which the line has the CRC-32C of:
//
//	seer baseline 1 6f1c2a0b
const (
	magic    = "seer baseline"
	version  = 1
	maxBytes = 64 << 20 // 200 trees have 200 kB; a scale of 4,000 services 2 MB
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// ErrFormat is returned, wrapped, for a file that is no baseline, or a damaged one.
var ErrFormat = errors.New("not a baseline, or damaged")

// IsFile says whether a file begins as those of baselines do.
func IsFile(head []byte) bool { return bytes.HasPrefix(head, []byte(magic+" ")) }

// Encode returns the bytes of the model's file.
func (m *Model) Encode() ([]byte, error) {
	body, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("baseline %s: %w", m.Name, err)
	}
	return append(fmt.Appendf(nil, "%s %d %08x\n", magic, version, crc32.Checksum(body, castagnoli)), body...), nil
}

// Decode reads a model from the bytes of its file.
func Decode(data []byte) (*Model, error) {
	line, body, found := bytes.Cut(data, []byte("\n"))
	var v int
	var sum uint32
	if !found || !IsFile(line) {
		return nil, ErrFormat
	}
	if n, err := fmt.Sscanf(string(line[len(magic):]), " %d %x", &v, &sum); n != 2 || err != nil {
		return nil, fmt.Errorf("its first line is %q: %w", line, ErrFormat)
	}
	if v != version {
		return nil, fmt.Errorf("format %d, this build reads %d: train it again with `seer train --baseline`", v, version)
	}
	if got := crc32.Checksum(body, castagnoli); got != sum {
		return nil, fmt.Errorf("checksum %08x, want %08x: %w", got, sum, ErrFormat)
	}
	m := &Model{}
	if err := json.Unmarshal(body, m); err != nil {
		return nil, fmt.Errorf("%w: %w", err, ErrFormat)
	}
	if m.Layout == nil || m.Scale == nil {
		return nil, fmt.Errorf("no layout or normalisation: %w", ErrFormat)
	}
	if err := m.Layout.Validate(); err != nil {
		return nil, fmt.Errorf("%w: %w", err, ErrFormat)
	}
	if err := m.Scale.Validate(m.Layout.Shape); err != nil {
		return nil, fmt.Errorf("%w: %w", err, ErrFormat)
	}
	if !(m.Threshold > 0) || m.Threshold > 1 {
		return nil, fmt.Errorf("threshold %v: want above 0, at most 1: %w", m.Threshold, ErrFormat)
	}
	if _, err := m.Predictor(); err != nil {
		return nil, fmt.Errorf("%w: %w", err, ErrFormat)
	}
	return m, nil
}

// Save writes the model's file, which appears when it is whole.
func (m *Model) Save(path string) error {
	data, err := m.Encode()
	if err != nil {
		return err
	}
	return model.WriteWhole(path, data)
}

// Load reads a model's file.
func Load(path string) (*Model, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxBytes+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxBytes {
		return nil, fmt.Errorf("%s: more than %d MiB: %w", path, maxBytes>>20, ErrFormat)
	}
	m, err := Decode(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return m, nil
}
