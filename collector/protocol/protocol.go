package protocol

// MaxSample is how much of a request Parse looks at, in bytes.
const MaxSample = 256

// Protocol is what a connection speaks.
type Protocol uint8

// The protocols, as numbered in samples.
const (
	Unknown Protocol = iota
	HTTP1
	HTTP2
	GRPC
	Thrift
	Redis
	Memcached
	PostgreSQL
	MySQL
	MongoDB
	CQL

	count
)

var names = [count]string{
	"unknown", "http/1.1", "http/2", "grpc", "thrift", "redis", "memcached", "postgresql", "mysql", "mongodb", "cql",
}

// String returns the name as the command line shows it.
func (p Protocol) String() string {
	if p >= count {
		p = Unknown
	}
	return names[p]
}

// Any is the name of a request whose protocol is known, and not what it asks for.
const Any = "*"

// Request is what the beginning of one says.
type Request struct {
	Protocol Protocol
	Name     string // normalised, at most maxName bytes; Any where it cannot be told
}

// parsers recognise requests, those first whose first bytes nothing else has.
var parsers = [...]func([]byte) (Request, bool){
	parseHTTP2, parseHTTP1, parseMongoDB, parseThrift, parseRedis, parseMemcached, parsePostgreSQL, parseCQL, parseMySQL,
}

// Parse names the request that a sample begins, or says that it knows none.
func Parse(sample []byte) (Request, bool) {
	sample = sample[:min(len(sample), MaxSample)]
	for _, parse := range parsers {
		if r, ok := parse(sample); ok {
			r.Name = bounded(r.Name)
			return r, true
		}
	}
	return Request{}, false
}
