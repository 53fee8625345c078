//go:build linux

package servers

import (
	"context"
	"os/exec"
	"strconv"
)

func configureMemcached(_ context.Context, c Config, _ *Templates) (*exec.Cmd, error) {
	// As many connections as fit a container runtime's limit of open files, 1024.
	return exec.Command("/usr/bin/memcached",
		"-l", c.Addr.Addr().String(), "-p", strconv.Itoa(int(c.Addr.Port())), "-U", "0",
		"-m", "64", "-c", "1000", "-t", strconv.Itoa(max(1, c.Service.Workers)), "-b", strconv.Itoa(c.Service.Backlog)), nil
}

func configureRedis(_ context.Context, c Config, _ *Templates) (*exec.Cmd, error) {
	return exec.Command("/usr/bin/redis-server",
		"--bind", c.Addr.Addr().String(), "--port", strconv.Itoa(int(c.Addr.Port())), "--protected-mode", "no",
		"--tcp-backlog", strconv.Itoa(c.Service.Backlog), "--dir", c.Dir,
		"--maxmemory", "64mb", "--maxmemory-policy", "allkeys-lru",
		"--save", "", "--appendonly", "no"), nil
}
