package collector

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/cilium/ebpf/btf"

	"seer/test/lab"
)

// childEnv makes the test binary a process for others to trace. Its value is
// the program name to go by. It listens, and holds as many connections to
// itself as pairsEnv says, on each of which unreadSize bytes wait for the server.
const (
	childEnv   = "SEER_TEST_CHILD"
	pairsEnv   = "SEER_TEST_PAIRS"
	unreadSize = 30
)

func TestMain(m *testing.M) {
	if name := os.Getenv(childEnv); name != "" {
		if err := listenAs(name); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	lab.Main(m, map[string]lab.Workload{askPairs: askPairsWorkload})
}

// listenAs listens on a port, says so, and waits until its parent is gone.
func listenAs(name string) error {
	if err := os.WriteFile("/proc/self/comm", []byte(name), 0); err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer l.Close()
	pairs, _ := strconv.Atoi(os.Getenv(pairsEnv)) // none is 0
	for range pairs {
		client, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			return err
		}
		defer client.Close()
		server, err := l.Accept()
		if err != nil {
			return err
		}
		defer server.Close()
		if _, err := client.Write(make([]byte, unreadSize)); err != nil {
			return err
		}
	}
	fmt.Println(l.Addr())
	if _, err = os.Stdin.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		return fmt.Errorf("read from parent: %v, want the end of file", err) //nolint:errorlint // nil, too, is wrong
	}
	return nil
}

// child starts this binary as a process of that name, which listens. The test
// ends it.
func child(t *testing.T, name string, env ...string) {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(append(os.Environ(), childEnv+"="+name), env...)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("child: %v", err)
		}
	})
	if _, err := out.Read(make([]byte, 64)); err != nil {
		t.Fatalf("child does not listen: %v", err)
	}
}

// kernelTypes are read once: an emulated processor takes seconds.
var kernelTypes = btf.NewCache()

// open makes a collector, or skips the test where the kernel cannot: without
// its types, or for a user who may not ask it.
func open(t *testing.T, cfg Config) *Collector {
	t.Helper()
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	cfg.types = kernelTypes
	c, err := New(cfg)
	if errors.Is(err, ErrUnsupported) {
		_, types := os.Stat("/sys/kernel/btf/vmlinux")
		if os.Geteuid() != 0 || errors.Is(types, fs.ErrNotExist) {
			t.Skip(err)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// eventually waits for a condition; saw says what there is instead.
func eventually(t *testing.T, what string, holds func() (ok bool, saw any)) {
	t.Helper()
	const patience = 30 * time.Second
	deadline := time.Now().Add(patience)
	for {
		ok, saw := holds()
		if ok {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %v: %v", what, patience, saw)
		}
		<-time.After(10 * time.Millisecond)
	}
}

// keep is a sink that holds a copy of the last tick.
type keep struct {
	mu   sync.Mutex
	tick Tick
}

func (k *keep) Consume(t *Tick) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.tick = *t
	k.tick.Rows = slices.Clone(t.Rows)
}

func (k *keep) last() Tick {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.tick
}
