//go:build linux && amd64

package vm

import (
	"bytes"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// Archive builds a cpio archive in the "newc" format that the kernel unpacks
// as its first root file system (Documentation/driver-api/early-userspace/
// buffer-format.rst). It is left uncompressed: emulated, copying is cheaper
// than expanding. Archives may be concatenated; later files win.
type Archive struct {
	buf  bytes.Buffer
	dirs map[string]bool
	ino  uint32
}

// File types of the mode field.
const (
	modeDir  = 0o040000
	modeFile = 0o100000
	modeLink = 0o120000
	modeChar = 0o020000
)

// File adds a regular file with these permissions, and its parents.
func (a *Archive) File(name string, perm uint32, data []byte) {
	a.Dir(path.Dir(name))
	a.entry(name, modeFile|perm, 0, 0, data)
}

// Link adds a symbolic link.
func (a *Archive) Link(name, target string) {
	a.Dir(path.Dir(name))
	a.entry(name, modeLink|0o777, 0, 0, []byte(target))
}

// Char adds a character device; init needs /dev/console before it can mount.
func (a *Archive) Char(name string, major, minor uint32) {
	a.Dir(path.Dir(name))
	a.entry(name, modeChar|0o600, major, minor, nil)
}

// Dir adds a directory and its parents once.
func (a *Archive) Dir(name string) {
	name = path.Clean(name)
	if name == "/" || name == "." || a.dirs[name] {
		return
	}
	a.Dir(path.Dir(name))
	if a.dirs == nil {
		a.dirs = map[string]bool{}
	}
	a.dirs[name] = true
	a.entry(name, modeDir|0o755, 0, 0, nil)
}

// Copy adds a host file or folder, following links, under a name inside.
// Permissions are reduced to 0755 for what is executable and 0644 for the rest.
func (a *Archive) Copy(host, name string) error {
	info, err := os.Stat(host)
	if err != nil {
		return err
	}
	if info.IsDir() {
		entries, err := os.ReadDir(host)
		if err != nil {
			return err
		}
		a.Dir(name)
		for _, e := range entries {
			if err := a.Copy(filepath.Join(host, e.Name()), path.Join(name, e.Name())); err != nil {
				return err
			}
		}
		return nil
	}
	data, err := os.ReadFile(host)
	if err != nil {
		return err
	}
	perm := uint32(0o644)
	if info.Mode()&0o111 != 0 {
		perm = 0o755
	}
	a.File(name, perm, data)
	return nil
}

// Bytes ends the archive and returns it.
func (a *Archive) Bytes() []byte {
	a.entry("TRAILER!!!", 0, 0, 0, nil)
	return a.buf.Bytes()
}

func (a *Archive) entry(name string, mode, major, minor uint32, data []byte) {
	a.ino++
	name = strings.TrimPrefix(name, "/")
	fmt.Fprintf(&a.buf, "070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X",
		a.ino, mode, 0 /* uid */, 0 /* gid */, 1 /* nlink */, 0 /* mtime */, len(data),
		0, 0 /* device of the file system */, major, minor, len(name)+1, 0 /* checksum, unused */)
	a.buf.WriteString(name)
	a.buf.WriteByte(0)
	a.pad()
	a.buf.Write(data)
	a.pad()
}

// pad aligns to 4 bytes, as newc demands after each name and each body.
func (a *Archive) pad() {
	for a.buf.Len()%4 != 0 {
		a.buf.WriteByte(0)
	}
}
