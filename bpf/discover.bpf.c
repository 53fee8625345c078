//go:build ignore
/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Discovery: every descriptor of every process. Adopts sockets that were open
 * before Seer, finds the process that really holds a socket, and finds epoll
 * instances, which have no birth event.
 */
#include "epoll.bpf.h"
#include "exact.bpf.h"
#include "owner.bpf.h"

/* A descriptor of Seer's own that is an epoll instance. Its file operations
 * are those of every epoll instance; their address has no exported symbol.
 */
const volatile __u32 known_epoll_fd = 0;
__u64 epoll_ops = 0;

/* The task whose descriptors are being walked, so that its container is
 * computed once. One discovery runs at a time.
 */
__u64 walked_task = 0;
__u64 walked_scan = 0;
__u64 walked_owner = 0;

static __always_inline void discover_epoll(struct file *file, __u64 holder, bool init, __u32 scan)
{
	__u64 key = (__u64)BPF_CORE_READ(file, private_data);
	struct family_stats *stats = family(FAMILY_EPOLL);
	struct epoll_state *state;
	__u32 *known, index = 0;

	known = bpf_map_lookup_elem(&epoll_indices, &key);
	if (known) {
		index = *known;
	} else {
		if (bpf_map_pop_elem(&free_epolls, &index)) {
			if (!stats || stats->high >= EPOLLS_MAX) {
				count_loss(LOSS_EPOLLS_FULL);
				return;
			}
			index = stats->high++; /* one discovery runs at a time */
		}
		if (bpf_map_update_elem(&epoll_indices, &key, &index, BPF_NOEXIST)) {
			count_loss(LOSS_EPOLLS_FULL);
			bpf_map_push_elem(&free_epolls, &index, BPF_ANY);
			return;
		}
	}
	state = bpf_map_lookup_elem(&epolls, &index);
	if (!state)
		return;
	if (known && state->file == (__u64)file) {
		takes(&state->owner, &state->confirmed, false, holder, init, scan);
		return;
	}
	state->file = (__u64)file;
	state->ops = epoll_ops;
	state->owner = holder;
	state->confirmed = scan;
	state->ep = key;
}

/* An adopted TCP socket is a server when its local port is being listened on
 * in its namespace. Listeners are found by the same scan, so a socket whose
 * listener is not known yet is asked again by the next.
 */
static __always_inline void adopt_role(struct socket_state *state, struct sock *sk, bool seen_before)
{
	if (BPF_CORE_READ(sk, __sk_common.skc_state) == TCP_LISTEN)
		state->role = ROLE_LISTENER;
	else if (listener_for(sk))
		state->role = ROLE_SERVER;
	else if (seen_before)
		state->role = ROLE_CLIENT;
}

/* Whether a socket is one to track. A Multipath TCP socket has a descriptor but
 * no TCP of its own; its subflows have, but no descriptor. Those born under Seer
 * are tracked by tcp_state; of those that were there before, only listeners are
 * found, by the first two scans, and stand for their first subflow.
 */
static __always_inline bool tracks(struct sock *sk, __u32 scan)
{
	__u16 family = sk->__sk_common.skc_family;
	struct listener_value *known;

	if (family == AF_UNIX)
		return true;
	if (family != AF_INET && family != AF_INET6)
		return false;
	if (sk->sk_protocol != IPPROTO_MPTCP)
		return sk->sk_protocol == IPPROTO_TCP;
	if (sk->__sk_common.skc_state != TCP_LISTEN)
		return false;
	if (bpf_sk_storage_get(&sockets, sk, 0, 0))
		return true;
	known = listener_for(sk);
	return scan <= 2 && !(known && known->sock == (__u64)queue_holder(sk));
}

/* A socket has another owner. The request that is open on it was counted as its
 * last owner's, who will not answer it any more.
 */
static __always_inline void hand_over(struct socket_state *state, __u64 last_owner, __u32 last_slot)
{
	struct container_row *row = row_at(last_slot, last_owner);

	if (row && state->exact.opened_by)
		abandon_request(&state->exact, last_slot, state->role, row->exact, bpf_ktime_get_ns());
}

SEC("iter/task_file")
int discover(struct bpf_iter__task_file *ctx)
{
	struct family_stats *stats = family(FAMILY_DISCOVER);
	struct control *ctl = control();
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;
	struct container_row *row;
	struct socket_state *state;
	struct sock *sk;
	bool init, seen_before, weak;
	__u32 scan, last_slot;
	__u64 last_owner;

	if (!task || !file || !ctl || !stats)
		return 0;
	stats->visited++;
	scan = ctl->pass[FAMILY_DISCOVER];
	if (task->tgid == self_tgid && ctx->fd == known_epoll_fd)
		epoll_ops = (__u64)file->f_op;
	if (walked_task != (__u64)task || walked_scan != scan) {
		walked_task = (__u64)task;
		walked_scan = scan;
		walked_owner = owner_of(task);
	}
	init = task->tgid == 1;

	sk = socket_of(file);
	if (!sk) {
		if (epoll_ops && (__u64)file->f_op == epoll_ops && task->tgid != self_tgid)
			discover_epoll(file, walked_owner, init, scan);
		return 0;
	}
	if (!tracks(sk, scan))
		return 0;
	state = state_of(sk, true);
	if (!state)
		return 0;
	stats->measured++;
	if (task->tgid == self_tgid) {
		if (!state->owner)
			state->flags |= SOCKET_SELF;
		return 0;
	}
	if (state->flags & SOCKET_SELF)
		return 0;
	seen_before = state->confirmed != 0;
	weak = state->flags & SOCKET_WEAK_OWNER;
	last_owner = state->owner;
	last_slot = state->slot;
	if (takes(&state->owner, &state->confirmed, weak, walked_owner, init, scan)) {
		hand_over(state, last_owner, last_slot);
		row = row_of(state->owner, &state->slot);
		if (row)
			name_row(row, task);
	}
	if (init)
		state->flags |= SOCKET_WEAK_OWNER;
	else if (state->owner == walked_owner)
		state->flags &= ~SOCKET_WEAK_OWNER;

	if (sk->__sk_common.skc_family == AF_UNIX)
		state->role = ROLE_UNIX;
	else if (state->role == ROLE_UNKNOWN)
		adopt_role(state, sk, seen_before);
	if (state->role == ROLE_LISTENER && state->owner == walked_owner &&
	    BPF_CORE_READ(sk, __sk_common.skc_state) == TCP_LISTEN)
		remember_listener(sk, state->owner);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
