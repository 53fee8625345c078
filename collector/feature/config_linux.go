package feature

import (
	"bufio"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
)

// kernelConfig is how the kernel was built. It is advice only: an option that
// is set proves nothing, and the probes find out by trying.
type kernelConfig struct {
	set  map[string]bool // options that are y or m
	from string
	err  error // no configuration could be read
}

// readKernelConfig reads the first file that exists, a gzip file if its name
// says so.
func readKernelConfig(paths ...string) kernelConfig {
	for _, path := range paths {
		set, err := parseConfigFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return kernelConfig{err: fmt.Errorf("read kernel configuration: %w", err)}
		}
		return kernelConfig{set: set, from: path}
	}
	return kernelConfig{err: fmt.Errorf("neither %s exists", strings.Join(paths, " nor "))}
}

func parseConfigFile(path string) (map[string]bool, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var reader io.Reader = file
	if strings.HasSuffix(path, ".gz") {
		unzipped, err := gzip.NewReader(file)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		reader = unzipped
	}
	set := make(map[string]bool)
	lines := bufio.NewScanner(reader)
	for lines.Scan() {
		name, value, ok := strings.Cut(lines.Text(), "=")
		if ok && strings.HasPrefix(name, "CONFIG_") && (value == "y" || value == "m") {
			set[name] = true
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return set, nil
}

// unset returns the first of options that the kernel was built without, or ""
// if all are set or nobody knows.
func (c kernelConfig) unset(options []string) string {
	if c.set == nil {
		return ""
	}
	for _, option := range options {
		if !c.set[option] {
			return option
		}
	}
	return ""
}
