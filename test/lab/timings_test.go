//go:build linux

package lab

import (
	"io"
	"net"
	"testing"
	"time"
)

// A request in two parts and an answer in three, both ends being on record; then a
// request that nobody answers.
func TestTimings(t *testing.T) {
	const pause = 3 * time.Millisecond
	var atServer, atClient Timings
	a, b := net.Pipe()
	client, server := atClient.Client(a), atServer.Server(b)
	done := make(chan error, 1)
	go func() {
		done <- func() error {
			buf := make([]byte, 2)
			for range 2 {
				if _, err := io.ReadFull(server, buf); err != nil {
					return err
				}
			}
			for range 3 {
				time.Sleep(pause)
				if _, err := server.Write(buf); err != nil {
					return err
				}
			}
			_, err := io.ReadFull(server, buf)
			return err
		}()
	}()
	buf := make([]byte, 6)
	for _, step := range []func() (int, error){
		func() (int, error) { return client.Write(buf[:2]) },
		func() (int, error) { return client.Write(buf[:2]) },
		func() (int, error) { return io.ReadFull(client, buf) },
		func() (int, error) { return client.Write(buf[:2]) },
	} {
		if _, err := step(); err != nil {
			t.Fatal(err)
		}
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	for name, got := range map[string][]Timing{"server": atServer.All(), "client": atClient.All()} {
		if len(got) != 2 {
			t.Fatalf("%s: All() = %v, want two requests", name, got)
		}
		if one := got[0]; one.First < pause || one.Last < one.First+2*pause {
			t.Errorf("%s: first %v, last %v, want at least %v, and %v more", name, one.First, one.Last, pause, 2*pause)
		}
		if none := got[1]; none.First != 0 || none.Last != 0 {
			t.Errorf("%s: the request without an answer has %+v, want no times", name, none)
		}
	}
}

// Who speaks first is not answering anybody.
func TestTimingsOfAGreeting(t *testing.T) {
	var timings Timings
	a, b := net.Pipe()
	server := timings.Server(b)
	go io.Copy(io.Discard, a)
	if _, err := server.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	if got := timings.All(); len(got) != 0 {
		t.Errorf("All() = %v, want none", got)
	}
}
