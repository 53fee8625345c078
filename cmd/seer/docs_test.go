package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
)

// documented is a root with inspect below it, as main builds it.
func documented() *cobra.Command {
	root := &cobra.Command{Use: "seer", Short: "Queues of every container"}
	root.AddCommand(newInspectCommand(inspectHooks{}), newManCommand())
	return root
}

func TestManuals(t *testing.T) {
	first, second := t.TempDir(), filepath.Join(t.TempDir(), "made", "by", "it")
	for _, dir := range []string{first, second} {
		root := documented()
		root.SetArgs([]string{"gen-man", dir})
		if err := root.Execute(); err != nil {
			t.Fatalf("seer gen-man: %v", err)
		}
	}
	pages, err := filepath.Glob(filepath.Join(first, "*"))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, page := range pages {
		names = append(names, filepath.Base(page))
		a, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(filepath.Join(second, filepath.Base(page)))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(a, b) {
			t.Errorf("%s differs when made twice:\n%s", filepath.Base(page), cmp.Diff(string(a), string(b)))
		}
		if date := regexp.MustCompile(`(Jan|20[0-9][0-9]|0001)`).Find(a); date != nil {
			t.Errorf("%s holds a date (%s), so that it differs tomorrow", filepath.Base(page), date)
		}
	}
	want := []string{"seer-completion-bash.8", "seer-completion-fish.8", "seer-completion-powershell.8",
		"seer-completion-zsh.8", "seer-completion.8", "seer-inspect.8", "seer.8"}
	if !cmp.Equal(names, want) {
		t.Errorf("pages = %q, want %q: gen-man itself, hidden, has none", names, want)
	}
	page, err := os.ReadFile(filepath.Join(first, "seer-inspect.8"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`.TH "SEER-INSPECT" "8" "" "Seer" "Seer Manual"`, "OBJECT", "seer inspect queue container web-7f9c", "--for"} {
		if !strings.Contains(strings.ReplaceAll(string(page), `\-`, "-"), want) {
			t.Errorf("seer-inspect.8 lacks %q", want)
		}
	}
}

// What a shell offers after TAB, through cobra's own protocol.
func TestCompletion(t *testing.T) {
	tests := []struct {
		typed string
		want  []string
	}{
		{"inspect con", []string{"container"}},
		{"inspect s", []string{"service", "socket"}},
		{"inspect queue ", []string{"show", "list", "dump", "help", "container", "service", "cgroup", "pod", "queue"}},
		{"inspect queue d", []string{"dump"}},
		{"inspect q dump ", []string{"container", "service", "cgroup", "pod", "queue"}},
		{"inspect queue queue re", []string{"receive_queue"}},
		{"inspect queue queue syn_queue ", []string{"container", "service", "cgroup", "pod"}},
		{"inspect socket help ", nil},
		{"inspect probe ", []string{"show", "list", "dump", "help"}},
		{"inspect nonsense ", nil},
		{"inspect queue container ", nil}, // no seer to ask
	}
	for _, tt := range tests {
		root := documented()
		var out bytes.Buffer
		root.SetOut(&out)
		root.SetErr(&bytes.Buffer{})
		words := strings.Split(tt.typed, " ")
		args := append([]string{cobra.ShellCompNoDescRequestCmd, "inspect", "--socket", filepath.Join(t.TempDir(), "none.sock")}, words[1:]...)
		root.SetArgs(args)
		if err := root.Execute(); err != nil {
			t.Fatal(err)
		}
		var got []string
		last := words[len(words)-1]
		for line := range strings.Lines(out.String()) {
			// A shell filters what a function offers by what was typed.
			if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, ":") && strings.HasPrefix(line, last) {
				got = append(got, line)
			}
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("completions of %q (-want +got):\n%s", tt.typed, diff)
		}
		if !strings.Contains(out.String(), ":4\n") {
			t.Errorf("completions of %q = %q, want no file names offered", tt.typed, out.String())
		}
	}
}
