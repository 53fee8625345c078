//go:build ignore
/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* HTTP/2 and gRPC: many requests at once on one connection, which who wrote last
 * cannot count. Frames are followed through the bytes of each direction instead.
 *
 * Depth: streams opened by HEADERS of the client and not yet ended by END_STREAM or
 *        RST_STREAM (RFC 9113): outstanding where the container serves, downstream
 *        where it asks.
 * Owner: the container of the process that holds the socket, as passes know it.
 * Hook:  cgroup_skb, on the cgroups of containers that use HTTP/2 only, at each
 *        packet of theirs: below TCP, so retransmissions are recognised by their
 *        sequence numbers. The packet begins at its IP header (__cgroup_bpf_run_filter_skb)
 *        and holds up to 64 KiB and more. Received ones are seen before TCP puts
 *        them in order, and on several CPUs: on one host, too, some overtake others.
 *        One that frames fill exactly is gone through when it comes; another is a
 *        gap, unless all that is missing is within one frame.
 * Loss:  LOSS_STREAM_GAP; what was open is taken out of its queue, and frames are
 *        followed again from a packet that they fill exactly.
 * Not:   TLS, of which nothing is seen; HTTP/1.1 that is upgraded.
 * Since: Linux 5.17 (bpf_loop).
 */
#include "frames.bpf.h"

#define TRIES_MAX 128 /* packets in which frames are looked for */

enum stream_kind *unused_stream_kind __attribute__((unused));
struct stream_sample *unused_stream_sample __attribute__((unused));

/* The first packet with bytes of a connection: it is known from its begin on. TCP
 * counts a received one later than this, one that is sent before.
 */
static __always_inline bool begins(struct __sk_buff *skb, struct bpf_sock *sk, bool egress)
{
	struct bpf_tcp_sock *tp = bpf_tcp_sock(sk);
	__u32 packets = skb->gso_segs ? skb->gso_segs : 1;

	if (!tp)
		return false;
	return egress ? tp->data_segs_out <= packets : tp->data_segs_in == 0;
}

static __always_inline void begin_http2(struct walk *w, struct socket_state *state, bool older)
{
	struct stream_counters *c = counters(w->row, w->conn->role);

	w->conn->kind = KIND_HTTP2;
	state->streams = 1;
	__sync_fetch_and_add(&c->connections, 1);
	if (older)
		__sync_fetch_and_add(&c->older, 1);
}

/* Whether where the frames of a direction begin is known with this packet. */
static __always_inline bool synchronise(struct walk *w, struct socket_state *state, bool egress)
{
	struct stream_connection *conn = w->conn;
	struct stream_step *s = &w->side->step;

	if (s->preface) {
		conn->role = egress ? ROLE_CLIENT : ROLE_SERVER;
		s->requests = 1;
		begin_http2(w, state, false);
		s->at += PREFACE;
		return true;
	}
	if (conn->kind == KIND_UNKNOWN && ((s->requests && s->first) || conn->tries++ >= TRIES_MAX)) {
		conn->kind = KIND_OTHER;
		return false;
	}
	/* Only the frames of requests open streams: the others' prove nothing. */
	if (s->filled && conn->kind == KIND_UNKNOWN && s->requests)
		begin_http2(w, state, true);
	return s->filled;
}

/* What to do with the connection of a packet: NULL if nothing. */
static __always_inline struct stream_connection *connection_of(struct __sk_buff *skb, struct bpf_sock *sk,
							       struct socket_state *state,
							       struct followed *followed, __u64 now_ns)
{
	struct stream_connection *conn;
	struct stream_row *row;
	__u32 index;

	conn = bpf_sk_storage_get(&stream_connections, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (!conn) {
		count_loss(LOSS_STREAMS_FULL);
		return NULL;
	}
	if (conn->choice == followed->choice && conn->owner == state->owner)
		return conn;
	if (conn->choice) {
		/* Another's now, or chosen again: what was open is no more where it was. */
		index = conn->row;
		row = bpf_map_lookup_elem(&stream_rows, &index);
		if (row && row->choice == conn->choice)
			abandon(conn, row, now_ns);
		conn->open = 0;
		conn->epoch++;
		conn->sides[0].synced = conn->sides[1].synced = 0; /* it was not watched meanwhile */
		if (conn->kind == KIND_HTTP2) {
			index = followed->row;
			row = bpf_map_lookup_elem(&stream_rows, &index);
			if (row) {
				__sync_fetch_and_add(&counters(row, conn->role)->connections, 1);
				__sync_fetch_and_add(&counters(row, conn->role)->older, 1);
			}
		}
	} else {
		conn->role = state->role;
		conn->cookie = bpf_get_socket_cookie(skb);
	}
	conn->owner = state->owner;
	conn->choice = followed->choice;
	conn->row = followed->row;
	return conn;
}

static __always_inline void lose(struct walk *w)
{
	count_loss(LOSS_STREAM_GAP);
	w->side->synced = 0;
	__builtin_memset(w->side->early, 0, sizeof(w->side->early));
	w->side->waiting = 0;
	w->conn->floor = w->conn->last;
	if (!w->side->step.requests)
		w->conn->blind = 1;
	abandon(w->conn, w->row, w->now_ns);
}

/* One step: finds a free entry for a packet that comes early, or that it came before. */
static long find_early(__u32 i, struct walk *w)
{
	struct early_bytes *e;

	if (i >= EARLY_MAX)
		return 1;
	e = &w->side->early[i];
	if (e->from == e->to) {
		e->from = w->side->step.sequence;
		e->to = w->side->step.sequence + (w->side->step.end - w->side->step.at);
		w->side->waiting++;
		w->side->step.place = PLACE_FOUND;
		return 1;
	}
	if (e->from != w->side->step.sequence)
		return 0;
	w->side->step.place = PLACE_TAKEN;
	return 1;
}

/* One step: joins what came early and is now next. */
static long join_early(__u32 i, struct walk *w)
{
	struct stream_side *side = w->side;
	struct early_bytes *e;

	if (i >= EARLY_MAX * EARLY_MAX || !side->waiting)
		return 1;
	e = &side->early[i % EARLY_MAX];
	if (e->from == e->to)
		return 0;
	if ((__s32)(e->from - side->expected) < 0) {
		w->side->step.broken = 1; /* only a part of it came again */
		return 1;
	}
	if (e->from != side->expected)
		return 0;
	if (side->cursors[0].left || side->cursors[0].carried) {
		w->side->step.broken = 1; /* those were no frames */
		return 1;
	}
	side->expected = e->to;
	e->from = e->to = 0;
	side->waiting--;
	return 0;
}

static __always_inline void reset(struct stream_cursor *cursor)
{
	cursor->left = 0;
	cursor->carried = 0;
	cursor->closes = 0;
}

/* Goes through the bytes of one packet that were not seen before. */
static __always_inline void follow_packet(struct walk *w, struct bpf_sock *sk, struct socket_state *state,
					  bool egress)
{
	struct stream_side *side = w->side;
	struct stream_step *s = &side->step;
	__u32 length = s->end - s->at;
	__s32 ahead = s->sequence - side->expected;

	if (!side->seen) {
		side->seen = 1;
		s->first = begins(w->skb, sk, egress);
	}
	if (side->synced && ahead < 0) {
		if ((__u32)-ahead >= length)
			return; /* all of it came before */
		s->at += -ahead;
	} else if (side->synced && ahead > 0) {
		/* Within a frame nothing is lost by what is not seen of it. */
		if ((__u32)ahead < side->cursors[0].left && !side->waiting)
			side->cursors[0].left -= ahead;
		else
			s->early = 1;
	} else if (!side->synced && w->conn->kind != KIND_HTTP2) {
		s->preface = is_preface(w);
	}
	if (s->early || (!side->synced && !s->preface))
		try_frames(w);
	if (s->early) {
		if (s->filled)
			bpf_loop(EARLY_MAX, find_early, w, 0);
		if (s->place == PLACE_TAKEN)
			return;
		if (s->place == PLACE_NONE) {
			lose(w);
			s->early = 0;
		}
	}
	if (!side->synced) {
		reset(&side->cursors[0]);
		side->synced = synchronise(w, state, egress);
		if (!s->requests)
			w->conn->blind = !side->synced;
		if (!side->synced) {
			abandon(w->conn, w->row, w->now_ns); /* answers may be among these bytes */
			return;
		}
	}
	if (s->early)
		reset(&side->cursors[1]);
	else
		side->expected = s->sequence + length;
	bpf_loop(FRAMES_MAX, follow_frame, w, 0);
	if (!s->early && side->waiting)
		bpf_loop(EARLY_MAX * EARLY_MAX, join_early, w, 0);
	if (s->broken)
		lose(w);
	else if (s->requests && !side->waiting)
		w->conn->floor = w->conn->last;
}

#define IPPROTO_HOPOPTS 0
#define TCP_SYN 0x02

/* Finds the bytes that TCP carries in a packet. */
static __always_inline bool payload(struct __sk_buff *skb, __u32 *at, __u32 *sequence)
{
	__u8 ip[20], tcp[20], next[8];
	__u32 offset;

	if (bpf_skb_load_bytes(skb, 0, ip, sizeof(ip)))
		return false;
	if (ip[0] >> 4 == 4) {
		if (ip[9] != IPPROTO_TCP || (ip[6] & 0x1f) || ip[7])
			return false;
		offset = (ip[0] & 0x0f) * 4;
	} else {
		offset = 40;
		if (ip[6] == IPPROTO_HOPOPTS) { /* a packet beyond 64 KiB */
			if (bpf_skb_load_bytes(skb, offset, next, sizeof(next)) || next[0] != IPPROTO_TCP)
				return false;
			offset += (next[1] + 1) * 8;
		} else if (ip[6] != IPPROTO_TCP) {
			return false;
		}
	}
	if (bpf_skb_load_bytes(skb, offset, tcp, sizeof(tcp)) || tcp[13] & TCP_SYN)
		return false;
	*at = offset + (tcp[12] >> 4) * 4;
	*sequence = (__u32)tcp[4] << 24 | (__u32)tcp[5] << 16 | (__u32)tcp[6] << 8 | tcp[7];
	return *at < skb->len;
}

#define WAITS_MAX 2000 /* some 20 us */

/* Takes a direction for this CPU; the last time is one too many. */
static long take_turn(__u32 i, struct walk *w)
{
	return i < WAITS_MAX - 1 && __sync_val_compare_and_swap(&w->side->busy, 0, 1) == 0;
}

static __always_inline void follow(struct __sk_buff *skb, bool egress)
{
	struct stream_connection *conn;
	struct socket_state *state;
	struct followed *followed;
	struct stream_step step = {};
	struct walk w = {};
	struct bpf_sock *sk;
	__u32 row;

	sk = skb->sk;
	if (!sk)
		return;
	sk = bpf_sk_fullsock(sk);
	if (!sk || sk->protocol != IPPROTO_TCP)
		return;
	state = state_of((void *)sk, false);
	if (!state || !state->owner || state->flags & SOCKET_SELF ||
	    (state->role != ROLE_SERVER && state->role != ROLE_CLIENT))
		return;
	followed = bpf_map_lookup_elem(&followed_containers, &state->owner);
	if (!followed || !payload(skb, &step.at, &step.sequence))
		return;
	count_run(HOOK_STREAM);
	w.now_ns = bpf_ktime_get_ns();
	conn = connection_of(skb, sk, state, followed, w.now_ns);
	if (!conn)
		return;
	row = conn->row;
	w.row = bpf_map_lookup_elem(&stream_rows, &row);
	if (!w.row)
		return;
	w.skb = skb;
	w.conn = conn;
	w.side = &conn->sides[egress];
	w.samples = followed->samples;
	/* Packets are received on any CPU. One that cannot wait for another is a gap. */
	if (bpf_loop(WAITS_MAX, take_turn, &w, 0) == WAITS_MAX)
		return;
	step.end = skb->len;
	step.requests = (conn->role == ROLE_SERVER) == !egress;
	w.side->step = step;
	if (conn->kind != KIND_OTHER)
		follow_packet(&w, sk, state, egress);
	/* Of other protocols, requests are what comes after something else. */
	if (conn->kind == KIND_OTHER && w.side->step.requests && conn->spoke != egress + 1)
		sample(&w, w.side->step.at);
	conn->spoke = egress + 1;
	w.side->busy = 0;
}

/* Both let every packet pass. */
SEC("cgroup_skb/ingress")
int stream_received(struct __sk_buff *skb)
{
	follow(skb, false);
	return 1;
}

SEC("cgroup_skb/egress")
int stream_sent(struct __sk_buff *skb)
{
	follow(skb, true);
	return 1;
}

/* Streams that are open when their connection closes are answered by nobody. */
SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(stream_closed, const struct sock *sk, int oldstate, int newstate)
{
	struct stream_connection *conn;
	struct stream_row *row;
	__u32 index;

	if (newstate == TCP_CLOSE_WAIT || (oldstate != TCP_ESTABLISHED && oldstate != TCP_CLOSE_WAIT))
		return 0;
	conn = bpf_sk_storage_get(&stream_connections, (void *)sk, 0, 0);
	if (!conn || !conn->open)
		return 0;
	index = conn->row;
	row = bpf_map_lookup_elem(&stream_rows, &index);
	if (row && row->choice == conn->choice)
		abandon(conn, row, bpf_ktime_get_ns());
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
