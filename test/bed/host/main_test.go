//go:build linux

package host

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// deadline bounds every wait of a test; nothing is expected to take long.
const deadline = 20 * time.Second

// The test binary is also the programs that run in containers.
func TestMain(m *testing.M) {
	Launch()
	if len(os.Args) > 2 && os.Args[1] == "program" {
		if err := programs[os.Args[2]](os.Args[3:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

var programs = map[string]func(args []string) error{
	// hold runs until it is killed.
	"hold": func([]string) error { return unix.Pause() },
	// forks leaves a grandchild behind that is nobody's child.
	"forks": func([]string) error {
		cmd := exec.Command("/proc/self/exe", "program", "hold")
		if err := cmd.Start(); err != nil {
			return err
		}
		return cmd.Process.Release()
	},
	// listen accepts connections for ever.
	"listen": func(args []string) error {
		l, err := net.Listen("tcp4", args[0])
		if err != nil {
			return err
		}
		for {
			if _, err := l.Accept(); err != nil {
				return err
			}
		}
	},
	"create": createAll,
}

// program is a command that runs one of them.
func program(args ...string) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe", append([]string{"program"}, args...)...)
	cmd.Stderr = os.Stderr
	return cmd
}

// testHost makes a host whose parent cgroup no other test has, and removes all of
// it at the end.
func testHost(t *testing.T) (h *Host, dir string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("not supported: containers take root")
	}
	dir = t.TempDir()
	j, err := OpenJournal(filepath.Join(dir, "journal"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		j.Close()
		removeJournal(t, dir)
	})
	if h, err = New(j, testName(t)); err != nil {
		t.Fatal(err)
	}
	return h, dir
}

func testName(t *testing.T) string {
	return "seerbed-test-" + strconv.Itoa(os.Getpid()) + "-" + strings.ReplaceAll(t.Name(), "/", "-")
}

func removeJournal(t *testing.T, dir string) {
	t.Helper()
	entries, err := ReadJournal(filepath.Join(dir, "journal"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	if err := Remove(ctx, entries); err != nil {
		t.Errorf("Remove(%d entries) = %v", len(entries), err)
	}
}

// wait waits for a condition.
func wait(t *testing.T, what string, done func() bool) {
	t.Helper()
	poll := time.NewTicker(2 * time.Millisecond)
	defer poll.Stop()
	end := time.After(deadline)
	for !done() {
		select {
		case <-poll.C:
		case <-end:
			t.Fatalf("%s: not within %s", what, deadline)
		}
	}
}

var testSubnet = netip.MustParsePrefix("10.63.0.0/16")

// createAll creates a host with two containers, a process in each, in a
// directory, and then holds it. Tests kill it on the way.
func createAll(args []string) error {
	dir, parent := args[0], args[1]
	j, err := OpenJournal(filepath.Join(dir, "journal"))
	if err != nil {
		return err
	}
	h, err := New(j, parent)
	if err != nil {
		return err
	}
	data := filepath.Join(dir, "data")
	if err := j.Add(Entry{Kind: KindDirectory, Paths: []string{data}}); err != nil {
		return err
	}
	if err := os.Mkdir(data, 0o755); err != nil {
		return err
	}
	n, err := NewNetwork(j, data, testSubnet)
	if err != nil {
		return err
	}
	for i, name := range []string{"a", "b"} {
		l, err := n.Join(name, i+1)
		if err != nil {
			return err
		}
		c, err := h.NewContainer(name, Limits{CPUs: 1}, l)
		if err != nil {
			return err
		}
		if _, err := c.Start(program("forks"), Nobody); err != nil {
			return err
		}
		if _, err := c.Start(program("hold"), Nobody); err != nil {
			return err
		}
	}
	return os.WriteFile(filepath.Join(dir, "done"), nil, 0o644)
}

func killHard(cmd *exec.Cmd) {
	unix.Kill(cmd.Process.Pid, unix.SIGKILL)
	cmd.Wait()
}
