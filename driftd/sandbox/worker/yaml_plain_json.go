package main

import (
	"bytes"
	"slices"
)

// encode appends a value as encoding/json writes it; not ok if a key is there twice.
func (r *plainReader) encode(to []byte, number int32) ([]byte, bool) {
	node := &r.nodes[number]
	switch node.kind {
	case rawNode:
		return append(to, node.text...), true
	case textNode:
		return appendText(to, node.text), true
	case listNode:
		to = append(to, '[')
		for child, ok := node.child, true; child != noNode; child = r.nodes[child].next {
			if child != node.child {
				to = append(to, ',')
			}
			if to, ok = r.encode(to, child); !ok {
				return nil, false
			}
		}
		return append(to, ']'), true
	}
	return r.encodeFields(to, node)
}

func (r *plainReader) encodeFields(to []byte, node *plainNode) ([]byte, bool) {
	start := len(r.order)
	for child := node.child; child != noNode; child = r.nodes[child].next {
		r.order = append(r.order, child)
	}
	end := len(r.order)
	slices.SortFunc(r.order[start:end], func(a, b int32) int {
		return bytes.Compare(r.nodes[a].key, r.nodes[b].key)
	})
	to = append(to, '{')
	for i := start; i < end; i++ {
		child, ok := r.order[i], true
		if i > start {
			if bytes.Equal(r.nodes[child].key, r.nodes[r.order[i-1]].key) {
				return nil, false
			}
			to = append(to, ',')
		}
		to = append(appendText(to, r.nodes[child].key), ':')
		if to, ok = r.encode(to, child); !ok {
			return nil, false
		}
	}
	r.order = r.order[:start]
	return append(to, '}'), true
}

const hexDigits = "0123456789abcdef"

// appendText writes ASCII text as encoding/json does, with what HTML gives a meaning escaped.
func appendText(to, text []byte) []byte {
	to = append(to, '"')
	start := 0
	for i, char := range text {
		var escape byte
		switch char {
		case '"', '\\':
			escape = char
		case '\n':
			escape = 'n'
		case '\t':
			escape = 't'
		case '<', '>', '&':
		default:
			continue
		}
		to = append(to, text[start:i]...)
		if start = i + 1; escape != 0 {
			to = append(to, '\\', escape)
		} else {
			to = append(to, '\\', 'u', '0', '0', hexDigits[char>>4], hexDigits[char&15])
		}
	}
	return append(append(to, text[start:]...), '"')
}
