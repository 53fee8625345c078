package api

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"
)

// ErrInUse is returned when another Seer already answers on the socket.
var ErrInUse = errors.New("second instance")

// maxSocketPath is sizeof(sockaddr_un.sun_path) less its NUL (unix(7)).
const maxSocketPath = 107

// Listen opens the control socket at path, with mode 0600, making its folder
// with mode 0700 when there is none. A socket that a dead Seer left behind is
// replaced; while another one lives, the error wraps ErrInUse.
//
// The lock on path + ".lock" decides who lives: it is gone with the process
// that held it, however that died. The lock file itself stays.
func Listen(path string) (net.Listener, error) {
	if len(path) > maxSocketPath {
		return nil, fmt.Errorf("control socket %q: path has %d bytes, the kernel takes %d: use a shorter one", path, len(path), maxSocketPath)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("control socket: %w: run as root, or use another path", err)
	}
	lock, err := lockSocket(path)
	if err != nil {
		return nil, err
	}
	l, err := bindSocket(path)
	if err != nil {
		lock.Close()
		return nil, err
	}
	return &controlListener{Listener: l, lock: lock}, nil
}

func lockSocket(path string) (*os.File, error) {
	lock, err := os.OpenFile(path+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("control socket: %w: run as root, or use another path", err)
	}
	err = unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	switch {
	case errors.Is(err, unix.EWOULDBLOCK):
		lock.Close()
		return nil, inUse(path)
	case err != nil:
		lock.Close()
		return nil, fmt.Errorf("control socket: lock %s: %w", lock.Name(), err)
	}
	return lock, nil
}

// bindSocket replaces what a dead Seer left at path. It never removes
// anything that is not a socket, nor one on which somebody answers.
func bindSocket(path string) (net.Listener, error) {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, fmt.Errorf("control socket: %w", err)
	case info.Mode().Type() != fs.ModeSocket:
		return nil, fmt.Errorf("control socket %s: exists and is no socket: move it away, or use another path", path)
	default:
		if conn, err := net.Dial("unix", path); err == nil {
			conn.Close()
			return nil, inUse(path)
		}
		if err := os.Remove(path); err != nil {
			return nil, fmt.Errorf("control socket: remove a stale one: %w", err)
		}
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	// Until this line the umask decides; the check of each peer's user
	// (authorise) holds from the start.
	if err := os.Chmod(path, 0o600); err != nil {
		l.Close()
		return nil, fmt.Errorf("control socket: %w", err)
	}
	return l, nil
}

func inUse(path string) error {
	return fmt.Errorf("%w: another seer answers on %s: stop it, or give this one its own --socket and --db", ErrInUse, path)
}

// controlListener holds the lock as long as the socket.
type controlListener struct {
	net.Listener
	lock *os.File
	once sync.Once
}

// Close removes the socket and lets another Seer have it. It may be called
// again: whoever opened the socket closes it, and Serve does, too.
func (l *controlListener) Close() (err error) {
	l.once.Do(func() { err = errors.Join(l.Listener.Close(), l.lock.Close()) })
	return err
}
