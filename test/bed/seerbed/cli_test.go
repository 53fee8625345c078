//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"seer/infer/topology"
	"seer/test/bed/host"
	"seer/test/bed/servers"
)

// The test binary is seerbed when its first argument is a command.
func TestMain(m *testing.M) {
	host.Launch()
	if len(os.Args) > 1 && !strings.HasPrefix(os.Args[1], "-") {
		main()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// seerbed runs a command in a process of its own, as its services are copies of
// that.
func seerbed(args ...string) (stdout, stderr string, status int) {
	cmd := exec.Command("/proc/self/exe", args...)
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		status = exit.ExitCode()
	} else if err != nil {
		status = -1
		said.WriteString(err.Error())
	}
	return out.String(), said.String(), status
}

const cliTopology = `schema: 1
name: NAME
qos: [{service: front, percentile: 99, target: 1s}]
requests: [{name: ask, weight: 1, call: front.ask}]
load: {rate: 10}
services:
  - {name: front, kind: app, protocol: http, endpoints: {ask: [{work: {cpu: 10us}}, {call: cache.get}]}}
  - {name: cache, kind: memcached, endpoints: {get: [{work: {cpu: 10us}}]}}
`

// What cannot be done is said in one line, and changes nothing.
func TestRefuse(t *testing.T) {
	dir := t.TempDir()
	bad := filepath.Join(dir, "bad.yaml")
	if err := os.WriteFile(bad, []byte(strings.Replace(cliTopology, "cache.get", "cash.get", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	where := []string{"--state", filepath.Join(dir, "state"), "--data", filepath.Join(dir, "data")}
	tests := []struct {
		args   []string
		status int
		want   string
	}{
		{[]string{"up"}, 2, "which application? give --app"},
		{[]string{"up", "--app", "shop"}, 2, `no application "shop": it is one of `},
		{[]string{"up", "--app", filepath.Join(dir, "none.yaml")}, 2, "no application"},
		{[]string{"up", "--app", bad}, 1, `bad.yaml:`},
		{[]string{"up", "--app", "hotel", "--runtime", "docker"}, 1, `no runtime "docker"`},
		{[]string{"up", "--cpus"}, 2, "unknown flag"},
		{[]string{"status", "--app", "hotel"}, 1, "hotel is not up: start it with `seerbed up --app hotel`"},
		{[]string{"down", "--app", "hotel"}, 0, ""},
		{[]string{"campaign", "--app", "hotel"}, 2, "where to? give --out"},
		{[]string{"campaign", "--app", "hotel", "--out", filepath.Join(dir, "c"), "--mix", "cosmic=1"}, 2, "cosmic"},
		{[]string{"campaign", "--app", "hotel", "--out", filepath.Join(dir, "c"), "--seer", filepath.Join(dir, "seer")}, 2, "build it with `make build`"},
	}
	for _, tt := range tests {
		if os.Geteuid() != 0 && tt.status == 1 && tt.args[0] == "up" {
			continue // says first that it takes root
		}
		args := slices.Concat(tt.args, where)
		out, said, status := seerbed(args...)
		if status != tt.status || !strings.Contains(said, tt.want) || strings.Count(said, "\n") > 1 || out != "" {
			t.Errorf("seerbed %s = status %d, %q on standard error, %q on standard output; want status %d and one line with %q",
				strings.Join(tt.args, " "), status, said, out, tt.status, tt.want)
		}
	}
	for _, left := range []string{"data/hotel", "state/hotel", "c"} {
		if _, err := os.Lstat(filepath.Join(dir, left)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: %v, want that it was not made", left, err)
		}
	}
}

func TestUpStatusDown(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("not supported: containers take root")
	}
	name := fmt.Sprintf("test-%d-cli", os.Getpid())
	text := strings.Replace(cliTopology, "NAME", name, 1)
	app, err := topology.Parse("cli.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if err := servers.Installed(app); err != nil {
		if os.Getenv("SEER_TEST_SERVERS") == "required" {
			t.Fatal(err)
		}
		t.Skip("not supported: ", err)
	}
	// Not t.TempDir, which only root may enter.
	dir, err := os.MkdirTemp("", "seerbed-test")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "cli.yaml")
	if err := errors.Join(os.Chmod(dir, 0o755), os.WriteFile(file, []byte(text), 0o600)); err != nil {
		t.Fatal(err)
	}
	where := []string{"--state", filepath.Join(dir, "state"), "--data", filepath.Join(dir, "data")}
	run := func(args ...string) string {
		t.Helper()
		out, said, status := seerbed(slices.Concat(args, where)...)
		if status != 0 {
			t.Fatalf("seerbed %s = status %d: %s", strings.Join(args, " "), status, said)
		}
		return out
	}
	defer run("down", "--app", name)
	if out := run("up", "--app", file); !strings.Contains(out, "2 services, 2 containers") {
		t.Errorf("up says %q, want 2 services and 2 containers", out)
	}
	var status struct {
		Services   int
		Containers []statusRow
	}
	if err := json.Unmarshal([]byte(run("status", "-j", "--app", name)), &status); err != nil {
		t.Fatal(err)
	}
	if status.Services != 2 || len(status.Containers) != 2 || !status.Containers[0].Healthy || status.Containers[0].Container != "front" {
		t.Errorf("status = %+v, want two containers that are well, front first", status)
	}
	// The application is found by its file as well, and twice is as good as once.
	run("down", "--app", file)
	run("down", "--app", file)
	if _, said, code := seerbed(slices.Concat([]string{"status", "--app", name}, where)...); code != 1 || !strings.Contains(said, "not up") {
		t.Errorf("status of what is down = %d, %q, want that it is not up", code, said)
	}
}
