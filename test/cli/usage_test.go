//go:build linux

package cli_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestWrongUse: each mistake on a command line gives one line that names it
// and what would be right, before anything is opened.
func TestWrongUse(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	config := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	unknown := config("unknown.yaml", "tick: 100ms\ntik: 10ms\n")
	broken := config("broken.yaml", "tick: 100ms\n  db: x\n- y\n")
	prose := config("prose.yaml", "just text\n")
	wrong := config("wrong.yaml", "tick: 100\n")
	list := config("list.yaml", "tick: [100ms]\n")

	tests := []struct {
		args string
		env  string
		want []string
	}{
		{args: "frobnicate", want: []string{`"frobnicate"`, "seer --help"}},
		{args: "inspct", want: []string{`"inspct"`, "did you mean `seer inspect`"}},
		{args: "--bogus", want: []string{"--bogus", "`seer --help`"}},
		{args: "", want: []string{"needs a terminal", "seer run"}},
		{args: "run --top", want: []string{"needs a terminal", "seer run"}},
		{args: "run extra", want: []string{`run: "extra"`, "seer run --help"}},
		{args: "run --bogus", want: []string{"--bogus", "`seer run --help`"}},
		{args: "run --keep-age", want: []string{"--keep-age", "needs an argument"}},
		{args: "run --tick 1ms", want: []string{"--tick 1ms", "10ms to 10s"}},
		{args: "run --tick 1h", want: []string{"--tick 1h", "10ms to 10s"}},
		{args: "run --tick banana", want: []string{`--tick "banana"`, "duration"}},
		{args: "run --cpu-budget x", want: []string{`--cpu-budget "x"`, "0.5%"}},
		{args: "run --cpu-budget 200%", want: []string{`--cpu-budget "200%"`, "at most 100%"}},
		{args: "run --group-by x", want: []string{`--group-by "x"`, "container, service, unit or comm"}},
		{args: "run --keep-bytes x", want: []string{`--keep-bytes "x"`, "512MiB"}},
		{args: "run --keep-age x", want: []string{`--keep-age "x"`, "7d"}},
		{args: "run --listen bad", want: []string{`--listen "bad"`, "HOST:PORT", "127.0.0.1:9400"}},
		{args: "run --listen 127.0.0.1:nosuchport", want: []string{"HOST:PORT", `"nosuchport"`}},
		{args: "run --db=", want: []string{`--db ""`, "none"}},
		{args: "run --socket=", want: []string{`--socket ""`}},
		{args: "run --exact web,", want: []string{`--exact "web,"`, "auto, off, on, or names"}},
		{args: "run --act on", want: []string{"--act on", "does not act yet"}},
		{args: "run --act maybe", want: []string{`--act "maybe"`}},
		{args: "run --verbose=x", want: []string{`--verbose "x"`, "true or false"}},
		{args: "run --config " + dir + "/none.yaml", want: []string{"none.yaml", "no such file"}},
		{args: "run --config " + dir, want: []string{dir, "is a directory"}},
		{args: "run --config " + unknown, want: []string{unknown, `"tik"`, "seer run --help"}},
		{args: "run --config " + broken, want: []string{broken, "line 2"}},
		{args: "run --config " + prose, want: []string{prose, "`tick: 100ms`"}},
		{args: "run --config " + wrong, want: []string{wrong, `tick "100"`, "duration"}},
		{args: "run --config " + list, want: []string{list, "tick: want one value"}},
		{args: "run", env: "SEER_TICK=banana", want: []string{`SEER_TICK="banana"`, "duration"}},
		{args: "run", env: "SEER_CPU_BUDGET=x", want: []string{`SEER_CPU_BUDGET="x"`, "0.5%"}},
		{args: "run", env: "SEER_GROUP_BY=x", want: []string{`"x"`, "container, service"}},
		{args: "run", env: "SEER_CONFIG=" + dir + "/none.yaml", want: []string{"none.yaml", "no such file"}},
		{args: "inspect", want: []string{"no object", "queue"}},
		{args: "inspect fro", want: []string{`"fro"`, "container, service, queue"}},
		{args: "inspect s", want: []string{`"s"`, "ambiguous", "service, socket"}},
		{args: "inspect queue sideways", want: []string{`"sideways"`, "container"}},
		{args: "inspect queue container", want: []string{"no value"}},
		{args: "inspect queue queue nosuch", want: []string{`"nosuch"`, "accept_backlog"}},
		{args: "inspect queue cgroup abc", want: []string{`"abc"`, "number"}},
		{args: "inspect --for banana queue", want: []string{`--for "banana"`}},
		{args: "inspect --for 0s queue", want: []string{"--for 0s"}},
		{args: "inspect -x queue", want: []string{"-x", "seer inspect --help"}},
		{args: "top extra", want: []string{`"extra"`}},
		{args: "top --interval 1ms", want: []string{"--interval 1ms", "250ms to 1m"}},
		{args: "top --once --sort nosuch", want: []string{`--sort "nosuch"`, "name"}},
		{args: "top --width x", want: []string{`--width "x"`, "whole number"}},
		{args: "doctor extra", want: []string{`"extra"`}},
		{args: "export", want: []string{"--out"}},
		{args: "export --out - --db=", want: []string{"--db"}},
		{args: "export a --db " + dir, want: []string{`"a"`}},
		{args: "export --db " + dir, want: []string{"--out"}},
		{args: "export --out - --format xml --db " + dir, want: []string{"--format", `"xml"`, "parquet"}},
		{args: "export --out - --from whenever --db " + dir, want: []string{"--from", `"whenever"`, "15m"}},
		{args: "export --out - --from 1m --to 2m --db " + dir, want: []string{"--to 2m", "not after"}},
		{args: "export --out - --queue nosuch --db " + dir, want: []string{`"nosuch"`, "run_queue"}},
	}
	for _, tt := range tests {
		t.Run(strings.ReplaceAll(tt.args+" "+tt.env, dir, "DIR"), func(t *testing.T) {
			t.Parallel()
			untouched := filepath.Join(t.TempDir(), "untouched")
			cmd := command(t, strings.Fields(tt.args)...)
			cmd.Env = append(cmd.Env, tt.env)
			// Were it to go on, it would leave something here.
			for variable, name := range map[string]string{"SEER_DB": "db", "SEER_SOCKET": "seer.sock"} {
				cmd.Env = append(cmd.Env, variable+"="+filepath.Join(untouched, name))
			}
			r := runCommand(t, cmd)
			r.wantError(t, exitUsage, tt.want...)
			if r.stdout != "" || strings.Count(r.stderr, "\n") != 1 {
				t.Errorf("%v\nwant nothing but the error", r)
			}
			wantNothing(t, untouched)
		})
	}
}
