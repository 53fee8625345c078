package container

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func BenchmarkResolve(b *testing.B) {
	cfg, h := newHost(b)
	r := newResolver(b, cfg)
	var ids []ID
	for i := range 1000 {
		ids = append(ids, addCgroup(b, h, fmt.Sprintf("/c%d", i)))
		r.Resolve(ids[i])
	}
	refresh(b, r)
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if r.Resolve(ids[i%1000]).Path == "" {
			b.Fatal("not resolved")
		}
		i++
	}
}

// BenchmarkRefresh is a steady host: 1,000 cgroups, all named, nothing new.
func BenchmarkRefresh(b *testing.B) {
	for _, n := range []int{100, 1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			cfg, h := newHost(b)
			r := newResolver(b, cfg)
			for i := range n {
				r.Resolve(addCgroup(b, h, fmt.Sprintf("/s%d/c%d.service", i%20, i)))
			}
			refresh(b, r)
			b.ReportAllocs()
			for b.Loop() {
				refresh(b, r)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/cgroup")
		})
	}
}

// BenchmarkRefreshFirst is the start on a host with 1,000 containerd
// containers: the walk and the reading of every config.json.
func BenchmarkRefreshFirst(b *testing.B) {
	cfg, h := newHost(b)
	var ids []ID
	for i := range 1000 {
		id := fmt.Sprintf("svc%d-%d", i/10, i%10)
		ids = append(ids, addCgroup(b, h, "/default/"+id))
		dir := filepath.Join(cfg.RunRoot, "containerd", taskDir, "default", id)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			b.Fatal(err)
		}
		spec := `{"process":{"env":["` + strings.Repeat("x", 4000) + `"]},"linux":{"cgroupsPath":"/default/` + id + `"}}`
		if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(spec), 0o644); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		r := newResolver(b, cfg)
		for _, id := range ids {
			r.Resolve(id)
		}
		refresh(b, r)
		if got := r.Stats().Containers; got != 1000 {
			b.Fatalf("%d containers, want 1000", got)
		}
	}
}
