package embedded

import (
	"encoding/binary"
	"time"

	"seer/collector/container"
	"seer/collector/tracedb"
)

// The first byte of a key names the table.
const (
	tableChunk     = 'c'
	tableEvent     = 'e'
	tableContainer = 'm'
)

var keyVersion = []byte{'v'}

// partition is the time that shares a key prefix, and the unit of retention.
const partition = 10 * time.Minute

const chunkKeyLength = 1 + 4 + 8 + 8

// partitionOf returns the number of the ten minutes that hold t.
func partitionOf(ns int64) uint32 {
	if ns < 0 {
		return 0
	}
	return uint32(min(ns/int64(partition), 1<<32-1))
}

func appendPartitionKey(dst []byte, p uint32) []byte {
	return binary.BigEndian.AppendUint32(append(dst, tableChunk), p)
}

func appendChunkKey(dst []byte, k tracedb.Key) []byte {
	dst = appendPartitionKey(dst, partitionOf(k.Start))
	dst = binary.BigEndian.AppendUint64(dst, uint64(k.Container))
	return binary.BigEndian.AppendUint64(dst, uint64(k.Start))
}

func parseChunkKey(key []byte) (tracedb.Key, bool) {
	if len(key) != chunkKeyLength || key[0] != tableChunk {
		return tracedb.Key{}, false
	}
	return tracedb.Key{
		Container: container.ID(binary.BigEndian.Uint64(key[5:])),
		Start:     int64(binary.BigEndian.Uint64(key[13:])),
	}, true
}

func appendContainerKey(dst []byte, id container.ID, first int64) []byte {
	dst = binary.BigEndian.AppendUint64(append(dst, tableContainer), uint64(id))
	return binary.BigEndian.AppendUint64(dst, uint64(first))
}

// eventTimeAt is where the time begins in the key of an event of a kind.
func eventTimeAt(kind string) int { return 1 + len(kind) + 1 }

func appendEventKey(dst []byte, kind string, ns int64, seq uint32) []byte {
	dst = append(append(append(dst, tableEvent), kind...), 0)
	dst = binary.BigEndian.AppendUint64(dst, uint64(max(ns, 0)))
	return binary.BigEndian.AppendUint32(dst, seq)
}
