//go:build linux

package host

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
)

// Kind says what an entry of a journal is about.
type Kind string

// The kinds of things that outlive the process that made them.
const (
	KindCgroup     Kind = "cgroup"     // Paths: one directory in each hierarchy
	KindController Kind = "controller" // Name was turned on for the children of the cgroup Paths[0]
	KindProcess    Kind = "process"    // PID and Start
	KindMount      Kind = "mount"      // Paths[0] is where
	KindDirectory  Kind = "directory"  // Paths[0] and everything below
)

// Entry is one line of a journal.
type Entry struct {
	Kind  Kind     `json:"kind"`
	Name  string   `json:"name,omitempty"` // the container, or the controller
	Paths []string `json:"paths,omitempty"`
	PID   int      `json:"pid,omitempty"`
	Start uint64   `json:"start,omitempty"` // clock ticks since boot, /proc/PID/stat field 22
}

// Journal is a file of JSON lines: what may exist and has to be removed. An
// entry is on disk before the thing is made, so that the file may name what
// never came to be, but misses nothing. Processes are the exception: a process
// is noted as soon as it has an id, and is in a cgroup of the journal anyway.
type Journal struct {
	path string
	mu   sync.Mutex
	f    *os.File
}

// OpenJournal opens a journal to add to it, and creates it first if need be.
func OpenJournal(path string) (*Journal, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	if err := syncDirectory(filepath.Dir(path)); err != nil {
		f.Close()
		return nil, fmt.Errorf("journal: %w", err)
	}
	return &Journal{path: path, f: f}, nil
}

// Add writes an entry down and waits until it is on disk.
func (j *Journal) Add(e Entry) error {
	line, err := json.Marshal(e)
	if err != nil {
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	// It begins with a newline where a writer that died left half a line: what
	// follows must be whole.
	if _, err := j.f.Write(append(append([]byte{'\n'}, line...), '\n')); err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	if err := j.f.Sync(); err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	return nil
}

// Close closes the file. It removes nothing.
func (j *Journal) Close() error { return j.f.Close() }

// ReadJournal returns the entries of a journal, none where there is no file. A
// line that was cut short stands for something that was never made.
func ReadJournal(path string) ([]Entry, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	var entries []Entry
	for line := range bytes.Lines(text) {
		var e Entry
		if json.Unmarshal(line, &e) == nil {
			entries = append(entries, e)
		}
	}
	return entries, nil
}

func syncDirectory(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
