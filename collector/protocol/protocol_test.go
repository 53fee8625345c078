package protocol

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// Samples by hand, where no client library of go.mod writes such bytes: clients_test.go
// has the others.
var samples = []struct {
	name, sample string
	want         Request // none: Parse must not know it
}{
	{"path with a number", "GET /api/v1/orders/12345/items?x=1 HTTP/1.1\r\nHost: a\r\n\r\n", Request{HTTP1, "GET /api/v1/orders/{id}/items"}},
	{"path with a uuid", "DELETE /u/6f9619ff-8b86-d011-b42d-00cf4fc964ff HTTP/1.1\r\n", Request{HTTP1, "DELETE /u/{id}"}},
	{"path with hexadecimal letters", "GET /o/deadbeefcafe HTTP/1.0\r\n", Request{HTTP1, "GET /o/{id}"}},
	{"path with a name and a long word", "PUT /user/bob@example.org/" + strings.Repeat("z", 40) + " HTTP/1.1\r\n", Request{HTTP1, "PUT /user/{id}/{id}"}},
	{"path that is deep", "GET /a/b/c/d/e/f/g/h HTTP/1.1\r\n", Request{HTTP1, "GET /a/b/c/d/e/f/*"}},
	{"path that the sample cuts off", "GET /files/" + strings.Repeat("x", 300), Request{HTTP1, "GET /files/*"}},
	{"through a proxy", "GET http://a.example/x/7 HTTP/1.1\r\n", Request{HTTP1, "GET /x/{id}"}},
	{"of a tunnel", "CONNECT a.example:443 HTTP/1.1\r\n", Request{HTTP1, "CONNECT *"}},
	{"of a server", "OPTIONS * HTTP/1.1\r\n", Request{HTTP1, "OPTIONS *"}},
	{"version of something else", "GET /x FOO/1\r\n", Request{}},
	{"request line without an end", "GET /half", Request{}},

	{"preface alone", preface, Request{HTTP2, Any}},
	{"headers with an index of the dynamic table", "\x00\x00\x03\x01\x05\x00\x00\x00\x03\x83\x86\xbe", Request{HTTP2, Any}},
	{"headers from the static table", "\x00\x00\x03\x01\x05\x00\x00\x00\x01\x82\x86\x84", Request{HTTP2, "GET /"}},
	{"headers of a reply", "\x00\x00\x01\x01\x05\x00\x00\x00\x01\x88", Request{}},
	{"headers of stream 0", "\x00\x00\x03\x01\x05\x00\x00\x00\x00\x82\x86\x84", Request{}},

	{"thrift, old and without version", "\x00\x00\x00\x04ping\x01\x00\x00\x00\x00", Request{}},
	{"thrift, a reply", "\x80\x01\x00\x02\x00\x00\x00\x04ping\x00\x00\x00\x01", Request{}},
	{"thrift, one way", "\x80\x01\x00\x04\x00\x00\x00\x04ping\x00\x00\x00\x01\x00", Request{Thrift, "ping"}},
	{"thrift, multiplexed", "\x80\x01\x00\x01\x00\x00\x00\x06S:ping\x00\x00\x00\x01\x00", Request{Thrift, "S:ping"}},
	{"thrift, a name that is data", "\x80\x01\x00\x01\x00\x00\x00\x04p\x00ng", Request{}},

	{"redis, inline", "PING\r\n", Request{Redis, "PING"}},
	{"redis, lower case", "*2\r\n$3\r\nget\r\n$6\r\nsecret\r\n", Request{Redis, "GET"}},
	{"redis, a command of a module", "*2\r\n$8\r\nJSON.GET\r\n$1\r\na\r\n", Request{Redis, "JSON.GET"}},
	{"redis, of a family", "*3\r\n$6\r\nCONFIG\r\n$3\r\nGET\r\n$4\r\nsave\r\n", Request{Redis, "CONFIG GET"}},
	{"redis, a reply of an array", "*2\r\n:1\r\n:2\r\n", Request{}},
	{"redis, a length beyond all", "*1\r\n$99999999\r\nGET\r\n", Request{}},

	{"memcached, meta", "mg secret v t\r\n", Request{Memcached, "mg"}},
	{"memcached, binary", "\x80\x00\x00\x06\x00\x00\x00\x00\x00\x00\x00\x06\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00secret", Request{Memcached, "get"}},
	{"memcached, binary, set", "\x80\x01\x00\x03\x08\x00\x00\x00\x00\x00\x00\x10" + strings.Repeat("\x00", 20) + "keyvalue5", Request{Memcached, "set"}},
	{"memcached, a reply", "\x81\x00\x00\x00" + strings.Repeat("\x00", 20), Request{}},
	{"memcached, a word that goes on", "getting on with it\r\n", Request{}},

	{"postgresql, bind", postgres('B', "\x00stmt_1\x00\x00\x00\x00\x00\x00\x00"), Request{PostgreSQL, Any}},
	{"postgresql, a month's table", postgres('Q', "SELECT 1 FROM only \"s\".orders_2024_05;\x00"), Request{PostgreSQL, "SELECT s.orders_#_#"}},
	{"postgresql, a comment", postgres('Q', "-- ping\x00"), Request{PostgreSQL, "PING"}},
	{"postgresql, an empty statement", postgres('Q', ";\x00"), Request{PostgreSQL, "PING"}},
	{"postgresql, a text without end", postgres('Q', "SELECT 1"), Request{}},
	{"postgresql, cut off in the table", "P\x00\x00\x04\x00\x00SELECT " + strings.Repeat("a,", 118) + "b FROM customers", Request{PostgreSQL, "SELECT"}},
	{"postgresql, startup", "\x00\x00\x00\x08\x04\xd2\x16\x2f", Request{}},

	{"mysql, ping", "\x01\x00\x00\x00\x0e", Request{MySQL, "PING"}},
	{"mysql, execute", "\x0a\x00\x00\x00\x17\x01\x00\x00\x00\x00\x01\x00\x00\x00", Request{MySQL, Any}},
	{"mysql, not a statement", "\x06\x00\x00\x00\x03hello", Request{}},

	{"mongodb, a reply", mongo(7, 2013, "\x02find\x00\x06\x00\x00\x00users\x00\x00"), Request{}},
	{"mongodb", mongo(0, 2013, "\x02find\x00\x06\x00\x00\x00users\x00\x02secret\x00"), Request{MongoDB, "find users"}},
	{"mongodb, a command on no collection", mongo(0, 2013, "\x10ping\x00\x01\x00\x00\x00\x00"), Request{MongoDB, "ping"}},
	{"mongodb, compressed", mongo(0, 2012, "\xdd\x07\x00\x00????????"), Request{MongoDB, Any}},

	{"cql, query", cql(4, 7, "SELECT * FROM shop.orders WHERE id='secret'"), Request{CQL, "SELECT shop.orders"}},
	{"cql, prepare", cql(3, 9, "INSERT INTO t (a) VALUES (?)"), Request{CQL, "INSERT t"}},
	{"cql, execute", cql(4, 0x0a, "12345678"), Request{CQL, Any}},
	{"cql, a reply", cql(0x84, 7, "SELECT 1"), Request{}},

	{"nothing", "", Request{}},
	{"TLS", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + strings.Repeat("\xa5", 200), Request{}},
	{"SSH", "SSH-2.0-OpenSSH_9.2\r\n", Request{}},
	{"zeroes", strings.Repeat("\x00", 256), Request{}},
	{"a letter", strings.Repeat("A", 256), Request{}},
}

func mongo(replyTo, op uint32, document string) string {
	b := binary.LittleEndian.AppendUint32(nil, uint32(16+4+1+4+len(document)))
	b = binary.LittleEndian.AppendUint32(b, 1)
	b = binary.LittleEndian.AppendUint32(b, replyTo)
	b = binary.LittleEndian.AppendUint32(b, op)
	b = append(b, 0, 0, 0, 0, 0)
	b = binary.LittleEndian.AppendUint32(b, uint32(4+len(document)))
	return string(append(b, document...))
}

func postgres(kind byte, body string) string {
	return string(binary.BigEndian.AppendUint32([]byte{kind}, uint32(4+len(body)))) + body
}

func cql(version, op byte, text string) string {
	b := binary.BigEndian.AppendUint32([]byte{version, 0, 0, 1, op}, uint32(4+len(text)))
	b = binary.BigEndian.AppendUint32(b, uint32(len(text)))
	return string(append(b, text...))
}

func TestParse(t *testing.T) {
	for _, tt := range samples {
		t.Run(tt.name, func(t *testing.T) {
			got, ok := Parse([]byte(tt.sample))
			if got != tt.want || ok != (tt.want != Request{}) {
				t.Errorf("Parse(%.60q) = %v %q, %v; want %v %q", tt.sample, got.Protocol, got.Name, ok, tt.want.Protocol, tt.want.Name)
			}
		})
	}
}

func TestStatementName(t *testing.T) {
	for sql, want := range map[string]string{
		"select a, b from `shop`.`orders` where id = 7":           "SELECT shop.orders",
		"SELECT 'x from y' FROM t":                                "SELECT t",
		"SELECT count(*) FROM(SELECT 1) x":                        "SELECT",
		"SELECT 1":                                                "SELECT",
		"/* trace 77 */ -- and more\nUPDATE only users SET n='a'": "UPDATE users",
		"INSERT INTO \"Orders\"(id) VALUES (1)":                   "INSERT Orders",
		"delete from sessions42 where token='secret'":             "DELETE sessions#",
		"BEGIN":            "BEGIN",
		"TRUNCATE TABLE t": "TRUNCATE t",
		"WITH x AS (SELECT secret FROM y) SELECT * FROM x": "WITH",
		"hello world": "",
		"":            "",
		"SELECT * FROM " + strings.Repeat("x", 60):                  "SELECT",
		"select " + strings.Repeat("a from_ ", 100) + " from later": "SELECT",
	} {
		if got, ok := statementName(sql, true); got != want || ok != (want != "") {
			t.Errorf("statementName(%q) = %q, %v; want %q", sql, got, ok, want)
		}
	}
}

func TestNamesAreBounded(t *testing.T) {
	var n Names
	for range 3 {
		n.Add(Request{HTTP1, "GET /"})
	}
	for i := range 10 * MaxNames {
		n.Add(Request{HTTP1, fmt.Sprintf("GET /%c%c", 'a'+i%26, 'a'+i/26%26)})
		n.Add(Request{Redis, fmt.Sprintf("X%d", i)})
	}
	list := n.List()
	if len(list) != MaxNames+2 {
		t.Errorf("%d names, want %d and the rest of each protocol", len(list), MaxNames)
	}
	var sum uint64
	share := 0.0
	for _, c := range list {
		sum += c.Count
		share += c.Share
	}
	if sum != 3+20*MaxNames || share < .999 || share > 1.001 {
		t.Errorf("counts sum to %d and shares to %v, want %d and 1", sum, share, 3+20*MaxNames)
	}
	i := slices.IndexFunc(list, func(c Counted) bool { return c.Request == Request{Redis, Other} })
	if i < 0 {
		t.Fatalf("no %q among %v", Other, list[:5])
	}
	if list[0].Count < list[1].Count {
		t.Error("the most frequent is not the first")
	}
}

// Nothing panics, and what comes back is short, printable and the same each time.
func FuzzParse(f *testing.F) {
	for _, s := range samples {
		f.Add([]byte(s.sample))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		kept := string(b)
		r, ok := Parse(b)
		again, _ := Parse(b)
		switch {
		case kept != string(b):
			t.Fatal("the sample was written to")
		case r != again:
			t.Fatalf("Parse(%q) = %v, then %v", b, r, again)
		case ok != (r != Request{}) || ok && (r.Name == "" || r.Protocol == Unknown || r.Protocol >= count):
			t.Fatalf("Parse(%q) = %v, %v", b, r, ok)
		case len(r.Name) > maxName || strings.IndexFunc(r.Name, func(c rune) bool { return c < ' ' || c > '~' }) >= 0:
			t.Fatalf("Parse(%q) = %q, too long or not printable", b, r.Name)
		}
	})
}
