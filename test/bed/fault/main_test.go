//go:build linux

package fault

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"testing"

	"seer/test/bed/host"
	"seer/test/bed/tier"
)

// The test binary is also the program of the tiers and of the antagonists.
func TestMain(m *testing.M) {
	host.Launch()
	var err error
	switch {
	case len(os.Args) == 4 && os.Args[1] == "tier":
		var cfg tier.Config
		if cfg, err = tier.LoadConfig(os.Args[3]); err == nil {
			err = tier.Main(context.Background(), cfg)
		}
	case len(os.Args) == 5 && os.Args[1] == "inject":
		err = injectForever(os.Args[2], os.Args[3], os.Args[4])
	case len(os.Args) == 3 && os.Args[1] == "cache":
		err = cacheForever(os.Args[2])
	case len(os.Args) >= 5 && os.Args[1] == "antagonist":
		cfg := AntagonistConfig{Kind: os.Args[2]}
		flags := os.Args[3:]
		for i := 0; i+1 < len(flags) && err == nil; i += 2 {
			switch flags[i] {
			case "--intensity":
				cfg.Intensity, err = strconv.ParseFloat(flags[i+1], 64)
			case "--cpu":
				cfg.CPU, err = strconv.Atoi(flags[i+1])
			case "--dir":
				cfg.Dir = flags[i+1]
			}
		}
		if err == nil {
			err = RunAntagonist(context.Background(), cfg)
		}
	default:
		os.Exit(m.Run())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}
