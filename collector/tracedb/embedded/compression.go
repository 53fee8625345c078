package embedded

import "github.com/cockroachdb/pebble/v2"

// compression of tables: the cheapest there is. Chunks are dense already, and
// Seer's CPU is worth more than the host's disk.
var compression = pebble.DBCompressionFastest
