//go:build linux && amd64

package vm

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"seer/test/kernels/job"
)

// ErrCrashed is returned when the machine stopped without a status: the kernel
// panicked or init died. The error carries the end of the kernel's log.
var ErrCrashed = errors.New("virtual machine ended without a result")

// ErrTimeout is returned when Config.Timeout passed.
var ErrTimeout = errors.New("virtual machine ran out of time")

// Config is one run of a virtual machine.
type Config struct {
	Image   Image
	Init    string   // host path of the static init program
	Files   *Archive // everything else that goes into the root file system; may be nil
	Job     job.Job
	Memory  string        // as QEMU takes it; "" is 1G
	CPUs    int           // 0 is 1; each costs boot time
	Disk    int64         // size of the scratch disk in bytes; 0 is none
	Timeout time.Duration // 0 is 10 minutes
	Output  io.Writer     // what the programs print
}

// Result is what a finished run cost.
type Result struct {
	Status int           // of the first program that failed, 0 when all passed
	CPU    time.Duration // user and system time of QEMU
	Wall   time.Duration
}

// Run boots the machine, runs the job and waits for the end.
func Run(ctx context.Context, cfg Config) (Result, error) {
	timeout := cfg.Timeout
	if timeout == 0 {
		timeout = 10 * time.Minute
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	dir, err := os.MkdirTemp("", "kernelrun-")
	if err != nil {
		return Result{}, err
	}
	defer os.RemoveAll(dir)
	initrd, err := writeInitramfs(cfg, dir)
	if err != nil {
		return Result{}, err
	}
	kernelLog := filepath.Join(dir, "kernel.log")
	args := qemuArgs(cfg, initrd, kernelLog)
	if cfg.Disk > 0 {
		disk := filepath.Join(dir, "disk.raw")
		if err := createSparse(disk, cfg.Disk); err != nil {
			return Result{}, err
		}
		args = append(args,
			"-drive", "if=none,id=scratch,format=raw,cache=unsafe,file="+disk,
			"-device", "virtio-blk-pci,serial=scratch,drive=scratch")
	}

	cmd := exec.CommandContext(ctx, "qemu-system-x86_64", args...)
	var stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = cfg.Output, &stderr
	cmd.WaitDelay = 5 * time.Second
	start := time.Now()
	err = cmd.Run()
	if cmd.ProcessState == nil {
		return Result{}, fmt.Errorf("start QEMU (package qemu-system-x86): %w", err)
	}
	result := Result{
		CPU:  cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(),
		Wall: time.Since(start),
	}
	if ctx.Err() != nil {
		cause := ctx.Err()
		if errors.Is(cause, context.DeadlineExceeded) {
			cause = ErrTimeout
		}
		return result, fmt.Errorf("%s: %w after %s%s", cfg.Image.Name, cause, result.Wall.Round(time.Second), tail(kernelLog))
	}
	code := cmd.ProcessState.ExitCode()
	if code == 1 {
		return result, fmt.Errorf("QEMU refused to start: %s", strings.TrimSpace(stderr.String()))
	}
	status := (code-1)/2 - job.ExitBase
	if code%2 == 0 || status < 0 || status > job.MaxStatus {
		return result, fmt.Errorf("%s: %w (QEMU exit code %d)%s", cfg.Image.Name, ErrCrashed, code, tail(kernelLog))
	}
	result.Status = status
	return result, nil
}

// qemuArgs is the machine: q35 with emulated processors, the kernel's messages
// on the first serial port and the programs' output on the second, so that
// neither breaks the other's lines.
func qemuArgs(cfg Config, initrd, kernelLog string) []string {
	memory := cfg.Memory
	if memory == "" {
		memory = "1G"
	}
	cmdline := strings.Join([]string{
		"console=ttyS0", "quiet", "loglevel=4", "panic=-1",
		"tsc=reliable", fmt.Sprintf("tsc_early_khz=%d", tscKHz()), "no_timer_check",
		"mitigations=off", "random.trust_cpu=on", "psi=1",
		// Security modules that Debian enables and nothing here configures.
		"apparmor=0", "selinux=0",
	}, " ")
	return []string{
		"-machine", "q35", "-accel", "tcg", "-cpu", "max", "-smp", strconv.Itoa(max(cfg.CPUs, 1)), "-m", memory,
		"-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
		"-kernel", cfg.Image.Vmlinux, "-initrd", initrd, "-append", cmdline,
		"-chardev", "file,id=kernel,path=" + kernelLog, "-serial", "chardev:kernel",
		"-chardev", "stdio,id=programs,signal=off", "-serial", "chardev:programs",
		"-device", "isa-debug-exit,iobase=0xf4,iosize=0x04",
	}
}

// writeInitramfs joins the kernel's own files, init, the job and the caller's files.
func writeInitramfs(cfg Config, dir string) (string, error) {
	var own Archive
	own.Char("/dev/console", 5, 1)
	own.Char("/dev/null", 1, 3)
	init, err := os.ReadFile(cfg.Init)
	if err != nil {
		return "", err
	}
	own.File("/init", 0o755, init)
	own.Link("/sbin/modprobe", "/init")
	spec, err := json.Marshal(cfg.Job)
	if err != nil {
		return "", err
	}
	own.File(job.Path, 0o644, spec)
	own.File("/etc/hosts", 0o644, []byte("127.0.0.1 localhost\n::1 localhost\n"))
	own.File("/etc/passwd", 0o644, []byte("root:x:0:0:root:/root:/bin/sh\n"))
	own.File("/etc/group", 0o644, []byte("root:x:0:\n"))
	system, err := os.ReadFile(cfg.Image.System)
	if err != nil {
		return "", err
	}
	parts := [][]byte{system, own.Bytes()}
	if cfg.Files != nil {
		parts = append(parts, cfg.Files.Bytes())
	}
	initrd := filepath.Join(dir, "initrd")
	f, err := os.Create(initrd)
	if err != nil {
		return "", err
	}
	for _, p := range parts {
		if _, err := f.Write(p); err != nil {
			f.Close()
			return "", err
		}
	}
	return initrd, f.Close()
}

func createSparse(path string, size int64) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	if err := f.Truncate(size); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}

// tail returns the end of the kernel's log for an error message.
func tail(path string) string {
	b, err := os.ReadFile(path)
	if err != nil || len(b) == 0 {
		return ""
	}
	const keep = 4 << 10
	if len(b) > keep {
		b = b[len(b)-keep:]
	}
	return "; kernel log ends:\n" + string(b)
}
