//go:build linux

package known

import (
	"io"
	"maps"
	"net"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"seer/test/lab"
)

// tierConfig describes a tier: it answers each request when the next tier, if there
// is one, has answered its own, on a connection that belongs to the client's.
type tierConfig struct {
	Next    string        // address of the next tier
	Threads bool          // a thread with blocking sockets per connection, else goroutines
	Time    time.Duration // for which a request is held, half of it before the next tier
}

const tierWorkload = "tier"

// relays is which connection to the next tier belongs to which client's, by ports.
type relays struct {
	mu    sync.Mutex
	ports map[uint16]uint16
}

func tier(w *lab.Worker) error {
	var cfg tierConfig
	if err := w.Begin(&cfg); err != nil {
		return err
	}
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return err
	}
	r := relays{ports: map[uint16]uint16{}}
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			go r.relay(in, cfg)
		}
	}()
	return w.Serve(map[string]lab.Handler{
		"addr": lab.Handle(func(any) (string, error) { return l.Addr().String(), nil }),
		"ports": lab.Handle(func(any) (map[uint16]uint16, error) {
			r.mu.Lock()
			defer r.mu.Unlock()
			return maps.Clone(r.ports), nil
		}),
	})
}

// relay serves one connection until it closes.
func (r *relays) relay(in net.Conn, cfg tierConfig) {
	defer in.Close()
	var out net.Conn
	if cfg.Next != "" {
		var err error
		if out, err = net.Dial("tcp4", cfg.Next); err != nil {
			return
		}
		defer out.Close()
		r.mu.Lock()
		r.ports[uint16(in.RemoteAddr().(*net.TCPAddr).Port)] = uint16(out.LocalAddr().(*net.TCPAddr).Port)
		r.mu.Unlock()
	}
	hold := time.Sleep
	receive, send := io.ReadWriter(in), io.ReadWriter(out)
	if cfg.Threads {
		runtime.LockOSThread()
		hold = func(d time.Duration) {
			ts := unix.NsecToTimespec(int64(d))
			_ = unix.Nanosleep(&ts, nil)
		}
		receive = blocking(in)
		if out != nil {
			send = blocking(out)
		}
	}
	buf := make([]byte, 64) // a request of lab.Load
	for {
		if _, err := io.ReadFull(receive, buf); err != nil {
			return
		}
		hold(cfg.Time / 2)
		if out != nil {
			if _, err := send.Write(buf); err != nil {
				return
			}
			if _, err := io.ReadFull(send, buf); err != nil {
				return
			}
		}
		hold(cfg.Time / 2)
		if _, err := receive.Write(buf); err != nil {
			return
		}
	}
}

// fd reads and writes a socket by system calls that block the thread.
type fd int

// blocking takes the descriptor out of Go's poller; it stays open with the process.
func blocking(conn net.Conn) fd {
	file, err := conn.(*net.TCPConn).File()
	if err != nil {
		panic(err)
	}
	n := int(file.Fd()) // which also makes it block, for all its copies
	dup, err := unix.Dup(n)
	if err != nil {
		panic(err)
	}
	file.Close()
	return fd(dup)
}

func (f fd) Read(b []byte) (int, error) {
	n, err := unix.Read(int(f), b)
	if n == 0 && err == nil {
		err = io.EOF
	}
	return max(n, 0), err
}

func (f fd) Write(b []byte) (int, error) { return unix.Write(int(f), b) }
