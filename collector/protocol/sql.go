package protocol

import "strings"

// statements are the words that SQL and CQL statements begin with, and the word
// before the table in each; empty: the table follows at once, "-": none is named.
var statements = map[string]string{
	"SELECT": "FROM", "INSERT": "INTO", "REPLACE": "INTO", "UPDATE": "", "DELETE": "FROM", "MERGE": "INTO", "TRUNCATE": "", "COPY": "", "CALL": "",
	"CREATE": "-", "ALTER": "-", "DROP": "-", "WITH": "-", "BEGIN": "-", "START": "-", "COMMIT": "-", "ROLLBACK": "-", "SAVEPOINT": "-", "RELEASE": "-",
	"SET": "-", "SHOW": "-", "USE": "-", "EXPLAIN": "-", "ANALYZE": "-", "VACUUM": "-", "LOCK": "-", "UNLOCK": "-", "PREPARE": "-", "EXECUTE": "-",
	"DEALLOCATE": "-", "DECLARE": "-", "FETCH": "-", "CLOSE": "-", "LISTEN": "-", "NOTIFY": "-", "UNLISTEN": "-", "DISCARD": "-", "DESCRIBE": "-",
	"DESC": "-", "GRANT": "-", "REVOKE": "-", "VALUES": "-", "TABLE": "", "DO": "-", "LOAD": "-", "KILL": "-", "CHECK": "-", "OPTIMIZE": "-",
	"APPLY": "-", "BATCH": "-", "LIST": "-", "END": "-", "ABORT": "-", "RESET": "-", "REFRESH": "-", "REINDEX": "-", "XA": "-",
}

// statementName is the first keyword of a statement and the table it is about.
// Nothing else of the statement is kept. Where the text is not whole, its last word
// may be part of one.
func statementName(sql string, whole bool) (string, bool) {
	words := sqlWords{rest: sql}
	keyword, ok := words.next()
	keyword = strings.ToUpper(keyword)
	before, known := statements[keyword]
	if !ok || !known {
		return "", false
	}
	if before == "-" {
		return keyword, true
	}
	for range maxWords {
		word, ok := words.next()
		if !ok {
			break
		}
		if before != "" {
			if strings.EqualFold(word, before) {
				before = ""
			}
			continue
		}
		switch strings.ToUpper(word) {
		case "ONLY", "TABLE", "LOW_PRIORITY", "IGNORE", "QUICK":
			continue
		}
		if table, ok := tableName(word); ok && (whole || words.rest != "") {
			return keyword + " " + table, true
		}
		break
	}
	return keyword, true
}

// maxWords of a statement are looked at.
const maxWords = 64

// tableName takes the quotes off a table's name, and the numbers out of it: tables
// may be one a month.
func tableName(word string) (string, bool) {
	word = strings.Map(func(r rune) rune {
		if strings.ContainsRune("\"`[]", r) {
			return -1
		}
		return r
	}, word)
	if len(word) > 48 || !isWord(word, "_.$") || word[0] >= '0' && word[0] <= '9' {
		return "", false
	}
	var b strings.Builder
	for i := range len(word) {
		c := word[i]
		if c < '0' || c > '9' {
			b.WriteByte(c)
		} else if i > 0 && (word[i-1] < '0' || word[i-1] > '9') {
			b.WriteByte('#')
		}
	}
	return b.String(), true
}

// sqlWords cuts a statement into words, without its comments and literals.
type sqlWords struct{ rest string }

func (w *sqlWords) next() (string, bool) {
	for {
		s := strings.TrimLeft(w.rest, " \t\r\n,;=")
		switch {
		case s == "":
			w.rest = ""
			return "", false
		case strings.HasPrefix(s, "--"):
			_, w.rest, _ = strings.Cut(s, "\n")
			continue
		case strings.HasPrefix(s, "/*"):
			_, w.rest, _ = strings.Cut(s, "*/")
			continue
		case s[0] == '\'':
			_, w.rest, _ = strings.Cut(s[1:], "'")
			continue
		case s[0] == '(' || s[0] == ')':
			w.rest = s[1:]
			return s[:1], true
		}
		end := strings.IndexAny(s, " \t\r\n,;=()'")
		if end < 0 {
			w.rest = ""
			return s, true
		}
		w.rest = s[end:]
		return s[:end], true
	}
}
