package main

import (
	"log/slog"
	"strings"
	"testing"

	"seer/collector/feature"
)

func TestWarnOfKernel(t *testing.T) {
	var text strings.Builder
	log := slog.New(slog.NewTextHandler(&text, nil))
	warnOfKernel(log, nil)
	if text.Len() != 0 {
		t.Errorf("without a fault: %s, want nothing", text.String())
	}
	warnOfKernel(log, &feature.Item{Reason: "the reason", Loss: "the loss", Advice: "the advice"})
	for _, want := range []string{"level=WARN", "the reason", `lost="the loss"`, `do="the advice"`} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("%s: want %q", text.String(), want)
		}
	}
}
