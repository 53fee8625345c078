/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Registers at a kprobe, by the names bpf_tracing.h uses: the first arguments
 * and the return value. The only architecture-dependent types in Seer.
 */
#pragma once

#define __VMLINUX_H__ /* bpf_tracing.h then takes the kernel's own field names */

#if defined(__TARGET_ARCH_x86)
struct pt_regs {
	unsigned long r15, r14, r13, r12, bp, bx, r11, r10, r9, r8, ax, cx, dx, si, di, orig_ax,
		ip, cs, flags, sp, ss;
};
#elif defined(__TARGET_ARCH_arm64)
struct user_pt_regs {
	unsigned long long regs[31];
	unsigned long long sp, pc, pstate;
};
struct pt_regs {
	struct user_pt_regs user_regs;
};
#endif
