/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Which of the processes that hold an object is its owner. */
#pragma once

#include "headers/kernel.h"
#include "headers/bpf/bpf_helpers.h"

/* Decides whether the process in hand is the owner of an object. The owner
 * stays while each scan finds it holding the object; an owner not seen since
 * the scan before the last one is replaced. Init holds the sockets it passes
 * on to services, so it is an owner only for want of another.
 */
static __always_inline bool takes(__u64 *owner, __u32 *confirmed, bool weak, __u64 holder,
				  bool init, __u32 scan)
{
	if (*owner == holder) {
		*confirmed = scan;
		return false;
	}
	if (*owner && init)
		return false;
	if (*owner && !weak && *confirmed + 1 >= scan)
		return false;
	*owner = holder;
	*confirmed = scan;
	return true;
}
