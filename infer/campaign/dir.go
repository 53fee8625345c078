package campaign

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"sync"

	"seer/infer/topology"
)

// Dir reads a campaign's directory, complete or not. What may be larger than
// memory is streamed. Its methods may be called from several goroutines.
type Dir struct {
	Path     string
	Manifest Manifest // with its Topology

	indexOnce sync.Once
	index     []seconds10
	indexErr  error
}

// Open reads the manifest and the topology of a directory.
func Open(dir string) (*Dir, error) {
	m, err := readManifest(dir)
	if err != nil {
		return nil, err
	}
	path := filepath.Join(dir, topologyFile)
	if m.Topology, err = topology.Load(path); err != nil {
		return nil, fmt.Errorf("campaign %q: %w", dir, err)
	}
	return &Dir{Path: dir, Manifest: *m}, nil
}

func (d *Dir) path(name string) string { return filepath.Join(d.Path, name) }

func readManifest(dir string) (*Manifest, error) {
	path := filepath.Join(dir, manifestFile)
	data, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%q is no campaign: it has no %s: %w", dir, manifestFile, err)
	}
	if err != nil {
		return nil, err
	}
	m := new(Manifest)
	if err := json.Unmarshal(data, m); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if problems := m.problems(); len(problems) > 0 {
		return nil, fmt.Errorf("%s: %s", path, problems[0])
	}
	return m, nil
}

// Faults returns the truth, in order.
func (d *Dir) Faults() ([]Fault, error) {
	faults, _, err := readTruth(d.path(truthFile))
	return faults, err
}

// Violations returns the violations of a complete campaign, by onset.
func (d *Dir) Violations() ([]Violation, error) {
	if !d.Manifest.Complete {
		return nil, fmt.Errorf("campaign %q is not complete: its violations are not derived yet: resume it", d.Path)
	}
	violations, _, err := readLines[Violation](d.path(violationsFile))
	return violations, err
}

// Requests iterates over the users' requests in order of the intended time. It
// stops after an error.
func (d *Dir) Requests() iter.Seq2[Request, error] {
	if d.Manifest.Complete {
		return readParquet(d.path(requestsFile))
	}
	return readLog(d.path(requestLogFile))
}

func readTruth(path string) ([]Fault, int64, error) { return readLines[Fault](path) }

// readLines reads a file of JSON lines, and returns the size of the whole ones:
// a last line without its end was being written when the writer died.
func readLines[T any](path string) (lines []T, whole int64, err error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, 0, err
	}
	for n := 1; ; n++ {
		line, rest, found := bytes.Cut(data[whole:], []byte("\n"))
		if !found {
			return lines, whole, nil
		}
		var v T
		if err := json.Unmarshal(line, &v); err != nil {
			return lines, whole, fmt.Errorf("%s line %d: %w: %w", path, n, err, ErrCorrupt)
		}
		lines = append(lines, v)
		whole = int64(len(data) - len(rest))
	}
}
