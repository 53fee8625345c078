//go:build linux

package bed

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"seer/infer/topology"
	"seer/test/bed/host"
	"seer/test/bed/host/footprint"
	"seer/test/bed/servers"
	"seer/test/bed/tier"
)

// deadline bounds every wait of a test.
const deadline = 2 * time.Minute

// The test binary is also the tiers' program, and an `up` that can be killed.
func TestMain(m *testing.M) {
	host.Launch()
	var err error
	switch {
	case len(os.Args) == 4 && os.Args[1] == "tier":
		var cfg tier.Config
		if cfg, err = tier.LoadConfig(os.Args[3]); err == nil {
			err = tier.Main(context.Background(), cfg)
		}
	case len(os.Args) == 4 && os.Args[1] == "up":
		var app *topology.App
		if app, err = topology.Load(os.Args[2]); err == nil {
			_, err = Up(context.Background(), app, testOptions(os.Args[3]))
		}
	case len(os.Args) == 2 && os.Args[1] == "hold":
		err = unix.Pause()
	default:
		os.Exit(m.Run())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

func testOptions(dir string) Options {
	return Options{State: filepath.Join(dir, "state"), Data: filepath.Join(dir, "data")}
}

// testbed is what a test may leave nothing of.
type testbed struct {
	t    *testing.T
	app  *topology.App
	o    Options
	mark footprint.Mark
	held []*os.File
}

// newTestbed describes an application of a front-end, a service, and a server of
// one kind, under a name that no other test has. SEER_TEST_SERVERS=required
// makes a server that is not installed a failure.
func newTestbed(t *testing.T, kind topology.Kind) *testbed {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("not supported: containers take root")
	}
	name := fmt.Sprintf("test-%d-%s", os.Getpid(), strings.ToLower(strings.NewReplacer("/", "-", "_", "-").Replace(t.Name())))
	app, err := topology.Parse("test.yaml", []byte(strings.Replace(testTopology(kind), "NAME", name, 1)))
	if err != nil {
		t.Fatal(err)
	}
	if err := servers.Installed(app); err != nil {
		if os.Getenv("SEER_TEST_SERVERS") == "required" {
			t.Fatal(err)
		}
		t.Skip("not supported: ", err)
	}
	// Not t.TempDir, which only root may enter.
	dir, err := os.MkdirTemp("", "seerbed-test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	b := &testbed{t: t, app: app, o: testOptions(dir)}
	b.mark = footprint.Mark{Cgroup: name, Dirs: []string{b.o.state(name), b.o.data(name)}}
	t.Cleanup(func() {
		b.down()
		b.gone()
		for _, f := range b.held {
			f.Close()
		}
	})
	return b
}

// testTopology has a replicated service in the middle, so that addresses are more
// than names.
func testTopology(kind topology.Kind) string {
	const text = `schema: 1
name: NAME
qos: [{service: front, percentile: 99, target: 1s}]
requests: [{name: ask, weight: 1, call: front.ask}]
load: {rate: 10}
services:
  - {name: front, kind: app, protocol: http, endpoints: {ask: [{work: {cpu: 10us}}, {call: middle.ask}]}}
  - {name: middle, kind: app, protocol: PROTOCOL, replicas: 2, memory_limit: 128MiB, endpoints: {ask: [{work: {cpu: 10us}}, {call: back.ENDPOINT}]}}
  - {name: back, kind: KIND, endpoints: {ENDPOINT: [{work: {cpu: 10us, reply: 64}}]}}
`
	endpoint, protocol := "ask", "thrift"
	if fixed := kind.Endpoints(); len(fixed) > 0 {
		endpoint = fixed[0] // the first in the alphabet; of databases: insert
	}
	if kind == topology.KindNginx {
		protocol = "http"
	}
	return strings.NewReplacer("KIND", string(kind), "ENDPOINT", endpoint, "PROTOCOL", protocol).Replace(text)
}

func (b *testbed) up() *Bed {
	b.t.Helper()
	up, err := Up(b.context(), b.app, b.o)
	if err != nil {
		b.t.Fatalf("Up(%s) = %v", b.app.Name, err)
	}
	b.t.Cleanup(func() { up.Close() })
	b.look(up)
	return up
}

// look notes which namespaces are the application's.
func (b *testbed) look(up *Bed) {
	b.t.Helper()
	paths := []string{up.RouterNetns()}
	for _, c := range up.Containers() {
		paths = append(paths, c.Netns)
	}
	for _, path := range paths {
		// Held, or its number would soon be another namespace's.
		f, err := os.Open(path)
		if err != nil {
			b.t.Fatal(err)
		}
		b.held = append(b.held, f)
		inode, err := footprint.Namespace(path)
		if err != nil {
			b.t.Fatal(err)
		}
		b.mark.Nets = append(b.mark.Nets, inode)
	}
}

func (b *testbed) down() {
	b.t.Helper()
	if err := Down(b.context(), b.app.Name, b.o); err != nil {
		b.t.Errorf("Down(%s) = %v", b.app.Name, err)
	}
}

// found returns what the application has on the host.
func (b *testbed) found() []string {
	b.t.Helper()
	found, err := footprint.Find(b.mark)
	if err != nil {
		b.t.Fatal(err)
	}
	return found
}

// gone requires that nothing of the application is left.
func (b *testbed) gone() {
	b.t.Helper()
	if left := b.found(); len(left) > 0 {
		b.t.Errorf("left of %s: %q", b.app.Name, left)
	}
}

// context ends in time for the test to say what it waited for. It is not the
// test's own, which has ended when the application is taken down.
func (b *testbed) context() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	b.t.Cleanup(cancel)
	return ctx
}

// ask sends one request to the front-end and returns the status of the answer.
func ask(ctx context.Context, b *Bed, from host.Namespace) (int, error) {
	client := http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, addr string) (net.Conn, error) {
			to, err := netip.ParseAddrPort(addr)
			if err != nil {
				return nil, err
			}
			return from.Dial(ctx, to)
		},
	}}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+b.Entry("front")[0]+"/ask", nil)
	if err != nil {
		return 0, err
	}
	answer, err := client.Do(r)
	if err != nil {
		return 0, err
	}
	defer answer.Body.Close()
	_, err = io.Copy(io.Discard, answer.Body)
	return answer.StatusCode, err
}
