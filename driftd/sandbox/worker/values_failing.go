package main

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	chart "helm.sh/helm/v4/pkg/chart/v2"
)

const (
	maxFailing      = 3
	maxFailedTrials = 60
	// fewChanges is how many changed values are tried one by one.
	fewChanges = 12
	// maxInside is how many members of a value are tried to name one of them.
	maxInside = 16
)

// failingValue is a value that a change gives and without which the chart renders.
type failingValue struct {
	valuePlace
	// Added says that the base does not have it there; else it has another value.
	Added bool `json:"added"`
	// Alone says that the chart does not render with it as the one change; it does with none of
	// those that are so.
	Alone bool `json:"alone"`
	// Before is the place of the base that the change has indented otherwise; mostly empty.
	Before string `json:"before"`
}

// failingValues answers with the values that a change gives to a chart which does not render with
// them: with what the base has in their place, and all else of the change, it does.
func (s *server) failingValues(params json.RawMessage) ([]byte, error) {
	var p struct {
		Base json.RawMessage `json:"base"`
	}
	if err := json.Unmarshal(params, &p); err != nil {
		return nil, fail(codeBadRequest, "", "invalid parameters: %s", err)
	}
	base, wasHelm, err := s.tracing(p.Base)
	if err != nil {
		return nil, err
	}
	tracing, isHelm, err := s.tracing(params)
	if err != nil {
		return nil, err
	}
	found := []failingValue{}
	if wasHelm && isHelm {
		found = append(found, tracing.failing(base)...)
	}
	return json.Marshal(map[string]any{"values": found})
}

// givenValues are what an application gives to a chart, and what the chart has of its own.
type givenValues map[string]any

const givenByApplication, givenByChart = "application", "chart"

// given are the values of a rendering; nil where it does not come that far.
func (t *tracer) given() (found givenValues, err error) {
	_, err = t.render(&valueProbe{change: func(loaded *chart.Chart, values map[string]any) {
		found = givenValues{givenByApplication: cloneMaps(values), givenByChart: cloneMaps(loaded.Values)}
	}})
	return found, err
}

// rendersWith says whether the chart renders with other values; not if there is no time left.
func (t *tracer) rendersWith(given givenValues) bool {
	if t.isSpent() {
		return false
	}
	_, err := t.render(&valueProbe{change: func(loaded *chart.Chart, values map[string]any) {
		clear(values)
		if wanted, isMap := given[givenByApplication].(map[string]any); isMap {
			maps.Copy(values, cloneMaps(wanted))
		}
		if own, isMap := given[givenByChart].(map[string]any); isMap {
			loaded.Values = cloneMaps(own)
		}
	}})
	return err == nil
}

// isSpent says that nothing more is rendered: what then did not render proves nothing.
func (t *tracer) isSpent() bool {
	return t.renderings > maxFailedTrials || time.Now().After(t.until)
}

// valueChange is a value that is not as at the base. Its path begins with who gives it.
type valueChange struct {
	path     []any
	old      any
	inBase   bool
	inChange bool
}

// undone are values without some changes.
func undone(given givenValues, changes []valueChange) givenValues {
	var values any = map[string]any(given)
	for _, one := range changes {
		if one.inBase {
			values = withValue(values, one.path, one.old)
		} else {
			values = withoutMember(values, one.path)
		}
	}
	found, _ := values.(map[string]any)
	return found
}

// failing are the values that the change alone brings and without each of which the chart renders.
func (t *tracer) failing(base *tracer) []failingValue {
	before, err := base.given()
	if err != nil || before == nil {
		return nil
	}
	after, err := t.given()
	if err == nil || after == nil {
		return nil
	}
	changes := changedValues(nil, nil, map[string]any(before), map[string]any(after))
	if len(changes) == 0 || !t.rendersWith(undone(after, changes)) {
		return nil // the chart itself is what is wrong
	}
	suspects := t.suspects(after, changes)
	var found []failingValue
	for _, one := range suspects {
		if one.inChange && t.rendersWith(undone(after, []valueChange{one})) {
			found = append(found, t.told(after, t.inside(after, one), changes))
		}
	}
	if len(found) == 0 {
		for _, one := range t.several(after, changes, suspects) {
			told := t.told(after, one, changes)
			told.Alone = true
			found = append(found, told)
		}
	}
	if t.isSpent() || len(found) > maxFailing && !found[0].Alone {
		return nil // that any of many does it says little of each
	}
	slices.SortStableFunc(found, func(one, other failingValue) int { return strings.Compare(other.Before, one.Before) })
	return found[:min(len(found), maxFailing)]
}

// several are the changes each of which makes the chart fail, also where all others that do are
// undone; without all of them it renders.
func (t *tracer) several(after givenValues, changes, suspects []valueChange) []valueChange {
	but := func(all []valueChange, kept valueChange) []valueChange {
		return slices.DeleteFunc(slices.Clone(all), func(one valueChange) bool { return slices.Equal(one.path, kept.path) })
	}
	var failing []valueChange
	for _, one := range suspects {
		if one.inChange && !t.rendersWith(undone(after, but(changes, one))) {
			failing = append(failing, one)
		}
	}
	if len(failing) < 2 || !t.rendersWith(undone(after, failing)) {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(failing), func(one valueChange) bool {
		return t.rendersWith(undone(after, but(failing, one)))
	})
}

// told is a change as it is answered.
func (t *tracer) told(after givenValues, one valueChange, changes []valueChange) failingValue {
	told := failingValue{Added: !one.inBase, Before: indentedFrom(one, changes)}
	if place := t.placeOfAll(one.path[1:], valueAt(map[string]any(after), one.path)); place != nil {
		told.valuePlace = *place
	}
	told.Key = keyOf(one.path[1:])
	return told
}

// suspects are few enough changes to be tried one by one: of many the half without which the chart
// renders, again and again; none where it takes changes of both halves.
func (t *tracer) suspects(after givenValues, changes []valueChange) []valueChange {
	for len(changes) > fewChanges {
		half := len(changes) / 2
		switch {
		case t.rendersWith(undone(after, changes[:half])):
			changes = changes[:half]
		case t.rendersWith(undone(after, changes[half:])):
			changes = changes[half:]
		default:
			return nil
		}
	}
	return changes
}

// inside is the one member of a list or map without which the chart renders, if there is just one.
func (t *tracer) inside(after givenValues, whole valueChange) valueChange {
	for {
		var steps []any
		switch value := valueAt(map[string]any(after), whole.path).(type) {
		case map[string]any:
			for _, name := range slices.Sorted(maps.Keys(value)) {
				steps = append(steps, name)
			}
		case []any:
			for i := range value {
				steps = append(steps, i)
			}
		}
		if len(steps) == 0 || len(steps) > maxInside {
			return whole
		}
		var found []valueChange
		for _, step := range steps {
			one := valueChange{path: append(slices.Clone(whole.path), step), inChange: true}
			if t.rendersWith(undone(after, []valueChange{one})) {
				found = append(found, one)
			}
		}
		if len(found) != 1 {
			return whole
		}
		whole = found[0]
	}
}

// indentedFrom is where the base has a value that the change has not there, but further in or out.
func indentedFrom(one valueChange, changes []valueChange) string {
	last := len(one.path) - 1
	var found []string
	for _, other := range changes {
		end := len(other.path) - 1
		if other.inChange || end == last || other.path[end] != one.path[last] {
			continue
		}
		if leadsTo(other.path[:end], one.path[:last]) {
			found = append(found, keyOf(other.path[1:]))
		}
	}
	if len(found) != 1 {
		return ""
	}
	return found[0]
}

// changedValues adds what differs between two values, as far out as one side lacks it.
func changedValues(found []valueChange, at []any, old, now any) []valueChange {
	switch value := now.(type) {
	case map[string]any:
		before, both := old.(map[string]any)
		if !both {
			break
		}
		for _, name := range slices.Sorted(maps.Keys(united(value, before))) {
			was, inBase := before[name]
			is, inChange := value[name]
			path := append(slices.Clone(at), name)
			if inBase && inChange {
				found = changedValues(found, path, was, is)
			} else {
				found = append(found, valueChange{path, was, inBase, inChange})
			}
		}
		return found
	case []any:
		before, both := old.([]any)
		if !both || len(before) != len(value) {
			break
		}
		for i := range value {
			found = changedValues(found, append(slices.Clone(at), i), before[i], value[i])
		}
		return found
	}
	if reflect.DeepEqual(old, now) {
		return found
	}
	return append(found, valueChange{at, old, true, true})
}

// withValue is a value with another one at a path; what leads there is copied.
func withValue(value any, path []any, wanted any) any {
	if len(path) == 0 {
		return wanted
	}
	switch step := path[0].(type) {
	case string:
		inside, _ := value.(map[string]any)
		copied := maps.Clone(inside)
		if copied == nil {
			copied = map[string]any{}
		}
		copied[step] = withValue(inside[step], path[1:], wanted)
		return copied
	case int:
		list, _ := value.([]any)
		if step < len(list) {
			copied := slices.Clone(list)
			copied[step] = withValue(list[step], path[1:], wanted)
			return copied
		}
	}
	return value
}

// withoutMember is a value without the name or the item at a path.
func withoutMember(value any, path []any) any {
	last := len(path) - 1
	index, isItem := path[last].(int)
	if !isItem {
		return without(value, path)
	}
	list, _ := valueAt(value, path[:last]).([]any)
	if index >= len(list) {
		return value
	}
	return withValue(value, path[:last], slices.Delete(slices.Clone(list), index, index+1))
}
