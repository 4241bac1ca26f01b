package main

import (
	"bytes"
	"encoding/json"
	"maps"
	"regexp"
	"slices"

	"helm.sh/helm/v4/pkg/chart/common/util"
	chart "helm.sh/helm/v4/pkg/chart/v2"
)

const (
	maxUnread = 20
	maxBeside = 200
)

// unreadValue is a value that Git gives to a chart which no template reads. Its key is that of the
// outermost name which the chart does not know.
type unreadValue struct {
	valuePlace
	// Beside are the names that the chart's own values have in the same place.
	Beside []string `json:"beside"`
	// Digest tells two values apart without giving them away.
	Digest string `json:"digest"`
}

// unreadValues answers with the values that a chart is given in vain: the chart's own values have
// no such name, no template speaks of it, and without it the same objects are rendered.
func (s *server) unreadValues(params json.RawMessage) ([]byte, error) {
	tracing, isHelm, err := s.tracing(params)
	if err != nil {
		return nil, err
	}
	found := []unreadValue{}
	if isHelm {
		if found, err = tracing.unread(); err != nil {
			return nil, err
		}
	}
	return json.Marshal(map[string]any{"values": found})
}

func (t *tracer) unread() ([]unreadValue, error) {
	var given map[string]any
	finder := &unreadFinder{}
	documents, err := t.render(&valueProbe{
		change: func(values map[string]any) { given = cloneMaps(values) },
		seen: func(loaded *chart.Chart, _ map[string]any) error {
			known, err := util.CoalesceValues(loaded, map[string]any{})
			if err == nil {
				finder.addChart(loaded)
				finder.walk(nil, given, known)
			}
			return err
		},
	})
	if err != nil {
		return nil, err
	}
	found := []unreadValue{}
	for _, one := range t.inVain(finder.found, documents) {
		value := valueAt(given, one.path)
		one.Digest = digestOf(value)
		one.Key = keyOf(one.path)
		// The first scalar in it tells whose file has given it.
		if leaves := leavesOf(map[string]any{"": value}); len(leaves) > 0 {
			first := *leaves[0]
			first.path = slices.Concat(one.path, first.path[1:])
			first.key = keyOf(first.path)
			if place := t.placeOf(&first); place != nil {
				one.File, one.Line, one.Ref = place.File, place.Line, place.Ref
			}
		}
		found = append(found, one.unreadValue)
	}
	return found, nil
}

// inVain are those without which the same is rendered; where that is not so of all together, of
// each alone.
func (t *tracer) inVain(candidates []*unreadCandidate, documents map[string]document) []*unreadCandidate {
	if len(candidates) == 0 || t.sameWithout(candidates, documents) {
		return candidates
	}
	if len(candidates) == 1 {
		return nil
	}
	return slices.DeleteFunc(candidates, func(one *unreadCandidate) bool {
		return !t.sameWithout([]*unreadCandidate{one}, documents)
	})
}

func (t *tracer) sameWithout(candidates []*unreadCandidate, documents map[string]document) bool {
	again, err := t.render(&valueProbe{change: func(values map[string]any) {
		for _, one := range candidates {
			removeAt(values, one.path)
		}
	}})
	return err == nil && maps.EqualFunc(documents, again, func(one, other document) bool {
		return bytes.Equal(one.raw, other.raw)
	})
}

type unreadCandidate struct {
	unreadValue
	path []any
}

// unreadFinder looks for names that a chart's values and templates do not have.
type unreadFinder struct {
	// subcharts are the names that values of subcharts stand below.
	subcharts map[string]bool
	actions   []string
	found     []*unreadCandidate
}

var actionPattern = regexp.MustCompile(`(?s)\{\{.*?\}\}`)

func (f *unreadFinder) addChart(loaded *chart.Chart) {
	if f.subcharts == nil {
		f.subcharts = map[string]bool{}
	}
	for _, one := range loaded.Metadata.Dependencies {
		f.subcharts[firstOf(one.Alias, one.Name)] = true
	}
	for _, one := range slices.Concat(loaded.Templates, loaded.Files) {
		f.actions = append(f.actions, actionPattern.FindAllString(string(one.Data), -1)...)
	}
	for _, one := range loaded.Dependencies() {
		f.subcharts[one.Name()] = true
		f.addChart(one)
	}
}

// walk compares what is given with the chart's own values. What stands in a place where those have
// a map without names is anybody's.
func (f *unreadFinder) walk(at []any, given, known map[string]any) {
	for _, name := range slices.Sorted(maps.Keys(given)) {
		path := append(slices.Clone(at), name)
		value, isKnown := known[name]
		if isKnown {
			inside, isMap := given[name].(map[string]any)
			if below, both := value.(map[string]any); isMap && both && len(below) > 0 {
				f.walk(path, inside, below)
			}
			continue
		}
		if name == "global" || name == "tags" || f.subcharts[name] || f.mentions(at, name) {
			continue
		}
		if len(f.found) < maxUnread {
			beside := slices.Sorted(maps.Keys(known))
			f.found = append(f.found, &unreadCandidate{
				unreadValue{Beside: beside[:min(len(beside), maxBeside)]}, path,
			})
		}
	}
}

// opened are functions that take a map as a whole, with whatever is in it.
var opened = regexp.MustCompile(`\b(toYaml|toJson|toPrettyJson|toRawJson|toToml|range|tpl|include|template|dict|merge\w*|mustMerge\w*|deepCopy|pick|omit|values|keys|list|concat|get|hasKey|index|dig)\b`)

// picked is how a template takes one name from all values, which it then has in quotes.
var picked = regexp.MustCompile(`\b(index|get|hasKey)\s+\$?\.Values\b`)

// mentions says whether a template may read a name that stands in a place of the values, also in a
// part that is not rendered now.
func (f *unreadFinder) mentions(at []any, name string) bool {
	parent := "Values"
	if len(at) > 0 {
		if last, _ := at[len(at)-1].(string); !f.subcharts[last] {
			parent = last
		}
	}
	const end = `(?:[^\w-]|$)`
	quoted := regexp.QuoteMeta(name)
	own := regexp.MustCompile(`\b` + regexp.QuoteMeta(parent) + `\.` + quoted + end)
	field := regexp.MustCompile(`\.` + quoted + end)
	text := regexp.MustCompile("[\"`.]" + quoted + "[\"`.]")
	whole := regexp.MustCompile(`\b` + regexp.QuoteMeta(parent) + `(?:[^\w.-]|$)`)
	taken, named := false, false
	for _, action := range f.actions {
		if own.MatchString(action) || text.MatchString(action) {
			return true
		}
		named = named || field.MatchString(action)
		if whole.MatchString(picked.ReplaceAllString(action, "")) {
			if parent != "Values" && opened.MatchString(action) {
				return true
			}
			taken = true
		}
	}
	return taken && named
}

// cloneMaps copies the maps of values, and nothing else of them.
func cloneMaps(values map[string]any) map[string]any {
	copied := maps.Clone(values)
	for name, value := range copied {
		if inside, isMap := value.(map[string]any); isMap {
			copied[name] = cloneMaps(inside)
		}
	}
	return copied
}

// removeAt takes a name out of values, on copies of the maps that lead to it.
func removeAt(values map[string]any, path []any) {
	for _, step := range path[:len(path)-1] {
		inside, isMap := values[step.(string)].(map[string]any)
		if !isMap {
			return
		}
		inside = maps.Clone(inside)
		values[step.(string)] = inside
		values = inside
	}
	delete(values, path[len(path)-1].(string))
}
