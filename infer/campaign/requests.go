package campaign

import (
	"errors"
	"fmt"
	"io"
	"iter"
	"os"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress/zstd"
)

// rowGroupRows bounds what is buffered: a row group stays in memory until it is
// complete, about 4 MB. Its end depends on the number of rows alone, so that
// equal requests give equal bytes.
const rowGroupRows = 100_000

// writeRequests writes requests.parquet and returns the violations that it
// contains, in one pass.
func writeRequests(path string, requests iter.Seq2[Request, error], qos []QoS) ([]Violation, error) {
	d := newDeriver(qos)
	err := writeFile(path, func(f *os.File) error {
		w := parquet.NewGenericWriter[Request](f,
			parquet.MaxRowsPerRowGroup(rowGroupRows),
			parquet.Compression(&zstd.Codec{}),
			// No version of anything that is linked: the bytes do not depend on it.
			parquet.CreatedBy("seer", "1", ""),
		)
		batch := make([]Request, 0, 1024)
		for r, err := range requests {
			if err != nil {
				return err
			}
			d.add(&r)
			if batch = append(batch, r); len(batch) == cap(batch) {
				if _, err := w.Write(batch); err != nil {
					return err
				}
				batch = batch[:0]
			}
		}
		if _, err := w.Write(batch); err != nil {
			return err
		}
		return w.Close()
	})
	if err != nil {
		return nil, err
	}
	return d.finish(), nil
}

// readParquet iterates over requests.parquet, a row group at a time.
func readParquet(path string) iter.Seq2[Request, error] {
	return func(yield func(Request, error) bool) {
		if err := eachRow(path, yield); err != nil {
			yield(Request{}, fmt.Errorf("%s: %w", path, err))
		}
	}
}

func eachRow(path string, yield func(Request, error) bool) (err error) {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	// The library panics on some damaged files instead of returning an error.
	running := false
	defer func() {
		if p := recover(); p != nil {
			if running {
				panic(p)
			}
			err = fmt.Errorf("%v: %w", p, ErrCorrupt)
		}
	}()
	file, err := parquet.OpenFile(f, info.Size())
	if err != nil {
		return fmt.Errorf("%w: %w", err, ErrCorrupt)
	}
	if want := parquet.SchemaOf(Request{}); !parquet.EqualNodes(file.Schema(), want) {
		return fmt.Errorf("columns are %v, not those of requests: %w", file.Schema(), ErrCorrupt)
	}
	r := parquet.NewGenericReader[Request](file)
	defer r.Close()
	batch := make([]Request, 1024)
	for {
		n, err := r.Read(batch)
		running = true
		for i := range batch[:n] {
			if !yield(batch[i], nil) {
				return nil
			}
		}
		running = false
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%w: %w", err, ErrCorrupt)
		}
	}
}
