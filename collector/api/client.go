package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"time"

	"seer/collector/container"
)

// DefaultSocket is where a running Seer answers.
const DefaultSocket = "/run/seer/seer.sock"

// Why a running Seer could not be asked.
var (
	ErrNotRunning = errors.New("seer is not running")
	ErrPermission = errors.New("permission denied")
	ErrSchema     = errors.New("different schema")
)

// Client asks a running Seer. It is safe for concurrent use.
type Client struct {
	path string
	http *http.Client
}

// Dial checks that a Seer answers on the socket at path and returns a client
// for it. The error wraps ErrNotRunning when nothing listens there, and
// ErrPermission when it may not be asked by this user.
func Dial(ctx context.Context, path string) (*Client, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", path)
	if err != nil {
		return nil, dialError(path, err)
	}
	conn.Close()
	return &Client{path: path, http: &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return d.DialContext(ctx, "unix", path)
		},
		DisableCompression: true,
		MaxIdleConns:       1,
		IdleConnTimeout:    10 * time.Second,
	}}}, nil
}

// Close drops idle connections. Streams end with their context.
func (c *Client) Close() error {
	c.http.CloseIdleConnections()
	return nil
}

// Get asks for the rows of one object ("queue") that sel selects.
func (c *Client) Get(ctx context.Context, object string, sel Selector) (*Document, error) {
	resp, err := c.get(ctx, "/v1/"+object, sel.Values())
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	var doc Document
	if err := json.NewDecoder(resp.Body).Decode(&doc); err != nil {
		return nil, fmt.Errorf("read %s from %s: %w", object, c.path, err)
	}
	if doc.Schema != Schema {
		return nil, schemaError(c.path, doc.Schema)
	}
	return &doc, nil
}

// Info says which Seer answers.
func (c *Client) Info(ctx context.Context) (*Info, error) {
	resp, err := c.get(ctx, "/v1/", nil)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	var info Info
	if err := json.NewDecoder(resp.Body).Decode(&info); err != nil {
		return nil, fmt.Errorf("read from %s: %w", c.path, err)
	}
	return &info, nil
}

// Stream yields a snapshot every so often, never more than one a tick, until
// ctx ends, Seer stops or the caller breaks off. It ends with an error, or
// without one when ctx was cancelled. Snapshots are the caller's to keep.
func (c *Client) Stream(ctx context.Context, every time.Duration) iter.Seq2[*Snapshot, error] {
	return func(yield func(*Snapshot, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		resp, err := c.get(ctx, "/v1/stream", url.Values{"every": {every.String()}})
		if err != nil {
			if ctx.Err() == nil {
				yield(nil, err)
			}
			return
		}
		defer resp.Body.Close()
		dec := newSnapshotDecoder(resp.Body, c.path)
		for {
			snap, err := dec.next()
			if ctx.Err() != nil {
				return
			}
			if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
				err = fmt.Errorf("%w: it closed the stream on %s: start it again with `seer run`", ErrNotRunning, c.path)
			}
			if !yield(snap, err) || err != nil {
				return
			}
		}
	}
}

func (c *Client) get(ctx context.Context, path string, query url.Values) (*http.Response, error) {
	return c.do(ctx, http.MethodGet, path, query, nil)
}

// do sends one request and turns every answer but 200 into an error.
func (c *Client) do(ctx context.Context, method, path string, query url.Values, body io.Reader) (*http.Response, error) {
	u := url.URL{Scheme: "http", Host: "seer", Path: path, RawQuery: query.Encode()}
	req, err := http.NewRequestWithContext(ctx, method, u.String(), body)
	if err != nil {
		return nil, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		var op *net.OpError
		if errors.As(err, &op) && op.Op == "dial" {
			return nil, dialError(c.path, op)
		}
		return nil, fmt.Errorf("ask seer on %s: %w", c.path, err)
	}
	if resp.StatusCode == http.StatusOK {
		return resp, nil
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(resp.Body, 4<<10))
	reason := strings.TrimSpace(string(text))
	switch resp.StatusCode {
	case http.StatusForbidden:
		return nil, fmt.Errorf("%w: %s", ErrPermission, reason)
	case http.StatusConflict:
		return nil, &ambiguousError{reason}
	case http.StatusNotFound:
		if method == http.MethodPost {
			return nil, &noViolation{reason}
		}
	}
	return nil, fmt.Errorf("ask seer on %s: %s: %s", c.path, resp.Status, reason)
}

// dialError says why nothing could be asked at path.
func dialError(path string, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("%w: nothing answers on %s: start it with `sudo seer run`", ErrNotRunning, path)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w: %s: run as root, or as the user that runs seer", ErrPermission, path)
	}
	return fmt.Errorf("connect to seer on %s: %w", path, err)
}

func schemaError(path string, got int) error {
	return fmt.Errorf("%w: seer on %s answers schema %d, this one reads %d: use the same version of both", ErrSchema, path, got, Schema)
}

// ambiguousError is container.ErrAmbiguous, as a server has put it.
type ambiguousError struct{ text string }

func (e *ambiguousError) Error() string   { return e.text }
func (e *ambiguousError) Is(t error) bool { return t == container.ErrAmbiguous }
