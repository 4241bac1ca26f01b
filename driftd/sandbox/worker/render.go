package main

import (
	"bytes"
	"encoding/json"
	"fmt"

	utiljson "k8s.io/apimachinery/pkg/util/json"
)

// rendering is the outcome of one tool.
type rendering struct {
	documents []document
	// errors say which files or documents are left out because they are wrong.
	errors   []string
	warnings []string
	// undecided says, by the index of a document, why its content is not known in full.
	undecided map[int]string
	// undefined are, by the index of a document, the variables of Flux that nothing sets.
	undefined map[int][]string
	// unstable says, by the index of a document, which places differ with each rendering.
	unstable map[int][]string
	// reads and revisionRead are all that decided the rendering beside its parameters.
	reads        map[string][]string
	revisionRead bool
}

// refuse notes that something is left out because it is wrong; one such note is enough for a
// verdict, so that no more than a page of them is kept.
func (r *rendering) refuse(format string, args ...any) {
	if len(r.errors) < maxErrors {
		r.errors = append(r.errors, shorten(fmt.Sprintf(format, args...)))
	}
}

func (r *rendering) warn(format string, args ...any) {
	r.warnings = append(r.warnings, shorten(fmt.Sprintf(format, args...)))
}

func (s *server) render(params json.RawMessage) ([]byte, error) {
	var p renderParams
	if err := json.Unmarshal(params, &p); err != nil {
		return nil, fail(codeBadRequest, "", "invalid parameters: %s", err)
	}
	trees, err := s.watched(&p)
	if err != nil {
		return nil, err
	}
	t := trees[""]
	if err := p.loadSource(t); err != nil {
		return nil, err
	}
	if p.Source.Path != "" && !t.isDir(p.dir()) {
		if _, err := t.resolve(p.dir()); err != nil {
			return nil, err
		}
		return nil, fail(codePathMissing, p.dir(), "source.path %s is a file, not a directory", p.Source.Path)
	}
	result, kind, err := s.renderSource(&p, t)
	if err != nil {
		return nil, err
	}
	if result.documents, err = expandLists(result.documents); err != nil {
		return nil, err
	}
	if err := readNumbers(result.documents); err != nil {
		return nil, err
	}
	if err := checkSize(result.documents); err != nil {
		return nil, err
	}
	if err := s.markUnstable(&p, t, result); err != nil {
		return nil, err
	}
	result.reads, result.revisionRead = readsOf(trees), p.revisionRead
	return encodeRendering(kind, result), nil
}

// renderSource has the tool of a source render it, and says which one it was.
func (s *server) renderSource(p *renderParams, t *tree) (result *rendering, kind string, err error) {
	if p.Flux != nil {
		return s.renderFlux(p, t)
	}
	if kind, err = p.sourceType(t); err != nil {
		return nil, "", err
	}
	switch kind {
	case typeHelm:
		result, err = s.renderHelm(p, t)
	case typeKustomize:
		result, err = renderKustomize(p, t)
	default:
		result, err = renderDirectory(p, t)
	}
	return result, kind, err
}

func encodeRendering(kind string, result *rendering) []byte {
	if result.errors == nil {
		result.errors = []string{}
	}
	if result.warnings == nil {
		result.warnings = []string{}
	}
	var buffer bytes.Buffer
	fmt.Fprintf(&buffer, `{"type":%q,"documents":`, kind)
	writeDocuments(&buffer, result.documents)
	writeField(&buffer, "errors", result.errors)
	writeField(&buffer, "warnings", result.warnings)
	if len(result.undecided) > 0 {
		writeField(&buffer, "undecided", result.undecided)
	}
	if len(result.undefined) > 0 {
		writeField(&buffer, "undefined", result.undefined)
	}
	if len(result.unstable) > 0 {
		writeField(&buffer, "unstable", result.unstable)
	}
	writeField(&buffer, "reads", result.reads)
	writeField(&buffer, "revisionRead", result.revisionRead)
	buffer.WriteByte('}')
	return buffer.Bytes()
}

// readNumbers makes integers beyond 64 bits the floats that Kubernetes reads them as.
func readNumbers(documents []document) error {
	for i, doc := range documents {
		if !hasLongNumber(doc.raw) {
			continue
		}
		raw, err := canonicalJSON(doc.raw)
		if err != nil {
			return fail(codeInvalid, doc.file, "%s: %s", doc.file, err)
		}
		documents[i].raw = raw
	}
	return nil
}

// hasLongNumber says whether there are digits enough in a row, be it in a text.
func hasLongNumber(raw []byte) bool {
	const shortest = len("9223372036854775808")
	digits := 0
	for _, char := range raw {
		if char < '0' || char > '9' {
			digits = 0
		} else if digits++; digits == shortest {
			return true
		}
	}
	return false
}

func checkSize(documents []document) error {
	if len(documents) > maxObjects {
		return fail(codeLimit, "", "the application renders to %d objects, more than %d", len(documents), maxObjects)
	}
	size := 0
	for _, doc := range documents {
		size += len(doc.raw)
	}
	if size > maxAppBytes {
		return fail(codeLimit, "", "the application renders to %d bytes, more than %d", size, maxAppBytes)
	}
	return nil
}

// expandLists replaces each list (an object with items, as Kubernetes and Argo CD see it) by
// its items, one level deep.
func expandLists(documents []document) ([]document, error) {
	var expanded []document
	for i, doc := range documents {
		if !bytes.Contains(doc.raw, []byte(`"items":`)) {
			if expanded != nil {
				expanded = append(expanded, doc)
			}
			continue
		}
		items, isList, err := listItems(doc)
		if err != nil {
			return nil, err
		}
		if isList && expanded == nil {
			expanded = append(make([]document, 0, len(documents)+len(items)), documents[:i]...)
		}
		switch {
		case isList:
			expanded = append(expanded, items...)
		case expanded != nil:
			expanded = append(expanded, doc)
		}
	}
	if expanded == nil {
		return documents, nil
	}
	return expanded, nil
}

func listItems(doc document) (items []document, isList bool, err error) {
	var object map[string]json.RawMessage
	if err := json.Unmarshal(doc.raw, &object); err != nil {
		return nil, false, err
	}
	field, ok := object["items"]
	if !ok {
		return nil, false, nil
	}
	if string(field) == "null" {
		// A list without items is nothing; an object with spec or status is no list.
		return nil, object["spec"] == nil && object["status"] == nil, nil
	}
	if field[0] != '[' {
		return nil, false, nil
	}
	var values []any
	if err := utiljson.Unmarshal(field, &values); err != nil {
		return nil, false, err
	}
	for i, value := range values {
		raw, err := encodeObject(value)
		if err != nil || raw == nil {
			return nil, false, fail(codeInvalid, doc.file, "%s: item %d of the list is no object", doc.file, i)
		}
		items = append(items, document{doc.file, doc.index, raw})
	}
	return items, true, nil
}
