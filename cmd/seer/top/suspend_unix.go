//go:build unix

package top

import "syscall"

// stopSelf stops this process and the others of its job, as ctrl-z does where
// a terminal handles it, and returns when the shell continues it.
func stopSelf() {
	syscall.Kill(0, syscall.SIGTSTP)
}
