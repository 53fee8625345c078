//go:build linux

package known

import (
	"errors"
	"fmt"
	"os"
	"os/exec"

	"golang.org/x/sys/unix"

	"seer/test/lab"
)

// way is how a server moves the bytes of requests and answers. All of it blocks.
type way struct {
	receive func(fd int, b []byte) (int, error) // some bytes, 0 at the end
	send    func(fd int, b []byte) (int, error) // some of them
}

// ways are made for one connection, whose thread is no other's.
var ways = map[string]func() (way, error){
	"write":      func() (way, error) { return way{unix.Read, unix.Write}, nil },
	"sendfile":   sendfileWay,
	"splice-out": func() (way, error) { return spliceWay(false, true) },
	"splice-in":  func() (way, error) { return spliceWay(true, false) },
	"io_uring":   uringWay,
}

func sendfileWay() (way, error) {
	file, err := unix.MemfdCreate("answer", unix.MFD_CLOEXEC)
	if err == nil {
		err = unix.Ftruncate(file, replyBytes)
	}
	return way{unix.Read, func(fd int, b []byte) (int, error) {
		from := int64(replyBytes - len(b))
		return unix.Sendfile(fd, file, &from, len(b))
	}}, err
}

// spliceWay moves bytes between a pipe and the socket without copying them.
func spliceWay(in, out bool) (way, error) {
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC); err != nil {
		return way{}, err
	}
	w := way{unix.Read, unix.Write}
	if in {
		w.receive = func(fd int, b []byte) (int, error) {
			n, err := unix.Splice(fd, nil, pipe[1], nil, len(b), 0)
			if n <= 0 || err != nil {
				return 0, err
			}
			return unix.Read(pipe[0], b[:n])
		}
	}
	if out {
		w.send = func(fd int, b []byte) (int, error) {
			n, err := unix.Write(pipe[1], b)
			if err != nil {
				return 0, err
			}
			for left := n; left > 0; {
				moved, err := unix.Splice(pipe[0], nil, fd, nil, left, 0)
				if err != nil {
					return 0, err
				}
				left -= int(moved)
			}
			return n, nil
		}
	}
	return w, nil
}

func uringWay() (way, error) {
	r, err := newRing()
	if err != nil {
		return way{}, err
	}
	return way{
		func(fd int, b []byte) (int, error) { return r.do(uringReceive, fd, b) },
		func(fd int, b []byte) (int, error) { return r.do(uringSend, fd, b) },
	}, nil
}

// serveFD answers requests on a connection in one way until it ends.
func serveFD(fd int, w way) error {
	defer unix.Close(fd)
	request, reply := make([]byte, requestBytes), make([]byte, replyBytes)
	for {
		for got := 0; got < requestBytes; {
			n, err := w.receive(fd, request[got:])
			switch {
			case errors.Is(err, unix.EINTR):
			case err != nil:
				return fmt.Errorf("receive: %w", err)
			case n == 0:
				return nil
			default:
				got += n
			}
		}
		for rest := reply; len(rest) > 0; {
			n, err := w.send(fd, rest)
			if err != nil && !errors.Is(err, unix.EINTR) {
				return fmt.Errorf("send: %w", err)
			}
			rest = rest[max(n, 0):]
		}
	}
}

// errNoRing says that this kernel has no io_uring, or not for us.
var errNoRing = errors.New("no io_uring")

// waysWorkload is a server that moves bytes in the way it is given, by a thread per
// connection, or, as "fork", by a child that is given the connection.
func waysWorkload(w *lab.Worker) error {
	var name string
	if err := w.Begin(&name); err != nil {
		return err
	}
	if name != "fork" {
		if _, err := ways[name](); err != nil {
			return w.Serve(map[string]lab.Handler{"addr": lab.Handle(func(any) (string, error) { return "", err })})
		}
	}
	l, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	if err := errors.Join(unix.Bind(l, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}), unix.Listen(l, 16)); err != nil {
		return err
	}
	go func() {
		for {
			fd, _, err := unix.Accept4(l, unix.SOCK_CLOEXEC)
			if err == nil {
				go func() { endWith(answer(fd, name)) }()
				continue
			}
			endWith(err)
		}
	}()
	return w.Serve(map[string]lab.Handler{
		"addr": lab.Handle(func(any) (string, error) {
			at, err := unix.Getsockname(l)
			if err != nil {
				return "", err
			}
			return fmt.Sprintf("127.0.0.1:%d", at.(*unix.SockaddrInet4).Port), nil
		}),
	})
}

// endWith ends the workload where there is an error, which the lab then shows.
func endWith(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func answer(fd int, name string) error {
	if name == "fork" {
		conn := os.NewFile(uintptr(fd), "connection")
		defer conn.Close()
		child := exec.Command("/proc/self/exe")
		child.Env = append(os.Environ(), lab.ChildEnv(waysChild)...)
		child.ExtraFiles = []*os.File{conn}
		return child.Run()
	}
	w, err := ways[name]()
	if err != nil {
		return err
	}
	return serveFD(fd, w)
}

// childWorkload serves the connection that it was born with.
func childWorkload(*lab.Worker) error {
	const inherited = 3
	w, err := ways["write"]()
	if err != nil {
		return err
	}
	return serveFD(inherited, w)
}
