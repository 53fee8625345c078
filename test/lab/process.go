//go:build linux

package lab

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Process is a running workload.
type Process struct {
	PID       int
	Container *Container

	t      TB
	name   string
	cmd    *exec.Cmd
	stdin  *os.File
	stdout *os.File
	out    *json.Decoder
	stderr *tail
	done   chan struct{} // closed once the process has been reaped
}

// command is one line to a child, answer the line back.
type command struct {
	Op   string          `json:"op"`
	Args json.RawMessage `json:"args,omitempty"`
}

type answer struct {
	Error string          `json:"error,omitempty"`
	Value json.RawMessage `json:"value,omitempty"`
}

// Start runs a workload in the container and returns once it is ready. args
// is given to it as JSON.
func (c *Container) Start(workload string, args any) *Process {
	c.t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), ChildEnv(workload)...)
	return c.start(workload, args, cmd, c.spawn)
}

// ChildEnv is the environment that makes a binary of the lab a workload whose runtime does nothing of
// its own accord, as known depths need.
func ChildEnv(workload string) []string {
	return []string{envWorkload + "=" + workload, "GODEBUG=asyncpreemptoff=1", "GOGC=off", "GOTRACEBACK=single"}
}

// start is Start by way of any command that ends up as the workload, with its
// standard input and output.
func (c *Container) start(workload string, args any, cmd *exec.Cmd, spawn func(*exec.Cmd) error) *Process {
	c.t.Helper()
	p := &Process{Container: c, t: c.t, name: workload, cmd: cmd, stderr: &tail{}, done: make(chan struct{})}
	cmd.Stderr = p.stderr
	childIn, in, err := os.Pipe()
	if err != nil {
		c.t.Fatalf("start %s: %v", workload, err)
	}
	out, childOut, err := os.Pipe()
	if err != nil {
		c.t.Fatalf("start %s: %v", workload, err)
	}
	cmd.Stdin, cmd.Stdout = childIn, childOut
	p.stdin, p.stdout, p.out = in, out, json.NewDecoder(out)
	err = spawn(cmd)
	childIn.Close()
	childOut.Close()
	if err != nil {
		in.Close()
		out.Close()
		c.t.Fatalf("start %s in %s: %v", workload, c.Name, err)
	}
	p.PID = cmd.Process.Pid
	go func() {
		cmd.Wait()
		close(p.done)
	}()
	c.t.Cleanup(p.Stop)
	p.Call("start", args, nil)
	return p
}

// Call sends one command and waits for its answer, which is decoded into
// reply unless that is nil. It fails the test on an error.
func (p *Process) Call(op string, args, reply any) {
	p.t.Helper()
	if err := p.TryCall(op, args, reply); err != nil {
		p.t.Fatalf("%s(%s) in %s: %v", p.name, op, p.Container.Name, err)
	}
}

// TryCall is Call for commands that may fail.
func (p *Process) TryCall(op string, args, reply any) error {
	raw, err := json.Marshal(args)
	if err != nil {
		return err
	}
	line, err := json.Marshal(command{op, raw})
	if err != nil {
		return err
	}
	// Longer than any wait inside the child, so that its error wins.
	deadline := time.Now().Add(2 * Deadline)
	p.stdin.SetWriteDeadline(deadline)
	p.stdout.SetReadDeadline(deadline)
	if _, err := p.stdin.Write(append(line, '\n')); err != nil {
		return p.died(err)
	}
	var a answer
	if err := p.out.Decode(&a); err != nil {
		return p.died(err)
	}
	if a.Error != "" {
		return errors.New(a.Error)
	}
	if reply != nil {
		return json.Unmarshal(a.Value, reply)
	}
	return nil
}

// died adds what the child said last to a broken pipe.
func (p *Process) died(err error) error {
	select {
	case <-p.done:
		return fmt.Errorf("process ended (%s): %w: %s", p.cmd.ProcessState, err, p.stderr)
	case <-time.After(time.Second):
		return fmt.Errorf("%w: %s", err, p.stderr)
	}
}

// Stop ends the process and waits until it is gone. It is called at the end
// of the test; calling it earlier frees all the process holds.
func (p *Process) Stop() {
	select {
	case <-p.done:
	default:
		unix.Kill(p.PID, unix.SIGKILL)
		<-p.done
	}
	p.stdin.Close()
	p.stdout.Close()
}

// Worker is a workload's end of the pipe.
//
// It reads and writes with plain system calls: a child that used os.File or
// package net would own an epoll instance and so add to what is measured.
type Worker struct {
	in  *json.Decoder
	out *json.Encoder
}

func newWorker() *Worker {
	unix.SetNonblock(0, false)
	unix.SetNonblock(1, false)
	return &Worker{in: json.NewDecoder(rawFD(0)), out: json.NewEncoder(rawFD(1))}
}

// Begin decodes the arguments given to Start into args, which may be nil. The
// parent waits until Serve.
func (w *Worker) Begin(args any) error {
	var c command
	if err := w.in.Decode(&c); err != nil {
		return fmt.Errorf("read start: %w", err)
	}
	if args == nil {
		return nil
	}
	return json.Unmarshal(c.Args, args)
}

// Handler executes one command and returns the value to answer with.
type Handler func(args json.RawMessage) (any, error)

// Serve reports readiness and executes commands until the parent is gone.
func (w *Worker) Serve(ops map[string]Handler) error {
	if err := w.out.Encode(answer{}); err != nil {
		return err
	}
	for {
		var c command
		if err := w.in.Decode(&c); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return fmt.Errorf("read command: %w", err)
		}
		var a answer
		if op := ops[c.Op]; op == nil {
			a.Error = fmt.Sprintf("no command %q", c.Op)
		} else if v, err := op(c.Args); err != nil {
			a.Error = err.Error()
		} else if a.Value, err = json.Marshal(v); err != nil {
			a.Error = err.Error()
		}
		if err := w.out.Encode(a); err != nil {
			return err
		}
	}
}

// Handle makes a Handler of a typed function.
func Handle[A, R any](f func(A) (R, error)) Handler {
	return func(raw json.RawMessage) (any, error) {
		var args A
		if err := json.Unmarshal(raw, &args); err != nil {
			return nil, err
		}
		return f(args)
	}
}

// rawFD reads and writes a descriptor with plain blocking system calls.
type rawFD int

func (fd rawFD) Read(b []byte) (int, error) {
	for {
		n, err := unix.Read(int(fd), b)
		switch {
		case err == unix.EINTR:
		case err != nil:
			return 0, err
		case n == 0:
			return 0, io.EOF
		default:
			return n, nil
		}
	}
}

func (fd rawFD) Write(b []byte) (int, error) {
	done := 0
	for done < len(b) {
		n, err := unix.Write(int(fd), b[done:])
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return done, err
		}
		done += n
	}
	return done, nil
}

// tail keeps the last few kilobytes written to it.
type tail struct {
	mu  sync.Mutex
	buf []byte
}

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, b...)
	if over := len(t.buf) - 4096; over > 0 {
		t.buf = t.buf[over:]
	}
	return len(b), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(bytes.TrimSpace(t.buf))
}
