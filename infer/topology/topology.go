package topology

import "time"

// SchemaVersion is the version of the file format that this build reads.
const SchemaVersion = 1

// App is one application.
type App struct {
	Schema      int         `yaml:"schema"`
	Name        string      `yaml:"name"` // lower case, digits and dashes: it names cgroups and directories
	Description string      `yaml:"description,omitempty"`
	QoS         []QoS       `yaml:"qos"`      // at least one
	Requests    []Request   `yaml:"requests"` // what users ask for
	Services    []*Service  `yaml:"services"`
	Load        NominalLoad `yaml:"load"`

	// AllowCycles admits services that call each other in a circle and wait for
	// the answers. With bounded workers they can block each other for good, so
	// that a file has to say that it means it.
	AllowCycles bool `yaml:"allow_cycles,omitempty"`

	// Machine is what `seersim calibrate` found. It is for the simulator.
	Machine *Machine `yaml:"machine,omitempty"`
}

// Machine is what a message between two services costs beside their work. The
// testbed has its own costs.
type Machine struct {
	Receive time.Duration `yaml:"receive"` // CPU time to read and decode one
	Send    time.Duration `yaml:"send"`    // CPU time to encode and write one
	Hop     time.Duration `yaml:"hop"`     // one way between containers of a host, no CPU time of theirs
	Kernel  time.Duration `yaml:"kernel"`  // CPU time of the host for one, outside of all containers

	Line int `yaml:"-"` // in the file, for messages
}

// QoS is the promise to the users of an entry service: a percentile of its
// end-to-end latency and the bound.
type QoS struct {
	Service    string        `yaml:"service"`
	Percentile float64       `yaml:"percentile"` // in (0, 100)
	Target     time.Duration `yaml:"target"`

	Line int `yaml:"-"` // in the file, for messages
}

// DefaultTimeout is the time after which a call is given up, unless its step says
// otherwise. The calls of a cache always have it.
const DefaultTimeout = time.Second

// Request is one kind of request that users send.
type Request struct {
	Name   string  `yaml:"name"`
	Weight float64 `yaml:"weight"` // share of the mix, relative to the others
	Call   Target  `yaml:"call"`   // the entry

	Line int `yaml:"-"` // in the file, for messages
}

// NominalLoad is the load of the application on one host of two CPUs, which
// campaigns scale.
type NominalLoad struct {
	Rate        float64 `yaml:"rate"`                               // requests per second
	Connections int     `yaml:"connections,omitempty" default:"64"` // of the users

	Line int `yaml:"-"` // in the file, for messages
}

// Target is an endpoint of a service, written SERVICE.ENDPOINT.
type Target struct {
	Service  string
	Endpoint string
}

// Kind says what program a service is.
type Kind string

// The kinds. All but KindApp are the real servers in the testbed.
const (
	KindApp        Kind = "app" // the testbed's own program, behaving as its endpoints say
	KindNginx      Kind = "nginx"
	KindMemcached  Kind = "memcached"
	KindRedis      Kind = "redis"
	KindPostgreSQL Kind = "postgresql"
	KindMariaDB    Kind = "mariadb"
	KindRabbitMQ   Kind = "rabbitmq"
)

// Protocol is what a service speaks. A real server speaks its own, which is the
// default of its kind; an app speaks one of the first three.
type Protocol string

// The protocols.
const (
	ProtocolThrift     Protocol = "thrift" // framed transport, binary protocol
	ProtocolGRPC       Protocol = "grpc"
	ProtocolHTTP       Protocol = "http" // HTTP/1.1, keep-alive
	ProtocolMemcached  Protocol = "memcached"
	ProtocolRedis      Protocol = "redis"
	ProtocolPostgreSQL Protocol = "postgresql"
	ProtocolMySQL      Protocol = "mysql"
	ProtocolAMQP       Protocol = "amqp"
)

// Service is one microservice: one or more identical replicas, each a container.
type Service struct {
	Name     string   `yaml:"name"` // unique; lower case, digits and dashes
	Kind     Kind     `yaml:"kind"`
	Protocol Protocol `yaml:"protocol,omitempty"`

	// StandsFor names the program of the paper that this one replaces where that
	// cannot be had, or its language where the testbed's own program stands in.
	StandsFor string `yaml:"stands_for,omitempty"`

	Replicas int `yaml:"replicas,omitempty" default:"1"`

	// Workers bounds the requests that one replica works on at once; the rest
	// wait in the sockets. 0 means one goroutine per request, without bound.
	// Redis has 1, memcached its threads (default 2); the other real servers
	// take no bound here.
	Workers int `yaml:"workers,omitempty"`

	// Backlog is the listen backlog.
	Backlog int `yaml:"backlog,omitempty" default:"511"`

	// Pool bounds the connections from one replica to each replica of a service
	// it calls, and so, but with gRPC, its calls at once.
	Pool int `yaml:"pool,omitempty" default:"16"`

	CPULimit    float64 `yaml:"cpu_limit,omitempty"`    // CPUs per replica, 0: none
	MemoryLimit Bytes   `yaml:"memory_limit,omitempty"` // per replica, 0: none

	// Endpoints says what the service does to answer, by name. The endpoints of
	// real servers have a fixed set of names (get, set, query, ...), the steps
	// say only what the simulator should take them to cost.
	Endpoints map[string]Endpoint `yaml:"endpoints"`

	Line int `yaml:"-"` // in the file, for messages
}

// Endpoint is what a service does for one kind of call, step after step. The
// answer leaves after the last one.
type Endpoint []Step

// Step is one thing to do. Exactly one of Work, Call, Cache, Parallel, and Lock
// is set.
type Step struct {
	Work     *Work   `yaml:"work,omitempty"`
	Call     *Target `yaml:"call,omitempty"`
	Cache    *Cache  `yaml:"cache,omitempty"`
	Parallel []Step  `yaml:"parallel,omitempty"` // started together; the step ends with the last of them
	Lock     *Lock   `yaml:"lock,omitempty"`

	// Chance is the probability that the step is taken.
	Chance float64 `yaml:"chance,omitempty" default:"1"`
	// Repeat takes the step so many times, one after the other.
	Repeat int `yaml:"repeat,omitempty" default:"1"`

	// Of a call: the time after which it is given up (default DefaultTimeout),
	// and how often it is tried again after an error or a timeout (default 0).
	Timeout time.Duration `yaml:"timeout,omitempty"`
	Retries int           `yaml:"retries,omitempty"`
	// Async does not wait for the answer of a call.
	Async bool `yaml:"async,omitempty"`

	Line int `yaml:"-"` // in the file, for messages
}

// Work is what a replica does by itself. The parts happen in the order below.
type Work struct {
	CPU  time.Duration `yaml:"cpu,omitempty"`              // mean CPU time
	CV   float64       `yaml:"cv,omitempty" default:"0.5"` // its coefficient of variation (log-normal); 0 < cv
	Tail float64       `yaml:"tail,omitempty"`             // chance of ten times the time: a heavy tail

	Memory Bytes         `yaml:"memory,omitempty"` // read from a working set larger than the caches
	Disk   Bytes         `yaml:"disk,omitempty"`   // written and synced
	Wait   time.Duration `yaml:"wait,omitempty"`   // for something outside the application, mean, exponential
	Reply  Bytes         `yaml:"reply,omitempty"`  // added to the size of the answer
}

// Cache is look-aside in memcached or Redis: Call, and with probability 1-Hit the
// steps of Miss and then Fill.
type Cache struct {
	Call Target  `yaml:"call"`
	Hit  float64 `yaml:"hit"` // in [0, 1]
	Miss []Step  `yaml:"miss,omitempty"`
	Fill *Target `yaml:"fill,omitempty"`
}

// Lock is a mutex of one replica, held while its steps are taken. Locks do not
// nest.
type Lock struct {
	Name  string `yaml:"name"`
	Steps []Step `yaml:"steps"`
}

// Bytes is a size; in a file 4096, 64KiB, 2MiB or 1GiB.
type Bytes int64
