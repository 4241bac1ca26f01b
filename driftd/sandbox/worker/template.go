package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"text/template"
)

const (
	maxTemplate = 64 << 10
	maxText     = 32 << 10
)

// textFunctions are what templates of messages may call: sprig's functions over text, lists,
// numbers and given dates. None knows the environment, the clock, chance, files or the network,
// and none makes something large out of a number.
var textFunctions = chosenFunctions(
	"abbrev", "add", "add1", "all", "any", "append", "atoi", "b64dec", "b64enc", "camelcase", "cat",
	"ceil", "coalesce", "compact", "concat", "contains", "date", "default", "dict", "dig", "div",
	"duration", "durationRound", "empty", "fail", "first", "float64", "floor", "get", "has",
	"hasKey", "hasPrefix", "hasSuffix", "indent", "initial", "int", "int64", "join", "kebabcase",
	"keys", "kindIs", "kindOf", "last", "list", "lower", "max", "min", "mod", "mul", "nindent",
	"nospace", "omit", "pick", "pluck", "plural", "prepend", "quote", "regexFind", "regexMatch",
	"regexReplaceAll", "regexReplaceAllLiteral", "replace", "rest", "reverse", "round",
	"sha256sum", "slice", "snakecase", "sortAlpha", "split", "splitList", "squote", "sub",
	"substr", "ternary", "title", "toDate", "toJson", "toPrettyJson", "toString", "toStrings",
	"trim", "trimAll", "trimPrefix", "trimSuffix", "trunc", "uniq", "untitle", "upper", "values",
	"without", "wrap", "wrapWith",
)

func chosenFunctions(names ...string) template.FuncMap {
	functions := template.FuncMap{}
	for _, name := range names {
		if function, ok := sprigFunctions[name]; ok {
			functions[name] = function
		}
	}
	return functions
}

// executeTemplate answers with the text that a template of a message makes of it. What does not
// end is ended by the daemon, together with this process.
func executeTemplate(params json.RawMessage) ([]byte, error) {
	var p struct {
		Template string          `json:"template"`
		Context  json.RawMessage `json:"context"`
	}
	if err := json.Unmarshal(params, &p); err != nil {
		return nil, fail(codeBadRequest, "", "invalid parameters: %s", err)
	}
	if len(p.Template) > maxTemplate {
		return nil, fail(codeLimit, "", "the template is longer than %d bytes", maxTemplate)
	}
	decoder := json.NewDecoder(bytes.NewReader(p.Context))
	decoder.UseNumber()
	var context any
	if err := decoder.Decode(&context); err != nil {
		return nil, fail(codeBadRequest, "", "invalid context")
	}
	parsed, err := template.New("text").Option("missingkey=error").Funcs(textFunctions).
		Parse(p.Template)
	if err != nil {
		return nil, fail(codeTemplate, "", "%s", plainTemplateError(err))
	}
	out := &limitedText{}
	if err := parsed.Execute(out, plainNumbers(context)); err != nil {
		if errors.Is(err, errTextTooLong) {
			return nil, fail(codeLimit, "", "the text is longer than %d bytes", maxText)
		}
		return nil, fail(codeTemplate, "", "%s", plainTemplateError(err))
	}
	return json.Marshal(map[string]any{"text": strings.ToValidUTF8(out.String(), "\uFFFD")})
}

// plainTemplateError leaves out the name that every template has here.
func plainTemplateError(err error) string {
	message := strings.TrimPrefix(err.Error(), "template: text:")
	return "line " + strings.Replace(message, `executing "text" `, "", 1)
}

var errTextTooLong = errors.New("too long")

// limitedText ends an execution that writes too much.
type limitedText struct{ strings.Builder }

func (t *limitedText) Write(data []byte) (int, error) {
	if t.Len()+len(data) > maxText {
		return 0, errTextTooLong
	}
	return t.Builder.Write(data)
}

// plainNumbers gives numbers the types that templates compare and print as people expect, and
// that have no methods.
func plainNumbers(value any) any {
	switch value := value.(type) {
	case map[string]any:
		for key, item := range value {
			value[key] = plainNumbers(item)
		}
	case []any:
		for i, item := range value {
			value[i] = plainNumbers(item)
		}
	case json.Number:
		if whole, err := value.Int64(); err == nil {
			return int(whole)
		}
		if strings.ContainsAny(value.String(), ".eE") {
			float, _ := value.Float64()
			return float
		}
		return value.String()
	}
	return value
}
