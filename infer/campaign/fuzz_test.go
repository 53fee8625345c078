package campaign

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// seedFile returns a file of a small complete campaign, or of an unfinished one.
func seedFile(f *testing.F, complete bool, name string) []byte {
	f.Helper()
	r := newRun(f, 30*time.Second, PlanOptions{Warmup: time.Second, Gap: time.Second, Recovery: time.Second})
	dir := filepath.Join(f.TempDir(), "campaign")
	w, err := Create(dir, r.manifest, r.plan.App)
	if err != nil {
		f.Fatal(err)
	}
	r.write(f, w, 0, 200) // small, so that changes hit something
	if complete {
		_, err = w.Finish()
	} else {
		err = w.Close()
	}
	if err != nil {
		f.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		f.Fatal(err)
	}
	return data
}

// FuzzFrames: whatever the bytes, reading ends, without a panic or a frame that
// its checksum does not vouch for, and decoding what is in it does too.
func FuzzFrames(f *testing.F) {
	f.Add(seedFile(f, true, samplesFile))
	f.Add(appendFrame(appendFileHeader(nil, samplesMagic), &frame{index: 1, count: 1, last: 1, payload: []byte{1}}))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := newFrameReader("fuzz", bytes.NewReader(data), samplesMagic)
		if err != nil {
			return
		}
		again := appendFileHeader(nil, samplesMagic)
		var check chunkCheck
		for {
			var fm frame
			err := r.next(&fm)
			if errors.Is(err, io.EOF) && r.offset != int64(len(data)) {
				t.Fatalf("ended at %d of %d bytes", r.offset, len(data))
			}
			if err != nil {
				if !errors.Is(err, io.EOF) && !errors.Is(err, ErrCorrupt) {
					t.Fatal(err)
				}
				break
			}
			_ = check.open(&fm)
			again = appendFrame(again, &fm)
		}
		if !bytes.Equal(again, data[:r.offset]) {
			t.Fatal("frames read and written again differ")
		}
	})
}

// FuzzRequests: a payload decodes to requests that encode to a payload that
// decodes to the same, or to an error.
func FuzzRequests(f *testing.F) {
	r, err := newFrameReader("seed", bytes.NewReader(seedFile(f, false, requestLogFile)), requestsMagic)
	if err != nil {
		f.Fatal(err)
	}
	var fm frame
	if err := r.next(&fm); err != nil {
		f.Fatal(err)
	}
	f.Add(fm.count, bytes.Clone(fm.payload))
	f.Fuzz(func(t *testing.T, count uint32, payload []byte) {
		got, err := decodeRequests(nil, &frame{count: count, payload: payload}, make(map[string]string))
		if err != nil {
			if !errors.Is(err, ErrCorrupt) {
				t.Fatal(err)
			}
			return
		}
		var e logEncoder
		for i := range got {
			e.add(&got[i])
		}
		again, err := decodeRequests(nil, e.frame(), make(map[string]string))
		if err != nil || len(again) != len(got) {
			t.Fatalf("%d requests became %d: %v", len(got), len(again), err)
		}
		for i := range got {
			if got[i] != again[i] {
				t.Fatalf("request %d: %+v became %+v", i, got[i], again[i])
			}
		}
	})
}

// FuzzCheck spoils one file of a campaign: Check says so or finds nothing, but
// does not panic, and Resume of what is unfinished neither.
func FuzzCheck(f *testing.F) {
	names := []string{manifestFile, topologyFile, truthFile, violationsFile, samplesFile, requestLogFile}
	for i, name := range names {
		f.Add(uint8(i), seedFile(f, name != requestLogFile, name))
	}
	done := filepath.Join(f.TempDir(), "done")
	undone := filepath.Join(f.TempDir(), "undone")
	r := newRun(f, 30*time.Second, PlanOptions{Warmup: time.Second, Gap: time.Second, Recovery: time.Second})
	for _, dir := range []string{done, undone} {
		w, err := Create(dir, r.manifest, r.plan.App)
		if err != nil {
			f.Fatal(err)
		}
		r.write(f, w, 0, 200)
		if dir == done {
			_, err = w.Finish()
		} else {
			err = w.Close()
		}
		if err != nil {
			f.Fatal(err)
		}
	}
	f.Fuzz(func(t *testing.T, which uint8, data []byte) {
		name := names[int(which)%len(names)]
		for _, from := range []string{done, undone} {
			dir := filepath.Join(t.TempDir(), "campaign")
			if err := os.CopyFS(dir, os.DirFS(from)); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
				t.Fatal(err)
			}
			for _, p := range Check(dir) {
				if p.String() == "" || p.File == "" {
					t.Fatalf("empty problem %+v", p)
				}
			}
			if w, _, err := Resume(dir); err == nil {
				if err := w.Close(); err != nil {
					t.Fatal(err)
				}
			}
		}
	})
}

// FuzzParseMix: what is accepted is written and read back as the same.
func FuzzParseMix(f *testing.F) {
	f.Add(DefaultMix().String())
	f.Add("application=3, disk=1")
	f.Fuzz(func(t *testing.T, s string) {
		m, err := ParseMix(s)
		if err != nil {
			return
		}
		again, err := ParseMix(m.String())
		if err != nil || again.String() != m.String() {
			t.Fatalf("ParseMix(%q) = %v, read back as %v, %v", s, m, again, err)
		}
	})
}
