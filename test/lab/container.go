//go:build linux

package lab

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

// Options describe a container. The zero value is a cgroup v2 child in the
// network namespace of the test.
type Options struct {
	// LegacyOnly puts the processes into a child of this v1 controller's
	// hierarchy ("memory") and leaves them in the root of cgroup v2, as v1
	// runtimes do.
	LegacyOnly string

	// CPUs limits the container's CPU bandwidth, in CPUs; 0 is no limit. It
	// uses cpu.max, or the v1 cpu controller where v2 does not have it.
	CPUs float64

	// Network gives the container a network namespace of its own, connected
	// to the other containers of that Network.
	Network *Network
}

// Container is one cgroup and the processes the lab started in it.
type Container struct {
	Name string // unique on the host: seer-lab-PID-NAME
	Path string // directory of the cgroup that identifies it

	// CgroupID is the id of that cgroup, the inode number of its directory; in
	// a v1 hierarchy if Legacy.
	CgroupID uint64
	Legacy   bool

	// Addr and Addr6 are the container's addresses in its Network; the
	// loopback addresses without one.
	Addr, Addr6 netip.Addr

	t       TB
	unified *os.File // cgroup v2 directory that children are born in; nil if LegacyOnly
	legacy  []string // v1 directories that children are moved to before they begin
	ns      int      // network namespace descriptor, 0 without Network
	network *Network
}

// containers numbers the containers of this process, so that two tests may
// use one name.
var containers atomic.Int64

// NewContainer makes a container that lasts until the end of the test.
func NewContainer(t TB, name string, o Options) *Container {
	t.Helper()
	c, err := newContainer(t, name, o)
	if err != nil {
		t.Fatalf("new container %s: %v", name, err)
	}
	return c
}

func newContainer(t TB, name string, o Options) (*Container, error) {
	h, err := findHierarchies("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	c := &Container{
		Name:  fmt.Sprintf("%s%d-%s%d", cgroupPrefix, os.Getpid(), name, containers.Add(1)),
		Addr:  netip.MustParseAddr("127.0.0.1"),
		Addr6: netip.IPv6Loopback(),
		t:     t,
	}
	if o.LegacyOnly != "" {
		if c.Path, err = c.addLegacy(h, o.LegacyOnly); err != nil {
			return nil, err
		}
	} else {
		if h.unified == "" {
			return nil, fmt.Errorf("no cgroup v2 hierarchy is mounted")
		}
		c.Path = filepath.Join(h.unified, c.Name)
		if err := c.mkdir(c.Path); err != nil {
			return nil, err
		}
		if c.unified, err = os.Open(c.Path); err != nil {
			return nil, err
		}
		t.Cleanup(func() { c.unified.Close() })
	}
	var st unix.Stat_t
	if err := unix.Stat(c.Path, &st); err != nil {
		return nil, fmt.Errorf("stat %s: %w", c.Path, err)
	}
	c.CgroupID, c.Legacy = st.Ino, o.LegacyOnly != ""
	if o.CPUs > 0 {
		if err := c.limitCPU(h, o.CPUs); err != nil {
			return nil, err
		}
	}
	if o.Network != nil {
		if err := o.Network.attach(c); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// mkdir makes a cgroup that the end of the test removes.
func (c *Container) mkdir(dir string) error {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	c.t.Cleanup(func() {
		if err := removeCgroup(dir); err != nil {
			c.t.Errorf("clean up: %v", err)
		}
	})
	return nil
}

// addLegacy makes the container's cgroup in a v1 hierarchy.
func (c *Container) addLegacy(h hierarchies, controller string) (string, error) {
	root := h.legacy[controller]
	if root == "" {
		return "", fmt.Errorf("no cgroup v1 hierarchy with the %s controller is mounted", controller)
	}
	dir := filepath.Join(root, c.Name)
	if err := c.mkdir(dir); err != nil {
		return "", err
	}
	c.legacy = append(c.legacy, dir)
	return dir, nil
}

// HasLegacy says whether a v1 hierarchy with that controller is mounted.
func HasLegacy(controller string) bool {
	h, err := findHierarchies("/proc/self/mountinfo")
	return err == nil && h.legacy[controller] != ""
}

// limitCPU sets the bandwidth limit with a period of 100 ms, the runtimes'
// default.
func (c *Container) limitCPU(h hierarchies, cpus float64) error {
	const period = 100_000 // microseconds
	quota := strconv.Itoa(int(cpus * period))
	if h.legacy["cpu"] != "" {
		dir, err := c.addLegacy(h, "cpu")
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, "cpu.cfs_period_us"), []byte(strconv.Itoa(period)), 0); err != nil {
			return fmt.Errorf("limit CPU: %w", err)
		}
		if err := os.WriteFile(filepath.Join(dir, "cpu.cfs_quota_us"), []byte(quota), 0); err != nil {
			return fmt.Errorf("limit CPU: %w", err)
		}
		return nil
	}
	limit := filepath.Join(c.Path, "cpu.max")
	if _, err := os.Stat(limit); err != nil {
		// A bare host (a VM without systemd) has not delegated the controller.
		if err := os.WriteFile(filepath.Join(h.unified, "cgroup.subtree_control"), []byte("+cpu"), 0); err != nil {
			return fmt.Errorf("enable the cpu controller: %w", err)
		}
	}
	if err := os.WriteFile(limit, []byte(quota+" "+strconv.Itoa(period)), 0); err != nil {
		return fmt.Errorf("limit CPU: %w", err)
	}
	return nil
}

// PIDs returns the processes that are in the container now.
func (c *Container) PIDs() []int { return cgroupPIDs(c.Path) }

// Run starts any program in the container; the end of the test kills it.
func (c *Container) Run(cmd *exec.Cmd) error {
	if err := c.spawn(cmd); err != nil {
		return err
	}
	done := make(chan struct{})
	go func() {
		cmd.Wait()
		close(done)
	}()
	c.t.Cleanup(func() {
		cmd.Process.Kill()
		<-done
	})
	return nil
}

// spawn starts cmd as a member of the container's cgroups and network
// namespace. It is born in the v2 cgroup (clone3); v1 has no such call, so it
// is moved there, which is why workloads wait for a first command.
func (c *Container) spawn(cmd *exec.Cmd) error {
	attr := &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if c.unified != nil {
		attr.UseCgroupFD, attr.CgroupFD = true, int(c.unified.Fd())
	}
	cmd.SysProcAttr = attr
	if err := onSpawner(c.ns, cmd.Start); err != nil {
		return err
	}
	for _, dir := range c.legacy {
		if err := os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte(strconv.Itoa(cmd.Process.Pid)), 0); err != nil {
			cmd.Process.Kill()
			cmd.Wait()
			return fmt.Errorf("join %s: %w", dir, err)
		}
	}
	return nil
}
