package main

import (
	"maps"
	"reflect"
	"slices"
	"sort"
	"strconv"
	"strings"
	"text/template"
	"time"

	"github.com/Masterminds/sprig/v3"
)

// unstableFunctions stand in for the functions of templates whose outcome is not decided by
// their arguments. They note whether a rendering called one. In the second rendering of the same
// chart the clock shows another year, and the keys of a map come in the other order, so that what
// depends on them differs for certain.
type unstableFunctions struct {
	called bool
	second bool
}

// randomNames are sprig's functions that differ with every call.
var randomNames = []string{
	"bcrypt", "encryptAES", "genCA", "genCAWithKey", "genPrivateKey", "genSelfSignedCert",
	"genSelfSignedCertWithKey", "genSignedCert", "genSignedCertWithKey", "htpasswd", "randAlpha",
	"randAlphaNum", "randAscii", "randBytes", "randInt", "randNumeric", "shuffle", "uuidv4",
}

// dateNames are sprig's functions that take now for everything that is no date.
var dateNames = []string{"ago", "date", "dateInZone", "date_in_zone", "htmlDate", "htmlDateInZone"}

var sprigFunctions = sprig.TxtFuncMap()

func (u *unstableFunctions) functions() template.FuncMap {
	functions := template.FuncMap{"now": u.now, "keys": u.keys, "values": u.values}
	for _, name := range randomNames {
		functions[name] = u.wrapped(name, func([]reflect.Value) { u.called = true })
	}
	for _, name := range dateNames {
		functions[name] = u.wrapped(name, u.setDates)
	}
	functions["ago"] = u.ago
	return functions
}

// wrapped is a function of sprig with something done to its arguments first.
func (u *unstableFunctions) wrapped(name string, before func([]reflect.Value)) any {
	function := reflect.ValueOf(sprigFunctions[name])
	call := func(arguments []reflect.Value) []reflect.Value {
		before(arguments)
		if function.Type().IsVariadic() {
			return function.CallSlice(arguments)
		}
		return function.Call(arguments)
	}
	return reflect.MakeFunc(function.Type(), call).Interface()
}

func (u *unstableFunctions) now() time.Time {
	u.called = true
	if u.second {
		return time.Now().AddDate(1, 1, 1).Add(61*time.Minute + time.Second)
	}
	return time.Now()
}

// setDates gives now where sprig would take it by itself.
func (u *unstableFunctions) setDates(arguments []reflect.Value) {
	for i, argument := range arguments {
		if argument.Kind() != reflect.Interface {
			continue
		}
		switch argument.Interface().(type) {
		case time.Time, *time.Time, int64, int, int32:
		default:
			arguments[i] = reflect.ValueOf(u.now())
		}
	}
}

func (u *unstableFunctions) ago(date any) string {
	from := u.now()
	switch date := date.(type) {
	case time.Time:
		return from.Sub(date).Round(time.Second).String()
	case int64:
		return from.Sub(time.Unix(date, 0)).Round(time.Second).String()
	case int:
		return from.Sub(time.Unix(int64(date), 0)).Round(time.Second).String()
	}
	return time.Duration(0).String()
}

func (u *unstableFunctions) keys(maps ...map[string]any) []string {
	keys := []string{}
	for _, from := range maps {
		keys = append(keys, u.order(from)...)
	}
	return keys
}

func (u *unstableFunctions) values(from map[string]any) []any {
	values := []any{}
	for _, key := range u.order(from) {
		values = append(values, from[key])
	}
	return values
}

func (u *unstableFunctions) order(from map[string]any) []string {
	keys := make([]string, 0, len(from))
	for key := range from {
		keys = append(keys, key)
	}
	sort.Strings(keys)
	if len(keys) > 1 {
		u.called = true
		if u.second {
			slices.Reverse(keys)
		}
	}
	return keys
}

// markUnstable renders a source once more if a template called what is not stable, and notes the
// places that differ. Only what both renderings have at the same place can be compared; the
// pointer "" says that the object itself is another one each time.
func (s *server) markUnstable(p *renderParams, t *tree, result *rendering) error {
	if !p.unstable.called {
		return nil
	}
	p.unstable.second = true
	again, _, err := s.renderSource(p, t)
	if err != nil {
		return err
	}
	if again.documents, err = expandLists(again.documents); err != nil {
		return err
	}
	result.unstable = map[int][]string{}
	others := map[string][]any{}
	for _, doc := range again.documents {
		value, identity := identified(doc)
		others[identity] = append(others[identity], value)
	}
	for i, doc := range result.documents {
		value, identity := identified(doc)
		found := others[identity]
		if len(found) == 0 {
			result.unstable[i] = []string{""}
			continue
		}
		others[identity] = found[1:]
		if places := differences(value, found[0], "", nil); len(places) > 0 {
			result.unstable[i] = places
		}
	}
	return nil
}

// identified decodes an object and says which one it is.
func identified(doc document) (any, string) {
	value, err := decodeForJQ(doc.raw)
	if err != nil {
		return nil, ""
	}
	object, _ := value.(map[string]any)
	metadata, _ := object["metadata"].(map[string]any)
	identity := ""
	for _, part := range []any{object["apiVersion"], object["kind"], metadata["namespace"], metadata["name"]} {
		text, _ := part.(string)
		identity += strconv.Quote(text)
	}
	return value, identity
}

// differences are the JSON pointers at which two values differ, the innermost ones.
func differences(one, other any, at string, found []string) []string {
	if len(found) >= maxErrors {
		return found
	}
	switch one := one.(type) {
	case map[string]any:
		if other, ok := other.(map[string]any); ok {
			return mapDifferences(one, other, at, found)
		}
	case []any:
		if other, ok := other.([]any); ok && len(one) == len(other) {
			for i := range one {
				found = differences(one[i], other[i], at+"/"+strconv.Itoa(i), found)
			}
			return found
		}
	}
	if !reflect.DeepEqual(one, other) {
		found = append(found, at)
	}
	return found
}

func mapDifferences(one, other map[string]any, at string, found []string) []string {
	keys := map[string]bool{}
	for key := range one {
		keys[key] = true
	}
	for key := range other {
		keys[key] = true
	}
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		place := at + "/" + pointerEscapes.Replace(key)
		mine, here := one[key]
		theirs, there := other[key]
		if here != there {
			found = append(found, place)
			continue
		}
		found = differences(mine, theirs, place, found)
	}
	return found
}

var pointerEscapes = strings.NewReplacer("~", "~0", "/", "~1")
