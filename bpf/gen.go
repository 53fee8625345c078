package bpf

//go:generate go tool bpf2go -tags linux -target bpfel -type queue_id -type loss_reason -type hook_id -type family_id -type socket_role -type socket_turn -type queue_cell -type container_row -type control -type family_stats -type socket_state -type tracked_socket -type index_counts -type listener_key -type call_key -type call_counts Socket socket.bpf.c
//go:generate go tool bpf2go -tags linux -target bpfel -type socket_record Dump dump.bpf.c
//go:generate go tool bpf2go -tags linux -target bpfel Discover discover.bpf.c
//go:generate go tool bpf2go -tags linux -target bpfel -type epoll_state Epoll epoll.bpf.c
//go:generate go tool bpf2go -tags linux -target bpfel Sched sched.bpf.c
//go:generate go tool bpf2go -tags linux -target bpfel Block block.bpf.c
//go:generate go tool bpf2go -tags linux -target bpfel -type exact_row -type exact_counters -type latency_row -type request_event -type span_record RequestTracepoint request_tracepoint.bpf.c
//go:generate go tool bpf2go -tags linux -target bpfel Stamp stamp.bpf.c
//go:generate go tool bpf2go -tags linux -target bpfel RequestFexit request_fexit.bpf.c
//go:generate go tool bpf2go -tags linux -target amd64,arm64 RequestKretprobe request_kretprobe.bpf.c
//go:generate go tool bpf2go -tags linux -target bpfel -type packet_direction -type packet_event -type packet_key -type packet_counts -type packet_socket Packet packet.bpf.c
//go:generate go tool bpf2go -tags linux -target bpfel -type followed -type stream_row -type stream_counters -type stream_sample Stream stream.bpf.c
