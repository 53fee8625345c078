package feature

// Flavour is the kind of hook that request counting (exact mode) uses.
type Flavour string

// The flavours, cheapest first. Costs measured by cloudflare/ebpf_exporter
// (benchmark/README.md) for empty programs: tracepoint 15 ns, fexit 24 ns,
// kprobe 137 ns.
const (
	FlavourNone      Flavour = ""
	FlavourTPBTF     Flavour = "tp_btf"    // sock_recv_length, sock_send_length
	FlavourFexit     Flavour = "fexit"     // tcp_recvmsg, tcp_sendmsg
	FlavourKretprobe Flavour = "kretprobe" // tcp_recvmsg, tcp_sendmsg
)

// FlavourVerdict says whether one flavour can be attached.
type FlavourVerdict struct {
	Flavour Flavour
	Verdict Verdict
	Reason  string // empty when it works
}
