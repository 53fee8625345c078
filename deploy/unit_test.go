//go:build linux

package deploy

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/coreos/go-systemd/v22/unit"
	"github.com/google/go-cmp/cmp"
	"kernel.org/pub/linux/libs/security/libcap/cap"

	"seer/collector/feature"
)

const unitFile = "seer.service"

// installedAt is the path of the binary in the unit and in the image.
const installedAt = "/usr/local/bin/seer"

// service reads the unit's [Service] section: values by name, in order.
func service(t *testing.T) map[string][]string {
	t.Helper()
	f, err := os.Open(unitFile)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	options, err := unit.DeserializeOptions(f)
	if err != nil {
		t.Fatal(err)
	}
	values := map[string][]string{}
	for _, o := range options {
		if o.Section == "Service" {
			values[o.Name] = append(values[o.Name], o.Value)
		}
	}
	return values
}

// capabilities returns the values of a list of capability names.
func capabilities(t *testing.T, lists []string) []cap.Value {
	t.Helper()
	var values []cap.Value
	for _, name := range strings.Fields(strings.Join(lists, " ")) {
		v, err := cap.FromName(strings.ToLower(name))
		if err != nil {
			t.Fatalf("%s: %q: %v", unitFile, name, err)
		}
		values = append(values, v)
	}
	slices.Sort(values)
	return values
}

// TestUnitCapabilities checks that the unit grants nothing that Seer would drop
// after start. That less would be missed is for the tests that run it.
func TestUnitCapabilities(t *testing.T) {
	s := service(t)
	bounding := capabilities(t, s["CapabilityBoundingSet"])
	if diff := cmp.Diff(bounding, capabilities(t, s["AmbientCapabilities"])); diff != "" {
		t.Errorf("AmbientCapabilities (-CapabilityBoundingSet +AmbientCapabilities):\n%s", diff)
	}
	for _, v := range bounding {
		if !slices.Contains(feature.RunCapabilities(), v) {
			t.Errorf("the unit grants %v, which Seer drops after start", v)
		}
	}
	if slices.Contains(bounding, cap.SYS_ADMIN) {
		t.Error("the unit grants CAP_SYS_ADMIN")
	}
}

// TestUnitBoundaries pins the directives that the sandboxed runs of this
// package imitate, so that the unit cannot loosen unnoticed.
func TestUnitBoundaries(t *testing.T) {
	s := service(t)
	want := map[string]string{
		"NoNewPrivileges":          "yes",
		"ProtectSystem":            "strict",
		"DynamicUser":              "yes",
		"StateDirectory":           "seer",
		"RuntimeDirectory":         "seer",
		"RuntimeDirectoryMode":     "0700",
		"Restart":                  "on-failure",
		"RestartPreventExitStatus": "2 3",
	}
	for name, value := range want {
		if diff := cmp.Diff([]string{value}, s[name]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	for _, name := range []string{"MemoryMax", "CPUQuota", "TasksMax", "SystemCallFilter"} {
		if len(s[name]) == 0 {
			t.Errorf("%s is not set", name)
		}
	}
	if len(s["ReadWritePaths"]) != 0 {
		t.Errorf("ReadWritePaths = %q, want none: the state and runtime directories are enough", s["ReadWritePaths"])
	}
}

// TestUnitVerifies lets systemd judge the unit: no unknown or contradicting
// directive, and an exposure no worse than "OK".
func TestUnitVerifies(t *testing.T) {
	if _, err := exec.LookPath("systemd-analyze"); errors.Is(err, exec.ErrNotFound) {
		t.Skip("needs systemd-analyze (package systemd)")
	}
	text, err := os.ReadFile(unitFile)
	if err != nil {
		t.Fatal(err)
	}
	// What the unit refers to is not installed where tests run.
	text = bytes.Replace(text, []byte("ExecStart="+installedAt), []byte("ExecStart=/bin/true"), 1)
	var lines [][]byte
	for line := range bytes.Lines(text) {
		if !bytes.HasPrefix(line, []byte("Documentation=")) {
			lines = append(lines, line)
		}
	}
	path := filepath.Join(t.TempDir(), unitFile)
	if err := os.WriteFile(path, bytes.Join(lines, nil), 0o644); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("systemd-analyze", "verify", path).CombinedOutput()
	if err != nil || len(bytes.TrimSpace(out)) != 0 {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
	// In tenths: 30 is an exposure of 3.0 out of 10.
	out, err = exec.Command("systemd-analyze", "security", "--offline=true", "--no-pager", "--threshold=30", path).CombinedOutput()
	if err != nil {
		t.Errorf("systemd-analyze security: %v\n%s", err, out)
	}
}
