package packet

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"seer/collector/container"
)

// Bounds of one look at a host's namespaces.
const (
	maxProcesses      = 1 << 16
	maxNamespaces     = 4096
	maxNamespaceBytes = 4 << 20 // of a file with a namespace's addresses
)

// Identify returns the container of a process (container.Resolver.IDOf).
type Identify func(pid int) (container.ID, error)

// ReadNamespaces lists the network namespaces that processes are in, with their
// addresses and containers, from files below procRoot: nobody enters them. What
// disappears meanwhile, and what must not be read, is left out.
func ReadNamespaces(procRoot string, identify Identify) ([]Namespace, error) {
	dir, err := os.Open(procRoot)
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	defer dir.Close()
	names, err := dir.Readdirnames(maxProcesses)
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	byNS := map[uint32]*Namespace{}
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		netns, err := readNetNS(filepath.Join(procRoot, name, "ns/net"))
		if err != nil {
			continue
		}
		n := byNS[netns]
		if n == nil {
			if len(byNS) == maxNamespaces {
				continue
			}
			n = &Namespace{NetNS: netns}
			byNS[netns] = n
		}
		if len(n.Addresses) == 0 {
			n.Addresses = readAddresses(filepath.Join(procRoot, name, "net"))
		}
		if id, err := identify(pid); err == nil && !slices.Contains(n.Owners, id) && !sandbox(filepath.Join(procRoot, name)) {
			n.Owners = append(n.Owners, id)
		}
	}
	all := make([]Namespace, 0, len(byNS))
	for _, n := range byNS {
		all = append(all, *n)
	}
	return all, nil
}

// sandbox tells the process that holds the namespaces of a pod, in a container of
// its own, and does nothing: Kubernetes' pause, Podman's catatonit.
func sandbox(dir string) bool {
	switch string(bytes.TrimSpace(readBounded(filepath.Join(dir, "comm")))) {
	case "pause", "catatonit":
		return true
	}
	return false
}

// readNetNS returns the inode number of a namespace: "net:[4026531840]".
func readNetNS(path string) (uint32, error) {
	text, err := os.Readlink(path)
	if err != nil {
		return 0, err
	}
	number, ok := strings.CutPrefix(strings.TrimSuffix(text, "]"), "net:[")
	if !ok {
		return 0, fmt.Errorf("%s: %q: want net:[NUMBER]", path, text)
	}
	n, err := strconv.ParseUint(number, 10, 32)
	return uint32(n), err
}

// readAddresses returns the addresses of the namespace that /proc/PID/net shows.
func readAddresses(dir string) []netip.Addr {
	addresses := parseFIB(readBounded(filepath.Join(dir, "fib_trie")))
	return append(addresses, parseIfInet6(readBounded(filepath.Join(dir, "if_inet6")))...)
}

// readBounded returns the beginning of a file, nothing if there is none.
func readBounded(path string) []byte {
	file, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer file.Close()
	text, _ := io.ReadAll(io.LimitReader(file, maxNamespaceBytes)) // a part says some of it
	return text
}

// parseFIB finds the addresses of a namespace in /proc/net/fib_trie: leaves of
// the routing table that are local hosts (net/ipv4/fib_trie.c).
//
//	|-- 10.0.0.5
//	   /32 host LOCAL
func parseFIB(text []byte) []netip.Addr {
	var addresses []netip.Addr
	var leaf netip.Addr
	for line := range bytes.Lines(text) {
		line = bytes.TrimSpace(line)
		if rest, ok := bytes.CutPrefix(line, []byte("|-- ")); ok {
			leaf, _ = netip.ParseAddr(string(rest))
			continue
		}
		// Both the main and the local table show it.
		if leaf.IsValid() && string(line) == "/32 host LOCAL" && !slices.Contains(addresses, leaf) {
			addresses = append(addresses, leaf)
		}
	}
	return addresses
}

// parseIfInet6 reads /proc/net/if_inet6: an address in hexadecimal starts each line.
func parseIfInet6(text []byte) []netip.Addr {
	var addresses []netip.Addr
	for line := range bytes.Lines(text) {
		var b [16]byte
		if len(line) < 32 {
			continue
		}
		if _, err := hex.Decode(b[:], line[:32]); err == nil {
			addresses = append(addresses, netip.AddrFrom16(b))
		}
	}
	return addresses
}
