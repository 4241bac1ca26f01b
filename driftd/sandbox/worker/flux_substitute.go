package main

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"

	"github.com/fluxcd/pkg/envsubst"
	"github.com/fluxcd/pkg/envsubst/parse"
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
	// Perhaps says what is not read and taken to be absent, and may set what nothing else sets.
	Perhaps string `json:"perhaps"`
}

// apply substitutes variables in every object by itself. An object that uses one whose value is
// not known stays as it is and is noted as undecided; one that cannot be substituted is left out.
func (f *fluxSubstitutions) apply(result *rendering) {
	if len(f.Vars) == 0 && f.Unread == "" && f.Perhaps == "" {
		return // as Flux substitutes nothing where no variable is set at all
	}
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
		var undefined []string
		if err == nil && len(unknown) == 0 {
			if undefined = f.undefined(doc.raw); f.Perhaps != "" {
				unknown = undefined
			}
		}
		switch {
		case err != nil:
			result.refuse("%s: variable substitution failed: %s", describe(doc), err)
			continue
		case len(unknown) > 0:
			if result.undecided == nil {
				result.undecided = map[int]string{}
			}
			result.undecided[doc.index] = "it uses ${" + strings.Join(unknown, "}, ${") + "}, and " + firstOf(f.Unread, f.Perhaps)
		default:
			if len(undefined) > 0 {
				if result.undefined == nil {
					result.undefined = map[int][]string{}
				}
				result.undefined[doc.index] = undefined
			}
			doc.raw = raw
		}
		kept = append(kept, doc)
	}
	result.documents = kept
}

// substitute answers with the object in which variables are replaced, and with the names of
// the variables that it uses and that are not certain.
func (f *fluxSubstitutions) substitute(raw []byte) (replaced []byte, unknown []string, err error) {
	text, err := substitutable(raw)
	if err != nil || text == "" {
		return raw, nil, err
	}
	output, err := envsubst.Eval(text, func(name string) (string, bool) {
		value := f.Vars[name]
		if f.uncertain(name) && !slices.Contains(unknown, name) {
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

// substitutable is the YAML of an object in which variables are replaced; empty if none are.
func substitutable(raw []byte) (string, error) {
	var object struct {
		Metadata struct {
			Labels      map[string]string `json:"labels"`
			Annotations map[string]string `json:"annotations"`
		} `json:"metadata"`
	}
	if err := json.Unmarshal(raw, &object); err != nil {
		return "", err
	}
	if object.Metadata.Labels[substituteMark] == "disabled" || object.Metadata.Annotations[substituteMark] == "disabled" {
		return "", nil
	}
	if !strings.Contains(string(raw), "${") {
		return "", nil
	}
	text, err := yaml.JSONToYAML(raw)
	return string(text), err
}

// uncertain says whether what could not be read may set a variable.
func (f *fluxSubstitutions) uncertain(name string) bool {
	_, known := f.Vars[name]
	return f.Unread != "" && !known && (f.Unknown == nil || slices.Contains(f.Unknown, name))
}

// undefined are the variables that an object uses without a default and that nothing sets: Flux
// puts nothing in their place. They are sorted.
func (f *fluxSubstitutions) undefined(raw []byte) []string {
	text, err := substitutable(raw)
	if err != nil || text == "" {
		return nil
	}
	tree, err := parse.Parse(text)
	if err != nil {
		return nil
	}
	found := f.undefinedIn(tree.Root, nil)
	slices.Sort(found)
	return slices.Compact(found)
}

func (f *fluxSubstitutions) undefinedIn(node parse.Node, found []string) []string {
	switch node := node.(type) {
	case *parse.ListNode:
		for _, one := range node.Nodes {
			found = f.undefinedIn(one, found)
		}
	case *parse.FuncNode:
		value, known := f.Vars[node.Param]
		defaults := strings.ContainsAny(node.Name, "-+=?")
		if !known && !defaults && node.Param != "" && !f.uncertain(node.Param) {
			found = append(found, node.Param)
		}
		if defaults && value != "" {
			return found // what stands in its place is not used
		}
		for _, one := range node.Args {
			found = f.undefinedIn(one, found)
		}
	}
	return found
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
