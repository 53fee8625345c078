//go:build linux

package main

import (
	"bufio"
	"fmt"
	"net"
	"os"

	"seer/test/lab"
)

// memcachedLoad is a closed loop of gets, each connection asking again as soon
// as it is answered. Debian has no load generator for memcached.
type memcachedLoad struct {
	Addr  string `json:"addr"`
	Conns int    `json:"conns"`
}

func memcachedLoadWorkload(w *lab.Worker) error {
	var cfg memcachedLoad
	if err := w.Begin(&cfg); err != nil {
		return err
	}
	conns := make([]net.Conn, cfg.Conns)
	for i := range conns {
		var err error
		if conns[i], err = net.Dial("tcp4", cfg.Addr); err != nil {
			return err
		}
	}
	set := bufio.NewReader(conns[0])
	if _, err := fmt.Fprintf(conns[0], "set key 0 0 32\r\n%032d\r\n", 0); err != nil {
		return err
	}
	line, err := set.ReadString('\n')
	if err != nil {
		return fmt.Errorf("set: %w", err)
	}
	if line != "STORED\r\n" {
		return fmt.Errorf("set: answered %q", line)
	}
	for _, c := range conns {
		go getForever(c)
	}
	return w.Serve(nil)
}

func getForever(c net.Conn) {
	replies := bufio.NewReader(c)
	for range maxRequests {
		if _, err := c.Write([]byte("get key\r\n")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		for {
			line, err := replies.ReadSlice('\n')
			if err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
			if string(line) == "END\r\n" {
				break
			}
		}
	}
}
