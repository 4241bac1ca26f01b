package main

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// repeatedJSONKeys warns, as YAML does, of each document in which an object has a key twice: the
// last one counts.
func repeatedJSONKeys(file string, data []byte) []problem {
	var warnings []problem
	decoder := json.NewDecoder(bytes.NewReader(data))
	for index := 0; ; index++ {
		var document json.RawMessage
		if decoder.Decode(&document) != nil {
			return warnings
		}
		if key := repeatedKey(document); key != "" {
			offset := int(decoder.InputOffset()) - len(document)
			line := 1 + bytes.Count(data[:offset], []byte("\n"))
			warnings = append(warnings, problem{file, index, shorten(fmt.Sprintf(
				"duplicate key, the last one counts: %s in the object that begins on line %d", key, line))})
		}
	}
}

// repeatedKey is the first key, in quotes, that an object of valid JSON has twice; "" if none has.
func repeatedKey(data []byte) string {
	var open []map[string]bool
	isKey := false
	for position := 0; position < len(data); position++ {
		switch data[position] {
		case '{':
			open, isKey = append(open, map[string]bool{}), true
		case '[':
			open, isKey = append(open, nil), false
		case '}', ']':
			open, isKey = open[:len(open)-1], false
		case ',':
			isKey = len(open) > 0 && open[len(open)-1] != nil
		case '"':
			start := position
			for position++; data[position] != '"'; position++ {
				if data[position] == '\\' {
					position++
				}
			}
			if !isKey {
				continue
			}
			isKey = false
			var key string
			if json.Unmarshal(data[start:position+1], &key) != nil {
				continue
			}
			if open[len(open)-1][key] {
				return string(data[start : position+1])
			}
			open[len(open)-1][key] = true
		}
	}
	return ""
}
