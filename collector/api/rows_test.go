package api

import (
	"testing"

	"seer/collector"
)

func TestNotMeasuredReasons(t *testing.T) {
	queues := []collector.Queue{collector.QueueOutstanding}
	on := collector.Probe{Name: "socket", Queues: queues, State: collector.ProbeOn}
	off := collector.Probe{Name: "request", Queues: queues, Reason: "not asked for"}
	bare := collector.Probe{Name: "request", Queues: queues}
	failed := collector.Probe{Name: "socket", Queues: queues, State: collector.ProbeFailed, Reason: "EPERM"}
	const unread = "not read during the last tick"
	tests := []struct {
		name   string
		probes []collector.Probe
		want   string
	}{
		{"no probe", nil, unread},
		{"on", []collector.Probe{on}, unread},
		{"off", []collector.Probe{off}, "off: not asked for"},
		{"off, no reason", []collector.Probe{bare}, "off: probe request"},
		{"another one is on", []collector.Probe{on, off}, unread},
		{"another one failed", []collector.Probe{failed, off}, "failed: EPERM"},
		{"failed beside one that is on", []collector.Probe{failed, on}, "failed: EPERM"},
	}
	for _, tt := range tests {
		got := notMeasuredReasons(tt.probes)
		if got[collector.QueueOutstanding] != tt.want {
			t.Errorf("%s: reason = %q, want %q", tt.name, got[collector.QueueOutstanding], tt.want)
		}
		if got[collector.QueueRun] != unread {
			t.Errorf("%s: reason of another queue = %q, want %q", tt.name, got[collector.QueueRun], unread)
		}
	}
}
