package tier

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"seer/infer/topology"
	"seer/test/bed/wire"
)

// envConfig makes the test binary a tier.
const envConfig = "TIER_TEST_CONFIG"

func TestMain(m *testing.M) {
	path := os.Getenv(envConfig)
	if path == "" {
		os.Exit(m.Run())
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	cfg, err := LoadConfig(path)
	if err == nil {
		err = Main(ctx, cfg)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// process is a tier under test, a process of its own.
type process struct {
	cfg  Config
	http http.Client // of the control socket
	cmd  *exec.Cmd
}

// start starts a tier and waits until it is ready.
func start(t *testing.T, cfg Config) *process {
	t.Helper()
	dir := t.TempDir()
	cfg.Listen, cfg.Control, cfg.Dir = freeAddr(t), filepath.Join(dir, "control.sock"), dir
	text, err := json.Marshal(cfg)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "config.json")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	p := &process{cfg: cfg, cmd: exec.Command("/proc/self/exe")}
	p.cmd.Env = append(os.Environ(), envConfig+"="+file)
	p.cmd.Stderr = os.Stderr
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	p.http.Transport = &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", cfg.Control)
	}}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.http.CloseIdleConnections()
		if p.cmd.ProcessState == nil {
			p.cmd.Process.Kill()
			p.cmd.Wait()
		}
	})
	wait(t, cfg.Service.Name+" to be ready", func() bool {
		resp, err := p.http.Get("http://tier/stats")
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		var s Stats
		return json.NewDecoder(resp.Body).Decode(&s) == nil
	})
	return p
}

// freeAddr returns an address of loopback that nobody listens on.
func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func (p *process) peer() Peer {
	return Peer{Kind: topology.KindApp, Protocol: p.cfg.Service.Protocol, Addrs: []string{p.cfg.Listen}}
}

func (p *process) control(t *testing.T, method, path string, body, answer any) {
	t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(within(t), method, "http://tier"+path, bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := p.http.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(resp.Body)
		t.Fatalf("%s %s = %s: %s", method, path, resp.Status, text)
	}
	if answer != nil {
		if err := json.NewDecoder(resp.Body).Decode(answer); err != nil {
			t.Fatal(err)
		}
	}
}

func (p *process) stats(t *testing.T) (s Stats) {
	t.Helper()
	p.control(t, http.MethodGet, "/stats", nil, &s)
	return s
}

func (p *process) setFault(t *testing.T, f Fault) {
	t.Helper()
	p.control(t, http.MethodPost, "/fault", f, nil)
}

func (p *process) endFault(t *testing.T) {
	t.Helper()
	p.control(t, http.MethodDelete, "/fault", nil, nil)
}

// dial connects to a tier as its callers do.
func (p *process) dial(t *testing.T) wire.Conn {
	t.Helper()
	conn, err := wire.Dial(within(t), p.cfg.Service.Protocol, p.cfg.Listen, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func (p *process) request(endpoint string) wire.Request {
	return wire.Request{Service: p.cfg.Service.Name, Endpoint: endpoint}
}

func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// wait polls cond until it holds.
func wait(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !cond(); {
		if time.Now().After(end) {
			t.Fatalf("%s: not within 20 s", what)
		}
		time.Sleep(time.Millisecond)
	}
}

// parse reads the services of an application from YAML.
func parse(t *testing.T, text string) *topology.App {
	t.Helper()
	app, err := topology.Parse("test.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return app
}

// stop ends a tier as the testbed does, and requires that it leaves in order.
func (p *process) stop(t *testing.T) {
	t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Wait(); err != nil {
		t.Errorf("%s ended with %v, want nil", p.cfg.Service.Name, err)
	}
	if _, err := os.Stat(p.cfg.Control); err == nil {
		t.Errorf("%s left its control socket behind", p.cfg.Service.Name)
	}
}
