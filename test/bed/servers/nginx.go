//go:build linux

package servers

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"text/template"
	"time"

	"seer/infer/topology"
)

// nginxConfig has one worker, as each tier has: a container is meant to be
// one process that can become too slow.
var nginxConfig = template.Must(template.New("nginx.conf").Parse(`daemon off;
worker_processes 1;
pid {{.Dir}}/pid;
error_log stderr warn;
events { worker_connections 4096; }
http {
	access_log off;
	server_tokens off;
	keepalive_requests 1000000000;
	keepalive_timeout 1h;
	client_body_temp_path {{.Dir}}/body;
	proxy_temp_path {{.Dir}}/proxy;
	fastcgi_temp_path {{.Dir}}/fastcgi;
	uwsgi_temp_path {{.Dir}}/uwsgi;
	scgi_temp_path {{.Dir}}/scgi;
	proxy_http_version 1.1;
	proxy_set_header Connection "";
	proxy_set_header Host $host;
{{- range .Upstreams}}
	upstream {{.Name}} {
{{- range .Addrs}}
		server {{.}} max_fails=0;
{{- end}}
		keepalive {{.Pool}};
		keepalive_requests 1000000000;
		keepalive_timeout 1h;
	}
{{- end}}
	server {
		listen {{.Listen}} backlog={{.Backlog}};
		location = /seerbed-ready { return 204; }
{{- range .Locations}}
		location = /{{.Endpoint}} {
{{- if .Upstream}}
			proxy_pass http://{{.Upstream}}/{{.To}};
			proxy_connect_timeout {{.Timeout}};
			proxy_send_timeout {{.Timeout}};
			proxy_read_timeout {{.Timeout}};
			proxy_next_upstream {{if gt .Tries 1}}error timeout non_idempotent{{else}}off{{end}};
			proxy_next_upstream_tries {{.Tries}};
{{- else}}
			return 200 "{{.Body}}";
{{- end}}
		}
{{- end}}
	}
}
`))

type nginxUpstream struct {
	Name  string
	Addrs []netip.AddrPort
	Pool  int
}

type nginxLocation struct {
	Endpoint, Upstream, To, Timeout, Body string
	Tries                                 int
}

func configureNginx(_ context.Context, c Config, _ *Templates) (*exec.Cmd, error) {
	upstreams := map[string]nginxUpstream{}
	var locations []nginxLocation
	for _, name := range slices.Sorted(maps.Keys(c.Service.Endpoints)) {
		l, callee, err := nginxForward(c, name)
		if err != nil {
			return nil, fmt.Errorf("endpoint %q: %w", name, err)
		}
		locations = append(locations, l)
		if callee != "" {
			// The pool is per replica of the service that is called.
			upstreams[callee] = nginxUpstream{callee, c.Peers[callee], c.Service.Pool * len(c.Peers[callee])}
		}
	}
	path := filepath.Join(c.Dir, "nginx.conf")
	f, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	err = nginxConfig.Execute(f, map[string]any{
		"Dir": c.Dir, "Listen": c.Addr, "Backlog": c.Service.Backlog,
		"Upstreams": slices.SortedFunc(maps.Values(upstreams), func(a, b nginxUpstream) int { return strings.Compare(a.Name, b.Name) }),
		"Locations": locations,
	})
	if err != nil {
		return nil, err
	}
	// The error log until the configuration has been read: no file is to be had.
	return exec.Command("/usr/sbin/nginx", "-e", "stderr", "-p", c.Dir, "-c", path), f.Close()
}

// nginxForward reads an endpoint's only call. nginx forwards a request or answers
// it; it cannot make a request of its own.
func nginxForward(c Config, endpoint string) (l nginxLocation, callee string, err error) {
	l = nginxLocation{Endpoint: endpoint, Tries: 1}
	for _, step := range c.Service.Endpoints[endpoint] {
		switch {
		case step.Work != nil:
			l.Body = strings.Repeat("x", int(min(step.Work.Reply, 16<<10)))
		case step.Call != nil && callee == "" && !step.Async && step.Repeat <= 1:
			callee = step.Call.Service
			l.Upstream, l.To = callee, step.Call.Endpoint
			timeout := step.Timeout
			if timeout == 0 {
				timeout = topology.DefaultTimeout
			}
			l.Timeout = fmt.Sprintf("%dms", timeout/time.Millisecond)
			l.Tries = 1 + step.Retries
		default:
			return l, "", fmt.Errorf("line %d: nginx can do no more than forward to one service", step.Line)
		}
	}
	if callee == "" {
		return l, "", nil
	}
	if s := c.App.Service(callee); s == nil || s.Protocol != topology.ProtocolHTTP {
		return l, "", fmt.Errorf("nginx forwards HTTP, which %s does not speak", callee)
	}
	return l, callee, nil
}
