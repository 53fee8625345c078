package packet

import (
	"cmp"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"net/netip"

	"seer/collector/container"
)

// As Linux 6.18 shows the namespace of a container.
const fibTrie = `Main:
  +-- 0.0.0.0/0 3 0 5
     |-- 0.0.0.0
        /0 universe UNICAST
     +-- 10.231.1.0/30 2 0 2
        |-- 10.231.1.0
           /30 link UNICAST
        |-- 10.231.1.2
           /32 host LOCAL
     +-- 127.0.0.0/8 2 0 2
        |-- 127.0.0.0
           /8 host LOCAL
        |-- 127.0.0.1
           /32 host LOCAL
Local:
  +-- 0.0.0.0/0 3 0 5
     |-- 10.231.1.2
        /32 host LOCAL
     |-- 10.231.1.3
        /32 link BROADCAST
`

const ifInet6 = `fd5ee200000000010000000000000002 02 7e 00 80     eth0
00000000000000000000000000000001 01 80 10 80       lo
short
`

func TestReadNamespaces(t *testing.T) {
	root := t.TempDir()
	process := func(pid, comm, netns, fib, inet6 string) {
		t.Helper()
		dir := filepath.Join(root, pid)
		for _, d := range []string{"ns", "net"} {
			if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		err := errors.Join(os.Symlink(netns, filepath.Join(dir, "ns/net")), os.WriteFile(filepath.Join(dir, "comm"), []byte(comm+"\n"), 0o644),
			os.WriteFile(filepath.Join(dir, "net/fib_trie"), []byte(fib), 0o644), os.WriteFile(filepath.Join(dir, "net/if_inet6"), []byte(inet6), 0o644))
		if err != nil {
			t.Fatal(err)
		}
	}
	process("1", "init", "net:[100]", "", "") // cannot be read
	process("20", "nginx", "net:[200]", fibTrie, ifInet6)
	process("21", "nginx", "net:[200]", fibTrie, ifInet6)
	process("50", "pause", "net:[200]", fibTrie, "") // of another container
	process("30", "sshd", "net:[100]", "  |-- 192.0.2.1\n     /32 host LOCAL\n", "")
	process("40", "sh", "something else", fibTrie, "")
	process("self", "sh", "net:[200]", fibTrie, "")
	identify := func(pid int) (container.ID, error) {
		if pid == 1 {
			return 0, container.ErrGone
		}
		return container.ID(pid / 10), nil
	}
	got, err := ReadNamespaces(root, identify)
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(got, func(a, b Namespace) int { return cmp.Compare(a.NetNS, b.NetNS) })
	want := []Namespace{
		{NetNS: 100, Addresses: addresses("192.0.2.1"), Owners: []container.ID{3}},
		{NetNS: 200, Addresses: addresses("10.231.1.2", "127.0.0.1", "fd5e:e200:0:1::2", "::1"), Owners: []container.ID{2}},
	}
	if diff := gocmp.Diff(want, got, cmpopts.EquateComparable(netip.Addr{})); diff != "" {
		t.Errorf("ReadNamespaces (-want +got):\n%s", diff)
	}
	if _, err := ReadNamespaces(filepath.Join(root, "none"), identify); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("ReadNamespaces(no such directory) = %v, want that", err)
	}
}

func FuzzParseAddresses(f *testing.F) {
	f.Add([]byte(fibTrie), []byte(ifInet6))
	f.Fuzz(func(t *testing.T, fib, inet6 []byte) {
		for _, a := range append(parseFIB(fib), parseIfInet6(inet6)...) {
			if !a.IsValid() {
				t.Errorf("parseFIB(%q), parseIfInet6(%q) have an address that is none", fib, inet6)
			}
		}
	})
}
