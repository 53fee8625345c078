package nn

import (
	"fmt"
	"hash"
	"hash/fnv"
	"strings"

	"github.com/chewxy/hm"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"seer/infer/matrix"
)

// kernel is the arithmetic of an operation. Both methods return buffers of their own.
type kernel[T matrix.Float] interface {
	forward(in [][]T) []T
	// backward returns the gradient of every input that is differentiable. out is
	// what forward returned last.
	backward(in [][]T, out, grad []T) [][]T
}

// op is a kernel as gorgonia wants it. gorgonia merges nodes that hash alike, so
// every operation of a graph has a name of its own.
type op[T matrix.Float] struct {
	kernel[T]
	name           string
	inputs         []tensor.Shape
	out            tensor.Shape // scalar: the loss
	differentiable []bool

	data   [][]T
	result gorgonia.Value
}

// apply makes a node of a kernel. Inputs that no weight is behind are not
// differentiated.
func apply[T matrix.Float](name string, k kernel[T], out tensor.Shape, inputs ...*gorgonia.Node) (*gorgonia.Node, error) {
	o := &op[T]{kernel: k, name: name, out: out}
	for _, in := range inputs {
		o.inputs = append(o.inputs, in.Shape())
		o.differentiable = append(o.differentiable, !isData(in))
	}
	n, err := gorgonia.ApplyOpWithName(o, name, inputs...)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return n, nil
}

// Data begins the names of inputs that are not learned.
const Data = "data"

func isData(n *gorgonia.Node) bool { return n.Op() == nil && strings.HasPrefix(n.Name(), Data) }

func (o *op[T]) Arity() int           { return len(o.inputs) }
func (o *op[T]) ReturnsPtr() bool     { return true }
func (o *op[T]) CallsExtern() bool    { return false }
func (o *op[T]) OverwritesInput() int { return -1 }
func (o *op[T]) String() string       { return o.name }
func (o *op[T]) WriteHash(h hash.Hash) {
	fmt.Fprintf(h, "%s", o.name)
}
func (o *op[T]) Hashcode() uint32 { return hashOf(o) }

func (o *op[T]) Type() hm.Type {
	return function[T](o.inputs, o.out)
}

func (o *op[T]) InferShape(...gorgonia.DimSizer) (tensor.Shape, error) { return o.out, nil }

func (o *op[T]) Do(in ...gorgonia.Value) (gorgonia.Value, error) {
	o.data = o.data[:0]
	for _, v := range in {
		o.data = append(o.data, numbers[T](v))
	}
	o.result = value(o.result, o.out, o.forward(o.data))
	return o.result, nil
}

func (o *op[T]) DiffWRT(int) []bool { return o.differentiable }

// SymDiff makes one node that computes all gradients and yields the last, which is
// the weights' where there are any, and small ones that hand out the others.
func (o *op[T]) SymDiff(inputs gorgonia.Nodes, output, grad *gorgonia.Node) (gorgonia.Nodes, error) {
	last := len(inputs) - 1
	for last > 0 && !o.differentiable[last] {
		last--
	}
	back := &backOp[T]{op: o, gives: last, grad: grad.Shape()}
	children := append(append(gorgonia.Nodes{}, inputs...), output, grad)
	node, err := gorgonia.ApplyOp(back, children...)
	if err != nil {
		return nil, fmt.Errorf("gradient of %s: %w", o.name, err)
	}
	grads := make(gorgonia.Nodes, len(inputs))
	grads[last] = node
	for i := range last {
		if !o.differentiable[i] {
			continue
		}
		if grads[i], err = gorgonia.ApplyOp(&partOp[T]{back: back, gives: i}, node); err != nil {
			return nil, fmt.Errorf("gradient of %s: %w", o.name, err)
		}
	}
	return grads, nil
}

// backOp runs backward. Its inputs are the operation's, its output, and the gradient
// of that.
type backOp[T matrix.Float] struct {
	*op[T]
	gives int
	grad  tensor.Shape

	data   [][]T
	grads  [][]T
	result gorgonia.Value
}

func (b *backOp[T]) Arity() int            { return len(b.inputs) + 2 }
func (b *backOp[T]) String() string        { return b.name + " backward" }
func (b *backOp[T]) WriteHash(h hash.Hash) { fmt.Fprint(h, b.String()) }
func (b *backOp[T]) Hashcode() uint32      { return hashOf(b) }
func (b *backOp[T]) DiffWRT(n int) []bool  { return make([]bool, n) }

func (b *backOp[T]) Type() hm.Type {
	in := append(append([]tensor.Shape{}, b.inputs...), b.out, b.grad)
	return function[T](in, b.inputs[b.gives])
}

func (b *backOp[T]) InferShape(...gorgonia.DimSizer) (tensor.Shape, error) {
	return b.inputs[b.gives], nil
}

func (b *backOp[T]) Do(in ...gorgonia.Value) (gorgonia.Value, error) {
	b.data = b.data[:0]
	for _, v := range in {
		b.data = append(b.data, numbers[T](v))
	}
	n := len(b.inputs)
	b.grads = b.backward(b.data[:n], b.data[n], b.data[n+1])
	b.result = value(b.result, b.inputs[b.gives], b.grads[b.gives])
	return b.result, nil
}

// partOp hands out a gradient that backOp has computed.
type partOp[T matrix.Float] struct {
	back   *backOp[T]
	gives  int
	result gorgonia.Value
}

func (p *partOp[T]) Arity() int            { return 1 }
func (p *partOp[T]) ReturnsPtr() bool      { return true }
func (p *partOp[T]) CallsExtern() bool     { return false }
func (p *partOp[T]) OverwritesInput() int  { return -1 }
func (p *partOp[T]) String() string        { return fmt.Sprintf("%s, input %d", p.back, p.gives) }
func (p *partOp[T]) WriteHash(h hash.Hash) { fmt.Fprint(h, p.String()) }
func (p *partOp[T]) Hashcode() uint32      { return hashOf(p) }

func (p *partOp[T]) Type() hm.Type {
	return function[T]([]tensor.Shape{p.back.inputs[p.back.gives]}, p.back.inputs[p.gives])
}

func (p *partOp[T]) InferShape(...gorgonia.DimSizer) (tensor.Shape, error) {
	return p.back.inputs[p.gives], nil
}

func (p *partOp[T]) Do(...gorgonia.Value) (gorgonia.Value, error) {
	p.result = value(p.result, p.back.inputs[p.gives], p.back.grads[p.gives])
	return p.result, nil
}

func hashOf(o interface{ WriteHash(hash.Hash) }) uint32 {
	h := fnv.New32a()
	o.WriteHash(h)
	return h.Sum32()
}

// DtypeOf is gorgonia's word for T.
func DtypeOf[T matrix.Float]() tensor.Dtype {
	var zero T
	if _, ok := any(zero).(float64); ok {
		return tensor.Float64
	}
	return tensor.Float32
}

func function[T matrix.Float](in []tensor.Shape, out tensor.Shape) hm.Type {
	var types []hm.Type
	for _, s := range append(append([]tensor.Shape{}, in...), out) {
		if s.IsScalar() {
			types = append(types, DtypeOf[T]())
			continue
		}
		types = append(types, gorgonia.TensorType{Dims: s.Dims(), Of: DtypeOf[T]()})
	}
	return hm.NewFnType(types...)
}

// numbers are the elements of a value, a scalar's too.
func numbers[T matrix.Float](v gorgonia.Value) []T {
	switch data := v.Data().(type) {
	case []T:
		return data
	case T:
		return []T{data}
	}
	panic(fmt.Sprintf("nn: a value of %T among those of %s", v.Data(), DtypeOf[T]()))
}

// value wraps data, in what wrapped it last time if it is the same.
func value[T matrix.Float](last gorgonia.Value, s tensor.Shape, data []T) gorgonia.Value {
	if s.IsScalar() {
		switch v := any(data[0]).(type) {
		case float32:
			return gorgonia.NewF32(v)
		case float64:
			return gorgonia.NewF64(v)
		}
	}
	if last != nil {
		if old := last.Data().([]T); &old[0] == &data[0] {
			return last
		}
	}
	return tensor.New(tensor.WithShape(s...), tensor.WithBacking(data))
}

// sized returns x with n elements, which may hold anything.
func sized[T matrix.Float](x []T, n int) []T {
	if cap(x) < n {
		return make([]T, n)
	}
	return x[:n]
}
