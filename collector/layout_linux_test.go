package collector

import (
	"slices"
	"strings"
	"testing"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"

	"seer/bpf"
	"seer/collector/latency"
)

// What Go and the BPF programs declare twice is held together here.

// enum returns the values of a BPF enum by name, in order.
func enum(t *testing.T, name string) []btf.EnumValue {
	t.Helper()
	spec, err := bpf.LoadSocket()
	if err != nil {
		t.Fatal(err)
	}
	var e *btf.Enum
	if err := spec.Types.TypeByName(name, &e); err != nil {
		t.Fatalf("enum %s: %v", name, err)
	}
	return e.Values
}

func TestQueuesEqualEnum(t *testing.T) {
	values := enum(t, "queue_id")
	if len(values) != NumQueues+1 || values[NumQueues].Name != "QUEUE_MAX" {
		t.Fatalf("enum queue_id has %v, collector.Queues has %d", values, NumQueues)
	}
	// The enum's names say the unit of the queue; the table's, what people call it.
	short := map[string]string{"SYN": "syn_queue", "RECEIVE": "receive_queue", "SEND": "send_queue", "RUN": "run_queue"}
	seen := map[string]bool{}
	for q, info := range Queues {
		name := strings.TrimPrefix(values[q].Name, "QUEUE_")
		want, found := short[name]
		if !found {
			want = strings.ToLower(name)
		}
		if values[q].Value != uint64(q) || info.Name != want {
			t.Errorf("queue %d is %q in Go and %s = %d in BPF", q, info.Name, values[q].Name, values[q].Value)
		}
		if seen[info.Name] {
			t.Errorf("two queues are called %q", info.Name)
		}
		seen[info.Name] = true
		if got, ok := QueueByName(info.Name); !ok || got != Queue(q) || got.String() != info.Name {
			t.Errorf("QueueByName(%q) = %v, %v", info.Name, got, ok)
		}
		if info.Unit == "" || info.Source == "" || info.Since == "" || !strings.HasSuffix(info.Help, ".") || info.Set.String() == "" {
			t.Errorf("%s is not described: %+v", info.Name, info)
		}
	}
	if q, ok := QueueByName("no such queue"); ok {
		t.Errorf("QueueByName of nothing = %v", q)
	}
}

func TestLossNamesEqualEnum(t *testing.T) {
	values := enum(t, "loss_reason")
	if len(values) != len(lossNames)+1 {
		t.Fatalf("enum loss_reason has %d reasons, lossNames %d", len(values)-1, len(lossNames))
	}
	for i, got := range lossNames {
		if want := strings.ToLower(strings.TrimPrefix(values[i].Name, "LOSS_")); got != want {
			t.Errorf("loss %d is called %q, in BPF %q", i, got, want)
		}
	}
}

func TestRolesEqualEnum(t *testing.T) {
	for i, v := range enum(t, "socket_role") {
		if want := strings.ToLower(strings.TrimPrefix(v.Name, "ROLE_")); v.Value != uint64(i) || Role(i).String() != want {
			t.Errorf("role %d is %q in Go and %s = %d in BPF", i, Role(i), v.Name, v.Value)
		}
	}
}

// rareHooks are event-driven programs that another one counts with, or that run
// too seldom to matter.
var rareHooks = map[string]bool{
	"block_io_requeue": true, "request_receive_enter": true, "request_send_enter": true, "request_close": true,
}

// allSpecs returns every object that Seer loads, as it is built.
func allSpecs(t *testing.T) map[string]*ebpf.CollectionSpec {
	t.Helper()
	specs := map[string]*ebpf.CollectionSpec{}
	for name, load := range map[string]func() (*ebpf.CollectionSpec, error){
		"socket": bpf.LoadSocket, "dump": bpf.LoadDump, "discover": bpf.LoadDiscover, "epoll": bpf.LoadEpoll,
		"sched": bpf.LoadSched, "block": bpf.LoadBlock, "request_tp_btf": bpf.LoadRequestTracepoint,
		"request_fexit": bpf.LoadRequestFexit, "request_kretprobe": bpf.LoadRequestKretprobe,
	} {
		spec, err := load()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		specs[name] = spec
	}
	return specs
}

// A map that is meant to be shared and is not in the list would exist twice;
// one in the list that a single object has need not be there.
func TestSharedMaps(t *testing.T) {
	users := map[string][]string{}
	shapes := map[string]*ebpf.MapSpec{}
	for object, spec := range allSpecs(t) {
		for name, m := range spec.Maps {
			if strings.HasPrefix(name, ".") {
				continue // .rodata and .bss are an object's own
			}
			users[name] = append(users[name], object)
			if other := shapes[name]; other == nil {
				shapes[name] = m
			} else if other.Type != m.Type || other.KeySize != m.KeySize || other.ValueSize != m.ValueSize || other.MaxEntries != m.MaxEntries || other.Flags != m.Flags {
				t.Errorf("map %s differs between objects %v: %v and %v", name, users[name], other, m)
			}
		}
	}
	listed := map[string]bool{}
	for _, name := range sharedMaps {
		listed[name] = true
		if len(users[name]) < 2 {
			t.Errorf("shared map %s is in the objects %v, want two at least", name, users[name])
		}
	}
	// Only one flavour of request hooks is loaded at a time.
	for name, in := range users {
		others := 0
		for _, object := range in {
			if !strings.HasPrefix(object, "request_") {
				others++
			}
		}
		if !listed[name] && len(in) > 1 && others > 0 {
			t.Errorf("map %s is in the objects %v and is not shared", name, in)
		}
	}
}

// Go reads and writes these values in place.
func TestSizesEqualMapValues(t *testing.T) {
	specs := allSpecs(t)
	tests := []struct {
		object, name string
		size         uintptr
	}{
		{"socket", "container_rows", unsafe.Sizeof(bpf.SocketContainerRow{})},
		{"socket", "controls", unsafe.Sizeof(bpf.SocketControl{})},
		{"socket", "families", unsafe.Sizeof(bpf.SocketFamilyStats{})},
		{"socket", "sockets", unsafe.Sizeof(bpf.SocketSocketState{})},
		{"socket", "tracked", unsafe.Sizeof(bpf.SocketTrackedSocket{})},
		{"socket", "tracked_counts", unsafe.Sizeof(bpf.SocketIndexCounts{})},
		{"epoll", "epolls", unsafe.Sizeof(bpf.EpollEpollState{})},
		{"request_tp_btf", "exact_rows", unsafe.Sizeof(bpf.RequestTracepointExactRow{})},
		{"request_tp_btf", "latency_rows", unsafe.Sizeof(bpf.RequestTracepointLatencyRow{})},
		{"request_fexit", "exact_rows", unsafe.Sizeof(bpf.RequestTracepointExactRow{})},
		{"request_kretprobe", "exact_rows", unsafe.Sizeof(bpf.RequestTracepointExactRow{})},
	}
	for _, tt := range tests {
		m := specs[tt.object].Maps[tt.name]
		if m == nil {
			t.Errorf("%s has no map %s", tt.object, tt.name)
			continue
		}
		if uintptr(m.ValueSize) != tt.size || tt.size%8 != 0 {
			t.Errorf("map %s of %s holds %d bytes, its Go type %d", tt.name, tt.object, m.ValueSize, tt.size)
		}
	}
	if got := uint32(len(lossNames)); specs["socket"].Maps["losses"].MaxEntries != got {
		t.Errorf("losses has %d entries, want %d", specs["socket"].Maps["losses"].MaxEntries, got)
	}
	if got := len(bpf.SocketContainerRow{}.Cells); got != NumQueues {
		t.Errorf("a container row has %d cells, want %d", got, NumQueues)
	}
	if got := len(bpf.RequestTracepointLatencyRow{}.Outstanding.First); got != latency.Buckets {
		t.Errorf("a histogram of the hooks has %d buckets, want %d", got, latency.Buckets)
	}
}

// Every program that runs on events counts its runs, which is how its cost is
// known; one that runs inside passes does not, its time is the pass's. And every
// variable that Go sets exists in some object.
func TestProgramsAreKnown(t *testing.T) {
	variables := map[string]bool{}
	for object, spec := range allSpecs(t) {
		for name, p := range spec.Programs {
			inPass := strings.HasPrefix(p.SectionName, "iter/") || p.SectionName == "syscall"
			counts := slices.ContainsFunc(p.Instructions, func(i asm.Instruction) bool { return i.Reference() == "hook_runs" })
			if counts == (inPass || rareHooks[name]) {
				t.Errorf("%s/%s in section %q: counts its runs: %v", object, name, p.SectionName, counts)
			}
			if strings.HasPrefix(name, "test_") {
				t.Errorf("test program %s is in object %s", name, object)
			}
		}
		for name := range spec.Variables {
			variables[name] = true
		}
	}
	for _, name := range []string{"self_tgid", "known_epoll_fd", "group_by_comm", "io_hierarchy", "flags_are_fifth", "in_table"} {
		if !variables[name] {
			t.Logf("objects have the variables %v", variables)
			t.Errorf("no object has a variable %s, which Go sets", name)
		}
	}
}
