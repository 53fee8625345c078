//go:build linux

package fault

import (
	"context"
	"testing"

	"seer/infer/campaign"
)

// TestFaults holds every cause to its word: users suffer, more of the waiting is
// at the culprit than at any other service, and all is well afterwards.
func TestFaults(t *testing.T) {
	x := upTrio(t)
	x.load()
	x.take(120) // caches, connections

	tests := []struct {
		cause     campaign.Cause
		culprit   string
		intensity float64
	}{
		{campaign.CauseLock, "middle", 0.9},
		{campaign.CauseDeadlock, "middle", 0.8},
		{campaign.CausePool, "middle", 0.8},
		{campaign.CauseSlowDependency, "middle", 0.8},
		{campaign.CauseCycle, "front", 0.8},
		{campaign.CausePacketFilter, "middle", 0.8},
		{campaign.CauseCPU, "middle", 0.8},
		{campaign.CauseCPULimit, "middle", 0.8},
		{campaign.CauseNetworkShaping, "middle", 0.8},
		{campaign.CauseNetworkLoss, "middle", 0.8},
		{campaign.CauseNetworkFailure, "", 1},
		{campaign.CauseMemoryBandwidth, "back", 1},
		{campaign.CauseMemoryCapacity, "back", 0.9},
		{campaign.CauseDisk, "back", 1},
	}
	for _, tt := range tests {
		nominal := x.observe(180)
		i, err := Prepare(t.Context(), x.bed, campaign.Fault{Cause: tt.cause, Culprit: tt.culprit, Intensity: tt.intensity})
		if err != nil {
			t.Errorf("Prepare(%s) = %v", tt.cause, err)
			continue
		}
		if err := i.Start(t.Context()); err != nil {
			t.Errorf("Start(%s) = %v", tt.cause, err)
			continue
		}
		during := x.observe(300)
		if err := i.Stop(context.Background()); err != nil {
			t.Errorf("Stop(%s) = %v", tt.cause, err)
		}
		t.Logf("%-17s p50 %6.1f -> %6.1f ms  p95 %6.1f -> %6.1f ms  failed %3d  at front %5.2f -> %6.2f  middle %5.2f -> %6.2f  back %5.2f -> %6.2f",
			tt.cause, nominal.p50, during.p50, nominal.p95, during.p95, during.failed,
			nominal.at["front"], during.at["front"], nominal.at["middle"], during.at["middle"], nominal.at["back"], during.at["back"])
		x.recover(nominal)
	}
}
