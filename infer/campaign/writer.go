package campaign

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"seer/collector"
	"seer/infer/topology"
)

// The files of a directory.
const (
	manifestFile   = "manifest.json"
	topologyFile   = "topology.yaml"
	truthFile      = "truth.jsonl"
	violationsFile = "violations.jsonl"
	requestsFile   = "requests.parquet"
	requestLogFile = "requests.log" // until the campaign is complete
	samplesFile    = "samples.seer"
)

// Writer writes a campaign's directory. Its methods may be called from several
// goroutines. After an error of the disk they return that error; what was
// written until then can be resumed.
type Writer struct {
	dir     string
	samples *SampleWriter

	mu       sync.Mutex // guards what follows
	manifest Manifest
	truth    *os.File
	truthErr error
	lastID   int
	requests *appender
	log      logEncoder
	closed   bool
	closeErr error
}

// Create begins a campaign in a directory that does not exist or is empty. The
// manifest must have everything but Schema and Complete, which Create sets,
// and Containers that come later (Update). On an error nothing is left behind.
func Create(dir string, m Manifest, app *topology.App) (*Writer, error) {
	m.Schema, m.Complete = SchemaVersion, false
	if problems := m.problems(); len(problems) > 0 {
		return nil, fmt.Errorf("campaign %q: manifest: %s", dir, problems[0])
	}
	description, err := app.Marshal()
	if err != nil {
		return nil, fmt.Errorf("campaign %q: %w", dir, err)
	}
	made, err := emptyDir(dir)
	if err != nil {
		return nil, err
	}
	w := &Writer{dir: dir, manifest: m.clone()}
	if err := w.create(description); err != nil {
		_ = w.closeFiles() // err says why
		for _, name := range []string{manifestFile, topologyFile, truthFile, requestLogFile, samplesFile} {
			os.Remove(w.path(name))
		}
		if made {
			os.Remove(dir)
		}
		return nil, fmt.Errorf("create campaign %q: %w", dir, advise(err))
	}
	return w, nil
}

func (w *Writer) create(description []byte) (err error) {
	if err = writeFile(w.path(topologyFile), func(f *os.File) error {
		_, err := f.Write(description)
		return err
	}); err != nil {
		return err
	}
	if w.truth, err = os.OpenFile(w.path(truthFile), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644); err != nil {
		return err
	}
	if err = lockDir(w.truth, w.dir); err != nil {
		return err
	}
	if w.requests, err = createFrames(w.path(requestLogFile), requestsMagic); err != nil {
		return err
	}
	samples, err := createFrames(w.path(samplesFile), samplesMagic)
	if err != nil {
		return err
	}
	w.samples = newSampleWriter(samples, &w.manifest)
	// The manifest comes last: where there is one, there is the rest.
	return w.writeManifest()
}

// emptyDir makes a directory, unless it is there and empty.
func emptyDir(dir string) (made bool, err error) {
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return true, os.MkdirAll(dir, 0o755)
	case err != nil:
		return false, err
	case len(entries) == 0:
		return false, nil
	}
	if _, err := os.Stat(filepath.Join(dir, manifestFile)); err == nil {
		return false, fmt.Errorf("directory %q holds a campaign already: give another, or resume that one", dir)
	}
	return false, fmt.Errorf("directory %q is not empty: give another", dir)
}

func (w *Writer) path(name string) string { return filepath.Join(w.dir, name) }

// Manifest returns the manifest as it is now.
func (w *Writer) Manifest() Manifest {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.manifest.clone()
}

// Update changes the manifest and writes it. Samples address containers by
// index, so that they may be added and end (UntilMS), but not change; what the
// campaign is stays as well.
func (w *Writer) Update(change func(*Manifest)) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	m := w.manifest.clone()
	change(&m)
	if problems := m.problems(); len(problems) > 0 {
		return fmt.Errorf("campaign %q: manifest: %s", w.dir, problems[0])
	}
	old := &w.manifest
	switch {
	case len(m.Containers) < len(old.Containers) || !slices.EqualFunc(m.Containers[:len(old.Containers)], old.Containers, sameContainer):
		return fmt.Errorf("campaign %q: manifest: containers may be added and end, not change", w.dir)
	case m.App != old.App || m.Seed != old.Seed || !m.Start.Equal(old.Start) || m.TickMS != old.TickMS ||
		m.Complete != old.Complete || !slices.Equal(m.Queues, old.Queues):
		return fmt.Errorf("campaign %q: manifest: application, seed, start, tick and queues of a campaign do not change", w.dir)
	}
	before := w.manifest
	w.manifest = m
	if err := w.writeManifest(); err != nil {
		w.manifest = before
		return fmt.Errorf("campaign %q: write the manifest: %w", w.dir, err)
	}
	w.samples.grow(len(m.Containers))
	return nil
}

func sameContainer(a, b Container) bool {
	a.UntilMS, b.UntilMS = 0, 0
	return a == b
}

func (w *Writer) writeManifest() error {
	return writeFile(w.path(manifestFile), func(f *os.File) error {
		data, err := json.MarshalIndent(&w.manifest, "", "  ")
		if err != nil {
			return err
		}
		_, err = f.Write(append(data, '\n'))
		return err
	})
}

// Fault writes a line of the truth. It is on disk when Fault returns: the fault
// may begin. Faults come with ascending IDs, by onset.
func (w *Writer) Fault(f Fault) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.truthErr != nil {
		return w.truthErr
	}
	if problems := f.problems(&w.manifest); len(problems) > 0 {
		return fmt.Errorf("campaign %q: fault %d: %s", w.dir, f.ID, problems[0])
	}
	if f.ID <= w.lastID {
		return fmt.Errorf("campaign %q: fault %d: the last one was %d", w.dir, f.ID, w.lastID)
	}
	line, err := json.Marshal(&f)
	if err != nil {
		return err
	}
	if _, err = w.truth.Write(append(line, '\n')); err == nil {
		err = w.truth.Sync()
	}
	if err != nil {
		w.truthErr = fmt.Errorf("campaign %q: %w", w.dir, advise(err))
		return w.truthErr
	}
	w.lastID = f.ID
	return nil
}

// Request keeps a request that has ended. They may come in any order, but what
// comes far out of order costs memory at the end.
func (w *Writer) Request(r Request) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if problems := r.problems(&w.manifest); len(problems) > 0 {
		return fmt.Errorf("campaign %q: request at %d us: %s", w.dir, r.IntendedUS, problems[0])
	}
	if w.requests.err != nil {
		return w.flushRequests() // says why; nothing more is kept
	}
	w.log.add(&r)
	if !w.log.full() {
		return nil
	}
	return w.flushRequests()
}

// flushRequests hands the collected requests to the kernel.
func (w *Writer) flushRequests() error {
	if w.log.count > 0 {
		if err := w.requests.frame(w.log.frame()); err != nil {
			return fmt.Errorf("campaign %q: %w", w.dir, err)
		}
		w.log.reset()
	}
	if err := w.requests.flush(); err != nil {
		return fmt.Errorf("campaign %q: %w", w.dir, err)
	}
	return nil
}

// Samples returns the writer of samples.seer.
func (w *Writer) Samples() *SampleWriter { return w.samples }

// Close ends writing and leaves the campaign unfinished: Resume can go on.
// Closing again returns the same error.
func (w *Writer) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return w.closeErr
	}
	w.closed = true
	// A full disk is full for every file: the first error says it.
	w.closeErr = w.flushRequests()
	if err := w.closeFiles(); err != nil && w.closeErr == nil {
		w.closeErr = fmt.Errorf("campaign %q: %w", w.dir, err)
	}
	return w.closeErr
}

func (w *Writer) closeFiles() error {
	var errs []error
	if w.samples != nil {
		errs = append(errs, w.samples.close())
	}
	if w.requests != nil {
		errs = append(errs, w.requests.close())
	}
	if w.truth != nil {
		errs = append(errs, w.truth.Close())
	}
	return errors.Join(errs...)
}

// Finish completes the campaign: it sorts the requests into requests.parquet,
// derives the violations, and says in the manifest that all is there. It
// returns the violations. If it fails, Resume and Finish try again.
func (w *Writer) Finish() ([]Violation, error) {
	if err := w.Close(); err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	found, err := w.finish()
	if err != nil {
		return nil, fmt.Errorf("finish campaign %q: %w", w.dir, err)
	}
	return found, nil
}

func (w *Writer) finish() ([]Violation, error) {
	faults, _, err := readTruth(w.path(truthFile))
	if err != nil {
		return nil, err
	}
	found, err := writeRequests(w.path(requestsFile), readLog(w.path(requestLogFile)), w.manifest.QoS)
	if err != nil {
		return nil, err
	}
	Explain(found, faults)
	if err := writeLines(w.path(violationsFile), found); err != nil {
		return nil, err
	}
	w.manifest.Complete = true
	if err := w.writeManifest(); err != nil {
		return nil, err
	}
	return found, os.Remove(w.path(requestLogFile))
}

func writeLines[T any](path string, lines []T) error {
	return writeFile(path, func(f *os.File) error {
		enc := json.NewEncoder(f)
		for i := range lines {
			if err := enc.Encode(&lines[i]); err != nil {
				return err
			}
		}
		return nil
	})
}

// clone returns a copy that shares nothing that Update could change.
func (m *Manifest) clone() Manifest {
	c := *m
	c.Services, c.Queues = slices.Clone(m.Services), slices.Clone(m.Queues)
	c.Containers, c.QoS = slices.Clone(m.Containers), slices.Clone(m.QoS)
	c.Notes, c.Resumes = slices.Clone(m.Notes), slices.Clone(m.Resumes)
	c.Options, c.Versions, c.Host = maps.Clone(m.Options), maps.Clone(m.Versions), maps.Clone(m.Host)
	return c
}

// queues returns the measured queues.
func (m *Manifest) queues() []collector.Queue {
	var out []collector.Queue
	for _, name := range m.Queues {
		if q, ok := collector.QueueByName(name); ok {
			out = append(out, q)
		}
	}
	return out
}

// SimulatorStart is the start of every campaign of the simulator: its bytes do
// not depend on when it ran.
var SimulatorStart = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
