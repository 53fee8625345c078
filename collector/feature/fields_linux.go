package feature

import (
	"errors"
	"fmt"
	"strings"

	"github.com/cilium/ebpf/btf"
)

// structure lists the fields of one kernel structure that the tracer reads.
type structure struct {
	title  string // name of the item
	name   string
	fields []string
	queues []string
	loss   string
}

// structures is what the BPF programs take from the kernel's memory. A field
// may sit inside anonymous structures and unions, as it does for the C
// compiler. Sources: the header of each structure, at the named release.
var structures = []structure{
	{"tcp_sock, receive side", "tcp_sock", []string{"rcv_nxt", "copied_seq"}, []string{receiveQueue, unreadRequests}, ""},
	{"tcp_sock, send side", "tcp_sock", []string{"write_seq", "snd_una"}, []string{sendQueue}, ""},
	{"tcp_sock, who owes a byte", "tcp_sock", []string{"snd_nxt", "rcv_wup", "snd_wl1", "packets_out", "lsndtime", "segs_in", "data_segs_in", "data_segs_out"},
		[]string{outstanding, downstream}, "request rate and latency in passive mode"},
	{"inet_connection_sock", "inet_connection_sock", []string{"icsk_accept_queue", "icsk_ack"}, []string{synQueue, outstanding, downstream}, ""},
	{"request_sock_queue", "request_sock_queue", []string{"qlen"}, []string{synQueue}, ""},
	{"sock, listener", "sock", []string{"sk_ack_backlog", "sk_max_ack_backlog"}, []string{acceptBacklog}, ""},
	{"sock, bytes below TCP", "sock", []string{"sk_wmem_alloc"}, []string{nicTx}, ""},
	{"sock, identity", "sock", []string{"sk_type", "sk_protocol", "sk_socket"}, socketQueues, ""},
	{"sock, receive queue", "sock", []string{"sk_receive_queue"}, nil, "receive_queue and unread_requests of unix sockets"},
	{"sk_buff_head", "sk_buff_head", []string{"qlen", "next"}, nil, "receive_queue and unread_requests of unix sockets"},
	{"sock_common", "sock_common", []string{"skc_family", "skc_state", "skc_num", "skc_dport", "skc_daddr", "skc_rcv_saddr", "skc_net"}, socketQueues, ""},
	{"unix_sock", "unix_sock", []string{"peer"}, nil, "unix edges"},
	{"file", "file", []string{"f_op", "private_data"}, []string{epollReady}, "sockets opened before Seer"},
	{"eventpoll", "eventpoll", []string{"rdllist", "ovflist", "file"}, []string{epollReady}, ""},
	{"epitem", "epitem", []string{"rdllink"}, []string{epollReady}, ""},
	{"task_struct, scheduling", "task_struct", []string{"sched_info", "on_rq", "on_cpu"}, []string{runQueue}, ""},
	{"sched_info", "sched_info", []string{"run_delay", "pcount", "last_queued"}, []string{runQueue}, ""},
	{"task_struct, identity", "task_struct", []string{"cgroups", "tgid", "comm", "group_leader"}, queueNames, "which container owns anything"},
	{"css_set", "css_set", []string{"dfl_cgrp", "subsys"}, queueNames, "which container owns anything"},
	{"cgroup", "cgroup", []string{"kn", "level"}, queueNames, "which container owns anything"},
	{"kernfs_node", "kernfs_node", []string{"id"}, queueNames, "which container owns anything"},
	{"request", "request", []string{"bio", "__data_len", "state"}, []string{blockIO}, ""},
	{"bio", "bio", []string{"bi_blkg"}, []string{blockIO}, ""},
	{"blkcg_gq", "blkcg_gq", []string{"blkcg"}, []string{blockIO}, ""},
}

func fieldChecks() []check {
	var checks []check
	for _, s := range structures {
		checks = append(checks, check{
			group: GroupField, name: s.title, queues: s.queues, loss: s.loss,
			advice: "use a kernel that has it, or report the release so that Seer can learn the new layout",
			fact:   func(h *host) finding { return s.find(h) },
		})
	}
	return checks
}

// find looks for every field and names those that are not there.
func (s structure) find(h *host) finding {
	types, err := h.types()
	if err != nil {
		return finding{Unknown, "no kernel BTF to look in"}
	}
	var absent []string
	for _, field := range s.fields {
		switch _, err := offsetOf(types, s.name, field); {
		case errors.Is(err, btf.ErrNotFound):
			absent = append(absent, field)
		case err != nil:
			return finding{Unknown, err.Error()}
		}
	}
	if len(absent) > 0 {
		return finding{Missing, fmt.Sprintf("struct %s of this kernel has no %s", s.name, strings.Join(absent, ", "))}
	}
	return finding{Works, strings.Join(s.fields, ", ")}
}

// offsetOf returns the offset in bytes of a field of a kernel structure, or an
// error that wraps btf.ErrNotFound.
func offsetOf(types *btf.Spec, structName, field string) (uint32, error) {
	candidates, err := types.AnyTypesByName(structName)
	if err != nil {
		return 0, fmt.Errorf("struct %s: %w", structName, err)
	}
	for _, candidate := range candidates {
		s, ok := candidate.(*btf.Struct)
		if !ok {
			continue
		}
		if offset, ok := memberOffset(s.Members, field); ok {
			return offset, nil
		}
	}
	return 0, fmt.Errorf("struct %s: field %s: %w", structName, field, btf.ErrNotFound)
}

// memberOffset searches members and, like C, the anonymous structures and
// unions among them.
func memberOffset(members []btf.Member, field string) (uint32, bool) {
	for _, m := range members {
		if m.Name == field {
			return m.Offset.Bytes(), true
		}
		if m.Name != "" {
			continue
		}
		var inner []btf.Member
		switch t := btf.UnderlyingType(m.Type).(type) {
		case *btf.Struct:
			inner = t.Members
		case *btf.Union:
			inner = t.Members
		}
		if offset, ok := memberOffset(inner, field); ok {
			return m.Offset.Bytes() + offset, true
		}
	}
	return 0, false
}
