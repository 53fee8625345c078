//go:build linux

package fault

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"seer/infer/campaign"
	"seer/infer/topology"
	"seer/test/bed"
	"seer/test/bed/host"
)

// cacheSize is the page cache that cacheForever holds.
const cacheSize = 32 << 20

// cacheForever writes a file, which is then in the page cache of its container,
// and waits.
func cacheForever(path string) error {
	if err := os.WriteFile(path, make([]byte, cacheSize), 0o600); err != nil {
		return err
	}
	select {}
}

// TestControls holds what limits a container to what the kernel then says, on
// cgroup v1 and v2.
func TestControls(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("not supported: containers take root")
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "journal")
	j, err := host.OpenJournal(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		j.Close()
		entries, err := host.ReadJournal(path)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), deadline)
		defer cancel()
		if err := host.Remove(ctx, entries); err != nil {
			t.Error(err)
		}
	})
	h, err := host.New(j, fmt.Sprintf("seerbed-test-controls-%d", os.Getpid()))
	if err != nil {
		t.Fatal(err)
	}
	c, err := h.NewContainer("culprit", host.Limits{}, host.Link{})
	if err != nil {
		t.Fatal(err)
	}
	g := c.Cgroup
	// reads returns a control of v1, or what stands for it on v2.
	reads := func(controller, v1, v2 string) string {
		t.Helper()
		file := v2
		if g.Legacy(controller) {
			file = v1
		}
		text, err := os.ReadFile(g.Path(controller) + "/" + file)
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(string(text))
	}
	wants := func(what, controller, v1, v2 string, want ...string) {
		t.Helper()
		if got := reads(controller, v1, v2); got != want[0] && (len(want) < 2 || got != want[1]) {
			t.Errorf("%s: %s is %q, want %q", what, controller, got, want)
		}
	}

	if err := setHighestWeight(g); err != nil {
		t.Fatal(err)
	}
	wants("largest share", "cpu", "cpu.shares", "cpu.weight", "262144", "10000")
	if err := setLowestWeight(g); err != nil {
		t.Fatal(err)
	}
	wants("only what nobody wants", "cpu", "cpu.idle", "cpu.idle", "1")

	culprit := bed.Container{Name: "culprit", Service: "culprit", Cgroup: g}
	known := target{
		bed:      &bed.Bed{App: &topology.App{Services: []*topology.Service{{Name: "culprit"}}}},
		fault:    &campaign.Fault{Culprit: "culprit", Intensity: 0.5},
		culprits: []bed.Container{culprit},
	}
	cpu := cpuLimit{target: known, cpus: []float64{0.5}}
	for _, limit := range []struct {
		cpus   float64
		v1, v2 string // quota
	}{{0.5, "50000", "50000 100000"}, {0.004, "1000", "1000 250000"}} {
		cpu.cpus[0] = limit.cpus
		if err := cpu.start(t.Context()); err != nil {
			t.Fatal(err)
		}
		wants(fmt.Sprintf("%v CPUs", limit.cpus), "cpu", "cpu.cfs_quota_us", "cpu.max", limit.v1, limit.v2)
	}
	if err := cpu.stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	wants("no CPU limit", "cpu", "cpu.cfs_quota_us", "cpu.max", "-1", "max 100000")

	cmd := exec.Command("/proc/self/exe", "cache", filepath.Join(dir, "cached"))
	if _, err := c.Start(cmd, nil); err != nil {
		t.Fatal(err)
	}
	end := time.Now().Add(deadline)
	for {
		m, err := readMemory(g)
		if err == nil && m.file >= cacheSize {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("page cache: %+v, %v, want %d bytes", m, err, cacheSize)
		}
		time.Sleep(10 * time.Millisecond)
	}
	memory := memoryLimit{target: known}
	if err := memory.prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	// What it cannot give back, an eighth of that, the spare, and at .5 a little
	// less than half of its files.
	if got := memory.bytes[0]; got < spare+cacheSize*4/10 || got > spare+cacheSize*2 {
		t.Errorf("memory limit of %d bytes for %d of page cache", got, cacheSize)
	}
	if err := memory.start(t.Context()); err != nil {
		t.Fatal(err)
	}
	page := int64(os.Getpagesize())
	if got, err := strconv.ParseInt(reads("memory", "memory.limit_in_bytes", "memory.high"), 10, 64); err != nil || got/page != memory.bytes[0]/page {
		t.Errorf("memory limit is %d, %v, want %d", got, err, memory.bytes[0])
	}
	if err := memory.stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	wants("no memory limit", "memory", "memory.limit_in_bytes", "memory.high", "9223372036854771712", "max")
}
