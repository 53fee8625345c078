/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Who owes the next byte, from what TCP keeps anyway (DESIGN.md section 3.1). */
#pragma once

#include "socket.bpf.h"

/* The facts the verdict rests on, apart from the kernel's struct so that a
 * test can construct them. Names follow struct tcp_sock.
 */
struct verdict_facts {
	__u32 write_seq, snd_nxt;
	__u32 rcv_nxt, rcv_wup;
	__u32 lrcvtime, lsndtime;
	__u32 packets_out;
	__u32 snd_wl1;
	__u32 segs_in, segs_out;		      /* data segments */
	__u32 earlier_rcv_nxt, earlier_write_seq;     /* at the earlier verdict */
	__u32 earlier;				      /* enum socket_turn */
};

/* What moved since the earlier verdict tells by itself: one direction, or none,
 * as when a keepalive or a window update moves only other fields. Segment counters
 * would not do: the kernel counts a segment before it takes it in, so a pass may
 * see the one without the other. Returns false where that does not decide.
 */
static __always_inline bool turn_by_movement(const struct verdict_facts *f, enum socket_turn *turn)
{
	bool in = f->rcv_nxt != f->earlier_rcv_nxt;
	bool out = f->write_seq != f->earlier_write_seq;

	if (f->earlier == TURN_NONE || (in && out))
		return false;
	*turn = !in && !out ? f->earlier : in ? TURN_RECEIVED : TURN_SENT;
	return true;
}

/* What TCP remembers of the last byte, whoever looked before. */
static __always_inline enum socket_turn turn_by_memory(const struct verdict_facts *f)
{
	/* 1. Bytes written that TCP has not sent: we wrote last. */
	if (f->write_seq != f->snd_nxt)
		return TURN_SENT;
	/* 2. Bytes received that TCP has not acknowledged. A send would have. */
	if (f->rcv_nxt != f->rcv_wup)
		return TURN_RECEIVED;
	/* 3. The newer of the two times, where one jiffy tells them apart. */
	if (f->lrcvtime != f->lsndtime)
		return (__s32)(f->lrcvtime - f->lsndtime) > 0 ? TURN_RECEIVED : TURN_SENT;
	/* 4. Bytes in flight: the peer has not answered, or not acknowledged. */
	if (f->packets_out)
		return TURN_SENT;
	/* 5. The segment that last moved the window carried no data: it was
	 * the acknowledgement of what we sent. */
	return f->snd_wl1 == f->rcv_nxt ? TURN_SENT : TURN_RECEIVED;
}

static __always_inline enum socket_turn decide_turn(const struct verdict_facts *f)
{
	enum socket_turn turn;

	if (!f->segs_in && !f->segs_out)
		/* Written and still held back by the window, or nothing said. */
		return f->write_seq != f->snd_nxt ? TURN_SENT : TURN_NONE;
	return turn_by_movement(f, &turn) ? turn : turn_by_memory(f);
}

/* decide_turn, which reads only what it needs: nearly every visit is decided by
 * movement, and each cache line of a socket that is not in the cache costs 70 ns.
 */
static __always_inline enum socket_turn passive_turn(struct tcp_sock *tp,
						     const struct socket_state *state,
						     __u32 segs_in, __u32 segs_out)
{
	struct verdict_facts facts = {
		.write_seq = tp->write_seq,
		.rcv_nxt = tp->rcv_nxt,
		.segs_in = segs_in,
		.segs_out = segs_out,
		.earlier_rcv_nxt = state->copied_seq + state->receive_bytes,
		.earlier_write_seq = state->snd_una + state->send_bytes,
		.earlier = state->flags & SOCKET_VISITED ? state->turn : TURN_NONE,
	};
	enum socket_turn turn;

	if ((segs_in || segs_out) && turn_by_movement(&facts, &turn))
		return turn;
	facts.snd_nxt = tp->snd_nxt;
	facts.rcv_wup = tp->rcv_wup;
	facts.lrcvtime = tp->inet_conn.icsk_ack.lrcvtime;
	facts.lsndtime = tp->lsndtime;
	facts.packets_out = tp->packets_out;
	facts.snd_wl1 = tp->snd_wl1;
	return decide_turn(&facts);
}
