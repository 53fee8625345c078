// Package protocol names requests from the first bytes of one: which protocol a
// connection speaks and what is asked of it, such as "GET /orders/{id}",
// "/hotel.Search/Nearby", "SELECT orders" or "HGET".
//
// Parse is given a sample of at most [MaxSample] bytes, keeps nothing of it, and
// returns a name from which everything that identifies one object is gone: ids in
// paths, literals in SQL, keys. [Names] counts them and bounds how many there are.
//
// A sample of encrypted bytes, or from the middle of a request, has no name.
package protocol
