package collector

import (
	"bytes"
	"errors"
	"fmt"
	"os"
)

// backlog reads how many packets wait between the NIC and the sockets, for the
// whole host, from /proc/net/softnet_stat (net/core/net-procfs.c): one line
// per CPU of hexadecimal columns. It needs no hook and no BPF: the file is a
// snapshot of the same softnet_data that a program would read, and programs of
// user space cannot name that per-CPU variable through typed symbols.
type backlog struct {
	file *os.File
	buf  []byte
}

// Columns of softnet_stat, from 0.
const (
	softnetProcessed   = 0  // packets since boot, 32 bits
	softnetDropped     = 1  // backlog full
	softnetTimeSqueeze = 2  // polls that ended with packets left
	softnetBacklog     = 11 // packets waiting, since Linux 5.10
)

// backlogCounts are sums over all CPUs.
type backlogCounts struct {
	Waiting     uint64
	Processed   uint64 // wraps at 2^32 per CPU
	Dropped     uint64
	TimeSqueeze uint64
}

func openBacklog(path string) (*backlog, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("nic_rx: %w", err)
	}
	return &backlog{file: f, buf: make([]byte, 4096)}, nil
}

func (b *backlog) Close() error { return b.file.Close() }

// read allocates nothing once the buffer fits the host's CPUs.
func (b *backlog) read() (backlogCounts, error) {
	for {
		n, err := b.file.ReadAt(b.buf, 0)
		if n == len(b.buf) && len(b.buf) < 1<<20 {
			b.buf = make([]byte, 2*len(b.buf))
			continue
		}
		if n == 0 && err != nil {
			return backlogCounts{}, fmt.Errorf("read %s: %w", b.file.Name(), err)
		}
		return parseSoftnet(b.buf[:n])
	}
}

var errNoBacklog = errors.New("softnet_stat has no backlog column: needs Linux 5.10")

func parseSoftnet(text []byte) (sum backlogCounts, err error) {
	for len(text) > 0 {
		line := text
		if end := bytes.IndexByte(text, '\n'); end >= 0 {
			line, text = text[:end], text[end+1:]
		} else {
			text = nil
		}
		if len(line) == 0 {
			continue
		}
		column, value, digits := 0, uint64(0), 0
		last := -1
		for i := 0; i <= len(line); i++ {
			if i < len(line) && line[i] != ' ' {
				d, ok := hexDigit(line[i])
				if !ok || digits == 16 {
					return sum, fmt.Errorf("softnet_stat: column %d of %q is not a hexadecimal number", column, line)
				}
				value, digits = value<<4|d, digits+1
				continue
			}
			if digits == 0 {
				continue
			}
			switch column {
			case softnetProcessed:
				sum.Processed += value
			case softnetDropped:
				sum.Dropped += value
			case softnetTimeSqueeze:
				sum.TimeSqueeze += value
			case softnetBacklog:
				sum.Waiting += value
			}
			last = column
			column, value, digits = column+1, 0, 0
		}
		if last < softnetBacklog {
			return sum, errNoBacklog
		}
	}
	return sum, nil
}

func hexDigit(c byte) (uint64, bool) {
	switch {
	case c >= '0' && c <= '9':
		return uint64(c - '0'), true
	case c >= 'a' && c <= 'f':
		return uint64(c-'a') + 10, true
	}
	return 0, false
}
