//go:build linux && amd64

package vm

import (
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// ErrUnknownKernel is returned for a name that is not in Kernels.
var ErrUnknownKernel = errors.New("unknown kernel")

// ErrUnreachable is returned when no configured package source offers a kernel.
var ErrUnreachable = errors.New("kernel package not reachable")

// Kernel is one line of the matrix and where Debian publishes it.
type Kernel struct {
	Name   string   // as given to kernelrun -kernel
	Prefix string   // the version must start with this; empty accepts any
	Suites []string // tried in order; one that ends in "-security" is on the security archive
}

// Kernels is the matrix, oldest first. All are the "cloud" flavour: BTF and
// the serial console are built in and everything a container host needs is a
// module, in a third of the size of the generic flavour.
var Kernels = []Kernel{
	{"debian-5.10", "5.10.", []string{"bullseye-security", "bullseye"}},
	{"debian-6.1", "6.1.", []string{"bookworm-security", "bookworm"}},
	{"debian-6.12", "6.12.", []string{"trixie-security", "trixie", "bookworm-backports"}},
	{"debian-backport", "", []string{"trixie-backports", "bookworm-backports"}},
}

// Image is a prepared kernel in the cache.
type Image struct {
	Name    string
	Release string // as uname -r prints it
	Vmlinux string // uncompressed ELF: boots three times faster than the bzImage
	System  string // cpio archive: /lib/modules with an index, /boot/config-RELEASE
}

// Find returns the kernel of that name.
func Find(name string) (Kernel, error) {
	var names []string
	for _, k := range Kernels {
		if k.Name == name {
			return k, nil
		}
		names = append(names, k.Name)
	}
	return Kernel{}, fmt.Errorf("kernel %q: %w: choose one of %s", name, ErrUnknownKernel, strings.Join(names, ", "))
}

// Prepare returns the kernel from cacheDir, filling it first when it is
// absent or when update is set. Two processes may prepare the same kernel at
// once: the second waits for the first.
func Prepare(k Kernel, cacheDir string, update bool) (Image, error) {
	// apt reads a relative folder as one below its own root.
	cacheDir, err := filepath.Abs(cacheDir)
	if err != nil {
		return Image{}, err
	}
	dir := filepath.Join(cacheDir, k.Name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return Image{}, err
	}
	unlock, err := lockDir(dir)
	if err != nil {
		return Image{}, err
	}
	defer unlock()

	img := Image{
		Name:    k.Name,
		Vmlinux: filepath.Join(dir, "vmlinux"),
		System:  filepath.Join(dir, fmt.Sprintf("system-%08x.cpio", crc32.ChecksumIEEE([]byte(strings.Join(wantedModules, " "))))),
	}
	// The release file is written last, so both together mean complete. An archive
	// with other modules has another name.
	releaseFile := filepath.Join(dir, "release")
	if b, err := os.ReadFile(releaseFile); err == nil && !update {
		if _, err := os.Stat(img.System); err == nil {
			img.Release = string(b)
			return img, nil
		}
	}
	debs, err := download(k, filepath.Join(cacheDir, "apt"), dir)
	if err != nil {
		return Image{}, fmt.Errorf("kernel %s: %w", k.Name, err)
	}
	defer func() {
		for _, d := range debs {
			os.Remove(d)
		}
	}()
	files, err := readDebs(debs)
	if err != nil {
		return Image{}, fmt.Errorf("kernel %s: %w", k.Name, err)
	}
	elf, err := decompressKernel(files.vmlinuz)
	if err != nil {
		return Image{}, fmt.Errorf("kernel %s: vmlinuz: %w", k.Name, err)
	}
	var system Archive
	if files.config != nil { // not every release's packages have it
		system.File("/boot/config-"+files.release, 0o644, files.config)
	}
	if err := packModules(&system, files.modules); err != nil {
		return Image{}, fmt.Errorf("kernel %s: %w", k.Name, err)
	}
	for _, pattern := range []string{"release", "system*.cpio"} {
		old, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			return Image{}, err
		}
		for _, path := range old {
			if err := os.Remove(path); err != nil {
				return Image{}, err
			}
		}
	}
	for _, f := range []struct {
		path string
		data []byte
	}{
		{img.Vmlinux, elf},
		{img.System, system.Bytes()},
		{releaseFile, []byte(files.release)},
	} {
		if err := os.WriteFile(f.path, f.data, 0o644); err != nil {
			return Image{}, err
		}
	}
	img.Release = files.release
	return img, nil
}

// lockDir takes an exclusive lock on dir until the returned function is called.
func lockDir(dir string) (func(), error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		f.Close()
		return nil, fmt.Errorf("lock %s: %w", dir, err)
	}
	return func() { f.Close() }, nil
}
