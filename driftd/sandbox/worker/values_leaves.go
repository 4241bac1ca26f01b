package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"sigs.k8s.io/kustomize/kyaml/yaml"
)

const (
	maxLeaves = 50_000
	// anywhere is how long a text must be to count as a part of another one inside of a word.
	anywhere = 4
)

// scalars are the scalar values of a field by their place in it, as text.
type scalars map[string]string

// leaf is a scalar among the values of a chart, or a list or map with all that it holds.
type leaf struct {
	path []any
	key  string
	text string
	// whole is what a list or map holds; nil for a scalar.
	whole scalars
	// first is the scalar that is changed: the leaf itself, or the first inside.
	first   *leaf
	value   any
	changed any
	// other is the text of what it is changed to.
	other string
	// named says that the name alone is looked for, whatever its value is: nothing is one, too.
	named bool
}

func scalarsOf(node *yaml.Node, secret bool) scalars {
	found := scalars{}
	addScalars(found, "", node, secret)
	return found
}

func addScalars(found scalars, at string, node *yaml.Node, secret bool) {
	if node = resolveAlias(node); node == nil {
		return
	}
	switch node.Kind {
	case yaml.ScalarNode:
		text := node.Value
		if decoded, err := base64.StdEncoding.DecodeString(text); secret && err == nil {
			text = string(decoded)
		}
		found[at] = text
	case yaml.MappingNode:
		for i := 0; i+1 < len(node.Content); i += 2 {
			addScalars(found, at+"\x00"+node.Content[i].Value, node.Content[i+1], secret)
		}
	case yaml.SequenceNode:
		for i, item := range node.Content {
			addScalars(found, at+"\x00"+strconv.Itoa(i), item, secret)
		}
	}
}

// leavesOf are the values of a chart and of its subcharts, in the order of their keys.
func leavesOf(values map[string]any) []*leaf {
	var found []*leaf
	addLeaves(&found, nil, values)
	return found
}

// addLeaves adds a value and what is in it; the first scalar of it is answered.
func addLeaves(found *[]*leaf, at []any, value any) (first *leaf, whole scalars) {
	if len(*found) > maxLeaves {
		return nil, nil
	}
	whole = scalars{}
	inside := func(token string, step, item any) {
		one, held := addLeaves(found, append(slices.Clone(at), step), item)
		if first == nil {
			first = one
		}
		for place, text := range held {
			whole["\x00"+token+place] = text
		}
	}
	switch value := value.(type) {
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(value)) {
			inside(name, name, value[name])
		}
	case []any:
		for i, item := range value {
			inside(strconv.Itoa(i), i, item)
		}
	default:
		text, changed := otherValue(value)
		whole[""] = text
		if changed == nil {
			return nil, whole
		}
		one := &leaf{path: at, key: keyOf(at), text: text, value: value, changed: changed, other: textOfValue(changed)}
		one.first = one
		*found = append(*found, one)
		if printed, isOther := printedNumber(value); isOther {
			mantissa, exponent, _ := strings.Cut(printed, "e")
			other := otherText(mantissa) + "e" + exponent
			if number, err := strconv.ParseFloat(other, 64); err == nil {
				again := &leaf{path: at, key: one.key, text: printed, value: value, changed: number, other: other}
				again.first = again
				*found = append(*found, again)
			}
		}
		return one, whole
	}
	if first != nil && len(at) > 0 {
		*found = append(*found, &leaf{path: at, key: keyOf(at), whole: whole, first: first})
	}
	return first, whole
}

// otherValue is the text of a scalar, and another scalar of its type and, as far as that goes, of
// its length and form; nil where there is none.
func otherValue(value any) (string, any) {
	switch value := value.(type) {
	case string:
		if other := otherText(value); other != value {
			return value, other
		}
		return value, nil
	case bool:
		return strconv.FormatBool(value), !value
	case json.Number:
		return value.String(), json.Number(otherText(value.String()))
	case float64:
		text := strconv.FormatFloat(value, 'f', -1, 64)
		if other, err := strconv.ParseFloat(otherText(text), 64); err == nil {
			return text, other
		}
		return text, nil
	case int64:
		return strconv.FormatInt(value, 10), value ^ 1
	case int:
		return strconv.Itoa(value), value ^ 1
	}
	return "", nil
}

// printedNumber is how a template prints a number as it is, if that is not how others write it:
// 20261127 becomes 2.0261127e+07.
func printedNumber(value any) (string, bool) {
	number, isFloat := value.(float64)
	if !isFloat {
		return "", false
	}
	text := strconv.FormatFloat(number, 'g', -1, 64)
	return text, text != strconv.FormatFloat(number, 'f', -1, 64)
}

// otherText is a text with its last digit, or without digits its last letter, made another one.
func otherText(text string) string {
	at := strings.LastIndexFunc(text, func(r rune) bool { return r >= '0' && r <= '9' })
	if at < 0 {
		at = strings.LastIndexFunc(text, func(r rune) bool { return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' })
	}
	if at < 0 {
		return text
	}
	other := text[at] + 1
	if text[at] == '9' || text[at] == 'z' || text[at] == 'Z' {
		other = text[at] - 1
	}
	return text[:at] + string(other) + text[at+1:]
}

// keyOf writes a path as Helm's --set does.
func keyOf(path []any) string {
	var key strings.Builder
	for i, step := range path {
		if number, isIndex := step.(int); isIndex {
			fmt.Fprintf(&key, "[%d]", number)
			continue
		}
		if i > 0 {
			key.WriteByte('.')
		}
		key.WriteString(strings.ReplaceAll(step.(string), ".", `\.`))
	}
	return key.String()
}

// put changes the leaf in the values that are given to a chart; `all` are those with its own, from
// which a list is taken as a whole.
func (l *leaf) put(values, all map[string]any) {
	path := l.first.path
	for i, step := range path[:len(path)-1] {
		name := step.(string)
		if _, isList := path[i+1].(int); isList {
			values[name] = replaced(valueAt(all, path[:i+1]), path[i+1:], l.first.changed)
			return
		}
		below, isMap := values[name].(map[string]any)
		if isMap {
			below = maps.Clone(below)
		} else {
			below = map[string]any{}
		}
		values[name] = below
		values = below
	}
	values[path[len(path)-1].(string)] = l.first.changed
}

func replaced(value any, path []any, by any) any {
	if len(path) == 0 {
		return by
	}
	switch step := path[0].(type) {
	case int:
		list := slices.Clone(value.([]any))
		list[step] = replaced(list[step], path[1:], by)
		return list
	default:
		copied := maps.Clone(value.(map[string]any))
		copied[step.(string)] = replaced(copied[step.(string)], path[1:], by)
		return copied
	}
}

// valueAt is what stands at a path, nil if nothing does.
func valueAt(value any, path []any) any {
	for _, step := range path {
		switch step := step.(type) {
		case string:
			below, _ := value.(map[string]any)
			value = below[step]
		case int:
			list, _ := value.([]any)
			if step >= len(list) {
				return nil
			}
			value = list[step]
		}
	}
	return value
}

// span is a part of a text.
type span struct{ from, to int }

func (s span) meets(other span) bool {
	if s.from == s.to || other.from == other.to {
		return s.from <= other.to && other.from <= s.to
	}
	return s.from < other.to && other.from < s.to
}

// difference is the part of a text that another one has differently.
func difference(text, other string) span {
	from := 0
	for from < len(text) && from < len(other) && text[from] == other[from] {
		from++
	}
	to, end := len(text), len(other)
	for to > from && end > from && text[to-1] == other[end-1] {
		to--
		end--
	}
	return span{from, to}
}

// drifted are the places of a field at which the cluster differs, and which part of them does;
// everything where nothing is known of it. Of a list or map of another form nothing is sure.
func (f *tracedField) drifted() (map[string]span, bool) {
	found := map[string]span{}
	for at, text := range f.git {
		if other, there := f.live[at]; !there {
			found[at] = span{0, len(text)}
		} else if other != text {
			found[at] = difference(text, other)
		}
	}
	sure := f.live == nil || len(f.git) == len(f.live)
	for at := range f.live {
		_, there := f.git[at]
		sure = sure && there
	}
	return found, sure
}

// occurrences are the places of a value in a text; a short one only counts where it is a word.
func occurrences(text, value string) []span {
	var found []span
	if value == "" {
		return nil
	}
	for from := 0; ; {
		at := strings.Index(text[from:], value)
		if at < 0 {
			return found
		}
		one := span{from + at, from + at + len(value)}
		if len(value) >= anywhere || isEdge(text, one.from) && isEdge(text, one.to) {
			found = append(found, one)
		}
		from = one.from + 1
	}
}

func isEdge(text string, at int) bool {
	return at == 0 || at == len(text) || !isLetterOrDigit(text[at-1]) || !isLetterOrDigit(text[at])
}

func isLetterOrDigit(char byte) bool {
	return char < unicode.MaxASCII && (unicode.IsLetter(rune(char)) || unicode.IsDigit(rune(char)))
}

// choose picks the values that may decide the field, the likeliest first.
func (f *tracedField) choose(leaves []*leaf, scope []string) {
	drifted, sure := f.drifted()
	globals := map[string]bool{}
	for _, one := range leaves {
		if one.path[0] == "global" {
			globals[one.key] = true
		}
	}
	for _, one := range leaves {
		if !isVisible(one.path, scope) || repeatsGlobal(one.path, globals) {
			continue
		}
		if kind := f.holds(one, drifted, sure); kind >= 0 {
			rank := []int{kind, -f.alike(one), -len(one.text) - len(one.whole), -len(one.path)}
			f.candidates = append(f.candidates, &candidate{one, rank})
		}
	}
	slices.SortStableFunc(f.candidates, func(one, other *candidate) int { return slices.Compare(one.rank, other.rank) })
	f.candidates = f.candidates[:min(len(f.candidates), maxTrialsField)]
}

// holds says how a value stands in what differs: as all of it (0), as a part (1), not at all (-1).
func (f *tracedField) holds(one *leaf, drifted map[string]span, sure bool) int {
	_, isScalar := f.git[""]
	if one.whole != nil {
		if !isScalar && maps.Equal(one.whole, f.git) {
			return 0
		}
		return -1
	}
	if !sure && !isScalar {
		return -1
	}
	kind := -1
	for at, part := range drifted {
		if f.git[at] == one.text {
			return 0
		}
		if slices.ContainsFunc(occurrences(f.git[at], one.text), part.meets) {
			kind = 1
		}
	}
	return kind
}

// alike is how much the name of a value says that it is the field's.
func (f *tracedField) alike(one *leaf) int {
	field := strings.ToLower(f.steps[len(f.steps)-1].field)
	name, _ := one.path[len(one.path)-1].(string)
	name = strings.ToLower(name)
	switch {
	case field == "" || name == "":
		return 0
	case field == name:
		return 3
	case strings.Contains(field, name) || strings.Contains(name, field):
		return 2
	}
	for _, step := range one.path {
		if text, _ := step.(string); strings.EqualFold(text, field) {
			return 1
		}
	}
	return 0
}

// decidedBy says whether a field shows that a value was changed: the new one stands where the old
// one stood, nothing else is different, and the cluster's difference is there too.
func (f *tracedField) decidedBy(one *leaf, now scalars) bool {
	if now == nil || len(now) != len(f.git) {
		return false
	}
	drifted, _ := f.drifted()
	old, changed := one.first.text, one.first.other
	met := false
	for at, before := range f.git {
		after, there := now[at]
		if !there {
			return false
		}
		if before == after {
			continue
		}
		spans := carried(before, after, old, changed)
		if spans == nil {
			return false
		}
		part, differs := drifted[at]
		met = met || one.whole != nil || differs && slices.ContainsFunc(spans, part.meets)
	}
	return met
}

func textOfValue(value any) string {
	text, _ := otherValue(value)
	return text
}

// carried are the places at which one text has a value and the other one the changed value; nil
// if they differ in anything else.
func carried(before, after, old, changed string) []span {
	if before == old && after == changed {
		return []span{{0, len(old)}}
	}
	if len(old) != len(changed) || len(before) != len(after) {
		return nil
	}
	offset := difference(old, changed).from
	var found []span
	for i := 0; i < len(before); i++ {
		if before[i] == after[i] {
			continue
		}
		from := i - offset
		to := from + len(old)
		if from < 0 || to > len(before) || before[from:to] != old || after[from:to] != changed {
			return nil
		}
		found = append(found, span{from, to})
	}
	return found
}

// scopeOf are the subcharts that have a template, from the outside in.
func scopeOf(file string) []string {
	before, _, _ := strings.Cut("/"+file, "/templates/")
	_, inside, found := strings.Cut(before, "/charts/")
	if !found {
		return nil
	}
	return strings.Split(inside, "/charts/")
}

// isVisible says whether the template of a subchart can see a value.
func isVisible(path []any, scope []string) bool {
	if path[0] == "global" {
		return true
	}
	for i, name := range scope {
		if i >= len(path) || path[i] != name {
			return false
		}
	}
	return true
}

// repeatsGlobal says whether a value is what a subchart sees of a global one.
func repeatsGlobal(path []any, globals map[string]bool) bool {
	at := slices.Index(path, any("global"))
	return at > 0 && globals[keyOf(path[at:])]
}
