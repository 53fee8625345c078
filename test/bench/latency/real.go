//go:build linux

package main

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"seer/infer/topology"
	"seer/test/bed/servers"
	"seer/test/lab"
)

// nobody is whom PostgreSQL runs as, which refuses root.
const nobody = 65534

func startRedis(t lab.TB, c *lab.Container) string {
	addr := freeAddr(t)
	cmd := exec.Command("redis-server", "--bind", "127.0.0.1", "--port", strconv.Itoa(int(addr.Port())),
		"--save", "", "--appendonly", "no", "--daemonize", "no", "--enable-debug-command", "yes")
	if err := c.Run(cmd); err != nil {
		t.Fatalf("%v: run test/install bench", err)
	}
	waitServing(t, topology.KindRedis, addr)
	return addr.String()
}

func startPostgreSQL(t lab.TB, c *lab.Container) string {
	dir, err := os.MkdirTemp("", "seer-bench-postgresql")
	if err != nil {
		t.Fatalf("%v", err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	data, made := filepath.Join(dir, "data"), filepath.Join(dir, "templates")
	for _, d := range []string{dir, data, made} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			t.Fatalf("%v", err)
		}
		if err := os.Chown(d, nobody, nobody); err != nil {
			t.Fatalf("%v", err)
		}
	}
	templates := &servers.Templates{Dir: made, UID: nobody, GID: nobody, Run: func(_ context.Context, cmd *exec.Cmd) error {
		cmd.Dir = made
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	}}
	addr := freeAddr(t)
	service := &topology.Service{Name: "postgresql", Kind: topology.KindPostgreSQL}
	server, err := servers.Command(t.Context(), servers.Config{Service: service, Addr: addr, Dir: data}, templates)
	if err != nil {
		t.Fatalf("%v: run test/install bed", err)
	}
	// The lab starts programs as root.
	cmd := exec.Command("setpriv", append([]string{"--reuid", strconv.Itoa(nobody), "--regid", strconv.Itoa(nobody), "--clear-groups"}, server.Args...)...)
	cmd.Dir = server.Dir
	if err := c.Run(cmd); err != nil {
		t.Fatalf("%v", err)
	}
	waitServing(t, topology.KindPostgreSQL, addr)
	return addr.String()
}

func waitServing(t lab.TB, kind topology.Kind, addr netip.AddrPort) {
	lab.Wait(t, string(kind)+" to serve", func() (bool, string) {
		c, err := net.Dial("tcp4", addr.String())
		if err != nil {
			return false, err.Error()
		}
		defer c.Close()
		err = servers.Check(kind)(c)
		return err == nil, fmt.Sprint(err)
	})
}

func freeAddr(t lab.TB) netip.AddrPort {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("%v", err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).AddrPort()
}

// stop ends what runs in containers, so that the next point has the CPUs.
func stop(containers ...*lab.Container) {
	for _, c := range containers {
		for _, pid := range c.PIDs() {
			unix.Kill(pid, unix.SIGKILL)
		}
	}
}
