// Package campaign is the directory in which a campaign is kept: a seeded
// schedule of load and faults, run on the testbed or in the simulator, with what
// was injected, what the users felt, and what the queues showed. Training,
// evaluation and import read it; DESIGN.md section 10 is its contract, and
// docs/CAMPAIGN.md describes every file for those who write their own reader.
//
//	manifest.json       what was run: Manifest
//	topology.yaml       the application: seer/infer/topology
//	truth.jsonl         a Fault a line, on disk before the fault begins
//	violations.jsonl    a Violation a line, derived from the requests
//	requests.parquet    every request of the users: Request
//	requests.log        the same until the campaign is complete
//	samples.seer        every sample of every container: SampleWriter
//
// All times are relative to Manifest.Start. A directory is complete once its
// manifest says so; until then Resume may go on with it, whatever its writer
// died of, and Check tells what is missing.
//
//	plan, err := campaign.NewPlan(app, seed, time.Hour, campaign.PlanOptions{})
//	w, err := campaign.Create(dir, manifest, app)
//	w.Fault(plan.Faults[0])                     // before it begins
//	w.Request(request)                          // when it has ended
//	w.Samples().Add(container, from, to, &cells)
//	violations, err := w.Finish()
//
// The plan follows from its seed alone, on any machine, and two directories of
// one seed from the simulator are equal byte by byte.
package campaign
