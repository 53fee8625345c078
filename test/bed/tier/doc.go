// Package tier is the program behind every service of kind app in the testbed:
// one process that listens, and answers as a topology.Service says it does. It
// speaks Thrift, gRPC or HTTP/1.1 (package wire) to those who call it, and to its
// peers also memcached, Redis, PostgreSQL, MySQL and AMQP through the usual Go
// clients.
//
// Over a control socket (HTTP on a unix socket) it is told to misbehave, and says
// what it knows of itself, which is the truth that a tracer is held to. The socket
// opens once the stores that the tier calls have answered: it is ready then.
//
//	GET /stats      Stats: requests outstanding in the process, calls per peer
//	POST /fault     Fault: begin to misbehave, instead of as before
//	DELETE /fault   behave again
//
// What is random follows from Config.Seed and the number of the request.
package tier
