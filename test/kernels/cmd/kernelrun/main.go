//go:build linux && amd64

// Command kernelrun runs static programs, test binaries above all, on Debian
// kernels in QEMU:
//
//	kernelrun [flags] -- PROGRAM [ARG]... [-- PROGRAM [ARG]...]...
//
// A PROGRAM that is a folder with Go tests, such as ./collector, is built with
// go test -c and started beside a copy of that folder's testdata and other
// files; its arguments are those of a test binary (-test.v). Anything else is a
// static binary.
// Programs run in order, each in a cgroup of its own, as root, after all
// mounts of a normal host. The exit code is that of the first failure.
//
// README.md beside the kernels package describes the machine.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"seer/test/kernels/job"
	"seer/test/kernels/vm"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	code, err := run(ctx, os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "kernelrun:", err)
	}
	os.Exit(code)
}

// options are the command line.
type options struct {
	kernels  []string
	files    stringList // HOST=GUEST
	env      stringList // KEY=VALUE
	cgroup   string
	diskMiB  int64
	memory   string
	cpus     int
	timeout  time.Duration
	cache    string
	update   bool
	fetch    bool
	programs [][]string
}

type stringList []string

func (l *stringList) String() string     { return strings.Join(*l, ",") }
func (l *stringList) Set(s string) error { *l = append(*l, s); return nil }

// errUsage marks a mistake on the command line: exit code 2.
var errUsage = errors.New("usage")

func parse(args []string) (options, error) {
	var o options
	fs := flag.NewFlagSet("kernelrun", flag.ContinueOnError)
	var names []string
	for _, k := range vm.Kernels {
		names = append(names, k.Name)
	}
	kernels := fs.String("kernel", "debian-6.1", "comma-separated kernels, or all: "+strings.Join(names, ", "))
	fs.Var(&o.files, "file", "copy `HOST=GUEST` into the machine; repeatable")
	fs.Var(&o.env, "env", "set `KEY=VALUE` for every program; repeatable")
	fs.StringVar(&o.cgroup, "cgroup", job.CgroupV2, "cgroup layout: v2 or hybrid")
	fs.Int64Var(&o.diskMiB, "disk", 64, "size of the scratch disk in MiB, 0 for none; programs find it in SEER_TEST_BLOCK_DEVICE")
	fs.StringVar(&o.memory, "memory", "1G", "memory of the machine")
	fs.IntVar(&o.cpus, "cpus", 1, "processors of the machine")
	fs.DurationVar(&o.timeout, "timeout", 10*time.Minute, "end the machine after this long")
	fs.StringVar(&o.cache, "cache", ".cache/kernels", "folder that keeps kernels")
	fs.BoolVar(&o.update, "update", false, "fetch the newest packages even when a kernel is cached")
	fs.BoolVar(&o.fetch, "fetch", false, "only fetch the kernels")
	if err := fs.Parse(args); err != nil {
		return o, fmt.Errorf("%w: %w", errUsage, err)
	}
	o.kernels = strings.Split(*kernels, ",")
	if *kernels == "all" {
		o.kernels = names
	}
	if o.cgroup != job.CgroupV2 && o.cgroup != job.CgroupHybrid {
		return o, fmt.Errorf("%w: -cgroup %q: want %s or %s", errUsage, o.cgroup, job.CgroupV2, job.CgroupHybrid)
	}
	program := []string{}
	for _, a := range append(fs.Args(), "--") {
		if a != "--" {
			program = append(program, a)
		} else if len(program) > 0 {
			o.programs = append(o.programs, program)
			program = nil
		}
	}
	if len(o.programs) == 0 && !o.fetch {
		return o, fmt.Errorf("%w: no program given: want kernelrun [flags] -- PROGRAM [ARG...]", errUsage)
	}
	return o, nil
}

func run(ctx context.Context, args []string) (int, error) {
	o, err := parse(args)
	if errors.Is(err, flag.ErrHelp) {
		return 0, nil
	}
	if err != nil {
		return 2, err
	}
	status := 0
	for _, name := range o.kernels {
		k, err := vm.Find(name)
		if err != nil {
			return 2, err
		}
		img, err := vm.Prepare(k, o.cache, o.update)
		if err != nil {
			return 1, err
		}
		if o.fetch {
			fmt.Printf("kernelrun: %s: Linux %s ready\n", img.Name, img.Release)
			continue
		}
		code, err := o.boot(ctx, img)
		if err != nil {
			return 1, err
		}
		if status == 0 {
			status = code
		}
	}
	return status, nil
}

// boot runs all programs on one kernel.
func (o options) boot(ctx context.Context, img vm.Image) (int, error) {
	build, err := os.MkdirTemp("", "kernelrun-build-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(build)
	init := filepath.Join(build, "init")
	if err := goBuild(ctx, "build", "-o", init, "seer/test/kernels/init"); err != nil {
		return 0, err
	}
	cfg := vm.Config{
		Image: img, Init: init, Files: new(vm.Archive), Memory: o.memory, CPUs: o.cpus, Disk: o.diskMiB << 20,
		Timeout: o.timeout, Output: os.Stdout,
		Job: job.Job{Kernel: img.Name, Cgroup: o.cgroup, Env: o.env},
	}
	for _, f := range o.files {
		host, guest, ok := strings.Cut(f, "=")
		if !ok || !strings.HasPrefix(guest, "/") {
			return 0, fmt.Errorf("-file %q: want HOST=/GUEST", f)
		}
		if err := cfg.Files.Copy(host, guest); err != nil {
			return 0, err
		}
	}
	for i, p := range o.programs {
		program, err := addProgram(ctx, cfg.Files, build, i, p)
		if err != nil {
			return 0, fmt.Errorf("program %s: %w", p[0], err)
		}
		cfg.Job.Programs = append(cfg.Job.Programs, program)
	}
	fmt.Printf("kernelrun: %s: booting Linux %s\n", img.Name, img.Release)
	result, err := vm.Run(ctx, cfg)
	if err != nil {
		return 0, err
	}
	fmt.Printf("kernelrun: %s: status %d, %.1f CPU s, %.1f s\n",
		img.Name, result.Status, result.CPU.Seconds(), result.Wall.Seconds())
	return result.Status, nil
}

// addProgram puts one program into the archive, building it when it is a
// package folder, and says how to start it.
func addProgram(ctx context.Context, files *vm.Archive, build string, i int, argv []string) (job.Program, error) {
	host := argv[0]
	p := job.Program{Dir: "/root", Args: argv[1:]}
	info, err := os.Stat(host)
	if err != nil {
		return p, err
	}
	name := filepath.Base(host)
	if info.IsDir() {
		abs, err := filepath.Abs(host)
		if err != nil {
			return p, err
		}
		name = filepath.Base(abs) + ".test"
		binary := filepath.Join(build, fmt.Sprintf("%d-%s", i, name))
		if err := goBuild(ctx, "test", "-c", "-o", binary, "./"+filepath.Clean(host)); err != nil {
			return p, err
		}
		if _, err := os.Stat(binary); err != nil {
			return p, fmt.Errorf("no tests in %s: %w", host, err)
		}
		p.Dir = "/src/" + filepath.Base(abs)
		files.Dir(p.Dir)
		if err := copyData(files, host, p.Dir); err != nil {
			return p, err
		}
		host = binary
	}
	p.Path = fmt.Sprintf("/programs/%d/%s", i, name)
	return p, files.Copy(host, p.Path)
}

// copyData adds what the tests of a package may read beside their binary:
// testdata and the files of the folder that are not Go.
func copyData(files *vm.Archive, host, guest string) error {
	entries, err := os.ReadDir(host)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.IsDir() && e.Name() != "testdata" || filepath.Ext(e.Name()) == ".go" {
			continue
		}
		if err := files.Copy(filepath.Join(host, e.Name()), guest+"/"+e.Name()); err != nil {
			return err
		}
	}
	return nil
}

// goBuild runs the go command for the machine inside.
func goBuild(ctx context.Context, args ...string) error {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64")
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("go %s: %w", strings.Join(args, " "), err)
	}
	return nil
}
