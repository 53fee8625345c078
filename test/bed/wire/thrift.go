package wire

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/apache/thrift/lib/go/thrift"
)

// thriftCodec is the binary protocol in the framed transport. A call's arguments
// are field 1, the trace context; its result is field 0, binary, or an
// application exception.
type thriftCodec struct{}

// The fields of a message.
const (
	traceField  = 1
	resultField = 0
)

func (thriftCodec) writeRequest(w *bufio.Writer, r Request) error {
	return writeFrame(w, r.Endpoint, thrift.CALL, func(ctx context.Context, p *thrift.TBinaryProtocol) error {
		return firstError(
			p.WriteFieldBegin(ctx, "trace", thrift.STRING, traceField),
			p.WriteString(ctx, r.Trace),
			p.WriteFieldStop(ctx))
	})
}

func (thriftCodec) writeReply(w *bufio.Writer, r Request, reply Reply) error {
	if reply.Err != nil {
		return writeFrame(w, r.Endpoint, thrift.EXCEPTION, func(ctx context.Context, p *thrift.TBinaryProtocol) error {
			return thrift.NewTApplicationException(thrift.INTERNAL_ERROR, reply.Err.Error()).Write(ctx, p)
		})
	}
	return writeFrame(w, r.Endpoint, thrift.REPLY, func(ctx context.Context, p *thrift.TBinaryProtocol) error {
		return firstError(
			p.WriteFieldBegin(ctx, "success", thrift.STRING, resultField),
			p.WriteBinary(ctx, padding[:min(reply.Size, maxReply)]),
			p.WriteFieldStop(ctx))
	})
}

func (thriftCodec) readRequest(br *bufio.Reader) (Request, error) {
	ctx := context.Background()
	name, kind, p, err := readFrame(br)
	if err != nil {
		return Request{}, err
	}
	if kind != thrift.CALL {
		return Request{}, fmt.Errorf("thrift message %q: type %d, want a call", name, kind)
	}
	r := Request{Endpoint: name}
	err = readFields(ctx, p, func(id int16, t thrift.TType) (bool, error) {
		if id != traceField || t != thrift.STRING {
			return false, nil
		}
		r.Trace, err = p.ReadString(ctx)
		return true, err
	})
	return r, err
}

func (thriftCodec) readReply(br *bufio.Reader) (int, error) {
	ctx := context.Background()
	name, kind, p, err := readFrame(br)
	if err != nil {
		return 0, err
	}
	switch kind {
	case thrift.EXCEPTION:
		exception := thrift.NewTApplicationException(thrift.UNKNOWN_APPLICATION_EXCEPTION, "")
		if err := exception.Read(ctx, p); err != nil {
			return 0, err
		}
		return 0, &RemoteError{exception.Error()}
	case thrift.REPLY:
		size := 0
		err := readFields(ctx, p, func(id int16, t thrift.TType) (bool, error) {
			if id != resultField || t != thrift.STRING {
				return false, nil
			}
			b, err := p.ReadBinary(ctx)
			size = len(b)
			return true, err
		})
		return size, err
	}
	return 0, fmt.Errorf("thrift message %q: type %d, want a reply", name, kind)
}

// writeFrame writes a message whose struct body writes.
func writeFrame(w *bufio.Writer, name string, kind thrift.TMessageType, body func(context.Context, *thrift.TBinaryProtocol) error) error {
	ctx := context.Background()
	buf := thrift.NewTMemoryBuffer()
	p := thrift.NewTBinaryProtocolConf(buf, nil)
	// One call at a time: no sequence number is needed.
	if err := firstError(p.WriteMessageBegin(ctx, name, kind, 0), body(ctx, p), p.WriteMessageEnd(ctx)); err != nil {
		return err
	}
	if err := binary.Write(w, binary.BigEndian, uint32(buf.Len())); err != nil {
		return err
	}
	_, err := w.Write(buf.Bytes())
	return err
}

// readFrame reads a whole message and stops before its struct.
func readFrame(br *bufio.Reader) (string, thrift.TMessageType, *thrift.TBinaryProtocol, error) {
	var head [4]byte
	if _, err := io.ReadFull(br, head[:]); err != nil {
		return "", 0, nil, err
	}
	size := binary.BigEndian.Uint32(head[:])
	if size > maxReply+1024 {
		return "", 0, nil, fmt.Errorf("thrift frame of %d bytes, at most %d are allowed: is the peer's transport framed?", size, maxReply+1024)
	}
	buf := thrift.NewTMemoryBufferLen(int(size))
	if _, err := io.CopyN(buf, br, int64(size)); err != nil {
		return "", 0, nil, err
	}
	p := thrift.NewTBinaryProtocolConf(buf, nil)
	name, kind, _, err := p.ReadMessageBegin(context.Background())
	return name, kind, p, err
}

// readFields reads a struct to its end. take reports whether it has read the
// field; others are skipped.
func readFields(ctx context.Context, p *thrift.TBinaryProtocol, take func(id int16, t thrift.TType) (bool, error)) error {
	for {
		_, t, id, err := p.ReadFieldBegin(ctx)
		if err != nil || t == thrift.STOP {
			return err
		}
		taken, err := take(id, t)
		if err == nil && !taken {
			err = p.Skip(ctx, t)
		}
		if err != nil {
			return err
		}
	}
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
