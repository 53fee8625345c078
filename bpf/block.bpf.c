//go:build ignore
/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Block requests in flight. */
#include "account.bpf.h"
#include "blkcg.bpf.h"

struct block_request {
	__u64 owner;
	__u64 issued_ns;
	__u32 slot;
	__u32 pad;
};

/* 16,384 requests: 16 NVMe devices with 1,023 commands each.
 * Key: address of the struct request. Writer and reader: this file.
 */
#define BLOCK_REQUESTS_MAX 16384
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, BLOCK_REQUESTS_MAX);
	__type(key, __u64);
	__type(value, struct block_request);
} block_requests SEC(".maps");

/* As many as there are requests, by the same arithmetic; what a merge or a driver
 * between leaves behind is the least recently used.
 * Key: address of the struct bio that a request is made for. Value: container.ID
 * of the thread that submitted it, 0 for a kernel thread. Writer: block_io_submit.
 * Reader: block_io_issue, which deletes.
 */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, BLOCK_REQUESTS_MAX);
	__type(key, __u64);
	__type(value, __u64);
} bio_submitters SEC(".maps");

#define PF_KTHREAD 0x00200000
#define SUBMITTED_BY_SEER (~0ULL) /* never measured */

/* Who submits is known only here: whoever happens to run the device's queue
 * later issues what others have put there, a batch of writeback for example.
 * It is noted for kernel threads, too, as addresses are used again.
 */
SEC("tp_btf/block_getrq")
int BPF_PROG(block_io_submit, struct bio *bio)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	__u64 key = (__u64)bio, owner = 0;

	count_run(HOOK_BLOCK_IO);
	if (is_self(task))
		owner = SUBMITTED_BY_SEER;
	else if (!(BPF_CORE_READ(task, flags) & PF_KTHREAD))
		owner = owner_of(task);
	bpf_map_update_elem(&bio_submitters, &key, &owner, BPF_ANY);
	return 0;
}

/* The container of the thread that submitted a request; for what kernel threads
 * submit, such as writeback, the one whose cgroup the bio is charged to.
 */
static __always_inline __u64 owner_of_request(struct request *rq)
{
	struct bio *bio = BPF_CORE_READ(rq, bio);
	__u64 key = (__u64)bio, id, owner, *known;

	if (!bio)
		return 0; /* a flush, or a command: not a container's */
	known = bpf_map_lookup_elem(&bio_submitters, &key);
	if (known) {
		owner = *known;
		bpf_map_delete_elem(&bio_submitters, &key);
		if (owner)
			return owner == SUBMITTED_BY_SEER ? 0 : owner;
	}
	id = BPF_CORE_READ(bio, bi_blkg, blkcg, css.cgroup, kn, id);
	known = bpf_map_lookup_elem(&blkcg_owners, &id);
	return known ? *known : 0;
}

static __always_inline int finish(__u64 key)
{
	struct block_request *request;
	struct container_row *row;
	__u64 now;

	request = bpf_map_lookup_elem(&block_requests, &key);
	if (!request)
		return 0; /* issued before Seer, or by nobody it measures */
	row = row_of(request->owner, &request->slot);
	if (row) {
		now = bpf_ktime_get_ns();
		depart(&row->cells[QUEUE_BLOCK_IO], 1, now);
		__sync_fetch_and_add(&row->cells[QUEUE_BLOCK_IO].wait_ns, now - request->issued_ns);
	}
	bpf_map_delete_elem(&block_requests, &key);
	return 0;
}

/* The last requests that were issued, for block_io_issue to look after.
 * Key: number of the issue, modulo their number. Writer and reader: block_io_issue.
 */
#define RECENT_REQUESTS 64
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, RECENT_REQUESTS);
	__type(key, __u32);
	__type(value, __u64);
} recent_requests SEC(".maps");

__u64 issues = 0; /* so far */

/* Shorter than this a request is not looked after: it may be about to start, or
 * about to be seen. */
#define SETTLED_NS 1000000

/* Some kernels complete requests now and then without running the program, a few
 * in a row (seen on 6.18 under a hypervisor without hardware support, one in ten
 * thousand). Such a one would be in flight until its struct is used again: the
 * request of RECENT_REQUESTS issues ago is asked whether it still is.
 */
static __always_inline void look_after(__u64 key, __u64 now)
{
	__u32 at = __sync_fetch_and_add(&issues, 1) % RECENT_REQUESTS;
	__u64 *recent = bpf_map_lookup_elem(&recent_requests, &at), before;
	struct block_request *request;

	if (!recent)
		return;
	before = *recent;
	*recent = key;
	request = bpf_map_lookup_elem(&block_requests, &before);
	if (!request || before == key || now - request->issued_ns < SETTLED_NS ||
	    BPF_CORE_READ((struct request *)before, state) != MQ_RQ_IDLE)
		return;
	count_loss(LOSS_BLOCK_UNSEEN);
	finish(before);
}

/* Block I/O in flight: requests issued to a device and not completed.
 *
 * Depth: issued less completed, requests; exact mean from the sums of their
 *        times (DESIGN.md section 3.2).
 * Owner: the submitting thread's container, or the one its bio is charged to.
 * Hook:  tracepoints block_getrq, block_rq_issue and block_rq_complete, per request
 *        of the device, whose own cost is a hundred times larger.
 * Loss:  LOSS_BLOCK_FULL: the request is not counted at all; LOSS_BLOCK_UNSEEN:
 *        it counts for some milliseconds too long.
 * Since: Linux 5.11 (block_rq_issue lost its queue argument in a54895fa057c).
 */
SEC("tp_btf/block_rq_issue")
int BPF_PROG(block_io_issue, struct request *rq)
{
	struct block_request request = {};
	struct container_row *row;
	__u64 key = (__u64)rq;

	count_run(HOOK_BLOCK_IO);
	request.owner = owner_of_request(rq);
	if (!request.owner)
		return 0;
	row = row_of(request.owner, &request.slot);
	if (!row)
		return 0;
	request.issued_ns = bpf_ktime_get_ns();
	/* Issued again after an end that was not seen: count once. */
	if (bpf_map_lookup_elem(&block_requests, &key)) {
		count_loss(LOSS_BLOCK_UNSEEN);
		finish(key);
	}
	look_after(key, request.issued_ns);
	if (bpf_map_update_elem(&block_requests, &key, &request, BPF_ANY)) {
		count_loss(LOSS_BLOCK_FULL);
		return 0;
	}
	arrive(&row->cells[QUEUE_BLOCK_IO], 1, request.issued_ns);
	return 0;
}

SEC("tp_btf/block_rq_complete")
int BPF_PROG(block_io_complete, struct request *rq, int error, unsigned int nr_bytes)
{
	count_run(HOOK_BLOCK_IO);
	/* A request may complete in parts. */
	if (nr_bytes < BPF_CORE_READ(rq, __data_len))
		return 0;
	return finish((__u64)rq);
}

SEC("tp_btf/block_rq_requeue")
int BPF_PROG(block_io_requeue, struct request *rq)
{
	return finish((__u64)rq);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
