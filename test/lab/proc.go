//go:build linux

package lab

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// SocketsInState counts the TCP sockets in one state whose local port is
// port, in the network namespace of a process, v4 and v6 together. It reads
// /proc/PID/net/tcp, the kernel's own table, where a half-open connection is
// a row of its own in state SYN_RECV (3).
func SocketsInState(t TB, pid int, port string, state uint8) int {
	t.Helper()
	want, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		t.Fatalf("port %q: %v", port, err)
	}
	count := 0
	for _, table := range []string{"tcp", "tcp6"} {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/%s", pid, table))
		if os.IsNotExist(err) && table == "tcp6" {
			continue // a kernel without IPv6
		}
		if err != nil {
			t.Fatalf("read TCP table: %v", err)
		}
		for line := range strings.Lines(string(text)) {
			f := strings.Fields(line)
			if len(f) < 4 {
				continue
			}
			_, hexPort, _ := strings.Cut(f[1], ":")
			p, err := strconv.ParseUint(hexPort, 16, 16)
			if err != nil {
				continue // the heading
			}
			s, err := strconv.ParseUint(f[3], 16, 8)
			if err == nil && p == want && uint8(s) == state {
				count++
			}
		}
	}
	return count
}
