//go:build linux

package fault

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"seer/infer/campaign"
	"seer/test/bed"
	"seer/test/bed/host"
	"seer/test/bed/tier"
)

// The counters below only grow while a fault lasts. Each comes from the kernel or
// from the service itself, not from what injects.

// insideMS is how long requests have been inside a service, less the time for
// which it waited for others' answers.
func (x *trio) insideMS(c *bed.Container) float64 {
	s := x.stats()[c.Service]
	ns := s.Outstanding.AreaNS
	for _, peer := range s.Peers {
		ns -= peer.Downstream.AreaNS
	}
	return float64(ns) / 1e6
}

// aheadMS is how long requests have been inside a service and not yet in its
// callee: the time for which they wait to be read there is in it.
func (x *trio) aheadMS(c *bed.Container) float64 {
	all := x.stats()
	ns := all[c.Service].Outstanding.AreaNS
	switch c.Service {
	case "front":
		ns -= all["middle"].Outstanding.AreaNS
	case "middle":
		ns -= all["back"].Outstanding.AreaNS
	}
	return float64(ns) / 1e6
}

// cpuMS is the CPU time that a service has used.
func (x *trio) cpuMS(c *bed.Container) float64 {
	x.t.Helper()
	used, err := c.Cgroup.CPUTime()
	if err != nil {
		x.t.Fatal(err)
	}
	return used.Seconds() * 1e3
}

// runDelayMS is for how long threads were ready to run and did not
// (/proc/PID/schedstat, field 2).
func (x *trio) runDelayMS(c *bed.Container) float64 {
	x.t.Helper()
	total := 0.0
	for _, pid := range c.PIDs() {
		tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
		if err != nil {
			x.t.Fatal(err)
		}
		for _, task := range tasks {
			text, err := os.ReadFile(task)
			if err != nil {
				continue // it has ended
			}
			ns, err := strconv.ParseFloat(strings.Fields(string(text))[1], 64)
			if err != nil {
				x.t.Fatal(err)
			}
			total += ns / 1e6
		}
	}
	return total
}

// throttled is in how many periods the CPU limit was reached.
func (x *trio) throttled(c *bed.Container) float64 {
	return x.field(filepath.Join(c.CgroupPath("cpu"), "cpu.stat"), "nr_throttled")
}

// majorFaults is how many pages had to be read from disk.
func (x *trio) majorFaults(c *bed.Container) float64 {
	name := "pgmajfault"
	if c.Cgroup.Legacy("memory") {
		name = "total_pgmajfault"
	}
	return x.field(filepath.Join(c.CgroupPath("memory"), "memory.stat"), name)
}

// field reads a number of a file of "NAME VALUE" lines.
func (x *trio) field(path, name string) float64 {
	x.t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		x.t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) == 2 && f[0] == name {
			n, err := strconv.ParseFloat(f[1], 64)
			if err != nil {
				x.t.Fatal(err)
			}
			return n
		}
	}
	x.t.Fatalf("%s has no %s", path, name)
	return 0
}

var stallTotal = regexp.MustCompile(`some .* total=(\d+)`)

// diskStallMS is for how long some thread waited for the disk.
func (x *trio) diskStallMS(c *bed.Container) float64 {
	x.t.Helper()
	text, err := os.ReadFile(filepath.Join(c.CgroupPath(host.Unified), "io.pressure"))
	if err != nil {
		x.t.Fatal(err)
	}
	return x.number(stallTotal, string(text)) / 1e3
}

var packetCounter = regexp.MustCompile(`packets (\d+) bytes`)

// dropped is how many packets rules have dropped.
func (x *trio) dropped(c *bed.Container) float64 { return x.number(packetCounter, x.rules(c.Netns)) }

// number adds up what a pattern finds.
func (x *trio) number(pattern *regexp.Regexp, text string) float64 {
	x.t.Helper()
	total := 0.0
	for _, m := range pattern.FindAllStringSubmatch(text, -1) {
		n, err := strconv.ParseFloat(m[1], 64)
		if err != nil {
			x.t.Fatal(err)
		}
		total += n
	}
	return total
}

// rules returns the packet filter's rules in a network namespace.
func (x *trio) rules(namespace string) string {
	x.t.Helper()
	var text []byte
	err := host.Namespace{Path: namespace}.Do(func() (err error) {
		text, err = exec.Command("nft", "list", "ruleset").Output()
		return err
	})
	if err != nil {
		x.t.Fatal(err)
	}
	return string(text)
}

// shaped is how many packets a token bucket has held up.
func (x *trio) shaped(c *bed.Container) float64 {
	x.t.Helper()
	total := 0.0
	err := withLink(c.Netns, containerLink, func(h *netlink.Handle, link netlink.Link) error {
		qdiscs, err := h.QdiscList(link)
		for _, q := range qdiscs {
			if s := q.Attrs().Statistics; s != nil && s.Queue != nil && q.Type() == "tbf" {
				total += float64(s.Queue.Overlimits)
			}
		}
		return err
	})
	if err != nil {
		x.t.Fatal(err)
	}
	return total
}

// settings describes all that a fault may change.
func (x *trio) settings() string {
	x.t.Helper()
	var text strings.Builder
	stats := x.stats()
	for _, c := range x.bed.Containers() {
		fmt.Fprintf(&text, "%s:", c.Name)
		for _, file := range []struct{ controller, legacy, unified string }{
			{"cpu", "cpu.cfs_quota_us", "cpu.max"},
			{"cpu", "cpu.cfs_period_us", "cpu.max"},
			{"memory", "memory.limit_in_bytes", "memory.max"},
			{"memory", "memory.oom_control", "memory.high"},
		} {
			name := file.unified
			if c.Cgroup.Legacy(file.controller) {
				name = file.legacy
			}
			value, err := os.ReadFile(filepath.Join(c.CgroupPath(file.controller), name))
			if err != nil {
				x.t.Fatal(err)
			}
			fmt.Fprintf(&text, " %q", strings.TrimSpace(string(value)))
		}
		var cpus unix.CPUSet
		if err := unix.SchedGetaffinity(c.PID(), &cpus); err != nil {
			x.t.Fatal(err)
		}
		fmt.Fprintf(&text, " %d CPUs, rules %q, fault %v", cpus.Count(), x.rules(c.Netns), stats[c.Service].Fault != nil)
		if err := withLink(c.Netns, containerLink, func(h *netlink.Handle, link netlink.Link) error {
			qdiscs, err := h.QdiscList(link)
			for _, q := range qdiscs {
				fmt.Fprintf(&text, " %s", q.Type())
			}
			return err
		}); err != nil {
			x.t.Fatal(err)
		}
		text.WriteByte('\n')
	}
	fmt.Fprintf(&text, "switch %q\n", x.rules(x.bed.RouterNetns()))
	// What is there beside the services: antagonists and their files.
	for _, dir := range []string{filepath.Dir(x.bed.Containers()[0].CgroupPath("cpu")), x.bed.Data} {
		entries, err := os.ReadDir(dir)
		if err != nil {
			x.t.Fatal(err)
		}
		for _, e := range entries {
			if e.IsDir() && strings.HasPrefix(e.Name(), "antagonist") {
				fmt.Fprintf(&text, "%s\n", e.Name())
			}
		}
	}
	if _, err := os.Stat(newRecord(x.bed).path); err == nil {
		text.WriteString("on record\n")
	}
	return text.String()
}

// killInjector lets another process inject a fault and kills it.
func (x *trio) killInjector(f campaign.Fault) {
	x.t.Helper()
	spec, err := json.Marshal(f)
	if err != nil {
		x.t.Fatal(err)
	}
	cmd := exec.Command("/proc/self/exe", "inject", x.bed.App.Name, filepath.Dir(x.bed.Data), string(spec))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		x.t.Fatal(err)
	}
	_, err = bufio.NewReader(out).ReadString('\n')
	cmd.Process.Kill()
	cmd.Wait()
	if err != nil {
		x.t.Fatalf("the injector of %s says nothing: %v", f.Cause, err)
	}
}

// injectForever is the process that killInjector kills.
func injectForever(app, data, spec string) error {
	var f campaign.Fault
	if err := json.Unmarshal([]byte(spec), &f); err != nil {
		return err
	}
	b, err := bed.Open(app, bed.Options{State: filepath.Join(filepath.Dir(data), "state"), Data: data})
	if err != nil {
		return err
	}
	i, err := Prepare(context.Background(), b, f)
	if err != nil {
		return err
	}
	if err := i.Start(context.Background()); err != nil {
		return err
	}
	fmt.Println("started")
	return unix.Pause()
}

// stats asks every service, by its control socket.
func (x *trio) stats() map[string]tier.Stats {
	x.t.Helper()
	all, err := askAll(x.bed)
	if err != nil {
		x.t.Fatal(err)
	}
	return all
}

func askAll(b *bed.Bed) (map[string]tier.Stats, error) {
	all := map[string]tier.Stats{}
	for _, c := range b.Containers() {
		client := http.Client{Transport: &http.Transport{
			DisableKeepAlives: true,
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				var d net.Dialer
				return d.DialContext(ctx, "unix", c.Control)
			},
		}}
		answer, err := client.Get("http://tier/stats")
		if err != nil {
			return nil, err
		}
		var s tier.Stats
		err = json.NewDecoder(answer.Body).Decode(&s)
		answer.Body.Close()
		if err != nil {
			return nil, err
		}
		all[c.Service] = s
	}
	return all, nil
}
