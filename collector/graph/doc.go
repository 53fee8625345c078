// Package graph is the application as a graph: services, and who calls whom.
//
// It puts services in the order in which a model reads them and an operator
// follows a request back (DESIGN.md section 4): whoever is called comes before
// whoever calls. Services that call each other in a circle have no such order;
// they stay together, and are reported, since a synchronous circle is a fault
// of the design.
package graph
