//go:build linux

package host

import (
	"fmt"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// Limits bound a container. The zero value of each field is no limit.
type Limits struct {
	CPUs   float64 `json:"cpus,omitempty"`   // CPU bandwidth
	Memory int64   `json:"memory,omitempty"` // bytes, page cache included
	PIDs   int     `json:"pids,omitempty"`   // processes and threads
}

// Set applies all of the limits, those that are zero too.
func (c *Cgroup) Set(l Limits) error {
	if err := c.SetCPUs(l.CPUs); err != nil {
		return err
	}
	if err := c.SetMemory(l.Memory); err != nil {
		return err
	}
	return c.SetPIDs(l.PIDs)
}

// cpuPeriodUS is the runtimes' default, in microseconds.
const cpuPeriodUS = 100_000

// SetCPUs limits CPU bandwidth from now on; 0 lifts the limit.
func (c *Cgroup) SetCPUs(cpus float64) error {
	// The kernel takes no quota below one millisecond.
	quota := strconv.Itoa(max(1000, int(cpus*cpuPeriodUS)))
	if c.Legacy("cpu") {
		if cpus == 0 {
			quota = "-1"
		}
		if err := c.write("cpu", "cpu.cfs_period_us", strconv.Itoa(cpuPeriodUS)); err != nil {
			return err
		}
		return c.write("cpu", "cpu.cfs_quota_us", quota)
	}
	if cpus == 0 {
		quota = "max"
	}
	return c.write("cpu", "cpu.max", quota+" "+strconv.Itoa(cpuPeriodUS))
}

// SetMemory limits memory, page cache included, from now on; 0 lifts the limit.
// It fails where the kernel did not take it: v1 cannot go below what is in use
// and cannot be reclaimed.
func (c *Cgroup) SetMemory(bytes int64) error {
	file, value := "memory.max", strconv.FormatInt(bytes, 10)
	if bytes == 0 {
		value = "max"
	}
	if c.Legacy("memory") {
		file = "memory.limit_in_bytes"
		if bytes == 0 {
			value = "-1"
		}
	}
	if err := c.write("memory", file, value); err != nil {
		return err
	}
	if bytes == 0 {
		return nil
	}
	text, err := c.read("memory", file)
	if err != nil {
		return err
	}
	page := int64(unix.Getpagesize())
	if got, err := strconv.ParseInt(text, 10, 64); err != nil || got/page != bytes/page {
		return fmt.Errorf("cgroup %s: set %s to %d: the kernel says it is %s", c.Name, file, bytes, text)
	}
	return nil
}

// SetPIDs limits processes and threads; 0 lifts the limit.
func (c *Cgroup) SetPIDs(n int) error {
	value := strconv.Itoa(n)
	if n == 0 {
		value = "max"
	}
	return c.write("pids", "pids.max", value)
}

// SetDiskWrite limits what the container writes past the page cache to the disk
// under path, in bytes per second; 0 lifts the limit. In v1 only direct writes
// count.
func (c *Cgroup) SetDiskWrite(path string, bytesPerSecond int64) error {
	device, err := Disk(path)
	if err != nil {
		return err
	}
	if c.Legacy("blkio") {
		return c.write("blkio", "blkio.throttle.write_bps_device", fmt.Sprintf("%s %d", device, bytesPerSecond))
	}
	value := strconv.FormatInt(bytesPerSecond, 10)
	if bytesPerSecond == 0 {
		value = "max"
	}
	return c.write("blkio", "io.max", fmt.Sprintf("%s wbps=%s", device, value))
}

// Disk returns the disk that holds path as "MAJOR:MINOR", which is how control
// files call it. Limits apply to whole disks, so that a partition's is returned.
func Disk(path string) (string, error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return "", fmt.Errorf("disk of %s: %w", path, err)
	}
	device := fmt.Sprintf("%d:%d", unix.Major(st.Dev), unix.Minor(st.Dev))
	sys, err := filepath.EvalSymlinks("/sys/dev/block/" + device)
	if err != nil {
		return "", fmt.Errorf("disk of %s: not on a block device: %w", path, err)
	}
	if exists(filepath.Join(sys, "partition")) {
		words, err := readWords(filepath.Join(filepath.Dir(sys), "dev"))
		if err != nil || len(words) != 1 {
			return "", fmt.Errorf("disk of %s: no disk of partition %s: %w", path, device, err)
		}
		device = words[0]
	}
	return device, nil
}

// CPUTime returns the CPU time that the container has used.
func (c *Cgroup) CPUTime() (time.Duration, error) {
	if c.Legacy("cpuacct") {
		text, err := c.read("cpuacct", "cpuacct.usage")
		if err != nil {
			return 0, err
		}
		ns, err := strconv.ParseInt(text, 10, 64)
		return time.Duration(ns), err
	}
	us, err := c.field("cpuacct", "cpu.stat", "usage_usec")
	return time.Duration(us) * time.Microsecond, err
}

// Memory returns the bytes that the container needs: what it is charged for less
// page cache that was not used lately, as container runtimes count.
func (c *Cgroup) Memory() (int64, error) {
	usage, stat, inactive := "memory.current", "memory.stat", "inactive_file"
	if c.Legacy("memory") {
		usage, inactive = "memory.usage_in_bytes", "total_inactive_file"
	}
	text, err := c.read("memory", usage)
	if err != nil {
		return 0, err
	}
	used, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, err
	}
	cold, err := c.field("memory", stat, inactive)
	return max(0, used-cold), err
}
