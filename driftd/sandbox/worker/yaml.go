package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	utiljson "k8s.io/apimachinery/pkg/util/json"
	"sigs.k8s.io/yaml"
)

// document is one object as canonical JSON (sorted keys), with where it came from.
type document struct {
	file  string
	index int
	raw   []byte
}

// problem is an error or warning about one document of a file.
type problem struct {
	File    string `json:"file"`
	Index   int    `json:"index"`
	Message string `json:"message"`
}

// chunk is the text of one document and the number of lines before it.
type chunk struct {
	text []byte
	line int
	// wrong says why Kubernetes reads no document here.
	wrong string
}

// splitDocuments cuts a YAML stream at the lines that begin with "---", as Kubernetes does, so
// that an error in one document leaves the others readable. YAML forbids such lines inside
// every scalar that is indented.
func splitDocuments(data []byte) []chunk {
	var chunks []chunk
	begun := chunk{}
	start, line := 0, 0
	for position := 0; position < len(data); line++ {
		end := bytes.IndexByte(data[position:], '\n')
		next := len(data)
		if end >= 0 {
			next = position + end + 1
		}
		if rest, isMarker := bytes.CutPrefix(data[position:next], []byte("---")); isMarker {
			begun.text = data[start:position]
			chunks = append(chunks, begun)
			start, begun = next, chunk{line: line + 1}
			if rest = bytes.TrimSpace(rest); len(rest) > 0 && rest[0] != '#' {
				start, begun = position+3, chunk{line: line}
				begun.wrong = fmt.Sprintf("line %d: words after the --- that separates documents", line+1)
			}
		}
		position = next
	}
	begun.text = data[start:]
	return append(chunks, begun)
}

// isBlank says whether a chunk holds nothing but comments and blank lines.
func isBlank(text []byte) bool {
	for len(text) > 0 {
		line := text
		if end := bytes.IndexByte(text, '\n'); end >= 0 {
			line, text = text[:end], text[end+1:]
		} else {
			text = nil
		}
		line = bytes.TrimSpace(line)
		if len(line) > 0 && line[0] != '#' {
			return false
		}
	}
	return true
}

// endPattern finds the end of a document, after which Kubernetes reads nothing up to a "---".
var endPattern = regexp.MustCompile(`(?m)^\.\.\.(?:[ \t\r]|$).*$`)

// unread says that a document ends before its text does, empty if it does not.
func unread(text []byte) string {
	if !bytes.Contains(text, []byte("...")) {
		return ""
	}
	if end := endPattern.FindIndex(text); end != nil && !isBlank(text[end[1]:]) {
		line := 1 + bytes.Count(text[:end[0]], []byte("\n"))
		return fmt.Sprintf("line %d: what follows ... is not read, since no --- begins a document there", line)
	}
	return ""
}

// reading is what a file holds: its objects, and what is wrong with some of its documents.
type reading struct {
	documents        []document
	errors, warnings []problem
}

func (r *reading) refuse(file string, index int, message string) *reading {
	r.errors = append(r.errors, problem{file, index, shorten(message)})
	return r
}

// isFlow says whether text begins like JSON.
func isFlow(text []byte) bool {
	text = bytes.TrimSpace(bytes.TrimPrefix(text, byteOrderMark))
	return len(text) > 0 && text[0] == '{'
}

var byteOrderMark = []byte("\xef\xbb\xbf")

// decodeFile reads every document of a YAML or JSON file.
func decodeFile(file string, data []byte) *reading {
	data = bytes.TrimPrefix(data, byteOrderMark)
	read := &reading{}
	if len(data) > maxAppBytes {
		return read.refuse(file, 0, fmt.Sprintf("the file has %d bytes, more than %d", len(data), maxAppBytes))
	}
	if !utf8.Valid(data) {
		return read.refuse(file, 0, "the file is not valid UTF-8")
	}
	if isFlow(data) {
		trimmed := bytes.TrimSpace(data)
		documents, problem := decodeJSONStream(file, trimmed)
		if problem == nil {
			return &reading{documents, nil, repeatedJSONKeys(file, trimmed)}
		}
		if strings.HasSuffix(file, ".json") || json.Valid(trimmed) {
			return &reading{documents: documents, errors: append(read.errors, *problem)}
		}
	}
	index := 0
	for _, part := range splitDocuments(data) {
		if isBlank(part.text) {
			continue
		}
		if index >= maxObjects {
			return read.refuse(file, index, fmt.Sprintf("more than %d documents", maxObjects))
		}
		if part.wrong != "" {
			read.refuse(file, index, part.wrong)
		} else {
			read.add(file, index, part)
		}
		index++
	}
	return read
}

// add reads one document.
func (r *reading) add(file string, index int, part chunk) {
	raw, warning, err := yamlToJSON(part.text)
	if warning == "" {
		warning = unread(part.text)
	}
	switch {
	case err != nil:
		r.refuse(file, index, shiftLines(err.Error(), part.line))
	case raw != nil:
		r.documents = append(r.documents, document{file, index, raw})
	}
	if warning != "" {
		r.warnings = append(r.warnings, problem{file, index, shorten(shiftLines(warning, part.line))})
	}
}

// decodeJSONStream reads one or more JSON objects with nothing but white space between them.
func decodeJSONStream(file string, data []byte) ([]document, *problem) {
	var documents []document
	decoder := json.NewDecoder(bytes.NewReader(data))
	for index := 0; ; index++ {
		var value json.RawMessage
		if err := decoder.Decode(&value); err != nil {
			if decoder.InputOffset() >= int64(len(data)) && index > 0 {
				return documents, nil
			}
			return documents, &problem{file, index, shorten(err.Error())}
		}
		if index >= maxObjects {
			return documents, &problem{file, index, fmt.Sprintf("more than %d documents", maxObjects)}
		}
		raw, err := canonicalJSON(value)
		if err != nil {
			return documents, &problem{file, index, shorten(err.Error())}
		}
		if raw != nil {
			documents = append(documents, document{file, index, raw})
		}
	}
}

// canonicalJSON reads numbers as Kubernetes does (whole ones as integers) and sorts keys.
func canonicalJSON(data []byte) ([]byte, error) {
	if err := checkDepth(data); err != nil {
		return nil, err
	}
	var value any
	if err := utiljson.Unmarshal(data, &value); err != nil {
		return nil, err
	}
	return encodeObject(value)
}

// encodeObject answers with canonical JSON, nil for null, or an error for what is no mapping.
func encodeObject(value any) ([]byte, error) {
	if value == nil {
		return nil, nil
	}
	if _, ok := value.(map[string]any); !ok {
		return nil, fmt.Errorf("a %s where a mapping is expected", kindOf(value))
	}
	raw, err := json.Marshal(value)
	if err != nil {
		return nil, err
	}
	return raw, checkObject(raw)
}

func checkObject(raw []byte) error {
	if len(raw) > maxObjectBytes {
		return fmt.Errorf("the object has %d bytes, more than %d", len(raw), maxObjectBytes)
	}
	return checkDepth(raw)
}

func kindOf(value any) string {
	switch value.(type) {
	case []any:
		return "list"
	case string:
		return "string"
	case bool:
		return "boolean"
	}
	return "number"
}

// yamlToJSON converts one document as sigs.k8s.io/yaml does: the last duplicate key wins, and
// a warning names it. It answers nil for an empty document.
func yamlToJSON(text []byte) (raw []byte, warning string, err error) {
	if raw = plainJSON(text); raw != nil {
		return raw, "", checkObject(raw)
	}
	if err := scanYAML(text); err != nil {
		return nil, "", err
	}
	raw, err = yaml.YAMLToJSONStrict(text)
	if err != nil && strings.Contains(err.Error(), "already set in map") {
		warning = "duplicate key, the last one counts: " + strings.TrimPrefix(err.Error(), "yaml: ")
		raw, err = yaml.YAMLToJSON(text)
	}
	if err != nil {
		return nil, "", err
	}
	raw = bytes.TrimSpace(raw)
	if bytes.Equal(raw, []byte("null")) {
		return nil, warning, nil
	}
	if raw[0] != '{' {
		kinds := map[byte]any{'[': []any{}, '"': "", 't': true, 'f': true}
		return nil, warning, fmt.Errorf("a %s where a mapping is expected", kindOf(kinds[raw[0]]))
	}
	return raw, warning, checkObject(raw)
}

// anchorPattern and aliasPattern find candidates only: text that looks like an anchor or
// alias inside a string counts too, which the limits leave room for.
var (
	anchorPattern = regexp.MustCompile(`(?m)(?:^|[\s\[{,:-])&[^\s,\[\]{}&]+`)
	aliasPattern  = regexp.MustCompile(`(?m)(?:^|[\s\[{,:-])\*[^\s,\[\]{}*]+`)
)

// scanYAML refuses, before any tree is built, documents made to be expensive: aliases (that
// multiply), and flow nesting or compact sequences that go deep within one line.
func scanYAML(text []byte) error {
	if bytes.IndexByte(text, '&') >= 0 && bytes.IndexByte(text, '*') >= 0 && anchorPattern.Match(text) {
		if found := aliasPattern.FindAllIndex(text, maxAliases+1); len(found) > maxAliases {
			return fmt.Errorf("more than %d aliases", maxAliases)
		} else if len(found) > 0 {
			if err := checkAliases(text); err != nil {
				return err
			}
		}
	}
	depth, deepest := 0, 0
	for position, char := range text {
		switch char {
		case '[', '{':
			depth++
			deepest = max(deepest, depth)
		case ']', '}':
			depth = max(depth-1, 0)
		case '\n':
			if dashes := leadingDashes(text[position+1:]); dashes > maxDepth {
				return fmt.Errorf("nested deeper than %d", maxDepth)
			}
		}
	}
	// Brackets in strings count here too, so only an implausible number is refused before
	// decoding; the exact depth is checked on the result.
	if deepest > 20*maxDepth || leadingDashes(text) > maxDepth {
		return fmt.Errorf("nested deeper than %d", maxDepth)
	}
	return nil
}

// leadingDashes counts the "- - -" that open nested sequences at the start of a line.
func leadingDashes(line []byte) int {
	count := 0
	for position := 0; position < len(line); position++ {
		switch line[position] {
		case '-', '?':
			count++
		case ' ':
		default:
			return count
		}
	}
	return count
}

// checkDepth counts nesting in JSON without building it.
func checkDepth(raw []byte) error {
	depth, inString := 0, false
	for position := 0; position < len(raw); position++ {
		switch char := raw[position]; {
		case inString && char == '\\':
			position++
		case char == '"':
			inString = !inString
		case inString:
		case char == '[' || char == '{':
			if depth++; depth > maxDepth {
				return fmt.Errorf("nested deeper than %d", maxDepth)
			}
		case char == ']' || char == '}':
			depth--
		}
	}
	return nil
}

var linePattern = regexp.MustCompile(`line (\d+)`)

// shiftLines turns line numbers of a document into line numbers of its file.
func shiftLines(message string, by int) string {
	if by == 0 {
		return message
	}
	return linePattern.ReplaceAllStringFunc(message, func(match string) string {
		number, err := strconv.Atoi(match[len("line "):])
		if err != nil {
			return match
		}
		return "line " + strconv.Itoa(number+by)
	})
}
