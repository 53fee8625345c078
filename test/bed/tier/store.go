package tier

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/bradfitz/gomemcache/memcache"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"seer/infer/topology"
)

// keys is how many there are in a store, of each size.
const keys = 256

// defaultSize is the size of a value where none is given, in bytes.
const defaultSize = 64

// sizes is how large values are, by endpoint.
type sizes map[string]int

func (s sizes) of(endpoint string) int {
	if n := s[endpoint]; n > 0 {
		return n
	}
	return defaultSize
}

// value returns bytes that do not compress.
func value(n int) []byte {
	v := make([]byte, n)
	rand.Read(v) // never fails
	return v
}

// name returns the key of a call, which is there unless the call is to miss.
func (c *call) name(size int) string {
	if c.miss {
		return fmt.Sprintf("none-%016x", c.key)
	}
	return fmt.Sprintf("key-%d-%d", size, c.key%keys)
}

func errUnknown(kind, endpoint string) error {
	return fmt.Errorf("%s has no endpoint %q", kind, endpoint)
}

type memcachedClient struct {
	c     *memcache.Client
	sizes sizes
}

func newMemcachedClient(addr string, pool int, s sizes) *memcachedClient {
	c := memcache.New(addr)
	c.MaxIdleConns = pool
	// The library takes no context. The calls of a cache all have this timeout.
	c.Timeout = topology.DefaultTimeout
	return &memcachedClient{c, s}
}

func (m *memcachedClient) prepare(ctx context.Context) error {
	for i := range uint64(keys) {
		if err := m.call(ctx, call{endpoint: "set", key: i}); err != nil {
			return err
		}
		if err := m.fill(call{key: i}); err != nil {
			return err
		}
	}
	return nil
}

func (m *memcachedClient) fill(c call) error {
	n := m.sizes.of("get")
	return m.c.Set(&memcache.Item{Key: c.name(n), Value: value(n)})
}

func (m *memcachedClient) call(_ context.Context, c call) error {
	var err error
	switch c.endpoint {
	case "get":
		_, err = m.c.Get(c.name(m.sizes.of("get")))
		if errors.Is(err, memcache.ErrCacheMiss) {
			if err = nil; !c.miss {
				err = m.fill(c) // it was evicted, or memcached restarted
			}
		}
	case "set":
		n := m.sizes.of("set")
		c.miss = false
		err = m.c.Set(&memcache.Item{Key: c.name(n), Value: value(n)})
	default:
		return errUnknown("memcached", c.endpoint)
	}
	if n := net.Error(nil); errors.As(err, &n) && n.Timeout() {
		return context.DeadlineExceeded
	}
	return err
}

func (m *memcachedClient) close() { m.c.Close() }

type redisClient struct {
	c     *redis.Client
	sizes sizes
}

// listKey is the list that push and range work on, listEntries its length.
const (
	listKey     = "list"
	listEntries = 100
)

func newRedisClient(addr string, pool int, s sizes) *redisClient {
	return &redisClient{redis.NewClient(&redis.Options{
		Addr:                  addr,
		PoolSize:              pool,
		MaxRetries:            -1, // none: a step says how often it is tried
		ContextTimeoutEnabled: true,
		DisableIdentity:       true,
		MaintNotificationsConfig: &maintnotifications.Config{
			Mode: maintnotifications.ModeDisabled,
		},
	}), s}
}

func (r *redisClient) prepare(ctx context.Context) error {
	n := r.sizes.of("get")
	_, err := r.c.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i := range uint64(keys) {
			c := call{key: i}
			p.Set(ctx, c.name(n), value(n), 0)
		}
		return nil
	})
	return err
}

func (r *redisClient) call(ctx context.Context, c call) error {
	var err error
	switch n := r.sizes.of(c.endpoint); c.endpoint {
	case "get":
		if err = r.c.Get(ctx, c.name(n)).Err(); errors.Is(err, redis.Nil) {
			if err = nil; !c.miss {
				err = r.c.Set(ctx, c.name(n), value(n), 0).Err()
			}
		}
	case "set":
		c.miss = false
		err = r.c.Set(ctx, c.name(n), value(n), 0).Err()
	case "push":
		// One round trip, and the list does not grow for ever.
		_, err = r.c.Pipelined(ctx, func(p redis.Pipeliner) error {
			p.LPush(ctx, listKey, value(n))
			p.LTrim(ctx, listKey, 0, listEntries-1)
			return nil
		})
	case "range":
		err = r.c.LRange(ctx, listKey, 0, 9).Err()
	default:
		return errUnknown("redis", c.endpoint)
	}
	if n := net.Error(nil); errors.As(err, &n) && n.Timeout() {
		return context.DeadlineExceeded
	}
	return err
}

func (r *redisClient) close() { r.c.Close() }

// dbName is the database, the user (servers.Account) and the table.
const dbName = "seerbed"

const dbConnLifetime = 24 * time.Hour
