//go:build ignore
/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Epoll ready lists. */
#include "epoll.bpf.h"

#define EPOLL_READY_MAX 1024

/* include/linux/poll.h, fs/eventpoll.c: the value of ovflist when no
 * epoll_wait(2) is moving events to user space.
 */
#define EP_UNACTIVE_PTR ((void *)-1L)

/* The length of the ready list, at most EPOLL_READY_MAX. */
static __noinline __u32 count_ready(struct eventpoll *ep)
{
	struct list_head *head = &ep->rdllist, *item = BPF_CORE_READ(ep, rdllist.next);
	__u32 ready = 0;

	for (int i = 0; i < EPOLL_READY_MAX; i++) {
		if (item == head || !item)
			break;
		ready++;
		item = BPF_CORE_READ(item, next);
	}
	return ready;
}

/* Ready list: events ready and not yet collected by epoll_wait(2).
 *
 * Depth: length of eventpoll.rdllist, events (fs/eventpoll.c). Level-triggered
 *        events stay on it until an epoll_wait(2) finds them no longer ready.
 * Owner: the container of the process that holds the epoll descriptor.
 * Hook:  iterator over the instances that discovery found, once per pass. An
 *        instance may be gone since: its file must still point back at it, and
 *        every read is one that cannot fault.
 * Loss:  LOSS_EPOLL_RACE when the list changed hands meanwhile: not counted in
 *        this pass; LOSS_EPOLL_LONG beyond EPOLL_READY_MAX.
 * Since: Linux 5.11.
 *
 * Not static: the verifier then checks it once, not once for each of the
 * iterations of the loop that calls it.
 */
int visit_epoll(__u32 index)
{
	struct family_stats *stats = family(FAMILY_EPOLL);
	struct control *ctl = control();
	struct container_row *row;
	struct epoll_state *state;
	struct eventpoll *ep;
	struct file *file;
	__u32 ready = 0;

	state = bpf_map_lookup_elem(&epolls, &index);
	if (!state || !state->ep || !ctl || !stats)
		return 0;
	stats->visited++;
	ep = (void *)state->ep;
	file = (void *)state->file;
	if ((__u64)BPF_CORE_READ(file, f_op) != state->ops ||
	    BPF_CORE_READ(file, private_data) != ep || BPF_CORE_READ(ep, file) != file)
		return 0; /* closed: the next sweep forgets it */
	row = row_of(state->owner, &state->slot);
	if (!row)
		return 0;
	stats->measured++;
	if (BPF_CORE_READ(ep, ovflist) != EP_UNACTIVE_PTR)
		goto race;
	ready = count_ready(ep);
	if (ready == EPOLL_READY_MAX) {
		/* A walk that is on an item while epoll_wait(2) takes the list
		 * away goes round in another one: only twice is it true. */
		ready = count_ready(ep);
		count_loss(ready == EPOLL_READY_MAX ? LOSS_EPOLL_LONG : LOSS_EPOLL_RACE);
	}
	if (BPF_CORE_READ(ep, ovflist) != EP_UNACTIVE_PTR)
		goto race;
	add_depth(&row->cells[QUEUE_EPOLL_READY], ctl->pass[FAMILY_EPOLL], ready, 0);
	return 0;
race:
	count_loss(LOSS_EPOLL_RACE);
	/* The instance exists and is being emptied right now. */
	add_depth(&row->cells[QUEUE_EPOLL_READY], ctl->pass[FAMILY_EPOLL], 0, 0);
	return 0;
}

/* The iterator runs over the elements of this map, each of which stands for
 * EPOLL_CHUNK indices: a loop over all would be more than the verifier follows.
 */
#define EPOLL_CHUNK 256
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, EPOLLS_MAX / EPOLL_CHUNK);
	__type(key, __u32);
	__type(value, __u32);
} epoll_chunks SEC(".maps");

SEC("iter/bpf_map_elem")
int epoll_ready(struct bpf_iter__bpf_map_elem *ctx)
{
	struct family_stats *stats = family(FAMILY_EPOLL);
	__u32 *chunk = ctx->key;
	__u32 first;

	if (!chunk || !stats)
		return 0;
	first = *chunk * EPOLL_CHUNK;
	for (__u32 i = 0; i < EPOLL_CHUNK; i++) {
		if (first + i >= stats->high)
			break;
		visit_epoll(first + i);
	}
	return 0;
}

static long visit_epoll_nth(__u32 index, void *unused)
{
	visit_epoll(index);
	return 0;
}

/* The same on demand (BPF_PROG_RUN), for kernels that refuse iterators over maps. Since:
 * Linux 6.2, as what may sleep could not use a stack before (free_slots).
 */
SEC("syscall")
int epoll_ready_run(void *unused)
{
	struct family_stats *stats = family(FAMILY_EPOLL);

	if (stats)
		bpf_loop(stats->high < EPOLLS_MAX ? stats->high : EPOLLS_MAX, visit_epoll_nth, NULL, 0);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
