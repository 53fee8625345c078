package protocol

import (
	"bytes"
	"context"
	"database/sql"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/apache/thrift/lib/go/thrift"
	"github.com/bradfitz/gomemcache/memcache"
	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/redis/go-redis/v9"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/emptypb"
)

// secret is in every request where it could identify something, and in no name.
const secret = "s3cr3t"

// heard is what a client wrote to a server that answers as little as it must.
type heard struct {
	mu       sync.Mutex
	requests [][]byte
}

func (h *heard) add(b []byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.requests = append(h.requests, bytes.Clone(b[:min(len(b), MaxSample)]))
}

// names are the requests that were told, in order.
func (h *heard) names() (names []Request) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, b := range h.requests {
		if r, ok := Parse(b); ok {
			names = append(names, r)
		}
	}
	return names
}

// serve listens until the test ends and has one connection after another served.
func serve(t *testing.T, one func(net.Conn, *heard)) (address string, h *heard) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h = &heard{}
	var open sync.WaitGroup
	open.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			open.Go(func() {
				defer c.Close()
				one(c, h)
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		open.Wait()
	})
	return l.Addr().String(), h
}

// answering serves a protocol in which each read is one request and has one answer.
func answering(answer string) func(net.Conn, *heard) {
	return func(c net.Conn, h *heard) {
		b := make([]byte, 4096)
		for {
			n, err := c.Read(b)
			if err != nil {
				return
			}
			h.add(b[:n])
			if _, err := io.WriteString(c, answer); err != nil {
				return
			}
		}
	}
}

// told demands that each of the requests was named, and nothing else.
func told(t *testing.T, h *heard, want ...Request) {
	t.Helper()
	got := h.names()
	for _, r := range got {
		if strings.Contains(strings.ToLower(r.Name), secret) {
			t.Errorf("%q has what the request was about", r.Name)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("requests = %v, want %v", got, want)
	}
}

func TestNetHTTP(t *testing.T) {
	address, h := serve(t, answering("HTTP/1.1 204 No Content\r\n\r\n"))
	client := http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	for _, ask := range []func() (*http.Response, error){
		func() (*http.Response, error) {
			return client.Get("http://" + address + "/orders/" + secret + "?q=" + secret)
		},
		func() (*http.Response, error) {
			return client.Post("http://"+address+"/login", "text/plain", strings.NewReader(secret))
		},
	} {
		r, err := ask()
		if err != nil {
			t.Fatal(err)
		}
		r.Body.Close()
	}
	told(t, h, Request{HTTP1, "GET /orders/{id}"}, Request{HTTP1, "POST /login"})
}

// Without TLS, and by prior knowledge: the preface, settings and headers come in
// one write or in several.
func TestNetHTTP2(t *testing.T) {
	address, h := serve(t, collecting)
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	client := http.Client{Transport: &http.Transport{Protocols: protocols}, Timeout: 10 * time.Second}
	if r, err := client.Get("http://" + address + "/orders/" + secret); err == nil {
		r.Body.Close()
		t.Fatal("answered by nobody")
	}
	told(t, h, Request{HTTP2, "GET /orders/{id}"})
}

func TestGRPC(t *testing.T) {
	address, h := serve(t, collecting)
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := conn.Invoke(ctx, "/hotel.Search/Nearby", &emptypb.Empty{}, &emptypb.Empty{}); err == nil {
		t.Fatal("answered by nobody")
	}
	told(t, h, Request{GRPC, "/hotel.Search/Nearby"})
}

// collecting speaks as much HTTP/2 as makes a client send its first request: it
// keeps what came until there is a HEADERS frame, and hangs up.
func collecting(c net.Conn, h *heard) {
	if _, err := c.Write([]byte{0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 4, 1, 0, 0, 0, 0}); err != nil { // settings, and their acknowledgement
		return
	}
	var all []byte
	b := make([]byte, 4096)
	for {
		n, err := c.Read(b)
		all = append(all, b[:n]...)
		if err != nil {
			return
		}
		rest, _ := bytes.CutPrefix(all, []byte(preface))
		for len(rest) >= frameHeader {
			length := int(rest[0])<<16 | int(rest[1])<<8 | int(rest[2])
			if len(rest) < frameHeader+length {
				break
			}
			if rest[3] == typeHeaders {
				h.add(rest) // as the stream program samples them
				return
			}
			rest = rest[frameHeader+length:]
		}
	}
}

func TestGoRedis(t *testing.T) {
	address, h := serve(t, func(c net.Conn, h *heard) {
		b := make([]byte, 4096)
		for {
			n, err := c.Read(b)
			if err != nil {
				return
			}
			h.add(b[:n])
			answer := "+OK\r\n"
			if bytes.Contains(bytes.ToLower(b[:n]), []byte("hello")) {
				answer = "-ERR unknown command\r\n"
			}
			if _, err := io.WriteString(c, answer); err != nil {
				return
			}
		}
	})
	client := redis.NewClient(&redis.Options{Addr: address, Protocol: 2, DisableIdentity: true, MaxRetries: -1})
	defer client.Close()
	if err := client.Set(t.Context(), secret, secret, 0).Err(); err != nil {
		t.Fatal(err)
	}
	if err := client.Get(t.Context(), secret).Err(); err != nil {
		t.Fatal(err)
	}
	if err := client.Do(t.Context(), "client", "setname", secret).Err(); err != nil {
		t.Fatal(err)
	}
	var names []Request
	for _, r := range h.names() { // the library may ask for more before
		if r.Name == "SET" || r.Name == "GET" || strings.HasPrefix(r.Name, "CLIENT") {
			names = append(names, r)
		}
	}
	want := []Request{{Redis, "SET"}, {Redis, "GET"}, {Redis, "CLIENT SETNAME"}}
	if len(names) > len(want) {
		names = names[len(names)-len(want):]
	}
	if !slices.Equal(names, want) {
		t.Errorf("requests = %v, want %v", h.names(), want)
	}
}

func TestGoMemcache(t *testing.T) {
	address, h := serve(t, func(c net.Conn, h *heard) {
		b := make([]byte, 4096)
		for {
			n, err := c.Read(b)
			if err != nil {
				return
			}
			h.add(b[:n])
			answer := "END\r\n"
			if bytes.HasPrefix(b, []byte("set")) {
				answer = "STORED\r\n"
			}
			if _, err := io.WriteString(c, answer); err != nil {
				return
			}
		}
	})
	client := memcache.New(address)
	defer client.Close()
	if err := client.Set(&memcache.Item{Key: secret, Value: []byte(secret)}); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Get(secret); err != memcache.ErrCacheMiss { //nolint:errorlint // the library's own comparison
		t.Fatal(err)
	}
	told(t, h, Request{Memcached, "set"}, Request{Memcached, "gets"})
}

func TestThrift(t *testing.T) {
	for name, factory := range map[string]func(thrift.TTransport) thrift.TProtocol{
		"binary": func(tr thrift.TTransport) thrift.TProtocol { return thrift.NewTBinaryProtocolConf(tr, nil) },
		"framed": func(tr thrift.TTransport) thrift.TProtocol {
			return thrift.NewTBinaryProtocolConf(thrift.NewTFramedTransportConf(tr, nil), nil)
		},
		"compact": func(tr thrift.TTransport) thrift.TProtocol { return thrift.NewTCompactProtocolConf(tr, nil) },
		"framed compact": func(tr thrift.TTransport) thrift.TProtocol {
			return thrift.NewTCompactProtocolConf(thrift.NewTFramedTransportConf(tr, nil), nil)
		},
	} {
		t.Run(name, func(t *testing.T) {
			buffer := thrift.NewTMemoryBuffer()
			p := factory(buffer)
			ctx := t.Context()
			for _, err := range []error{
				p.WriteMessageBegin(ctx, "ComposePost", thrift.CALL, 1<<20), p.WriteStructBegin(ctx, "args"), p.WriteFieldBegin(ctx, "text", thrift.STRING, 1),
				p.WriteString(ctx, secret), p.WriteFieldEnd(ctx), p.WriteFieldStop(ctx), p.WriteStructEnd(ctx), p.WriteMessageEnd(ctx), p.Flush(ctx),
			} {
				if err != nil {
					t.Fatal(err)
				}
			}
			h := &heard{}
			h.add(buffer.Bytes())
			told(t, h, Request{Thrift, "ComposePost"})
		})
	}
}

func TestPgx(t *testing.T) {
	address, h := serve(t, func(c net.Conn, h *heard) {
		backend := pgproto3.NewBackend(io.TeeReader(c, writer(h.add)), c)
		if _, err := backend.ReceiveStartupMessage(); err != nil {
			return
		}
		backend.Send(&pgproto3.AuthenticationOk{})
		backend.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
		if backend.Flush() != nil {
			return
		}
		for {
			m, err := backend.Receive()
			if err != nil {
				return
			}
			switch m.(type) {
			case *pgproto3.Query:
				backend.Send(&pgproto3.CommandComplete{CommandTag: []byte("SELECT 0")})
			case *pgproto3.Parse:
				backend.Send(&pgproto3.ParseComplete{})
				continue
			case *pgproto3.Describe:
				backend.Send(&pgproto3.ParameterDescription{ParameterOIDs: []uint32{25}})
				backend.Send(&pgproto3.NoData{})
				continue
			case *pgproto3.Bind:
				backend.Send(&pgproto3.BindComplete{})
				continue
			case *pgproto3.Execute:
				backend.Send(&pgproto3.CommandComplete{CommandTag: []byte("SELECT 0")})
				continue
			}
			backend.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
			if backend.Flush() != nil {
				return
			}
		}
	})
	conn, err := pgx.Connect(t.Context(), "postgres://user@"+address+"/db?sslmode=disable")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if _, err := conn.Exec(t.Context(), "select name from Customers where token = '"+secret+"'", pgx.QueryExecModeSimpleProtocol); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := conn.Exec(t.Context(), "update orders set token = $1", pgx.QueryExecModeCacheStatement, secret); err != nil {
			t.Fatal(err)
		}
	}
	told(t, h, Request{PostgreSQL, "SELECT Customers"}, Request{PostgreSQL, "UPDATE orders"}, Request{PostgreSQL, Any}, Request{PostgreSQL, Any})
}

type writer func([]byte)

func (w writer) Write(b []byte) (int, error) {
	w(b)
	return len(b), nil
}

func TestGoMySQL(t *testing.T) {
	const (
		greeting = "\x4a\x00\x00\x00\x0a8.0.0\x00\x01\x00\x00\x0012345678\x00\xff\xf7\x21\x02\x00\x08\x00\x15" + "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00" + "123456789012\x00mysql_native_password\x00"
		ok       = "\x07\x00\x00\x01\x00\x00\x00\x02\x00\x00\x00"
		loggedIn = "\x07\x00\x00\x02\x00\x00\x00\x02\x00\x00\x00"
	)
	address, h := serve(t, func(c net.Conn, h *heard) {
		b := make([]byte, 4096)
		if _, err := io.WriteString(c, string(byte(len(greeting)-4))+greeting[1:]); err != nil {
			return
		}
		if _, err := c.Read(b); err != nil { // the login, number 1
			return
		}
		if _, err := io.WriteString(c, loggedIn); err != nil {
			return
		}
		answering(ok)(c, h)
	})
	cfg := mysql.NewConfig()
	cfg.Net, cfg.Addr, cfg.User = "tcp", address, "user"
	cfg.CheckConnLiveness = false
	connector, err := mysql.NewConnector(cfg)
	if err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(connector)
	if _, err := db.ExecContext(t.Context(), "INSERT INTO `shop`.`orders` VALUES ('"+secret+"')"); err != nil {
		t.Fatal(err)
	}
	if err := db.PingContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	got := h.names()
	if len(got) > 2 { // QUIT may not be read any more
		got = got[:2]
	}
	if want := []Request{{MySQL, "INSERT shop.orders"}, {MySQL, "PING"}}; !slices.Equal(got, want) {
		t.Errorf("requests = %v, want %v", got, want)
	}
}
