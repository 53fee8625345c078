package topology

import (
	"os"
	"strings"
	"testing"
)

// TestProblems changes the shop in one place each, and holds the whole text of the
// error: it is all that a user gets.
func TestProblems(t *testing.T) {
	data, err := os.ReadFile("testdata/shop.yaml")
	if err != nil {
		t.Fatal(err)
	}
	shop := string(data)

	tests := []struct {
		name     string
		old, new string // what is replaced; all of it if old is empty
		want     string
	}{
		// The file.
		{"empty", "", "# nothing\n", `shop.yaml: empty: describe an application, see docs/TOPOLOGY.md`},
		{"no YAML", "", "a: [b\n", `shop.yaml:1: did not find expected ',' or ']'`},
		{"a list", "", "[1, 2]\n", `shop.yaml:1: a list where a mapping is expected`},
		{"two documents", "\n  - name: balancer", "\n---\n  - name: balancer", `shop.yaml: more than one document: write one application per file`},
		{"alias of itself", "miss: [{call: items-db.query}]", "miss: &m [{parallel: *m}]", `shop.yaml: anchor 'm' value contains itself`},
		{"schema", "schema: 1", "schema: 2", `shop.yaml: schema is 2: this build reads 1, write "schema: 1"`},
		{"app name", "name: shop", "name: My Shop", `shop.yaml: name "My Shop": use lower case letters, digits and dashes, at most 40, a letter first`},

		// Fields.
		{"unknown field", "workers: 32", "worker: 32", `shop.yaml:24: unknown field "worker": there are backlog, cpu_limit, endpoints, kind, memory_limit, name, pool, protocol, replicas, stands_for, workers`},
		{"unknown field in a step", "chance: 0.2", "change: 0.2", `shop.yaml:31: unknown field "change": there are async, cache, call, chance, lock, parallel, repeat, retries, timeout, work`},
		{"given twice", "workers: 32", "workers: 32\n    workers: 33", `shop.yaml:25: mapping key "workers" already defined at line 24`},
		{"text for a number", "workers: 32", "workers: many", `shop.yaml:24: "many" where a whole number is expected`},
		{"a mapping for a list", "parallel:\n            - {call: items.list}\n            - {call: ads.pick, chance: 0.2, timeout: 50ms}", "parallel: {call: items.list}", `shop.yaml:29: a mapping where a list is expected`},
		{"time without unit", "timeout: 50ms", "timeout: 50", `shop.yaml:31: "50" where a time like 20ms is expected`},
		{"size", "memory: 256KiB", "memory: 256kb", `shop.yaml:61: "256kb" is no size: write it like 4096, 64KiB, 2MiB or 1GiB`},
		{"call without endpoint", "call: ads.pick", "call: ads", `shop.yaml:31: "ads" is no call: write SERVICE.ENDPOINT`},
		{"entry without content", "services:", "services:\n  -", `shop.yaml:12: an entry without content: fill it in or remove it`},
		{"zero where it is not the default", "chance: 0.2", "chance: 0", `shop.yaml:31: chance is 0: leave it out for the default, 1, or give a number above 0`},

		// Services.
		{"service name", "name: ads", "name: Ads_1", `shop.yaml:31: service "web", endpoint "browse": calls ads.pick, but there is no service "ads": define it or correct the name
shop.yaml:57: service name "Ads_1": use lower case letters, digits and dashes, at most 40, a letter first`},
		{"service twice", "name: ads\n", "name: payment\n", `shop.yaml:31: service "web", endpoint "browse": calls ads.pick, but there is no service "ads": define it or correct the name
shop.yaml:34: service "web", endpoint "buy": calls payment.charge, but "payment" has no such endpoint, only pick
shop.yaml:63: service "payment" is defined twice, first on line 57: rename or remove one`},
		{"name of a replica", "name: ads\n", "name: web-1\n", `shop.yaml:31: service "web", endpoint "browse": calls ads.pick, but there is no service "ads": define it or correct the name
shop.yaml:57: services "web" and "web-1" both have a container "web-1": rename one`},
		{"kind", "kind: rabbitmq", "kind: kafka", `shop.yaml:77: service "audit": no kind "kafka": choose from app, nginx, memcached, redis, postgresql, mariadb, rabbitmq`},
		{"no protocol", "    protocol: grpc\n", "", `shop.yaml:57: service "ads": protocol "": app speaks thrift, grpc, http`},
		{"protocol of another kind", "kind: rabbitmq", "kind: rabbitmq, protocol: http", `shop.yaml:77: service "audit": protocol "http": rabbitmq speaks amqp`},
		{"replicas", "replicas: 2", "replicas: -1", `shop.yaml:19: service "web": replicas is -1: choose from 1 to 1000`},
		{"workers of redis", "kind: redis", "kind: redis, workers: 4", `shop.yaml:76: service "orders": workers is 4: it can only be 1`},
		{"workers of nginx", "kind: nginx", "kind: nginx\n    workers: 4", `shop.yaml:12: service "balancer": workers: nginx takes no such bound, remove it`},
		{"backlog", "backlog: 64", "backlog: 70000", `shop.yaml:63: service "payment": backlog is 70000: choose from 1 to 65535`},
		{"cpu limit", "cpu_limit: 0.5", "cpu_limit: .nan", `shop.yaml:19: service "web": cpu_limit, in CPUs, is NaN: choose from 0.01 to 1024`},
		{"memory limit", "memory_limit: 256MiB", "memory_limit: 256", `shop.yaml:63: service "payment": memory_limit is 256: choose from 4MiB to 1024GiB`},

		// Endpoints and steps.
		{"endpoint of a real server", "{push:", "{pop:", `shop.yaml:35: service "web", endpoint "buy": calls orders.push, but "orders" has no such endpoint, only pop
shop.yaml:76: service "orders", endpoint "pop": redis has get, push, range, set`},
		{"call of a real server", "{publish: [", "{publish: [{call: ads.pick}, ", `shop.yaml:77: service "audit", endpoint "publish": rabbitmq calls nobody: its steps are only the work that the simulator takes it to do`},
		{"unknown service", "call: items.list", "call: item.list", `shop.yaml:30: service "web", endpoint "browse": calls item.list, but there is no service "item": define it or correct the name`},
		{"unknown endpoint", "call: items.list", "call: items.all", `shop.yaml:30: service "web", endpoint "browse": calls items.all, but "items" has no such endpoint, only list, reserve`},
		{"a step that does nothing", "- {call: items.list}", "- {}", `shop.yaml:30: service "web", endpoint "browse": a step does 0 things: give it one of work, call, cache, parallel and lock`},
		{"a step that does two things", "- {call: items.list}", "- {call: items.list, work: {cpu: 1ms}}", `shop.yaml:30: service "web", endpoint "browse": a step does 2 things: give it one of work, call, cache, parallel and lock`},
		{"work without content", "{cpu: 200us, memory: 256KiB}", "{cv: 2}", `shop.yaml:61: service "ads", endpoint "pick": work without content: give it cpu, memory, disk, wait or reply`},
		{"negative work", "{cpu: 200us, memory: 256KiB}", "{cpu: -1us}", `shop.yaml:61: service "ads", endpoint "pick": cpu is -1µs: choose from 0s to 10s`},
		{"timeout of work", "pick: [{work", "pick: [{timeout: 1s, work", `shop.yaml:61: service "ads", endpoint "pick": timeout, retries and async belong to a call: move them to one`},
		{"chance", "chance: 0.2", "chance: 20", `shop.yaml:31: service "web", endpoint "browse": chance is 20: choose from 1e-06 to 1`},
		{"hit", "hit: 0.9", "hit: 90", `shop.yaml:45: service "items", endpoint "list": hit is 90: choose from 0 to 1`},
		{"cache without a cache", "call: items-cache.get", "call: items-db.query", `shop.yaml:45: service "items", endpoint "list": "items-db" is no cache but postgresql: name a memcached or redis
shop.yaml:45: service "items", endpoint "list": fills "items-cache", but looks into "items-db": use one cache`},
		{"parallel of one", "            - {call: items.list}\n", "", `shop.yaml:29: service "web", endpoint "browse": parallel with 1 steps: give it two or more`},
		{"nested locks", "- work: {cpu: 100us}\n", "- lock: {name: other, steps: [{work: {cpu: 1us}}]}\n", `shop.yaml:54: service "items", endpoint "reserve": lock "other" is taken while "stock" is held: locks do not nest, take one at a time`},
		{"nginx with two calls", "logo: [{work: {reply: 16KiB}}]", "logo: [{call: web.browse}, {call: web.buy}]", `shop.yaml:17: service "balancer", endpoint "logo": nginx passes a request on with one call, not 2: put an app behind it`},
		{"nginx to thrift", "buy: [{call: web.buy, timeout: 5s}]", "buy: [{call: items.reserve}]", `shop.yaml:16: service "balancer", endpoint "buy": nginx speaks http, but "items" speaks thrift: put an app that translates between them`},
		{"nginx with neither", "logo: [{work: {reply: 16KiB}}]", "logo: []", `shop.yaml:12: service "balancer", endpoint "logo": nginx neither passes the request on nor has a file to reply: add a call, or work with a reply`},

		// Users.
		{"weight", "weight: 9", "weight: 0", `shop.yaml:8: request "browse": weight is 0: choose from 1e-06 to 1e+06`},
		{"request twice", "name: logo", "name: buy", `shop.yaml:10: request "buy" is described twice: rename or remove one`},
		{"request to a database", "call: balancer.logo", "call: items-db.query", `shop.yaml:10: request "logo": users cannot call "items-db", which is postgresql: let them call an app or nginx`},
		{"qos of no entry", "{service: balancer, p", "{service: web, p", `shop.yaml:5: qos of "web", which no request calls: promise something of balancer`},
		{"qos percentile", "percentile: 99", "percentile: 0.99", `shop.yaml:5: qos: percentile is 0.99: choose from 1 to 99.999`},
		{"qos target", "target: 20ms", "target: 20s20m", `shop.yaml:5: qos: target is 20m20s: choose from 100µs to 1m0s`},
		{"no qos", "qos: [{service: balancer, percentile: 99, target: 20ms}]", "", `shop.yaml: no qos: promise something of an entry, for example {service: web, percentile: 99, target: 20ms}`},
		{"no load", "load: {rate: 50}", "", `shop.yaml: load: rate, in requests per second, is 0: choose from 0.001 to 1e+06
shop.yaml: load: connections is 0: choose from 1 to 10000`},

		// All calls together.
		{"not reached", "            - {call: ads.pick, chance: 0.2, timeout: 50ms}", "            - {call: items.list}", `shop.yaml:57: service "ads" is reached by no request: call it, or remove it`},
		{"endless", "pick: [", "pick: [{call: web.browse}, ", `shop.yaml:19: endless: web.browse -> ads.pick -> web.browse: an answer would need itself, end the circle somewhere`},
		{"waiting in a circle", "pick: [", "pick: [{call: web.buy}, ", `shop.yaml:19: services wait for each other in a circle and can block for good: web, ads: make a call async, or set "allow_cycles: true" if it is meant`},
		{"too much", "{call: items.reserve, repeat: 2}", "{repeat: 100, parallel: [{repeat: 100, call: items.reserve}, {repeat: 100, parallel: [{call: items.list}, {repeat: 50, call: items.list}]}]}", `shop.yaml: a request makes 95171 calls on average: at most 10000, repeat less`},

		{"several", "pool: 8", "pool: 8000\n    backlog: 0\n    size: 3", `shop.yaml:44: unknown field "size": there are backlog, cpu_limit, endpoints, kind, memory_limit, name, pool, protocol, replicas, stands_for, workers`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			text := tt.new
			if tt.old != "" {
				if strings.Count(shop, tt.old) == 0 {
					t.Fatalf("%q is not in the shop", tt.old)
				}
				text = strings.Replace(shop, tt.old, tt.new, 1)
			}
			_, err := Parse("shop.yaml", []byte(text))
			if err == nil {
				t.Fatal("no error")
			}
			if err.Error() != tt.want {
				t.Errorf("got\n%v\nwant\n%s", err, tt.want)
			}
		})
	}
}

// TestAllowed: what looks wrong and is not.
func TestAllowed(t *testing.T) {
	tests := []struct {
		name string
		app  *App
	}{
		{"circle of which one call is asynchronous", calls(t, "a.x: b.x", "b.x: ~a.y", "a.y:")},
		{"endpoint without steps", calls(t, "a.x:")},
		{"diamond", calls(t, "a.x: b.x c.x", "b.x: d.x", "c.x: d.x", "d.x:")},
	}
	for _, tt := range tests {
		if err := tt.app.Validate(); err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	meant := calls(t, "a.x: b.x", "b.x: a.y", "a.y:")
	if err := meant.Validate(); err == nil {
		t.Error("a synchronous circle passes without allow_cycles")
	}
	meant.AllowCycles = true
	if err := meant.Validate(); err != nil {
		t.Errorf("a synchronous circle with allow_cycles: %v", err)
	}
}

// TestProblemsAreBounded: a file for another program is wrong everywhere.
func TestProblemsAreBounded(t *testing.T) {
	var text strings.Builder
	for i := range 100 {
		text.WriteString(strings.Repeat("x", i+1) + ": 1\n")
	}
	_, err := Parse("other.yaml", []byte(text.String()))
	if err == nil {
		t.Fatal("no error")
	}
	lines := strings.Split(err.Error(), "\n")
	if len(lines) != shownProblems+1 || lines[shownProblems] != "and 80 more" {
		t.Errorf("%d lines, the last %q, want %d and how many more", len(lines), lines[len(lines)-1], shownProblems)
	}
}

// FuzzParse: no input may do harm, and what is accepted can be written and read
// again.
func FuzzParse(f *testing.F) {
	shop, err := os.ReadFile("testdata/shop.yaml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(shop)
	f.Add([]byte("schema: 1\nname: a\nqos: []\nrequests: [{}]\nservices: [{name: b, endpoints: {x: [{lock: {steps: []}}]}}]\n"))
	f.Add([]byte("services: &a [{endpoints: {x: &x [{parallel: [{work: {cpu: 1s}}]}]}}]\nqos: *a\n"))
	f.Add([]byte("? [a]\n: ~\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		app, err := Parse("fuzz.yaml", data)
		if err != nil {
			if len(err.Error()) == 0 {
				t.Error("an error without text")
			}
			return
		}
		app.Order()
		app.Edges()
		again, err := app.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Parse("again.yaml", again); err != nil {
			t.Errorf("what was accepted is refused when written again: %v\n%s", err, again)
		}
	})
}
