package collector

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/cilium/ebpf"

	"seer/bpf"
)

// stamps says for which transfers TCP's own time can stand for a reading of the
// clock (bpf/stamp.bpf.h).
type stamps struct{ receive, send bool }

// clockReading is about what a program pays for the time (docs/RESULTS.md).
const clockReading = 50 * time.Nanosecond

// clockCost is what an event pays for the time on average, receives and sends
// being equally many.
func (s stamps) clockCost() (cost time.Duration) {
	if !s.receive {
		cost += clockReading / 2
	}
	if !s.send {
		cost += clockReading / 2
	}
	return cost
}

// stampWait is how long nothing happens to the connection before a transfer; a
// time younger than a third of it was read during the transfer.
const stampWait = 3 * time.Millisecond

// probeStamps tries on a connection of its own whether TCP reads the clock
// during a receive and a send. A thread that is kept from the CPU at the wrong
// moment makes a time look old, hence three attempts; none makes it look young.
func (p *programs) probeStamps() (found stamps, err error) {
	// Multipath TCP, which Go would offer, has another kind of socket.
	var plain net.ListenConfig
	plain.SetMultipathTCP(false)
	l, err := plain.Listen(context.Background(), "tcp4", "127.0.0.1:0")
	if err != nil {
		return found, fmt.Errorf("stamps: %w", err)
	}
	defer l.Close()
	client, err := net.Dial("tcp4", l.Addr().String())
	if err != nil {
		return found, fmt.Errorf("stamps: %w", err)
	}
	defer client.Close()
	server, err := l.Accept()
	if err != nil {
		return found, fmt.Errorf("stamps: %w", err)
	}
	defer server.Close()

	spec, err := bpf.LoadStamp()
	if err != nil {
		return found, fmt.Errorf("stamps: read object: %w", err)
	}
	if err := spec.Variables["stamped_port"].Set(uint16(l.Addr().(*net.TCPAddr).Port)); err != nil {
		return found, fmt.Errorf("stamps: %w", err)
	}
	c, err := ebpf.NewCollectionWithOptions(spec, ebpf.CollectionOptions{Cache: p.types})
	if err != nil {
		return found, fmt.Errorf("stamps: load: %w", kernelRefusal(err))
	}
	defer c.Close()
	links, err := attachAll(tracing(c, "stamp_receive"), tracing(c, "stamp_send"))
	if err != nil {
		return found, fmt.Errorf("stamps: %w", err)
	}
	defer closeLinks(links)

	for range 3 {
		if err := exchange(client, server); err != nil {
			return stamps{}, fmt.Errorf("stamps: %w", err)
		}
		var receive, send uint64
		if err := errors.Join(c.Variables["receive_age_ns"].Get(&receive), c.Variables["send_age_ns"].Get(&send)); err != nil {
			return stamps{}, fmt.Errorf("stamps: %w", err)
		}
		young := uint64(stampWait / 3)
		found.receive = found.receive || receive < young
		found.send = found.send || send < young
		if found == (stamps{true, true}) {
			break
		}
	}
	return found, nil
}

// exchange makes one receive and one send on a connection's server end, each
// long after anything else happened to it.
func exchange(client, server net.Conn) error {
	deadline := time.Now().Add(time.Second)
	if err := errors.Join(client.SetDeadline(deadline), server.SetDeadline(deadline)); err != nil {
		return err
	}
	one := make([]byte, 1)
	if _, err := client.Write(one); err != nil {
		return err
	}
	time.Sleep(stampWait)
	if _, err := server.Read(one); err != nil {
		return err
	}
	time.Sleep(stampWait)
	_, err := server.Write(one)
	return err
}
