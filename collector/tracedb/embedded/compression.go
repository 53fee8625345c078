package embedded

import "github.com/cockroachdb/pebble/v2"

// compression of tables.
var compression = pebble.DBCompressionFastest
