//go:build linux && amd64

package vm

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// entry is what a reader of the archive sees.
type entry struct {
	Mode, Major, Minor uint64
	Data               string
}

// readArchive follows the format's description, not the writer.
func readArchive(t *testing.T, raw []byte) map[string]entry {
	t.Helper()
	const header = 110
	align := func(n int) int { return (n + 3) &^ 3 }
	entries := map[string]entry{}
	for at := 0; ; {
		if !bytes.HasPrefix(raw[at:], []byte("070701")) {
			t.Fatalf("no header at %d", at)
		}
		field := func(i int) uint64 {
			v, err := strconv.ParseUint(string(raw[at+6+8*i:at+14+8*i]), 16, 32)
			if err != nil {
				t.Fatal(err)
			}
			return v
		}
		nameLen, dataLen := int(field(11)), int(field(6))
		name := string(raw[at+header : at+header+nameLen-1])
		if name == "TRAILER!!!" {
			return entries
		}
		data := align(at + header + nameLen)
		entries[name] = entry{field(1), field(9), field(10), string(raw[data : data+dataLen])}
		at = align(data + dataLen)
	}
}

func TestArchive(t *testing.T) {
	host := t.TempDir()
	for name, perm := range map[string]os.FileMode{"tool": 0o755, "data": 0o600} {
		if err := os.WriteFile(filepath.Join(host, name), []byte(name), perm); err != nil {
			t.Fatal(err)
		}
	}
	var a Archive
	a.File("/etc/hosts", 0o644, []byte("abc"))
	a.File("/etc/empty", 0o600, nil)
	a.Link("/sbin/modprobe", "/init")
	a.Char("/dev/console", 5, 1)
	if err := a.Copy(host, "/src"); err != nil {
		t.Fatal(err)
	}
	want := map[string]entry{
		"etc":           {Mode: 0o040755},
		"etc/hosts":     {Mode: 0o100644, Data: "abc"},
		"etc/empty":     {Mode: 0o100600},
		"sbin":          {Mode: 0o040755},
		"sbin/modprobe": {Mode: 0o120777, Data: "/init"},
		"dev":           {Mode: 0o040755},
		"dev/console":   {Mode: 0o020600, Major: 5, Minor: 1},
		"src":           {Mode: 0o040755},
		"src/tool":      {Mode: 0o100755, Data: "tool"},
		"src/data":      {Mode: 0o100644, Data: "data"},
	}
	if diff := cmp.Diff(want, readArchive(t, a.Bytes())); diff != "" {
		t.Errorf("archive (-want +got):\n%s", diff)
	}
}

func TestParseModuleInfo(t *testing.T) {
	raw := "license=GPL\x00alias=rtnl-link-veth\x00alias=pci:v1*\x00depends=nf-conntrack,libcrc32c\x00name=veth\x00"
	want := moduleInfo{depends: []string{"nf_conntrack", "libcrc32c"}, aliases: []string{"rtnl-link-veth", "pci:v1*"}}
	got := parseModuleInfo([]byte(raw))
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(moduleInfo{})); diff != "" {
		t.Errorf("parseModuleInfo (-want +got):\n%s", diff)
	}
	if got := parseModuleInfo([]byte("depends=\x00")); len(got.depends) != 0 {
		t.Errorf("parseModuleInfo(no dependency) = %q, want none", got.depends)
	}
}
