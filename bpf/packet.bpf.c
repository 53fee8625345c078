//go:build ignore
/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Packets of a device, for as long as somebody asks (`seer inspect packet`): all
 * are counted, of one in `every` the headers are copied. None is changed, held
 * back or kept: every program ends with TCX_NEXT, as if it had not been there.
 *
 * Hook:  tcx, which a link attaches: it goes with the process that holds it, even
 *        a killed one. On ingress it runs before the qdisc's filters and behind
 *        GRO, on egress before the qdisc, so a packet may stand for several on
 *        the wire (segments).
 * Owner: found by Go, by the innermost addresses (collector/packet), and for a packet
 *        that goes out by the cgroup of its socket; never the current task's.
 * Since: Linux 6.6. Filters of clsact, which older kernels have, outlive a killed
 *        process, so there is no substitute.
 */
#include "headers/kernel.h"
#include "headers/bpf/bpf_helpers.h"
#include "headers/bpf/bpf_core_read.h"
#include "headers/bpf/bpf_tracing.h"

/* How much of a packet is copied. The longest headers up to the inner ports that
 * are met in practice, VXLAN or Geneve in IPv6 with IPv6 inside:
 *
 *	 22	Ethernet, two VLAN tags
 *	 48	IPv6, hop-by-hop or destination options
 *	  8	UDP
 *	 20	VXLAN 8; Geneve 8 and 12 bytes of options
 *	 18	Ethernet, VLAN tag
 *	 48	IPv6 with options
 *	 20	TCP
 *	184
 *
 * Short headers come with the beginning of what follows, which Go cuts off.
 */
#define HEADERS_MAX 192

/* Set before loading: one packet in so many, and that as a part of 2^32. */
const volatile __u32 every = 1;
const volatile __u32 chance = 0;

enum packet_direction {
	PACKET_INGRESS,
	PACKET_EGRESS,
	PACKET_DIRECTIONS,
};

struct packet_event {
	__u64 time_ns;	/* CLOCK_MONOTONIC */
	__u64 cgroup;	/* going out: of the socket that sends it, in cgroup v2; else 0 */
	__u32 ifindex;
	__u32 length;	/* bytes, of all segments, the hidden VLAN tag not counted */
	__u16 segments;	/* packets on the wire that it stands for */
	__u16 captured;	/* bytes in headers */
	__u16 vlan_tci;	/* of a tag that the device has taken off or will add; */
	__be16 vlan_proto; /* 0: none */
	__u8 direction;
	__u8 pad[7];
	__u8 headers[HEADERS_MAX];
};

struct packet_key {
	__u32 ifindex;
	enum packet_direction direction;
};

/* What passed a device in one direction, in full. */
struct packet_counts {
	__u64 packets;
	__u64 segments;
	__u64 bytes;
	__u64 sampled;
	__u64 lost;	/* of these, did not fit into packet_events */
};

/* 1 MiB / 240 bytes (with the ring's own 8): 4,369 packets, read every 10 ms.
 * Writer: count_packet(). Reader: Go.
 */
#define EVENTS_BYTES (1 << 20)
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, EVENTS_BYTES);
} packet_events SEC(".maps");

/* 64 devices x 2 directions. Key: device and direction, made by Go before it
 * attaches. Writer: count_packet(). Reader: Go.
 */
#define DEVICES_MAX 64
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, DEVICES_MAX * PACKET_DIRECTIONS);
	__type(key, struct packet_key);
	__type(value, struct packet_counts);
} packet_counters SEC(".maps");

/* Keeps the type in BTF, for Go. */
struct packet_event *unused_packet_event __attribute__((unused));

static __always_inline int count_packet(struct __sk_buff *skb, enum packet_direction direction)
{
	struct packet_key key = { .ifindex = skb->ifindex, .direction = direction };
	struct packet_counts *counts = bpf_map_lookup_elem(&packet_counters, &key);
	struct packet_event *event;
	__u32 length = skb->len, segments = skb->gso_segs, last, captured;

	if (!counts)
		return TCX_NEXT;
	if (!segments)
		segments = 1;
	counts->packets++;
	counts->segments += segments;
	counts->bytes += length;
	/* By chance, not every n-th: traffic has periods of its own. */
	if (every > 1 && bpf_get_prandom_u32() >= chance)
		return TCX_NEXT;
	counts->sampled++;
	event = bpf_ringbuf_reserve(&packet_events, sizeof(*event), 0);
	if (!event) {
		counts->lost++;
		return TCX_NEXT;
	}
	event->time_ns = bpf_ktime_get_ns();
	/* A connection may be over before anybody looks who holds its socket. Coming in
	 * there is none yet, and none is left when it has changed namespaces. */
	event->cgroup = direction == PACKET_EGRESS ? bpf_skb_cgroup_id(skb) : 0;
	event->ifindex = key.ifindex;
	event->length = length;
	event->segments = segments;
	event->vlan_tci = skb->vlan_present ? skb->vlan_tci : 0;
	event->vlan_proto = skb->vlan_present ? skb->vlan_proto : 0;
	event->direction = direction;
	__builtin_memset(event->pad, 0, sizeof(event->pad));
	/* Before Linux 6.8 the verifier takes "not zero" for no bound, but follows a
	 * sum: the last byte is from 0 to HEADERS_MAX - 1. */
	last = (length < HEADERS_MAX ? length : HEADERS_MAX) - 1;
	barrier_var(last);
	captured = 0;
	if (last < HEADERS_MAX && !bpf_skb_load_bytes(skb, 0, event->headers, last + 1))
		captured = last + 1;
	event->captured = captured;
	/* Go comes and looks: to wake it for each packet costs more than the rest. */
	bpf_ringbuf_submit(event, BPF_RB_NO_WAKEUP);
	return TCX_NEXT;
}

SEC("tcx/ingress")
int packet_ingress(struct __sk_buff *skb)
{
	return count_packet(skb, PACKET_INGRESS);
}

SEC("tcx/egress")
int packet_egress(struct __sk_buff *skb)
{
	return count_packet(skb, PACKET_EGRESS);
}

/* One descriptor of an internet socket, 48 bytes, written to the reader of the
 * iterator. Tracked sockets would not do: they are TCP only.
 */
struct packet_socket {
	__be32 local[4];	/* v4 addresses are v4-mapped, but for the v6 wildcard */
	__be32 remote[4];
	__u32 netns;
	__u32 tgid;
	__u16 local_port;
	__u16 remote_port;
	__u16 protocol;
	__u16 pad;
};

struct packet_socket *unused_packet_socket __attribute__((unused));

#define V4_MAPPED_PREFIX __builtin_bswap32(0xffff)

SEC("iter/task_file")
int packet_sockets(struct bpf_iter__task_file *ctx)
{
	struct packet_socket record = {};
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;
	struct socket *socket;
	struct sock *sk;
	__u16 family;

	if (!file || !task) /* the call after the last one */
		return 0;
	socket = bpf_sock_from_file(file);
	sk = socket ? socket->sk : NULL;
	if (!sk)
		return 0;
	family = BPF_CORE_READ(sk, __sk_common.skc_family);
	if (family == AF_INET6) {
		BPF_CORE_READ_INTO(&record.local, sk, __sk_common.skc_v6_rcv_saddr.in6_u.u6_addr32);
		BPF_CORE_READ_INTO(&record.remote, sk, __sk_common.skc_v6_daddr.in6_u.u6_addr32);
	} else if (family == AF_INET) {
		record.local[2] = record.remote[2] = V4_MAPPED_PREFIX;
		record.local[3] = BPF_CORE_READ(sk, __sk_common.skc_rcv_saddr);
		record.remote[3] = BPF_CORE_READ(sk, __sk_common.skc_daddr);
	} else {
		return 0;
	}
	record.netns = BPF_CORE_READ(sk, __sk_common.skc_net.net, ns.inum);
	record.tgid = task->tgid;
	record.local_port = BPF_CORE_READ(sk, __sk_common.skc_num);
	record.remote_port = __builtin_bswap16(BPF_CORE_READ(sk, __sk_common.skc_dport));
	record.protocol = BPF_CORE_READ(sk, sk_protocol);
	if (!record.local_port) /* neither bound nor connected: no packet is its */
		return 0;
	/* A full buffer ends the read and the socket is shown again in the next. */
	bpf_seq_write(ctx->meta->seq, &record, sizeof(record));
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
