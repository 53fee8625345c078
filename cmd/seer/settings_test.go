package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"seer/collector/qos"
)

// settings reads a YAML file, after the command line and the environment.
func settings(t *testing.T, yaml string, args ...string) (targets string, tick string, err error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "seer.yaml")
	if err := os.WriteFile(path, []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	var list qos.Targets
	cmd := &cobra.Command{Use: "run"}
	cmd.Flags().Var(&list, "qos", "")
	cmd.Flags().String("tick", "100ms", "")
	cmd.Flags().String("config", path, "")
	if err := cmd.ParseFlags(args); err != nil {
		t.Fatal(err)
	}
	err = loadSettings(cmd)
	return list.String(), cmd.Flag("tick").Value.String(), err
}

func TestTargetSettings(t *testing.T) {
	tests := []struct {
		name, yaml, env string
		args            []string
		want            string
		err             string
	}{
		{name: "a list", yaml: "qos:\n  - front p99 20ms\n  - cart p95 1s\n", want: "front p99 20ms, cart p95 1s"},
		{name: "one", yaml: "qos: front p99 20ms\n", want: "front p99 20ms"},
		{name: "the command line goes first", yaml: "qos: [front p99 20ms]\n", args: []string{"--qos", "cart p95 1s"}, want: "cart p95 1s"},
		{name: "then the environment", yaml: "qos: [front p99 20ms]\n", env: "a p99 1s, b p99 2s", want: "a p99 1s, b p99 2s"},
		{name: "a bad target", yaml: "qos:\n  - front p99\n", err: `qos "front p99"`},
		{name: "two for one service", yaml: "qos:\n  - front p99 1s\n  - front p95 1s\n", err: `two targets for "front"`},
		{name: "a list of lists", yaml: "qos:\n  - [a, b]\n", err: "qos: want one value"},
		{name: "a list where one value is wanted", yaml: "tick: [1s, 2s]\n", err: "tick: want one value"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.env != "" {
				t.Setenv("SEER_QOS", tt.env)
			}
			got, _, err := settings(t, tt.yaml, tt.args...)
			if tt.err != "" {
				if exitCode(err) != exitUsage || !strings.Contains(err.Error(), tt.err) {
					t.Errorf("settings %q = %v, want exit 2 and %q", tt.yaml, err, tt.err)
				}
				return
			}
			if err != nil || got != tt.want {
				t.Errorf("settings %q = %q, %v, want %q", tt.yaml, got, err, tt.want)
			}
		})
	}
	if _, tick, err := settings(t, "tick: 200ms\n"); err != nil || tick != "200ms" {
		t.Errorf("tick = %q, %v, want 200ms", tick, err)
	}
}
