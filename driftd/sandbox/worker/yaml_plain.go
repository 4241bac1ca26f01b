package main

import (
	"bytes"
	"strings"
)

// maxKeyBytes is less than what a key may have that stands before its colon in one line.
const maxKeyBytes = 512

// plainReader reads the YAML that manifests are mostly written in, many times as fast as a whole
// reader of YAML: block mappings and sequences, scalars and flow collections within a line, and
// literal text. It gives up at anything else, and at every scalar whose meaning is not plain, so
// that it never decides what Kubernetes' own reader would decide otherwise.
type plainReader struct {
	text []byte
	// next is where the line after the current one begins.
	next int
	// first and end are the current line without the blanks around it; indent is its column.
	first, end, indent int
	// more says whether there is a current line.
	more  bool
	nodes []plainNode
	order []int32
}

type plainKind byte

const (
	// rawNode is JSON already.
	rawNode plainKind = iota
	textNode
	listNode
	mapNode
)

// plainNode is a value, with its key if it is a field; children are linked by their numbers.
type plainNode struct {
	kind        plainKind
	key, text   []byte
	child, next int32
}

const noNode = int32(-1)

var (
	rawNull  = []byte("null")
	rawTrue  = []byte("true")
	rawFalse = []byte("false")
)

// plainJSON converts one document to canonical JSON, nil if it has what is not read here.
func plainJSON(text []byte) []byte {
	for _, char := range text {
		if char < ' ' && char != '\n' || char > '~' {
			return nil
		}
	}
	r := plainReader{text: text, nodes: make([]plainNode, 0, 32+len(text)/32)}
	if !r.advance() {
		return nil
	}
	root, ok := r.mapping(r.indent, 1)
	if !ok || r.more {
		return nil
	}
	encoded, ok := r.encode(make([]byte, 0, len(text)+len(text)/4), root)
	if !ok {
		return nil
	}
	return encoded
}

// advance goes to the next line that is neither blank nor a comment.
func (r *plainReader) advance() bool {
	for r.next < len(r.text) {
		start, end := r.next, len(r.text)
		r.next = end
		if found := bytes.IndexByte(r.text[start:], '\n'); found >= 0 {
			end = start + found
			r.next = end + 1
		}
		first := r.skip(start, end)
		if first == end || r.text[first] == '#' {
			continue
		}
		for r.text[end-1] == ' ' {
			end--
		}
		r.first, r.end, r.indent, r.more = first, end, first-start, true
		return true
	}
	r.more = false
	return false
}

// skip is the place of the first character that is no blank.
func (r *plainReader) skip(at, end int) int {
	for at < end && r.text[at] == ' ' {
		at++
	}
	return at
}

func (r *plainReader) add(node plainNode) int32 {
	node.child, node.next = noNode, noNode
	r.nodes = append(r.nodes, node)
	return int32(len(r.nodes) - 1)
}

// link appends a child.
func (r *plainReader) link(parent int32, last *int32, child int32) {
	if *last == noNode {
		r.nodes[parent].child = child
	} else {
		r.nodes[*last].next = child
	}
	*last = child
}

// isItem says whether an entry of a sequence begins at a place of the line.
func (r *plainReader) isItem(at int) bool {
	return r.text[at] == '-' && (at+1 == r.end || r.text[at+1] == ' ')
}

// block reads the mapping or sequence that begins with the current line.
func (r *plainReader) block(depth int) (int32, bool) {
	if r.isItem(r.first) {
		return r.sequence(r.indent, depth)
	}
	return r.mapping(r.indent, depth)
}

func (r *plainReader) mapping(indent, depth int) (int32, bool) {
	parent, last := r.add(plainNode{kind: mapNode}), noNode
	if depth > maxDepth {
		return 0, false
	}
	for r.more && r.indent == indent {
		key, after, ok := r.key(r.first, r.end)
		if !ok {
			return 0, false
		}
		value, ok := r.value(after, indent, depth, true)
		if !ok {
			return 0, false
		}
		r.nodes[value].key = key
		r.link(parent, &last, value)
	}
	return parent, last != noNode && !(r.more && r.indent > indent)
}

func (r *plainReader) sequence(indent, depth int) (int32, bool) {
	parent, last := r.add(plainNode{kind: listNode}), noNode
	if depth > maxDepth {
		return 0, false
	}
	for r.more && r.indent == indent && r.isItem(r.first) {
		item, ok := r.item(indent, depth)
		if !ok {
			return 0, false
		}
		r.link(parent, &last, item)
	}
	return parent, !(r.more && r.indent > indent)
}

// item reads an entry of a sequence; a mapping may begin in its line.
func (r *plainReader) item(indent, depth int) (int32, bool) {
	at := r.skip(r.first+1, r.end)
	if at < r.end {
		if r.isItem(at) {
			return 0, false
		}
		if _, _, isField := r.key(at, r.end); isField {
			r.indent, r.first = indent+at-r.first, at
			return r.mapping(r.indent, depth+1)
		}
	}
	return r.value(r.first+1, indent, depth, false)
}

// value reads what follows a colon or a dash, and goes to the line after it.
func (r *plainReader) value(at, indent, depth int, isField bool) (int32, bool) {
	at = r.skip(at, r.end)
	if at == r.end || r.text[at] == '#' {
		r.advance()
		switch {
		case r.more && r.indent > indent:
			return r.block(depth + 1)
		case r.more && isField && r.indent == indent && r.isItem(r.first):
			return r.sequence(indent, depth+1)
		}
		return r.add(plainNode{kind: rawNode, text: rawNull}), true
	}
	var node int32
	var ok bool
	switch r.text[at] {
	case '|':
		return r.literal(at, indent)
	case '"', '\'':
		var text []byte
		if text, at, ok = r.quoted(at, r.end); ok {
			node = r.add(plainNode{kind: textNode, text: text})
		}
	case '[', '{':
		node, at, ok = r.flow(at, depth+1)
	default:
		node, ok = r.scalar(at)
		at = r.end
	}
	if !ok || !r.isOver(at) {
		return 0, false
	}
	// A line further in would go on with the scalar.
	return node, !r.advance() || r.indent <= indent
}

// isOver says whether nothing but a comment follows in the line.
func (r *plainReader) isOver(at int) bool {
	rest := r.skip(at, r.end)
	return rest == r.end || rest > at && r.text[rest] == '#'
}

// key reads a key with its colon, and answers with the place after it.
func (r *plainReader) key(at, end int) (key []byte, after int, ok bool) {
	after = at
	if r.text[at] == '"' || r.text[at] == '\'' {
		if key, after, ok = r.quoted(at, end); !ok {
			return nil, 0, false
		}
	} else {
		for after < end && isKeyChar(r.text[after]) {
			after++
		}
		key = r.text[at:after]
		if len(key) == 0 || !isLetter(key[0]) && key[0] != '_' || isWord(key) {
			return nil, 0, false
		}
	}
	if after-at > maxKeyBytes || after >= end || r.text[after] != ':' || after+1 < end && r.text[after+1] != ' ' {
		return nil, 0, false
	}
	return key, after + 1, true
}

func isLetter(char byte) bool { return char|' ' >= 'a' && char|' ' <= 'z' }

func isDigit(char byte) bool { return char >= '0' && char <= '9' }

func isKeyChar(char byte) bool {
	return isLetter(char) || isDigit(char) || char == '_' || char == '.' || char == '/' || char == '-'
}

// isWord says whether text may be read as something else than text, in any writing.
func isWord(text []byte) bool {
	if len(text) > len("false") {
		return false
	}
	switch strings.ToLower(string(text)) {
	case "y", "n", "yes", "no", "on", "off", "true", "false", "null":
		return true
	}
	return false
}

// flow reads a collection in brackets that ends in its line, and answers with the place after it.
func (r *plainReader) flow(at, depth int) (node int32, after int, ok bool) {
	kind, closing := listNode, byte(']')
	if r.text[at] == '{' {
		kind, closing = mapNode, '}'
	}
	if depth > maxDepth {
		return 0, 0, false
	}
	parent, last := r.add(plainNode{kind: kind}), noNode
	if at = r.skip(at+1, r.end); at < r.end && r.text[at] == closing {
		return parent, at + 1, true
	}
	for at < r.end {
		var key []byte
		if kind == mapNode {
			if key, at, ok = r.key(at, r.end); !ok {
				return 0, 0, false
			}
			at = r.skip(at, r.end)
		}
		var value int32
		if value, at, ok = r.flowValue(at, depth); !ok {
			return 0, 0, false
		}
		r.nodes[value].key = key
		r.link(parent, &last, value)
		if at = r.skip(at, r.end); at == r.end {
			break
		}
		switch r.text[at] {
		case closing:
			return parent, at + 1, true
		case ',':
			at = r.skip(at+1, r.end)
		default:
			return 0, 0, false
		}
	}
	return 0, 0, false
}

func (r *plainReader) flowValue(at, depth int) (node int32, after int, ok bool) {
	if at == r.end {
		return 0, 0, false
	}
	switch r.text[at] {
	case '[', '{':
		return r.flow(at, depth+1)
	case '"', '\'':
		text, after, ok := r.quoted(at, r.end)
		if !ok {
			return 0, 0, false
		}
		return r.add(plainNode{kind: textNode, text: text}), after, true
	}
	after = at
	for after < r.end && isKeyChar(r.text[after]) {
		after++
	}
	if after == at {
		return 0, 0, false
	}
	node, ok = r.resolved(r.text[at:after])
	return node, after, ok
}
