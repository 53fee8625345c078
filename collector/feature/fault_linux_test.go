package feature

import (
	"errors"
	"strings"
	"testing"

	"github.com/cilium/ebpf/btf"
)

// Which kernels are warned of: by release, and before 7.0 by the function that
// came with the fault.
func TestSocketWalkFault(t *testing.T) {
	unreadable := errors.New("no BTF")
	tests := []struct {
		release    string
		backported bool
		err        error
		want       Verdict
		says       string
	}{
		{release: "5.11.0", want: Works},
		{release: "6.1.0-56-cloud-amd64", want: Works},
		{release: "6.12.117+deb13-cloud-amd64", want: Works},
		{release: "6.19.14-arch1-1", want: Works},
		{release: "6.12.0-300.el10.x86_64", backported: true, want: Missing, says: "took over bpf_selem_unlink_nofail"},
		{release: "6.12.0", err: unreadable, want: Unknown, says: "no BTF"},
		{release: "7.0.0-rc1", want: Missing, says: "Linux 7.0 and later"},
		{release: "7.0.0", want: Missing, says: "Linux 7.0 and later"},
		{release: "7.3.4+deb13-cloud-amd64", want: Missing, says: "Linux 7.0 and later"},
		{release: "7.3.4", err: unreadable, want: Missing, says: "Linux 7.0 and later"},
		{release: "10.1.0", want: Missing, says: "Linux 7.0 and later"},
		{release: "", want: Unknown, says: `""`},
		{release: "custom", want: Unknown, says: `"custom"`},
	}
	for _, tt := range tests {
		got := socketWalkFault(tt.release, func() (bool, error) { return tt.backported, tt.err })
		if got.verdict != tt.want || !strings.Contains(got.reason, tt.says) || got.reason == "" {
			t.Errorf("socketWalkFault(%q, %v, %v) = %v %q, want %v with %q",
				tt.release, tt.backported, tt.err, got.verdict, got.reason, tt.want, tt.says)
		}
	}
}

// The fault takes no queue away and does not keep Seer from running.
func TestSocketWalkFaultIsNoBlocker(t *testing.T) {
	r := &Report{Items: []Item{{Group: GroupKernel, Name: nameSocketWalk, Verdict: Missing, Reason: "x"}}}
	r.conclude()
	if err := r.Err(); err != nil {
		t.Errorf("Err() = %v, want nil", err)
	}
	var text strings.Builder
	if err := r.WriteText(&text); err != nil || !strings.Contains(text.String(), "warning:") {
		t.Errorf("WriteText() = %v, want a warning: %s", err, text.String())
	}
	for _, q := range r.Queues {
		if q.Verdict != Works {
			t.Errorf("queue %s = %v, want %v", q.Queue, q.Verdict, Works)
		}
	}
}

// On the kernel under test the release and the kernel's own types agree.
func TestSocketWalkFaultHere(t *testing.T) {
	report := probeHost(t)
	want := Works
	if kernelType(t, unlinkNofail) == Works {
		want = Missing
	}
	report.want(t, nameSocketWalk, want, "")
	kernel, err := btf.LoadKernelSpec()
	if err != nil {
		t.Fatal(err)
	}
	if got := SocketWalkFault(kernel); (got != "") != (want == Missing) {
		t.Errorf("SocketWalkFault() = %q on Linux %s, want one: %v", got, report.Release, want == Missing)
	}
}
