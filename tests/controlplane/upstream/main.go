// Command upstream says how Kubernetes' own libraries read YAML: what tests hold driftd to.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	utiljson "k8s.io/apimachinery/pkg/util/json"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

// reading is what the libraries make of one text.
type reading struct {
	// JSON and Error: the text as one document of sigs.k8s.io/yaml.
	JSON  json.RawMessage `json:"json"`
	Error string          `json:"error"`
	// Strict is the error of the strict reading, which knows of duplicate keys.
	Strict string `json:"strict"`
	// Stream and StreamError: the text as a stream of documents, as kubectl and Argo CD read it.
	Stream      []any  `json:"stream"`
	StreamError string `json:"streamError"`
}

func read(text []byte) (answer reading) {
	if raw, err := yaml.YAMLToJSON(text); err != nil {
		answer.Error = err.Error()
	} else {
		answer.JSON = raw
		if _, err := yaml.YAMLToJSONStrict(text); err != nil {
			answer.Strict = err.Error()
		}
	}
	decoder := utilyaml.NewYAMLOrJSONDecoder(bytes.NewReader(text), 4096)
	answer.Stream = []any{}
	for {
		var raw json.RawMessage
		err := decoder.Decode(&raw)
		if errors.Is(err, io.EOF) {
			return answer
		}
		var value any
		if err == nil && len(raw) > 0 {
			err = utiljson.Unmarshal(raw, &value)
		}
		if err != nil {
			answer.StreamError = err.Error()
			return answer
		}
		if value != nil {
			answer.Stream = append(answer.Stream, value)
		}
	}
}

// main answers a list of texts (JSON, base64) on standard input with the list of their readings.
func main() {
	var texts [][]byte
	err := json.NewDecoder(os.Stdin).Decode(&texts)
	if err == nil {
		answers := make([]reading, len(texts))
		for i, text := range texts {
			answers[i] = read(text)
		}
		err = json.NewEncoder(os.Stdout).Encode(answers)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
}
