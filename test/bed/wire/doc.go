// Package wire is how the testbed's own programs talk to each other: Thrift
// (framed transport, binary protocol), gRPC and HTTP/1.1 with keep-alive, client
// and server, without generated code. What travels is an endpoint's name, a trace
// context and an answer of a given size:
//
//	protocol  endpoint                  trace context
//	http      GET /ENDPOINT             header traceparent
//	grpc      /SERVICE/ENDPOINT         metadata traceparent
//	thrift    message name ENDPOINT     field 1, a string
//
// A Server with Workers reads no request before a worker is free to work on it,
// and accepts no connection. What has to wait therefore waits in the kernel's
// queues, where a tracer can see it, as it would before a server with a fixed
// number of threads.
package wire
