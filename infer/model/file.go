package model

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"

	"seer/infer/window"
)

// A model file is, in this order: magic, the version of the format (2 bytes), the
// length of the header (4), the header in JSON, the numbers that it announces as
// float32 (the means, the scales, the weights in the header's order), and the SHA-256
// of all that. Little-endian.
const (
	magic   = "SEERMODL"
	version = 1
)

// Bounds on what a file may say, far beyond any network of Seer's.
const (
	maxFile    = 256 << 20
	maxQueues  = 1 << 10
	maxSlots   = 1 << 16
	maxTicks   = 1 << 14
	maxTensors = 1 << 10
	maxSide    = 1 << 20
)

// Errors of a file.
var (
	ErrNoModel = errors.New("not a model of Seer's")
	ErrVersion = errors.New("a model of another version of Seer")
	ErrDamaged = errors.New("a damaged model")
)

const again = "run `seer train` to make it again"

type header struct {
	Kind        string        `json:"kind"`
	Layout      window.Layout `json:"layout"`
	Scale       *window.Scale `json:"scale,omitempty"`
	Temperature float32       `json:"temperature"`
	NoneBias    float32       `json:"none_bias"`
	Threshold   float32       `json:"threshold"`
	Weights     []Tensor      `json:"weights"`
	Card        Card          `json:"card"`
}

// Encode returns the bytes of a model's file.
func (m *Model) Encode() ([]byte, error) {
	if err := m.check(); err != nil {
		return nil, fmt.Errorf("a model that cannot be stored: %w", err)
	}
	text, err := json.Marshal(header{m.Kind, m.Layout, m.Scale, m.Temperature, m.NoneBias, m.Threshold, m.Weights, m.Card})
	if err != nil {
		return nil, fmt.Errorf("the header of a model: %w", err)
	}
	b := append([]byte(magic), 0, 0, 0, 0, 0, 0)
	binary.LittleEndian.PutUint16(b[len(magic):], version)
	binary.LittleEndian.PutUint32(b[len(magic)+2:], uint32(len(text)))
	b = append(b, text...)
	for _, numbers := range m.numbers() {
		for _, v := range numbers {
			b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
		}
	}
	sum := sha256.Sum256(b)
	return append(b, sum[:]...), nil
}

// numbers are all arrays of a model, in the order of the file.
func (m *Model) numbers() [][]float32 {
	all := [][]float32{m.Norm.Mean, m.Norm.Scale}
	for i := range m.Weights {
		all = append(all, m.Weights[i].Numbers)
	}
	return all
}

// Decode reads what Encode returned.
func Decode(b []byte) (*Model, error) {
	const front = len(magic) + 2 + 4
	if len(b) < front || string(b[:len(magic)]) != magic {
		return nil, fmt.Errorf("%w: it does not begin with %q: give a file that `seer train` wrote", ErrNoModel, magic)
	}
	if v := binary.LittleEndian.Uint16(b[len(magic):]); v != version {
		return nil, fmt.Errorf("%w: format %d, this one reads %d: %s", ErrVersion, v, version, again)
	}
	if len(b) < front+sha256.Size {
		return nil, fmt.Errorf("%w: it ends after %d bytes: %s", ErrDamaged, len(b), again)
	}
	body, sum := b[:len(b)-sha256.Size], b[len(b)-sha256.Size:]
	if got := sha256.Sum256(body); !bytes.Equal(got[:], sum) {
		return nil, fmt.Errorf("%w: its checksum is wrong, it was cut off or changed: %s", ErrDamaged, again)
	}
	length := int64(binary.LittleEndian.Uint32(b[len(magic)+2:]))
	if length > int64(len(body)-front) {
		return nil, fmt.Errorf("%w: its header is longer than the file: %s", ErrDamaged, again)
	}
	var h header
	if err := json.Unmarshal(body[front:front+int(length)], &h); err != nil {
		return nil, fmt.Errorf("%w: its header: %w: %s", ErrDamaged, err, again)
	}
	m := &Model{
		Kind: h.Kind, Layout: h.Layout, Scale: h.Scale, Weights: h.Weights,
		Temperature: h.Temperature, NoneBias: h.NoneBias, Threshold: h.Threshold,
		Card: h.Card,
	}
	if err := m.take(body[front+int(length):]); err != nil {
		return nil, fmt.Errorf("%w: %w: %s", ErrDamaged, err, again)
	}
	if err := m.check(); err != nil {
		return nil, fmt.Errorf("%w: %w: %s", ErrDamaged, err, again)
	}
	return m, nil
}

// take cuts the numbers out of what follows the header.
func (m *Model) take(b []byte) error {
	if err := m.checkShape(); err != nil {
		return err
	}
	cells := m.Layout.Shape.Queues * m.Layout.Shape.Services
	want := int64(2 * cells)
	for i := range m.Weights {
		want += int64(m.Weights[i].Rows) * int64(m.Weights[i].Columns)
	}
	if want*4 != int64(len(b)) {
		return fmt.Errorf("%d bytes of numbers where the header announces %d", len(b), want*4)
	}
	next := func(n int) []float32 {
		numbers := make([]float32, n)
		for i := range numbers {
			numbers[i] = math.Float32frombits(binary.LittleEndian.Uint32(b[i*4:]))
		}
		b = b[n*4:]
		return numbers
	}
	m.Norm = Norm{Mean: next(cells), Scale: next(cells)}
	for i := range m.Weights {
		m.Weights[i].Numbers = next(m.Weights[i].Rows * m.Weights[i].Columns)
	}
	return nil
}

// checkShape holds the sizes that a header gives to their bounds and to each other.
func (m *Model) checkShape() error {
	l := &m.Layout
	s := l.Shape
	switch {
	case s.Queues < 1 || s.Queues > maxQueues || s.Queues != len(l.Queues):
		return fmt.Errorf("%d queues, %d names of queues", s.Queues, len(l.Queues))
	case s.Services < 1 || s.Services > maxSlots || s.Services != len(l.Services):
		return fmt.Errorf("%d services, %d names of services", s.Services, len(l.Services))
	case s.Ticks < 1 || s.Ticks > maxTicks || l.TickMS < 1 || l.HorizonMS < 1:
		return fmt.Errorf("%d ticks of %d ms, horizon %d ms", s.Ticks, l.TickMS, l.HorizonMS)
	case len(m.Weights) == 0 || len(m.Weights) > maxTensors:
		return fmt.Errorf("%d matrices of weights", len(m.Weights))
	}
	for _, e := range l.Edges {
		if min(e[0], e[1]) < 0 || max(e[0], e[1]) >= s.Services {
			return fmt.Errorf("a call from slot %d to slot %d of %d", e[0], e[1], s.Services)
		}
	}
	total := int64(0)
	for i := range m.Weights {
		w := &m.Weights[i]
		if w.Rows < 1 || w.Columns < 1 || w.Rows > maxSide || w.Columns > maxSide {
			return fmt.Errorf("weights %q of %d x %d", w.Name, w.Rows, w.Columns)
		}
		total += int64(w.Rows) * int64(w.Columns)
	}
	if total > maxFile/4 {
		return fmt.Errorf("%d weights", total)
	}
	return nil
}

func (m *Model) check() error {
	if err := m.checkShape(); err != nil {
		return err
	}
	cells := m.Layout.Shape.Queues * m.Layout.Shape.Services
	if len(m.Norm.Mean) != cells || len(m.Norm.Scale) != cells {
		return fmt.Errorf("statistics of %d and %d cells, %d queues at services", len(m.Norm.Mean), len(m.Norm.Scale), cells)
	}
	if m.Scale != nil {
		if err := m.Scale.Validate(m.Layout.Shape); err != nil {
			return err
		}
	}
	for i := range m.Weights {
		if w := &m.Weights[i]; len(w.Numbers) != w.Rows*w.Columns {
			return fmt.Errorf("weights %q: %d numbers, %d x %d", w.Name, len(w.Numbers), w.Rows, w.Columns)
		}
	}
	for _, numbers := range append(m.numbers(), []float32{m.Temperature, m.NoneBias, m.Threshold}) {
		for _, v := range numbers {
			if v != v || math.IsInf(float64(v), 0) {
				return fmt.Errorf("%w: %v among its numbers", ErrNumber, v)
			}
		}
	}
	if m.Temperature <= 0 {
		return fmt.Errorf("temperature %v", m.Temperature)
	}
	return nil
}

// IsFile reports whether a file that begins so is a model's.
func IsFile(head []byte) bool { return bytes.HasPrefix(head, []byte(magic)) }

// Read reads a model's file.
func Read(path string) (*Model, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxFile))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	m, err := Decode(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return m, nil
}

// Write puts a model into a file, whole or not at all.
func (m *Model) Write(path string) error {
	b, err := m.Encode()
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return WriteWhole(path, b)
}

// WriteWhole replaces a file so that a reader, or a machine that stops, finds the
// old bytes or the new ones.
func WriteWhole(path string, b []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(b)
	err = errors.Join(err, f.Chmod(0o644), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}
