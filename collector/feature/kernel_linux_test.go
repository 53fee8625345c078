package feature

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/features"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

// probeHost returns a full report of the kernel under test.
func probeHost(t *testing.T) *Report {
	t.Helper()
	needRoot(t)
	report, err := Probe(t.Context(), Options{DBDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	return report
}

func (r *Report) want(t *testing.T, name string, want Verdict, says string) {
	t.Helper()
	item := r.Item(name)
	if item == nil {
		t.Fatalf("no item %q", name)
	}
	if item.Verdict != want || !strings.Contains(item.Reason, says) {
		t.Errorf("%s = %v %q, want %v with %q", name, item.Verdict, item.Reason, want, says)
	}
}

// What every kernel with bpf_sock_from_file (Linux 5.11) has: the oldest that
// Seer measures sockets on.
func TestKernelHasWhatEveryQueueNeeds(t *testing.T) {
	report := probeHost(t)
	if kernelType(t, "bpf_sock_from_file") == Missing {
		report.want(t, "bpf_sock_from_file", Missing, "")
		report.want(t, "sk_storage in iterators", Missing, "")
		report.want(t, "sk_storage in tp_btf", Missing, "")
		t.Skip("this kernel has no bpf_sock_from_file, and the report says so")
	}
	for _, name := range []string{"vmlinux BTF", "bpf system call", "CAP_BPF", "CAP_PERFMON",
		"iter/task", "iter/task_file",
		"sk_storage in iterators", "sk_storage in tp_btf", "bpf_sock_from_file", "ring buffer",
		"mmapable arrays", "batch map operations", "tp_btf inet_sock_set_state",
		"task storage",
		"tp_btf block_rq_issue", "tp_btf block_rq_complete", "tp_btf block_rq_requeue", "tp_btf napi_poll"} {
		report.want(t, name, Works, "")
	}
	// Which Seer can do without: a policy may refuse what could write to maps.
	for _, name := range []string{"iter/bpf_sk_storage_map", "iter/bpf_map_elem"} {
		if item := report.Item(name); item == nil || item.Verdict != Works && !strings.Contains(item.Reason, "refused (EPERM)") {
			t.Errorf("%s = %+v, want it to work or to be refused by a policy", name, item)
		}
	}
	for _, q := range report.Queues {
		if q.Verdict != Works {
			t.Errorf("queue %s = %v because of %s, want it to work", q.Queue, q.Verdict, q.Because)
		}
	}
	if err := report.Err(); err != nil {
		t.Error(err)
	}
}

// kernelType says whether the kernel's own types have one called name.
func kernelType(t *testing.T, name string) Verdict {
	t.Helper()
	types, err := btf.LoadKernelSpec()
	if err != nil {
		t.Fatal(err)
	}
	switch _, err := types.AnyTypesByName(name); {
	case err == nil:
		return Works
	case errors.Is(err, btf.ErrNotFound):
		return Missing
	default:
		t.Fatal(err)
		return Unknown
	}
}

// What differs between kernels is held to another source: the kernel's own
// types and symbols, and the library's probe for the same thing.
func TestKernelDifferences(t *testing.T) {
	report := probeHost(t)
	report.want(t, "tp_btf sock_recv_length", kernelType(t, "btf_trace_sock_recv_length"), "")
	report.want(t, "tp_btf sock_send_length", kernelType(t, "btf_trace_sock_send_length"), "")
	report.want(t, "iter/unix", kernelType(t, "bpf_iter__unix"), "")
	report.want(t, "bpf_loop", kernelType(t, "bpf_loop"), "")

	symbols, err := os.ReadFile("/proc/kallsyms")
	if err != nil {
		t.Fatal(err)
	}
	kprobes, says := Missing, "no kprobes"
	if bytes.Contains(symbols, []byte(" register_kretprobe\n")) {
		kprobes, says = Works, ""
	}
	report.want(t, "kretprobe tcp_recvmsg", kprobes, says)
	report.want(t, "kretprobe tcp_sendmsg", kprobes, says)

	// The library's own probe loads fentry/bpf_init, and so is refused where
	// fexit is.
	fexit, says := Works, ""
	switch err := features.HaveProgramType(ebpf.Tracing); {
	case errors.Is(err, unix.EPERM):
		fexit, says = Missing, "EPERM"
	case err != nil:
		t.Fatal(err)
	}
	report.want(t, "fexit tcp_recvmsg", fexit, says)
	report.want(t, "fexit tcp_sendmsg", fexit, says)

	stats := Missing
	if _, err := os.Stat("/sys/kernel/btf/vmlinux"); err == nil {
		stats = Works // as old as BTF of the kernel itself, and this test is root
	}
	report.want(t, "bpf run time statistics", stats, "")
}

func TestTracingFlavour(t *testing.T) {
	report := probeHost(t)
	chosen, all := TracingFlavour(t.Context())
	if chosen != report.Flavour {
		t.Errorf("TracingFlavour() = %q, the report says %q", chosen, report.Flavour)
	}
	order := []Flavour{FlavourTPBTF, FlavourFexit, FlavourKretprobe}
	first := FlavourNone
	for i, v := range all {
		if v.Flavour != order[i] {
			t.Fatalf("flavours in the order %v, want %v", all, order)
		}
		if v.Verdict == Works && first == FlavourNone {
			first = v.Flavour
		}
		if (v.Reason == "") != (v.Verdict == Works) {
			t.Errorf("%s: %v for the reason %q", v.Flavour, v.Verdict, v.Reason)
		}
	}
	if first == FlavourNone || chosen != first {
		t.Errorf("TracingFlavour() = %q, want the first that works, %q, of %v", chosen, first, all)
	}
}

// Both directions must work: half a flavour counts as none.
func TestChooseFlavour(t *testing.T) {
	tests := []struct {
		name    string
		missing string // flavour and hooks that fail
		want    Flavour
	}{
		{"all", "", FlavourTPBTF},
		{"no send tracepoint", "tp_btf sock_send_length", FlavourFexit},
		{"half of two", "tp_btf sock_recv_length fexit tcp_sendmsg", FlavourKretprobe},
		{"none", "tp_btf sock_recv_length fexit tcp_sendmsg kretprobe tcp_recvmsg", FlavourNone},
	}
	for _, tt := range tests {
		var r Report
		for _, hook := range requestHooks {
			item := Item{Name: hook.name(), Verdict: Works}
			if strings.Contains(tt.missing, hook.name()) {
				item.Verdict, item.Reason = Missing, "refused"
			}
			r.Items = append(r.Items, item)
		}
		if got := chooseFlavour(&r); got != tt.want {
			t.Errorf("%s: chooseFlavour() = %q, want %q", tt.name, got, tt.want)
		}
	}
}

// A structure or a hook that no kernel has is missing, not unknown.
func TestMissingIsMissing(t *testing.T) {
	needRoot(t)
	h := newHost(Options{})
	s := structure{"x", "tcp_sock", []string{"rcv_nxt", "seer_field"}, nil, ""}
	s.find(h).check(t, Missing, "has no seer_field")
	s = structure{"x", "seer_struct", []string{"a"}, nil, ""}
	s.find(h).check(t, Missing, "seer_struct")
	for _, err := range []error{
		tryTracing(ebpf.AttachTraceRawTp, "seer_tracepoint", returns(0)),
		tryIterator("seer_objects", nil, returns(0)),
	} {
		if got := classify(err, tracer, h.caps); got.verdict != Missing {
			t.Errorf("classify(%v) = %v %q, want missing", err, got.verdict, got.reason)
		}
	}
}

// offsetOf looks into anonymous members, as C does.
func TestOffsetOf(t *testing.T) {
	word := &btf.Int{Name: "int", Size: 4}
	inner := &btf.Union{Size: 8, Members: []btf.Member{{Name: "a", Type: word}, {Type: &btf.Struct{Size: 8, Members: []btf.Member{
		{Name: "b", Type: word}, {Name: "c", Type: word, Offset: 32}}}}}}
	members := []btf.Member{{Name: "first", Type: word}, {Type: inner, Offset: 64}, {Name: "named", Type: inner, Offset: 128}}
	for field, want := range map[string]uint32{"first": 0, "a": 8, "b": 8, "c": 12, "named": 16} {
		if got, ok := memberOffset(members, field); !ok || got != want {
			t.Errorf("memberOffset(%s) = %d, %v, want %d", field, got, ok, want)
		}
	}
	if got, ok := memberOffset(members, "d"); ok {
		t.Errorf("memberOffset(d) = %d, want none", got)
	}
}

// A report leaves no descriptor, goroutine, program or link.
func TestProbeLeavesNothing(t *testing.T) {
	probeHost(t) // opens what Go itself opens once, such as its poller
	before := openFiles(t)
	kernelVerdicts = verdicts{}
	probeHost(t)
	if after := openFiles(t); after != before {
		t.Errorf("%d open files after a report, %d before", after, before)
	}
	if err := goleak.Find(); err != nil {
		t.Error(err)
	}
	// The kernel frees programs after a grace period.
	eventually(t, "no program seer_probe is loaded", func() bool { return countPrograms(t, "seer_probe") == 0 })
}

func openFiles(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// countPrograms counts the host's loaded programs with a name.
func countPrograms(t *testing.T, name string) int {
	t.Helper()
	count := 0
	for id := ebpf.ProgramID(0); ; {
		next, err := ebpf.ProgramGetNextID(id)
		if errors.Is(err, os.ErrNotExist) {
			return count
		}
		if err != nil {
			t.Fatal(err)
		}
		id = next
		prog, err := ebpf.NewProgramFromID(id)
		if errors.Is(err, os.ErrNotExist) {
			continue // gone since
		}
		if err != nil {
			t.Fatal(err)
		}
		info, err := prog.Info()
		prog.Close()
		if err != nil {
			t.Fatal(err)
		}
		if info.Name == name {
			count++
		}
	}
}

// Without any privilege the report comes out all the same, and says so.
func TestProbeAsNobody(t *testing.T) {
	needRoot(t)
	var report Report
	if err := json.Unmarshal(output(t, self(t, "report", nobody, nil)), &report); err != nil {
		t.Fatal(err)
	}
	if err := report.Err(); !errors.Is(err, ErrCannotRun) || !strings.Contains(err.Error(), "CAP_BPF") {
		t.Errorf("Err() = %v, want ErrCannotRun for want of CAP_BPF", err)
	}
	report.want(t, "vmlinux BTF", Works, "")
	report.want(t, "CAP_BPF", Missing, "")
	report.want(t, "bpf system call", Unknown, "no CAP_BPF")
	report.want(t, "fexit tcp_recvmsg", Unknown, "no CAP_BPF, CAP_PERFMON")
	for _, item := range report.Items {
		if (item.Group == GroupIterator || item.Group == GroupBPF || item.Group == GroupHook) && item.Verdict != Unknown {
			t.Errorf("%s: %v %q, want it unknown: nobody may ask", item.Name, item.Verdict, item.Reason)
		}
	}
	for _, item := range report.Items {
		if item.Verdict != Works && item.Reason == "" {
			t.Errorf("%s: %v without a reason", item.Name, item.Verdict)
		}
	}
	if report.Flavour != FlavourNone {
		t.Errorf("Flavour = %q, want none", report.Flavour)
	}
}

func BenchmarkProbe(b *testing.B) {
	for _, bench := range []struct {
		name string
		cold bool
	}{{"cold", true}, {"remembered", false}} {
		b.Run(bench.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if bench.cold {
					kernelVerdicts = verdicts{}
				}
				if _, err := Probe(b.Context(), Options{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkTracingFlavour(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		kernelVerdicts = verdicts{}
		if got, all := TracingFlavour(b.Context()); got == FlavourNone {
			b.Fatal(all)
		}
	}
}
