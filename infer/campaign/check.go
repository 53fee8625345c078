package campaign

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"time"

	"seer/infer/topology"
)

// Problem is something that a campaign's directory should not have.
type Problem struct {
	File   string // name in the directory
	Line   int    // in a text file, or the row in requests.parquet, from 1; 0: none
	Offset int64  // in samples.seer; 0: none
	Text   string
}

// String returns the problem as a line for people: "truth.jsonl:3: ...".
func (p Problem) String() string {
	switch {
	case p.Line > 0:
		return fmt.Sprintf("%s:%d: %s", p.File, p.Line, p.Text)
	case p.Offset > 0:
		return fmt.Sprintf("%s at offset %d: %s", p.File, p.Offset, p.Text)
	}
	return fmt.Sprintf("%s: %s", p.File, p.Text)
}

// problemsPerFile bounds what Check reports of one file: a wrong clock would
// else fill the screen.
const problemsPerFile = 20

// Check holds a directory to everything that this package promises of it, and
// returns what it finds, file by file. It reads all of the directory.
func Check(dir string) []Problem {
	c := &checker{dir: Dir{Path: dir}, found: make(map[string]int)}
	c.check()
	for _, file := range c.more {
		c.out = append(c.out, Problem{File: file, Text: fmt.Sprintf("%d more problems", c.found[file]-problemsPerFile)})
	}
	return c.out
}

type checker struct {
	dir    Dir
	plan   *Plan // if the truth is to follow from it
	faults []Fault
	out    []Problem
	found  map[string]int
	more   []string // files with more problems than were reported
}

func (c *checker) add(p Problem) {
	c.found[p.File]++
	switch n := c.found[p.File]; {
	case n <= problemsPerFile:
		c.out = append(c.out, p)
	case n == problemsPerFile+1:
		c.more = append(c.more, p.File)
	}
}

func (c *checker) addf(file string, line int, format string, args ...any) {
	c.add(Problem{File: file, Line: line, Text: fmt.Sprintf(format, args...)})
}

func (c *checker) check() {
	if !c.checkManifest() {
		return
	}
	c.checkTopology()
	c.checkTruth()
	c.checkRequests()
	c.checkSamples()
	if c.dir.Manifest.Complete {
		if _, err := os.Stat(c.dir.path(requestLogFile)); err == nil {
			c.addf(requestLogFile, 0, "left behind, its requests are in %s: remove it", requestsFile)
		}
	}
}

func (c *checker) checkManifest() bool {
	data, err := os.ReadFile(c.dir.path(manifestFile))
	if err != nil {
		c.addf(manifestFile, 0, "%v: this is no campaign", reason(err))
		return false
	}
	m := &c.dir.Manifest
	if err := json.Unmarshal(data, m); err != nil {
		line := 0
		if syntax := (*json.SyntaxError)(nil); errors.As(err, &syntax) {
			line = 1 + bytes.Count(data[:syntax.Offset], []byte("\n"))
		}
		c.addf(manifestFile, line, "%v", err)
		return false
	}
	problems := m.problems()
	for _, p := range problems {
		c.addf(manifestFile, 0, "%s", p)
	}
	if !m.Complete {
		c.addf(manifestFile, 0, "the campaign is not complete: resume it")
	}
	if m.Seed >= FirstAcceptanceSeed && m.Options["acceptance"] != "true" {
		c.addf(manifestFile, 0, "seed %d is kept for acceptance, and the options do not say that this is", m.Seed)
	}
	if len(m.Versions) == 0 {
		c.addf(manifestFile, 0, "versions: there is none")
	}
	for _, s := range m.Services {
		if !slices.ContainsFunc(m.Containers, func(c Container) bool { return c.Service == s }) {
			c.addf(manifestFile, 0, "service %q has no container", s)
		}
	}
	return len(problems) == 0
}

func (c *checker) checkTopology() {
	m := &c.dir.Manifest
	app, err := topology.Load(c.dir.path(topologyFile))
	if err != nil {
		c.addf(topologyFile, 0, "%v", reason(err))
		return
	}
	m.Topology = app
	if app.Name != m.App {
		c.addf(topologyFile, 0, "describes %q, the manifest says %q", app.Name, m.App)
	}
	for _, s := range app.Services {
		if !slices.Contains(m.Services, s.Name) {
			c.addf(topologyFile, s.Line, "service %q is not in the manifest", s.Name)
		}
	}
	if m.Options["schedule"] != schedule {
		return // made by hand, or by another version
	}
	o, err := ParsePlanOptions(m.Options)
	if err == nil {
		c.plan, err = NewPlan(app, m.Seed, time.Duration(m.DurationMS)*time.Millisecond, o)
	}
	if err != nil {
		c.addf(manifestFile, 0, "options: %v", err)
	}
}

func (c *checker) checkTruth() {
	m := &c.dir.Manifest
	faults, whole, err := readTruth(c.dir.path(truthFile))
	c.faults = faults
	if err != nil {
		c.addf(truthFile, len(faults)+1, "%v", reason(err))
	} else if info, err := os.Stat(c.dir.path(truthFile)); err == nil && info.Size() > whole {
		c.addf(truthFile, len(faults)+1, "the line has no end")
	}
	last := Fault{}
	for i := range faults {
		f := &faults[i]
		for _, p := range f.problems(m) {
			c.addf(truthFile, i+1, "%s", p)
		}
		if f.ID <= last.ID || f.OnsetMS < last.OnsetMS {
			c.addf(truthFile, i+1, "fault %d at %d ms comes after fault %d at %d ms", f.ID, f.OnsetMS, last.ID, last.OnsetMS)
		}
		last = *f
	}
	if c.plan != nil {
		c.comparePlan()
	}
}

// comparePlan holds the truth to the plan that the manifest's seed and options
// give.
func (c *checker) comparePlan() {
	missing := make(map[int]Fault, len(c.plan.Faults))
	for _, f := range c.plan.Faults {
		missing[f.ID] = f
	}
	for i, f := range c.faults {
		planned, ok := missing[f.ID]
		if !ok || !planned.equal(&f) {
			c.addf(truthFile, i+1, "fault %d is not the one that seed %d and the options give", f.ID, c.dir.Manifest.Seed)
		}
		delete(missing, f.ID)
	}
	if !c.dir.Manifest.Complete {
		return
	}
	for _, f := range c.plan.Faults {
		if _, ok := missing[f.ID]; ok && !c.interrupted(f.OnsetMS, f.OnsetMS+1) {
			c.addf(truthFile, 0, "fault %d of the plan, %s at %d ms, is missing", f.ID, f.Cause, f.OnsetMS)
		}
	}
}

func (f *Fault) equal(g *Fault) bool {
	return f.ID == g.ID && f.OnsetMS == g.OnsetMS && f.EndMS == g.EndMS && f.Cause == g.Cause && f.Culprit == g.Culprit &&
		f.Antagonist == g.Antagonist && f.Intensity == g.Intensity && slices.Equal(f.Peers, g.Peers)
}

// interrupted tells whether any of [from, to) was not run.
func (c *checker) interrupted(fromMS, toMS int64) bool {
	return slices.ContainsFunc(c.dir.Manifest.Resumes, func(r Interruption) bool {
		return r.FromMS < toMS && fromMS < r.ToMS
	})
}

func (c *checker) checkRequests() {
	m := &c.dir.Manifest
	file := requestsFile
	if !m.Complete {
		file = requestLogFile
	}
	d := newDeriver(m.QoS)
	byService := make(map[string]int)
	row, last, end := 0, int64(0), int64(0)
	for r, err := range c.dir.Requests() {
		row++
		if err != nil {
			c.addf(file, row, "%v", reason(err))
			return
		}
		for _, p := range r.problems(m) {
			c.addf(file, row, "%s", p)
		}
		if r.IntendedUS < last {
			c.addf(file, row, "intended_us %d comes after %d", r.IntendedUS, last)
		}
		if c.plan != nil && !slices.ContainsFunc(c.plan.App.Requests, func(q topology.Request) bool {
			return q.Name == r.Type && q.Call.Service == r.Service
		}) {
			c.addf(file, row, "%s has no request %q at service %q", m.App, r.Type, r.Service)
		}
		last, end = r.IntendedUS, max(end, r.IntendedUS+r.LatencyUS)
		byService[r.Service]++
		d.add(&r)
	}
	for _, q := range m.QoS {
		if byService[q.Service] == 0 {
			c.addf(file, 0, "there is no request to %q, whose latency is promised", q.Service)
		}
	}
	if m.Complete {
		c.countRequests(row)
		c.compareViolations(d.finish())
	}
}

// countRequests holds the number of requests to the rate of the plan.
func (c *checker) countRequests(n int) {
	if c.plan == nil {
		return
	}
	const stepMS = 100
	want := 0.0
	for t := int64(0); t < c.dir.Manifest.DurationMS; t += stepMS {
		if !c.interrupted(t, t+stepMS) {
			want += c.plan.Rate(float64(t)+stepMS/2) * stepMS / 1000
		}
	}
	// Five standard deviations of a Poisson process, and as much again as a
	// generator may lose that cannot keep up and says so.
	if slack := 5*math.Sqrt(want) + 0.02*want; math.Abs(float64(n)-want) > slack {
		c.addf(requestsFile, 0, "%d requests, the plan's rate makes %.0f", n, want)
	}
}

func (c *checker) compareViolations(want []Violation) {
	Explain(want, c.faults)
	got, whole, err := readLines[Violation](c.dir.path(violationsFile))
	if err != nil {
		c.addf(violationsFile, len(got)+1, "%v", reason(err))
		return
	}
	if info, err := os.Stat(c.dir.path(violationsFile)); err == nil && info.Size() > whole {
		c.addf(violationsFile, len(got)+1, "the line has no end")
	}
	for i := range max(len(got), len(want)) {
		switch {
		case i >= len(want):
			c.addf(violationsFile, i+1, "violation at %d ms: the requests show none", got[i].OnsetMS)
		case i >= len(got):
			c.addf(violationsFile, 0, "the requests show a violation of %q at %d ms, which is missing", want[i].Service, want[i].OnsetMS)
		case got[i] != want[i]:
			c.addf(violationsFile, i+1, "%+v: the requests show %+v", got[i], want[i])
			return // what follows would only be shifted
		}
	}
}

// reason takes the path off an error: problems name the file themselves.
func reason(err error) error {
	if e := (*fs.PathError)(nil); errors.As(err, &e) {
		return e.Err
	}
	return err
}

// Complete tells whether dir holds a complete campaign, without checking it.
func Complete(dir string) bool {
	m, err := readManifest(filepath.Clean(dir))
	return err == nil && m.Complete
}
