package tier

import (
	"fmt"
	"strings"
	"testing"

	"seer/infer/topology"
)

// chain is three tiers, the middle one with every kind of step that calls.
const chain = `
schema: 1
name: chain
qos: [{service: front, percentile: 99, target: 20ms}]
requests: [{name: get, weight: 1, call: front.get}]
load: {rate: 10}
services:
  - name: front
    kind: app
    protocol: http
    endpoints:
      get:
        - {call: middle.sequence, repeat: 2}
        - work: {reply: 500}
  - name: middle
    kind: app
    protocol: PROTOCOL
    endpoints:
      sequence:
        - work: {cpu: 50us}
        - {call: back.one}
        - parallel:
            - {call: back.one}
            - {call: back.two}
        - lock:
            name: table
            steps: [{call: back.two}]
        - {call: back.two, async: true}
  - name: back
    kind: app
    protocol: PROTOCOL
    workers: 4
    endpoints:
      one: [{work: {cpu: 20us, reply: 100}}]
      two: [{work: {cpu: 20us}}]
`

func TestChain(t *testing.T) {
	for _, p := range []topology.Protocol{topology.ProtocolThrift, topology.ProtocolGRPC, topology.ProtocolHTTP} {
		t.Run(string(p), func(t *testing.T) {
			app := parse(t, strings.ReplaceAll(chain, "PROTOCOL", string(p)))
			tiers := map[string]*process{}
			for _, name := range []string{"back", "middle", "front"} {
				tiers[name] = start(t, Config{Service: app.Service(name), Peers: Peers(app, name, func(callee string) []string {
					return []string{tiers[callee].cfg.Listen}
				})})
			}
			conn := tiers["front"].dial(t)
			const requests = 20
			for range requests {
				size, err := conn.Call(within(t), tiers["front"].request("get"))
				if err != nil || size != 500 {
					t.Fatalf("call = %d bytes, %v, want 500", size, err)
				}
			}
			for name, want := range map[string]int64{"front": requests, "middle": 2 * requests, "back": 10 * requests} {
				// Those that nobody waits for may still be under way.
				wait(t, fmt.Sprintf("%s to have answered %d requests", name, want), func() bool {
					s := tiers[name].stats(t)
					return s.Ended == (Ended{OK: want}) && s.Outstanding.Now == 0 && s.Outstanding.Count == want
				})
			}
			wait(t, "middle to have no call under way", func() bool {
				p := tiers["middle"].stats(t).Peers["back"]
				return p.Ended.OK == 10*requests && p.Downstream.Now == 0
			})
		})
	}
}
