//go:build linux && amd64

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"seer/test/kernels/job"
)

// mount is one line of what setUp mounts, in order.
type mount struct {
	fstype, target, options string
	optional                bool // the kernel may lack it
}

var baseMounts = []mount{
	{"proc", "/proc", "", false},
	{"sysfs", "/sys", "", false},
	{"devtmpfs", "/dev", "", false},
	{"devpts", "/dev/pts", "", true},
	{"tmpfs", "/dev/shm", "", false},
	{"tmpfs", "/run", "mode=0755", false},
	{"tmpfs", "/tmp", "mode=1777", false},
	{"tmpfs", "/var", "mode=0755", false},
	{"bpf", "/sys/fs/bpf", "", false},
	{"tracefs", "/sys/kernel/tracing", "", true},
	{"debugfs", "/sys/kernel/debug", "", true},
	{"securityfs", "/sys/kernel/security", "", true},
}

// v1Controllers are mounted one by one on a hybrid machine; a kernel built
// without one leaves it out.
var v1Controllers = []string{"cpu,cpuacct", "cpuset", "memory", "blkio", "pids", "freezer"}

// setUp makes the bare root file system a host: mounts, cgroups, loopback,
// limits.
func setUp(cgroup string) error {
	for _, m := range baseMounts {
		if err := m.mount(); err != nil {
			return err
		}
	}
	for _, dir := range []string{"/var/lib", "/var/tmp", "/root"} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	// What udev adds to devtmpfs.
	for name, target := range map[string]string{
		"fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1", "stderr": "/proc/self/fd/2",
	} {
		if err := os.Symlink(target, filepath.Join("/dev", name)); err != nil {
			return err
		}
	}
	switch cgroup {
	case job.CgroupV2:
		if err := mountV2("/sys/fs/cgroup"); err != nil {
			return err
		}
	case job.CgroupHybrid:
		if err := mountHybrid(); err != nil {
			return err
		}
	default:
		return fmt.Errorf("unknown cgroup layout %q", cgroup)
	}
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return fmt.Errorf("loopback: %w", err)
	}
	if err := netlink.LinkSetUp(lo); err != nil {
		return fmt.Errorf("loopback: %w", err)
	}
	if err := loadDiskDriver(); err != nil {
		return err
	}
	return raiseLimits()
}

// loadDiskDriver does what udev does when it meets the scratch disk. What a
// kernel has built in is not among the modules.
func loadDiskDriver() error {
	modules, err := readIndex()
	if err != nil {
		return err
	}
	for _, name := range []string{"virtio_pci", "virtio_blk"} {
		if _, ok := modules[name]; !ok {
			continue
		}
		if err := load(modules, name); err != nil {
			return err
		}
	}
	return nil
}

func (m mount) mount() error {
	// devtmpfs hides the folders of the root file system below it.
	if err := os.MkdirAll(m.target, 0o755); err != nil && !m.optional {
		return err
	}
	err := unix.Mount(m.fstype, m.target, m.fstype, 0, m.options)
	if err != nil && !m.optional {
		return fmt.Errorf("mount %s on %s: %w", m.fstype, m.target, err)
	}
	return nil
}

// mountV2 mounts the unified tree and enables every controller for children.
func mountV2(root string) error {
	if err := (mount{fstype: "cgroup2", target: root}).mount(); err != nil {
		return err
	}
	b, err := os.ReadFile(filepath.Join(root, "cgroup.controllers"))
	if err != nil {
		return err
	}
	for controller := range strings.FieldsSeq(string(b)) {
		err := os.WriteFile(filepath.Join(root, "cgroup.subtree_control"), []byte("+"+controller), 0)
		if err != nil {
			return fmt.Errorf("cgroup controller %s: %w", controller, err)
		}
	}
	return nil
}

// mountHybrid is the layout of older distributions and of many CI machines.
func mountHybrid() error {
	const root = "/sys/fs/cgroup"
	if err := (mount{"tmpfs", root, "mode=0755", false}).mount(); err != nil {
		return err
	}
	for _, controllers := range v1Controllers {
		m := mount{"cgroup", filepath.Join(root, controllers), controllers, false}
		if err := os.MkdirAll(m.target, 0o755); err != nil {
			return err
		}
		err := unix.Mount(m.fstype, m.target, m.fstype, 0, m.options)
		if errors.Is(err, unix.EINVAL) { // this kernel has no such v1 controller
			if err := os.Remove(m.target); err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return fmt.Errorf("mount cgroup %s: %w", controllers, err)
		}
	}
	return mountV2(filepath.Join(root, "unified"))
}

// raiseLimits gives programs what a service manager gives a privileged daemon.
func raiseLimits() error {
	for _, l := range []struct {
		resource int
		value    uint64
	}{
		{unix.RLIMIT_NOFILE, 1 << 20},
		{unix.RLIMIT_MEMLOCK, unix.RLIM_INFINITY},
		{unix.RLIMIT_CORE, 0},
	} {
		if err := unix.Setrlimit(l.resource, &unix.Rlimit{Cur: l.value, Max: l.value}); err != nil {
			return fmt.Errorf("resource limit %d: %w", l.resource, err)
		}
	}
	return nil
}
