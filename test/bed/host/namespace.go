//go:build linux

package host

import (
	"fmt"
	"io/fs"
	"os"
	"runtime"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// Namespace is a network namespace that a mount at Path keeps alive.
type Namespace struct {
	Path string
}

// newNamespace makes a network namespace in which loopback is up.
func newNamespace(j *Journal, path string) (Namespace, error) {
	n := Namespace{path}
	if exists(path) {
		return n, fmt.Errorf("network namespace %s: %w", path, fs.ErrExist)
	}
	if err := j.Add(Entry{Kind: KindMount, Paths: []string{path}}); err != nil {
		return n, err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDONLY, 0o444)
	if err != nil {
		return n, fmt.Errorf("network namespace: %w", err)
	}
	f.Close()
	err = away(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("new network namespace: %w", err)
		}
		if err := unix.Mount("/proc/thread-self/ns/net", path, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("keep network namespace at %s: %w", path, err)
		}
		return nil
	})
	if err != nil {
		return n, err
	}
	h, err := n.Netlink()
	if err != nil {
		return n, err
	}
	defer h.Close()
	return n, setUp(h, "lo")
}

// Do calls f on a thread that is in the namespace. Sockets that f makes belong
// to the namespace for good; goroutines that it starts do not run in it.
func (n Namespace) Do(f func() error) error {
	return away(func() error {
		fd, err := unix.Open(n.Path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			return fmt.Errorf("network namespace %s: %w", n.Path, err)
		}
		defer unix.Close(fd)
		if err := unix.Setns(fd, unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("enter network namespace %s: %w", n.Path, err)
		}
		return f()
	})
}

// Netlink returns a handle on the namespace's links and addresses, to be closed
// by the caller.
func (n Namespace) Netlink() (*netlink.Handle, error) {
	fd, err := unix.Open(n.Path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("network namespace %s: %w", n.Path, err)
	}
	defer unix.Close(fd)
	h, err := netlink.NewHandleAt(netns.NsHandle(fd), unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("netlink in %s: %w", n.Path, err)
	}
	return h, nil
}

// sysctls sets parameters below /proc/sys/net, which shows the namespace of the
// thread that opens them. What this kernel does not have is left out.
func (n Namespace) sysctls(values map[string]string) error {
	return n.Do(func() error {
		for path, value := range values {
			err := os.WriteFile("/proc/sys/net/"+path, []byte(value), 0)
			if err != nil && !os.IsNotExist(err) {
				return fmt.Errorf("set net.%s: %w", path, err)
			}
		}
		return nil
	})
}

// away calls f on a thread whose network namespace it may change. The thread is
// given back only once it is home again; else it ends with its goroutine.
func away(f func() error) error {
	result := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		home, err := unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			runtime.UnlockOSThread()
			result <- fmt.Errorf("own network namespace: %w", err)
			return
		}
		defer unix.Close(home)
		err = f()
		if unix.Setns(home, unix.CLONE_NEWNET) == nil {
			runtime.UnlockOSThread()
		}
		result <- err
	}()
	return <-result
}

// setUp brings an interface up.
func setUp(h *netlink.Handle, name string) error {
	link, err := h.LinkByName(name)
	if err != nil {
		return fmt.Errorf("interface %s: %w", name, err)
	}
	if err := h.LinkSetUp(link); err != nil {
		return fmt.Errorf("interface %s up: %w", name, err)
	}
	return nil
}
