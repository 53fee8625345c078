//go:build linux

package bed

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"

	"seer/test/bed/host"
)

// Job is a program in a container of its own beside the services, such as a load
// generator or an antagonist.
type Job struct {
	*host.Process
	Container *host.Container

	bed   *Bed
	claim string // file that holds its place in the network
}

// Run starts cmd, as root, in a new container of that name, which must not be a
// service's. The container has its own cgroup, with these limits, and its own
// place in the bed's network, from where all services can be reached. It is
// removed by Stop, or else by Down.
//
// What an earlier job of that name left, all of whose processes have ended, is
// removed first.
func (b *Bed) Run(ctx context.Context, name string, l host.Limits, cmd *exec.Cmd) (*Job, error) {
	return b.run(ctx, name, l, cmd, b.network.Join)
}

// RunOnHost is Run without a network of its own, for a program that observes the
// host.
func (b *Bed) RunOnHost(ctx context.Context, name string, l host.Limits, cmd *exec.Cmd) (*Job, error) {
	return b.run(ctx, name, l, cmd, func(string, int) (host.Link, error) { return host.Link{}, nil })
}

func (b *Bed) run(ctx context.Context, name string, l host.Limits, cmd *exec.Cmd, join func(name string, i int) (host.Link, error)) (*Job, error) {
	for _, c := range b.containers {
		if c.Name == name {
			return nil, fmt.Errorf("run %s: that is a service's container", name)
		}
	}
	j := &Job{bed: b}
	if err := b.clear(ctx, name); err != nil {
		return nil, fmt.Errorf("run %s: %w", name, err)
	}
	place, err := j.claimPlace(name)
	if err != nil {
		return nil, fmt.Errorf("run %s: %w", name, err)
	}
	link, err := join(name, place)
	// Known before it is made: Stop removes what there is of it.
	j.Container = b.host.Container(name, link)
	if err == nil {
		j.Container, err = b.host.NewContainer(name, l, link)
	}
	if err == nil {
		j.Process, err = j.Container.Start(cmd, nil)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("run %s: %w", name, err), j.Stop(ctx))
	}
	return j, nil
}

// Stop kills what is left of the job and removes its container.
func (j *Job) Stop(ctx context.Context) error {
	var failed error
	if j.Container != nil {
		failed = j.Container.Remove(ctx)
		if j.Container.Link != (host.Link{}) {
			failed = errors.Join(failed, j.bed.network.Leave(j.Container.Link))
		}
	}
	if j.Process != nil && failed == nil {
		j.Wait()
	}
	return errors.Join(failed, os.Remove(j.claim))
}

// claimPlace claims a place in the network, by a file, as jobs are started by
// several processes at once.
func (j *Job) claimPlace(name string) (int, error) {
	b := j.bed
	dir := filepath.Join(b.state, "jobs")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return 0, err
	}
	for i := len(b.containers) + 1; ; i++ {
		claim := filepath.Join(dir, strconv.Itoa(i))
		f, err := os.OpenFile(claim, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return 0, err
		}
		_, err = f.WriteString(name)
		j.claim = claim
		return i, errors.Join(err, f.Close())
	}
}

// StopJob kills and removes the job of that name, whoever started it. It does
// nothing if there is none.
func (b *Bed) StopJob(ctx context.Context, name string) error {
	left, err := b.left(name)
	if err != nil || left == nil {
		return err
	}
	return left.Stop(ctx)
}

// clear removes what a job of that name left if it has ended.
func (b *Bed) clear(ctx context.Context, name string) error {
	left, err := b.left(name)
	if err != nil || left == nil {
		return err
	}
	if pids := left.Container.Cgroup.PIDs(); len(pids) > 0 {
		return fmt.Errorf("one is running, as process %d: %w", pids[0], fs.ErrExist)
	}
	return left.Stop(ctx)
}

// left returns the job of that name that somebody started and nobody stopped, or
// nil.
func (b *Bed) left(name string) (*Job, error) {
	claims, err := filepath.Glob(filepath.Join(b.state, "jobs", "*"))
	if err != nil {
		return nil, err
	}
	for _, claim := range claims {
		if owner, err := os.ReadFile(claim); err != nil || string(owner) != name {
			continue
		}
		i, err := strconv.Atoi(filepath.Base(claim))
		if err != nil {
			return nil, err
		}
		return &Job{Container: b.host.Container(name, b.network.Link(name, i)), bed: b, claim: claim}, nil
	}
	return nil, nil
}
