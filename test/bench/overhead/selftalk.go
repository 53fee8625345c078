//go:build linux

package main

import (
	"errors"
	"fmt"
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	"seer/test/lab"
)

const (
	talkRounds = 1_000
	talkEvents = 4  // of a round: a request and a reply, each sent and received
	talkTries  = 50 // per block
)

// selftalkWorkload is a thread that holds both ends of a TCP connection and
// sends itself requests and replies of one byte. "talk" makes rounds and returns
// the CPU time they took.
func selftalkWorkload(w *lab.Worker) error {
	if err := w.Begin(nil); err != nil {
		return err
	}
	runtime.LockOSThread()
	// The listener stays: by it Seer knows which end is the server.
	_, client, server, err := connection()
	if err != nil {
		return err
	}
	return w.Serve(map[string]lab.Handler{
		"talk": lab.Handle(func(rounds int) (time.Duration, error) {
			start, err := threadCPU()
			if err != nil {
				return 0, err
			}
			one := make([]byte, 1)
			for range rounds {
				for _, hop := range [][2]int{{client, server}, {server, client}} {
					if _, err := unix.Write(hop[0], one); err != nil {
						return 0, fmt.Errorf("write: %w", err)
					}
					if _, err := unix.Read(hop[1], one); err != nil {
						return 0, fmt.Errorf("read: %w", err)
					}
				}
			}
			end, err := threadCPU()
			return end - start, err
		}),
	})
}

// connection makes a loopback connection of blocking sockets.
func connection() (listener, client, server int, err error) {
	for _, fd := range []*int{&listener, &client} {
		if *fd, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0); err != nil {
			return 0, 0, 0, fmt.Errorf("socket: %w", err)
		}
	}
	loopback := &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}
	if err := errors.Join(unix.Bind(listener, loopback), unix.Listen(listener, 1)); err != nil {
		return 0, 0, 0, fmt.Errorf("listen: %w", err)
	}
	addr, err := unix.Getsockname(listener)
	if err != nil {
		return 0, 0, 0, fmt.Errorf("getsockname: %w", err)
	}
	if err := unix.Connect(client, addr); err != nil {
		return 0, 0, 0, fmt.Errorf("connect: %w", err)
	}
	if server, _, err = unix.Accept(listener); err != nil {
		return 0, 0, 0, fmt.Errorf("accept: %w", err)
	}
	return listener, client, server, nil
}

func threadCPU() (time.Duration, error) {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &ts); err != nil {
		return 0, fmt.Errorf("thread CPU time: %w", err)
	}
	return time.Duration(ts.Nano()), nil
}
