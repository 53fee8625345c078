//go:build linux && amd64

package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

// moduleDir holds the modules and their index (vm.packModules).
const moduleDir = "/lib/modules"

// module is one line of the index.
type module struct {
	depends []string
	aliases []string // shell patterns, "pci:v0000*"
}

// modprobe loads the module that the last argument names, by name or by alias,
// after its dependencies. The kernel calls "modprobe -q -- ALIAS".
func modprobe(args []string) error {
	if len(args) == 0 {
		return errors.New("no module named")
	}
	want := args[len(args)-1]
	modules, err := readIndex()
	if err != nil {
		return err
	}
	name := strings.ReplaceAll(want, "-", "_")
	if _, ok := modules[name]; ok {
		return load(modules, name)
	}
	found := false
	for name, m := range modules {
		for _, alias := range m.aliases {
			// A malformed pattern matches nothing; that is all it can mean here.
			if ok, _ := path.Match(alias, want); ok {
				found = true
				if err := load(modules, name); err != nil {
					return err
				}
				break
			}
		}
	}
	if !found {
		return fmt.Errorf("no module %q", want)
	}
	return nil
}

func readIndex() (map[string]module, error) {
	f, err := os.Open(path.Join(moduleDir, "index"))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	modules := map[string]module{}
	scanner := bufio.NewScanner(f)
	scanner.Buffer(nil, 1<<20)
	for scanner.Scan() {
		fields := strings.Fields(scanner.Text())
		if len(fields) < 2 {
			continue
		}
		m := module{aliases: fields[2:]}
		if fields[1] != "-" {
			m.depends = strings.Split(fields[1], ",")
		}
		modules[fields[0]] = m
	}
	return modules, scanner.Err()
}

func load(modules map[string]module, name string) error {
	for _, d := range modules[name].depends {
		if err := load(modules, d); err != nil {
			return err
		}
	}
	f, err := os.Open(path.Join(moduleDir, name+".ko"))
	if err != nil {
		return err
	}
	defer f.Close()
	err = unix.FinitModule(int(f.Fd()), "", 0)
	if err != nil && !errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("load %s: %w", name, err)
	}
	return nil
}
