package campaign

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// Resumed is where an interrupted campaign stands.
type Resumed struct {
	Faults []Fault // that had begun, the last of which may have been cut short

	// LastMS is the end of what was kept, ToMS from where to go on: the end of
	// the last fault that had begun, if that is later. The plan's faults with
	// higher IDs are still to come.
	LastMS, ToMS int64

	// Dropped says in words what was cut off: the half-written ends of files.
	Dropped []string
}

// Resume goes on with a campaign that was not finished, whatever its writer
// died of. What it had handed to the operating system is kept; a torn line or
// frame at the end of a file is dropped and reported. The manifest says from
// when to when there are no data.
func Resume(dir string) (w *Writer, r *Resumed, err error) {
	m, err := readManifest(dir)
	if err != nil {
		return nil, nil, err
	}
	if m.Complete {
		return nil, nil, fmt.Errorf("campaign %q is complete: there is nothing to resume", dir)
	}
	w, r = &Writer{dir: dir, manifest: *m}, &Resumed{}
	if err := w.resume(r); err != nil {
		_ = w.closeFiles() // err says why
		return nil, nil, fmt.Errorf("resume campaign %q: %w", dir, err)
	}
	return w, r, nil
}

func (w *Writer) resume(r *Resumed) (err error) {
	if w.truth, err = os.OpenFile(w.path(truthFile), os.O_RDWR, 0); err != nil {
		return err
	}
	if err = lockDir(w.truth, w.dir); err != nil {
		return err
	}
	if err = w.resumeTruth(r); err != nil {
		return err
	}
	if w.requests, err = w.reopenFrames(requestLogFile, requestsMagic, r, func(*frame) {}); err != nil {
		return err
	}
	if err = w.lastRequest(r); err != nil {
		return err
	}
	stages := make([]stage, len(w.manifest.Containers))
	samples, err := w.reopenFrames(samplesFile, samplesMagic, r, func(f *frame) {
		if int(f.index) < len(stages) {
			stages[f.index].end = f.last
		}
		r.LastMS = max(r.LastMS, ceil(f.last, int64(time.Millisecond)))
	})
	if err != nil {
		return err
	}
	w.samples = newSampleWriter(samples, &w.manifest)
	w.samples.stages = stages

	m := &w.manifest
	r.LastMS = min(r.LastMS, m.DurationMS)
	r.ToMS = r.LastMS
	if n := len(r.Faults); n > 0 {
		r.ToMS = max(r.ToMS, r.Faults[n-1].EndMS)
	}
	w.samples.period = r.ToMS * int64(time.Millisecond) / chunkNS
	if n := len(m.Resumes); n == 0 || m.Resumes[n-1].ToMS < r.ToMS {
		m.Resumes = append(m.Resumes, Interruption{FromMS: r.LastMS, ToMS: r.ToMS, At: time.Now().UTC().Round(time.Millisecond)})
	}
	return w.writeManifest()
}

func (w *Writer) resumeTruth(r *Resumed) error {
	faults, whole, err := readTruth(w.path(truthFile))
	if err != nil {
		return err
	}
	if err := w.cut(w.truth, truthFile, whole, r); err != nil {
		return err
	}
	if r.Faults = faults; len(faults) > 0 {
		w.lastID = faults[len(faults)-1].ID
	}
	return nil
}

// reopenFrames opens a file of frames for appending behind its last whole one.
func (w *Writer) reopenFrames(name string, m magic, r *Resumed, each func(*frame)) (*appender, error) {
	f, err := os.OpenFile(w.path(name), os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	fr, err := newFrameReader(name, f, m)
	for err == nil {
		var fm frame
		if err = fr.next(&fm); err == nil {
			each(&fm)
		}
	}
	if !errors.Is(err, io.EOF) && !errors.Is(err, ErrCorrupt) || fr == nil {
		f.Close()
		return nil, err
	}
	if err := w.cut(f, name, fr.offset, r); err != nil {
		f.Close()
		return nil, err
	}
	return newAppender(f), nil
}

// cut ends a file behind what is whole.
func (w *Writer) cut(f *os.File, name string, whole int64, r *Resumed) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if torn := info.Size() - whole; torn > 0 {
		r.Dropped = append(r.Dropped, fmt.Sprintf("%s: the last %d bytes, which were not whole", name, torn))
		if err := f.Truncate(whole); err != nil {
			return err
		}
	}
	_, err = f.Seek(whole, io.SeekStart)
	return err
}

// ceil divides and rounds up.
func ceil(a, b int64) int64 { return (a + b - 1) / b }

// lastRequest finds the end of the requests.
func (w *Writer) lastRequest(r *Resumed) error {
	for q, err := range readLog(w.path(requestLogFile)) {
		if err != nil {
			return err
		}
		r.LastMS = max(r.LastMS, ceil(q.IntendedUS+q.LatencyUS, 1000))
	}
	return nil
}
