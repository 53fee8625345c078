//go:build linux && amd64

package vm

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path"
	"strings"
)

// kernelFiles is what the packages of one kernel hold.
type kernelFiles struct {
	release string // from the modules' folder
	vmlinuz []byte
	config  []byte            // the kernel's configuration
	modules map[string][]byte // module name to file as packaged, perhaps .xz
}

// readDebs reads the kernel out of its packages without installing them.
func readDebs(debs []string) (kernelFiles, error) {
	f := kernelFiles{modules: map[string][]byte{}}
	for _, deb := range debs {
		if err := f.readDeb(deb); err != nil {
			return kernelFiles{}, fmt.Errorf("%s: %w", path.Base(deb), err)
		}
	}
	if f.vmlinuz == nil || f.release == "" {
		return kernelFiles{}, fmt.Errorf("no vmlinuz or no modules in %q", debs)
	}
	return f, nil
}

func (f *kernelFiles) readDeb(deb string) error {
	cmd := exec.Command("dpkg-deb", "--fsys-tarfile", deb)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	readErr := f.readTar(pipe)
	if err := cmd.Wait(); err != nil && readErr == nil {
		return fmt.Errorf("dpkg-deb: %w: %s", err, strings.TrimSpace(stderr.String()))
	}
	return readErr
}

func (f *kernelFiles) readTar(r io.Reader) error {
	for tr := tar.NewReader(r); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			// Let dpkg-deb finish its padding instead of killing its pipe.
			_, err = io.Copy(io.Discard, r)
			return err
		}
		if err != nil {
			return err
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		base := path.Base(h.Name)
		if _, rest, ok := strings.Cut(h.Name, "lib/modules/"); ok {
			f.release, _, _ = strings.Cut(rest, "/")
		}
		switch {
		case strings.HasPrefix(base, "vmlinuz"):
			if f.vmlinuz, err = io.ReadAll(tr); err != nil {
				return err
			}
		case base == "config", strings.HasPrefix(base, "config-"):
			if f.config, err = io.ReadAll(tr); err != nil {
				return err
			}
		case strings.HasSuffix(base, ".ko"), strings.HasSuffix(base, ".ko.xz"):
			data, err := io.ReadAll(tr)
			if err != nil {
				return err
			}
			name, _, _ := strings.Cut(base, ".ko")
			f.modules[moduleName(name)] = data
		}
	}
}
