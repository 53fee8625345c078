//go:build linux

package servers

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// configurePostgreSQL needs no client to fill the database: a server in
// single-user mode takes SQL on its standard input.
func configurePostgreSQL(ctx context.Context, c Config, t *Templates) (*exec.Cmd, error) {
	postgres, err := program("/usr/lib/postgresql/*/bin/postgres")
	if err != nil {
		return nil, err
	}
	err = t.copyTo(c.Dir, "postgresql", func(dir string) error {
		initdb := exec.Command(filepath.Join(filepath.Dir(postgres), "initdb"), "--pgdata", dir, "--username", Account,
			"--auth", "trust", "--locale", "C", "--encoding", "UTF8", "--wal-segsize", "1", "--no-sync", "--no-instructions")
		if err := t.Run(ctx, initdb); err != nil {
			return err
		}
		single := exec.Command(postgres, "--single", "-F", "-D", dir, "-c", "dynamic_shared_memory_type=mmap", "postgres")
		single.Stdin = strings.NewReader("create database " + Account + ";\n")
		if err := t.Run(ctx, single); err != nil {
			return err
		}
		// Who may log in: anybody, as the only network is the application's.
		return os.WriteFile(filepath.Join(dir, "pg_hba.conf"), []byte("host all all 0.0.0.0/0 trust\n"), 0o600)
	})
	if err != nil {
		return nil, err
	}
	durable := onOff(writes(c.Service))
	settings := []string{
		"listen_addresses=" + c.Addr.Addr().String(),
		"port=" + strconv.Itoa(int(c.Addr.Port())),
		"unix_socket_directories=",
		"max_connections=300",
		"shared_buffers=8MB",
		"work_mem=1MB",
		"maintenance_work_mem=8MB",
		"max_wal_size=32MB",
		"fsync=" + durable,
		"synchronous_commit=" + durable,
		// In the data directory, not in the host's /dev/shm.
		"dynamic_shared_memory_type=mmap",
		"max_parallel_workers=0",
		"max_logical_replication_workers=0",
		"jit=off",
	}
	args := []string{"-D", c.Dir}
	for _, s := range settings {
		args = append(args, "-c", s)
	}
	return exec.Command(postgres, args...), nil
}

// configureMariaDB fills the database by a server in bootstrap mode, which as
// well takes SQL on its standard input.
func configureMariaDB(ctx context.Context, c Config, t *Templates) (*exec.Cmd, error) {
	const mariadbd = "/usr/sbin/mariadbd"
	small := func(dir string) []string {
		return []string{
			"--no-defaults", "--datadir=" + dir,
			"--innodb-buffer-pool-size=8M", "--innodb-log-file-size=8M", "--innodb-log-buffer-size=2M",
			"--innodb-data-file-path=ibdata1:4M:autoextend", "--innodb-temp-data-file-path=ibtmp1:4M:autoextend",
			"--innodb-fast-shutdown=0", "--key-buffer-size=1M", "--aria-pagecache-buffer-size=1M", "--aria-log-file-size=8M",
		}
	}
	err := t.copyTo(c.Dir, "mariadb", func(dir string) error {
		// The option goes to the shell script that runs the server, which passes
		// on what it does not know.
		args := append(small(dir), "--auth-root-authentication-method=normal", "--skip-test-db", "--skip-name-resolve")
		if err := t.Run(ctx, exec.Command("/usr/bin/mariadb-install-db", args...)); err != nil {
			return err
		}
		boot := exec.Command(mariadbd, append(small(dir), "--bootstrap")...)
		boot.Stdin = strings.NewReader(strings.ReplaceAll("create database ACCOUNT;\nflush privileges;\n"+
			"create user ACCOUNT@'%' identified by '';\ngrant all on ACCOUNT.* to ACCOUNT@'%';\n", "ACCOUNT", Account))
		return t.Run(ctx, boot)
	})
	if err != nil {
		return nil, err
	}
	flush := "0" // written once a second, never synced by a commit
	if writes(c.Service) {
		flush = "1"
	}
	return exec.Command(mariadbd, append(small(c.Dir),
		"--bind-address="+c.Addr.Addr().String(), "--port="+strconv.Itoa(int(c.Addr.Port())),
		"--socket="+filepath.Join(c.Dir, "sock"), "--pid-file="+filepath.Join(c.Dir, "pid"),
		"--innodb-flush-log-at-trx-commit="+flush,
		"--max-connections=300", "--back-log="+strconv.Itoa(c.Service.Backlog),
		"--thread-cache-size=64", "--table-open-cache=64",
		"--performance-schema=off", "--skip-log-bin", "--skip-name-resolve")...), nil
}

func configureRabbitMQ(_ context.Context, c Config, _ *Templates) (*exec.Cmd, error) {
	server, err := program("/usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin/rabbitmq-server")
	if err != nil {
		return nil, err
	}
	for file, text := range map[string]string{
		"rabbitmq.conf": "listeners.tcp.default = " + c.Addr.String() + "\n" +
			"loopback_users = none\n" + // guest may come from elsewhere
			"tcp_listen_options.backlog = " + strconv.Itoa(c.Service.Backlog) + "\n" +
			"disk_free_limit.absolute = 1MB\n" +
			"vm_memory_high_watermark.absolute = 256MB\n",
		"enabled_plugins": "[].\n",
	} {
		if err := os.WriteFile(filepath.Join(c.Dir, file), []byte(text), 0o644); err != nil {
			return nil, err
		}
	}
	cmd := exec.Command(server)
	cmd.Env = []string{
		"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8",
		"HOME=" + c.Dir, // of the cookie
		"RABBITMQ_NODENAME=rabbit@localhost",
		"RABBITMQ_CONF_ENV_FILE=/dev/null",
		"RABBITMQ_CONFIG_FILE=" + filepath.Join(c.Dir, "rabbitmq.conf"),
		"RABBITMQ_ADVANCED_CONFIG_FILE=" + filepath.Join(c.Dir, "none"),
		"RABBITMQ_ENABLED_PLUGINS_FILE=" + filepath.Join(c.Dir, "enabled_plugins"),
		"RABBITMQ_MNESIA_BASE=" + filepath.Join(c.Dir, "mnesia"),
		"RABBITMQ_LOG_BASE=" + filepath.Join(c.Dir, "log"),
		"RABBITMQ_SCHEMA_DIR=" + filepath.Join(c.Dir, "schema"),
		"RABBITMQ_PID_FILE=" + filepath.Join(c.Dir, "pid"),
		"RABBITMQ_LOGS=-",
		// One scheduler of each sort that never spins while it waits: a broker at
		// rest takes no CPU time from the services.
		"RABBITMQ_SERVER_ERL_ARGS=+P 65536 +S 1:1 +SDcpu 1:1 +SDio 1 +A 1 +sbwt none +sbwtdcpu none +sbwtdio none",
	}
	return cmd, nil
}

func onOff(on bool) string {
	if on {
		return "on"
	}
	return "off"
}
