// Package campaign is the directory in which a campaign is kept: a seeded
// schedule of load and faults, run on the testbed or in the simulator, with what
// was injected, what the users felt, and what the queues showed. Training,
// evaluation and import read it; DESIGN.md section 10 is its contract.
//
//	manifest.json       what was run: Manifest
//	truth.jsonl         a Fault a line, written before the fault begins
//	violations.jsonl    a Violation a line, derived from the requests
//	requests.parquet    every request of the users: Request
//	samples.seer        every sample of every container: SampleWriter
//
// All times are relative to Manifest.Start. A directory is complete once its
// manifest says so; until then its writer may go on with it (a campaign can be
// resumed), and Check tells what is missing.
//
// Two directories of one seed from the simulator are equal byte by byte.
package campaign
