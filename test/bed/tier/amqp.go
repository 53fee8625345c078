package tier

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// amqpClient has one connection, and a channel for each call at once, as is usual
// with AMQP.
type amqpClient struct {
	addr  string
	sizes sizes

	mu   sync.Mutex
	conn *amqp.Connection
	idle []*amqp.Channel
}

func newAMQPClient(addr string, s sizes) *amqpClient { return &amqpClient{addr: addr, sizes: s} }

// queueName is the queue that all publish to. It keeps the newest queueLength.
const (
	queueName   = dbName
	queueLength = 10_000
)

func (a *amqpClient) prepare(ctx context.Context) error {
	ch, err := a.channel(ctx)
	if err != nil {
		return err
	}
	_, err = ch.QueueDeclare(queueName, false, false, false, false, amqp.Table{"x-max-length": int32(queueLength)})
	a.put(ch, err)
	return err
}

func (a *amqpClient) call(ctx context.Context, c call) error {
	ch, err := a.channel(ctx)
	if err != nil {
		return err
	}
	switch c.endpoint {
	case "publish":
		err = a.publish(ctx, ch)
	case "consume":
		_, _, err = ch.Get(queueName, true)
	default:
		err = errUnknown("rabbitmq", c.endpoint)
	}
	a.put(ch, err)
	return err
}

// publish returns once the broker has the message.
func (a *amqpClient) publish(ctx context.Context, ch *amqp.Channel) error {
	sent, err := ch.PublishWithDeferredConfirmWithContext(ctx, "", queueName, false, false,
		amqp.Publishing{Body: value(a.sizes.of("publish"))})
	if err != nil {
		return err
	}
	taken, err := sent.WaitContext(ctx)
	if err == nil && !taken {
		err = errors.New("the broker refused the message")
	}
	return err
}

// channel takes an idle channel or opens one.
func (a *amqpClient) channel(ctx context.Context) (*amqp.Channel, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.conn != nil && a.conn.IsClosed() {
		a.conn, a.idle = nil, nil
	}
	if n := len(a.idle); n > 0 {
		ch := a.idle[n-1]
		a.idle = a.idle[:n-1]
		return ch, nil
	}
	if a.conn == nil {
		conn, err := amqp.DialConfig("amqp://"+a.addr, amqp.Config{
			SASL:      []amqp.Authentication{&amqp.PlainAuth{Username: "guest", Password: "guest"}},
			Vhost:     "/",
			Heartbeat: 30 * time.Second,
			Dial: func(network, addr string) (net.Conn, error) {
				var d net.Dialer
				conn, err := d.DialContext(ctx, network, addr)
				if err != nil {
					return nil, err
				}
				// For the handshake; the library then has deadlines of its own.
				deadline, _ := ctx.Deadline()
				return conn, conn.SetDeadline(deadline)
			},
		})
		if err != nil {
			return nil, err
		}
		a.conn = conn
	}
	ch, err := a.conn.Channel()
	if err != nil {
		return nil, err
	}
	if err := ch.Confirm(false); err != nil {
		return nil, fmt.Errorf("ask for confirmations: %w", err)
	}
	return ch, nil
}

// put gives a channel back. One with an error is of no more use: the broker
// closes it, or its next confirmation would be another's.
func (a *amqpClient) put(ch *amqp.Channel, err error) {
	if err != nil {
		ch.Close()
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.idle = append(a.idle, ch)
}

func (a *amqpClient) close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.conn != nil {
		a.conn.Close()
	}
}
