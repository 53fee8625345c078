package collector

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/cilium/ebpf/btf"

	"seer/collector/container"
)

// Config says how to trace a host. The zero value works.
type Config struct {
	Tick      time.Duration // one sample; default 100 ms, 10 ms to 10 s
	PassHz    float64       // socket passes per second the budget may lower; default 200
	CPUBudget float64       // share of the host's CPU, 0..1; default 0.005, see [Config.budgetShare]
	GroupBy   container.GroupBy
	Exact     bool // count every request of every container, see [Collector.CountExactly]
	// Streams picks the containers whose HTTP/2 streams are counted one by one; nil:
	// none, but those of [Collector.FollowStreams].
	Streams Pick
	// NameSamples is how many beginnings of requests per second of each of these are
	// looked at for their names; 0: none.
	NameSamples int
	Spans       bool                // make room for spans, see [Collector.RecordSpans]
	Resolver    *container.Resolver // default: a live host's, grouped by GroupBy
	Logger      *slog.Logger        // default: slog.Default()

	refuse func(object string) error // in tests, the kernel's answer to a BPF object; nil: ask the kernel
	types  *btf.Cache                // in tests, the kernel's types, read once; nil: read them
}

// Defaults and limits of Config.
const (
	DefaultTick      = 100 * time.Millisecond
	MinTick          = 10 * time.Millisecond
	MaxTick          = 10 * time.Second
	DefaultPassHz    = 200
	MinPassHz        = 10
	DefaultCPUBudget = 0.005
	minCoreShare     = 0.01 // the budget is never less than this much of one core
)

func (c Config) withDefaults() (Config, error) {
	if c.Tick == 0 {
		c.Tick = DefaultTick
	}
	if c.PassHz == 0 {
		c.PassHz = DefaultPassHz
	}
	if c.CPUBudget == 0 {
		c.CPUBudget = DefaultCPUBudget
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	switch {
	case c.Tick < MinTick || c.Tick > MaxTick:
		return c, fmt.Errorf("tick %v: out of range, give %v to %v", c.Tick, MinTick, MaxTick)
	case !(c.PassHz >= 0.1 && c.PassHz <= 1000): // NaN is neither
		return c, fmt.Errorf("pass rate %v Hz: out of range, give 0.1 to 1000", c.PassHz)
	case !(c.CPUBudget >= 0 && c.CPUBudget <= 1):
		return c, fmt.Errorf("cpu budget %v: not a share of the host's CPU, give 0 to 1", c.CPUBudget)
	}
	return c, nil
}

// budgetShare is the limit in force on a host with cpus CPUs.
func (c Config) budgetShare(cpus int) float64 {
	return max(c.CPUBudget, minCoreShare/float64(cpus))
}
