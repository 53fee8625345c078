//go:build ignore
/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* TCP and unix sockets, passively: nothing runs when a request is sent or
 * received. The kernel keeps enough per connection to tell, at any moment, who
 * owes the next byte; a pass looks at every tracked socket some times per tick.
 */
#include "calls.bpf.h"
#include "exact.bpf.h"
#include "compat.bpf.h"
#include "rotation.bpf.h"
#include "followed.bpf.h"
#include "verdict.bpf.h"

#define UNIX_SKBS_MAX 32

/* Keeps these types in BTF, for Go. */
enum queue_id *unused_queue_id __attribute__((unused));
enum socket_role *unused_socket_role __attribute__((unused));
enum socket_turn *unused_socket_turn __attribute__((unused));

/* Counts the requests answered since the last visit: the smaller of the data
 * segments received and sent, which is off by the requests longer than one
 * segment that are answered in more than one.
 */
static __always_inline void count_requests(struct container_row *row, struct socket_state *state,
					   __u32 segs_in, __u32 segs_out)
{
	__u32 in = segs_in - state->base_in, out = segs_out - state->base_out;
	__u32 requests = in < out ? in : out;
	__u32 answered = requests - state->requests;

	if (!answered)
		return;
	state->requests = requests;
	if (counted_as_streams(state))
		return;
	if (state->role == ROLE_SERVER)
		__sync_fetch_and_add(&row->cells[QUEUE_OUTSTANDING].departures, answered);
	else if (state->role == ROLE_CLIENT)
		__sync_fetch_and_add(&row->cells[QUEUE_DOWNSTREAM].departures, answered);
}

/* Counts the bytes read by the application and acknowledged by the peer since
 * the last visit. The first visit to a socket seen from its birth has no
 * earlier sequence number: tcp_state left none, and the numbers start anywhere.
 */
static __always_inline void count_bytes(struct container_row *row, struct socket_state *state,
					__u32 copied, __u32 acked)
{
	if (state->flags & SOCKET_VISITED) {
		if (copied != state->copied_seq)
			__sync_fetch_and_add(&row->cells[QUEUE_RECEIVE].departures,
					     copied - state->copied_seq);
		if (acked != state->snd_una)
			__sync_fetch_and_add(&row->cells[QUEUE_SEND].departures,
					     acked - state->snd_una);
	}
	state->flags |= SOCKET_VISITED;
	state->copied_seq = copied;
	state->snd_una = acked;
}

/* An answer that is owed at a visit was owed since the one before or, at the first,
 * since the pass before: what is too much for a young connection makes up for those
 * that come and go between two passes.
 */
static __always_inline void count_wait(const struct control *ctl, struct socket_state *state)
{
	__u64 now_ns = ctl->pass_ns[FAMILY_SOCKET];
	__u64 since_ns = state->visited_ns ? state->visited_ns : ctl->previous_ns[FAMILY_SOCKET];

	if (since_ns && now_ns > since_ns && waits(state))
		state->waited_ns += now_ns - since_ns;
	state->visited_ns = now_ns;
}

/* Births, roles and deaths of TCP sockets.
 *
 * Hook:  tracepoint inet_sock_set_state: twice or three times per connection,
 *        never per request.
 * Owner: connect(2) and listen(2) run in the caller's context, so the current
 *        task is the owner. An accepted socket is born in a softirq, where the
 *        current task is whoever was interrupted: it takes its listener's owner
 *        until discovery finds the process that holds it.
 * Loss:  LOSS_SOCKET_STORAGE; the socket is adopted by the next discovery.
 * Since: Linux 5.11 (socket storage in tracing programs).
 */
static __always_inline int change(const struct sock *sk, int oldstate, int newstate)
{
	bool opens = newstate == TCP_LISTEN || newstate == TCP_SYN_SENT;
	bool accepted = newstate == TCP_ESTABLISHED && oldstate == TCP_SYN_RECV;
	bool leaves = newstate != TCP_CLOSE_WAIT &&
		      (oldstate == TCP_ESTABLISHED || oldstate == TCP_CLOSE_WAIT);
	struct listener_value *listener;
	struct container_row *row;
	struct socket_state *state;
	struct task_struct *task;
	struct control *ctl;

	count_run(HOOK_TCP_STATE);
	/* Four of the ten changes of a connection's two ends say nothing new. */
	if (!opens && !accepted && !leaves && newstate != TCP_CLOSE && oldstate != TCP_LISTEN)
		return 0;
	if (oldstate == TCP_LISTEN && newstate == TCP_SYN_RECV)
		return 0; /* the connection's first step; the listener stays */
	ctl = control();
	if (!ctl || sk->sk_protocol != IPPROTO_TCP)
		return 0;

	if (opens) {
		task = bpf_get_current_task_btf();
		state = state_of(sk, true);
		if (!state)
			return 0;
		if (is_self(task)) {
			state->flags |= SOCKET_SELF;
			return 0;
		}
		state->owner = owner_of(task);
		state->confirmed = ctl->pass[FAMILY_DISCOVER]; /* as if a scan had found it */
		state->role = newstate == TCP_LISTEN ? ROLE_LISTENER : ROLE_CLIENT;
		state->flags |= SOCKET_COUNTED;
		row = row_of(state->owner, &state->slot);
		if (row)
			name_row(row, task);
		if (newstate == TCP_LISTEN)
			remember_listener(sk, state->owner);
		return 0;
	}
	if (accepted) {
		state = state_of(sk, true);
		if (!state)
			return 0;
		state->role = ROLE_SERVER;
		state->flags |= SOCKET_COUNTED;
		listener = listener_for(sk);
		if (listener) {
			state->owner = listener->owner;
			state->flags |= SOCKET_WEAK_OWNER;
			row = row_of(state->owner, &state->slot);
			note_served(sk, state->owner);
			if (row) {
				/* Out of the SYN queue and into the accept backlog. */
				__sync_fetch_and_add(&row->cells[QUEUE_SYN].departures, 1);
				__sync_fetch_and_add(&row->cells[QUEUE_ACCEPT_BACKLOG].arrivals, 1);
			}
		}
		return 0;
	}
	if (oldstate == TCP_LISTEN) {
		forget_listener(sk);
		return 0;
	}
	if (leaves || newstate == TCP_CLOSE) {
		/* The last visit may be a whole pass ago, or never have been. */
		state = state_of(sk, false);
		if (!state || !state->owner || state->flags & SOCKET_SELF)
			return 0;
		if (newstate == TCP_CLOSE && oldstate == TCP_SYN_SENT) {
			note_call(sk, state, true);
			return 0;
		}
		row = row_of(state->owner, &state->slot);
		if (row) {
			const struct tcp_sock *tp = (const void *)sk;

			count_requests(row, state, BPF_CORE_READ(tp, data_segs_in),
				       BPF_CORE_READ(tp, data_segs_out));
			if (ctl->exact && state->exact.opened_by)
				abandon_request(&state->exact, state->slot, state->role, row->exact,
						bpf_ktime_get_ns());
		}
		if (newstate == TCP_CLOSE && (state->role == ROLE_CLIENT || state->role == ROLE_SERVER))
			note_call(sk, state, false);
	}
	return 0;
}

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(tcp_state, const struct sock *sk, int oldstate, int newstate)
{
	change(sk, oldstate, newstate);
	if (newstate == TCP_CLOSE)
		forget(sk);
	return 0;
}

/* Accept backlog: connections the kernel has completed, waiting for accept(2).
 *
 * Depth: sock.sk_ack_backlog, connections (include/net/sock.h); the limit is
 *        sk_max_ack_backlog, and the kernel admits one more than that.
 *        Not the SYN queue, which is icsk_accept_queue.qlen.
 * Owner: the container that holds the listening socket.
 * Hook:  socket-storage iterator, once per pass: no cost per packet.
 * Since: Linux 5.11.
 */
static __always_inline void measure_listener(struct container_row *row, struct sock *sk, __u64 pass)
{
	struct tcp_sock *tp = (void *)queue_holder(sk);
	__u32 limit, backlog, half_open;

	backlog = BPF_CORE_READ((struct sock *)tp, sk_ack_backlog);
	limit = BPF_CORE_READ((struct sock *)tp, sk_max_ack_backlog);
	half_open = BPF_CORE_READ(tp, inet_conn.icsk_accept_queue.qlen.counter);
	add_depth(&row->cells[QUEUE_ACCEPT_BACKLOG], pass, backlog, limit);
	add_depth(&row->cells[QUEUE_SYN], pass, half_open, limit);
}

/* Adds what one connection holds to its container's queues, from the state. */
static __always_inline void add_connection(struct container_row *row, struct socket_state *state,
					   __u64 pass)
{
	bool owed = waits(state);

	/* Zero depths are added too: a cell that a pass never touched is a
	 * queue that was not measured, and one that it did touch is empty. */
	add_depth(&row->cells[QUEUE_RECEIVE], pass, state->receive_bytes, 0);
	add_depth(&row->cells[QUEUE_UNREAD_REQUESTS], pass, state->unread_requests, 0);
	add_depth(&row->cells[QUEUE_SEND], pass, state->send_bytes, 0);
	add_depth(&row->cells[QUEUE_NIC_TX], pass, state->nic_tx_bytes, 0);
	if (counted_as_streams(state))
		owed = false;
	if (state->role == ROLE_CLIENT)
		add_depth(&row->cells[QUEUE_DOWNSTREAM], pass, owed, 0);
	else if (state->role == ROLE_SERVER)
		add_depth(&row->cells[QUEUE_OUTSTANDING], pass, owed, 0);
}

/* Receive, send, outstanding, downstream and nic_tx of one connection.
 *
 * Depth: rcv_nxt - copied_seq and write_seq - snd_una, bytes (include/linux/tcp.h);
 *        sk_wmem_alloc - 1, bytes below TCP with buffer overhead (include/net/sock.h);
 *        one request where the verdict says that we, or the peer, owe a byte.
 * Owner: the container of the process that holds the socket.
 * Hook:  socket-storage iterator, once per pass: no cost per packet or request.
 * Loss:  none; the fields are read without the socket lock and may be one
 *        packet apart.
 * Since: Linux 5.11.
 */
static __always_inline void measure_connection(const struct control *ctl, struct container_row *row, struct sock *sk,
					       struct tcp_sock *tp, struct socket_state *state,
					       __u8 tcp_state, __u64 pass)
{
	__u32 segs_in = tp->data_segs_in, segs_out = tp->data_segs_out;
	__u32 copied = tp->copied_seq, received = tp->rcv_nxt;
	__u32 written = tp->write_seq, acked = tp->snd_una;
	__u32 all_segs_in = tp->segs_in;
	__u32 unread = received - copied;
	__u8 turn;

	if (!(state->flags & SOCKET_COUNTED)) {
		state->base_in = segs_in;
		state->base_out = segs_out;
		state->all_segs_in = all_segs_in;
		state->flags |= SOCKET_COUNTED;
	}
	if ((__s32)unread < 0)
		unread = 0;
	/* The peer's FIN takes one sequence number and is not a byte to read. */
	if (tcp_state != TCP_ESTABLISHED && unread)
		unread--;

	/* As the last visit found it: the peer's FIN moves what the verdict goes by. */
	if (tcp_state == TCP_CLOSE_WAIT && waits(state) && segs_in == state->segs_in)
		state->flags |= SOCKET_HUNG_UP_ON;
	turn = passive_turn(tp, state, segs_in, segs_out);
	if (turn == state->turn && segs_in == state->segs_in && segs_out == state->segs_out &&
	    unread == state->receive_bytes)
		state->quiet++;
	else
		state->quiet = 0;
	state->turn = turn;
	state->segs_in = segs_in;
	state->segs_out = segs_out;
	state->receive_bytes = unread;
	state->send_bytes = written - acked;
	/* Nothing is below TCP where all was acknowledged and nothing moved since:
	 * one cache line less for a quiet socket. */
	if (!state->quiet || written != acked || state->nic_tx_bytes)
		state->nic_tx_bytes = sk->sk_wmem_alloc.refs.counter - 1;
	state->unread_requests = unread != 0;
	count_bytes(row, state, copied, acked);

	row->segments_in += all_segs_in - state->all_segs_in;
	state->all_segs_in = all_segs_in;
	count_requests(row, state, segs_in, segs_out);

	if (tcp_state == TCP_CLOSE_WAIT) {
		/* The peer has hung up: what we owe it will not be waited for. */
		state->turn = TURN_NONE;
	}
	count_wait(ctl, state);
}

/* Unread messages and bytes of one unix socket.
 *
 * Depth: sk_receive_queue.qlen, messages; their bytes from unix_sock.inq_len
 *        where the kernel keeps it, else by walking up to UNIX_SKBS_MAX buffers.
 * Owner: the container of the process that holds the receiving socket.
 * Hook:  socket-storage iterator; unix sockets are found by discovery only.
 * Loss:  LOSS_UNIX_LONG: a longer queue's bytes are scaled up from its head.
 * Since: Linux 5.11.
 */
static __always_inline void measure_unix(struct container_row *row, struct sock *sk,
					 struct socket_state *state, __u8 tcp_state, __u64 pass)
{
	__u32 messages = sk->sk_receive_queue.qlen, bytes = 0, walked = 0;
	struct unix_sock___inq_len *cached = (void *)sk;
	bool stream = sk->sk_type == SOCK_STREAM;

	if (tcp_state == TCP_LISTEN) {
		add_depth(&row->cells[QUEUE_ACCEPT_BACKLOG], pass, messages, sk->sk_max_ack_backlog);
		return;
	}
	if (bpf_core_field_exists(cached->inq_len) && stream) {
		bytes = BPF_CORE_READ(cached, inq_len);
	} else if (messages) {
		struct sk_buff *head = (void *)&sk->sk_receive_queue;
		struct sk_buff *skb = BPF_CORE_READ(sk, sk_receive_queue.next);

		for (int i = 0; i < UNIX_SKBS_MAX && skb && skb != head; i++) {
			bytes += BPF_CORE_READ(skb, len);
			if (stream) /* a stream's first buffer may be half read */
				bytes -= BPF_CORE_READ((struct unix_skb_parms *)&skb->cb, consumed);
			skb = BPF_CORE_READ(skb, next);
			walked++;
		}
		if (walked == UNIX_SKBS_MAX && messages > walked) {
			bytes = (__u64)bytes * messages / walked;
			count_loss(LOSS_UNIX_LONG);
		}
	}
	state->quiet = bytes == state->receive_bytes ? state->quiet + 1 : 0;
	state->receive_bytes = bytes;
	state->unread_requests = messages;
	add_depth(&row->cells[QUEUE_RECEIVE], pass, bytes, 0);
	add_depth(&row->cells[QUEUE_UNREAD_REQUESTS], pass, messages, 0);
}

/* Adds what a socket that is not read in this pass held when it last was. */
static __always_inline void add_cached(struct container_row *row, struct socket_state *state,
				       __u64 pass)
{
	if (state->role != ROLE_UNIX) {
		add_connection(row, state, pass);
		return;
	}
	add_depth(&row->cells[QUEUE_RECEIVE], pass, state->receive_bytes, 0);
	add_depth(&row->cells[QUEUE_UNREAD_REQUESTS], pass, state->unread_requests, 0);
}

/* Types addresses of the table, for reads that cannot fault. */
extern void *bpf_rdonly_cast(const void *obj, __u32 btf_id) __ksym __weak;

/* Reads one socket, or takes what it last held, and adds it to its container. */
static __always_inline void measure(struct control *ctl, struct family_stats *stats, struct sock *sk,
				    struct socket_state *state)
{
	__u64 pass = state->pass;
	struct container_row *row;
	struct tcp_sock *tp;
	__u8 tcp_state;

	if (state->flags & SOCKET_SELF)
		return;
	if (!state->owner) {
		stats->unowned++;
		return;
	}
	row = row_of(state->owner, &state->slot);
	if (!row)
		return;
	if (row->pass != pass) {
		row->pass = pass;
		row->sockets = 0;
		row->close_wait = 0;
	}
	row->sockets++;
	if (pass == ctl->ages_pass)
		count_age(ctl, row, state);

	if (skips(ctl, state, pass)) {
		/* Not its turn; what it last held stands for it. */
		if (state->flags & SOCKET_CLOSE_WAIT)
			row->close_wait++;
		add_cached(row, state, pass);
		return;
	}
	stats->measured++;
	tcp_state = sk->__sk_common.skc_state;
	state->flags &= ~SOCKET_CLOSE_WAIT;
	if (tcp_state == TCP_CLOSE_WAIT) {
		state->flags |= SOCKET_CLOSE_WAIT;
		row->close_wait++;
	}
	if (state->role == ROLE_UNIX) {
		measure_unix(row, sk, state, tcp_state, pass);
		return;
	}
	if (tcp_state == TCP_LISTEN) {
		measure_listener(row, sk, pass);
		return;
	}
	if (in_table)
		tp = sk->sk_protocol == IPPROTO_TCP ?
			     bpf_rdonly_cast(sk, bpf_core_type_id_kernel(struct tcp_sock)) : NULL;
	else
		tp = bpf_skc_to_tcp_sock(sk);
	if (!tp)
		return;
	if (tcp_state == TCP_ESTABLISHED || tcp_state == TCP_CLOSE_WAIT) {
		measure_connection(ctl, row, sk, tp, state, tcp_state, pass);
	} else {
		/* Closing, or not open yet: only what TCP still has to deliver. */
		state->turn = TURN_NONE;
		state->receive_bytes = 0;
		state->unread_requests = 0;
		state->send_bytes = 0;
		if (tcp_state == TCP_FIN_WAIT1 || tcp_state == TCP_LAST_ACK || tcp_state == TCP_CLOSING)
			state->send_bytes = tp->write_seq - tp->snd_una;
		state->nic_tx_bytes = sk->sk_wmem_alloc.refs.counter - 1;
	}
	add_connection(row, state, pass);
}

/* One socket's part of a pass. It returns whether the read under way ends here. */
static __always_inline bool visit_socket(struct sock *sk, struct socket_state *state)
{
	struct family_stats *stats = family(FAMILY_SOCKET);
	struct control *ctl = control();
	bool ends;

	if (!ctl || !stats)
		return true;
	/* The walk starts over where a bucket changed under it. */
	if (state->pass == ctl->pass[FAMILY_SOCKET])
		return false;
	state->pass = ctl->pass[FAMILY_SOCKET];
	stats->visited++;
	ends = read_ends(ctl, stats->visited);
	measure(ctl, stats, sk, state);
	return ends;
}

/* One pass over the tracked sockets, by the kernel's list of their storages. */
SEC("iter/bpf_sk_storage_map")
int socket_pass(struct bpf_iter__bpf_sk_storage_map *ctx)
{
	struct socket_state *state = ctx->value;
	struct sock *sk = ctx->sk;

	if (sk && state && visit_socket(sk, state))
		bpf_seq_write(ctx->meta->seq, &(__u8){0}, 1); /* one byte ends it */
	return 0;
}

/* Where the pass under way goes on. Writer and reader: socket_pass_table, of which
 * one runs at a time. */
__u64 table_pass = 0;
__u32 table_next = 0;

static long visit_tracked(__u32 i, __u32 *first)
{
	struct tracked_socket *entry = tracked_at(*first + i);
	struct sock *sk;

	if (!entry)
		return 1;
	if (!entry->sk || entry->stale)
		return 0;
	sk = bpf_rdonly_cast((void *)entry->sk, bpf_core_type_id_kernel(struct sock));
	/* The end of a TCP socket takes it off the table, that of a unix socket is
	 * seen here, and that of a TCP socket whose end nobody was told of. */
	if (sk->__sk_common.skc_cookie.counter != entry->cookie ||
	    ((entry->state.role == ROLE_UNIX || sk->__sk_common.skc_state == TCP_CLOSE) && !sk->sk_socket)) {
		entry->stale = 1;
		return 0;
	}
	table_next = *first + i + 1;
	return visit_socket(sk, &entry->state);
}

/* The same by the table, run on demand (BPF_PROG_RUN): 1 where the read ended and
 * the pass has not. Since: Linux 6.2 (bpf_rdonly_cast; stacks where one may sleep).
 */
SEC("syscall")
int socket_pass_table(void *unused)
{
	struct control *ctl = control();
	__u32 zero = 0, first, high;
	struct index_counts *counts = bpf_map_lookup_elem(&tracked_counts, &zero);

	if (!ctl || !counts)
		return 0;
	if (table_pass != ctl->pass[FAMILY_SOCKET]) {
		table_pass = ctl->pass[FAMILY_SOCKET];
		table_next = 0;
	}
	first = table_next;
	high = counts->high;
	if (high > TRACKED_MAX)
		high = TRACKED_MAX; /* full, and take_index() has not yet taken that back */
	if (first >= high)
		return 0;
	/* The last one of a read that ends was the last of all: no more. */
	return bpf_loop(high - first, visit_tracked, &first, 0) < high - first;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
