package feature

import (
	"encoding/json"
	"errors"
	"flag"
	"os"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite testdata")

// mixed is a report with every kind of item.
func mixed() *Report {
	r := &Report{Schema: 1, Object: "feature", Release: "5.10.0-28-amd64", Arch: "x86_64", Flavour: FlavourFexit, Items: []Item{
		{Group: GroupKernel, Name: "vmlinux BTF", Verdict: Works, Required: true, Queues: queueNames},
		{Group: GroupKernel, Name: "lockdown", Verdict: Unknown, Reason: "securityfs is not mounted", Advice: "mount it"},
		{Group: GroupCapability, Name: "CAP_NET_ADMIN", Verdict: Missing, Reason: "not in this process's effective set",
			Loss: "cgroup_skb and tcx programs (HTTP/2 streams, packet headers), conntrack, network limits", Advice: "run as root (sudo)"},
		{Group: GroupHook, Name: "tp_btf block_rq_issue", Verdict: Unknown, Reason: "refused to a process without CAP_BPF", Queues: []string{blockIO}, Advice: "run as root"},
		{Group: GroupHook, Name: "tp_btf block_rq_complete", Verdict: Missing, Reason: "not supported", Queues: []string{blockIO}, Advice: "use a newer kernel"},
		{Group: GroupRequest, Name: "tp_btf sock_recv_length", Verdict: Missing, Reason: "not found", Loss: "exact mode", CoveredBy: "fexit", Advice: "use a newer kernel"},
		{Group: GroupRequest, Name: "fexit tcp_recvmsg", Verdict: Works, Loss: "exact mode"},
		{Group: GroupField, Name: "softnet_data", Verdict: Unknown, Queues: []string{nicRx}, Reason: "no kernel BTF to look in"},
		{Group: GroupHost, Name: "disk space", Verdict: Missing, Reason: "0.5 GiB free at /var/lib/" + strings.Repeat("very-long-name-", 6) + ", want 1 GiB"},
	}}
	r.conclude()
	return r
}

func TestReportText(t *testing.T) {
	blocked := mixed()
	blocked.Flavour = FlavourNone
	blocked.Items[0].Verdict, blocked.Items[0].Reason, blocked.Items[0].Advice = Missing, "no BTF found for this kernel", "use a kernel with CONFIG_DEBUG_INFO_BTF"
	blocked.conclude()
	for name, r := range map[string]*Report{"mixed": mixed(), "blocked": blocked} {
		var b strings.Builder
		if err := r.WriteText(&b); err != nil {
			t.Fatal(err)
		}
		path := "testdata/" + name + ".txt"
		if *update {
			if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), b.String()); diff != "" {
			t.Errorf("%s (-want +got), -update to accept:\n%s", path, diff)
		}
		for line := range strings.Lines(b.String()) {
			if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > textWidth {
				t.Errorf("%s: %d columns: %s", name, n, line)
			}
		}
	}
}

func TestConclude(t *testing.T) {
	r := mixed()
	got := map[string]QueueState{}
	for _, q := range r.Queues {
		got[q.Queue] = q
	}
	want := map[string]QueueState{
		blockIO:  {blockIO, Missing, "tp_btf block_rq_issue, tp_btf block_rq_complete"}, // a loss outweighs a question
		nicRx:    {nicRx, Unknown, "softnet_data"},
		runQueue: {runQueue, Works, ""},
	}
	for name, state := range want {
		if got[name] != state {
			t.Errorf("queue %s = %+v, want %+v", name, got[name], state)
		}
	}
	if !r.CanRun || r.Err() != nil {
		t.Errorf("CanRun = %v, %v, want true: only optional items fail", r.CanRun, r.Err())
	}
}

func TestBlockers(t *testing.T) {
	required := func(name string, v Verdict) Item {
		return Item{Name: name, Verdict: v, Required: true, Reason: "because"}
	}
	tests := []struct {
		name  string
		items []Item
		want  []string
	}{
		{"a known reason hides open questions", []Item{required("a", Unknown), required("b", Missing), required("c", Missing)},
			[]string{"b: missing: because", "c: missing: because"}},
		{"only open questions", []Item{required("a", Unknown)}, []string{"a: could not find out: because"}},
		{"no queue left", []Item{{Name: "a", Verdict: Missing, Queues: queueNames}},
			[]string{"not one queue can be measured (see what each item loses)"}},
		{"all well", []Item{required("a", Works)}, []string{}},
	}
	for _, tt := range tests {
		r := &Report{Items: tt.items}
		r.conclude()
		if diff := cmp.Diff(tt.want, r.Blockers); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
		if got := errors.Is(r.Err(), ErrCannotRun); got != (len(tt.want) > 0) {
			t.Errorf("%s: Err() = %v", tt.name, r.Err())
		}
	}
}

func TestReportJSON(t *testing.T) {
	text, err := json.Marshal(mixed())
	if err != nil {
		t.Fatal(err)
	}
	var back Report
	if err := json.Unmarshal(text, &back); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(mixed(), &back); diff != "" {
		t.Errorf("through JSON (-want +got):\n%s", diff)
	}
	for _, want := range []string{`"schema":1`, `"object":"feature"`, `"rows":[`, `"verdict":"could not find out"`} {
		if !strings.Contains(string(text), want) {
			t.Errorf("JSON lacks %s:\n%s", want, text)
		}
	}
}
