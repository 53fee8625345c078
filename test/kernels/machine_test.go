//go:build linux && amd64

package kernels

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// workloadArg makes the test binary act as a workload instead of as tests: the
// project's privileged tests start themselves again in other cgroups.
const workloadArg = "kernels-workload"

func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == workloadArg {
		for { // spin until killed
		}
	}
	os.Exit(m.Run())
}

// exchange moves a few bytes both ways over one new connection.
func exchange(t *testing.T, network, address string) {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	failed := make(chan error, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			failed <- err
			return
		}
		_, err = io.Copy(c, io.LimitReader(c, 4))
		failed <- errors.Join(err, c.Close())
	}()
	c, err := net.Dial(network, l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write([]byte("ping")); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(c)
	if err := errors.Join(err, <-failed); err != nil {
		t.Fatal(err)
	}
	if string(got) != "ping" {
		t.Fatalf("echo over %s = %q, want %q", network, got, "ping")
	}
}

func TestSockets(t *testing.T) {
	needMachine(t)
	exchange(t, "tcp4", "127.0.0.1:0")
	exchange(t, "tcp6", "[::1]:0")
	exchange(t, "unix", filepath.Join(t.TempDir(), "socket"))
}

// TestShapedVeth builds what the nic_tx test needs: two namespaces joined by a
// veth pair whose sender is throttled by TBF. It proves that modules load on
// demand, too: neither veth nor TBF is built in.
func TestShapedVeth(t *testing.T) {
	needMachine(t)
	runtime.LockOSThread() // not unlocked: the thread keeps the namespace and ends with the test
	host, err := netns.Get()
	if err != nil {
		t.Fatal(err)
	}
	defer host.Close()
	peer, err := netns.New()
	if err != nil {
		t.Fatal(err)
	}
	defer peer.Close()
	if err := netns.Set(host); err != nil {
		t.Fatal(err)
	}
	veth := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "seer0"}, PeerName: "seer1", PeerNamespace: netlink.NsFd(peer)}
	if err := netlink.LinkAdd(veth); err != nil {
		t.Fatalf("add veth: %v", err)
	}
	defer netlink.LinkDel(veth)
	addr, err := netlink.ParseAddr("198.18.7.1/30")
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(netlink.AddrAdd(veth, addr), netlink.LinkSetUp(veth)); err != nil {
		t.Fatal(err)
	}
	link, err := netlink.LinkByName("seer0")
	if err != nil {
		t.Fatal(err)
	}
	root := netlink.QdiscAttrs{LinkIndex: link.Attrs().Index, Handle: netlink.MakeHandle(1, 0), Parent: netlink.HANDLE_ROOT}
	for _, q := range []netlink.Qdisc{
		&netlink.Tbf{QdiscAttrs: root, Rate: 125_000, Buffer: 3_000, Limit: 100_000},
		netlink.NewNetem(root, netlink.NetemQdiscAttrs{Latency: 1_000}),
		netlink.NewHtb(root),
	} {
		if err := netlink.QdiscAdd(q); err != nil {
			t.Fatalf("add %s: %v", q.Type(), err)
		}
		list, err := netlink.QdiscList(link)
		if err != nil {
			t.Fatal(err)
		}
		found := false
		for _, have := range list {
			found = found || have.Type() == q.Type()
		}
		if !found {
			t.Errorf("qdiscs of seer0 = %v, want a %s", list, q.Type())
		}
		if err := netlink.QdiscDel(q); err != nil {
			t.Fatalf("delete %s: %v", q.Type(), err)
		}
	}
	for _, l := range []netlink.Link{
		&netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "seerbr"}},
		&netlink.Ifb{LinkAttrs: netlink.LinkAttrs{Name: "seerifb"}},
		&netlink.Vxlan{LinkAttrs: netlink.LinkAttrs{Name: "seervx"}, VxlanId: 7, Port: 4789},
	} {
		if err := netlink.LinkAdd(l); err != nil {
			t.Errorf("add %s: %v", l.Type(), err)
		} else if err := netlink.LinkDel(l); err != nil {
			t.Errorf("delete %s: %v", l.Type(), err)
		}
	}
}

// TestCPULimit moves a spinning copy of this binary to a cgroup of its own
// with a tenth of a processor and waits until the kernel reports throttling.
func TestCPULimit(t *testing.T) {
	needMachine(t)
	root, limit, hierarchy := "/sys/fs/cgroup", map[string]string{"cpu.max": "10000 100000"}, "0:"
	if _, err := os.Stat(root + "/cgroup.controllers"); err != nil { // the hybrid layout
		root += "/cpu,cpuacct"
		limit = map[string]string{"cpu.cfs_period_us": "100000", "cpu.cfs_quota_us": "10000"}
		hierarchy = "cpu,cpuacct"
	}
	dir, err := os.MkdirTemp(root, "seer-test-")
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := os.Remove(dir); err != nil {
			t.Error(err)
		}
	}()
	for file, value := range limit {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(value), 0); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command("/proc/self/exe", workloadArg)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		cmd.Process.Kill()
		cmd.Wait()
		waitFor(t, "empty cgroup", func() (bool, error) {
			b, err := os.ReadFile(dir + "/cgroup.procs")
			return len(b) == 0, err
		})
	}()
	pid := strconv.Itoa(cmd.Process.Pid)
	if err := os.WriteFile(dir+"/cgroup.procs", []byte(pid), 0); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "throttling", func() (bool, error) {
		b, err := os.ReadFile(dir + "/cpu.stat")
		var n int
		for line := range strings.Lines(string(b)) {
			fmt.Sscanf(line, "nr_throttled %d", &n)
		}
		return n > 0, err
	})
	b, err := os.ReadFile("/proc/" + pid + "/cgroup")
	if err != nil {
		t.Fatal(err)
	}
	got := ""
	for line := range strings.Lines(string(b)) {
		if strings.Contains(line, hierarchy) {
			_, got, _ = strings.Cut(line, ":/")
		}
	}
	if want := filepath.Base(dir) + "\n"; got != want {
		t.Errorf("cgroup of the workload = %q, want %q, in:\n%s", got, want, b)
	}
}

// TestScratchDisk writes past the page cache to the disk that block_io tests
// use, and finds the bytes again.
func TestScratchDisk(t *testing.T) {
	needMachine(t)
	disk := os.Getenv("SEER_TEST_BLOCK_DEVICE")
	if disk == "" {
		t.Fatal("no scratch disk: SEER_TEST_BLOCK_DEVICE is not set")
	}
	f, err := os.OpenFile(disk, os.O_RDWR|unix.O_DIRECT, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	const size = 4096
	page := alignedPage(size)
	copy(page, "seer")
	if _, err := f.WriteAt(page, size); err != nil {
		t.Fatalf("direct write: %v", err)
	}
	clear(page)
	if _, err := f.ReadAt(page, size); err != nil {
		t.Fatalf("direct read: %v", err)
	}
	if got := string(page[:4]); got != "seer" {
		t.Errorf("read back %q, want %q", got, "seer")
	}
}

// alignedPage returns size bytes at an address that O_DIRECT accepts.
func alignedPage(size int) []byte {
	b := make([]byte, 2*size)
	off := size - int(uintptr(unsafe.Pointer(&b[0]))%uintptr(size))
	return b[off : off+size]
}

// waitFor polls a condition until it holds; an emulated second is slow.
func waitFor(t *testing.T, what string, holds func() (bool, error)) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); runtime.Gosched() {
		ok, err := holds()
		if err != nil {
			t.Fatalf("waiting for %s: %v", what, err)
		}
		if ok {
			return
		}
	}
	t.Fatalf("no %s within 30 s", what)
}
