package collector

import (
	"math"
	"strings"
	"testing"
	"time"
)

func TestConfigDefaults(t *testing.T) {
	c, err := Config{}.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	if c.Tick != DefaultTick || c.PassHz != DefaultPassHz || c.CPUBudget != DefaultCPUBudget || c.Logger == nil || c.Exact {
		t.Errorf("defaults: %+v", c)
	}
}

func TestConfigIsChecked(t *testing.T) {
	tests := []struct {
		name string
		cfg  Config
		err  string // empty: accepted
	}{
		{"shortest tick", Config{Tick: MinTick}, ""},
		{"longest tick", Config{Tick: MaxTick}, ""},
		{"tick too short", Config{Tick: MinTick - 1}, "tick 9.999999ms: out of range, give 10ms to 10s"},
		{"tick too long", Config{Tick: MaxTick + 1}, "out of range, give 10ms to 10s"},
		{"negative tick", Config{Tick: -time.Second}, "tick -1s"},
		{"slowest passes", Config{PassHz: 0.1}, ""},
		{"passes too slow", Config{PassHz: 0.01}, "pass rate 0.01 Hz: out of range, give 0.1 to 1000"},
		{"passes too fast", Config{PassHz: 1001}, "pass rate 1001 Hz"},
		{"negative pass rate", Config{PassHz: -1}, "pass rate -1 Hz"},
		{"pass rate is not a number", Config{PassHz: math.NaN()}, "pass rate NaN Hz"},
		{"whole host", Config{CPUBudget: 1}, ""},
		{"more than the host", Config{CPUBudget: 1.01}, "cpu budget 1.01: not a share of the host's CPU, give 0 to 1"},
		{"negative budget", Config{CPUBudget: -0.1}, "cpu budget -0.1"},
		{"budget is not a number", Config{CPUBudget: math.NaN()}, "cpu budget NaN"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := tt.cfg.withDefaults()
			if tt.err == "" && err != nil {
				t.Errorf("refused: %v", err)
			}
			if tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)) {
				t.Errorf("error %v, want %q", err, tt.err)
			}
		})
	}
}

func TestBudgetShareIsAtLeastOnePercentOfACore(t *testing.T) {
	tests := []struct {
		budget float64
		cpus   int
		want   float64
	}{
		{0.005, 1, 0.01},
		{0.005, 2, 0.005},
		{0.005, 64, 0.005},
		{0.0001, 4, 0.0025},
		{0.5, 4, 0.5},
	}
	for _, tt := range tests {
		if got := (Config{CPUBudget: tt.budget}).budgetShare(tt.cpus); got != tt.want {
			t.Errorf("budgetShare of %v on %d CPUs = %v, want %v", tt.budget, tt.cpus, got, tt.want)
		}
	}
}
