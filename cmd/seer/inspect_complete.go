package main

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"seer/collector/api"
)

// completionTimeout bounds how long a shell waits after TAB for the names of
// containers and services.
const completionTimeout = 300 * time.Millisecond

// complete offers what may follow args (cobra.Command.ValidArgsFunction).
func (in *inspector) complete(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	const only = cobra.ShellCompDirectiveNoFileComp
	if len(args) == 0 {
		var offers []string
		for _, o := range api.Objects {
			offers = append(offers, o.Name+"\t"+o.Help)
		}
		return offers, only
	}
	name, err := abbreviated("object", args[0], objectNames())
	if err != nil {
		return nil, only
	}
	object, _ := api.ObjectByName(name)
	selectors := selectorNames(object)
	rest := args[1:]
	var offers []string
	if len(rest) > 0 {
		if verb, err := abbreviated("verb", rest[0], inspectVerbs); err == nil && !slices.Contains(selectors, rest[0]) {
			if verb == verbHelp {
				return nil, only
			}
			rest = rest[1:]
		}
	} else {
		offers = slices.Clone(inspectVerbs)
	}
	if len(rest)%2 == 1 {
		selector, err := abbreviated("selector", rest[len(rest)-1], selectors)
		if err != nil {
			return nil, only
		}
		return in.values(cmd.Context(), selector), only
	}
	given := map[string]bool{}
	for i := 0; i < len(rest); i += 2 {
		if selector, err := abbreviated("selector", rest[i], selectors); err == nil {
			given[selector] = true
		}
	}
	for _, s := range selectors {
		if !given[s] {
			offers = append(offers, s)
		}
	}
	return offers, only
}

// values returns what a selector may be: names from the running Seer. No
// Seer, no offers: a shell is no place for error messages.
func (in *inspector) values(ctx context.Context, selector string) []string {
	if selector == "queue" {
		return api.QueueNames()
	}
	if ctx == nil {
		ctx = context.Background()
	}
	ctx, cancel := context.WithTimeout(ctx, completionTimeout)
	defer cancel()
	client, err := api.Dial(ctx, in.socket)
	if err != nil {
		return nil
	}
	defer client.Close()
	doc, err := client.Get(ctx, "container", api.Selector{})
	if err != nil {
		return nil
	}
	var rows []api.ContainerRow
	if json.Unmarshal(doc.Rows, &rows) != nil {
		return nil
	}
	var names []string
	for _, r := range rows {
		switch selector {
		case "container":
			names = append(names, r.Container)
		case "service":
			names = append(names, r.Service)
		case "cgroup":
			names = append(names, r.ID+"\t"+r.Container)
		case "pod":
			if r.Pod != "" {
				names = append(names, r.Namespace+"/"+r.Pod)
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}
