// Package rpc makes traces of what request hooks recorded in a window of time
// (bpf/spans.bpf.h), without anything that applications pass on (DESIGN.md section 4).
//
// The two ends of one request know its first byte by the same sequence number: that
// joins them. Inside a service a request sent is linked to the request received for
// which it was sent by the thread, where the window shows that each of its threads
// serves one request at a time, or because only one request was open. All else stays
// unlinked, with the reason: a link is never guessed.
package rpc
