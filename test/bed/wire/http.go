package wire

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// httpCodec is HTTP/1.1 with keep-alive. Messages are written by hand and read by
// net/http, whose server and transport would add goroutines and a read-ahead that
// takes the next request from the socket before there is a worker for it.
type httpCodec struct{}

func (httpCodec) writeRequest(w *bufio.Writer, r Request) error {
	_, err := fmt.Fprintf(w, "GET /%s HTTP/1.1\r\nHost: %s\r\n", url.PathEscape(r.Endpoint), r.Service)
	if r.Trace != "" {
		_, err = fmt.Fprintf(w, "traceparent: %s\r\n", r.Trace)
	}
	if err == nil {
		_, err = w.WriteString("\r\n")
	}
	return err
}

func (httpCodec) readReply(br *bufio.Reader) (int, error) {
	resp, err := http.ReadResponse(br, nil)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	if resp.StatusCode >= 400 {
		text, err := io.ReadAll(io.LimitReader(resp.Body, 512))
		if err != nil {
			return 0, err
		}
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			return 0, err
		}
		return len(text), &RemoteError{fmt.Sprintf("%s: %s", resp.Status, strings.TrimSpace(string(text)))}
	}
	n, err := io.Copy(io.Discard, resp.Body)
	return int(n), err
}

func (httpCodec) readRequest(br *bufio.Reader) (Request, error) {
	req, err := http.ReadRequest(br)
	if err != nil {
		return Request{}, err
	}
	defer req.Body.Close()
	if _, err := io.Copy(io.Discard, req.Body); err != nil {
		return Request{}, err
	}
	return Request{
		Service:  req.Host,
		Endpoint: strings.TrimPrefix(req.URL.Path, "/"),
		Trace:    req.Header.Get("Traceparent"),
	}, nil
}

func (httpCodec) writeReply(w *bufio.Writer, _ Request, reply Reply) error {
	status, body := "200 OK", padding[:min(reply.Size, maxReply)]
	if reply.Err != nil {
		status, body = "500 Internal Server Error", []byte(reply.Err.Error())
	}
	if _, err := fmt.Fprintf(w, "HTTP/1.1 %s\r\nContent-Type: application/octet-stream\r\nContent-Length: %d\r\n\r\n",
		status, len(body)); err != nil {
		return err
	}
	_, err := w.Write(body)
	return err
}
