//go:build !linux

package main

import (
	"context"
	"errors"
	"io"
)

func trace(context.Context, *runOptions, io.Writer) error {
	return kernelError(errors.New("seer traces on Linux only; on other systems it reads what was recorded"))
}

func localHooks() inspectHooks { return inspectHooks{} }
