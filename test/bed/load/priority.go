package load

import (
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// niceness of a prioritised generator.
const niceness = -10

// Prioritise lets this process run before others. Users have machines of their
// own: on the application's they must not wait for its CPUs to send a request.
func Prioritise() error {
	// Linux sets the priority of a thread; those to come inherit their maker's.
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return err
	}
	for _, thread := range threads {
		tid, err := strconv.Atoi(thread.Name())
		if err != nil {
			return err
		}
		if err := unix.Setpriority(unix.PRIO_PROCESS, tid, niceness); err != nil && err != unix.ESRCH {
			return fmt.Errorf("set the priority of the load generator to %d: %w", niceness, err)
		}
	}
	return nil
}
