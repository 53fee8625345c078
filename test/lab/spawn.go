//go:build linux

package lab

import (
	"fmt"
	"os"
	"runtime"
	"sync"

	"golang.org/x/sys/unix"
)

// Every child is forked by one thread that never ends, for two reasons: the
// parent-death signal fires when the forking thread ends, not the process;
// and the thread can enter a container's network namespace for the fork, so
// that the child and all its threads are born there.
var spawner struct {
	once sync.Once
	jobs chan func()
	home int // network namespace the process started in
}

// onSpawner runs f on the spawner thread, in network namespace ns (a file
// descriptor) or, with 0, in the one this process started in.
func onSpawner(ns int, f func() error) error {
	spawner.once.Do(func() {
		spawner.jobs = make(chan func())
		ready := make(chan error)
		go func() {
			runtime.LockOSThread()
			fd, err := unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
			spawner.home = fd
			ready <- err
			for job := range spawner.jobs {
				job()
			}
		}()
		if err := <-ready; err != nil {
			panic(fmt.Sprintf("lab: open own network namespace: %v", err))
		}
	})
	result := make(chan error, 1)
	spawner.jobs <- func() {
		if ns == 0 {
			result <- f()
			return
		}
		if err := unix.Setns(ns, unix.CLONE_NEWNET); err != nil {
			result <- fmt.Errorf("enter network namespace: %w", err)
			return
		}
		err := f()
		// The thread is shared by all tests: it must not stay elsewhere.
		if back := unix.Setns(spawner.home, unix.CLONE_NEWNET); back != nil {
			panic(fmt.Sprintf("lab: leave network namespace: %v", back))
		}
		result <- err
	}
	return <-result
}

// newNetNS makes a network namespace with nothing in it and returns a
// descriptor that keeps it alive.
func newNetNS() (int, error) {
	fd := -1
	err := onSpawner(0, func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("new network namespace: %w", err)
		}
		var err error
		fd, err = unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if back := unix.Setns(spawner.home, unix.CLONE_NEWNET); back != nil {
			panic(fmt.Sprintf("lab: leave network namespace: %v", back))
		}
		return err
	})
	return fd, err
}

// writeSysctl sets a network sysctl in namespace ns; path is relative to
// /proc/sys/net, which shows the namespace of the thread that opens it.
func writeSysctl(ns int, path, value string) error {
	return onSpawner(ns, func() error {
		return os.WriteFile("/proc/sys/net/"+path, []byte(value), 0)
	})
}
