package collector

import "testing"

func TestStreamsLoad(t *testing.T) {
	c := open(t, Config{})
	if err := c.streams.load(); err != nil {
		t.Fatalf("%+v", err)
	}
}
