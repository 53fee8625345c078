package export

import (
	"io"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress/zstd"
)

// rowGroupRows bounds what is buffered: a row group stays in memory until it is
// complete.
const rowGroupRows = 100_000

type parquetWriter struct {
	w   *parquet.GenericWriter[Row]
	one [1]Row
}

func newParquetWriter(w io.Writer) *parquetWriter {
	return &parquetWriter{w: parquet.NewGenericWriter[Row](w,
		parquet.MaxRowsPerRowGroup(rowGroupRows),
		parquet.Compression(&zstd.Codec{}),
		parquet.CreatedBy("seer", "1", ""),
	)}
}

func (p *parquetWriter) write(r *Row) error {
	p.one[0] = *r
	_, err := p.w.Write(p.one[:])
	return err
}

func (p *parquetWriter) close() error { return p.w.Close() }
