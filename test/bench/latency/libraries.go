//go:build linux

package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"

	"seer/test/bed/servers"
	"seer/test/bed/wire"
)

// This file has the clients of libraries, as applications use them.

func dialHTTP(_ context.Context, dial wire.Dialer, cfg clientConfig, _ *pauses) (user, error) {
	transport := &http.Transport{DialContext: dial, MaxConnsPerHost: 1}
	client := &http.Client{Transport: transport}
	call := func(ctx context.Context) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+cfg.Addr+"/", nil)
		if err != nil {
			return err
		}
		resp, err := client.Do(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if n, err := io.Copy(io.Discard, resp.Body); err != nil || n != answerParts*partBytes {
			return fmt.Errorf("an answer of %d bytes, want %d: %w", n, answerParts*partBytes, err)
		}
		return nil
	}
	return user{call: call, close: func() error { transport.CloseIdleConnections(); return nil }}, nil
}

func openRedis(dial wire.Dialer, cfg clientConfig) *redis.Client {
	return redis.NewClient(&redis.Options{
		Addr: cfg.Addr, PoolSize: 1, MaxRetries: -1, ReadTimeout: -1, WriteTimeout: -1,
		Dialer: func(ctx context.Context, network, addr string) (net.Conn, error) { return dial(ctx, network, addr) },
	})
}

func dialRedis(_ context.Context, dial wire.Dialer, cfg clientConfig, pauses *pauses) (user, error) {
	client := openRedis(dial, cfg)
	call := func(ctx context.Context) error {
		return client.Do(ctx, "DEBUG", "SLEEP", fmt.Sprintf("%.6f", pauses.next().Seconds())).Err()
	}
	return user{call: call, close: client.Close}, nil
}

// pipelined is how many commands there are in a batch, the one that takes time
// included.
const pipelined = 16

func dialRedisPipelined(_ context.Context, dial wire.Dialer, cfg clientConfig, pauses *pauses) (user, error) {
	client := openRedis(dial, cfg)
	call := func(ctx context.Context) error {
		_, err := client.Pipelined(ctx, func(p redis.Pipeliner) error {
			for i := range pipelined - 1 {
				p.Set(ctx, fmt.Sprint("key", i), "value", 0)
			}
			return p.Do(ctx, "DEBUG", "SLEEP", fmt.Sprintf("%.6f", pauses.next().Seconds())).Err()
		})
		return err
	}
	return user{call: call, close: client.Close}, nil
}

func dialPostgreSQL(ctx context.Context, dial wire.Dialer, cfg clientConfig, pauses *pauses) (user, error) {
	config, err := pgx.ParseConfig(fmt.Sprintf("postgres://%s@%s/%s?sslmode=disable", servers.Account, cfg.Addr, servers.Account))
	if err != nil {
		return user{}, err
	}
	config.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) { return dial(ctx, network, addr) }
	c, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return user{}, err
	}
	call := func(ctx context.Context) error {
		_, err := c.Exec(ctx, "select pg_sleep($1)", pauses.next().Seconds())
		return err
	}
	return user{call: call, close: func() error { return c.Close(context.Background()) }}, nil
}
