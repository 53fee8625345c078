package topology

// kindInfo is what a kind of program can do.
type kindInfo struct {
	protocols []Protocol // the first is the default
	endpoints []string   // all that may be described; nil: any
	calls     bool       // its endpoints may call
	workers   workers
}

// workers says what the field of that name means to a kind.
type workers struct {
	fallback, max int // max 0: the kind takes no bound
}

// kinds is the only list of kinds. A real server answers a fixed set of calls:
//
//	get, set     memcached and Redis: one key
//	push, range  Redis: onto a list, and its newest entries
//	query        databases: one row by its key
//	insert       databases: one row more, durable when the answer leaves
//	update       databases: one row changed, durable as well
//	publish      RabbitMQ: one message into the queue
//	consume      RabbitMQ: the oldest message of the queue, if there is one
var kinds = map[Kind]kindInfo{
	KindApp:        {protocols: []Protocol{ProtocolThrift, ProtocolGRPC, ProtocolHTTP}, calls: true, workers: workers{0, 10_000}},
	KindNginx:      {protocols: []Protocol{ProtocolHTTP}, calls: true},
	KindMemcached:  {protocols: []Protocol{ProtocolMemcached}, endpoints: []string{"get", "set"}, workers: workers{2, 64}},
	KindRedis:      {protocols: []Protocol{ProtocolRedis}, endpoints: []string{"get", "push", "range", "set"}, workers: workers{1, 1}},
	KindPostgreSQL: {protocols: []Protocol{ProtocolPostgreSQL}, endpoints: []string{"insert", "query", "update"}},
	KindMariaDB:    {protocols: []Protocol{ProtocolMySQL}, endpoints: []string{"insert", "query", "update"}},
	KindRabbitMQ:   {protocols: []Protocol{ProtocolAMQP}, endpoints: []string{"consume", "publish"}},
}

// Kinds lists the kinds, the testbed's own program first.
func Kinds() []Kind {
	return []Kind{KindApp, KindNginx, KindMemcached, KindRedis, KindPostgreSQL, KindMariaDB, KindRabbitMQ}
}

// Endpoints returns the names of the endpoints that a kind can have, in
// alphabetical order, nil for a kind whose endpoints a description makes up.
func (k Kind) Endpoints() []string { return kinds[k].endpoints }
