//go:build unix

package top

import "syscall"

// stopSelf stops this process and the others of its job, as ctrl-z does where
// a terminal handles it, and returns when the shell continues it.
func stopSelf() {
	_ = syscall.Kill(0, syscall.SIGTSTP) // 0 is this process group: always allowed
}
