//go:build linux

// Package footprint finds what a testbed has on the host, by looking at the host
// alone and not at what the testbed wrote down. Tests hold it to leave nothing.
package footprint

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Mark is what tells one testbed from all others.
type Mark struct {
	Cgroup string   // part of the name of each of its cgroups
	Dirs   []string // its directories
	Nets   []uint64 // inodes of its network namespaces, see Namespaces
}

// Find lists cgroups, processes, mounts, links and files that bear a mark.
func Find(m Mark) ([]string, error) {
	var found []string
	err := filepath.WalkDir("/sys/fs/cgroup", func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && strings.Contains(d.Name(), m.Cgroup) {
			found = append(found, "cgroup "+path)
		}
		return nil // others' come and go while we look
	})
	if err != nil {
		return nil, err
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(mounts)) {
		for _, dir := range m.Dirs {
			if strings.Contains(line, " "+dir+"/") {
				found = append(found, "mount "+strings.Fields(line)[4])
			}
		}
	}
	processes, err := findProcesses(m)
	if err != nil {
		return nil, err
	}
	found = append(found, processes...)
	links, err := filepath.Glob("/sys/class/net/sb*")
	if err != nil {
		return nil, err
	}
	found = append(found, links...)
	for _, dir := range m.Dirs {
		if _, err := os.Lstat(dir); err == nil {
			found = append(found, "directory "+dir)
		}
	}
	return found, nil
}

// findProcesses looks at every process on the host but this one. A zombie is its
// parent's, and has nothing left.
func findProcesses(m Mark) ([]string, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	var found []string
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		read := func(name string) []byte {
			text, _ := os.ReadFile(filepath.Join("/proc", e.Name(), name))
			return text
		}
		if stat := read("stat"); bytes.Contains(stat, []byte(") Z ")) || bytes.Contains(stat, []byte(") X ")) {
			continue
		}
		why := ""
		if strings.Contains(string(read("cgroup")), m.Cgroup) {
			why = "is in its cgroup"
		}
		cwd, _ := os.Readlink(filepath.Join("/proc", e.Name(), "cwd"))
		exe, _ := os.Readlink(filepath.Join("/proc", e.Name(), "exe"))
		for _, dir := range m.Dirs {
			if strings.HasPrefix(cwd, dir+"/") || strings.HasPrefix(exe, dir+"/") {
				why = "runs in its directory"
			}
		}
		if inode, err := Namespace(filepath.Join("/proc", e.Name(), "ns/net")); err == nil {
			for _, n := range m.Nets {
				if n == inode {
					why = "is in its network namespace"
				}
			}
		}
		if why != "" {
			found = append(found, fmt.Sprintf("process %d (%s) %s", pid, bytes.TrimSpace(read("comm")), why))
		}
	}
	return found, nil
}

// Namespace returns the inode of a namespace, which is what it is known by.
func Namespace(path string) (uint64, error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return 0, err
	}
	return st.Ino, nil
}

// SharedMemory counts the System V segments of this IPC namespace whose creator
// is that user.
func SharedMemory(uid int) (int, error) {
	text, err := os.ReadFile("/proc/sysvipc/shm")
	if err != nil {
		return 0, err
	}
	count := 0
	for line := range strings.Lines(string(text)) {
		// key shmid perms size cpid lpid nattch uid ...
		if f := strings.Fields(line); len(f) > 7 && f[7] == strconv.Itoa(uid) {
			count++
		}
	}
	return count, nil
}
