package bpf

//go:generate go tool bpf2go -tags linux -target bpfel -output-suffix _test -type queue_cell -type loss_reason -type container_row testAccount account_test.bpf.c
//go:generate go tool bpf2go -tags linux -target bpfel -output-suffix _test -type socket_turn testVerdict verdict_test.bpf.c
//go:generate go tool bpf2go -tags linux -target bpfel -output-suffix _test -type exact_row -type exact_counters -type latency_row -type socket_role -type socket_turn -type loss_reason testExact exact_test.bpf.c
