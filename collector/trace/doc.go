// Package trace reads the spans of applications that are traced already, and
// rebuilds from them what Seer would have measured: how many requests each
// service held, and how many it waited for, at each tick (DESIGN.md section 4).
//
// Read takes OTLP JSON, Jaeger JSON and Zipkin JSON version 2, tells them apart
// itself, and keeps of a span what is needed here, 64 bytes. Link finds each
// span's parent, takes out spans that were reported twice, and sets right the
// clocks of hosts that disagree. Depths then sweeps over time.
//
// Trace files are made by many programs and are often broken in places. What can
// be understood is used; the rest is left out and counted in Warnings. Only a file
// that is no JSON, or none of these formats, is an error.
//
// A trace that was not sampled is not in the file: depths are those of the
// sampled requests.
package trace
