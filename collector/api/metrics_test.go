package api

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"seer/collector"
	"seer/collector/container"
)

// web serves s on a free port and returns its address.
func web(t *testing.T, s *Server) string {
	t.Helper()
	l, err := ListenWeb("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	serveOn(t, s.ServeWeb, l)
	return "http://" + l.Addr().String()
}

func fetch(t *testing.T, url string) (int, string) {
	t.Helper()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: deadline}
	resp, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// scrape returns the metrics by name and labels, as in `name{a="b"}`.
func scrape(t *testing.T, url string) map[string]float64 {
	t.Helper()
	code, body := fetch(t, url+"/metrics")
	if code != http.StatusOK {
		t.Fatalf("scrape: %d %s", code, body)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(body))
	if err != nil {
		t.Fatalf("parse what was scraped: %v", err)
	}
	values := map[string]float64{}
	for name, family := range families {
		for _, m := range family.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				labels = append(labels, fmt.Sprintf("%s=%q", l.GetName(), l.GetValue()))
			}
			key := name
			if len(labels) > 0 {
				key += "{" + strings.Join(labels, ",") + "}"
			}
			values[key] = valueOf(m)
		}
	}
	return values
}

func valueOf(m *dto.Metric) float64 {
	switch {
	case m.GetGauge() != nil:
		return m.GetGauge().GetValue()
	case m.GetCounter() != nil:
		return m.GetCounter().GetValue()
	case m.GetHistogram() != nil:
		return float64(m.GetHistogram().GetSampleCount())
	}
	return m.GetUntyped().GetValue()
}

func TestMetrics(t *testing.T) {
	src, tick := shop()
	s := New(Config{Source: src, Version: "1.2.3", Started: epoch, Store: func() StoreStats {
		return StoreStats{Points: 1000, Dropped: 2, Written: 3000, DiskBytes: 4000, FreeBytes: 5000}
	}})
	tick.Requests = make([]collector.RequestRow, 1)
	for _, d := range []time.Duration{time.Microsecond, 3 * time.Millisecond, 40 * time.Millisecond} {
		tick.Requests[0].Served.Add(d)
	}
	for range 10 {
		s.Consume(tick)
		tick = next(tick)
	}
	got := scrape(t, web(t, s))
	want := map[string]float64{
		`seer_accept_backlog_connections{container="web-7f9c",service="web"}`:                                            23,
		`seer_accept_backlog_connections{container="db",service="db"}`:                                                   0,
		`seer_accept_backlog_limit_connections{container="web-7f9c",service="web"}`:                                      128,
		`seer_accept_backlog_connection_seconds_total{container="web-7f9c",service="web"}`:                               22.5, // ten ticks of 100 ms
		`seer_accept_backlog_arrived_connections_total{container="web-7f9c",service="web"}`:                              50,
		`seer_accept_backlog_departed_connections_total{container="web-7f9c",service="web"}`:                             20,
		`seer_receive_queue_bytes{container="web-7f9c",service="web"}`:                                                   512,
		`seer_receive_queue_byte_seconds_total{container="web-7f9c",service="web"}`:                                      300.25,
		`seer_container_info{cgroup="v1:52",container="db",image="",namespace="",pod="",runtime="systemd",service="db"}`: 1,
		`seer_close_wait_sockets{container="web-7f9c",service="web"}`:                                                    3,
		`seer_close_wait_sockets{container="db",service="db"}`:                                                           0,
		`seer_request_duration_seconds{container="web-7f9c",service="web",side="served"}`:                                30,
		`seer_losses_total{reason="map_full"}`:                                                                           3,
		`seer_losses_total{reason="no_owner"}`:                                                                           0,
		`seer_probe_state{probe="epoll",state="failed"}`:                                                                 1,
		`seer_probe_state{probe="epoll",state="on"}`:                                                                     0,
		`seer_probe_cpu_seconds_total{probe="socket"}`:                                                                   1.5,
		`seer_probe_last_read_duration_seconds{probe="socket"}`:                                                          0.00025,
		`seer_cost_cpu_ratio{part="sampler"}`:                                                                            .002,
		`seer_cost_cpu_budget_ratio`:                                                                                     .005,
		`seer_pass_rate_hertz`:                                                                                           62,
		`seer_pass_rate_wanted_hertz`:                                                                                    100,
		`seer_containers`:                                                                                                2,
		`seer_sockets`:                                                                                                   155,
		`seer_ticks_total`:                                                                                               10,
		`seer_tick_seconds`:                                                                                              .1,
		`seer_start_time_seconds`:                                                                                        float64(epoch.Unix()),
		`seer_tracedb_points_total`:                                                                                      1000,
		`seer_tracedb_stalled`:                                                                                           0,
	}
	for key, value := range want {
		if v, ok := got[key]; !ok || v < value*(1-1e-9) || v > value*(1+1e-9) {
			t.Errorf("%s = %v (present: %v), want %v", key, v, ok, value)
		}
	}
	for _, absent := range []string{
		`seer_receive_queue_bytes{container="db",service="db"}`,                // not measured there
		`seer_receive_queue_byte_seconds_total{container="db",service="db"}`,   //
		`seer_receive_queue_limit_bytes{container="web-7f9c",service="web"}`,   // has no limit
		`seer_epoll_ready_events{container="web-7f9c",service="web"}`,          // its probe failed
		`seer_probe_last_read_timestamp_seconds{probe="epoll"}`,                // never read
		`seer_accept_backlog_connections{container="~other",service="~other"}`, // all have a place
	} {
		if v, ok := got[absent]; ok {
			t.Errorf("%s = %v, want it absent", absent, v)
		}
	}
	if got["go_goroutines"] == 0 || got["process_resident_memory_bytes"] == 0 {
		t.Error("no metrics of the Go runtime or the process")
	}
}

// Buckets of a histogram hold what took no longer than their bound.
func TestRequestMetrics(t *testing.T) {
	src, tick := shop()
	s := New(Config{Source: src})
	tick.Requests = make([]collector.RequestRow, 1)
	for _, d := range []time.Duration{500, 3 * time.Millisecond, 3 * time.Millisecond, 40 * time.Millisecond, 2 * time.Minute} {
		tick.Requests[0].Called.Add(d)
	}
	s.Consume(tick)
	_, body := fetch(t, web(t, s)+"/metrics")
	for bound, n := range map[string]int{"1.024e-06": 1, "0.002097152": 1, "0.004194304": 3, "0.033554432": 3, "0.067108864": 4, "68.719476736": 4, "+Inf": 5} {
		want := fmt.Sprintf(`seer_request_duration_seconds_bucket{container="web-7f9c",service="web",side="called",le="%s"} %d`+"\n", bound, n)
		if !strings.Contains(body, want) {
			t.Errorf("no line %q", want)
		}
	}
	if strings.Contains(body, `side="served"`) {
		t.Error("requests served, of which there were none")
	}
}

// Every metric there can be, by the rules of Prometheus.
func TestMetricsLint(t *testing.T) {
	src, _ := shop()
	s := New(Config{Source: src, MetricContainers: 20, Promises: newFakePromises(), Store: func() StoreStats { return StoreStats{} }})
	s.Consume(crowd(30))
	url := web(t, s)
	_, body := fetch(t, url+"/metrics")
	problems, err := promlint.New(strings.NewReader(body)).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	for q := range collector.Queues {
		if name := "seer_" + collector.Queues[q].Name + "_" + collector.Queues[q].Unit; !strings.Contains(body, "# HELP "+name+" ") {
			t.Errorf("no metric %s", name)
		}
	}
}

// The containers that come first have a place; the rest is summed, and no
// counter ever goes down when places are given on.
func TestMetricsOther(t *testing.T) {
	src, _ := shop()
	s := New(Config{Source: src, MetricContainers: 2})
	row := func(id int) collector.Row {
		r := collector.Row{Container: &container.Container{ID: container.ID(id), Name: fmt.Sprintf("c%d", id), Service: "s"}}
		r.Cells[collector.QueueOutstanding] = collector.Cell{Depth: float64(id), Mean: 1, Arrivals: 10, Valid: true}
		return r
	}
	tick := &collector.Tick{Start: epoch, End: epoch.Add(tickLength)}
	url := web(t, s)
	arrived := func(name, service string) string {
		return fmt.Sprintf(`seer_outstanding_arrived_requests_total{container=%q,service=%q}`, name, service)
	}
	depth := `seer_outstanding_requests{container="~other",service="~other"}`

	tick.Rows = []collector.Row{row(1), row(2), row(3), row(4)}
	s.Consume(next(tick))
	s.Consume(next(tick))
	got := scrape(t, url)
	if got[arrived("c1", "s")] != 20 || got[arrived("c2", "s")] != 20 || got[arrived("~other", "~other")] != 40 || got[depth] != 7 {
		t.Errorf("c1 %v, c2 %v, other %v, depth of other %v, want 20, 20, 40, 7",
			got[arrived("c1", "s")], got[arrived("c2", "s")], got[arrived("~other", "~other")], got[depth])
	}
	if _, ok := got[arrived("c3", "s")]; ok {
		t.Error("c3 has a counter, want it in ~other")
	}

	tick.Rows = []collector.Row{row(2), row(3), row(4)} // 1 has gone: 3 gets its place
	s.Consume(next(tick))
	got = scrape(t, url)
	if got[arrived("c3", "s")] != 10 || got[arrived("~other", "~other")] != 50 || got[depth] != 4 {
		t.Errorf("c3 %v, other %v, depth of other %v, want 10, 50, 4", got[arrived("c3", "s")], got[arrived("~other", "~other")], got[depth])
	}
	if _, ok := got[arrived("c1", "s")]; ok {
		t.Error("c1 still has a counter after it went")
	}

	tick.Rows = []collector.Row{row(2), row(3)}
	s.Consume(next(tick))
	got = scrape(t, url)
	if _, ok := got[depth]; ok || got[arrived("~other", "~other")] != 50 {
		t.Errorf("other has depth %v (present: %v) and %v arrivals, want no depth and 50", got[depth], ok, got[arrived("~other", "~other")])
	}
}

// Two containers of one name must not cost the scrape.
func TestMetricsSameName(t *testing.T) {
	src, tick := shop()
	twin := *tick.Rows[0].Container
	twin.ID = 4712
	tick.Rows[1] = collector.Row{Container: &twin}
	tick.Rows[1].Cells[collector.QueueAcceptBacklog] = collector.Cell{Depth: 1, Valid: true}
	s := New(Config{Source: src})
	s.Consume(tick)
	got := scrape(t, web(t, s))
	if v := got[`seer_accept_backlog_connections{container="web-7f9c@4712",service="web"}`]; v != 1 {
		t.Errorf("depth of the second web-7f9c = %v, want 1", v)
	}
}

func TestHealth(t *testing.T) {
	src, tick := shop()
	s := New(Config{Source: src, Version: "1.2.3"})
	url := web(t, s)
	if code, body := fetch(t, url+"/healthz"); code != http.StatusOK || body != "ok\n" {
		t.Errorf("/healthz before the first tick = %d %q, want 200 ok", code, body)
	}
	if code, body := fetch(t, url+"/readyz"); code != http.StatusServiceUnavailable || body != "no tick yet\n" {
		t.Errorf("/readyz before the first tick = %d %q, want 503 no tick yet", code, body)
	}
	s.Consume(tick)
	if code, body := fetch(t, url+"/readyz"); code != http.StatusServiceUnavailable || !strings.Contains(body, "last tick ended") {
		t.Errorf("/readyz long after the last tick = %d %q, want 503", code, body)
	}
	tick.End = time.Now()
	s.Consume(tick)
	if code, body := fetch(t, url+"/readyz"); code != http.StatusOK {
		t.Errorf("/readyz = %d %q, want 200", code, body)
	}
	if code, body := fetch(t, url+"/"); code != http.StatusOK || !strings.Contains(body, "Seer 1.2.3") || !strings.Contains(body, "/metrics") {
		t.Errorf("/ = %d %q, want the index", code, body)
	}
	if code, _ := fetch(t, url+"/nonsense"); code != http.StatusNotFound {
		t.Errorf("/nonsense = %d, want 404", code)
	}
}

func TestListenWeb(t *testing.T) {
	first, err := ListenWeb(":0")
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	if host, _, _ := net.SplitHostPort(first.Addr().String()); host != "127.0.0.1" {
		t.Errorf("an empty host listens on %s, want 127.0.0.1", host)
	}
	_, err = ListenWeb(first.Addr().String())
	wantError(t, "ListenWeb on a taken port", err, ErrPortInUse)
	if _, err := ListenWeb("9400"); err == nil || !strings.Contains(err.Error(), "want HOST:PORT") {
		t.Errorf(`ListenWeb("9400") = %v, want it refused`, err)
	}
	if _, err := ListenWeb("192.0.2.1:0"); err == nil {
		t.Error("ListenWeb on somebody else's address succeeded")
	}
}

// A server whose listener breaks says so at once.
func TestServeBrokenListener(t *testing.T) {
	src, _ := shop()
	l, err := ListenWeb("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	if err := New(Config{Source: src}).ServeWeb(context.Background(), l); err == nil {
		t.Error("ServeWeb on a closed listener = nil, want an error")
	}
}
