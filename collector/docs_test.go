package collector

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The manual has one entry for each queue, in column order, which begins with
// what the table says about it.
func TestQueuesAreDocumented(t *testing.T) {
	text, err := os.ReadFile("../docs/QUEUES.md")
	if err != nil {
		t.Fatal(err)
	}
	sections := strings.Split("\n"+string(text), "\n## ")[1:]
	var got, want []string
	for _, section := range sections {
		got = append(got, strings.TrimSpace(strings.SplitN(section, "\n**", 2)[0]))
	}
	for _, q := range Queues {
		want = append(want, strings.Join([]string{
			q.Name, "", q.Help, "",
			"- unit: " + q.Unit,
			"- set: " + q.Set.String(),
			"- source: " + q.Source,
			"- since: " + q.Since,
		}, "\n"))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("docs/QUEUES.md (-table +manual):\n%s", diff)
	}
}

// Each entry says the same things under the same headings.
func TestManualEntriesAreComplete(t *testing.T) {
	text, err := os.ReadFile("../docs/QUEUES.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, section := range strings.Split("\n"+string(text), "\n## ")[1:] {
		name, body, _ := strings.Cut(section, "\n")
		at := 0
		for _, heading := range []string{"Depth", "Owner", "Limit", "Flow", "Overhead", "Caveats"} {
			i := strings.Index(body[at:], "\n**"+heading+".** ")
			if i < 0 {
				t.Errorf("docs/QUEUES.md: %s has no %q, or not in its place", name, heading)
				continue
			}
			at += i + 1
		}
	}
}
