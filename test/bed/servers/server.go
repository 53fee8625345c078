//go:build linux

package servers

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"seer/infer/topology"
)

// Account is the user and the database of PostgreSQL and MariaDB.
const Account = "seerbed"

// Config says which server is to run.
type Config struct {
	App     *topology.App
	Service *topology.Service
	Addr    netip.AddrPort // where it is to listen
	Dir     string         // its own, empty, and writable for whom it runs as
	Peers   map[string][]netip.AddrPort
}

// kind is a row of the table of servers.
type kind struct {
	port     uint16
	packages string   // of Debian
	programs []string // patterns of paths, the newest match counts
	check    func(net.Conn) error
	// configure writes what the server needs into its directory.
	configure func(ctx context.Context, c Config, t *Templates) (*exec.Cmd, error)
}

var kinds = map[topology.Kind]kind{
	topology.KindNginx: {8080, "nginx", []string{"/usr/sbin/nginx"},
		checkNginx, configureNginx},
	topology.KindMemcached: {11211, "memcached", []string{"/usr/bin/memcached"},
		checkMemcached, configureMemcached},
	topology.KindRedis: {6379, "redis-server", []string{"/usr/bin/redis-server"},
		checkRedis, configureRedis},
	topology.KindPostgreSQL: {5432, "postgresql", []string{"/usr/lib/postgresql/*/bin/postgres", "/usr/lib/postgresql/*/bin/initdb"},
		checkPostgreSQL, configurePostgreSQL},
	topology.KindMariaDB: {3306, "mariadb-server-core", []string{"/usr/sbin/mariadbd", "/usr/bin/mariadb-install-db"},
		checkMariaDB, configureMariaDB},
	topology.KindRabbitMQ: {5672, "rabbitmq-server", []string{"/usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin/rabbitmq-server"},
		checkRabbitMQ, configureRabbitMQ},
}

// Port returns the port on which a kind listens, 0 for one that is no server.
func Port(k topology.Kind) uint16 { return kinds[k].port }

// Installed returns an error that names the Debian packages which an application
// needs and this host does not have.
func Installed(app *topology.App) error {
	var missing []string
	for _, s := range app.Services {
		k, ok := kinds[s.Kind]
		if !ok {
			continue
		}
		for _, p := range k.programs {
			if found, _ := filepath.Glob(p); len(found) == 0 && !slices.Contains(missing, k.packages) {
				missing = append(missing, k.packages)
			}
		}
	}
	if len(missing) == 0 {
		return nil
	}
	return fmt.Errorf("%s needs servers that are not installed: run test/install bed, or apt-get install %s",
		app.Name, strings.Join(missing, " "))
}

// Command configures a server and returns what runs it, in the foreground.
func Command(ctx context.Context, c Config, t *Templates) (*exec.Cmd, error) {
	k, ok := kinds[c.Service.Kind]
	if !ok {
		return nil, fmt.Errorf("service %s: %q is no server", c.Service.Name, c.Service.Kind)
	}
	cmd, err := k.configure(ctx, c, t)
	if err != nil {
		return nil, fmt.Errorf("configure %s: %w", c.Service.Name, err)
	}
	cmd.Dir = c.Dir
	return cmd, nil
}

// Check returns how to ask a kind of server, over a new connection, whether it
// serves.
func Check(k topology.Kind) func(net.Conn) error { return kinds[k].check }

// program returns the path of the newest installed program that matches.
func program(pattern string) (string, error) {
	found, err := filepath.Glob(pattern)
	if err != nil || len(found) == 0 {
		return "", fmt.Errorf("no program %s", pattern)
	}
	return found[len(found)-1], nil
}

// writes says whether a database has to write durably.
func writes(s *topology.Service) bool {
	_, insert := s.Endpoints["insert"]
	_, update := s.Endpoints["update"]
	return insert || update
}

// Version returns what a kind of server calls its version, "" if it does not say.
func Version(k topology.Kind) string {
	path, err := program(kinds[k].programs[0])
	if err != nil {
		return ""
	}
	if k == topology.KindRabbitMQ {
		// It would have to be running to be asked; the directory says it, too.
		return strings.TrimPrefix(filepath.Base(filepath.Dir(filepath.Dir(path))), "rabbitmq_server-")
	}
	option := "--version"
	if k == topology.KindNginx {
		option = "-v"
	}
	out, err := exec.Command(path, option).CombinedOutput()
	if err != nil {
		return ""
	}
	first, _, _ := strings.Cut(string(out), "\n")
	return strings.TrimSpace(first)
}
