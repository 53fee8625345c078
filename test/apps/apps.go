// Package apps holds the five applications of the paper as topology files, with
// its names, protocols and numbers of services (section 3 and table 1).
package apps

import (
	"embed"
	"fmt"
	"path"
	"slices"
	"strings"

	"seer/infer/topology"
)

//go:embed *.yaml
var files embed.FS

// Names lists the applications in alphabetical order.
func Names() []string {
	entries, err := files.ReadDir(".")
	if err != nil {
		panic(err) // the root of an embedded tree is always there
	}
	var names []string
	for _, entry := range entries {
		names = append(names, strings.TrimSuffix(entry.Name(), path.Ext(entry.Name())))
	}
	return names
}

// Load reads one of them.
func Load(name string) (*topology.App, error) {
	if !slices.Contains(Names(), name) {
		return nil, fmt.Errorf("no application %q: choose from %s, or give a file", name, strings.Join(Names(), ", "))
	}
	data, err := files.ReadFile(name + ".yaml")
	if err != nil {
		return nil, err
	}
	return topology.Parse("test/apps/"+name+".yaml", data)
}
