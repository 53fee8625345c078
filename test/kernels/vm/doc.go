// Package vm boots a Debian kernel in QEMU and runs static programs in it.
//
// Prepare obtains a kernel once (packages through apt, vmlinux and modules
// into a cache folder); Run boots it with an initramfs made of the modules,
// the init program and the caller's files, forwards what the programs print
// and returns the exit code of the first one that failed.
//
// Emulation is always QEMU's own (TCG), never /dev/kvm: results must not
// depend on whether the host happens to offer virtualisation.
package vm
