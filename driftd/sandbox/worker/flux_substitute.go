package main

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"

	"github.com/fluxcd/pkg/envsubst"
	"sigs.k8s.io/yaml"
)

const substituteMark = "kustomize.toolkit.fluxcd.io/substitute"

var variablePattern = regexp.MustCompile(`^[_[:alpha:]][_[:alpha:][:digit:]]*$`)

// fluxSubstitutions are the variables of spec.postBuild.
type fluxSubstitutions struct {
	// Vars are the variables whose value is certain.
	Vars map[string]string `json:"vars"`
	// Unread says what could not be read; empty if nothing.
	Unread string `json:"unread"`
	// Unknown are the variables that it sets; nil if it may set any that Vars has not.
	Unknown []string `json:"unknown"`
}

// apply substitutes variables in every object by itself. An object that uses one whose value is
// not known stays as it is and is noted as undecided; one that cannot be substituted is left out.
func (f *fluxSubstitutions) apply(result *rendering) {
	var invalid []string
	for name := range f.Vars {
		if !variablePattern.MatchString(name) {
			invalid = append(invalid, name)
		}
	}
	if len(invalid) > 0 {
		slices.Sort(invalid)
		result.refuse("spec.postBuild: %q is no name of a variable; nothing is rendered", invalid[0])
		result.documents = nil
		return
	}
	var kept []document
	for _, doc := range result.documents {
		raw, unknown, err := f.substitute(doc.raw)
		switch {
		case err != nil:
			result.refuse("%s: variable substitution failed: %s", describe(doc), err)
			continue
		case len(unknown) > 0:
			if result.undecided == nil {
				result.undecided = map[int]string{}
			}
			result.undecided[doc.index] = "it uses ${" + strings.Join(unknown, "}, ${") + "}, and " + f.Unread
		default:
			doc.raw = raw
		}
		kept = append(kept, doc)
	}
	result.documents = kept
}

// substitute answers with the object in which variables are replaced, and with the names of
// the variables that it uses and that are not certain.
func (f *fluxSubstitutions) substitute(raw []byte) (replaced []byte, unknown []string, err error) {
	var object struct {
		Metadata struct {
			Labels      map[string]string `json:"labels"`
			Annotations map[string]string `json:"annotations"`
		} `json:"metadata"`
	}
	if err := json.Unmarshal(raw, &object); err != nil {
		return nil, nil, err
	}
	if object.Metadata.Labels[substituteMark] == "disabled" || object.Metadata.Annotations[substituteMark] == "disabled" {
		return raw, nil, nil
	}
	if !strings.Contains(string(raw), "${") {
		return raw, nil, nil
	}
	text, err := yaml.JSONToYAML(raw)
	if err != nil {
		return nil, nil, err
	}
	output, err := envsubst.Eval(string(text), func(name string) (string, bool) {
		value, known := f.Vars[name]
		uncertain := f.Unread != "" && !known && (f.Unknown == nil || slices.Contains(f.Unknown, name))
		if uncertain && !slices.Contains(unknown, name) {
			unknown = append(unknown, name)
		}
		return value, true
	})
	if err != nil || len(unknown) > 0 {
		return nil, unknown, err
	}
	data, _, err := yamlToJSON([]byte(output))
	if err == nil && data == nil {
		err = fail(codeInvalid, "", "nothing is left of the object")
	}
	if err == nil {
		err = checkObject(data)
	}
	return data, nil, err
}

// describe names an object for a message.
func describe(doc document) string {
	var object struct {
		Kind     string `json:"kind"`
		Metadata struct {
			Name string `json:"name"`
		} `json:"metadata"`
	}
	if err := json.Unmarshal(doc.raw, &object); err != nil || object.Kind == "" {
		return firstOf(doc.file, "an object")
	}
	if doc.file != "" {
		return doc.file + ": " + object.Kind + " " + object.Metadata.Name
	}
	return object.Kind + " " + object.Metadata.Name
}
