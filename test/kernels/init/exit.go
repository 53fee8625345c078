//go:build linux && amd64

package main

import (
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"

	"seer/test/kernels/job"
)

// debugExitPort is where QEMU's isa-debug-exit device listens.
const debugExitPort = 0xf4

// outl writes value to an I/O port. Debian's kernels have no /dev/port, so the
// instruction is issued here.
func outl(port uint16, value uint32)

// powerOff ends the virtual machine with status. It does not return.
func powerOff(status int) {
	runtime.LockOSThread() // port permission belongs to the thread
	if status < 0 || status > job.MaxStatus {
		status = job.MaxStatus
	}
	if _, _, errno := unix.RawSyscall(unix.SYS_IOPERM, debugExitPort, 4, 1); errno != 0 {
		fmt.Fprintf(os.Stderr, "init: port %#x: %v\n", debugExitPort, errno)
	} else {
		outl(debugExitPort, uint32(job.ExitBase+status))
	}
	// Only a machine without the device gets here.
	_ = unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
	select {}
}
