//go:build linux

package cli_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"seer/test/lab"
)

// envBacklog makes the test binary a server that has that many connections
// and accepts none.
const envBacklog = "SEER_CLI_BACKLOG"

// holdBacklog is that server. It says when it is ready and ends with its
// standard input.
func holdBacklog() {
	n, err := strconv.Atoi(os.Getenv(envBacklog))
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	var config net.ListenConfig
	config.SetMultipathTCP(false) // test/known has that
	listener, err := config.Listen(context.Background(), "tcp4", "127.0.0.1:0")
	var conns []net.Conn
	for len(conns) < n && err == nil {
		var c net.Conn
		c, err = net.Dial("tcp4", listener.Addr().String())
		conns = append(conns, c)
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("ready")
	_, _ = io.Copy(io.Discard, os.Stdin)
	os.Exit(0)
}

// startBacklog starts such a server under a program name of its own.
func startBacklog(t *testing.T, comm string, n int, run func(*exec.Cmd) error) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(t.TempDir(), comm)
	if err := os.Symlink(self, link); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(link)
	cmd.Env = append(os.Environ(), envBacklog+"="+strconv.Itoa(n))
	stdin, childIn := pipe(t)
	childOut, stdout := pipe(t)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, stdout, os.Stderr
	if err := run(cmd); err != nil {
		t.Fatal(err)
	}
	stdout.Close()
	t.Cleanup(func() { childIn.Close() })
	if line, err := bufio.NewReader(childOut).ReadString('\n'); err != nil || line != "ready\n" {
		t.Fatalf("server said %q: %v", line, err)
	}
}

func pipe(t *testing.T) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		r.Close()
		w.Close()
	})
	return r, w
}

// unit makes a cgroup named as systemd names a service's, and returns its name
// and what starts a program in it.
func unit(t *testing.T) (string, func(*exec.Cmd) error) {
	t.Helper()
	name := fmt.Sprintf("seer-test-%d.service", os.Getpid())
	dir := filepath.Join(filepath.Dir(lab.NewContainer(t, "beside", lab.Options{}).Path), name)
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		lab.Wait(t, "the unit's cgroup to be empty", func() (bool, string) {
			err := os.Remove(dir)
			return err == nil, fmt.Sprint(err)
		})
	})
	cgroup, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cgroup.Close() })
	return name, func(cmd *exec.Cmd) error {
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, UseCgroupFD: true, CgroupFD: int(cgroup.Fd())}
		if err := cmd.Start(); err != nil {
			return err
		}
		t.Cleanup(func() {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		})
		return nil
	}
}

// TestGroups: one program in a container and one in a unit, each with its own
// number of connections that nobody accepts, under each --group-by.
func TestGroups(t *testing.T) {
	t.Parallel()
	shop := lab.NewContainer(t, "shop", lab.Options{})
	shopComm, unitComm := fmt.Sprintf("shop%d", os.Getpid()), fmt.Sprintf("unit%d", os.Getpid())
	startBacklog(t, shopComm, 7, shop.Run)
	unitName, inUnit := unit(t)
	startBacklog(t, unitComm, 5, inUnit)

	unitService := strings.TrimSuffix(unitName, ".service")
	for by, want := range map[string]map[string]float64{
		"container": {shop.Name: 7, unitService: 5},
		"service":   {shop.Name: 7, unitService: 5},
		"unit":      {shop.Name: 7, unitName: 5},
		"comm":      {shopComm: 7, unitComm: 5},
	} {
		t.Run(by, func(t *testing.T) {
			i := start(t, "--group-by", by)
			lab.Wait(t, fmt.Sprintf("backlogs %v", want), func() (bool, string) {
				got := map[string]float64{}
				for _, row := range i.queues("queue", "accept_backlog") {
					if row.Depth > 0 {
						got[row.Container] += row.Depth
					}
				}
				for name, depth := range want {
					if got[name] != depth {
						return false, fmt.Sprint(got)
					}
				}
				return true, ""
			})
			for name, depth := range want {
				rows := i.queues("container", name, "queue", "accept_backlog")
				if len(rows) != 1 || rows[0].Depth != depth || rows[0].Service == "" || !rows[0].Valid {
					t.Errorf("inspect queue container %s: %+v, want one row of %g", name, rows, depth)
				}
			}
			i.wantStopped()
		})
	}
}

// TestContainersComeAndGo: a container that goes while it is asked about is
// never an error.
func TestContainersComeAndGo(t *testing.T) {
	t.Parallel()
	i := start(t, "--tick", "20ms")
	root := filepath.Dir(lab.NewContainer(t, "beside", lab.Options{}).Path)
	stop := make(chan struct{})
	var churn sync.WaitGroup
	rounds := 0
	churn.Go(func() {
		for ; ; rounds++ {
			select {
			case <-stop:
				return
			default:
			}
			if err := liveAndDie(filepath.Join(root, fmt.Sprintf("seer-test-%d-churn%d", os.Getpid(), rounds))); err != nil {
				t.Error(err)
				return
			}
		}
	})
	for range 15 {
		for _, object := range []string{"container", "queue", "socket", "service"} {
			r := i.inspect("-j", object)
			if r.code != exitOK || strings.Contains(r.stderr, "seer: ") {
				t.Errorf("%.500s", r.String())
			}
		}
	}
	close(stop)
	churn.Wait()
	if rounds < 15 {
		t.Errorf("only %d containers came and went", rounds)
	}
	if log := i.log.String(); strings.Contains(log, "level=ERROR") || strings.Contains(log, "level=WARN") {
		t.Errorf("it complained: %s", log)
	}
	i.wantStopped()
}

// liveAndDie makes a container of one short process and removes it.
func liveAndDie(dir string) error {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	cgroup, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer cgroup.Close()
	cmd := exec.Command(program, "--version")
	cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(cgroup.Fd())}
	if err := cmd.Run(); err != nil {
		return err
	}
	return os.Remove(dir)
}
