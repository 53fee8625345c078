//go:build linux

package bed

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"

	"seer/infer/topology"
	"seer/test/bed/containerd"
	"seer/test/bed/host"
)

// Runtime says who makes the containers.
type Runtime string

// The runtimes.
const (
	RuntimeNone       Runtime = ""           // the testbed itself, see package host
	RuntimeContainerd Runtime = "containerd" // containerd and runc, see package containerd
)

// installed returns an error where there is no such runtime, or not here.
func (r Runtime) installed() error {
	switch r {
	case RuntimeNone:
		return nil
	case RuntimeContainerd:
		return containerd.Installed()
	}
	return fmt.Errorf("no runtime %q: it is %q, or none", r, RuntimeContainerd)
}

// starter starts a container's program, in the container's cgroup and namespace.
type starter func(ctx context.Context, c *Container, in *host.Container, cmd *exec.Cmd) (*host.Process, error)

// starter returns the runtime's. The containers' namespaces exist.
func (b *Bed) starter(ctx context.Context, r Runtime) (starter, error) {
	if r == RuntimeContainerd {
		return b.startContainerd(ctx)
	}
	return startHere, nil
}

// startHere starts programs without a runtime.
func startHere(_ context.Context, c *Container, in *host.Container, cmd *exec.Cmd) (*host.Process, error) {
	log, err := os.Create(c.Log)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	return in.Start(cmd, host.Nobody)
}

const (
	imageTier   = "seer.local/tier:latest"
	imageServer = "seer.local/server:latest"
)

// startContainerd starts a containerd with the images that services need.
func (b *Bed) startContainerd(ctx context.Context) (starter, error) {
	in, err := b.host.NewContainer("containerd", host.Limits{}, host.Link{})
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(b.Data, ".containerd")
	d, err := containerd.Start(ctx, in, dir, b.state, b.host.Parent)
	if err != nil {
		return nil, err
	}
	layout := filepath.Join(dir, "image.tar")
	tiers := append(containerd.Directories("tmp"), containerd.File{Path: b.program()[1:], Mode: 0o755, From: b.program()})
	if err := d.Import(ctx, imageTier, layout, tiers); err != nil {
		return nil, err
	}
	servers := append(containerd.Directories("usr", "etc", "var", "run"), containerd.File{Path: "tmp", Mode: os.ModeDir | 0o777})
	for _, link := range []string{"bin", "sbin", "lib", "lib64"} {
		servers = append(servers, containerd.File{Path: link, Link: "usr/" + link})
	}
	if err := d.Import(ctx, imageServer, layout, servers); err != nil {
		return nil, err
	}
	return func(ctx context.Context, c *Container, in *host.Container, cmd *exec.Cmd) (*host.Process, error) {
		s := containerd.Spec{
			Name: c.Name, Image: imageServer, Cgroup: in.Cgroup.Name, Namespace: c.Netns,
			Mounts:  []containerd.Mount{{Path: c.Dir}, {Path: "/usr", ReadOnly: true}, {Path: "/etc", ReadOnly: true}},
			Command: cmd, Log: c.Log, PIDFile: filepath.Join(dir, c.Name+".pid"),
		}
		if c.Kind == topology.KindApp {
			// As root, as most images are.
			s.Image, s.Mounts = imageTier, []containerd.Mount{{Path: c.Dir}, {Path: filepath.Dir(c.Control)}}
		} else {
			// ctr cannot start a program as somebody else; a program of Debian's
			// base system, which the server's container sees, can.
			as := []string{
				"/usr/bin/setpriv", "--reuid", strconv.Itoa(host.Nobody.UID), "--regid", strconv.Itoa(host.Nobody.GID), "--clear-groups", "--",
				cmd.Path,
			}
			cmd.Path, cmd.Args = as[0], append(as, cmd.Args[1:]...)
		}
		pid, err := d.Run(ctx, s)
		if err != nil {
			return nil, err
		}
		p, err := in.Adopt(pid)
		if err != nil {
			said, _ := os.ReadFile(c.Log)
			return nil, fmt.Errorf("%w; it said: %s", err, complaint(string(said)))
		}
		return p, nil
	}, nil
}
