// Package servers runs the real servers of an application: nginx, memcached,
// Redis, PostgreSQL, MariaDB and RabbitMQ as Debian packages them. It decides how
// they are configured, what data they hold and when they are ready; where they
// run is the caller's matter.
//
// # What a client finds
//
// Every server listens on its default port ([Port]), is small (its caches and
// buffers are a few megabytes) and empty: clients create the tables, queues and
// keys that they want. The only network is the application's, and there are no
// passwords on it but RabbitMQ's.
//
//	nginx        GET or POST /ENDPOINT is forwarded to the service that the endpoint
//	             calls, over kept-alive connections; one that calls nobody
//	             answers itself. GET /seerbed-ready answers 204.
//	memcached    64 MiB, then the least used goes
//	Redis        64 MiB, then the least used goes
//	PostgreSQL   user seerbed, database seerbed
//	MariaDB      user seerbed, database seerbed
//	RabbitMQ     user guest with password guest, vhost /
//
// The databases write durably, at the price of a sync per commit, in services
// that have an insert or update endpoint, and else not at all.
package servers
