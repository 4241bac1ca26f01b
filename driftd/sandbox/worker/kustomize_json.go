package main

import (
	"bytes"
	"strings"

	"sigs.k8s.io/kustomize/api/resource"
	kyaml "sigs.k8s.io/kustomize/kyaml/yaml"
)

// objectJSON is an object of Kustomize as canonical JSON. Kustomize writes it as YAML, and reads
// that again; what is plain is written as JSON at once.
func objectJSON(object *resource.Resource) ([]byte, error) {
	if node := object.YNode(); node != nil && node.Kind == kyaml.MappingNode {
		r := nodeReader{plainReader: plainReader{nodes: make([]plainNode, 0, 64)}}
		// Comments beside collections in brackets are written in places where they are none.
		if root, ok := r.fromNode(node, 1); ok && !(r.comments && r.brackets) {
			if raw, ok := r.encode(make([]byte, 0, 1<<10), root); ok {
				return raw, nil
			}
		}
	}
	return object.MarshalJSON()
}

// nodeReader takes values over from Kustomize, and notes what their writing depends on.
type nodeReader struct {
	plainReader
	comments, brackets bool
}

// fromNode takes over a value, unless writing and reading it as YAML may make another one of it.
func (r *nodeReader) fromNode(node *kyaml.Node, depth int) (int32, bool) {
	if depth > maxDepth || node.Anchor != "" || node.Style&kyaml.TaggedStyle != 0 {
		return 0, false
	}
	r.comments = r.comments || node.HeadComment != "" || node.LineComment != "" || node.FootComment != ""
	if node.Kind == kyaml.ScalarNode {
		return r.fromScalar(node)
	}
	r.brackets = r.brackets || node.Style&kyaml.FlowStyle != 0 || len(node.Content) == 0
	switch {
	case node.Kind == kyaml.MappingNode && (node.Tag == "" || node.Tag == kyaml.NodeTagMap):
		return r.fromFields(node, depth)
	case node.Kind == kyaml.SequenceNode && (node.Tag == "" || node.Tag == kyaml.NodeTagSeq):
		parent, last := r.add(plainNode{kind: listNode}), noNode
		for _, item := range node.Content {
			child, ok := r.fromNode(item, depth+1)
			if !ok {
				return 0, false
			}
			r.link(parent, &last, child)
		}
		return parent, true
	}
	return 0, false
}

func (r *nodeReader) fromFields(node *kyaml.Node, depth int) (int32, bool) {
	parent, last := r.add(plainNode{kind: mapNode}), noNode
	for i := 0; i+1 < len(node.Content); i += 2 {
		key := node.Content[i]
		if key.Kind != kyaml.ScalarNode || key.Value == "<<" {
			return 0, false
		}
		name, ok := r.fromNode(key, depth)
		if !ok || r.nodes[name].kind != textNode {
			return 0, false
		}
		value, ok := r.fromNode(node.Content[i+1], depth+1)
		if !ok {
			return 0, false
		}
		r.nodes[value].key = r.nodes[name].text
		r.link(parent, &last, value)
	}
	return parent, true
}

func (r *nodeReader) fromScalar(node *kyaml.Node) (int32, bool) {
	text := []byte(node.Value)
	isQuoted := node.Style&(kyaml.DoubleQuotedStyle|kyaml.SingleQuotedStyle) != 0
	switch {
	case node.Tag == kyaml.NodeTagString, node.Tag == "" && isQuoted:
		if !survives(node) {
			return 0, false
		}
		return r.add(plainNode{kind: textNode, text: text}), true
	case node.Style != 0, len(text) == 0, !isPlainText(text):
		return 0, false
	}
	found, ok := r.resolved(text)
	if !ok {
		return 0, false
	}
	return found, node.Tag == "" || node.Tag == tagOf(r.nodes[found])
}

// tagOf is the tag of what a plain scalar was resolved to.
func tagOf(node plainNode) string {
	switch {
	case node.kind != rawNode:
		return kyaml.NodeTagString
	case bytes.Equal(node.text, rawNull):
		return kyaml.NodeTagNull
	case node.text[0] == 't', node.text[0] == 'f':
		return kyaml.NodeTagBool
	}
	return kyaml.NodeTagInt
}

// isPlainText says whether text is one line of ASCII characters.
func isPlainText(text []byte) bool {
	for _, char := range text {
		if char < ' ' || char > '~' {
			return false
		}
	}
	return true
}

// survives says whether text is the same for certain after it was written and read as YAML: one
// line always is; several are where no blank stands at the end of one or before the first.
func survives(node *kyaml.Node) bool {
	lines := node.Value
	if node.Style&kyaml.FoldedStyle != 0 {
		return false
	}
	if !strings.Contains(lines, "\n") && node.Style&kyaml.LiteralStyle == 0 {
		return isPlainText([]byte(lines))
	}
	if lines == "" || strings.HasPrefix(lines, " ") || strings.HasPrefix(lines, "\n") ||
		strings.HasSuffix(lines, " ") || strings.HasSuffix(lines, "\n\n") ||
		strings.Contains(lines, " \n") || node.Style&kyaml.SingleQuotedStyle != 0 {
		return false
	}
	for line := range strings.SplitSeq(lines, "\n") {
		if !isPlainText([]byte(line)) {
			return false
		}
	}
	return true
}
