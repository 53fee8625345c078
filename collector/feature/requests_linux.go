package feature

import (
	"context"

	"github.com/cilium/ebpf"
)

// requestHook is one program that a flavour needs.
type requestHook struct {
	flavour Flavour
	target  string
	probe   func(*host) error
}

func (r requestHook) name() string { return string(r.flavour) + " " + r.target }

// requestHooks are in order of preference: the cheapest flavour first.
var requestHooks = []requestHook{
	{FlavourTPBTF, "sock_recv_length", attachTP("sock_recv_length")},
	{FlavourTPBTF, "sock_send_length", attachTP("sock_send_length")},
	{FlavourFexit, "tcp_recvmsg", attachFexit("tcp_recvmsg")},
	{FlavourFexit, "tcp_sendmsg", attachFexit("tcp_sendmsg")},
	{FlavourKretprobe, "tcp_recvmsg", func(h *host) error { return tryKretprobe(h, "tcp_recvmsg") }},
	{FlavourKretprobe, "tcp_sendmsg", func(h *host) error { return tryKretprobe(h, "tcp_sendmsg") }},
}

func attachTP(name string) func(*host) error {
	return func(*host) error { return tryTracing(ebpf.AttachTraceRawTp, name, returns(0)) }
}

func attachFexit(name string) func(*host) error {
	return func(*host) error { return tryTracing(ebpf.AttachTraceFExit, name, returns(0)) }
}

const exactLoss = "exact mode: per-request latency, spans and request names (passive counts go on)"

func requestChecks() []check {
	advice := map[Flavour]string{
		FlavourTPBTF:     newerKernel + " (Linux 6.3 has it)",
		FlavourFexit:     "allow fexit programs (CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS, no lockdown)",
		FlavourKretprobe: "use a kernel with CONFIG_KPROBES",
	}
	config := map[Flavour][]string{
		FlavourTPBTF:     {"CONFIG_BPF_EVENTS"},
		FlavourFexit:     {"CONFIG_BPF_JIT", "CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS"},
		FlavourKretprobe: {"CONFIG_KPROBES", "CONFIG_KPROBE_EVENTS"},
	}
	var checks []check
	for _, hook := range requestHooks {
		checks = append(checks, check{group: GroupRequest, name: hook.name(), loss: exactLoss, needs: tracer,
			advice: advice[hook.flavour], config: config[hook.flavour], probe: hook.probe})
	}
	return checks
}

// TracingFlavour returns the cheapest flavour of request hook that can be
// attached on both directions here, or FlavourNone, and what became of each
// flavour. It attaches and detaches every hook once, which took 90 ms the first
// time on Linux 6.18 (18 MB allocated, mostly for kernel BTF); the kernel's answers are remembered for the life of the process.
func TracingFlavour(ctx context.Context) (Flavour, []FlavourVerdict) {
	h := newHost(Options{})
	checks := requestChecks()
	var report Report
	for i := range checks {
		found := checks[i].find(ctx, h)
		report.Items = append(report.Items, Item{Name: checks[i].name, Verdict: found.verdict, Reason: found.reason})
	}
	return chooseFlavour(&report), flavourVerdicts(&report)
}

// chooseFlavour picks the first flavour of which all hooks work.
func chooseFlavour(r *Report) Flavour {
	for _, v := range flavourVerdicts(r) {
		if v.Verdict == Works {
			return v.Flavour
		}
	}
	return FlavourNone
}

// flavourVerdicts joins the hooks of each flavour, in order of preference: one
// that is missing rules the flavour out.
func flavourVerdicts(r *Report) []FlavourVerdict {
	var all []FlavourVerdict
	for _, hook := range requestHooks {
		item := r.Item(hook.name())
		if n := len(all); n == 0 || all[n-1].Flavour != hook.flavour {
			all = append(all, FlavourVerdict{Flavour: hook.flavour, Verdict: Works})
		}
		last := &all[len(all)-1]
		if item.Verdict == Works || last.Verdict == Missing {
			continue
		}
		last.Verdict, last.Reason = item.Verdict, hook.target+": "+item.Reason
	}
	return all
}
