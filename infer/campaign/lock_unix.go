//go:build unix

package campaign

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// lockDir keeps a second writer out for as long as f is open.
func lockDir(f *os.File, dir string) error {
	err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return fmt.Errorf("campaign %q is being written by another process: wait for it to end", dir)
	}
	return err
}
