package feature

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
	"kernel.org/pub/linux/libs/security/libcap/cap"
)

const nameLockdown = "lockdown"

func kernelChecks() []check {
	return []check{
		{group: GroupKernel, name: "vmlinux BTF", required: true, queues: queueNames,
			advice: "use a kernel with CONFIG_DEBUG_INFO_BTF (most since 2021), or put its vmlinux in /boot",
			fact: func(h *host) finding {
				_, err := h.types()
				return classify(err, nil, h.caps)
			}},
		{group: GroupKernel, name: "bpf system call", required: true, queues: queueNames,
			needs: []cap.Value{cap.BPF}, config: []string{"CONFIG_BPF_SYSCALL"},
			advice: "run as root (sudo); in a container, allow bpf(2) in its seccomp profile",
			probe: func(*host) error {
				m, err := ebpf.NewMap(&ebpf.MapSpec{Name: "seer_probe", Type: ebpf.Array, KeySize: 4, ValueSize: 4, MaxEntries: 1})
				if err != nil {
					return fmt.Errorf("create map: %w", err)
				}
				return m.Close()
			}},
		{group: GroupKernel, name: "unprivileged bpf", loss: "", fact: unprivilegedBPF},
		{group: GroupKernel, name: nameLockdown, advice: "mount -t securityfs securityfs /sys/kernel/security, or run as root",
			fact: findLockdown},
		socketWalkCheck(),
		{group: GroupKernel, name: "kernel configuration", loss: "advice on which option is off",
			advice: "install the kernel's package (it has /boot/config-RELEASE)",
			fact: func(h *host) finding {
				if h.config.err != nil {
					return finding{Unknown, h.config.err.Error()}
				}
				return finding{Works, fmt.Sprintf("%s, %d options set", h.config.from, len(h.config.set))}
			}},
		mountCheck("tracefs", unix.TRACEFS_MAGIC, []string{"sys/kernel/tracing", "sys/kernel/debug/tracing"},
			"kretprobes on kernels without the kprobe PMU (before 4.17)"),
		mountCheck("bpf", unix.BPF_FS_MAGIC, []string{"sys/fs/bpf"},
			"nothing of Seer's (it pins no object); other tools cannot share maps by name"),
	}
}

// unprivilegedBPF reports a sysctl. It takes nothing from a Seer that holds
// CAP_BPF; it explains refusals to one that does not.
func unprivilegedBPF(h *host) finding {
	data, err := os.ReadFile(h.path("proc/sys/kernel/unprivileged_bpf_disabled"))
	if errors.Is(err, fs.ErrNotExist) {
		return finding{Works, "no such setting: the kernel has no bpf system call, or no way to restrict it"}
	}
	if err != nil {
		return finding{Unknown, err.Error()}
	}
	switch value := strings.TrimSpace(string(data)); value {
	case "0":
		return finding{Works, "anyone may load socket filters (kernel.unprivileged_bpf_disabled=0)"}
	case "1", "2":
		return finding{Works, "only processes with CAP_BPF (kernel.unprivileged_bpf_disabled=" + value + ")"}
	default:
		return finding{Unknown, fmt.Sprintf("kernel.unprivileged_bpf_disabled=%q", value)}
	}
}

// findLockdown reads the lockdown state from securityfs, and where that is not
// mounted from an instance of its own that no mount table shows.
func findLockdown(h *host) finding {
	path := h.path("sys/kernel/security/lockdown")
	data, err := os.ReadFile(path)
	switch {
	case err == nil:
		return lockdownState(string(data), "")
	case !errors.Is(err, fs.ErrNotExist):
		return finding{Unknown, err.Error()}
	}
	if !hasFilesystem(h, "securityfs") {
		return finding{Works, "none: this kernel has no securityfs, so no lockdown"}
	}
	if isMount(h.path("sys/kernel/security"), unix.SECURITYFS_MAGIC) {
		return finding{Works, "none: securityfs has no file lockdown"}
	}
	text, err := readDetached("securityfs", "lockdown")
	switch {
	case err == nil:
		return lockdownState(text, ", read from a private securityfs: none is mounted")
	case errors.Is(err, fs.ErrNotExist):
		return finding{Works, "none: securityfs has no file lockdown (read from a private instance)"}
	}
	return finding{Unknown, fmt.Sprintf("securityfs is not mounted and a private one cannot be had: %v", err)}
}

// lockdownState reads "none [integrity] confidentiality".
func lockdownState(text, how string) finding {
	for word := range strings.FieldsSeq(text) {
		state, ok := strings.CutPrefix(word, "[")
		if !ok {
			continue
		}
		switch state = strings.TrimSuffix(state, "]"); state {
		case "confidentiality":
			return finding{Missing, "confidentiality: BPF programs may not read kernel memory" + how}
		default:
			return finding{Works, state + how}
		}
	}
	return finding{Unknown, fmt.Sprintf("cannot read the state in %q", text)}
}

// inferLockdown says what the probes suggest where the state could not be
// read: in confidentiality mode no program may read kernel memory, so an
// iterator that runs excludes it.
func inferLockdown(r *Report, h *host) {
	state := r.Item(nameLockdown)
	if state.Verdict != Unknown {
		return
	}
	iterator, fexit := r.Item("iter/task_file"), r.Item("fexit tcp_recvmsg")
	switch {
	case len(h.caps.lacking(tracer)) > 0:
		return // every probe was refused for want of privilege: nothing to infer
	case iterator.Verdict == Works && fexit.Verdict == Missing:
		state.Reason += "; inferred: not confidentiality (iterators run), perhaps integrity (fexit refused)"
	case iterator.Verdict == Works:
		state.Reason += "; inferred: not confidentiality (iterators run)"
	}
}

// readDetached reads a file of a new instance of a file system that is mounted
// nowhere (fsopen(2)), so that the host's mounts stay as they are.
func readDetached(fstype, name string) (string, error) {
	context, err := unix.Fsopen(fstype, unix.FSOPEN_CLOEXEC)
	if err != nil {
		return "", fmt.Errorf("fsopen %s: %w", fstype, err)
	}
	defer unix.Close(context)
	if err := unix.FsconfigCreate(context); err != nil {
		return "", fmt.Errorf("fsconfig %s: %w", fstype, err)
	}
	root, err := unix.Fsmount(context, unix.FSMOUNT_CLOEXEC, unix.MOUNT_ATTR_RDONLY)
	if err != nil {
		return "", fmt.Errorf("fsmount %s: %w", fstype, err)
	}
	defer unix.Close(root)
	fd, err := unix.Openat(root, name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", fmt.Errorf("open %s of %s: %w", name, fstype, err)
	}
	file := os.NewFile(uintptr(fd), name)
	defer file.Close()
	data, err := io.ReadAll(file)
	return string(data), err
}

// hasFilesystem says whether the kernel lists a file system type.
func hasFilesystem(h *host, fstype string) bool {
	data, err := os.ReadFile(h.path("proc/filesystems"))
	return err == nil && slices.Contains(strings.Fields(string(data)), fstype)
}

// isMount says whether path is on a file system with this magic number.
func isMount(path string, magic int64) bool {
	var stat unix.Statfs_t
	return unix.Statfs(path, &stat) == nil && int64(stat.Type) == magic
}

// mountCheck looks for a mounted file system at any of the paths.
func mountCheck(fstype string, magic int64, paths []string, loss string) check {
	return check{group: GroupKernel, name: fstype + " file system", loss: loss,
		advice: fmt.Sprintf("mount -t %s none /%s", fstype, paths[0]),
		fact: func(h *host) finding {
			var refused error
			for _, path := range paths {
				var stat unix.Statfs_t
				err := unix.Statfs(h.path(path), &stat)
				switch {
				case err == nil && int64(stat.Type) == magic:
					return finding{Works, "/" + path}
				case errors.Is(err, fs.ErrPermission):
					refused = err
				}
			}
			if refused != nil {
				return finding{Unknown, fmt.Sprintf("cannot look at /%s: %v", paths[len(paths)-1], refused)}
			}
			return finding{Missing, "not mounted at /" + strings.Join(paths, " or /")}
		}}
}
