package network

import (
	"fmt"
	"slices"
	"strings"

	"gorgonia.org/gorgonia"

	"seer/infer/nn"
)

// Names of the networks.
const (
	// CNN, LSTM and Hybrid are the paper's, with the layers and about the weights of
	// its table 2 (30, 52 and 80 thousand at 36 services).
	CNN    = "cnn"
	LSTM   = "lstm"
	Hybrid = "hybrid"
	// Residual is the hybrid repaired: residual convolution, one LSTM, one layer.
	Residual = "residual"
	// GraphLSTM and GraphGated pass messages along calls; their weights do not depend
	// on the number of services. They differ in the recurrent layer.
	GraphLSTM  = "graph-lstm"
	GraphGated = "graph"
)

// Ships is the network that is trained where nothing else is asked for.
const Ships = GraphGated

var networks = map[string]struct {
	batch int // table 2's
	build func(b *builder) (scores, none *gorgonia.Node)
}{
	CNN:        {4, cnn},
	LSTM:       {32, lstm},
	Hybrid:     {32, hybrid},
	Residual:   {32, residual},
	GraphLSTM:  {32, graphLSTM},
	GraphGated: {32, graphGated},
}

// Kinds lists the names.
func Kinds() []string {
	var names []string
	for name := range networks {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// BatchOf is the size of the batches that a network is trained in.
func BatchOf(kind string) (int, error) {
	n, ok := networks[kind]
	if !ok {
		return 0, unknown(kind)
	}
	return n.batch, nil
}

func unknown(kind string) error {
	return fmt.Errorf("no network %q: choose from %s", kind, strings.Join(Kinds(), ", "))
}

// cnn is 8 convolutions with ReLU. The last spans all ticks and yields a score per
// service; none is judged by what it sees, pooled.
func cnn(b *builder) (scores, none *gorgonia.Node) {
	const channels = 22
	grid := nn.Grid(b.ticks, b.batch, b.services, 3, 3)
	x := b.x
	for i := range 7 {
		x = b.layer(nn.Layer{Name: fmt.Sprintf("conv%d", i), Activation: nn.ReLU, Neighbourhood: &grid}, x, channels)
	}
	x = b.dropout(x)
	x = b.abreast(x)
	return b.layer(nn.Layer{Name: "conv7"}, x, 1), b.none(x)
}

// lstm is 6 LSTMs over all services of a tick, between 2 dense layers and 10.
func lstm(b *builder) (scores, none *gorgonia.Node) {
	const cells = 26
	x := b.layer(nn.Layer{Name: "fc0", Rows: b.ticks * b.batch, Activation: nn.Tanh}, b.x, cells)
	x = b.layer(nn.Layer{Name: "fc1", Activation: nn.Tanh}, x, cells)
	for i := range 6 {
		x = b.lstm(fmt.Sprintf("lstm%d", i), x, cells, 0, i == 5)
	}
	x = b.dropout(x)
	for i := 2; i < 11; i++ {
		x = b.layer(nn.Layer{Name: fmt.Sprintf("fc%d", i), Activation: nn.Sigmoid}, x, cells)
	}
	return b.layer(nn.Layer{Name: "fc11"}, x, b.services+1), nil
}

// hybrid is 7 convolutions, then dense layers and 5 LSTMs over all services of a tick,
// then dense layers to the scores: 10 dense ones in all.
func hybrid(b *builder) (scores, none *gorgonia.Node) {
	const channels, cells = 16, 32
	grid := nn.Grid(b.ticks, b.batch, b.services, 3, 3)
	x := b.x
	for i := range 7 {
		x = b.layer(nn.Layer{Name: fmt.Sprintf("conv%d", i), Activation: nn.ReLU, Neighbourhood: &grid}, x, channels)
	}
	x = b.layer(nn.Layer{Name: "fc0", Rows: b.ticks * b.batch, Activation: nn.Tanh}, x, 24)
	for i := range 5 {
		x = b.lstm(fmt.Sprintf("lstm%d", i), x, cells, 0, i == 4)
	}
	x = b.dropout(x)
	for i := 1; i < 9; i++ {
		x = b.layer(nn.Layer{Name: fmt.Sprintf("fc%d", i), Activation: nn.Sigmoid}, x, cells)
	}
	return b.layer(nn.Layer{Name: "fc9"}, x, b.services+1), nil
}

// residual is the hybrid that learns: its convolutions are corrections, a single LSTM,
// which at first forgets nothing, and a single dense layer keep the way to the loss
// short.
func residual(b *builder) (scores, none *gorgonia.Node) {
	const channels, cells = 16, 48
	grid := nn.Grid(b.ticks, b.batch, b.services, 3, 3)
	x := b.layer(nn.Layer{Name: "conv0", Activation: nn.ReLU, Neighbourhood: &grid}, b.x, channels)
	for i := range 3 {
		x = b.layer(nn.Layer{Name: fmt.Sprintf("conv%d", i+1), Activation: nn.ReLU, Neighbourhood: &grid, Residual: true}, x, channels)
	}
	x = b.layer(nn.Layer{Name: "fc0", Rows: b.ticks * b.batch, Activation: nn.ReLU}, x, cells)
	x = b.dropout(b.lstm("lstm", x, cells, 1, true))
	return b.layer(nn.Layer{Name: "fc1"}, x, b.services+1), nil
}

// Widths of the graph networks.
const (
	MixChannels = 24 // of the round of messages in every tick
	Cells       = 32 // of the recurrent layer, and of the rounds after it
)

func graphGated(b *builder) (scores, none *gorgonia.Node) {
	return graph(b, func(x *gorgonia.Node) *gorgonia.Node {
		// The gate cannot look at the state; one more layer before it makes up for that.
		x = b.layer(nn.Layer{Name: "tick", Activation: nn.ReLU, Residual: true}, x, MixChannels)
		return b.gated("gated", x, Cells)
	})
}

func graphLSTM(b *builder) (scores, none *gorgonia.Node) {
	return graph(b, func(x *gorgonia.Node) *gorgonia.Node { return b.lstm("lstm", x, Cells, 1, true) })
}

// graph looks at every service with the same weights: a round of messages in each
// tick, a recurrent layer over ticks, two rounds more, and a score; none is judged by
// all services together.
func graph(b *builder, recurrent func(x *gorgonia.Node) *gorgonia.Node) (scores, none *gorgonia.Node) {
	every := nn.Callers(b.ticks, b.batch, b.services, b.edges)
	once := nn.Callers(1, b.batch, b.services, b.edges)
	x := b.layer(nn.Layer{Name: "mix0", Activation: nn.ReLU, Neighbourhood: &every}, b.x, MixChannels)
	x = recurrent(x)
	x = b.dropout(x)
	x = b.layer(nn.Layer{Name: "mix1", Activation: nn.ReLU, Neighbourhood: &once, Residual: true}, x, Cells)
	x = b.layer(nn.Layer{Name: "mix2", Activation: nn.ReLU, Neighbourhood: &once, Residual: true}, x, Cells)
	return b.layer(nn.Layer{Name: "scores"}, x, 1), b.none(x)
}
