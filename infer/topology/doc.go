// Package topology describes an application of microservices: its services, how
// each answers each request, who calls whom, and the latency that its users are
// promised. The testbed builds real processes from a description, the simulator
// (infer/sim) the same application in virtual time. Both read the same file, so
// that what is learned from one can be held to the other.
//
// A file is YAML:
//
//	schema: 1
//	name: shop
//	qos: [{service: web, percentile: 99, target: 20ms}]
//	requests:
//	  - {name: browse, weight: 9, call: web.browse}
//	  - {name: buy, weight: 1, call: web.buy}
//	services:
//	  - name: web
//	    kind: app
//	    protocol: http
//	    workers: 32
//	    endpoints:
//	      browse:
//	        - work: {cpu: 300us}
//	        - cache: {call: items-cache.get, hit: 0.9, miss: [{call: items.list}], fill: items-cache.set}
//	      buy:
//	        - parallel:
//	            - {call: items.reserve}
//	            - {call: payment.charge, timeout: 200ms, retries: 1}
//
// Load and Parse refuse what neither could run, and name the line.
package topology
