// Package job is what the host and the init program inside the virtual machine
// tell each other.
package job

import (
	"encoding/json"
	"fmt"
	"os"
)

// Path is where init finds its job in the initramfs.
const Path = "/etc/kernelrun.json"

// ExitBase is added to the status that init writes to the isa-debug-exit
// device. QEMU then exits with 2*(ExitBase+status)+1, which neither a start-up
// error of QEMU (1) nor a reboot after a panic (0) can be mistaken for.
const ExitBase = 0x10

// MaxStatus is the largest status that fits in QEMU's exit code.
const MaxStatus = 100

// Job tells init what to do. It travels as JSON.
type Job struct {
	Kernel   string    // name in the matrix, given to programs as SEER_TEST_KERNEL
	Cgroup   string    // CgroupV2 or CgroupHybrid
	Programs []Program // run one after the other
	Env      []string  // added to every program's environment, "KEY=VALUE"
}

// The cgroup layouts of a Job.
const (
	CgroupV2     = "v2"     // one unified tree, every controller enabled
	CgroupHybrid = "hybrid" // v1 controllers, v2 beside them for identity
)

// Program is one static binary to run inside.
type Program struct {
	Path string   // inside the machine
	Dir  string   // working directory
	Args []string // without the program's name
}

// Read returns the job that the host put at path.
func Read(path string) (Job, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return Job{}, err
	}
	var j Job
	if err := json.Unmarshal(b, &j); err != nil {
		return Job{}, fmt.Errorf("%s: %w", path, err)
	}
	return j, nil
}
