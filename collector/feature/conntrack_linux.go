package feature

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
	"kernel.org/pub/linux/libs/security/libcap/cap"
)

// findConntrack asks the kernel for its number of tracked connections. It asks
// only where connection tracking is loaded, because the question itself makes
// the kernel load modules.
func findConntrack(h *host) finding {
	count, err := os.ReadFile(h.path("proc/sys/net/netfilter/nf_conntrack_count"))
	if errors.Is(err, os.ErrNotExist) {
		return finding{Missing, "connection tracking is not loaded in this network namespace"}
	}
	if err != nil {
		return finding{Unknown, err.Error()}
	}
	found := classify(askConntrack(), []cap.Value{cap.NET_ADMIN}, h.caps)
	if found.verdict == Works {
		found.reason = strings.TrimSpace(string(count)) + " connections tracked"
	}
	return found
}

// Numbers of include/uapi/linux/netfilter/nfnetlink.h and
// nfnetlink_conntrack.h.
const (
	subsysConntrack = 1
	getStats        = 5 // IPCTNL_MSG_CT_GET_STATS
)

// askConntrack sends one GET_STATS request and reads the answer or the error.
func askConntrack() error {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_NETFILTER)
	if err != nil {
		return fmt.Errorf("netfilter netlink socket: %w", err)
	}
	defer unix.Close(fd)
	timeout := unix.NsecToTimeval(time.Second.Nanoseconds())
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout); err != nil {
		return fmt.Errorf("set timeout: %w", err)
	}
	const size = unix.SizeofNlMsghdr + 4 // nlmsghdr and nfgenmsg (family, version, resource id: all 0)
	request := make([]byte, size)
	binary.NativeEndian.PutUint32(request[0:], size)
	binary.NativeEndian.PutUint16(request[4:], subsysConntrack<<8|getStats)
	binary.NativeEndian.PutUint16(request[6:], unix.NLM_F_REQUEST)
	binary.NativeEndian.PutUint32(request[8:], 1) // sequence number
	if err := unix.Sendto(fd, request, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return fmt.Errorf("ask conntrack: %w", err)
	}
	answer := make([]byte, 4096)
	n, _, err := unix.Recvfrom(fd, answer, 0)
	if err != nil {
		return fmt.Errorf("conntrack's answer: %w", err)
	}
	if n < unix.SizeofNlMsghdr+4 {
		return fmt.Errorf("conntrack's answer: %d bytes", n)
	}
	if binary.NativeEndian.Uint16(answer[4:]) == unix.NLMSG_ERROR {
		if code := int32(binary.NativeEndian.Uint32(answer[unix.SizeofNlMsghdr:])); code != 0 {
			return fmt.Errorf("ask conntrack: %w", unix.Errno(-code))
		}
	}
	return nil
}
